#!/usr/bin/env bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Succeeds when both customers get an answer over verified TLS, each under its name.
set -euo pipefail

select_one() {
  PGPASSWORD=$(cat "/run/secrets/postgres_$2") PGCONNECT_TIMEOUT=5 psql -qXAt -c 'SELECT 1' \
    "host=$1 user=$2 dbname=$2 sslmode=verify-full sslrootcert=/etc/ssl/certs/ca-certificates.crt"
}

select_one db.prosaas.test prosaas
select_one pooler.prosaas.test n8n
