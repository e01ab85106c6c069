#!/usr/bin/env bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# start.sh primary|secondary|resolver1|resolver2: one of the four servers of the demo's DNS. The first two serve the zone
# prosaas.test with authority; the resolvers forward to them and keep what they hear for its time to live.
set -euo pipefail

on() { [[ -e /cloud/control/$1 ]]; }

# serve INTERFACES SERIAL ADDRESS [OPTION...]: puts the zone into $zone; the application lives at ADDRESS.
serve() {
  local ca=ca.prosaas.test name names=(prosaas.test www.prosaas.test)
  on dns-caa && ca=other-ca.test
  on dns-no-n8n || names+=(n8n.prosaas.test)
  # CAA in wire form: no flags, "issue", the only authority that may issue for the zone.
  local caa
  caa=00$(printf '%02x' 5)$(printf 'issue%s' "$ca" | od -An -tx1 | tr -d ' \n')
  zone=(--auth-server="ns.prosaas.test,$1" --auth-sec-servers=ns2.prosaas.test --auth-zone=prosaas.test --auth-ttl=300
    --auth-soa="$2,hostmaster.prosaas.test,1200,120,604800"
    --host-record="ns.prosaas.test,$CLOUD_PREFIX.53" --host-record="ns2.prosaas.test,$CLOUD_PREFIX.54"
    --host-record="db.prosaas.test,pooler.prosaas.test,$CLOUD_PREFIX.10" --host-record="s3.prosaas.test,$CLOUD_PREFIX.11"
    --dns-rr="prosaas.test,257,$caa" "${@:4}")
  local addresses=$3
  on dns-wrong-ipv6 && addresses+=,2001:db8::10
  for name in "${names[@]}"; do zone+=(--host-record="$name,$addresses"); done
}

# run PORT OPTION...
run() { exec dnsmasq --keep-in-foreground --log-facility=- --user=root --no-resolv --no-hosts --port="$1" "${@:2}"; }

here=$CLOUD_PREFIX.1 before=192.0.2.20 serial=2026010102 serial_before=2026010101
on dns-wrong-address && here=192.0.2.10
interfaces=$(printf '%s\n' /sys/class/net/eth* | sed 's|.*/||' | paste -sd,)
servers=(--server="/prosaas.test/$CLOUD_PREFIX.53" --server="/prosaas.test/$CLOUD_PREFIX.54")

case $1 in
  primary) serve "$interfaces" "$serial" "$here" ;;
  secondary)
    serve "$interfaces" "$serial" "$here"
    on dns-stale-secondary && serve "$interfaces" "$serial_before" "$before"
    # The server is still named for the zone, but no longer serves it.
    on dns-lame-secondary && zone=("${zone[@]/--auth-zone=*/--auth-zone=retired.test}")
    ;;
  resolver2)
    if on dns-stale-resolver; then
      # It heard of the zone before the change: its answers have a time to live that runs down.
      serve lo "$serial_before" "$before" --bind-interfaces --listen-address=127.0.0.1 --pid-file=
      (run 5353 "${zone[@]}") &
      servers=(--server=/prosaas.test/127.0.0.1#5353)
    fi
    ;;&
  resolver*) zone=(--strict-order "${servers[@]}") ;;
  *) exit 64 ;;
esac
run 53 "${zone[@]}"
