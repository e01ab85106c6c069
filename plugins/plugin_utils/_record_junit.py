# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A record as JUnit XML, for CI that shows tests: a suite for each step, a case for each check.

A check that fails is a failure, one that could not be verified an error; what stops nothing (advisory, waived, attested)
is a skipped case that says why. How the run ended is a case of its own, so that a failed run is never green.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Sequence
from xml.etree import ElementTree

from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, SKIP, UNKNOWN, standing

Row = dict[str, t.Any]
BAD_ENDS = ("failed", "taken_back")
KINDS = {FAIL: "failure", UNKNOWN: "error"}
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(record: Row) -> str:
    """Return the document, with its XML declaration."""
    name = f"{record['playbook']} of {record['project']} on {record['host']}"
    root = ElementTree.Element("testsuites", name=name, time=str(record.get("seconds", 0)))
    rows = {row["id"]: row for row in record.get("checks", [])}
    for step in record.get("steps", []):
        if step.get("checks"):
            _suite(root, record, step["step"], step["at"], [_case(rows[check]) for check in step["checks"]])
    _suite(root, record, "run", record["started"], [_end(record)])
    for counted, kind in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        for element in root.iter("testsuite"):
            element.set(counted, str(sum(1 for unused in element.iter(kind))))
        if counted != "skipped":  # the outermost element of the format counts no skipped cases
            root.set(counted, str(sum(1 for unused in root.iter(kind))))
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ElementTree.Element, record: Row, step: str, at: str, cases: Sequence[ElementTree.Element]) -> None:
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=step,
        timestamp=at.rstrip("Z"),
        hostname=record["host"],
        time=f"{sum(float(case.get('time', 0)) for case in cases):.3f}",
    )
    for case in cases:
        case.set("classname", f"{record['project']}.{step}")
        suite.append(case)


def _case(row: Row) -> ElementTree.Element:
    case = ElementTree.Element("testcase", name=row["id"], time=f"{row['seconds']:.3f}")
    if row["status"] == PASS:
        return case
    counts = standing([row], row["status"]) and row["status"] in KINDS
    kind = KINDS[row["status"]] if counts else "skipped" if row["status"] in (SKIP, *KINDS) else "system-out"
    text = _text(f"{row['title']}: {row['evidence']}" + (f"\nNext: {row['remedy']}" if row["remedy"] else ""))
    found = ElementTree.SubElement(case, kind)
    if kind == "system-out":
        found.text = text
    else:
        found.set("message", _excuse(row) + text.partition("\n")[0])
    if kind in KINDS.values():
        found.set("type", row["status"])
        found.text = text
    return case


def _excuse(row: Row) -> str:
    for how in ("waiver", "attestation"):
        if row[how]:
            return _text(f"{how} by {row[how]['by']} until {row[how]['until']}: {row[how]['reason']}. ")
    return "" if row["required"] or row["status"] == SKIP else f"advisory, {row['status']}. "


def _end(record: Row) -> ElementTree.Element:
    case = ElementTree.Element("testcase", name="outcome", time="0")
    if record["outcome"] in BAD_ENDS or not record["outcome"]:
        found = ElementTree.SubElement(case, "failure", type=record["outcome"] or "unknown")
        found.text = _text(record.get("msg") or "")
        found.set("message", found.text.partition("\n")[0])
    return case


def _text(text: str) -> str:
    """Return it without the characters that XML cannot hold: log lines have colours."""
    return NO_XML.sub("�", text)
