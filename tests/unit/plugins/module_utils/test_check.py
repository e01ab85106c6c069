# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How checks become a verdict: required and advisory, waived and expired, unknown in check mode."""

from __future__ import annotations

import datetime
import typing as t

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
    judged,
    summary,
    timed,
    verdict,
)
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._items import with_items

TODAY = datetime.date(2026, 11, 22)


def check(status: str, name: str = "env.secret_key") -> Check:
    return Check(name, "a title", status, "what was seen", "what to do")


def waiver(until: str, pattern: str = "env.*") -> dict[str, str]:
    return {"check": pattern, "by": "dana", "reason": "known", "until": until}


def judge(checks: list[Check], policy: Policy, check_mode: bool = False) -> dict[str, t.Any]:
    return verdict(judged(checks, policy), check_mode)


@pytest.mark.parametrize(
    ("status", "said", "stops"),
    [(PASS, PASS, False), (SKIP, PASS, False), (WARN, WARN, False), (FAIL, FAIL, True), (UNKNOWN, UNKNOWN, True)],
)
def test_each_status_alone(status: str, said: str, stops: bool) -> None:
    found = judge([check(status)], Policy(today=TODAY))
    assert (found["verdict"], found["stops"]) == (said, stops)


def test_unknown_never_counts_as_pass() -> None:
    found = judge([check(PASS, "a"), check(UNKNOWN, "b")], Policy(advisory=["b"], today=TODAY), check_mode=True)
    assert found["verdict"] != PASS
    assert found["counts"][PASS] == 1


def test_check_mode_does_not_stop_at_an_unknown_but_names_it() -> None:
    found = judge([check(UNKNOWN)], Policy(today=TODAY), check_mode=True)
    assert not found["stops"]
    assert found["verdict"] == UNKNOWN
    assert "env.secret_key" in found["msg"]


def test_check_mode_stops_at_a_failure() -> None:
    assert judge([check(FAIL)], Policy(today=TODAY), check_mode=True)["stops"]


def test_advisory_failure_is_shown_but_does_not_stop() -> None:
    found = judge([check(FAIL)], Policy(advisory=["env.*"], today=TODAY))
    assert (found["stops"], found["verdict"]) == (False, WARN)
    assert found["checks"][0]["status"] == FAIL, "it stays what it is"
    assert not found["checks"][0]["required"]


def test_waiver_holds_until_its_last_day_and_is_absent_afterwards() -> None:
    on_the_day = judge([check(FAIL)], Policy(waivers=[waiver("2026-11-22")], today=TODAY))
    expired = judge([check(FAIL)], Policy(waivers=[waiver("2026-11-21")], today=TODAY))
    assert not on_the_day["stops"]
    assert on_the_day["checks"][0]["waiver"]["by"] == "dana"
    assert on_the_day["verdict"] == WARN, "waived is never a pass"
    assert expired["stops"]
    assert expired["checks"][0]["waiver"] is None


def test_waiver_with_a_wrong_date_is_refused_in_one_sentence() -> None:
    with pytest.raises(OpsError, match="until='soon'.*YYYY-MM-DD"):
        judge([check(FAIL)], Policy(waivers=[waiver("soon")], today=TODAY))


def test_worst_comes_first() -> None:
    checks = [check(status, status) for status in (SKIP, PASS, WARN, UNKNOWN, FAIL)]
    assert tuple(row["status"] for row in judge(checks, Policy(today=TODAY))["checks"]) == STATUSES


def test_message_names_every_failed_check_with_evidence_and_remedy() -> None:
    message = judge([check(FAIL, "a"), check(FAIL, "b"), check(UNKNOWN, "c"), check(PASS, "d")], Policy())["msg"]
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


def asked(status: str, question: str = "Are backups on?") -> Check:
    return Check("database.backups", "a title", status, "nobody can see it", "look there", question=question)


def test_an_attestation_answers_what_no_machine_can_know_and_nothing_else() -> None:
    policy = Policy(attestations=[waiver("2026-11-22", "database.*")], today=TODAY)
    answered = judge([asked(UNKNOWN)], policy)
    assert (answered["stops"], answered["verdict"]) == (False, WARN), "attested is never a pass"
    assert answered["checks"][0]["attestation"]["by"] == "dana"
    assert judge([asked(FAIL)], policy)["stops"], "what was seen is not outvoted"
    assert judge([asked(UNKNOWN, "")], policy)["stops"], "what a machine could find out is no matter of opinion"
    late = Policy(attestations=[waiver("2026-11-21", "database.*")], today=TODAY)
    assert judge([asked(UNKNOWN)], late)["stops"], "an expired one is absent"


def test_nobody_cannot_vouch() -> None:
    with pytest.raises(OpsError, match="by is empty"):
        judge([asked(UNKNOWN)], Policy(attestations=[{**waiver("2026-11-22", "*"), "by": " "}], today=TODAY))


def test_the_summary_is_worst_first_a_line_each_and_one_cause_is_said_once() -> None:
    checks = [check(UNKNOWN, "b"), check(WARN, "w"), check(FAIL, "a"), check(UNKNOWN, "c"), check(FAIL, "adv"), check(PASS, "p")]
    rows = judged(checks, Policy(advisory=["adv"], waivers=[waiver("2026-11-22", "w")], today=TODAY))
    told = summary(rows, "Preflight", "settings")
    assert told["stops"]
    assert told["msg"].splitlines() == [
        "Preflight: 3 of 6 checks stop it, 2 to look at.",
        "fail     a: what was seen -> what to do",
        "unknown  b, c: what was seen -> what to do",
        "fail     adv: what was seen [advisory] -> what to do",
        "warn     w: what was seen [waived by dana until 2026-11-22: known] -> what to do",
    ]
    assert summary(judged([check(PASS)], Policy()), "Preflight", "settings")["msg"] == "Preflight: 1 of 1 checks passed."


def test_open_questions_are_asked_at_the_end_in_words_that_can_be_copied() -> None:
    told = summary(judged([asked(UNKNOWN)], Policy()), "Preflight", "settings")["msg"].splitlines()
    assert told[-2] == "What only a person can answer goes into settings, in the inventory or by -e @FILE:"
    assert told[-1].startswith("  - {check: database.backups, by: NAME,") and told[-1].endswith("# Are backups on?")


def test_lines_of_the_checklist_are_added_by_pattern() -> None:
    checks = with_items([Check("env.a", "", PASS, item=[14]), Check("env.file", "", PASS)], {"env.*": [124], "env.file": [123]})
    assert [one.item for one in checks] == [[14, 124], [123, 124]]
