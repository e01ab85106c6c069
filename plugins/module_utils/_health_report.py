# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns what was seen of a Compose stack into checks, with the last words of what failed and the next command.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import shlex
import typing as t
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ._check import FAIL, PASS, UNKNOWN, WARN, Check, Outcome
from ._compose import Project
from ._engine import Container
from ._health import (
    EXITED,
    UP,
    Expectation,
    Limits,
    Probe,
    Sighting,
    judge_image,
    judge_orphans,
    judge_restarts,
)
from ._ports import Behind, judge_ports
from ._secrets import redact

HEALTH_OUTPUT = 300  # characters of what a health check says


@dataclass(frozen=True)
class Looked:
    """What was looked at besides the states.

    Attributes:
        images: id of the image that each service must run, where that is known.
        configuration: whether the containers of each service that lives are as the files say.
        unheard: published ports behind which nothing listens.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Outcome] = field(default_factory=dict)
    unheard: t.Collection[Behind] = ()


def checks(
    project: Project,
    expected: Sequence[Expectation],
    seen: Sighting,
    limits: Limits,
    looked: Looked,
    last_words: t.Callable[[Container], list[str]],
) -> list[Check]:
    """Turn what was seen into checks; ``last_words`` returns what a container said last, ready to be shown."""
    files = [part for name in project.files for part in ("-f", name)]
    compose = f"cd {shlex.quote(str(project.directory))} && {shlex.join(['docker', 'compose', *files])}"
    found = []
    for service in expected:
        name, containers = service.service, seen.of(service.service)
        see_log = f"{compose} logs --tail 100 {name}"
        state = _state_outcome(service, seen, _next(service, seen, compose, see_log))
        restarts = judge_restarts(service, seen, limits) if service.lives else None
        log = _words(containers, last_words) if FAIL in (state.status, restarts and restarts.status) else ""
        found.append(
            Check(
                f"compose.{name}.state",
                f"{name} is {_wanted(service)}",
                *_with_log(state, log),
                seconds=seen.good_after.get(name, round(seen.ended - seen.began, 3)),
            )
        )
        if restarts:
            remedy = restarts.remedy or (see_log if restarts.status in (FAIL, WARN) else "")
            # The log stands under the state already when that failed too.
            words = log if restarts.status == FAIL and state.status != FAIL else ""
            restarts = Outcome(restarts.status, restarts.evidence, remedy)
            found.append(Check(f"compose.{name}.restarts", f"{name} stays up", *_with_log(restarts, words)))
        if name in looked.images:
            image = judge_image(containers, looked.images[name])
            found.append(Check(f"compose.{name}.image", f"{name} runs its image", *image))
        if name in looked.configuration:
            outcome = looked.configuration[name]
            found.append(Check(f"compose.{name}.configuration", f"{name} runs as the files say", *outcome))
    orphans = judge_orphans(expected, seen.containers)
    ports = judge_ports(expected, seen.containers, looked.unheard)
    remedy = f"{compose} up -d" if ports.status == FAIL else ""
    found.append(Check("compose.orphans", "No container without a service", *orphans))
    found.append(Check("compose.ports", "Ports are published as in the model", ports.status, ports.evidence, remedy))
    return found


def _next(service: Expectation, seen: Sighting, compose: str, see_log: str) -> str:
    """Return what to do about a service: what it waits for comes first, and one that only hangs may be started again."""
    name, containers = service.service, seen.of(service.service)
    if not containers:
        return f"{compose} up -d {name}"
    ill = [one for one in containers[-1].depends_on if one in seen.states and not seen.states[one].good]
    if ill:
        return f"See {', '.join(f'compose.{one}.state' for one in ill)} first, which it depends on; then: {see_log}"
    if containers[-1].running and containers[-1].health == "unhealthy":
        return f"{see_log}; one that hangs, and does nothing that may not be cut: {compose} restart {name}"
    return see_log


def _wanted(service: Expectation) -> str:
    if service.probe:
        return "answering"
    return {UP: "up", EXITED: "done"}.get(service.how, service.how)


def _state_outcome(service: Expectation, seen: Sighting, remedy: str) -> Outcome:
    state = seen.states[service.service]
    if state.good:
        return Outcome(PASS, state.said)
    asker = service.probe.asker if isinstance(service.probe, Probe) else ""
    if asker and _runs(seen, service.service) and not _runs(seen, asker):
        return Outcome(UNKNOWN, state.said, f"See compose.{asker}.state")
    doomed = [name for name, other in seen.states.items() if other.certain]
    if doomed and not state.certain and seen.good_at is None:
        said = f"{state.said}; not waited for, because of {', '.join(doomed)}"
        return Outcome(UNKNOWN, said, f"See compose.{doomed[0]}.state")
    return Outcome(FAIL, state.said, remedy)


def _runs(seen: Sighting, service: str) -> bool:
    return any(container.running for container in seen.of(service))


def _words(containers: Sequence[Container], last_words: t.Callable[[Container], list[str]]) -> str:
    return "\n".join(line for container in containers[-1:] for line in last_words(container))


def health_words(container: Container, secrets: Iterable[str]) -> list[str]:
    """Return what the health check of an unhealthy container printed, in one line; none for any other."""
    if container.health in ("", "healthy") or not container.health_failures:
        return []
    said = redact(" ".join(container.health_output.split()), secrets)
    times = f", {container.health_failures} times in a row" if container.health_failures > 1 else ""
    return [f"health check: exit code {container.health_code}{times}: {said[-HEALTH_OUTPUT:] or 'it prints nothing'}"]


def _with_log(outcome: Outcome, log: str) -> Outcome:
    return outcome._replace(evidence=f"{outcome.evidence}\n{log}") if log else outcome


def secret_values(model: Mapping[str, t.Any], patterns: Iterable[str]) -> set[str]:
    """Return the values of variables whose name says that they are secret, and the password of every URL."""
    patterns = [pattern.upper() for pattern in patterns]
    values = set()
    for service in model["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if value and any(fnmatch.fnmatchcase(name.upper(), pattern) for pattern in patterns):
                values.add(str(value))
            values |= _url_password(str(value or ""))
    return values


def _url_password(value: str) -> set[str]:
    if "://" not in value or "@" not in value:
        return set()
    try:
        password = urllib.parse.urlsplit(value).password
    except ValueError:
        return set()
    return {password, urllib.parse.unquote(password)} if password else set()
