# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A phone call that Twilio makes for us, to the number that the application answers.

Twilio keeps it as two calls, each with an id of its own: the one that we ask for (``outbound-api``), and the one that
comes in at the number (``inbound``), which is the one that the application knows. What the application says is heard by
Twilio, on the first one's line, and recorded there.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace

from ._admission import signals_raised
from ._call_marks import Sids
from ._call_order import SPARE, Real
from ._call_slot import CallSlot, Seen
from ._check import FAIL, PASS, SKIP, UNKNOWN, Outcome
from ._errors import OpsError, Unreachable
from ._first_call import HEARD_NOTHING, LOOK, Wish, rests_on_connected
from ._twilio_api import Account, Call, Refused, Sound

PAUSE = 0.5  # between two questions to Twilio
CONSOLE = "console.twilio.com, Monitor, Logs, Calls"

WHY = {
    "busy": "the number was busy",
    "no-answer": "nobody took the call",
    "failed": "the call could not be put through",
    "canceled": "somebody canceled the call",
    "completed": "the call was over at once",
}
REMEDIES = {
    "busy": "Look at the log for [CAPACITY] REJECTED, and whether the webhook answers with Reject.",
    "no-answer": "Look at what the number does with calls at console.twilio.com, Phone Numbers.",
}


# Of Twilio's error dictionary what a webhook and a media stream can do wrong.
NOTES = {
    "11200": "the webhook answered with an error",
    "11205": "the webhook could not be reached",
    "11210": "the host of the webhook has no address",
    "11220": "the webhook speaks no TLS that Twilio takes",
    "11237": "the certificate of the webhook is not valid",
    "12100": "the webhook's answer is no XML",
    "12300": "the webhook's answer has another content type than XML",
    "31920": "the media stream was refused",
    "31921": "the media stream was closed in the middle",
}


@dataclass
class Told:
    """What Twilio told.

    Attributes:
        ours, theirs: the two calls, as they were last seen.
        early: whether the call was over before we ended it.
        unended: why a call may still go on; empty when none does.
        noted: codes of what Twilio found wrong.
        sound: what the application said; in words why there is none.
    """

    ours: Call | None = None
    theirs: Call | None = None
    early: bool = False
    unended: str = ""
    noted: list[str] = field(default_factory=list)
    sound: Sound | str = ""

    @property
    def legs(self) -> list[Call]:
        return [call for call in (self.ours, self.theirs) if call]

    @property
    def errors(self) -> str:
        """What Twilio found wrong, in words."""
        said = [f"{code}, {NOTES[code]}" if code in NOTES else code for code in self.noted]
        return f"; Twilio notes {' and '.join(said)}" if said else ""


class RealCall:
    """One call through Twilio."""

    provider = True

    def __init__(self, wish: Wish, account: Account, real: Real) -> None:
        self._account, self._real = account, real
        self._slot = CallSlot(wish.marks, wish.claim, wish.release)
        self._before: set[str] | None = None  # calls that are none of ours; none as long as nothing was asked for
        self._lost = False  # whether a call was asked for, and what became of it is not known
        self.sid = ""
        self.sids = Sids()
        self.seen = Seen()
        self.told = Told()

    def place(self) -> None:
        """Make the call, and end it whatever happens, by SIGTERM, too."""
        with signals_raised():
            try:
                self._lead()
            except OpsError as error:
                status = UNKNOWN if isinstance(error, Unreachable) else FAIL
                self.seen.refusal = Outcome(status, error.problem, error.remedy or LOOK)
            finally:
                if self._before is not None:
                    self._hang_up()

    def _lead(self) -> None:
        # Asked first: a wrong token is seen before anything costs, and who calls meanwhile is told from us.
        self._before = {call.sid for call in self._account.calls_to(self._real.to)}
        self._lost = True
        try:
            self.told.ours = self._account.place(self._real.form())
        except Refused:
            self._lost = False
            raise
        self._lost = False
        self._wait_until_taken(self.told.ours.sid)
        taken = time.monotonic()
        self.seen.held = self._slot.holds(self.sid)
        self.seen.counted = self._slot.count(self.seen.held)
        while (left := taken + self._real.seconds - time.monotonic()) > 0:
            time.sleep(min(left, 2 * PAUSE))
            self._look()
            if self._over():
                self.told.early = True
                self._note()
                return

    def _wait_until_taken(self, ours: str) -> None:
        """Wait until the application has taken the call that comes in at its number."""
        until = time.monotonic() + self._real.answer
        while True:
            try:
                self.told.ours = self._account.call(ours)
                self.told.theirs = self._coming_in()
            except Unreachable:  # asked too often, perhaps; the call goes on meanwhile
                if time.monotonic() > until:
                    raise
            self.sid = self.told.theirs.sid if self.told.theirs else ""
            if self._over():
                self.told.early = True
                raise self._not_taken()
            if self.told.theirs and self.told.theirs.status == "in-progress":
                return
            if time.monotonic() > until:
                raise self._not_taken()
            time.sleep(PAUSE)

    def _coming_in(self) -> Call | None:
        found = [call for call in self._new() if call.direction == "inbound" and self._is_ours(call)]
        if len(found) > 1:
            raise OpsError(
                f"{len(found)} calls from {self._real.caller} to {self._real.to} came in at once.",
                "Let one run of verify end before the next one begins.",
            )
        return found[0] if found else None

    def _new(self) -> list[Call]:
        return [call for call in self._account.calls_to(self._real.to) if call.sid not in (self._before or ())]

    def _is_ours(self, call: Call) -> bool:
        ours = self.told.ours.sid if self.told.ours else ""
        return (bool(ours) and call.parent == ours) or call.caller == self._real.caller

    def _over(self) -> bool:
        return any(call.over for call in self.told.legs)

    def _not_taken(self) -> OpsError:
        ours, theirs = self.told.ours, self.told.theirs
        status = ours.status if ours else "unknown"
        self._note()
        noted = self.told.errors
        if not theirs and status not in ("busy", "no-answer", "canceled"):
            said = f"no call from {self._real.caller} came in at {self._real.to}; Twilio says of ours: {status}{noted}"
            return OpsError(said, f"Is {self._real.to} a number of this account? See {CONSOLE}.")
        if not self._over():
            coming = theirs.status if theirs else "not seen"
            said = f"the call was not taken within {self._real.answer:g} s: {status}, and {coming} at the number{noted}"
            return OpsError(said, f"{LOOK} See {CONSOLE}.")
        ended = theirs.status if theirs and theirs.status in WHY else status
        return OpsError(f"{WHY.get(ended, status)}{noted}", REMEDIES.get(ended, f"{LOOK} See {CONSOLE}."))

    def _note(self) -> None:
        self.told.noted = sorted({code for call in self.told.legs for code in self._account.noted(call.sid)})

    def _look(self) -> None:
        """See how the two calls are; one question that fails is no end of the call."""
        with contextlib.suppress(Unreachable):
            if self.told.ours:
                self.told.ours = self._account.call(self.told.ours.sid)
            if self.told.theirs:
                self.told.theirs = self._account.call(self.told.theirs.sid)

    def _hang_up(self) -> None:
        """End both calls and see that they are over; then the slot, and what was recorded."""
        self._end()
        self.sids.given = [call.sid for call in self.told.legs]
        if self.sid:
            self._slot.settle(self.sid, self.seen)
        if self._real.listen and self.told.ours and self.told.ours.status == "completed":
            self.told.sound = self._listened(self.told.ours.sid)

    def _end(self) -> None:
        until = time.monotonic() + self._real.end
        while True:
            try:
                self._find_again()
                for call in self.told.legs:
                    if not call.over:
                        self._account.end(call.sid)
                self.told.ours = self._account.call(self.told.ours.sid) if self.told.ours else None
                self.told.theirs = self._account.call(self.told.theirs.sid) if self.told.theirs else None
                self.told.unended = ", ".join(
                    f"{call.sid} is {call.status}" for call in self.told.legs if not call.over
                )
                self._lost = self._lost and not self.told.ours
            except OpsError as error:
                names = " and ".join(call.sid for call in self.told.legs) or "a call that Twilio has not named"
                self.told.unended = f"{names}: {error.problem.rstrip('.')}"
            if time.monotonic() > until or not (self.told.unended or self._lost):
                return
            time.sleep(PAUSE)

    def _find_again(self) -> None:
        """Find a call that Twilio made and did not tell us of, and the one that comes in."""
        if self.told.ours and self.told.theirs:
            return
        new = self._new() if self.told.ours or self._lost else []  # a call that was refused is nowhere
        if not self.told.ours:
            mine = [call for call in new if call.direction == "outbound-api" and call.caller == self._real.caller]
            self.told.ours = mine[0] if mine else None
        if not self.told.theirs:
            coming = [call for call in new if call.direction == "inbound" and self._is_ours(call)]
            self.told.theirs = coming[0] if len(coming) == 1 else None
            self.sid = self.told.theirs.sid if self.told.theirs else ""

    def _listened(self, sid: str) -> Sound | str:
        """Listen to what Twilio recorded, and have it deleted: what is not there within its time will not be."""
        until = time.monotonic() + self._real.recorded
        try:
            while True:
                found = self._account.recordings(sid)
                for recording, status in found.items():
                    if status == "completed":
                        return self._heard(recording)
                if time.monotonic() > until:
                    return f"Twilio has no recording after {self._real.recorded:g} s" + (
                        f": {', '.join(found.values())}" if found else ""
                    )
                time.sleep(PAUSE)
        except OpsError as error:
            return error.problem.rstrip(".")

    def _heard(self, recording: str) -> Sound | str:
        sound: Sound | str
        try:
            sound = self._account.sound(recording)
        except OpsError as error:
            sound = error.problem.rstrip(".")
        try:
            self._account.forget(recording)
        except OpsError:
            kept = f"{recording} could not be deleted there"
            return replace(sound, kept=kept) if isinstance(sound, Sound) else f"{sound}; {kept}"
        return sound

    def judged(self, left: str) -> dict[str, Outcome]:
        return {
            "call.connected": judge_connected(self.seen, self.told),
            "call.audio": judge_audio(self.seen, self.told, self._real.listen),
            "call.completed": judge_completed(self.seen, self.told, left),
        }


def judge_connected(seen: Seen, told: Told) -> Outcome:
    if seen.refusal:
        return seen.refusal
    sid, lasted = (told.theirs.sid, told.theirs.seconds) if told.theirs else ("", -1)
    if told.early:
        said = f"the application hung up on {sid} after {max(lasted, 0)} s, a sentence or a broken stream{told.errors}"
        return Outcome(FAIL, said, f"{LOOK} See {CONSOLE}.")
    return Outcome(PASS, f"Twilio's call {sid} was taken, and the line stayed open until it was ended from here")


def judge_audio(seen: Seen, told: Told, listen: bool) -> Outcome:
    if seen.refusal:
        return rests_on_connected()
    if not listen:
        return Outcome(SKIP, "nobody listened: real_call.listen is off")
    if isinstance(told.sound, str):
        said = told.sound or "nothing was recorded, since the call could not be ended"
        return Outcome(UNKNOWN, said, f"See {CONSOLE}.")
    if told.sound.first < 0:
        said = f"Twilio recorded {told.sound.seconds:.1f} s of the application, and all of it is silence"
        return Outcome(FAIL, said, HEARD_NOTHING)
    said = f"first heard after {told.sound.first:g} s of {told.sound.seconds:.1f} s that Twilio recorded"
    return Outcome(PASS, said + (f"; {told.sound.kept}" if told.sound.kept else ""))


def judge_completed(seen: Seen, told: Told, left: str) -> Outcome:
    """Judge the end: a call that may still go on costs, so that comes before everything else."""
    if told.unended:
        remedy = f"End it: {CONSOLE}. Twilio ends it by itself {SPARE} s after its time."
        return Outcome(FAIL, f"the end of the call was not seen: {told.unended}", remedy)
    if seen.refusal:
        return rests_on_connected()
    legs = told.legs
    said = ", ".join(f"{call.sid} ({call.direction}) {call.status} after {max(call.seconds, 0)} s" for call in legs)
    if told.early or any(call.status != "completed" for call in legs):
        early = "the application ended the call: " if told.early else ""
        return Outcome(FAIL, f"{early}{said}{told.errors}", f"{LOOK} See {CONSOLE}.")
    return Outcome(PASS, f"{said}; {left}")
