# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times verify of many inventory hosts from one controller: the demo under many names, each with a state of its own.

All of them share this machine: what is measured is the controller's work and the modules' together, so a fleet of
machines of their own is faster. No test call and no signed webhook, since there is one application for all.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / ".demo"
MADE = ROOT / ".tests/benchmarks/verify-fleet"
SIZES = (1, 5, 10, 20)
FORKS = 20
OFF = ("-e", '{"verify_call_enabled": false, "verify_webhook_signed": false}')


def inventory(hosts: int) -> Path:
    """Write an inventory of so many names, and give each a copy of what the demo knows of its releases."""
    shutil.rmtree(MADE, ignore_errors=True)
    (MADE / "group_vars").mkdir(parents=True)
    shared = (ROOT / "inventories/demo/group_vars/prosaas.yml").read_text(encoding="utf-8")
    (MADE / "group_vars/prosaas.yml").write_text(
        re.sub("^demo_home: .*$", f"demo_home: {DEMO}", shared, flags=re.MULTILINE), encoding="utf-8"
    )
    named = {}
    for number in range(hosts):
        name = f"demo{number + 1:02}"
        state = MADE / name
        state.mkdir()
        for one in ("current.json", "fingerprint.key", "releases"):
            source = DEMO / "state" / one
            (shutil.copytree if source.is_dir() else shutil.copy)(source, state / one)
        named[name] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "/usr/bin/python3",
            "prosaas_state_dir": str(state),
            "prosaas_runtime_dir": str(DEMO / "state/runtime"),
            "prosaas_records_dir": str(MADE / "records"),
        }
    (MADE / "hosts.yml").write_text(yaml.safe_dump({"prosaas": {"hosts": named}}), encoding="utf-8")
    return MADE


def verify(hosts: int) -> tuple[float, float]:
    """Return the seconds of one run by the wall, and of processors."""
    argv = [str(ROOT / ".venv/bin/ansible-playbook"), "playbooks/verify.yml", "-i", str(inventory(hosts))]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(
        [*argv, "--forks", str(FORKS), *OFF], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{hosts} hosts: it failed\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return seconds, sum(after[:2]) - sum(before[:2])


def main(sizes: Sequence[int]) -> None:
    verify(1)  # which is not counted
    print(f"verify of the demo under many names, {FORKS} forks, {os.cpu_count()} cores for controller, modules and application")
    print(f"{'hosts':>5}{'seconds':>10}{'per host':>10}{'each more':>11}{'of processors':>15}")
    before: tuple[int, float] | None = None
    for hosts in sizes:
        seconds, busy = verify(hosts)
        more = f"{(seconds - before[1]) / (hosts - before[0]):.2f}" if before else "-"
        print(f"{hosts:>5}{seconds:>10.1f}{seconds / hosts:>10.2f}{more:>11}{busy:>15.1f}", flush=True)
        before = hosts, seconds


if __name__ == "__main__":
    try:
        main([int(one) for one in sys.argv[1:]] or SIZES)
    finally:
        shutil.rmtree(MADE, ignore_errors=True)
