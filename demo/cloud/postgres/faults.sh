#!/usr/bin/env bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# faults.sh NAME on|off: what a provider, or somebody in its dashboard, does to both customers.
set -euo pipefail

# sql DATABASE STATEMENT
sql() {
  setpriv --reuid postgres --regid postgres --init-groups psql -qX -v ON_ERROR_STOP=1 -d "$1" -c "$2" >/dev/null
}

for name in prosaas n8n; do
  case $1-$2 in
    password-on) sql "$name" "ALTER ROLE $name PASSWORD 'another'" ;;
    password-off) bash /cloud/postgres/customers.sh ;;
    limit-on) sql "$name" "ALTER ROLE $name CONNECTION LIMIT 2" ;;
    limit-off) sql "$name" "ALTER ROLE $name CONNECTION LIMIT -1" ;;
    # A database's owner may create in its schema by this role.
    no-rights-on) sql "$name" "REVOKE CREATE ON SCHEMA public FROM pg_database_owner" ;;
    no-rights-off) sql "$name" "GRANT CREATE ON SCHEMA public TO pg_database_owner" ;;
    read-only-on) sql "$name" "ALTER ROLE $name SET default_transaction_read_only = on" ;;
    read-only-off) sql "$name" "ALTER ROLE $name RESET default_transaction_read_only" ;;
  esac
done
