#!/usr/bin/env bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the customers, or sets their passwords anew.
set -euo pipefail

for name in prosaas n8n; do
  # By the environment, since everyone may read the arguments of a process.
  PASSWORD=$(cat "/run/secrets/postgres_$name") setpriv --reuid postgres --regid postgres --init-groups \
    psql -qX -v ON_ERROR_STOP=1 -v name="$name" -f /cloud/postgres/customer.sql
done
