# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a record: one HTML file, made from the record's JSON alone.

Here is what the page says; roles/prosaas/templates/record.html.j2 is how it looks. The template escapes all that it shows:
log lines and names are data.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import itertools
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.prosaas.ops.plugins.module_utils import _boxes, _check
from ansible_collections.prosaas.ops.plugins.module_utils._journal import time_of

from . import _templates

Row = dict[str, t.Any]
APPROVAL = "golive.approval."  # the checks of those who say yes; their evidence is who, and why

# How an outcome reads, and its tone.
OUTCOMES = {
    "passed": ("Passed", "good"),
    "verified": ("Deployed and verified", "good"),
    "unchanged": ("Nothing to change", "good"),
    "rolled_back": ("Rolled back and verified", "good"),
    "backed_up": ("Backed up", "good"),
    "restored": ("Restored", "good"),
    "undone": ("Undone", "good"),
    "settled": ("Settled", "good"),
    "drilled": ("Restore drill passed", "good"),
    "approved": ("May go live", "good"),
    "taken_back": ("Taken back: the release before serves", "bad"),
    "failed": ("Failed", "bad"),
}
# How a status reads.
STATUSES = {
    _check.PASS: "pass",
    _check.FAIL: "fail",
    _check.WARN: "look",
    _check.UNKNOWN: "unknown",
    _check.SKIP: "not here",
    _boxes.OPEN: "open",
    _boxes.ATTESTED: "attested",
    _boxes.WAIVED: "waived",
}


def render(record: Row) -> str:
    """Return the page of a record, as text."""
    return _templates.fill("record.html.j2", view(record))


def view(record: Row) -> dict[str, t.Any]:
    """Return what the page says of a record; a short one, of a host that could not be reached, has less."""
    checks: Sequence[Row] = record.get("checks", [])
    boxes: Sequence[Row] = record.get("boxes", [])
    label, tone = OUTCOMES.get(record["outcome"], (str(record["outcome"]) or "Unknown", "bad"))
    return {
        "record": {"boxes": [], "checks": [], "previous": None, **record},
        "label": label,
        "tone": tone,
        "title": f"{record['project']} on {record['host']}: {record['playbook']}, {label.lower()}",
        "statuses": STATUSES,
        "stopping": [*record.get("overtaken", []), *_check.standing(checks, _check.FAIL), *_check.standing(checks, _check.UNKNOWN)],
        "remarks": _check.worst_first(_check.remarks(checks), lambda row: row["status"]),
        "check_counts": _told({status: sum(row["status"] == status for row in checks) for status in _check.STATUSES}),
        "box_counts": _told(_boxes.counts(boxes)),
        "chapters": chapters(record),
        "beyond": [row for row in checks if not row["item"]],
        "timeline": timeline(record),
        "switched": [row for step in record.get("steps", []) for row in step.get("services", [])],
        "gates": [(name, step[name]) for step in record.get("steps", []) for name in ("calls", "campaigns") if name in step],
        "watched": [row for row in checks if row["id"].startswith("watch.")],
        "said": said(record),
        "serving": record.get("release_after"),
        "releases": [(name, record[f"release_{name}"]) for name in ("before", "after") if f"release_{name}" in record],
    }


def _told(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(status, number) for status, number in counts.items() if number]


def chapters(record: Row) -> list[tuple[str, list[tuple[str, list[dict[str, t.Any]]]]]]:
    """Return the boxes in the checklist's own order, by chapter and section, each with the rows that answer it."""
    rows = {
        row["id"]: {**row, "run": unit["run"] if unit["run"] != record["run"] else ""}
        for unit in _boxes.units(record)
        for row in unit["checks"]
    }
    boxes = [{**box, "rows": [rows[name] for name in box["answers"]]} for box in record.get("boxes", [])]
    return [
        (chapter, [(section, list(found)) for section, found in itertools.groupby(members, lambda box: _headings(box)[1])])
        for chapter, members in itertools.groupby(boxes, lambda box: _headings(box)[0])
    ]


def _headings(box: Row) -> tuple[str, str]:
    chapter, unused, section = str(box["section"]).partition(" / ")
    return chapter, section.replace(" / ", ", ")


def timeline(record: Row) -> list[dict[str, t.Any]]:
    """Return the steps, each with where it began and how long it took, in percent of the run."""
    steps = record.get("steps", [])
    if not steps:
        return []
    began = time_of(record["started"])
    whole = max(float(record["seconds"]), 1.0)
    return [
        {
            **step,
            "left": round(100 * min(max((time_of(step["at"]) - began).total_seconds() - _seconds(step), 0) / whole, 1), 2),
            "width": round(100 * min(_seconds(step) / whole, 1), 2),
        }
        for step in steps
    ]


def said(record: Row) -> list[dict[str, t.Any]]:
    """Return what people have said: of boxes, and of checks that this run asked."""
    boxes = [{"of": box["id"], "how": "attested", **box["attestation"]} for box in record.get("boxes", []) if box["attestation"]]
    approved = [
        {"of": row["id"], "how": "approved", "by": row["evidence"], "until": "", "reason": ""}
        for row in record.get("checks", [])
        if row["id"].startswith(APPROVAL) and row["status"] == _check.PASS
    ]
    return approved + boxes + [
        {"of": row["id"], "how": how, **row[name]}
        for row in record.get("checks", [])
        for name, how in (("waiver", "waived"), ("attestation", "attested"))
        if row[name]
    ]


def _seconds(step: Row) -> float:
    return float(step.get("seconds") or 0.0)
