# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scheduler that shows its life by a lock in Redis: it takes the lock for each of its cycles, and nobody gives it back.

The lock runs out and is taken again within seconds. One that was taken before the container started is that of its
predecessor, and says nothing yet.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._check import FAIL, PASS, SKIP, UNKNOWN, Outcome

FREE, ENDLESS = -2, -1  # what Redis answers to TTL


@dataclass(frozen=True)
class Wanted:
    """What is wanted of the lock.

    Attributes:
        service: the scheduler.
        lock: key of the lock.
        ttl: seconds for which it is taken.
        within: seconds within which a free lock is taken by a scheduler that lives.
        starts: seconds that a scheduler needs from its start to its first cycle.
    """

    service: str
    lock: str
    ttl: int
    within: int = 20
    starts: int = 60


@dataclass(frozen=True)
class Seen:
    """What was seen.

    Attributes:
        left: seconds that the lock still has, or ``FREE`` or ``ENDLESS``.
        up: seconds since the container of the scheduler started; negative where none runs.
        watched: seconds for which the lock has been free while it was watched.
    """

    left: int
    up: float
    watched: float = 0.0


def open_(seen: Seen, wanted: Wanted) -> bool:
    """Whether waiting may still change the answer."""
    return seen.left == FREE and seen.up >= 0 and (seen.watched < wanted.within or seen.up < wanted.starts)


def judge(seen: Seen, wanted: Wanted) -> Outcome:
    log = f"Look at its log: docker compose logs --tail 50 {wanted.service}"
    if seen.up < 0:
        return Outcome(FAIL, f"service {wanted.service} does not run, so nothing is scheduled", log)
    if seen.left == ENDLESS or seen.left > wanted.ttl:
        end = "has no end" if seen.left == ENDLESS else f"lasts another {seen.left} s, more than {wanted.ttl}"
        said = f"the lock {wanted.lock} {end}: no cycle begins before somebody takes it away"
        return Outcome(FAIL, said, f"redis-cli DEL {wanted.lock}")
    if seen.left == FREE:
        if open_(seen, wanted):
            said = f"the lock {wanted.lock} is free, and was watched for {seen.watched:.0f} s only"
            return Outcome(UNKNOWN, said, "Run it again.")
        said = f"nobody took the lock {wanted.lock} for {seen.watched:.0f} s: no cycle begins"
        return Outcome(FAIL, said, log)
    age = wanted.ttl - seen.left
    if age > seen.up + 1:  # whole seconds of Redis against the engine's
        said = f"its first cycle is due in {seen.left} s: until then the lock is that of the scheduler before it"
        return Outcome(SKIP, said)
    return Outcome(PASS, f"its last cycle began {age} s ago")
