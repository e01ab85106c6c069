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

from ._check import FAIL, PASS, UNKNOWN, WARN, Check, Outcome
from ._compose import Project
from ._engine import Container
from ._health import (
    EXITED,
    UP,
    Expectation,
    Limits,
    Sighting,
    judge_image,
    judge_orphans,
    judge_ports,
    judge_restarts,
)


def checks(
    project: Project,
    expected: Sequence[Expectation],
    seen: Sighting,
    limits: Limits,
    images: Mapping[str, str],
    tail: t.Callable[[Container], list[str]],
) -> list[Check]:
    """Turn what was seen into checks; ``tail`` returns the last lines of a container's log, ready to be shown."""
    files = [part for name in project.files for part in ("-f", name)]
    compose = f"cd {shlex.quote(str(project.directory))} && {shlex.join(['docker', 'compose', *files])}"
    found = []
    for service in expected:
        name, containers = service.service, seen.of(service.service)
        see_log = f"{compose} logs --tail 100 {name}"
        state = _state_outcome(service, seen, f"{compose} up -d {name}" if not containers else see_log)
        restarts = judge_restarts(service, seen, limits) if service.lives else None
        log = _last_words(containers, tail) if FAIL in (state.status, restarts and restarts.status) else ""
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
        if name in images:
            found.append(
                Check(f"compose.{name}.image", f"{name} runs its image", *judge_image(containers, images[name]))
            )
    orphans = judge_orphans(expected, seen.containers)
    ports = judge_ports(expected, seen.containers)
    remedy = f"{compose} up -d" if ports.status == FAIL else ""
    found.append(Check("compose.orphans", "No container without a service", *orphans))
    found.append(Check("compose.ports", "Ports are published as in the model", ports.status, ports.evidence, remedy))
    return found


def _wanted(service: Expectation) -> str:
    if service.probe:
        return "answering"
    return {UP: "up", EXITED: "done"}.get(service.how, service.how)


def _state_outcome(service: Expectation, seen: Sighting, remedy: str) -> Outcome:
    state = seen.states[service.service]
    if state.good:
        return Outcome(PASS, state.said)
    doomed = [name for name, other in seen.states.items() if other.certain]
    if doomed and not state.certain and seen.good_at is None:
        return Outcome(UNKNOWN, f"{state.said}; not waited for, because of {', '.join(doomed)}")
    return Outcome(FAIL, state.said, remedy)


def _last_words(containers: Sequence[Container], tail: t.Callable[[Container], list[str]]) -> str:
    lines = []
    for container in containers[-1:]:
        if container.health_output and container.health not in ("", "healthy"):
            lines.append(f"health check: {container.health_output[-300:]}")
        lines += tail(container)
    return "\n".join(lines)


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
