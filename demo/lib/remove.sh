# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Takes the demo's objects off an engine: what carries its label, and nothing else. Needs say.sh, guard.sh, hosts.sh.

# remove_each WHAT IDS COMMAND...: one command for all ids; says how many there were.
remove_each() {
  local what=$1 ids
  mapfile -t ids < <(sort -u <<<"$2" | sed '/^$/d')
  shift 2
  ((${#ids[@]})) || return 0
  "$@" "${ids[@]}" >/dev/null
  say "removed ${#ids[@]} $what"
}

# An engine whose containers were removed by force may still count them.
remove_networks() {
  docker network rm "$@" ||
    die "A network is still in use. By a container of yours: remove that. By none: restart the engine. Then: demo/clean"
}

remove_demo_objects() {
  local label="label=$DEMO_LABEL"
  remove_each containers "$(docker ps -aq --filter "$label")" docker rm --force --volumes
  remove_each volumes "$(docker volume ls -q --filter "$label")" docker volume rm
  remove_each networks "$(docker network ls -q --filter "$label")" remove_networks
  remove_demo_images
  remove_hosts
}

# Pruning by label finds the order itself: these images stand on each other.
remove_demo_images() {
  local count
  count=$(docker image ls -q --filter "label=$DEMO_LABEL" | sort -u | wc -l)
  ((count)) || return 0
  docker image prune --all --force --filter "label=$DEMO_LABEL" >/dev/null
  say "removed $count images"
}
