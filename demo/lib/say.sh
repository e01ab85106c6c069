# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Words to the person at the terminal: phases with their seconds, and errors in one sentence.
# Needs $LOG_DIR. File descriptors 3 and 4 stay the terminal while a phase writes into its log.

exec 3>&1 4>&2

phase_names=()
phase_seconds=()
current_phase=""
current_log=""

say() { printf '%s\n' "$*" >&3; }

die() {
  printf '%s\n' "$*" >&4
  current_phase=""
  exit 1
}

# phase NAME COMMAND...: runs the command with its output in a log, prints the seconds it took.
# The command runs in this shell (it may set variables) and under `set -e`.
phase() {
  local started=$SECONDS
  current_phase=$1
  mkdir -p "$LOG_DIR"
  current_log="$LOG_DIR/$(tr -cs 'a-z0-9\n' '-' <<<"${1,,}").log"
  shift
  printf '==> %-58s' "$current_phase" >&3
  "$@" >"$current_log" 2>&1
  note_phase "$current_phase" $((SECONDS - started))
  say "$(printf '%5d s' $((SECONDS - started)))"
  current_phase=""
}

# live_phase NAME COMMAND...: the same, but its output is what the person came to see.
live_phase() {
  local started=$SECONDS
  current_phase=$1
  current_log=""
  shift
  say "==> $current_phase"
  "$@"
  note_phase "$current_phase" $((SECONDS - started))
  current_phase=""
}

note_phase() {
  phase_names+=("$1")
  phase_seconds+=("$2")
}

say_where_time_went() {
  local i total=0
  say "Where the time went:"
  for i in "${!phase_names[@]}"; do
    say "$(printf '  %-60s %5d s' "${phase_names[i]}" "${phase_seconds[i]}")"
    total=$((total + phase_seconds[i]))
  done
  say "$(printf '  %-60s %5d s' total "$total")"
}

# A phase that ends the script by an error has not said anything yet: show the end of its log.
say_failed_phase() {
  local code=$?
  [[ -n $current_phase && $code -ne 0 ]] || return 0
  if [[ -n $current_log ]]; then
    printf '\n' >&4
    tail -n 15 "$current_log" >&4
    printf '"%s" failed; its whole output is in %s.\n' "$current_phase" "$current_log" >&4
  else
    printf '"%s" failed (exit code %d); its output is above.\n' "$current_phase" "$code" >&4
  fi
}
trap say_failed_phase EXIT
