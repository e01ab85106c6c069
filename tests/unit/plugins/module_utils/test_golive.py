# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going live: by fresh evidence and by names, and by nothing else."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _boxes, _golive
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

NOW = "2026-11-28T12:00:00Z"
BOXES = [
    {"id": name, "line": line, "section": "S", "phase": phase, "meaning": f"Meaning of {name}."}
    for name, line, phase in (
        ("verify.a", 1, "verify"),
        ("verify.b", 2, "verify"),
        ("golive.health", 3, "golive"),
        ("golive.lead", 4, "golive"),
    )
]
NEEDS = [_golive.Need("golive.health", ["verify.*"], 24)]
ROLES = {"technical": {"box": "golive.lead", "title": "The technical lead approves"}}


def row(name: str, line: int, status: str = "pass", **more: t.Any) -> dict[str, t.Any]:
    fixed = {"title": name, "evidence": "", "remedy": "", "question": "", "seconds": 0.0, "required": True}
    return {"id": name, "item": [line], "status": status, **fixed, "waiver": None, "attestation": None, **more}


def judged(*rows: dict[str, t.Any], at: str = "2026-11-28T11:00:00Z", **more: t.Any) -> t.Any:
    asked = _boxes.Asked(BOXES, more.get("attestations", ()))
    step = {"at": at, "step": "x", "item": [], "status": "ok", "msg": "", "checks": [one["id"] for one in rows]}
    record = {"run": "r1", "earlier": [], "steps": [step], "checks": list(rows)}
    said = _golive.approvals(ROLES, more.get("approvals", {"technical": "Dana Levi"}))
    return {one.id: one for one in _golive.checks(record, asked, NEEDS, said, NOW)}


def test_fresh_evidence_and_a_name_are_a_yes() -> None:
    found = judged(row("a", 1), row("b", 2))
    assert {one.status for one in found.values()} == {"pass"}
    assert found["golive.health"].evidence == "2 boxes are settled, the oldest evidence is 1 h 0 min old"
    assert found["golive.health"].item == [3] and found["golive.lead"].item == [4]
    assert found["golive.lead"].evidence == "Dana Levi says yes"


def test_old_evidence_does_not_count() -> None:
    found = judged(row("a", 1), row("b", 2), at="2026-11-27T11:59:59Z")["golive.health"]
    assert found.status == "unknown"
    assert "verify.a (open), verify.b (open)" in found.evidence and "24 h" in found.evidence
    assert "ansible-playbook verify.yml" in found.remedy


def test_without_a_record_nothing_is_known() -> None:
    found = _golive.checks(None, _boxes.Asked(BOXES), NEEDS, [], NOW)
    assert [one.status for one in found] == ["unknown"]


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ((row("a", 1), row("b", 2, "fail")), "fail"),
        ((row("a", 1),), "unknown"),
        ((row("a", 1), row("b", 2, "skip")), "pass"),
        ((row("a", 1), row("b", 2, "warn")), "warn"),
        ((row("a", 1), row("b", 2, "fail", required=False)), "warn"),
        ((row("a", 1), row("b", 2, "fail", waiver={"by": "d", "reason": "r", "until": "2026-12-01"})), "warn"),
        ((row("a", 1), row("b", 2, "fail", waiver={"by": "d", "reason": "r", "until": "2026-11-01"})), "fail"),
        ((row("a", 1), row("b", 2, "unknown", attestation={"by": "d", "reason": "r", "until": "2026-12-01"})), "pass"),
    ],
)
def test_it_is_as_good_as_the_worst_box(rows: tuple[dict[str, t.Any], ...], status: str) -> None:
    assert judged(*rows)["golive.health"].status == status


def test_a_person_may_stand_for_a_whole_part() -> None:
    word = {"box": "golive.health", "by": "dana", "reason": "another tool watches it", "until": "2026-12-01"}
    found = judged(attestations=[word])["golive.health"]
    assert (found.status, "dana stands for it" in found.evidence) == ("pass", True)


@pytest.mark.parametrize("said", [{}, {"technical": ""}, {"technical": "  "}, {"technical": {"reason": "x"}}, {"technical": None}])
def test_without_a_name_nobody_has_approved(said: dict[str, t.Any]) -> None:
    found = judged(row("a", 1), row("b", 2), approvals=said)["golive.lead"]
    assert found.status == "fail" and '"technical": "NAME"' in found.remedy


def test_a_role_or_a_box_that_does_not_exist_is_refused() -> None:
    with pytest.raises(OpsError, match="tecnical"):
        judged(approvals={"tecnical": "Dana"})
    with pytest.raises(OpsError, match=r"golive\.nothing"):
        _golive.checks(None, _boxes.Asked(BOXES), [_golive.Need("golive.nothing", ["verify.*"], 1)], [], NOW)
    with pytest.raises(OpsError, match=r"other\.\*"):
        _golive.checks(None, _boxes.Asked(BOXES), [_golive.Need("golive.health", ["other.*"], 1)], [], NOW)
