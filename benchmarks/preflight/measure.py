# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times preflight and the same checks with stock modules, in turn, and prints how and the ratio."""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
DEMO = ROOT / ".demo"
MADE = ROOT / ".tests/benchmarks/stock.yml"
PLAYBOOK = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "inventories/demo"]


class Run(t.NamedTuple):
    """One run of a playbook: seconds by the wall, and tasks that ran."""

    seconds: float
    tasks: int


# The default callback counts every task in its recap.
os.environ["ANSIBLE_STDOUT_CALLBACK"] = "default"


def play(path: str) -> Run:
    started = time.monotonic()
    done = subprocess.run([*PLAYBOOK, path], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    recap = dict(re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("PLAY RECAP")[2]))
    if done.returncode:
        sys.exit(f"{path} failed, so there is nothing to compare:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return Run(seconds, int(recap["ok"]) + int(recap["changed"]))


def checks() -> list[str]:
    """Return the checks of the newest record: those of the run that was just timed."""
    newest = max((DEMO / "records/demo").glob("*-preflight-*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [check["id"] for check in json.loads(newest.read_text())["checks"]]


def stock_tasks() -> list[dict[str, t.Any]]:
    """Return the stock tasks: those of the environment file from the schema, the others as they are written down."""
    policy = yaml.safe_load((ROOT / "roles/preflight/defaults/main/env.yml").read_text(encoding="utf-8"))
    tasks: list[dict[str, t.Any]] = yaml.safe_load((HERE / "stock.yml").read_text(encoding="utf-8"))
    return [*tasks, *(variable(name, entry) for name, entry in policy["preflight_env_schema"].items())]


def variable(name: str, entry: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the task that a person would write for one variable."""
    value = f"(env['{name}'] | default(''))"
    kind = entry.get("type", "string")
    tests = {
        "exact": f"{value} == '{entry.get('value')}'",
        "int": f"{value} is regex('^[0-9]+$')",
        "port": f"{value} is regex('^[0-9]+$')",
        "secret": f"{value} | length >= 32",
        "fernet": f"{value} | length == 44",
        "url": f"{value} is regex('^https?://')",
        "postgres_dsn": f"{value} is regex('^postgres(ql)?://.+:.+@.+/.+sslmode=')",
        "phone": f"{value} is regex('^[+][0-9]+$')",
        "email": f"{value} is search('@')",
        "prefix": f"{value} is regex('^{entry.get('prefix')}')",
    }
    test = tests.get(kind, f"{value} | length > 0")
    optional = not entry.get("required")
    return {
        "name": f"env.{name.lower()}",
        "ansible.builtin.assert": {"that": [f"{value} | length == 0 or {test}" if optional else test], "quiet": True},
    }


def make_stock() -> int:
    """Write the stock playbook; return how many checks it does."""
    tasks = stock_tasks()
    play = {
        "hosts": "prosaas",
        "gather_facts": False,
        "vars": {
            "project": str(DEMO / "prosaasil"),
            "demo": str(DEMO),
            "ns": socket.gethostbyname("ns.prosaas.test"),
            "ns2": socket.gethostbyname("ns2.prosaas.test"),
            "ansible_python_interpreter": str(ROOT / ".venv/bin/python"),
        },
        "tasks": tasks,
    }
    MADE.parent.mkdir(parents=True, exist_ok=True)
    MADE.write_text(yaml.safe_dump([play], sort_keys=False, width=1000), encoding="utf-8")
    return sum("." in task["name"] for task in tasks)


def main(rounds: int) -> None:
    counterparts = make_stock()
    ours_path, stock_path = "playbooks/preflight.yml", str(MADE)
    play(ours_path), play(stock_path)  # the first run of each is not counted
    ours, stock = [], []
    for _round in range(rounds):
        ours.append(play(ours_path))
        stock.append(play(stock_path))
    done = checks()
    named = {task["name"] for task in stock_tasks()}
    print(f"preflight against stock modules on the demo: {rounds} rounds in turn after one that is not counted,")
    print(f"wall clock of the whole ansible-playbook, facts off, pipelining on, {os.cpu_count()} cores")
    print(f"{'':<22}{'checks':>8}{'tasks':>8}{'seconds: min':>14}{'median':>9}{'max':>9}")
    for name, runs, count in (("prosaas.ops.preflight", ours, len(done)), ("stock, one task each", stock, counterparts)):
        seconds = sorted(run.seconds for run in runs)
        row = f"{seconds[0]:>14.1f}{statistics.median(seconds):>9.1f}{seconds[-1]:>9.1f}"
        print(f"{name:<22}{count:>8}{runs[-1].tasks:>8}{row}")
    ratios = [slow.seconds / fast.seconds for fast, slow in zip(ours, stock)]
    print(f"ratio stock/ours, round by round: median {statistics.median(ratios):.1f} ({', '.join(f'{r:.1f}' for r in ratios)})")
    missing = [check for check in done if check not in named]
    print(f"our checks without a stock counterpart: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
