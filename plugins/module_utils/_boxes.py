# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which boxes of the checklist are answered, by what, and how.

A run answers the boxes that its own checks and steps name in their ``item``. What it did not look at is answered by
earlier runs of the same host, as long as their evidence is fresh; the record carries them on, each with its run.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN
from ._errors import OpsError
from ._journal import time_of

Row = Mapping[str, t.Any]

OPEN, ATTESTED, WAIVED = "open", "attested", "waived"
# Worst first: a box is as good as the worst of its answers.
BOX_STATUSES = (FAIL, UNKNOWN, OPEN, WARN, WAIVED, ATTESTED, PASS, SKIP)
# What a step says of its own work, as an answer to the boxes that it names.
STEP_STATUSES = {"ok": PASS, "changed": PASS, "failed": FAIL}


@dataclass(frozen=True)
class Asked:
    """What a run is told of the checklist.

    Attributes:
        checklist: boxes with ``id``, ``line``, ``section``, ``phase`` and ``meaning``.
        attestations: what people say; those with ``box`` answer a box where nothing else does, or where a check asks.
        days: for how long an answer of an earlier run counts.
    """

    checklist: Sequence[Row] = ()
    attestations: Sequence[Row] = ()
    days: float = 30.0

    def __post_init__(self) -> None:
        unknown = {one["box"] for one in self.said()} - {box["id"] for box in self.checklist}
        if unknown:
            raise OpsError(
                f"What is said of {', '.join(sorted(unknown))} answers no box of the checklist.",
                "Take the id from docs/checklist.md, or write check: for the id of a check.",
            )

    def said(self) -> list[Row]:
        return [one for one in self.attestations if one.get("box")]


def of_run(before: Row | None, entries: Sequence[Row], run: str, now: str, asked: Asked) -> dict[str, t.Any]:
    """Return what the record of a run says of the checklist: ``earlier`` and ``boxes``.

    Args:
        before: the newest record of this host, or None.
        entries: the journal of this run.
        now: the time, as records write it.
    """
    new = own(entries, run)
    earlier = carried(before, new, now, asked.days)
    return {"earlier": earlier, "boxes": answered(asked, [*earlier, *new], time_of(now).date())}


def units(record: Row) -> list[dict[str, t.Any]]:
    """Return all that a record answers, oldest first: what earlier runs left, then what its own steps looked at."""
    rows = {row["id"]: row for row in record.get("checks", [])}
    steps = [{**step, "checks": [rows[name] for name in step.get("checks", [])]} for step in record.get("steps", [])]
    return [*record.get("earlier", []), *own(steps, record["run"])]


def own(entries: Sequence[Row], run: str) -> list[dict[str, t.Any]]:
    """Return what the journal of a run answers: for each entry its step, its time and its rows.

    A step that names boxes answers them itself, as a row with the step's name for an id.
    """
    found = []
    for entry in entries:
        rows = [dict(check) for check in entry.get("checks") or []]
        if entry.get("item") and entry.get("status") in STEP_STATUSES:
            rows.append(_of_step(entry))
        if rows:
            found.append({"run": run, "at": entry["at"], "step": entry["step"], "checks": rows})
    return found


def _of_step(entry: Row) -> dict[str, t.Any]:
    return {
        "id": entry["step"],
        "title": f"The step {entry['step']} did its work",
        "status": STEP_STATUSES[entry["status"]],
        "evidence": entry.get("msg") or "it ended without an error",
        "remedy": "",
        "question": "",
        "item": entry["item"],
        "seconds": entry.get("seconds", 0.0),
        "required": True,
        "waiver": None,
        "attestation": None,
    }


def carried(before: Row | None, new: Sequence[Row], now: str, days: float) -> list[dict[str, t.Any]]:
    """Return what earlier runs answered and this one did not ask again, not older than so many days.

    Args:
        before: the newest record of this host, or None.
        new: what this run answers, as :func:`own` returns it.
        now: the time, as records write it.
    """
    oldest = time_of(now) - datetime.timedelta(days=days)
    old = units(before) if before else []
    return [unit for unit in old if time_of(unit["at"]) >= oldest and not any(asks_again(one, unit) for one in new)]


def asks_again(new: Row, old: Row) -> bool:
    """Whether a step asks what it asked before: more than half of the ids are the same.

    Services and variables come and go, and one module answers for several phases, with a few ids in common.
    """
    if new["step"] != old["step"]:
        return False
    ids, others = {row["id"] for row in new["checks"]}, {row["id"] for row in old["checks"]}
    return 2 * len(ids & others) > min(len(ids), len(others))


def answered(asked: Asked, found: Sequence[Row], today: datetime.date) -> list[dict[str, t.Any]]:
    """Return each box with its status and the ids that answer it.

    Args:
        found: what earlier runs and this one answer, oldest first: the last answer of a check counts.
    """
    latest: dict[str, tuple[Row, Row]] = {row["id"]: (row, unit) for unit in found for row in unit["checks"]}
    by_line: dict[int, list[tuple[Row, Row]]] = {}
    for row, unit in latest.values():
        for line in row.get("item", ()):
            by_line.setdefault(line, []).append((row, unit))
    said = {one["box"]: one for one in asked.said() if _holds(one, today)}
    return [_box(box, by_line.get(box["line"], []), said.get(box["id"]), today) for box in asked.checklist]


def _box(box: Row, answers: Sequence[tuple[Row, Row]], said: Row | None, today: datetime.date) -> dict[str, t.Any]:
    asks = [said is not None and row["status"] == UNKNOWN and bool(row.get("question")) for row, unused in answers]
    statuses = [ATTESTED if asked else status_of(row, today) for asked, (row, unused) in zip(asks, answers)]
    counts_for = said is not None and (any(asks) or not answers)
    status = min(statuses or [ATTESTED if counts_for else OPEN], key=BOX_STATUSES.index)
    return {
        **{name: box[name] for name in ("id", "line", "section", "phase", "meaning")},
        "status": status,
        "answers": [row["id"] for row, unused in answers],
        "run": min((unit["run"] for unused, unit in answers), default=""),
        "attestation": dict(said) if said and counts_for else None,
    }


def status_of(row: Row, today: datetime.date) -> str:
    """Return what a row says of a box: a failure that stops nothing is a warning, what a person said holds until its day."""
    status: str = row["status"]
    if status in (PASS, SKIP):
        return status
    for name, excused in (("waiver", WAIVED), ("attestation", ATTESTED)):
        if row.get(name) and _holds(row[name], today):
            return excused
    return status if row.get("required", True) or status == UNKNOWN else WARN


def counts(boxes: Sequence[Row]) -> dict[str, int]:
    """Return how many boxes there are of each status."""
    return {status: sum(box["status"] == status for box in boxes) for status in BOX_STATUSES}


def _holds(said: Row, today: datetime.date) -> bool:
    """Whether a person's word has a name and a day, and that day has not passed."""
    try:
        return bool(str(said["by"]).strip()) and today <= datetime.date.fromisoformat(str(said["until"]))
    except (KeyError, ValueError):
        return False
