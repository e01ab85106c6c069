# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbook runs on the stack said of each check: the proof that a check can be red and green, and the table of it."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import asdict, dataclass, field
from pathlib import Path

from demo_stack import ROOT

KEPT = ROOT / ".tests/results/preflight.json"
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
    """All that was seen, in order."""

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

    def keep(self) -> Path:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps([asdict(one) for one in self.seen], indent=1), encoding="utf-8")
        return KEPT


def shape(text: str) -> str:
    """Return what stays the same of a message from run to run: numbers, ids, dates and times go."""
    return re.sub(r"[0-9a-f]{7,}|[0-9]+([.:-][0-9]+)*", "#", text)
