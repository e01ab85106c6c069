# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a release that has just come into service: does everything stay up, are requests answered, what is logged.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import time
import typing as t
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome
from ._engine import Container, Engine
from ._errors import OpsError
from ._health import Expectation, Limits, Sighting, judge_restarts
from ._proxy_log import Limit, Tally, judge, pattern
from ._watch import look, take_events

PAUSE = 1.0  # between two readings of the logs
SAY_EVERY = 15.0  # seconds, while nothing happens
EASE = 4  # reading takes at most a fifth of the time, however long the logs are
PATIENCE = 5.0  # seconds for which a service may be unwell before that is certain
SHOWN = 300  # characters of a log line that become evidence
READERS = 4

RESTARTS = ("watch.restarts", "Every service stays up and well")
ERRORS = ("watch.errors", "Requests are answered")
LINES = ("watch.lines", "Nothing is logged that must not be")


@dataclass(frozen=True)
class Settings:
    """What is watched, and from when; times are seconds of the engine's clock.

    Attributes:
        window: seconds from now on.
        since: what was created after it is new, and all that it has logged counts.
        served: of everything else counts what was logged after it; so do the proxy's answers.
        proxy: service whose log tells how requests are answered; empty for none.
        forbidden: patterns of log lines by pattern of services.
    """

    window: float
    since: float
    served: float
    proxy: str
    limit: Limit
    forbidden: tuple[tuple[str, tuple[t.Pattern[str], ...]], ...]

    def rules(self, service: str) -> list[t.Pattern[str]]:
        return [one for name, found in self.forbidden if fnmatch.fnmatchcase(service, name) for one in found]

    def logged_from(self, container: Container) -> float:
        new = container.created_at >= self.since and container.service != self.proxy
        return container.created_at if new else self.served


def forbidden(given: Mapping[str, t.Any]) -> tuple[tuple[str, tuple[t.Pattern[str], ...]], ...]:
    for service, lines in given.items():
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise OpsError(f"The forbidden lines of {service} are no list of texts.", "Write them as [REGEX, REGEX].")
    return tuple((service, tuple(map(pattern, lines))) for service, lines in given.items())


@dataclass
class Log:
    """One container's log: how far it was read, and what was found in it."""

    container: Container
    rules: list[t.Pattern[str]]
    since: float
    tally: Tally | None = None
    last: str = ""
    hits: int = 0
    first: str = ""
    trouble: str = ""

    def read(self, engine: Engine) -> None:
        """Read on to the end; the engine may show again what was read last."""
        seen = self.last
        try:
            for stamp, line in engine.log_since(self.container.id, self.since):
                if stamp > seen:
                    self.last = stamp
                    self._take(line)
            self.trouble = ""
        except OpsError as error:
            self.trouble = error.problem

    def _take(self, line: str) -> None:
        if self.tally:
            self.tally.take(line)
        if any(rule.search(line) for rule in self.rules):
            self.hits += 1
            self.first = self.first or line


@dataclass
class Watched:
    """All that was seen."""

    seen: Sighting
    tally: Tally
    logs: dict[str, Log] = field(default_factory=dict)
    unwell: dict[str, float] = field(default_factory=dict)  # by service, since when

    @property
    def seconds(self) -> float:
        return self.seen.ended - self.seen.began

    def certain(self, settings: Settings) -> bool:
        """Whether the outcome is bad already, whatever comes."""
        share = min(max(self.seen.ended - settings.served, 0.1) / (self.seen.began + settings.window - settings.served), 1)
        return bool(
            self.seen.deaths
            or any(log.hits for log in self.logs.values())
            or any(self.seen.ended - since >= PATIENCE for since in self.unwell.values())
            or self.tally.lost(settings.limit, share)
        )


def watch(
    engine: Engine,
    project: str,
    expected: Sequence[Expectation],
    settings: Settings,
    tally: Tally,
    progress: t.Callable[[str], None],
) -> Watched:
    """Watch for the window, or until the outcome is certain. Services that are meant to exit are not looked at."""
    lasting = [service for service in expected if service.lives]
    names = {service.service for service in lasting}
    start = time.monotonic()
    with engine.watch(project) as watcher, ThreadPoolExecutor(READERS) as pool:
        seen = Sighting([], {}, watcher.began, watcher.began, good_at=watcher.began)
        watched = Watched(seen, tally)
        told: object = None
        told_at = seen.began
        while True:
            look(engine, project, lasting, seen)
            reading = time.monotonic()
            _read(engine, watched, settings, pool)
            reading = time.monotonic() - reading
            seen.ended = watcher.began + time.monotonic() - start
            take_events(watcher, names, seen)
            bad = [name for name, state in seen.states.items() if not state.good]
            watched.unwell = {name: watched.unwell.get(name, seen.ended) for name in bad}
            left = settings.window - watched.seconds
            if left <= 0 or watched.certain(settings):
                return watched
            trouble = (tuple(sorted(watched.unwell)), tally.errors)
            if trouble != told or seen.ended >= told_at + SAY_EVERY:
                told, told_at = trouble, seen.ended
                progress(_so_far(watched, settings))
            watcher.wait(min(left, max(PAUSE, EASE * reading)))


def _read(engine: Engine, watched: Watched, settings: Settings, pool: ThreadPoolExecutor) -> None:
    for container in watched.seen.containers:
        rules = settings.rules(container.service)
        tally = watched.tally if container.service == settings.proxy else None
        if container.id not in watched.logs and (rules or tally):
            watched.logs[container.id] = Log(container, rules, settings.logged_from(container), tally)
    there = {container.id for container in watched.seen.containers}
    list(pool.map(lambda log: log.read(engine), [log for name, log in watched.logs.items() if name in there]))


def _so_far(watched: Watched, settings: Settings) -> str:
    answers = f", {watched.tally.requests} requests, {watched.tally.errors} failed" if settings.proxy else ""
    bad = f", not well: {', '.join(sorted(watched.unwell))}" if watched.unwell else ""
    return f"watched for {watched.seconds:.0f} of {settings.window:.0f} s{answers}{bad}"


def off() -> list[Check]:
    return [Check(*one, SKIP, "the watch is switched off") for one in (RESTARTS, ERRORS, LINES)]


def checks(
    watched: Watched,
    expected: Sequence[Expectation],
    settings: Settings,
    logs: t.Callable[[str], str],
    tail: t.Callable[[Container], list[str]],
    redact: t.Callable[[str], str],
) -> list[Check]:
    """Turn what was seen into checks.

    Args:
        logs: the command that shows the log of a service.
        tail: the last lines of a container's log, ready to be shown.
        redact: masks secrets in a line.
    """
    found = [
        Check(*RESTARTS, *_restarts(watched, expected, logs, tail)),
        Check(*ERRORS, *_errors(watched, settings, logs)),
        Check(*LINES, *_lines(watched, logs, redact)),
    ]
    for check in found:
        check.seconds = round(watched.seconds, 3)
    return found


def _restarts(
    watched: Watched,
    expected: Sequence[Expectation],
    logs: t.Callable[[str], str],
    tail: t.Callable[[Container], list[str]],
) -> Outcome:
    lasting = [service for service in expected if service.lives]
    told: list[str] = []
    failed: list[str] = []
    worst = PASS
    for service in lasting:
        name, state = service.service, watched.seen.states[service.service]
        judged = judge_restarts(service, watched.seen, Limits(window=0))
        if judged.status == FAIL or not state.good:
            said = judged.evidence if judged.status == FAIL else state.said
            failed.append(name)
            told.insert(0, f"{name}: {said}")
            worst = FAIL
        elif judged.status != PASS:
            told.append(f"{name}: {judged.evidence}")
            worst = worst if worst == FAIL else WARN
    if worst == PASS:
        return Outcome(PASS, f"all {len(lasting)} services for {watched.seconds:.0f} s")
    words = [line for container in watched.seen.of(failed[0])[-1:] for line in tail(container)] if failed else []
    name = failed[0] if failed else told[0].partition(":")[0]
    return Outcome(worst, "\n".join(["; ".join(told), *words]), logs(name))


def _errors(watched: Watched, settings: Settings, logs: t.Callable[[str], str]) -> Outcome:
    if not settings.proxy:
        return Outcome(SKIP, "no service is named as the proxy")
    read = [log for log in watched.logs.values() if log.container.service == settings.proxy]
    if not read:
        return Outcome(UNKNOWN, f"{settings.proxy} has no container whose log could be read", logs(settings.proxy))
    trouble = next((log.trouble for log in read if log.trouble), "")
    if trouble:
        return Outcome(UNKNOWN, f"the log of {settings.proxy} could not be read: {trouble}", logs(settings.proxy))
    return judge(watched.tally, settings.limit, logs(settings.proxy))


def _lines(watched: Watched, logs: t.Callable[[str], str], redact: t.Callable[[str], str]) -> Outcome:
    read = [log for log in watched.logs.values() if log.rules]
    hits = [log for log in read if log.hits]
    unread = [log for log in read if log.trouble]
    if hits:
        told = "; ".join(f"{log.container.service} ({log.hits}): {redact(log.first)[:SHOWN]}" for log in hits)
        return Outcome(FAIL, told, logs(hits[0].container.service))
    if unread:
        told = "; ".join(f"{log.container.service}: {log.trouble}" for log in unread)
        return Outcome(UNKNOWN, f"logs could not be read: {told}", logs(unread[0].container.service))
    if not read:
        return Outcome(SKIP, "no service has forbidden lines")
    return Outcome(PASS, f"none in the logs of {len(read)} containers")
