# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues of RQ and their workers, read from RQ's keys in Redis: who listens, what waits, what failed.

RQ keeps a hash per worker (``rq:worker:NAME``) that lasts some minutes beyond the worker's last sign of life: a worker
that was killed still looks alive. So its host name counts, too: in a container that is the beginning of its id.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._engine import moment
from ._schema import some

WORKERS, QUEUES, SUSPENDED = "rq:workers", "rq:queues", "rq:suspended"
WORKER, QUEUE, FAILED = "rq:worker:", "rq:queue:", "rq:failed:"
_JOB = "rq:job:"
_PUT, _ENDED = ("enqueued_at", "created_at"), ("ended_at",)
_NEWEST = 100  # failed jobs of a queue that are looked at
_CONTAINER = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Wanted:
    """What is wanted of the queues.

    Attributes:
        services: patterns of the services that work on them.
        variable: of their containers, the queues that each listens to, with commas between.
        more: queues that must be listened to besides.
        heartbeat: seconds after its last sign of life for which a worker counts as alive.
        waiting: seconds that a job may wait.
        failed: how many jobs may fail within ``failed_within`` seconds.
    """

    services: Sequence[str]
    variable: str
    more: Sequence[str] = ()
    heartbeat: int = 480
    waiting: int = 300
    failed: int = 10
    failed_within: int = 600


@dataclass(frozen=True)
class Worker:
    """What a worker says of itself; ``seen`` is its last sign of life, seconds since the epoch."""

    name: str
    queues: tuple[str, ...]
    seen: float
    hostname: str = ""


@dataclass(frozen=True)
class Queue:
    """A queue: how many jobs wait and since when, how many are kept as failed, and when the newest of those failed."""

    waiting: int = 0
    oldest: float = 0.0
    failed: int = 0
    failed_at: tuple[float, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What Redis holds, by its own clock."""

    now: float
    workers: tuple[Worker, ...] = ()
    queues: Mapping[str, Queue] = field(default_factory=dict)
    suspended: bool = False


def read(redis: t.Any, configured: Collection[str]) -> Seen:
    """Read all of it.

    Args:
        redis: a client that decodes its answers.
        configured: queues to look at besides those that RQ has ever put a job into.
    """
    seconds, micros = redis.time()
    keys = sorted(str(key) for key in redis.smembers(WORKERS))
    names = sorted({*configured, *(str(key)[len(QUEUE) :] for key in redis.smembers(QUEUES))})
    pipeline = redis.pipeline(transaction=False)
    for key in keys:
        pipeline.hgetall(key)
    workers = [_worker(key, entry) for key, entry in zip(keys, pipeline.execute()) if entry]
    for name in names:
        pipeline.llen(QUEUE + name).lindex(QUEUE + name, 0)
        pipeline.zcard(FAILED + name).zrevrange(FAILED + name, 0, _NEWEST - 1)
    answers = pipeline.execute()
    found = {name: answers[4 * number : 4 * number + 4] for number, name in enumerate(names)}
    times = _times(redis, found.values())
    queues = {
        name: Queue(waiting, times.get((oldest, _PUT), 0.0), failed, tuple(times[job, _ENDED] for job in newest))
        for name, (waiting, oldest, failed, newest) in found.items()
    }
    return Seen(seconds + micros / 1e6, tuple(workers), queues, bool(redis.exists(SUSPENDED)))


def _worker(key: str, entry: Mapping[str, str]) -> Worker:
    queues = tuple(name for name in entry.get("queues", "").split(",") if name)
    return Worker(key[len(WORKER) :], queues, moment(entry.get("last_heartbeat", "")), entry.get("hostname", ""))


def _times(redis: t.Any, found: Iterable[Sequence[t.Any]]) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return when the oldest waiting job of each queue was put there, and when the newest failed ones failed."""
    asked: list[tuple[str, tuple[str, ...]]] = []
    for _waiting, oldest, _failed, newest in found:
        asked += [(oldest, _PUT)] if oldest else []
        asked += [(job, _ENDED) for job in newest]
    pipeline = redis.pipeline(transaction=False)
    for job, fields in asked:
        pipeline.hmget(_JOB + job, fields)
    told = zip(asked, pipeline.execute())
    return {about: next((moment(value) for value in values if value), 0.0) for about, values in told}


def configured(environments: Mapping[str, Mapping[str, str]], wanted: Wanted) -> dict[str, list[str]]:
    """Return the queues that must be listened to, each with the services that say so, by their variables."""
    found: dict[str, list[str]] = {name: [] for name in wanted.more}
    for service, environment in environments.items():
        for name in filter(None, (part.strip() for part in environment.get(wanted.variable, "").split(","))):
            found.setdefault(name, []).append(service)
    return found


def alive(seen: Seen, running: Collection[str], wanted: Wanted) -> list[Worker]:
    """Return the workers that were heard of lately and are not of a container that is gone.

    Args:
        running: the beginnings of the ids of the containers that run.
    """
    return [
        worker
        for worker in seen.workers
        if seen.now - worker.seen <= wanted.heartbeat
        and (worker.hostname in running or not _CONTAINER.fullmatch(worker.hostname))
    ]


def unheard(seen: Seen, live: Iterable[Worker], queues: Iterable[str]) -> list[str]:
    """Return the queues that no live worker listens to."""
    heard = {name for worker in live for name in worker.queues}
    return sorted(set(queues) - heard)


def judge_workers(seen: Seen, live: Sequence[Worker], expected: Mapping[str, Sequence[str]], wanted: Wanted) -> Outcome:
    if seen.suspended:
        remedy = f"Let them go on: redis-cli DEL {SUSPENDED}"
        return Outcome(FAIL, f"all workers are suspended ({SUSPENDED} is set), so no job is begun", remedy)
    if not expected:
        said = f"no container of {', '.join(wanted.services)} says in {wanted.variable} which queues it listens to"
        return Outcome(UNKNOWN, said, "See the checks of these services, or name the queues.")
    missing = unheard(seen, live, expected)
    gone = [worker for worker in seen.workers if worker not in live]
    also = f"; no longer there: {some(worker.name for worker in gone)}" if gone else ""
    if missing:
        look = f"Look at why: docker compose logs --tail 50 {_services(expected, missing)}"
        if gone:
            # RQ refuses a worker of a name that has an entry, and in a container the name is often the same.
            look += f"; an entry of one that was killed keeps out the next of its name: redis-cli DEL {WORKER}{gone[0].name}"
        return Outcome(FAIL, f"no live worker listens to {some(missing, 10)}{also}", look)
    latest = max(seen.now - worker.seen for worker in live)
    said = f"{len(live)} workers listen to all {len(expected)} queues" if len(live) > 1 else ""
    said = said or f"one worker listens to all {len(expected)} queues"
    return Outcome(PASS, f"{said}, last heard of {latest:.0f} s ago{also}")


def _services(expected: Mapping[str, Sequence[str]], queues: Iterable[str]) -> str:
    return " ".join(sorted({service for queue in queues for service in expected.get(queue, ())}))


def _jobs(number: int) -> str:
    return "one job" if number == 1 else f"{number} jobs"


def judge_waiting(seen: Seen, live: Sequence[Worker], wanted: Wanted) -> Outcome:
    waiting = {name: queue for name, queue in seen.queues.items() if queue.waiting}
    for_nobody = unheard(seen, live, waiting)
    if for_nobody:
        told = some(f"{waiting[name].waiting} in {name}" for name in for_nobody)
        remedy = f"Let a worker listen to them ({wanted.variable}), or find out what puts jobs there."
        return Outcome(FAIL, f"jobs wait where no live worker listens: {told}", remedy)
    if not waiting:
        return Outcome(PASS, "no job waits")
    # A job without a time, or without an entry, tells nothing.
    oldest = max((seen.now - queue.oldest for queue in waiting.values() if queue.oldest), default=0.0)
    number = sum(queue.waiting for queue in waiting.values())
    said = f"{_jobs(number)} in the queues, the oldest for {oldest:.0f} s"
    if oldest > wanted.waiting:
        slow = some(name for name, queue in waiting.items() if seen.now - queue.oldest > wanted.waiting)
        remedy = "Look at what the workers do, and whether there are enough of them."
        return Outcome(WARN, f"{said}, more than {wanted.waiting} (in {slow})", remedy)
    return Outcome(PASS, said)


def judge_failed(seen: Seen, expected: Mapping[str, Sequence[str]], wanted: Wanted, last_look: float) -> Outcome:
    """Judge what failed: much at once is a fault, some since the last look a remark.

    Args:
        last_look: when it was, seconds since the epoch; 0 for never.
    """
    kept = f"{_jobs(sum(queue.failed for queue in seen.queues.values()))} kept as failed"
    lately = _failed_since(seen, seen.now - wanted.failed_within)
    if sum(lately.values()) >= wanted.failed:
        said = f"{_jobs(sum(lately.values()))} failed within {wanted.failed_within / 60:.0f} minutes: {_told(lately)}"
        return Outcome(
            FAIL,
            said,
            f"Look at why: docker compose logs --since {wanted.failed_within}s {_services(expected, lately)}",
        )
    if not last_look:
        return Outcome(PASS, f"{kept}; later looks tell which are new")
    since = _failed_since(seen, last_look)
    if since:
        said = f"{_jobs(sum(since.values()))} failed since the last look: {_told(since)}"
        return Outcome(WARN, said, f"Look at why: docker compose logs --tail 1000 {_services(expected, since)}")
    return Outcome(PASS, f"none failed since the last look, {kept}")


def _failed_since(seen: Seen, moment_: float) -> dict[str, int]:
    found = {name: sum(at > moment_ for at in queue.failed_at) for name, queue in seen.queues.items()}
    return {name: number for name, number in found.items() if number}


def _told(numbers: Mapping[str, int]) -> str:
    return some(f"{number} in {name}" for name, number in sorted(numbers.items()))
