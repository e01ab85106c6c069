# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a rollback: what failed though it is well now, and nothing of a log that becomes markup."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _boxes, _journal, _record, _run
from ansible_collections.prosaas.ops.plugins.plugin_utils import _incident, _record_page, _templates

from .records import ASKED, HOSTILE, check


def taken_back(state: Path, **more: t.Any) -> dict[str, t.Any]:
    """Return the record of a deployment whose verification failed, and passed once the release before served again."""
    run = str(_run.begin(state, {**ASKED, **more}, True, "", check_mode=False)["run"])
    switched = {"step": "release_switch", "item": [], "status": "changed", "msg": "switched", "seconds": 9.0}
    away = {"services": [{"service": "worker", "how": "replaced", "seconds": 2.0, "gap": 0.7}], "calls": {"cut": 2}}
    _journal.append(state, run, {**switched, **away})
    for status, evidence in (("fail", HOSTILE), ("pass", "well")):
        rows = [check("logs.api.errors", status, evidence=evidence, remedy="Look"), check("watch.errors", status, evidence=f"{status}: 7 of 90")]
        _journal.append(state, run, {"step": "log_check", "item": [], "status": "ok", "msg": "m", "seconds": 1.0, "checks": rows})
    return _run.end(state, run, "taken_back", "Taken back: the old one serves", 30)[0]


def test_it_says_what_failed_though_it_is_well_now(tmp_path: Path) -> None:
    record = taken_back(tmp_path)
    for text in (_incident.markdown(record), _incident.page(record), _record_page.render(record)):
        assert text.index("What failed") < text.index("The title of logs.api.errors") < text.index("Timeline")
    facts = _incident.facts(record)
    assert facts["Services that were away"] == "worker for 0.7 s"
    assert facts["Calls that were cut"] == "2"
    assert facts["Requests that failed"] == "fail: 7 of 90; pass: 7 of 90"


def test_what_is_not_known_is_said_to_be_unknown(tmp_path: Path) -> None:
    run = str(_run.begin(tmp_path, {**ASKED, "playbook": "rollback", "asked": {"reason": "a bad day"}}, True, "", False)["run"])
    facts = _incident.facts(_run.end(tmp_path, run, "rolled_back", "", 30)[0])
    assert facts["Requests that failed"] == "unknown: nothing watched"
    assert facts["Reason given"] == "a bad day"


def test_a_log_line_stays_text(tmp_path: Path) -> None:
    record = taken_back(tmp_path, operator="<b>*dana*</b>")
    page, markdown = _incident.page(record), _incident.markdown(record)
    assert "<script>" not in page and "<b>*dana*" not in page and "&lt;script&gt;" in page
    outside = "".join(part for number, part in enumerate(markdown.split("```")) if number % 2 == 0)
    assert "<script>" not in outside and "<b>" not in outside
    assert r"\*dana\*" in markdown


@pytest.mark.parametrize("said", ["``` <script>", "a\n````\nb", "", "# title"])
def test_no_text_ends_its_block(said: str) -> None:
    lines = _templates.block(said).splitlines()
    fence = lines[0].strip()
    assert lines[-1].strip() == fence and set(fence) == {"`"}
    assert all(line.strip() != fence for line in lines[1:-1])


@pytest.mark.parametrize(
    ("outcome", "playbook", "expected"),
    [
        ("taken_back", "deploy", True),
        ("rolled_back", "rollback", True),
        ("failed", "rollback", True),
        ("failed", "deploy", False),
        ("unchanged", "rollback", False),
    ],
)
def test_every_rollback_is_one(outcome: str, playbook: str, expected: bool) -> None:
    assert _record.is_incident({"outcome": outcome, "playbook": playbook}) is expected


def test_there_is_room_for_what_only_people_know(tmp_path: Path) -> None:
    record = taken_back(tmp_path)
    for title, _question in _incident.BLANKS:
        assert f"### {title}" in _incident.markdown(record) and f"<h3>{title}</h3>" in _incident.page(record)


def test_its_box_is_answered_by_a_rollback_and_by_nothing_else(tmp_path: Path) -> None:
    box = {"id": "rollback.incident_report", "line": 490, "section": "R", "phase": "rollback", "meaning": "It has a report."}
    asked = _boxes.Asked([box])
    for outcome, status in (("failed", "open"), ("taken_back", "pass"), ("verified", "pass")):
        run = str(_run.begin(tmp_path, ASKED, True, "", check_mode=False)["run"])
        record = _run.end(tmp_path, run, outcome, "", 30, asked, [490])[0]
        assert record["boxes"][0]["status"] == status, "the last one carries the answer on"
