#!/usr/bin/env bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Postgres as a provider runs it: TLS and passwords for everyone, one database and one owner per customer.
set -euo pipefail

BIN=/usr/lib/postgresql/15/bin
DATA=/var/lib/postgresql/data

as_postgres() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }

install -d -o postgres -g postgres -m 700 "$DATA"
install -o postgres -g postgres -m 600 /cloud/tls/postgres.crt /cloud/tls/postgres.key /var/lib/postgresql/
install -o postgres -g postgres -m 600 /cloud/postgres/pg_hba.conf /var/lib/postgresql/
[[ -s $DATA/PG_VERSION ]] || as_postgres "$BIN/initdb" -D "$DATA" -E UTF8 --locale C.UTF-8 >/dev/null
# A fault that switched TLS off must not outlive the container.
as_postgres sed -i '/^ssl *=/d' "$DATA/postgresql.auto.conf"

options=(-c config_file=/cloud/postgres/postgresql.conf -c "data_directory=$DATA")
as_postgres "$BIN/pg_ctl" -D "$DATA" -s -w -o "${options[*]} -c listen_addresses=" start
bash /cloud/postgres/customers.sh
as_postgres "$BIN/pg_ctl" -D "$DATA" -s -w -m fast stop

exec setpriv --reuid postgres --regid postgres --init-groups "$BIN/postgres" -D "$DATA" "${options[@]}"
