# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times verify, the checklist's commands and one stock task per box, in turn; prints how, the ratios, what none can do."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
DEMO = ROOT / ".demo"
PROJECT = DEMO / "prosaasil"
CA = DEMO / "ca/ca.crt"
DOMAIN = "prosaas.test"
MADE = ROOT / ".tests/benchmarks/verify-stock.yml"
PLAYBOOK = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "inventories/demo"]
PHASES = ("verify", "first_call")


class Run(t.NamedTuple):
    """One run: seconds by the wall, and the tasks or commands that ran."""

    seconds: float
    steps: int


# The default callback counts every task in its recap.
os.environ["ANSIBLE_STDOUT_CALLBACK"] = "default"


def play(path: str, *options: str) -> Run:
    argv = [*PLAYBOOK, path, *options]
    started = time.monotonic()
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    recap = dict(re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("PLAY RECAP")[2]))
    if done.returncode:
        sys.exit(f"{path} failed, so there is nothing to compare:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return Run(seconds, int(recap["ok"]))


def commands() -> Run:
    started = time.monotonic()
    argv = ["bash", str(HERE / "checklist"), DOMAIN, str(CA)]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode or not done.stdout:
        sys.exit(f"the checklist's commands failed: {done.stderr[-1000:]!r}")
    return Run(time.monotonic() - started, len(looks()))


def looks() -> list[tuple[set[int], set[int]]]:
    """Return the boxes that each command of the checklist is for, and those of them that its output does not tell."""
    lines = re.findall(r"^look (\S+) (\S+) ", (HERE / "checklist").read_text(encoding="utf-8"), re.MULTILINE)
    return [(_numbers(boxes), _numbers(untold)) for boxes, untold in lines]


def _numbers(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"\d+", text)}


def boxes() -> dict[int, str]:
    """Return the boxes of the checklist that verify is for, by line."""
    checklist = yaml.safe_load((ROOT / "roles/prosaas/files/checklist.yml").read_text(encoding="utf-8"))
    return {box["line"]: box["id"] for box in checklist["boxes"] if box["phase"] in PHASES}


def proven() -> tuple[set[int], set[int], int]:
    """Return the boxes that the newest record proves, those that it asks a person for, and the number of its checks."""
    newest = max((DEMO / "records/demo").glob("*-verify-*.json"), key=lambda path: path.stat().st_mtime_ns)
    checks = json.loads(newest.read_text())["checks"]
    told = {line for check in checks if check["status"] in ("pass", "warn") for line in check["item"]}
    asked = {line for check in checks if check["question"] for line in check["item"]}
    return told, asked - told, len(checks)


def make_stock() -> tuple[str, set[int]]:
    """Write the stock playbook; return its path and the boxes that it has a task for."""
    tasks: list[dict[str, t.Any]] = yaml.safe_load((HERE / "stock.yml").read_text(encoding="utf-8"))
    env = dict(line.split("=", 1) for line in (PROJECT / ".env").read_text().splitlines() if re.match("[A-Z_0-9]+=", line))
    facts = {
        "project": str(PROJECT),
        "compose": "docker compose -f docker-compose.yml -f docker-compose.prod.yml",
        "domain": DOMAIN,
        "ca": str(CA),
        "limit": env["MAX_ACTIVE_CALLS"],
        "database": "{{ lookup('ansible.builtin.ini', 'DATABASE_URL', type='properties', file=project ~ '/.env') }}",
        "ansible_python_interpreter": str(ROOT / ".venv/bin/python"),
    }
    play = {"hosts": "prosaas", "gather_facts": False, "vars": facts, "tasks": tasks}
    MADE.parent.mkdir(parents=True, exist_ok=True)
    MADE.write_text(yaml.safe_dump([play], sort_keys=False, width=1000), encoding="utf-8")
    return str(MADE), {int(task["name"]) for task in tasks if task["name"].isdigit()}


def named(lines: set[int]) -> str:
    known = boxes()
    return ", ".join(f"{line} {known[line]}" for line in sorted(lines & known.keys())) or "none"


def row(name: str, runs: Sequence[Run], told: int | str) -> str:
    seconds = sorted(run.seconds for run in runs)
    return (
        f"{name:<42}{told:>7}{runs[-1].steps:>7}{seconds[0]:>10.1f}{statistics.median(seconds):>9.1f}{seconds[-1]:>9.1f}"
    )


def main(rounds: int) -> None:
    stock_path, stock_boxes = make_stock()
    ways: dict[str, Callable[[], Run]] = {
        "prosaas.ops.verify": lambda: play("playbooks/verify.yml"),
        "prosaas.ops.verify, without the test call": lambda: play("playbooks/verify.yml", "-e", '{"verify_call_enabled": false}'),
        "the checklist's commands, unread": commands,
        "stock modules, one task per box": lambda: play(stock_path),
    }
    for way in ways.values():
        way()  # the first run of each is not counted
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    proofs = proven()
    for _round in range(rounds):
        for name, way in ways.items():
            runs[name].append(way())
            proofs = proven() if name == "prosaas.ops.verify" else proofs
    told, asked, checks = proofs
    known = boxes().keys()
    meant = set().union(*(one for one, _untold in looks()))
    untold = set().union(*(one for _meant, one in looks()))
    print(f"verify on the demo: {rounds} rounds of every way in turn after one that is not counted, wall clock of the whole")
    print(f"command, facts off, pipelining on, {os.cpu_count()} cores; the part POST-DEPLOYMENT and FIRST CALL has {len(known)} boxes.")
    print("The checklist's commands only print: nobody's time to read what they print is in it.")
    print(f"{'':<42}{'boxes':>7}{'steps':>7}{'s: min':>10}{'median':>9}{'max':>9}")
    counts = [len(told & known), "", len((meant - untold) & known), len(stock_boxes & known)]
    for (name, seen), count in zip(runs.items(), counts):
        print(row(name, seen, count))
    ours, without, *others = runs
    for name in others:
        for mine in (ours, without):
            ratios = [slow.seconds / fast.seconds for fast, slow in zip(runs[mine], runs[name])]
            each = ", ".join(f"{one:.2f}" for one in ratios)
            print(f"ratio {name} / {mine}: median {statistics.median(ratios):.2f} ({each})")
    print(f"checks of prosaas.ops.verify: {checks}; a person is asked for: {named(asked)}")
    print(f"not told by prosaas.ops.verify: {named(set(known) - told - asked)}")
    print(f"the checklist has no command for: {named(set(known) - meant)}")
    print(f"its commands do not tell, whoever reads them: {named(untold)}")
    print(f"no stock task for: {named(set(known) - stock_boxes)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
