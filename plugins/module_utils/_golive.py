# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May it go live? What the records say, no older than is agreed, and who has said yes.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import fnmatch
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import _boxes
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome
from ._errors import OpsError
from ._journal import time_of

Row = Mapping[str, t.Any]

SETTLED = (PASS, SKIP, _boxes.ATTESTED)
LOOK = (WARN, _boxes.WAIVED)
NAMED = 6  # boxes that evidence names
# The playbook that answers the boxes of a phase.
PLAYBOOKS = {
    "preflight": "preflight.yml",
    "deploy": "deploy.yml",
    "verify": "verify.yml",
    "first_call": "verify.yml",
    "backup": "backup.yml",
    "rollback": "rollback.yml -e reason=rehearsal, then deploy.yml",
}


@dataclass(frozen=True)
class Need:
    """What one box of the final checklist rests on.

    Attributes:
        box: its id.
        boxes: patterns of the boxes that must be settled.
        hours: for how long their evidence counts.
    """

    box: str
    boxes: Sequence[str]
    hours: float


@dataclass(frozen=True)
class Approval:
    """What one role says yes to.

    Attributes:
        box: the box that it answers.
        by: the name of a person; empty when nobody has said yes.
    """

    role: str
    box: str
    title: str
    by: str
    reason: str = ""


def approvals(roles: Mapping[str, Row], given: Mapping[str, t.Any]) -> list[Approval]:
    """Return the approval of each role, said by name: ``role: name``, or ``role: {by, reason}``."""
    unknown = set(given) - set(roles)
    if unknown:
        raise OpsError(
            f"There is no role {', '.join(sorted(unknown))} to approve as.", f"The roles are {', '.join(roles)}."
        )
    return [_approval(role, asked, given.get(role) or "") for role, asked in roles.items()]


def _approval(role: str, asked: Row, said: t.Any) -> Approval:
    if isinstance(said, Mapping):
        return Approval(role, asked["box"], asked["title"], str(said.get("by") or "").strip(), str(said.get("reason") or ""))
    return Approval(role, asked["box"], asked["title"], str(said).strip())


def checks(
    record: Row | None, asked: _boxes.Asked, needs: Sequence[Need], said: Sequence[Approval], now: str
) -> list[Check]:
    """Judge readiness by the newest record of the host, which carries what earlier ones answered, and the approvals.

    Args:
        now: the time, as records write it.
    """
    boxes = {box["id"]: box for box in asked.checklist}
    missing = ({need.box for need in needs} | {one.box for one in said}) - set(boxes)
    if missing:
        raise OpsError(f"The checklist has no box {', '.join(sorted(missing))}.", "Take the ids from docs/checklist.md.")
    found = _boxes.units(record) if record else []
    ready = [_check(boxes[need.box], _ready(need, found, asked, now)) for need in needs]
    return ready + [_check({**boxes[one.box], "meaning": one.title}, _approved(one)) for one in said]


def _check(box: Row, outcome: Outcome) -> Check:
    return Check(box["id"], box["meaning"].rstrip("."), *outcome, item=[box["line"]])


def _ready(need: Need, found: Sequence[Row], asked: _boxes.Asked, now: str) -> Outcome:
    moment = time_of(now)
    oldest = moment - datetime.timedelta(hours=need.hours)
    fresh = [unit for unit in found if time_of(unit["at"]) >= oldest]
    answered = _boxes.answered(asked, fresh, moment.date())
    itself = next(box for box in answered if box["id"] == need.box)
    if itself["attestation"]:
        word = itself["attestation"]
        return Outcome(PASS, f"{word['by']} stands for it until {word['until']}: {word['reason']}")
    of_it = [box for box in answered if any(fnmatch.fnmatchcase(box["id"], pattern) for pattern in need.boxes)]
    if not of_it:
        raise OpsError(f"No box fits what {need.box} needs: {', '.join(need.boxes)}.", "Correct golive_needs.")
    lacking = [box for box in of_it if box["status"] not in (*SETTLED, *LOOK)]
    if lacking:
        status = FAIL if any(box["status"] == FAIL for box in lacking) else UNKNOWN
        told = f"{len(lacking)} of {len(of_it)} boxes are not settled by anything of the last {need.hours:g} h: {_told(lacking)}"
        return Outcome(status, told, _remedy(lacking))
    ages = [moment - time_of(unit["at"]) for unit in fresh if _answers(unit, of_it)]
    told = f"{len(of_it)} boxes are settled" + (f", the oldest evidence is {_hours(max(ages))} old" if ages else "")
    looked = [box for box in of_it if box["status"] in LOOK]
    if looked:
        return Outcome(WARN, f"{told}; to look at: {_told(looked)}", "Look at them on the page of the newest record.")
    return Outcome(PASS, told)


def _answers(unit: Row, boxes: Sequence[Row]) -> bool:
    ids = {name for box in boxes for name in box["answers"]}
    return any(row["id"] in ids for row in unit["checks"])


def _told(boxes: Sequence[Row]) -> str:
    told = ", ".join(f"{box['id']} ({box['status']})" for box in boxes[:NAMED])
    return told + (f" and {len(boxes) - NAMED} more" if len(boxes) > NAMED else "")


def _remedy(boxes: Sequence[Row]) -> str:
    runs = dict.fromkeys(PLAYBOOKS[box["phase"]] for box in boxes if box["phase"] in PLAYBOOKS)
    commands = "; ".join(f"ansible-playbook {run}" for run in runs)
    person = "look at it and attest the box by name (prosaas_attestations: {box, by, reason, until})"
    return f"{commands}; or {person}" if commands else person[0].upper() + person[1:]


def _approved(one: Approval) -> Outcome:
    if not one.by:
        return Outcome(FAIL, "nobody has said yes", f"-e '{{\"approvals\": {{\"{one.role}\": \"NAME\"}}}}', or answer the question")
    return Outcome(PASS, f"{one.by} says yes" + (f": {one.reason}" if one.reason else ""))


def _hours(age: datetime.timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60} min"
