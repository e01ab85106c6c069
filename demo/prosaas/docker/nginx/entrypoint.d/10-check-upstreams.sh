#!/usr/bin/env bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# nginx starts only when what it proxies to answers; the container restarts until then.
set -euo pipefail

API_UPSTREAM=prosaas-api:5000
CALLS_UPSTREAM=prosaas-calls:5050
MAX_RETRIES=30

# wait_for NAME UPSTREAM PATH WHAT_BREAKS
wait_for() {
  echo "[NGINX] Checking $1 upstream: $2"
  retry=1
  until wget -qO- --tries=1 --timeout=2 "http://$2$3" >/dev/null 2>&1; do
    if [ "$retry" -ge "$MAX_RETRIES" ]; then
      echo "[NGINX] ❌ ERROR: $1 upstream ($2) is NOT reachable after $MAX_RETRIES attempts"
      echo "[NGINX] This will cause 502 Bad Gateway errors on $4 endpoints"
      exit 1
    fi
    echo "[NGINX] $1 upstream not ready yet, retrying in 2s... ($retry/$MAX_RETRIES)"
    retry=$((retry + 1))
    sleep 2
  done
  echo "[NGINX] ✅ $1 upstream is reachable"
}

echo "[NGINX] Checking upstream services..."
wait_for API "$API_UPSTREAM" /api/health /api/
wait_for CALLS "$CALLS_UPSTREAM" /health "/ws/ and /webhook"
echo "[NGINX] ✅ All upstream services are healthy"
