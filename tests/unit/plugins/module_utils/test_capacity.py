# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _capacity, _claim
from ansible_collections.prosaas.ops.plugins.module_utils._capacity import Keys, Slots, Wanted
from ansible_collections.prosaas.ops.plugins.module_utils._claim import Claim
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer

KEYS = Keys("calls:active", "calls:active:{member}")
FIELDS = {"active": "active_calls", "limit": "max_calls", "free": "capacity_available", "full": "at_capacity"}
SAID = {"active_calls": 2, "max_calls": 15, "capacity_available": 13, "at_capacity": False}


def answer(body: t.Any, status: int = 200) -> Answer:
    return Answer(status, body=body.encode() if isinstance(body, str) else json.dumps(body).encode())


def test_a_member_with_odd_characters_has_its_key() -> None:
    assert KEYS.of("CA{0}%s") == "calls:active:CA{0}%s"


def test_the_answer_is_read() -> None:
    assert _claim.claim_of(answer(SAID), FIELDS, "u") == Claim(2, 15, 13, False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer("ok"), "not with the numbers of the application: ok"),
        (answer("<html>"), "not with the numbers"),
        (answer({"status": "ok"}), "not with the numbers"),
        (answer([1]), "not with the numbers"),
        (answer({**SAID, "max_calls": None}), "not with the numbers"),
        (answer({"error": "forbidden"}, 403), "refuses the secret"),
        (answer({"error": "redis"}, 500), "answers 500"),
    ],
)
def test_anything_else_is_an_error(given: Answer, words: str) -> None:
    with pytest.raises(OpsError, match=words):
        _claim.claim_of(given, FIELDS, "u")


@pytest.mark.parametrize(
    ("claim", "before", "after", "status"),
    [
        (Claim(2, 15, 13, False), 2, 2, "pass"),
        (Claim(2, 15, 13, False), 3, 1, "pass"),  # one began or ended meanwhile
        (Claim(0, 15, 15, False), 2, 2, "fail"),
        (Claim(5, 15, 10, False), 2, 3, "fail"),
        (Claim(2, 15, 12, False), 2, 2, "fail"),
        (Claim(15, 15, 0, False), 15, 15, "fail"),
    ],
)
def test_claims_are_compared(claim: Claim, before: int, after: int, status: str) -> None:
    assert _capacity.judge_claim(claim, before, after).status == status


@pytest.mark.parametrize(
    ("values", "default", "limit", "source"),
    [
        ({"MAX": " 15 "}, 50, 15, "MAX"),
        ({"MAX": "15", "OTHER": "20"}, 50, 15, "MAX"),
        ({"MAX": "many", "OTHER": "20"}, 50, 20, "OTHER, as MAX has no number"),
        ({}, 50, 50, "default"),
        ({"MAX": "many"}, 50, 50, "no number"),
        ({"MAX": ""}, 0, None, "MAX"),
    ],
)
def test_wanted_limit(values: dict[str, str], default: int, limit: int | None, source: str) -> None:
    """Without a number the application takes another variable, and without that its own default (trap 15)."""
    wanted = _capacity.wanted_limit(values, "MAX", default, "OTHER")
    assert wanted.limit == limit
    assert source in wanted.source


def test_limit() -> None:
    claim = Claim(0, 15, 15, False)
    assert _capacity.judge_limit(claim, Wanted(15, "MAX")).status == "pass"
    assert _capacity.judge_limit(claim, Wanted(50, "MAX")).status == "fail"
    assert _capacity.judge_limit(claim, Wanted(None, "MAX")).status == "unknown"


@pytest.mark.parametrize(
    ("slots", "leaked", "free"),
    [
        (Slots(), "pass", "pass"),
        (Slots(live=("a",)), "pass", "pass"),
        (Slots(live=("a", "b")), "pass", "warn"),
        (Slots(live=("a",), leaked=("b",)), "fail", "fail"),
        (Slots(leaked=("b",)), "fail", "pass"),
        (Slots(leaked=("b",), evicted=1), "unknown", "pass"),
    ],
)
def test_slots(slots: Slots, leaked: str, free: str) -> None:
    """A member without its key is a leak; where Redis throws keys out, it may be none (traps 13 and 29)."""
    assert _capacity.judge_leaked(slots, KEYS).status == leaked
    assert _capacity.judge_free(slots, 2).status == free


def test_many_leaks_are_told_shortly() -> None:
    slots = Slots(leaked=tuple(f"CA{number}" for number in range(9)))
    assert (
        _capacity.judge_leaked(slots, KEYS).evidence == "9 of 9 taken slots are leaked (CA0, CA1, CA2, CA3, CA4 and 4 more)"
    )
    assert "4 released" in _capacity.told_release(slots, slots.leaked[:4], preview=False).evidence


OURS = ("prosaas-ops:20261122T101500Z-ab:12:0", "prosaas-ops:20261122T101500Z-ab:12:1")


def test_members_of_ours_are_no_work() -> None:
    work, ours = _capacity._parted(["CA1", *OURS])
    slots = Slots(live=work, fillers=ours)
    assert (slots.total, slots.members, slots.closed_by) == (1, 3, "20261122T101500Z-ab:12")
    assert _capacity.judge_leaked(Slots(fillers=ours), KEYS).evidence == "0: no slot is taken"
    assert _capacity.judge_free(slots, 2).evidence == "1 of 2 free, once admission is open again"


@pytest.mark.parametrize(
    ("slots", "status"),
    [(Slots(), "pass"), (Slots(fillers=OURS), "warn"), (Slots(abandoned=OURS), "fail")],
)
def test_admission(slots: Slots, status: str) -> None:
    assert _capacity.judge_admission(slots).status == status
