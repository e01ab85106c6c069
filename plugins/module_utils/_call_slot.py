# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The slot of one call, from its beginning to its end, and all that is seen of the call; however the call was made.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import _capacity
from ._call_marks import Marks
from ._check import FAIL, PASS, UNKNOWN, Outcome
from ._claim import Claim
from ._errors import OpsError
from ._media_stream import Heard

PAUSE = 0.1

_OUT = (
    "redis.call('SREM', KEYS[1], ARGV[1]) redis.call('DEL', KEYS[2]) return redis.call('SISMEMBER', KEYS[1], ARGV[1])"
)


@dataclass
class Seen:
    """What was seen of the call.

    Attributes:
        refusal: why there was no stream; none when there was one.
        held: whether Redis had the slot after the webhook.
        counted: what the application counted in the middle of the call.
        heard: what came over the stream.
        closed: whether the application ended the stream when it was told to.
        ended: what was wrong with the status callback; empty when it was accepted.
        freed: whether the application gave the slot back.
        left: what became of a slot that it kept, or what kept us from looking, in words.
        uncounted: what it counted afterwards.
    """

    refusal: Outcome | None = None
    held: bool = False
    counted: Outcome | None = None
    heard: Heard = field(default_factory=Heard)
    closed: bool = False
    ended: str = ""
    freed: bool = False
    left: str = ""
    uncounted: Outcome | None = None


class CallSlot:
    """Where the slot of a call is looked for.

    Args:
        claim: asks the application what it counts.
        release: seconds after the end in which the slot must be free.
    """

    def __init__(self, marks: Marks, claim: Callable[[], Claim], release: float) -> None:
        self._marks, self._claim, self._release = marks, claim, release

    def holds(self, sid: str) -> bool:
        return sid in self._marks.store().slots().live

    def count(self, held: bool) -> Outcome:
        """Ask the application in the middle of a call, with ours among the slots before and after."""
        try:
            outcome = self._asked()
        except OpsError as error:
            return Outcome(UNKNOWN, error.problem, error.remedy)
        if outcome.status == PASS and not held:
            return Outcome(FAIL, f"it counts {outcome.evidence}, and this call is not among them", outcome.remedy)
        return outcome

    def settle(self, sid: str, seen: Seen) -> None:
        """Wait for the slot of a call that is over, take it out where the application keeps it, and ask once more."""
        try:
            seen.freed = self._freed(sid)
            if not seen.freed:
                seen.left = self._take_out(sid)
            seen.uncounted = self._asked()
        except OpsError as error:
            seen.left = error.problem.rstrip(".")

    def _asked(self) -> Outcome:
        store = self._marks.store()
        return _capacity.ask_while_it_moves(store, self._claim, store.count())[1]

    def _freed(self, sid: str) -> bool:
        store, until = self._marks.store(), time.monotonic() + self._release
        member, key = store.keys.members, store.keys.of(sid)
        while store.ask(lambda redis: redis.sismember(member, sid) or redis.exists(key)):
            if time.monotonic() > until:
                return False
            time.sleep(PAUSE)
        return True

    def _take_out(self, sid: str) -> str:
        store = self._marks.store()
        still = store.script(_OUT, [store.keys.members, store.keys.of(sid)], [sid])
        return "it is still there" if still else "it was taken out here"
