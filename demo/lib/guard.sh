# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The demo can never harm a real ProSaaS: it stops where one may be. Everything of the demo carries one label.
# Needs say.sh, $ROOT, $DEMO and an engine.

DEMO_LABEL=ops.prosaas.demo=true

# without_label ALL LABELLED: the lines of the first command that the second one lacks.
without_label() { comm -23 <(sort -u <<<"$1") <(sort -u <<<"$2") | sed '/^$/d'; }

refuse_real_application() {
  local found port
  found=$(without_label \
    "$(docker ps -a --filter label=com.docker.compose.project=prosaasil --format '{{.Names}}')" \
    "$(docker ps -a --filter "label=$DEMO_LABEL" --format '{{.Names}}')")
  [[ -z $found ]] || die "This machine has a Compose project \"prosaasil\" that is not the demo's (container" \
    "$(head -n1 <<<"$found")): run the demo on another machine."
  found=$(without_label \
    "$(docker volume ls --filter name=^prosaasil_ --format '{{.Name}}')" \
    "$(docker volume ls --filter "label=$DEMO_LABEL" --format '{{.Name}}')")
  [[ -z $found ]] || die "This machine has a volume $(head -n1 <<<"$found") that is not the demo's: run the demo on" \
    "another machine."
  found=$(without_label \
    "$(docker network ls --filter name=^prosaas-net$ --format '{{.Name}}')" \
    "$(docker network ls --filter "label=$DEMO_LABEL" --format '{{.Name}}')")
  [[ -z $found ]] || die "This machine has a network prosaas-net that is not the demo's: run the demo on another machine."
  for port in 80 443; do
    if port_is_taken "$port" && [[ -z $(docker ps -q --filter "label=$DEMO_LABEL" --filter "publish=$port") ]]; then
      die "Something else listens on port $port, which the demo's nginx needs: stop it, or run the demo on another machine."
    fi
  done
}

# Read from the kernel, since a small system has neither ss nor lsof.
port_is_taken() {
  local hex
  hex=$(printf ':%04X' "$1")
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$hex" '$4 == "0A" && $2 ~ port "$" { found = 1 } END { exit !found }'
}

# Prints why the demo's objects on this engine are not this checkout's; nothing when they are or when there are none.
foreign_demo() {
  local directory
  if [[ -n $(docker volume ls -q --filter "label=$DEMO_LABEL") && ! -d $DEMO/secrets ]]; then
    echo "one whose state is gone"
    return 0
  fi
  while read -r directory; do
    if [[ -n $directory && $directory != "$ROOT"/* ]]; then
      echo "the one in $directory"
      return 0
    fi
  done < <(docker ps -a --filter "label=$DEMO_LABEL" --format '{{.Label "com.docker.compose.project.working_dir"}}' | sort -u)
}
