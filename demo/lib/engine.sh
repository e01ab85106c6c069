# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The Docker engine and Compose v2. An engine that answers is used as it is and left running.
# Needs say.sh, packages.sh and $DEMO.

ENGINE_DIR="$DEMO/engine"
PLUGIN_DIR=/usr/local/lib/docker/cli-plugins
DOCKER_PLUGINS=(docker-compose docker-buildx)

engine_answers() { timeout 20 docker version -f '{{.Server.Version}}' >/dev/null 2>&1; }

compose_answers() { docker compose version --short 2>/dev/null | grep -Eq '^v?([2-9]|[1-9][0-9])\.'; }

ensure_engine() {
  if ! engine_answers; then
    refuse_forbidden_engine
    install_engine
    engine_answers || start_engine
  fi
  compose_answers || install_compose
  compose_answers || die "Docker Compose v2 could not be installed: \"docker compose version\" still does not answer."
  docker version -f 'Docker engine {{.Server.Version}}'
  docker compose version
}

# A running engine that this user may not talk to is somebody's: starting a second one beside it would be wrong.
refuse_forbidden_engine() {
  if command -v docker >/dev/null && docker version 2>&1 | grep -qi 'permission denied'; then
    die "This user may not use the Docker engine of this machine: run \"sudo usermod -aG docker $(id -un)\", log in" \
      "again, then run this again."
  fi
}

install_engine() {
  command -v dockerd >/dev/null || apt_install docker.io iptables
  # Debian 13 has the client in a package of its own.
  command -v docker >/dev/null || apt_install docker-cli
}

start_engine() {
  mkdir -p "$ENGINE_DIR"
  if [[ -d /run/systemd/system ]]; then
    as_root systemctl start docker
  else
    forget_dead_containerd
    local launch=(setsid dockerd --pidfile "$ENGINE_DIR/dockerd.pid")
    ((EUID == 0)) || launch=(sudo "${launch[@]}" --group "$(id -gn)")
    # It outlives this script: a session of its own, and none of our files, or a caller's pipe would never end.
    # (as_root would not do here: a function in the background is a shell that keeps them.)
    "${launch[@]}" >"$ENGINE_DIR/dockerd.log" 2>&1 </dev/null 3>&- 4>&- &
    disown
  fi
  local deadline=$((SECONDS + 90))
  until engine_answers; do
    ((SECONDS < deadline)) || die "The Docker engine did not start; its log is $ENGINE_DIR/dockerd.log."
    sleep 0.5
  done
}

# After a crash the engine would wait for the process that now has the number in these files.
forget_dead_containerd() {
  local file
  for file in "$ENGINE_DIR/dockerd.pid" /var/run/docker/containerd/containerd.pid; do
    if [[ -e $file ]] && ! pid_is "$file" 'dockerd|containerd'; then as_root rm -f "$file"; fi
  done
}

# pid_is FILE NAMES: is the process of that number file alive, and one of those programs?
pid_is() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
  grep -Eqx "$2" "/proc/$pid/comm" 2>/dev/null
}

# Stops the engine only if it is one that start_engine has started.
stop_own_engine() {
  pid_is "$ENGINE_DIR/dockerd.pid" dockerd || return 0
  local pid deadline=$((SECONDS + 60))
  pid=$(<"$ENGINE_DIR/dockerd.pid")
  as_root kill "$pid"
  while [[ -d /proc/$pid ]]; do
    ((SECONDS < deadline)) || die "The Docker engine that the demo started (process $pid) does not stop."
    sleep 0.5
  done
  say "stopped the Docker engine that the demo had started"
}

install_compose() {
  local system
  system=$(distribution)
  if apt-cache show docker-compose-plugin >/dev/null 2>&1; then
    apt_install docker-compose-plugin docker-buildx-plugin
  elif [[ $system == ubuntu* ]]; then
    apt_install docker-compose-v2 docker-buildx
  elif [[ $system == "debian 12" ]]; then
    fetch_compose_of_debian_13
  else
    apt_install docker-compose docker-buildx
  fi
}

# Debian 12 has no Compose v2. The plug-ins of Debian 13 run on it; they are fetched without touching the
# machine's own package sources, and copied to the folder where every user's docker client looks.
fetch_compose_of_debian_13() {
  local private="$ENGINE_DIR/apt" mirror plugin
  mirror=$(debian_mirror)
  [[ -n $mirror ]] || die "No Debian mirror is named in /etc/apt, so Docker Compose v2 cannot be fetched: install it" \
    "yourself, then run this again."
  mkdir -p "$private/lists/partial" "$private/cache/archives/partial"
  : >"$private/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$private/sources.list"
  local options=(
    -o "Dir::Etc::SourceList=$private/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$private/lists" -o "Dir::State::status=$private/status" -o "Dir::Cache=$private/cache"
    -o APT::Sandbox::User=root
  )
  as_root apt-get "${options[@]}" update
  (cd "$private" && as_root apt-get "${options[@]}" download "${DOCKER_PLUGINS[@]}")
  as_root mkdir -p "$PLUGIN_DIR"
  for plugin in "${DOCKER_PLUGINS[@]}"; do
    dpkg -x "$private/$plugin"_*.deb "$private/root"
    as_root install -m 755 "$private/root/usr/libexec/docker/cli-plugins/$plugin" "$PLUGIN_DIR/$plugin"
    echo "$PLUGIN_DIR/$plugin" >>"$ENGINE_DIR/plugins-installed"
  done
  as_root rm -rf "$private"
}

remove_own_plugins() {
  [[ -f $ENGINE_DIR/plugins-installed ]] || return 0
  local plugin
  while read -r plugin; do
    as_root rm -f "$plugin"
    say "removed $plugin"
  done < <(sort -u "$ENGINE_DIR/plugins-installed")
}
