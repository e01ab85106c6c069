# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The demo's names on this machine: lines of /etc/hosts with a mark of their own. Needs packages.sh and $ROOT.

HOSTS_FILE=/etc/hosts
HOSTS_MARK='# prosaas-demo'

# put_hosts LINES: makes these the only lines with the mark. Written in place, as a container's file is a mount.
put_hosts() {
  local now new line
  now=$(<"$HOSTS_FILE")
  new=$(sed "/$HOSTS_MARK\$/d" <<<"$now")
  while read -r line; do
    [[ -z $line ]] || new+=$'\n'"$line $HOSTS_MARK"
  done <<<"$1"
  [[ $new == "$now" ]] || as_root tee "$HOSTS_FILE" <<<"$new" >/dev/null
}

write_hosts() { put_hosts "$("$ROOT/demo/cloud/names")"; }

remove_hosts() { put_hosts ""; }
