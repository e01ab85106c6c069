# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _calls, _gate, _jobs
from ansible_collections.prosaas.ops.plugins.module_utils._calls import Calls, Times
from ansible_collections.prosaas.ops.plugins.module_utils._capacity import Slots
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._gate import Policy, Seen

BORN = 7200  # seconds that the key of a slot has left when a call begins


def slots(leaked: tuple[str, ...] = (), evicted: int = 0, **ages: int) -> Slots:
    return Slots(tuple(ages), leaked, evicted, {member: BORN - age for member, age in ages.items()})


def judge(held: Slots, *streams: int, unread: tuple[str, ...] = ()) -> Calls:
    return _calls.judge(held, {f"calls-{number}": many for number, many in enumerate(streams)}, {}, unread, Times())


@pytest.mark.parametrize(
    ("held", "streams", "live"),
    [
        (slots(), (0, 0), 0),
        (slots(one=5), (0,), 1),  # on its way to its stream
        (slots(one=300), (1,), 1),
        (slots(one=300), (0,), 0),  # its stream never came, or has ended without giving it back
        (slots(one=60), (0,), 1),
        (slots(one=300, two=300), (0, 1), 2),  # either may be the one of the stream
        (slots(), (2, 1), 3),  # calls that were begun from here
        (slots(leaked=("gone",)), (0,), 0),
        (slots(leaked=("gone",)), (1,), 1),
        (slots(leaked=("gone", "too"), evicted=1), (1,), 2),  # or Redis threw the key out
        (slots(leaked=("gone",), evicted=1), (0,), 0),
    ],
)
def test_how_many_are_live(held: Slots, streams: tuple[int, ...], live: int) -> None:
    found = judge(held, *streams)
    assert (found.live, found.silent) == (live, live == 0)


def test_a_slot_whose_key_has_no_end_is_live() -> None:
    assert judge(Slots(("one",), left={"one": -1}), 0).live == 1


def test_what_is_not_known_is_never_silent() -> None:
    found = judge(slots(one=300), 0, unread=("calls-1 does not answer",))
    assert not found.silent and not found.quiet
    assert found.without_stream == (), "with a source missing no slot is told leaked"
    assert found.facts()["live"] is None
    assert found.told == "the number of calls is not known: calls-1 does not answer"


def test_members_of_ours_are_no_calls() -> None:
    held = Slots(fillers=("prosaas-ops:run-1:0", "prosaas-ops:run-1:1"))
    assert (judge(held, 0).live, held.members, held.closed_by) == (0, 2, "run-1")


@pytest.mark.parametrize(
    ("held", "streams", "quiet"),
    [(slots(), 0, True), (slots(one=3), 0, False), (slots(one=3), 1, True), (slots(one=30), 0, True)],
)
def test_a_quiet_moment(held: Slots, streams: int, quiet: bool) -> None:
    assert judge(held, streams).quiet is quiet


def test_words() -> None:
    assert judge(slots(one=3, leaked=("gone",)), 1).told == "1 call (1 stream, 1 slot, and 1 leaked)"


class Clock:
    """Time that passes as somebody waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 1000.0
        monkeypatch.setattr(_gate.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def __call__(self) -> float:
        return self.time


@pytest.fixture()
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def running(lines: int, rounds: int) -> t.Callable[[], list[str]]:
    """A question whose answer has ``lines`` rows for so many rounds, and then none."""
    answers: Iterator[list[str]] = iter([[f"campaign {one}" for one in range(lines)]] * rounds)
    return lambda: next(answers, [])


def over(policy: Policy, ask: t.Callable[[], list[str]], clock: Clock) -> tuple[_gate.Passed, list[str]]:
    said: list[str] = []
    return _gate.campaigns_over(_gate.Gate(campaigns=policy, ask=ask), said.append, clock), said


def test_it_is_waited_for(clock: Clock) -> None:
    passed, said = over(Policy(deadline=600), running(1, 45), clock)
    assert (passed.live, passed.seconds) == (0, 45)
    assert said == [f"waiting for 1 campaign (campaign 0), {left} s left" for left in (600, 570)]


def test_abort_at_the_deadline(clock: Clock) -> None:
    with pytest.raises(
        OpsError, match="After 10 s still running: 2 campaigns .*Nothing was touched.*x=wait, or x=proceed"
    ) as error:
        over(Policy(deadline=10, option="x"), running(2, 99), clock)
    assert error.value.details == {"live": 2}


def test_wait_has_no_deadline_and_proceed_says_what_is_cut(clock: Clock) -> None:
    passed, said = over(Policy(deadline=10, then="wait"), running(1, 99), clock)
    assert (passed.live, passed.seconds, said[0]) == (0, 99, "waiting for 1 campaign (campaign 0), no deadline")
    passed, _said = over(Policy(deadline=0, then="proceed"), running(2, 99), clock)
    assert passed.live == 2
    assert passed.told.endswith("it goes on all the same: 2 cut")


def test_no_answer_is_waited_for_and_never_none(clock: Clock) -> None:
    def ask() -> list[str]:
        raise Unreachable("the database does not answer.")

    with pytest.raises(OpsError, match="whether a campaign is running is not known: the database does not answer"):
        over(Policy(deadline=3), ask, clock)
    passed, _said = over(Policy(deadline=3, then="proceed"), ask, clock)
    assert (passed.live, "what is live is cut" in passed.told) == (None, True)


def test_without_calls_or_campaigns_there_is_nothing_to_wait_for() -> None:
    gate = _gate.of({"project": "p", "calls": None, "campaigns": None}, {}, "run")
    with _gate.silence(gate, print) as passed:
        assert passed.live == 0
    assert _gate.campaigns_over(gate, print).live == 0


def campaigns(**more: t.Any) -> dict[str, t.Any]:
    reading = {"id": "database.campaigns", "sql": "SELECT 1", "line": "{x}", "none": "none"}
    rest = {"hit_by": ["api"], "policy": "abort", "deadline": 600, "sslmodes": [], "ca_path": "", "timeout": 5}
    return {"connection": {"url": "URL"}, "reading": reading, **rest, **more}


def test_services_that_meet_the_gate() -> None:
    policy = _gate.of({"project": "p", "campaigns": campaigns()}, {}, "run").campaigns
    assert policy.meets(["api", "nginx"]) and not policy.meets(["nginx"]) and policy.then == "abort"


def test_a_waiver_of_the_check_counts_at_the_gate_too() -> None:
    waiver = {"check": "database.campaigns", "by": "alice", "reason": "they were asked", "until": "2999-01-01"}
    waived = _gate.of({"project": "p", "campaigns": campaigns(), "waivers": [waiver]}, {}, "run").campaigns
    assert (waived.then, waived.deadline) == ("proceed", 0)
    expired = _gate.of(
        {"project": "p", "campaigns": campaigns(), "waivers": [{**waiver, "until": "2020-01-01"}]}, {}, "run"
    )
    assert expired.campaigns.then == "abort"


def test_a_misspelt_reading_is_told() -> None:
    with pytest.raises(OpsError, match="does not know nonne, has no none"):
        _gate.of(
            {"project": "p", "campaigns": campaigns(reading={"id": "a", "sql": "b", "line": "c", "nonne": "d"})},
            {},
            "run",
        )


def test_jobs_of_both_versions_of_rq() -> None:
    assert _jobs.job_of("8f1c:5d2e") == _jobs.job_of("8f1c") == "8f1c"


def test_seen_is_what_the_policy_judges(clock: Clock) -> None:
    looks = iter([Seen(False, "3 calls", 3), Seen(False, "2 calls", 2), Seen(True, "", 0)])
    said: list[str] = []
    passed = _gate._pass(Policy(deadline=600), lambda: next(looks), said.append, clock, "on the line")
    assert (passed.live, said) == (0, ["waiting for 3 calls, 600 s left", "waiting for 2 calls, 599 s left"])
