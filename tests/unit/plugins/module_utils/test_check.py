# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How checks become a verdict: required and advisory, waived and expired, unknown in check mode."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._check import (
    FAIL,
    PASS,
    SKIP,
    STATUSES,
    UNKNOWN,
    WARN,
    Check,
    Outcome,
    Policy,
    timed,
    verdict,
)
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable

TODAY = datetime.date(2026, 11, 22)


def check(status: str, name: str = "env.secret_key") -> Check:
    return Check(name, "a title", status, "what was seen", "what to do")


def waiver(until: str, pattern: str = "env.*") -> dict[str, str]:
    return {"check": pattern, "by": "dana", "reason": "known", "until": until}


@pytest.mark.parametrize(
    ("status", "said", "stops"),
    [(PASS, PASS, False), (SKIP, PASS, False), (WARN, WARN, False), (FAIL, FAIL, True), (UNKNOWN, UNKNOWN, True)],
)
def test_each_status_alone(status: str, said: str, stops: bool) -> None:
    judged = verdict([check(status)], Policy(today=TODAY))
    assert (judged["verdict"], judged["stops"]) == (said, stops)


def test_unknown_never_counts_as_pass() -> None:
    judged = verdict([check(PASS, "a"), check(UNKNOWN, "b")], Policy(advisory=["b"], today=TODAY), check_mode=True)
    assert judged["verdict"] != PASS
    assert judged["counts"][PASS] == 1


def test_check_mode_does_not_stop_at_an_unknown_but_names_it() -> None:
    judged = verdict([check(UNKNOWN)], Policy(today=TODAY), check_mode=True)
    assert not judged["stops"]
    assert judged["verdict"] == UNKNOWN
    assert "env.secret_key" in judged["msg"]


def test_check_mode_stops_at_a_failure() -> None:
    assert verdict([check(FAIL)], Policy(today=TODAY), check_mode=True)["stops"]


def test_advisory_failure_is_shown_but_does_not_stop() -> None:
    judged = verdict([check(FAIL)], Policy(advisory=["env.*"], today=TODAY))
    assert (judged["stops"], judged["verdict"]) == (False, WARN)
    assert judged["checks"][0]["status"] == FAIL, "it stays what it is"
    assert not judged["checks"][0]["required"]


def test_waiver_holds_until_its_last_day_and_is_absent_afterwards() -> None:
    on_the_day = verdict([check(FAIL)], Policy(waivers=[waiver("2026-11-22")], today=TODAY))
    expired = verdict([check(FAIL)], Policy(waivers=[waiver("2026-11-21")], today=TODAY))
    assert not on_the_day["stops"]
    assert on_the_day["checks"][0]["waiver"]["by"] == "dana"
    assert on_the_day["verdict"] == WARN, "waived is never a pass"
    assert expired["stops"]
    assert expired["checks"][0]["waiver"] is None


def test_waiver_with_a_wrong_date_is_refused_in_one_sentence() -> None:
    with pytest.raises(OpsError, match="until='soon'.*YYYY-MM-DD"):
        verdict([check(FAIL)], Policy(waivers=[waiver("soon")], today=TODAY))


def test_worst_comes_first() -> None:
    checks = [check(status, status) for status in (SKIP, PASS, WARN, UNKNOWN, FAIL)]
    assert tuple(row["status"] for row in verdict(checks, Policy(today=TODAY))["checks"]) == STATUSES


def test_message_names_every_failed_check_with_evidence_and_remedy() -> None:
    message = verdict([check(FAIL, "a"), check(FAIL, "b"), check(UNKNOWN, "c"), check(PASS, "d")], Policy())["msg"]
    assert message == (
        "2 of 4 checks failed: a (what was seen) -> what to do; b (what was seen) -> what to do. "
        "1 could not be verified: c (what was seen) -> what to do."
    )


def test_timed_turns_errors_into_verdicts() -> None:
    def unreachable() -> Outcome:
        raise Unreachable("no answer", "start it")

    def broken() -> Outcome:
        raise OpsError("wrong", "mend it")

    assert timed("a", "t", [1], unreachable).status == UNKNOWN
    failed = timed("b", "t", (2, 3), broken)
    assert (failed.status, failed.evidence, failed.remedy, failed.item) == (FAIL, "wrong", "mend it", [2, 3])


def test_a_made_up_status_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="no status"):
        Check("a", "t", "green")
