# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the logs of a project's services side by side, waits for lines that may still come, and judges by rules.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import shlex
import time
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from . import _journal
from ._check import FAIL, PASS, SKIP, STATUSES, UNKNOWN, WARN, Check, Outcome, stopwatch
from ._engine import Container, Engine, moment
from ._errors import OpsError
from ._health_report import secret_values
from ._log_rules import Kind, Known, Level, Rule, Tally, Text, holds, known_of, level_of, of_service, rule_of
from ._logs import Search
from ._memory import Memory
from ._progress import Say
from ._secrets import redact

READERS = 8
PAUSE = 0.5  # seconds between two readings of a log in which a line may still come
EASE = 4  # reading takes at most a fifth of the time, however long the logs are
EARLY = 3.0  # seconds by which a first line may be older than the start, as a busy engine notes it
FRESH = 60.0  # seconds between the making of a container and the start after which it ended, if that was its first one
GONE = 60.0  # seconds after the start; a log that begins later has lost its beginning
SHOWN = 200  # characters of a line
KINDS = 3  # kinds of lines that the evidence shows


@dataclass(frozen=True)
class Asked:
    """How lines that our own questions cause are known.

    Attributes:
        service: the proxy that our questions pass.
        text: what its log says of each of them.
        within: seconds between the two lines.
        causes: texts of the lines that they cause, by pattern of services.
    """

    service: str
    text: Text
    within: float
    causes: Mapping[str, Sequence[Text]]


@dataclass(frozen=True)
class Policy:
    """What is looked for.

    Attributes:
        rules: by service, or pattern of services. A service named in full must be there.
        known: lines that mean nothing, by pattern of services.
        deadline: seconds from a container's start within which required lines must have come.
        hidden: patterns of variables whose values are masked.
        window: seconds up to now that are looked at, whichever start their lines belong to; 0 for all since the start.
    """

    rules: Mapping[str, Sequence[Rule]]
    levels: tuple[Level, ...]
    known: Mapping[str, Sequence[Known]]
    asked: Asked | None
    deadline: float
    hidden: Sequence[str]
    window: float = 0.0

    def of(self, service: str) -> tuple[Rule, ...]:
        """Return the rules of a service; those under its own name win over those of a pattern."""
        found: dict[str, Rule] = {}
        for pattern in sorted(self.rules, key=lambda one: one == service):
            if fnmatch.fnmatchcase(service, pattern):
                found.update({rule.name: rule for rule in self.rules[pattern]})
        return tuple(found.values())


def policy(
    rules: Mapping[str, Mapping[str, t.Any]],
    levels: Mapping[str, t.Any],
    known: Iterable[Mapping[str, t.Any]],
    probes: Mapping[str, t.Any] | None,
    deadline: float,
    hidden: Sequence[str],
    window: float = 0.0,
) -> Policy:
    """Read the data of the rules; a slip in it is an error that names the place."""
    lines: dict[str, list[Known]] = {}
    for one in known:
        for service, given in one.items():
            lines.setdefault(service, []).extend(map(known_of, given or ()))
    asked = None
    if probes:
        causes = {service: [Text.of(text) for text in texts] for service, texts in probes["causes"].items()}
        asked = Asked(probes["service"], Text.of(probes["text"]), probes["within"], causes)
    return Policy(
        {service: [rule_of(service, name, rule) for name, rule in named.items()] for service, named in rules.items()},
        tuple(level_of(name, given) for name, given in levels.items()),
        lines,
        asked,
        deadline,
        hidden,
        window,
    )


@dataclass
class Log:
    """One container and what its log says."""

    container: Container
    environment: Mapping[str, str]
    tally: Tally
    size: int = 0
    seconds: float = 0.0
    first: str = ""
    last: str = ""
    trouble: str = ""
    window: float = 0.0
    processes: list[str] = field(default_factory=list)
    remembered: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.container.name

    @property
    def cut(self) -> bool:
        """Whether its beginning is gone: a log driver keeps so much and no more."""
        return bool(self.first) and moment(self.first) > self.container.started_at + GONE

    def missing(self, rule: Rule) -> list[tuple[Text, ...]]:
        return [] if rule.name in self.remembered else self.tally.missing(rule)

    def hopeful(self, now: float, deadline: float) -> bool:
        """Whether what is missing may still come."""
        if self.trouble or self.cut or not self.container.running or now - self.container.started_at >= deadline:
            return False
        rules = [rule for rule in self.tally.rules if holds(rule.when, self.environment)]
        bad = any(kind.status == FAIL for kinds in self.tally.kinds.values() for kind in kinds.values())
        return not bad and any(self.missing(rule) for rule in rules)


def since(container: Container) -> float:
    """Return the moment from which lines belong to this start of a container, and not to the one before."""
    early = max(container.started_at - EARLY, container.created_at)
    if container.finished_at and container.finished_at < container.started_at:
        return max(early, container.finished_at)
    if container.finished_at:  # by this start's own end: that of one before it is not known any more
        first = container.started_at - container.created_at < FRESH and not container.restart_count
        return container.created_at if first else early
    return container.created_at


def read(engine: Engine, container: Container, policy: Policy, remembered: Mapping[str, str]) -> Log:
    """Read one log from the container's start to its end."""
    rules = policy.of(container.service)
    log = Log(container, {}, Tally(rules, container.started_at), window=policy.window)
    with stopwatch() as seconds:
        try:
            _read(engine, log, rules, policy)
            if log.cut:
                log.remembered = remembered
        except OpsError as error:
            log.trouble = error.problem
        log.seconds = seconds()
    return log


def _read(engine: Engine, log: Log, rules: tuple[Rule, ...], policy: Policy) -> None:
    container = log.container
    log.environment = engine.environment(container.id)
    log.tally = Tally(
        tuple(rule for rule in rules if holds(rule.when, log.environment)),
        container.started_at,
        policy.levels,
        tuple(one.text for one in of_service(container.service, policy.known) if holds(one.when, log.environment)),
        tuple(of_service(container.service, policy.asked.causes)) if policy.asked else (),
    )
    if container.started_at:
        begin = engine.now() - policy.window if policy.window else since(container)
        search = Search(engine.log_chunks(container.id, begin), log.tally.literals())
        for stamp, line in search:
            log.tally.take(stamp, line)
        log.size, log.first, log.last = search.size, search.first, search.last[1]
    if container.running and any(rule.processes for rule in rules):
        log.processes = list(engine.processes(container.id).values())


def look(engine: Engine, project: str, policy: Policy, memory: Memory, say: Say) -> dict[str, list[Log]]:
    """Read the logs of all services with rules; wait for required lines that may still come. Return logs by service."""
    there = [one for one in engine.containers(project) if not one.one_off]
    wanted = [one for one in there if policy.of(one.service)]
    remembered: dict[str, dict[str, str]] = memory.before.get("met", {})

    def one(container: Container) -> Log:
        return read(engine, container, policy, remembered.get(_start(container), {}))

    with ThreadPoolExecutor(READERS) as pool:
        logs = list(pool.map(one, wanted))
        while True:
            now = engine.now()
            waiting = [number for number, log in enumerate(logs) if log.hopeful(now, policy.deadline)]
            if not waiting:
                break
            say(f"waiting for lines in the log of {', '.join(logs[number].container.service for number in waiting)}")
            with stopwatch() as seconds:
                again = list(pool.map(lambda number: engine.inspect(logs[number].container.id), waiting))
                logs_again = pool.map(lambda one_more: one(one_more) if one_more else None, again)
                for number, log in zip(waiting, logs_again):
                    logs[number] = log or replace(logs[number], trouble="the container is gone")
                took = seconds()
            time.sleep(max(PAUSE, EASE * took))
        _settle(engine, there, policy, logs)
    memory.now["met"] = {_start(log.container): _met(log) for log in logs if _met(log)}
    by_service: dict[str, list[Log]] = {}
    for log in logs:
        by_service.setdefault(log.container.service, []).append(log)
    return by_service


def _start(container: Container) -> str:
    return f"{container.short} {container.started_at:.3f}"


def _met(log: Log) -> dict[str, str]:
    """Return the rules whose required lines were seen, with the line that was seen last."""
    rules = [rule for rule in log.tally.rules if rule.required and not log.tally.missing(rule)]
    return {**log.remembered, **{rule.name: max(log.tally.met[rule.name].values())[0] for rule in rules}}


def _settle(engine: Engine, there: Iterable[Container], policy: Policy, logs: Sequence[Log]) -> None:
    """Find out which lines our own questions have caused, by the log of the proxy that they pass."""
    asked, doubtful = policy.asked, [log for log in logs if log.tally.waits]
    if not asked or not doubtful:
        return
    began = min(log.container.started_at for log in doubtful) - asked.within
    questions: list[float] = []
    for proxy in there:
        if proxy.service == asked.service:
            try:
                found = Search(engine.log_chunks(proxy.id, began), [asked.text.literal.encode("utf-8")])
                questions += [moment(stamp) for stamp, line in found if asked.text.fits(line)]
            except OpsError:  # then nothing is known to be ours
                continue
    for log in doubtful:
        log.tally.settle(questions, asked.within)


def checks(policy: Policy, logs: Mapping[str, Sequence[Log]]) -> list[Check]:
    """Judge: one check per service and rule."""
    found = []
    named = [name for name in policy.rules if name not in logs and not set(name) & set("*?[")]
    for service in [*logs, *named]:
        for rule in policy.of(service):
            read_ = logs.get(service, ())
            check = Check(f"logs.{service}.{rule.name}", rule.title, *judge(rule, service, read_, policy))
            check.seconds = max((log.seconds for log in read_), default=0.0)
            found.append(check)
    return found


def judge(rule: Rule, service: str, logs: Sequence[Log], policy: Policy) -> Outcome:
    """Judge one rule by all containers of its service; the worst of them counts."""
    if not logs:
        return Outcome(UNKNOWN, f"{service} has no container", f"See compose.{service}.state")
    told = [_of_one(rule, log, policy) for log in logs]
    worst = min(told, key=lambda one: STATUSES.index(one.status))
    if len(logs) == 1 or worst.status == SKIP:
        return worst
    same = [log.name for log, one in zip(logs, told) if one.status == worst.status]
    if worst.status == PASS:
        return worst._replace(evidence=f"{worst.evidence} (in {len(same)} containers)")
    if same == [name for name in same if name in worst.evidence]:
        return worst
    return worst._replace(evidence=f"{', '.join(same)}: {worst.evidence}")


def _of_one(rule: Rule, log: Log, policy: Policy) -> Outcome:
    container = log.container
    see = f"docker logs --timestamps --since {_journal.written(container.started_at)} {container.name}"
    if not holds(rule.when, log.environment):
        wanted = ", ".join(f"{name} is not {' or '.join(values)}" for name, values in rule.when.items())
        return Outcome(SKIP, f"does not apply: {wanted}")
    if log.trouble:
        return Outcome(UNKNOWN, f"the log of {log.name} could not be read: {log.trouble}", f"docker inspect {log.name}")
    if not container.started_at:
        return Outcome(UNKNOWN, f"{log.name} was never started", f"docker start {log.name}")
    hidden = secret_values({"services": {container.service: {"environment": log.environment}}}, policy.hidden)

    def shown(line: str) -> str:
        line = " ".join(redact(line, hidden).split())
        return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"

    found = [
        _by_kinds(rule, log, shown),
        _by_required(rule, log, see, shown),
        _by_processes(rule, log),
    ]
    worst = min(filter(None, found), key=lambda one: STATUSES.index(one.status), default=None)
    if worst is None:
        return Outcome(PASS, f"no such line in {_size(log.size)}{_since(log)}")
    remedy = "; ".join(filter(None, [rule.remedy, worst.remedy])) if worst.status in (FAIL, WARN) else worst.remedy
    return worst._replace(remedy=remedy)


def _by_kinds(rule: Rule, log: Log, shown: t.Callable[[str], str]) -> Outcome | None:
    kinds = log.tally.against(rule)
    if not kinds:
        return None
    worst = [one for one in kinds if one.status == kinds[0].status]
    lines = [_said(one, shown) for one in worst[:KINDS]]
    if len(worst) > KINDS:
        lines.append(f"and {len(worst) - KINDS} other kinds of lines")
    search = (
        f"docker logs --timestamps --since {worst[0].first} {log.name} 2>&1 | grep -F {shlex.quote(worst[0].literal)}"
    )
    return Outcome(worst[0].status, "\n".join(lines), search)


def _said(kind: Kind, shown: t.Callable[[str], str]) -> str:
    first, last = _clock(kind.first), _clock(kind.last)
    until = "" if last == first else f" to {last}"
    times = f"at {first}" if kind.count == 1 else f"{kind.count} times, {first}{until}"
    return f"{shown(kind.sample)} ({times})"


def _by_required(rule: Rule, log: Log, see: str, shown: t.Callable[[str], str]) -> Outcome | None:
    if not rule.required:
        return None
    missing = log.missing(rule)
    if not missing:
        return Outcome(PASS, _when_met(rule, log, shown))
    texts = " and ".join(" or ".join(f"'{text.said}'" for text in group) for group in missing)
    if log.cut:
        gone = f"the log of {log.name} begins at {_journal.written(moment(log.first))}, what it said at its start is gone: {texts}"
        return Outcome(
            UNKNOWN, gone, "Have the log driver keep more (max-size, max-file), and verify after each deployment."
        )
    state = "" if log.container.running else f"; it ended with exit code {log.container.exit_code}"
    last = f"; its last line: {shown(log.last)}" if log.last else "; it has printed nothing"
    return Outcome(FAIL, f"{log.name} has not said {texts}{_since(log)}{state}{last}", see)


def _when_met(rule: Rule, log: Log, shown: t.Callable[[str], str]) -> str:
    met = log.tally.met.get(rule.name)
    if not met or log.tally.missing(rule):
        return f"seen at {log.remembered[rule.name]}; the log has lost it since"
    stamp, line = max(met.values())
    return f"{shown(line)} ({moment(stamp) - log.container.started_at:.1f} s after the start)"


def _by_processes(rule: Rule, log: Log) -> Outcome | None:
    if not rule.processes:
        return None
    if not log.container.running:
        return Outcome(UNKNOWN, f"{log.name} does not run", f"See compose.{log.container.service}.state")
    alike = [one for one in log.processes if any(text.fits(one) for text in rule.processes.texts)]
    if not alike:
        words = ", ".join(text.said for text in rule.processes.texts)
        return Outcome(UNKNOWN, f"{log.name} has no process with {words} in its command", f"docker top {log.name}")
    status = PASS if len(alike) <= rule.processes.most else FAIL
    number = "one process" if len(alike) == 1 else f"{len(alike)} processes"
    return Outcome(status, f"{number} in {log.name}", f"docker top {log.name}" if status == FAIL else "")


def _since(log: Log) -> str:
    passed = log.tally.passed_over
    known = f"; {passed} known {'line' if passed == 1 else 'lines'} left out" if passed else ""
    if log.window:
        return f" of the last {log.window / 60:g} min{known}"
    return f" since its start at {_journal.written(log.container.started_at)}{known}"


def _clock(stamp: str) -> str:
    """Return a time stamp without what is smaller than a second."""
    return f"{stamp[:19]}Z"


def _size(size: int) -> str:
    for unit, scale in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
