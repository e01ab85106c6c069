# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Packages of the system, and what this machine says about itself. Needs say.sh and $DEMO.

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "This needs root for \"$*\": run it as root, or install sudo."
  fi
}

# "debian 12", "ubuntu 24.04", …
distribution() { (. /etc/os-release && printf '%s %s' "$ID" "${VERSION_ID:-}"); }

# The Debian mirror that this machine itself uses; prints nothing where it names none.
debian_mirror() {
  {
    sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/*.sources
    sed -nE 's/^deb +(\[[^]]*\] *)?([^ ]+) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
  } 2>/dev/null | grep -m1 '/debian/*$' || true
}

package_is_installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

# apt_install PACKAGE...: installs what is missing and writes down what it was, so that demo/clean can name it.
apt_install() {
  local missing=() package
  command -v apt-get >/dev/null ||
    die "This machine has no apt-get: install what corresponds to $* yourself, then run this again."
  for package in "$@"; do
    package_is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
  # The package lists may be absent or too old for the mirror: fetch them only then, it costs seconds.
  as_root "${install[@]}" </dev/null || { as_root apt-get update && as_root "${install[@]}" </dev/null; }
  mkdir -p "$DEMO"
  printf '%s\n' "${missing[@]}" >>"$DEMO/packages-installed"
}
