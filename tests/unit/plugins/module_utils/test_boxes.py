# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which boxes are answered, and by what: by this run, by an earlier one, by a person, or by nobody."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _boxes
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

NOW = "2026-11-28T12:00:00Z"
BOXES = [
    {"id": f"box.{line}", "line": line, "section": "Before / Some", "phase": "preflight", "meaning": f"Box {line}."}
    for line in (1, 2, 3)
]


def row(name: str, item: list[int], status: str = "pass", **more: t.Any) -> dict[str, t.Any]:
    fixed = {"title": name, "evidence": "seen", "remedy": "", "question": "", "seconds": 0.0}
    return {"id": name, "item": item, "status": status, **fixed, "required": True, "waiver": None, "attestation": None, **more}


def entry(step: str, *rows: dict[str, t.Any], at: str = "2026-11-28T11:59:00Z", **more: t.Any) -> dict[str, t.Any]:
    return {"at": at, "step": step, "item": [], "status": "ok", "msg": None, "seconds": 1.0, "checks": list(rows), **more}


def record(run: str, entries: list[dict[str, t.Any]], before: t.Any = None, now: str = NOW, **asked: t.Any) -> dict[str, t.Any]:
    found = _boxes.of_run(before, entries, run, now, _boxes.Asked(BOXES, **asked))
    steps = [{**one, "checks": [check["id"] for check in one["checks"]]} for one in entries]
    return {"run": run, "steps": steps, "checks": [check for one in entries for check in one["checks"]], **found}


def statuses(found: dict[str, t.Any]) -> list[str]:
    return [box["status"] for box in found["boxes"]]


def test_a_box_is_as_good_as_the_worst_of_its_answers_and_open_without_one() -> None:
    found = record("r1", [entry("a", row("a.x", [1, 2]), row("a.y", [2], "fail"))])
    assert statuses(found) == ["pass", "fail", "open"]
    assert [box["answers"] for box in found["boxes"]] == [["a.x"], ["a.x", "a.y"], []]
    assert [box["run"] for box in found["boxes"]] == ["r1", "r1", ""]


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        ("fail", {"required": False}, "warn"),
        ("unknown", {"required": False}, "unknown"),
        ("warn", {}, "warn"),
        ("skip", {}, "skip"),
        ("fail", {"waiver": {"by": "dana", "reason": "r", "until": "2026-11-28"}}, "waived"),
        ("fail", {"waiver": {"by": "dana", "reason": "r", "until": "2026-11-27"}}, "fail"),
        ("unknown", {"attestation": {"by": "dana", "reason": "r", "until": "2026-11-28"}}, "attested"),
        ("unknown", {"attestation": {"by": " ", "reason": "r", "until": "2026-11-28"}}, "unknown"),
        ("unknown", {"attestation": {"by": "dana", "reason": "r", "until": "soon"}}, "unknown"),
    ],
)
def test_what_stops_nothing_and_what_people_say(status: str, more: dict[str, t.Any], expected: str) -> None:
    assert statuses(record("r1", [entry("a", row("a.x", [1], status, **more))]))[0] == expected


def test_a_step_answers_the_boxes_that_it_names() -> None:
    assert statuses(record("r1", [entry("build", item=[1]), entry("switch", item=[2], status="failed")])) == [
        "pass",
        "fail",
        "open",
    ]


def test_what_a_run_does_not_ask_is_answered_by_an_earlier_one_that_is_named() -> None:
    first = record("r1", [entry("a", row("a.x", [1])), entry("build", item=[3])])
    second = record("r2", [entry("b", row("b.x", [2]))], first)
    third = record("r3", [entry("c", row("c.x", []))], second)
    assert statuses(third) == ["pass", "pass", "pass"]
    assert [box["run"] for box in third["boxes"]] == ["r1", "r2", "r1"]
    assert [unit["run"] for unit in third["earlier"]] == ["r1", "r1", "r2"]


def test_a_step_that_asks_again_replaces_all_that_it_said_before() -> None:
    first = record("r1", [entry("a", row("a.x", [1]), row("a.y", [1]), row("a.gone", [1, 2], "fail"))])
    assert statuses(first)[:2] == ["fail", "fail"]
    second = record("r2", [entry("a", row("a.x", [1]), row("a.y", [1]))], first)
    assert statuses(second)[:2] == ["pass", "open"], "a service that is gone holds no box red"


def test_one_module_that_asks_something_else_in_another_phase_replaces_nothing() -> None:
    first = record("r1", [entry("a", *(row(f"a.{number}", [1]) for number in range(6)))])
    second = record("r2", [entry("a", row("a.0", [2]), row("a.new", [2]), row("a.other", [2]))], first)
    assert statuses(second)[:2] == ["pass", "pass"]
    assert len(second["boxes"][0]["answers"]) == 5, "the one that was asked again answers its new boxes alone"


def test_an_answer_grows_old_and_an_attestation_ends() -> None:
    said = {"by": "dana", "reason": "r", "until": "2026-11-29"}
    first = record("r1", [entry("a", row("a.x", [1])), entry("b", row("b.x", [2], "unknown", attestation=said))], days=7)
    assert statuses(first) == ["pass", "attested", "open"]
    assert statuses(record("r2", [], first, "2026-11-30T00:00:00Z", days=7)) == ["pass", "unknown", "open"]
    assert statuses(record("r3", [], first, "2026-12-06T00:00:00Z", days=7)) == ["open", "open", "open"]


def test_a_person_answers_a_box_that_nothing_else_answers() -> None:
    said = [{"box": name, "by": "dana", "reason": "r", "until": "2026-12-01"} for name in ("box.1", "box.2")]
    found = record("r1", [entry("a", row("a.x", [1], "fail"))], attestations=said)
    assert statuses(found) == ["fail", "attested", "open"], "a person's word is nothing against what was seen"
    assert found["boxes"][1]["attestation"]["by"] == "dana"
    assert statuses(record("r2", [], found, "2026-12-02T00:00:00Z", attestations=said))[1] == "open"


def test_a_person_answers_the_question_of_a_check_by_its_box_and_nothing_else() -> None:
    said = [{"box": "box.1", "by": "dana", "reason": "r", "until": "2026-12-01"}]
    asks = row("a.x", [1], "unknown", question="Did it ring?")
    assert statuses(record("r1", [entry("a", asks)], attestations=said))[0] == "attested"
    assert statuses(record("r1", [entry("a", asks, row("a.y", [1]))], attestations=said))[0] == "attested"
    assert statuses(record("r1", [entry("a", asks, row("a.y", [1], "unknown"))], attestations=said))[0] == "unknown"
    assert statuses(record("r1", [entry("a", asks, row("a.y", [1], "fail"))], attestations=said))[0] == "fail"


def test_a_box_that_does_not_exist_is_refused() -> None:
    with pytest.raises(OpsError, match="box.9"):
        _boxes.Asked(BOXES, [{"box": "box.9", "by": "dana", "reason": "r", "until": "2026-12-01"}])


def test_a_record_from_before_there_were_boxes_is_no_error() -> None:
    old = {"run": "r0", "steps": [{"at": NOW, "step": "a", "item": [1], "status": "ok", "msg": "x", "seconds": 1}], "checks": []}
    assert statuses(record("r1", [], old)) == ["pass", "open", "open"]
