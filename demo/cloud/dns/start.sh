#!/usr/bin/env bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The zone prosaas.test, served with authority. The application lives at the host's address on the cloud's network.
set -euo pipefail

application=$CLOUD_PREFIX.1
[[ -e /cloud/control/dns-wrong-address ]] && application=192.0.2.10
interfaces=$(printf '%s\n' /sys/class/net/eth* | sed 's|.*/||' | paste -sd,)

# CAA in wire form: no flags, "issue", the only authority that may issue for the zone.
caa=00$(printf '%02x' 5)$(printf 'issueca.prosaas.test' | od -An -tx1 | tr -d ' \n')

exec dnsmasq --keep-in-foreground --log-facility=- --user=root --no-resolv --no-hosts --port=53 \
  --auth-server="ns.prosaas.test,$interfaces" --auth-zone=prosaas.test --auth-ttl=300 \
  --auth-soa=2026010101,hostmaster.prosaas.test,1200,120,604800 \
  --host-record="prosaas.test,$application" \
  --host-record="www.prosaas.test,$application" \
  --host-record="n8n.prosaas.test,$application" \
  --host-record="ns.prosaas.test,$CLOUD_PREFIX.53" \
  --host-record="db.prosaas.test,pooler.prosaas.test,$CLOUD_PREFIX.10" \
  --host-record="s3.prosaas.test,$CLOUD_PREFIX.11" \
  --dns-rr="prosaas.test,257,$caa"
