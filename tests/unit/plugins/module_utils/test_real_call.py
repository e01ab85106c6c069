# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call through Twilio on its bad days. On its good ones: tests/integration/test_real_call.py."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _call_order, _real_call
from ansible_collections.prosaas.ops.plugins.module_utils._call_marks import Sids
from ansible_collections.prosaas.ops.plugins.module_utils._call_order import Real
from ansible_collections.prosaas.ops.plugins.module_utils._call_slot import Seen
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, SKIP, UNKNOWN, Outcome
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._real_call import RealCall, Told
from ansible_collections.prosaas.ops.plugins.module_utils._twilio_api import Call, Refused, Sound

TO, CALLER = "+15005550006", "+15005550010"
REAL = Real(TO, CALLER, answer=0.3, end=0.3)
OURS = Call("CA1", "in-progress", "outbound-api", CALLER, TO)
THEIRS = Call("CA2", "in-progress", "inbound", CALLER, TO)


class Twilio:
    """An account whose calls are what a test says; it keeps what was ended."""

    def __init__(
        self, placing: OpsError | None = None, made: t.Sequence[Call] = (OURS, THEIRS), deaf: bool = False
    ) -> None:
        self._placing, self._made, self._deaf = placing, made, deaf
        self.calls: dict[str, Call] = {"CA0": replace(THEIRS, sid="CA0")}  # somebody else's
        self.ended: list[str] = []

    def calls_to(self, number: str) -> list[Call]:
        return list(self.calls.values())

    def place(self, form: t.Mapping[str, str]) -> Call:
        self.calls.update({call.sid: call for call in self._made})
        if self._placing:
            raise self._placing
        return self._made[0]

    def call(self, sid: str) -> Call:
        return self.calls[sid]

    def end(self, sid: str) -> None:
        self.ended.append(sid)
        if not self._deaf:
            self.calls = {
                name: call if name == "CA0" else replace(call, status="completed", seconds=2)
                for name, call in self.calls.items()
            }

    def noted(self, sid: str) -> list[str]:
        return []

    def recordings(self, sid: str) -> dict[str, str]:
        return {"RE0": "absent", "RE1": "completed"} if sid == "CA1" else {}

    def sound(self, recording: str) -> Sound | t.NoReturn:
        raise OpsError("The recording is no sound.", "Listen.")

    def forget(self, recording: str) -> None:
        self.ended.append(recording)


class Slot:
    """A slot that the call holds."""

    def holds(self, sid: str) -> bool:
        return True

    def count(self, held: bool) -> Outcome:
        return Outcome(PASS, "1 of 3")

    def settle(self, sid: str, seen: Seen) -> None:
        seen.freed = True


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_real_call, "PAUSE", 0.02)
    monkeypatch.setattr(_call_order, "SHORTEST", 0.1)


def placed(account: Twilio, listen: bool = False) -> RealCall:
    call = RealCall.__new__(RealCall)
    call.__dict__.update(
        _account=account, _real=replace(REAL, listen=listen, seconds=0.2), _slot=Slot(), _before=None, _lost=False
    )
    call.__dict__.update(sid="", sids=Sids(), seen=Seen(), told=Told())
    call.place()
    return call


def test_the_call_that_comes_in_is_told_from_those_of_others() -> None:
    account = Twilio()
    call = placed(account)
    assert (call.sid, call.sids.given, account.ended) == ("CA2", ["CA1", "CA2"], ["CA1", "CA2"])
    assert call.judged("")["call.connected"].status == PASS


def test_a_call_that_twilio_made_and_did_not_tell_is_found_and_ended() -> None:
    account = Twilio(placing=Unreachable("It did not answer.", "Look."))
    call = placed(account)
    assert "CA1" in account.ended and not call.told.unended
    assert call.judged("")["call.connected"] == Outcome(UNKNOWN, "It did not answer.", "Look.")


def test_a_call_that_was_refused_is_looked_for_nowhere() -> None:
    """One from the same number that comes in at that moment is another run's."""
    account = Twilio(placing=Refused(21210, "Twilio refuses.", "Look."))
    assert placed(account).judged("")["call.connected"].status == FAIL
    assert account.ended == []


def test_a_call_that_does_not_end_is_a_failure_whatever_else_was_seen() -> None:
    call = placed(Twilio(deaf=True))
    outcome = call.judged("")["call.completed"]
    assert outcome.status == FAIL and "CA1 is in-progress, CA2 is in-progress" in outcome.evidence


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ((replace(OURS, status="busy"),), "the number was busy"),
        ((replace(OURS, status="no-answer"),), "nobody took the call"),
        ((replace(OURS, status="failed"),), "no call from"),
        (
            (replace(OURS, status="completed"), replace(THEIRS, status="completed", seconds=1)),
            "the call was over at once",
        ),
        ((replace(OURS, status="ringing"),), "no call from"),
        ((OURS, replace(THEIRS, caller="+15005550011")), "no call from"),
        ((replace(OURS, status="ringing"), replace(THEIRS, status="ringing")), "not taken within 0.3 s"),
        ((OURS, THEIRS, replace(THEIRS, sid="CA3")), "2 calls from"),
    ],
)
def test_a_call_that_is_not_taken_says_why(made: tuple[Call, ...], said: str) -> None:
    call = placed(Twilio(made=made))
    outcome = call.judged("")["call.connected"]
    assert outcome.status == FAIL and said in outcome.evidence and outcome.remedy
    assert all(one.over for name, one in call._account.calls.items() if name == "CA1")  # type: ignore[attr-defined]


def test_a_recording_that_cannot_be_listened_to_is_deleted_all_the_same() -> None:
    account = Twilio()
    call = placed(account, listen=True)
    assert account.ended[-1] == "RE1"
    assert call.judged("")["call.audio"] == Outcome(UNKNOWN, "The recording is no sound", f"See {_real_call.CONSOLE}.")


def test_a_child_of_our_call_is_ours_whoever_it_shows() -> None:
    assert placed(Twilio(made=(OURS, replace(THEIRS, caller="anonymous", parent="CA1")))).sid == "CA2"


def test_what_is_said_outlasts_the_line_and_is_escaped() -> None:
    form = replace(REAL, say="<Hangup/> & more", seconds=60).form()
    root = ElementTree.fromstring(form["Twiml"])
    assert [node.tag for node in root][:2] == ["Say", "Pause"] and root[0].text == "<Hangup/> & more"
    assert sum(int(node.get("length", "0")) for node in root) >= int(form["TimeLimit"]) == 90
    assert (form["Record"], form["RecordingTrack"]) == ("true", "inbound")
    assert "Record" not in replace(REAL, listen=False).form()


@pytest.mark.parametrize("to", ["15005550006", "+0500555000", "+1500555000a", "", "+15005550006\n", TO + " "])
def test_a_number_is_written_as_it_is_dialed_from_anywhere(to: str) -> None:
    with pytest.raises(OpsError, match="real_call.to is no phone number"):
        Real(to, CALLER)


GOOD = Told(
    replace(OURS, status="completed", seconds=10),
    replace(THEIRS, status="completed", seconds=10),
    sound=Sound(9.0, 1.5),
)


@pytest.mark.parametrize(
    ("told", "listen", "status", "said"),
    [
        (GOOD, True, PASS, "first heard after 1.5 s of 9.0 s"),
        (
            replace(GOOD, sound=Sound(9.0, 1.5, "RE1 could not be deleted there")),
            True,
            PASS,
            "; RE1 could not be deleted",
        ),
        (replace(GOOD, sound=Sound(9.0, -1)), True, FAIL, "all of it is silence"),
        (replace(GOOD, sound="Twilio has no recording after 30 s"), True, UNKNOWN, "no recording"),
        (replace(GOOD, sound=""), True, UNKNOWN, "nothing was recorded"),
        (GOOD, False, SKIP, "nobody listened"),
    ],
)
def test_nothing_is_heard_that_twilio_did_not_record(told: Told, listen: bool, status: str, said: str) -> None:
    outcome = _real_call.judge_audio(Seen(), told, listen)
    assert (outcome.status, said in outcome.evidence) == (status, True)


@pytest.mark.parametrize(
    ("told", "status", "said"),
    [
        (
            GOOD,
            PASS,
            "CA1 (outbound-api) completed after 10 s, CA2 (inbound) completed after 10 s; it left call_log id 7",
        ),
        (
            replace(GOOD, early=True, noted=["31921", "9"]),
            FAIL,
            "notes 31921, the media stream was closed in the middle and 9",
        ),
        (replace(GOOD, theirs=replace(THEIRS, status="failed")), FAIL, "CA2 (inbound) failed"),
        (replace(GOOD, unended="CA1 is in-progress"), FAIL, "was not seen: CA1 is in-progress"),
    ],
)
def test_a_call_ends_as_twilio_says(told: Told, status: str, said: str) -> None:
    outcome = _real_call.judge_completed(Seen(), told, "it left call_log id 7")
    assert (outcome.status, said in outcome.evidence) == (status, True)
