# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbook runs on the stack said of each check: the proof that a check can be red and green, and the table of it."""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import re
import typing as t
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml
from demo_stack import ROOT, Stack
from faults import Fault

RESULTS = ROOT / ".tests/results"
GREEN = "nothing"  # the fault of a run without one


@dataclass
class Seen:
    """One answer of a check: the status, under which fault, and the line that the operator read."""

    check: str
    status: str
    fault: str
    evidence: str
    remedy: str


@dataclass
class Collection:
    """All that was seen of one playbook's checks, in order."""

    playbook: str
    seen: list[Seen] = field(default_factory=list)

    def add(self, fault: str, checks: t.Iterable[t.Mapping[str, t.Any]]) -> None:
        for check in checks:
            evidence = check["evidence"].partition("\n")[0]
            self.seen.append(Seen(check["id"], check["status"], fault, evidence, check["remedy"]))

    def statuses(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for one in self.seen:
            found.setdefault(one.check, set()).add(one.status)
        return found

    def one_sided(self) -> list[str]:
        """Return the checks that were not seen both green and red."""
        return sorted(name for name, seen in self.statuses().items() if not {"pass", "fail"} <= seen)

    def unseen_boxes(self, phases: t.Container[str]) -> list[str]:
        """Return the boxes of these phases that no returned check proves."""
        checklist = maker("make_checklist")
        boxes = yaml.safe_load(checklist.DATA.read_text(encoding="utf-8"))["boxes"]
        proofs, returned = checklist.proofs(checklist.settings()), set(self.statuses())
        return [
            f"{box['id']}: {proofs.get(box['line'])}"
            for box in boxes
            if box["phase"] in phases and not any(fnmatch.filter(returned, name) for name in proofs.get(box["line"], ()))
        ]

    def keep(self) -> Path:
        path = RESULTS / f"{self.playbook}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(one) for one in self.seen], indent=1), encoding="utf-8")
        return path


def maker(name: str) -> t.Any:
    """Return a script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def see(stack: Stack, collection: Collection, subject: str, fault: Fault) -> None:
    """Make a fault, run the subject's checks, and assert that each turns as it must, and is printed with a remedy."""
    with fault.make():
        done = stack.play(collection.playbook, "--tags", f"{collection.playbook}_{subject}")
    record = stack.record()
    found = {check["id"]: check for check in record["checks"]}
    collection.add(fault.said, record["checks"])
    assert {name: found[name]["status"] if name in found else "not there" for name in fault.turns} == fault.turns
    said = printed(done.output)
    for name, status in fault.turns.items():
        if status in ("fail", "unknown", "warn"):
            assert found[name]["evidence"] and found[name]["remedy"], f"{name} says what to do"
            assert re.search(rf"^\s*{status} +(\S+, )*{re.escape(name)}[,:]", said, re.MULTILINE), f"{name} is printed"
    assert (done.code != 0) == bool({"fail", "unknown"} & set(fault.turns.values()))
    assert "Traceback" not in done.output


def printed(output: str) -> str:
    """Return what the task of the verdict printed."""
    return output.partition(": All of it together]")[2].partition("\nTASK ")[0]


def table(page: str, of_the_machine: str) -> list[str]:
    """Return the lines of a page's table without what differs from machine to machine."""
    lines = [shape(line) for line in page.splitlines() if line.startswith("|")]
    return [line.rpartition(" | ")[0] if re.match(of_the_machine, line) else line for line in lines]


def shape(text: str) -> str:
    """Return what stays the same of a message from run to run: numbers, ids, dates and times go."""
    return re.sub(r"[0-9a-f]{7,}|[0-9]+([.:-][0-9]+)*", "#", text)
