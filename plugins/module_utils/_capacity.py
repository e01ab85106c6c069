# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots that limit how much happens at once, kept in Redis: one set of members, and one key with a lifetime per member.

A member whose key is gone is leaked: nobody will give it back, and it takes room for ever. Redis itself is asked; what
the application says of itself is compared with it, since an application that cannot reach its Redis may well say 0.
Members of ours (``FILLER``) are no work: they take all the room while a deployment keeps new work out (_admission.py).

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import time
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ._check import FAIL, PASS, UNKNOWN, WARN, Check, Outcome, Report
from ._claim import Claim
from ._errors import OpsError, Unreachable

# Where the slots are: options of the modules that read them.
OPTIONS: dict[str, t.Any] = {
    "redis_service": {"type": "str", "default": "redis"},
    "redis_port": {"type": "int", "default": 6379},
    "redis_db": {"type": "int", "default": 0},
    "set_key": {"type": "str", "default": "calls:active", "no_log": False},
    "slot_key": {"type": "str", "default": "calls:active:{member}", "no_log": False},
}

SECOND_LOOK = 0.5  # seconds in which a slot that is just being given back or taken comes to rest
TIMEOUT = 5.0
ATTEMPTS = 3

_NO_KEY = -2  # what Redis answers to TTL
FILLER = "prosaas-ops:"  # begins the members that are no work, and goes on with the run and a number

# Atomic in Redis: a slot that has been taken again in the meantime is left alone.
_RELEASE = "if redis.call('EXISTS', KEYS[2]) == 0 then return redis.call('SREM', KEYS[1], ARGV[1]) end return 0"

RELEASE = "ansible-playbook prosaas.ops.verify --tags verify_capacity -e verify_capacity_release_leaked=true"
SEE = "See capacity.endpoint"

Answered = t.TypeVar("Answered")


@dataclass(frozen=True)
class Keys:
    """Names of the keys: the set of members, and the key of one ``{member}``."""

    members: str
    slot: str

    def of(self, member: str) -> str:
        return self.slot.replace("{member}", member)


@dataclass(frozen=True)
class Slots:
    """What Redis said.

    Attributes:
        live: members whose key exists.
        leaked: members whose key was missing twice.
        evicted: keys that this Redis has thrown out to make room; more than 0 means that a missing key proves nothing.
        left: seconds that the key of a live member still has; -1 for one that has no end.
        fillers: members of ours whose key exists: admission is closed.
        abandoned: members of ours whose key is gone: nobody keeps admission closed any more, but for them.
    """

    live: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()
    evicted: int = 0
    left: Mapping[str, int] = field(default_factory=dict)
    fillers: tuple[str, ...] = ()
    abandoned: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return len(self.live) + len(self.leaked)

    @property
    def closed_by(self) -> str:
        """Who closed admission, in words; empty when it is open."""
        return ", ".join(sorted({member[len(FILLER) :].rpartition(":")[0] for member in self.ours}))

    @property
    def ours(self) -> tuple[str, ...]:
        return (*self.fillers, *self.abandoned)

    @property
    def members(self) -> int:
        """How many the set has, which is what the application counts."""
        return self.total + len(self.ours)


@dataclass(frozen=True)
class Wanted:
    """What the limit should be, and where that is written."""

    limit: int | None
    source: str


class Store:
    """The Redis that holds the slots."""

    def __init__(self, url: str, where: str, keys: Keys) -> None:
        import redis

        self.keys, self.url, self._where = keys, url, where
        with self._answering():
            self._redis = redis.Redis.from_url(
                url,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                decode_responses=True,
                encoding_errors="surrogateescape",
            )

    def ping(self) -> str:
        with self._answering():
            start = time.monotonic()
            if not self._redis.ping():
                raise OpsError(f"{self._where} does not answer PING with PONG.", "Look at its log.")
        return f"PONG from {self._where} in {(time.monotonic() - start) * 1000:.0f} ms"

    def count(self) -> int:
        with self._answering():
            return int(self._redis.scard(self.keys.members))

    def slots(self) -> Slots:
        """Return the slots; one that looks leaked is looked at again, since it may have been on its way."""
        with self._answering():
            live, suspects = self._split(self._members())
            if suspects:
                time.sleep(SECOND_LOOK)
                there = set(self._members())
                late, suspects = self._split([member for member in suspects if member in there])
                live = {**live, **late}
            evicted = int(self._redis.info("stats").get("evicted_keys", 0))
        work, fillers = _parted(sorted(live))
        leaked, abandoned = _parted(suspects)
        return Slots(work, leaked, evicted, {member: live[member] for member in work}, fillers, abandoned)

    def _members(self) -> list[str]:
        return sorted(str(member) for member in self._redis.smembers(self.keys.members))

    def _split(self, members: Sequence[str]) -> tuple[dict[str, int], list[str]]:
        """Return the members whose key exists with the seconds that it has left, and the others."""
        pipeline = self._redis.pipeline(transaction=True)
        for member in members:
            pipeline.ttl(self.keys.of(member))
        left = dict(zip(members, pipeline.execute()))
        there = {member: int(seconds) for member, seconds in left.items() if seconds != _NO_KEY}
        return there, [member for member in members if member not in there]

    def script(self, text: str, keys: Sequence[str], arguments: Sequence[str | int]) -> int:
        """Run a program in Redis, all of it at once for everybody else, and return its number."""
        with self._answering():
            return int(self._redis.eval(text, len(keys), *keys, *map(str, arguments)))

    def ask(self, question: t.Callable[[t.Any], Answered]) -> Answered:
        """Let a question that is none of ours be asked with the client; what goes wrong is said as always."""
        with self._answering():
            return question(self._redis)

    def release(self, members: Sequence[str]) -> list[str]:
        """Take leaked members out of the set; return those that were still leaked when Redis did it."""
        with self._answering():
            script = self._redis.register_script(_RELEASE)
            return [m for m in members if script(keys=[self.keys.members, self.keys.of(m)], args=[m])]

    @contextmanager
    def _answering(self) -> Iterator[None]:
        import redis.exceptions

        try:
            yield
        except redis.exceptions.AuthenticationError:
            raise OpsError(f"{self._where} refuses the password.", "Correct the Redis URL.") from None
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError):
            raise OpsError(f"{self._where} does not answer.", "Look at its log.") from None
        except (redis.exceptions.RedisError, ValueError) as error:
            raise OpsError(f"{self._where} refused: {error}", "Look at what is stored there.") from None


def _parted(members: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tell members that stand for work from ours."""
    ours = tuple(member for member in members if member.startswith(FILLER))
    return tuple(member for member in members if member not in ours), ours


def examine(
    store: Store, keys: Keys, claim: t.Callable[[], Claim], wanted: Wanted, release: bool, preview: bool
) -> Report:
    """Read the slots, ask the application, compare; release leaked slots where that is asked for."""
    try:
        pong, slots = store.ping(), store.slots()
    except OpsError as error:
        return unread(error)
    said, heard = ask_while_it_moves(store, claim, slots.members)
    limit = said.limit if said else wanted.limit
    releasable = slots.leaked if release and not slots.evicted else ()
    left_behind = slots.abandoned if release else ()
    if preview:
        released, opened = list(releasable), list(left_behind)
    else:
        released, opened = store.release(releasable), store.release(left_behind)
    found = {
        "redis": Outcome(PASS, pong),
        "endpoint": heard,
        "limit": judge_limit(said, wanted) if said else Outcome(UNKNOWN, "the application does not tell it", SEE),
        "leaked": told_release(slots, released, preview) if releasable else judge_leaked(slots, keys),
        "free": judge_free(slots, limit) if limit else Outcome(UNKNOWN, "the limit is not known", SEE),
        "admission": told_opened(slots, preview) if left_behind else judge_admission(slots),
    }
    checks = [Check(f"capacity.{name}", title, *found[name]) for name, title in TITLES.items()]
    facts: dict[str, t.Any] = {
        "slots": slots.total,
        "live": list(slots.live),
        "leaked": list(slots.leaked),
        "limit": limit,
    }
    facts["closed_by"] = slots.closed_by
    gone = {*released, *opened}
    return Report(checks, facts, changed=bool(gone), diff=_diff(keys, slots, gone))


TITLES = {
    "redis": "Redis answers",
    "endpoint": "The application counts what Redis holds",
    "limit": "The limit is the configured one",
    "leaked": "Every slot that is taken belongs to live work",
    "free": "There is room for more",
    "admission": "New work is let in",
}


def unread(error: OpsError) -> Report:
    """Report that Redis could not be read: a failure, or unknown where even the engine is away; never 0 slots."""
    away = isinstance(error, Unreachable)
    outcomes = dict.fromkeys(TITLES, Outcome(UNKNOWN, "Redis was not read", "See capacity.redis"))
    outcomes["redis"] = Outcome(UNKNOWN if away else FAIL, error.problem, error.remedy)
    return Report([Check(f"capacity.{name}", title, *outcomes[name]) for name, title in TITLES.items()])


def wanted_limit(values: Mapping[str, str], variable: str, default: int, fallback: str = "") -> Wanted:
    """Return what the environment file says the limit is, else what the application takes without it."""
    found, other = (_number(values.get(name)) for name in (variable, fallback))
    if found is not None:
        return Wanted(found, variable)
    if other is not None:
        return Wanted(other, f"{fallback}, as {variable} has no number,")
    return Wanted(default or None, f"the default, as {variable} has no number," if variable else "the configuration")


def _number(written: str | None) -> int | None:
    return int(written) if written and written.strip().isdigit() else None


def ask_while_it_moves(store: Store, claim: t.Callable[[], Claim], before: int) -> tuple[Claim | None, Outcome]:
    """Compare the application's count with those of Redis around it, a few times: calls begin and end meanwhile."""
    try:
        for _attempt in range(ATTEMPTS):
            said, after = claim(), store.count()
            outcome = judge_claim(said, before, after)
            if outcome.status == PASS:
                break
            before = after
        return said, outcome
    except OpsError as error:
        return None, Outcome(FAIL, error.problem, error.remedy)


def _diff(keys: Keys, slots: Slots, gone: set[str]) -> list[dict[str, str]]:
    if not gone:
        return []
    members = sorted([*slots.live, *slots.leaked, *slots.ours])
    before, after = ("".join(f"{m}\n" for m in some) for some in (members, [m for m in members if m not in gone]))
    return [{"before_header": keys.members, "after_header": keys.members, "before": before, "after": after}]


def judge_admission(slots: Slots) -> Outcome:
    """Judge whether a deployment keeps new work out: one that does is a remark, one that is gone a fault."""
    if slots.fillers:
        said = f"admission is closed by {slots.closed_by}, which lets no new work in while it replaces something"
        return Outcome(WARN, said, "Wait until it has ended; when it is gone, this ends within a minute.")
    if slots.abandoned:
        said = f"admission is still closed by {slots.closed_by}, which is gone: its {len(slots.abandoned)} members stay"
        return Outcome(FAIL, said, f"Remove them: {RELEASE}")
    return Outcome(PASS, "it is open")


def told_opened(slots: Slots, preview: bool) -> Outcome:
    said = f"admission was left closed by {slots.closed_by}, which is gone"
    if preview:
        return Outcome(WARN, f"{said}; it would be opened", "Run it without --check.")
    return Outcome(WARN, f"{said}; it was opened", "Look at the record of that run.")


def judge_leaked(slots: Slots, keys: Keys) -> Outcome:
    if not slots.leaked:
        said = f"{slots.total} taken, every one live: work is going on"
        return Outcome(PASS, said if slots.total else "0: no slot is taken")
    if slots.evicted:
        by_hand = f"Compare with the work that is in progress, then: redis-cli SREM {keys.members} {slots.leaked[0]}"
        said = f"{_leaked(slots)}, or Redis threw their keys out: it has evicted {slots.evicted}"
        return Outcome(UNKNOWN, said, by_hand)
    return Outcome(FAIL, _leaked(slots), f"Release them: {RELEASE}")


def told_release(slots: Slots, released: Sequence[str], preview: bool) -> Outcome:
    """Say what became of the leaked slots, or what would (``preview``)."""
    if preview:
        return Outcome(WARN, f"{_leaked(slots)}; they would be released", "Run it without --check.")
    if len(released) < len(slots.leaked):
        return Outcome(WARN, f"{_leaked(slots)}; {len(released)} released, the rest is alive again", "Run it again.")
    return Outcome(WARN, f"{_leaked(slots)}; they were released", "Find in the log why they were not given back.")


def _leaked(slots: Slots) -> str:
    more = len(slots.leaked) - 5
    names = ", ".join(slots.leaked[:5]) + (f" and {more} more" if more > 0 else "")
    return f"{len(slots.leaked)} of {slots.total} taken slots are leaked ({names})"


def judge_claim(claim: Claim, before: int, after: int) -> Outcome:
    """Judge whether the application's count lies between those of Redis around it, and whether its sums are right."""
    low, high = sorted((before, after))
    if not low <= claim.active <= high:
        counted = str(low) if low == high else f"{low} to {high}"
        said = f"it says {claim.active} active, Redis {counted}"
        return Outcome(FAIL, said, "Its Redis is another one, or away: look at its log.")
    if claim.free != claim.limit - claim.active or bool(claim.full) != (claim.active >= claim.limit):
        return Outcome(FAIL, f"its numbers contradict each other: {claim}", "Look at the log of the service.")
    return Outcome(PASS, f"{claim.active} of {claim.limit}, as in Redis")


def judge_limit(claim: Claim, wanted: Wanted) -> Outcome:
    if wanted.limit is None:
        said = f"it is {claim.limit}; {wanted.source} does not say what it should be"
        return Outcome(UNKNOWN, said, f"Set it in {wanted.source}.")
    if claim.limit != wanted.limit:
        said = f"it is {claim.limit}, {wanted.source} says {wanted.limit}"
        return Outcome(FAIL, said, "Deploy, so that the service starts anew with it.")
    return Outcome(PASS, f"{wanted.limit}, as in {wanted.source}")


def judge_free(slots: Slots, limit: int) -> Outcome:
    """Judge whether there is room: live work that fills it is a busy day, leaked slots that do are a fault."""
    free = limit - slots.total
    if free > 0:
        kept = ", once admission is open again" if slots.ours else ""
        return Outcome(PASS, f"{free} of {limit} free{kept}")
    if len(slots.live) >= limit:
        return Outcome(WARN, f"all {limit} are taken by live work: more is turned away", "Wait, or raise the limit.")
    said = f"all {limit} are taken, {len(slots.leaked)} of them leaked: more is turned away"
    return Outcome(FAIL, said, f"Release the leaked slots: {RELEASE}")
