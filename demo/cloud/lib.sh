# shellcheck shell=bash disable=SC2034
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the scripts of this folder share: places, names, and small helpers. To be sourced.

CLOUD_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$CLOUD_DIR/../.." && pwd)
DEMO="$ROOT/.demo"
STATE="$DEMO/cloud"
SECRETS="$DEMO/secrets"
CONTROL="$STATE/control"

BASE_IMAGE=prosaas-demo/base:bookworm
DEMO_LABEL=ops.prosaas.demo=true
ACCOUNT=5f1e0a7c9d2b4863a1c0e4d7b6f82913
PUBLIC_HOST=pub-8d1c6f0e2b7a4f93a5c4e1d09b36f728.r2.test
NAME_SERVERS=(dns dns2 resolver1 resolver2)

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# The first three numbers of the cloud network's subnet.
cloud_prefix() {
  docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' prosaas-cloud 2>/dev/null | sed 's/\.[0-9]*\/24$//'
}

compose() {
  CLOUD_PREFIX=${CLOUD_PREFIX:-$(cloud_prefix)} ROOT=$ROOT CLOUD_ACCOUNT=$ACCOUNT CLOUD_PUBLIC_HOST=$PUBLIC_HOST \
    CLOUD_POSTGRES_SOURCE=$(source_of postgres) CLOUD_STORE_SOURCE=$(source_of store) \
    CLOUD_SERVICES_SOURCE=$(source_of services) CLOUD_DNS_SOURCE=$(source_of dns) docker compose -f "$CLOUD_DIR/compose.yml" "$@"
}

# source_of FOLDER: the services run from mounted files, and a label with this sum makes Compose replace a service
# when its files change, or the certificates (which are new when .demo is).
source_of() {
  find "$CLOUD_DIR/$1" "$STATE/tls" -type f -not -name '*.pyc' -not -name '*.key' -print0 2>/dev/null |
    sort -z | xargs -0 cat | sha256sum | cut -c1-16
}

container() { printf 'prosaas-cloud-%s-1' "$1"; }
