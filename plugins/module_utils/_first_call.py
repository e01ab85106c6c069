# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole phone call without a phone: what Twilio does, done by us, and what the application makes of it.

A signed webhook, the media stream that its answer names, speech, the end. The call's slot is given back whatever
happens, by the application if it does so, else by us.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from . import _media_stream
from ._admission import signals_raised
from ._call_marks import Marks, Sids
from ._call_slot import PAUSE, CallSlot, Seen
from ._check import FAIL, PASS, SKIP, UNKNOWN, Check, Outcome, Report, stopwatch
from ._claim import Claim
from ._errors import OpsError, Unreachable
from ._media_stream import Start, Talk
from ._twilio import Webhook, connection_of, judge_stream, unexpected

HANGUP = 1.0  # a call that the other side ends sooner was hung up on

TITLES = {
    "call.connected": "A call is taken and gets its media stream",
    "call.audio": "Something is heard",
    "call.answer_makes_sense": "What is answered makes sense",
    "call.acquired": "The call takes a slot, and the log says so",
    "call.counted": "The application counts the call",
    "call.completed": "The call ends in the ordinary way",
    "call.released": "The log says that the slot was given back",
    "call.uncounted": "The call is counted no more",
    "call.recording": "The call's recording is saved",
}
QUESTION = "Did somebody call the number with a phone, and did the answers make sense?"
LOOK = "Look at the log of the service that takes the stream."
HEARD_NOTHING = "Look for the voice service's errors in the log, and try its API key."


@dataclass(frozen=True)
class Lines:
    """What the application logs of a call; ``{sid}`` stands for its id."""

    acquired: str = ""
    released: str = ""


@dataclass(frozen=True)
class Recordings:
    """Where recordings are saved.

    Attributes:
        services: those that save or read them; the first one that has the file will do, all must be able to write.
        name: pattern of the file's name; ``{sid}`` stands for the call's id.
        deadline: seconds after the call in which the file must be there.
    """

    services: Sequence[str]
    path: str
    name: str
    deadline: float


@dataclass(frozen=True)
class Wish:
    """The call that is wanted.

    Attributes:
        claim: asks the application what it counts.
        account: the account's id, as the stream is told it.
        numbers: From and To, where the call is to look like somebody's; the application may make a lead of it.
        release: seconds after the end in which the slot must be free.
    """

    hook: Webhook
    marks: Marks
    claim: Callable[[], Claim]
    account: str
    talk: Talk
    lines: Lines = field(default_factory=Lines)
    recordings: Recordings | None = None
    numbers: Mapping[str, str] = field(default_factory=dict)
    release: float = 10.0


class Placed(t.Protocol):
    """A call that is to be made, and what was seen of it.

    Attributes:
        sid: its id, as the application knows it; empty as long as it has none.
        sids: the ids that may stand in rows of the application.
        provider: whether the phone provider made it, who then records it, too.
    """

    sid: str
    sids: Sids
    seen: Seen
    provider: bool

    def place(self) -> None: ...

    def judged(self, left: str) -> dict[str, Outcome]: ...


class FirstCall:
    """One call without a phone."""

    provider = False

    def __init__(self, wish: Wish) -> None:
        self._wish, self._hook = wish, wish.hook
        self._slot = CallSlot(wish.marks, wish.claim, wish.release)
        self.sids = Sids()
        self.sid = self.sids.new()
        self.seen = Seen()

    def place(self) -> None:
        """Lead the call from its webhook to its end. The end comes whatever happens, by SIGTERM, too."""
        with signals_raised():
            try:
                self._lead()
            except OpsError as error:
                self.seen.refusal = Outcome(FAIL, error.problem, error.remedy or "Look at the log of the service.")
            finally:
                self._hang_up()

    def _lead(self) -> None:
        params = {"CallSid": self.sid, **self._wish.numbers}
        answer = self._hook.send(self._hook.incoming, params, self._hook.signature(self._hook.incoming, params))
        self.seen.held = self._slot.holds(self.sid)
        told = judge_stream(answer, self._hook.stream) if answer.status == 200 else unexpected(answer, [200])
        if told.status != PASS:
            self.seen.refusal = told
            return
        connection = connection_of(answer.body)
        line = _media_stream.dial(self._hook.http, connection.url, self._hook.address)
        start = Start(self._wish.account, self.sid, connection.parameters)
        with ThreadPoolExecutor(max_workers=1) as pool:
            counting = pool.submit(self._count)
            try:
                self.seen.heard = line.talk(start, self._wish.talk)
            finally:
                self.seen.closed = line.close()
            self.seen.counted = counting.result()

    def _count(self) -> Outcome:
        time.sleep(PAUSE)  # the stream has begun
        return self._slot.count(self.seen.held)

    def _hang_up(self) -> None:
        """Tell the end of the call, wait for its slot, and take that out where the application does not."""
        seconds = str(int(self.seen.heard.lasted))
        try:
            answer = self._hook.end(self.sid, "completed", CallDuration=seconds)
            if answer.status not in self._hook.ended:
                self.seen.ended = unexpected(answer, self._hook.ended).evidence
        except OpsError as error:
            self.seen.ended = error.problem.rstrip(".")
        self._slot.settle(self.sid, self.seen)

    def judged(self, left: str) -> dict[str, Outcome]:
        """Judge what our own side of the line alone can tell; ``left`` says what the application keeps of the call."""
        seen = self.seen
        return {
            "call.connected": judge_connected(seen),
            "call.audio": judge_audio(seen),
            "call.completed": judge_completed(seen, left),
        }


def inspect(wish: Wish, preview: bool = False, make: Callable[[Wish], Placed] = FirstCall) -> Report:
    """Make the call where there is room for one, and judge what was seen; with ``preview`` make none."""
    with stopwatch() as seconds:
        try:
            why = "that would take a slot, and check mode changes nothing" if preview else wish.marks.no_room()
            since = wish.marks.now()
        except OpsError as error:
            return _report(dict.fromkeys(TITLES, Outcome(UNKNOWN, error.problem, error.remedy)), wish, seconds())
        if why:
            return _report(dict.fromkeys(TITLES, Outcome(SKIP, f"no call was made: {why}")), wish, seconds())
        call = make(wish)
        call.place()
        seen = call.seen
        rows, left = _rows(wish.marks, call.sids)
        outcomes = {
            **call.judged(left),
            "call.acquired": _told(lambda: judge_acquired(seen, wish, call.sid, since)),
            "call.counted": judge_counted(seen),
            "call.released": _told(lambda: judge_released(seen, wish, call.sid, since)),
            "call.uncounted": judge_uncounted(seen, call.sid),
            "call.recording": _told(lambda: judge_recording(seen, wish, call.sid, call.provider)),
        }
        report = _report(outcomes, wish, seconds())
        report.facts["call"] = {"sid": call.sid, "rows": rows}
        return report


def _report(outcomes: Mapping[str, Outcome], wish: Wish, seconds: float) -> Report:
    asked = Outcome(
        UNKNOWN, "only a person can tell", "Call the number, speak, and listen; then attest it by name.", QUESTION
    )
    found = {**outcomes, "call.answer_makes_sense": asked}
    checks = [Check(name, title, *found[name], seconds=seconds) for name, title in TITLES.items()]
    return Report(checks, secrets={wish.hook.token, *wish.marks.secrets})


def _told(judge: Callable[[], Outcome]) -> Outcome:
    try:
        return judge()
    except OpsError as error:
        return Outcome(UNKNOWN if isinstance(error, Unreachable) else FAIL, error.problem, error.remedy)


def _rows(marks: Marks, sids: Sids) -> tuple[list[str], str]:
    """Return the rows that name the call, and what is said of them."""
    if not marks.database:
        return [], "nobody looked for its rows"
    try:
        rows = marks.rows(sids)
    except OpsError as error:
        return [], f"its rows could not be read ({error.problem.rstrip('.')})"
    return rows, f"it left {', '.join(rows)}" if rows else "no row names it"


def rests_on_connected() -> Outcome:
    return Outcome(UNKNOWN, "there was no call to look at", "See call.connected.")


def judge_connected(seen: Seen) -> Outcome:
    if seen.refusal:
        return seen.refusal
    if seen.heard.broken and seen.heard.lasted < HANGUP:
        said = f"the media stream ended after {seen.heard.lasted:.1f} s: {seen.heard.broken}"
        return Outcome(FAIL, said, f"{LOOK} One that must know who is called needs a number: To.")
    return Outcome(PASS, "the signed webhook named a media stream, which was opened at the public address")


def judge_audio(seen: Seen) -> Outcome:
    heard = seen.heard
    if seen.refusal:
        return rests_on_connected()
    if not heard.frames:
        return Outcome(FAIL, f"no sound came back within {heard.lasted:.1f} s", HEARD_NOTHING)
    if not heard.audible:
        return Outcome(FAIL, f"{heard.seconds:.1f} s of sound came back, and all of it is silence", HEARD_NOTHING)
    also = f", {heard.told} of {heard.marks} marks told" if heard.marks else ""
    also += f", {heard.clears} times cleared" if heard.clears else ""
    said = f"first heard after {heard.first:g} s; {heard.frames} messages with {heard.seconds:.1f} s of sound{also}"
    return Outcome(PASS, said)


def judge_acquired(seen: Seen, wish: Wish, sid: str, since: float) -> Outcome:
    if seen.refusal and not seen.held:
        return rests_on_connected()
    log = wish.marks.log_service
    if not seen.held:
        said = f"the webhook was answered, and Redis has no slot of {sid}"
        return Outcome(FAIL, said, f"Compare REDIS_URL of {log} with the Redis of the stack.")
    text = wish.lines.acquired.format(sid=sid)
    if text and wish.marks.missing(since, {text: 1}):
        said = f"Redis has the slot, and the log of {log} has no line with {text!r}"
        return Outcome(FAIL, said, f"Look at the level of its log (LOG_LEVEL), and at docker compose logs {log}")
    return Outcome(PASS, f"Redis had the slot, and the log of {log} has {text!r}")


def judge_counted(seen: Seen) -> Outcome:
    if seen.refusal or seen.counted is None:
        return rests_on_connected()
    return seen.counted._replace(evidence=f"in the middle of the call: {seen.counted.evidence}")


def judge_completed(seen: Seen, left: str) -> Outcome:
    if seen.refusal:
        return rests_on_connected()
    if seen.heard.broken:
        said = f"the media stream broke after {seen.heard.lasted:.1f} s: {seen.heard.broken}"
        return Outcome(FAIL, said, LOOK)
    if seen.ended:
        said = f"the end of the call was not taken: {seen.ended}"
        return Outcome(FAIL, said, "Look at the log of the service behind the status callback.")
    how = "ended the stream when told to" if seen.closed else f"left the stream open for {_media_stream.GOODBYE:g} s"
    return Outcome(PASS, f"{seen.heard.lasted:.1f} s; the application {how} and took the status callback; {left}")


def judge_released(seen: Seen, wish: Wish, sid: str, since: float) -> Outcome:
    if seen.refusal and not seen.held:
        return rests_on_connected()
    text, log = wish.lines.released.format(sid=sid), wish.marks.log_service
    if text and wish.marks.missing(since, {text: 1}):
        said = f"the log of {log} has no line with {text!r}"
        return Outcome(FAIL, said, f"See call.uncounted, and look at docker compose logs {log}")
    return Outcome(PASS, f"the log of {log} has {text!r}")


def judge_uncounted(seen: Seen, sid: str) -> Outcome:
    if not seen.held:
        return rests_on_connected() if seen.refusal else Outcome(UNKNOWN, "it never had a slot", "See call.acquired.")
    if not seen.freed:
        said = f"the application kept the slot of {sid}: {seen.left}"
        return Outcome(FAIL, said, "Find in its log why it did not end the call: each one takes a slot for ever.")
    if seen.uncounted is None:
        return Outcome(UNKNOWN, seen.left, "See the check of the slots.")
    return seen.uncounted._replace(evidence=f"the slot is free; after the call: {seen.uncounted.evidence}")


def judge_recording(seen: Seen, wish: Wish, sid: str, provider: bool = False) -> Outcome:
    """Look for the file. Where Twilio did not make the call there may be none for that reason: a person can tell."""
    if seen.refusal:
        return rests_on_connected()
    wanted = wish.recordings
    if not wanted:
        return Outcome(SKIP, "it is not said where recordings are")
    engine, name = wish.marks.engine(), wanted.name.format(sid=sid)
    running = {
        service: one.id
        for service in wanted.services
        for one in engine.containers(wish.marks.project, service)
        if one.running and not one.one_off
    }
    until = time.monotonic() + wanted.deadline
    while running:
        for service, container in running.items():
            look = ["find", wanted.path, "-name", name, "-size", "+0", "-printf", "%f, %s bytes\n"]
            code, said = engine.run_in(container, look)
            if code == 0 and said:
                return Outcome(PASS, f"{wanted.path}/{said.splitlines()[0]} ({service})")
        sealed = [name for name, one in running.items() if engine.run_in(one, ["test", "-w", wanted.path])[0]]
        if sealed:
            said = f"{', '.join(sealed)} cannot write to {wanted.path}: no recording can be saved"
            return Outcome(FAIL, said, "Look at its mount: docker inspect -f '{{json .Mounts}}'")
        if time.monotonic() > until:
            break
        time.sleep(PAUSE)
    if not running:
        raise Unreachable(f"none of {', '.join(wanted.services)} runs", "See the checks of the services.")
    said = f"no file {name} in {wanted.path}, which can be written to"
    if provider:
        services = " ".join(wanted.services)
        said = f"{said}, {wanted.deadline:g} s after a call that the phone provider made"
        return Outcome(FAIL, said, f"Find who fetches recordings: docker compose logs {services}")
    said += "; the phone provider records its own calls only"
    question = "Is the recording of a call with a phone saved?"
    return Outcome(UNKNOWN, said, "Call the number with a phone and look for its recording; then attest it.", question)
