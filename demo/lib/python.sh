# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The virtual environment of the controller and of the tests. Needs say.sh, packages.sh and $ROOT.

VENV="$ROOT/.venv"

# Runs it, since a name in PATH may be a version manager's shim with nothing behind it.
python_is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Prints the first interpreter that a supported ansible-core runs on.
find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if python_is_recent "$name"; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}

ensure_python() {
  find_python >/dev/null || command -v python3 >/dev/null || apt_install python3
  find_python >/dev/null || die "The controller needs Python 3.11 or newer and this machine has" \
    "$(python3 -V 2>&1): use Debian 12 or 13 or Ubuntu 24.04 (an older system is fine as a target)."
  "$(find_python)" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
}

# make_venv DIRECTORY PYTHON REQUIREMENTS...: installs the pinned packages; does nothing when that was done.
# Two callers may share a directory, so each set of requirements has a stamp of its own.
make_venv() {
  local venv=$1 python=$2 set_name wanted stamp
  shift 2
  set_name=$(basename "$(dirname "$1")")
  stamp="$venv/.installed-$set_name"
  wanted=$({ echo "$venv"; "$python" -VV; cat "$@" "$ROOT/demo/constraints.txt"; } | sha256sum)
  if [[ $(cat "$stamp" 2>/dev/null) == "$wanted" ]]; then
    echo "$venv is current"
    return 0
  fi
  venv_fits "$venv" "$python" || "$python" -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    -c "$ROOT/demo/constraints.txt" "${@/#/-r}"
  echo "$wanted" >"$stamp"
}

# A virtual environment holds its own path and interpreter: after a move or an upgrade it is made anew.
venv_fits() {
  [[ -x $1/bin/python && $("$1/bin/python" -V) == "$("$2" -V)" ]] && head -n1 "$1/bin/pip" | grep -qF "$1/bin/python"
}

make_demo_venv() {
  ensure_python
  make_venv "$VENV" "$(find_python)" "$ROOT/demo/requirements.txt"
}
