# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that nobody sees: queues and their workers, a scheduler, sessions with a service of others; all side by side.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import time
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from . import _queues, _scheduler, _sessions
from ._capacity import Store
from ._check import UNKNOWN, WARN, Check, Outcome, Report, stopwatch
from ._engine import Container, Engine
from ._errors import OpsError
from ._memory import Memory, today
from ._progress import Say, silent

PAUSE = 0.5  # seconds between two looks

TITLES = {
    "queues.workers": "Every queue has a live worker",
    "queues.waiting": "No job waits for long, or for nobody",
    "queues.failed": "Jobs do not fail",
    "scheduler.lock": "The scheduler does its cycles",
    "sessions.paired": "Tenants that were connected have their credentials",
    "sessions.connected": "Sessions that were connected are",
}


@dataclass(frozen=True)
class Look:
    """What all looks need.

    Attributes:
        seconds: how long something may take to become good.
        start: have the sessions of paired tenants started that nobody has started.
        preview: change nothing (check mode).
        how_to_start: what a person does to have them started.
        how_to_forget: what a person does when ``{tenant}`` has ended its session on purpose.
        log: says what is waited for.
    """

    engine: Engine
    project: str
    memory: Memory
    seconds: float = 0.0
    start: bool = False
    preview: bool = False
    how_to_start: str = ""
    how_to_forget: str = ""
    log: Say = silent
    began: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        return time.monotonic() - self.began >= self.seconds

    def containers(self, patterns: Iterable[str]) -> list[Container]:
        """Return the containers of the services that match, one-off runs left out."""
        patterns = list(patterns)
        return [
            one
            for one in self.engine.containers(self.project)
            if not one.one_off and any(fnmatch.fnmatchcase(one.service, pattern) for pattern in patterns)
        ]


Found = Mapping[str, Outcome]
Asked = tuple[Container, str, bool]


def inspect(
    look: Look,
    store: t.Callable[[], Store],
    queues: _queues.Wanted | None,
    scheduler: _scheduler.Wanted | None,
    sessions: _sessions.Ask | None,
) -> Report:
    """Look at all that is asked for, side by side, and note what later looks compare with."""
    started: list[str] = []
    looks: list[tuple[str, t.Callable[[], Found]]] = []
    if queues:
        looks.append(("queues.", lambda: _of_queues(look, store(), queues)))
    if scheduler:
        looks.append(("scheduler.", lambda: _of_scheduler(look, store(), scheduler)))
    if sessions:
        looks.append(("sessions.", lambda: _of_sessions(look, sessions, started)))
    with ThreadPoolExecutor(max_workers=3) as pool:
        found = list(pool.map(_checks, looks))
    return Report([check for checks in found for check in checks], {"started": started}, changed=bool(started))


def _checks(asked: tuple[str, t.Callable[[], Found]]) -> list[Check]:
    """Look, and give an error to all checks of that look: what they rest on is not known."""
    group, look = asked
    names = [name for name in TITLES if name.startswith(group)]
    with stopwatch() as seconds:
        try:
            found = look()
        except OpsError as error:
            found = dict.fromkeys(names, Outcome(UNKNOWN, error.problem, error.remedy or "Look at the services."))
        return [Check(name, TITLES[name], *found[name], seconds=seconds()) for name in names]


def _of_queues(look: Look, store: Store, wanted: _queues.Wanted) -> Found:
    """Wait for a worker on every queue, as long as one may still come."""
    while True:
        containers = look.containers(wanted.services)
        running = [one for one in containers if one.running]
        expected = _queues.configured({one.service: look.engine.environment(one.id) for one in containers}, wanted)
        seen = store.ask(partial(_queues.read, configured=expected))
        live = _queues.alive(seen, [one.short for one in running], wanted)
        missing = _queues.unheard(seen, live, expected)
        if not missing or not running or seen.suspended or look.over:
            break
        look.log(f"waiting for a worker of {', '.join(missing)}")
        time.sleep(PAUSE)
    last_look = float(look.memory.before.get("failed", {}).get("at", 0))
    look.memory.now["failed"] = {"at": round(seen.now, 3), "on": today()}
    return {
        "queues.workers": _queues.judge_workers(seen, live, expected, wanted),
        "queues.waiting": _queues.judge_waiting(seen, live, wanted),
        "queues.failed": _queues.judge_failed(seen, expected, wanted, last_look),
    }


def _of_scheduler(look: Look, store: Store, wanted: _scheduler.Wanted) -> Found:
    """Watch a free lock until it is taken, or until nobody can have taken it."""
    free_since: float | None = None
    while True:
        left = store.ask(lambda redis: int(redis.ttl(wanted.lock)))
        up = [look.engine.now() - one.started_at for one in look.containers([wanted.service]) if one.running]
        if left == _scheduler.FREE and free_since is None:
            free_since = time.monotonic()
        watched = time.monotonic() - free_since if free_since is not None else 0.0
        seen = _scheduler.Seen(left, min(up, default=-1.0), watched)
        if look.over or not _scheduler.open_(seen, wanted):
            return {"scheduler.lock": _scheduler.judge(seen, wanted)}
        look.log(f"waiting for the next cycle of {wanted.service}")
        time.sleep(PAUSE)


def _of_sessions(look: Look, ask: _sessions.Ask, started: list[str]) -> Found:
    """Ask for the sessions until all are connected or cannot be; have them started where that is asked for."""
    before: dict[str, dict[str, str]] = look.memory.before.get("sessions", {})
    running = [one for one in look.containers(ask.wanted.services) if one.running]
    if not running:
        raise OpsError(f"none of {', '.join(ask.wanted.services)} runs", f"docker compose -p {look.project} ps -a")
    paired = {one.id: _sessions.tenants(look.engine, one, ask.wanted) for one in running}
    asked: list[Asked] = [(one, tenant, whole) for one in running for tenant, whole in paired[one.id].items() if whole]
    there = {tenant for _one, tenant, _whole in asked}
    asked += [(_of_service(running, was["service"]), name, False) for name, was in before.items() if name not in there]
    while True:
        found = _statuses(ask, asked)
        if look.start:
            idle = [
                where for where, one in zip(asked, found) if _to_start(one, ask.wanted) and one.tenant not in started
            ]
            started += [tenant for _one, tenant, _whole in idle]
            if idle and not look.preview:
                _start(ask, idle)
                continue
        waiting = _sessions.undecided(found, ask.wanted)
        if not look.preview:
            waiting += [one for one in found if one.tenant in started and _to_start(one, ask.wanted)]
        if not waiting or look.over:
            break
        look.log(f"waiting for the sessions of {', '.join(one.tenant for one in waiting)}")
        time.sleep(PAUSE)
    connected = {one.tenant: {"on": today(), "service": one.service} for one in found if one.connected}
    look.memory.now["sessions"] = {**before, **connected}
    outcome = _sessions.judge_connected(found, before, ask.wanted, look.how_to_start)
    return {
        "sessions.paired": _sessions.judge_paired(found, before, look.how_to_forget),
        "sessions.connected": _told_start(outcome, started, look.preview),
    }


def _of_service(running: Sequence[Container], service: str) -> Container:
    return next((one for one in running if one.service == service), running[0])


def _statuses(ask: _sessions.Ask, asked: Sequence[Asked]) -> list[_sessions.Session]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda one: ask.status(*one), asked))


def _to_start(session: _sessions.Session, wanted: _sessions.Wanted) -> bool:
    return session.error is None and session.paired and session.state == wanted.idle


def _start(ask: _sessions.Ask, wanted: Sequence[Asked]) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda one: ask.start(one[0], one[1]), wanted))


def _told_start(outcome: Outcome, started: Sequence[str], preview: bool) -> Outcome:
    """Say what was started, or would be."""
    if not started:
        return outcome
    names = ", ".join(started)
    if preview:
        return Outcome(WARN, f"{outcome.evidence}; {names} would be started", "Run it without --check.")
    said = f"{outcome.evidence}; nobody had started {names} since the service started: that was done now"
    return outcome._replace(evidence=said)
