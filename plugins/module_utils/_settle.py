# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a switch has proven itself: the old containers end once nothing is open on them, and nothing of it stays.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import time
import typing as t
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from . import _steering
from ._check import FAIL, PASS, WARN, Check, Outcome
from ._compose import Compose
from ._engine import Container, Engine
from ._steering import Proxy
from ._ways import STOP, Ways

LOOK_SECONDS = 1.0
EMPTY_LOOKS = 2  # a request may be between two connections
# What `docker compose up --dry-run` says of a container that it would make, change, remove or start.
_CHANGES = re.compile(r"Container\s+(\S+)\s+(Recreate|Creating|Stopping|Removing|Starting)\b")


@dataclass
class Settled:
    """What became of the old containers.

    Attributes:
        ended: name of each that ended, with ``open``: how many connections were cut.
        kept: those that still carry something.
    """

    ended: list[dict[str, t.Any]] = field(default_factory=list)
    kept: list[dict[str, t.Any]] = field(default_factory=list)


def settle(
    engine: Engine,
    project: str,
    ways: Ways,
    proxy: Proxy,
    superseded: Sequence[Mapping[str, str]],
    opened: Callable[[Container, int], int],
    say: Callable[[str], None],
    keep: Callable[[Sequence[Container]], None],
) -> Settled:
    """Wait until nothing is open on the old containers, end them, and let the proxy look its upstreams up again.

    Args:
        superseded: the old containers, as the switch wrote them down.
        opened: tells how many connections others have open to a container's port.
        keep: is told which old containers still run, each time one has ended.
    """
    done = Settled()
    old = [one for one in (engine.inspect(row["id"]) for row in superseded) if one]
    stopped = [one for one in old if not one.running]
    left = [one for one in old if one.running]
    _lead(engine, project, proxy, left)
    begun = time.monotonic()
    empty = dict.fromkeys((one.id for one in left), 0)
    said = ""
    while left:
        left, gone = _look_again(engine, left)
        stopped += gone
        counts = {one.id: opened(one, ways[one.service].port) if ways[one.service].port else 0 for one in left}
        for one in list(left):
            empty[one.id] = 0 if counts[one.id] else empty[one.id] + 1
            late = time.monotonic() - begun >= ways[one.service].drain
            if late and counts[one.id] and ways[one.service].undrained != STOP:
                done.kept.append({"service": one.service, "name": one.name, "open": counts[one.id]})
                left.remove(one)
            elif late or empty[one.id] >= EMPTY_LOOKS:
                engine.stop(one.id, ways[one.service].stop)
                done.ended.append({"service": one.service, "name": one.name, "open": counts[one.id] if late else 0})
                left.remove(one)
                stopped.append(one)
        telling = ", ".join(f"{one.service} ({counts[one.id]} open)" for one in left)
        if telling and telling != said:
            say(f"draining {telling}")
            said = telling
        if left:
            time.sleep(LOOK_SECONDS)
    kept = [one for one in old if one.name in {row["name"] for row in done.kept}]
    _lead(engine, project, proxy, kept)
    # Only now: the address of a container that was removed goes to the next one that starts.
    for one in stopped:
        engine.remove(one.id)
    keep(kept)
    _rename(engine, project, kept)
    return done


def _look_again(engine: Engine, containers: Sequence[Container]) -> tuple[list[Container], list[Container]]:
    """Return those that still run, as they are now, and those that have ended by themselves."""
    now = [one for one in (engine.inspect(old.id) for old in containers) if one]
    return [one for one in now if one.running], [one for one in now if not one.running]


def _lead(engine: Engine, project: str, proxy: Proxy, old: Sequence[Container]) -> None:
    """Lead requests past old containers that run; where there is none, to whatever the names mean."""
    container = _steering.running_proxy(engine, project, proxy)
    if container is None:
        return
    ids = {one.id for one in old}
    services = {one.service for one in old}
    new = [one for one in engine.containers(project) if one.service in services and one.running and not one.one_off]
    targets = [one for one in new if one.id not in ids]
    if targets or _steering.steered(container):
        _steering.steer(engine, proxy, container, targets)


def _rename(engine: Engine, project: str, kept: Sequence[Container]) -> None:
    """Give each only container of a service the name that it has after a plain start."""
    containers = [one for one in engine.containers(project) if not one.one_off]
    for one in containers:
        name = f"{project}-{one.service}-1"
        alone = sum(other.service == one.service for other in containers) == 1
        if alone and one.name != name and re.fullmatch(rf"{re.escape(project)}-{re.escape(one.service)}-\d+", one.name):
            engine.rename(one.id, name)


def would_change(compose: Compose, finite: Collection[str]) -> list[str]:
    """Return what a plain ``docker compose up`` would do to the containers now: nothing after a good switch.

    Args:
        finite: services that are meant to exit; every ``up`` starts them again.
    """
    printed = "\n".join(compose.run("up", "--detach", "--no-build", "--pull", "never", "--dry-run"))
    again = re.compile(rf"{re.escape(compose.project.name)}-({'|'.join(map(re.escape, finite)) or 'none'})-\d+")
    found = {(verb.lower(), name) for name, verb in _CHANGES.findall(printed)}
    return sorted(f"{verb} {name}" for verb, name in found if not (verb == "starting" and again.fullmatch(name)))


def drained(done: Settled) -> Check:
    """Say what became of the old containers: one that still carries something is a remark, a cut one is one, too."""
    title = "What the old containers had begun has ended"
    cut = [row for row in done.ended if row["open"]]
    if done.kept:
        told = ", ".join(f"{row['name']} ({row['open']} open)" for row in done.kept)
        outcome = Outcome(WARN, f"kept until the next run: {told}", "Run the deployment again later, it ends them.")
    elif cut:
        told = ", ".join(f"{row['open']} of {row['name']}" for row in cut)
        outcome = Outcome(WARN, f"cut at the deadline: {told}", "Give them more time: drain in the services' ways.")
    else:
        told = ", ".join(row["name"] for row in done.ended)
        outcome = Outcome(PASS, f"nothing was open any more on {told}" if told else "no old container was left")
    return Check("release.drained", title, *outcome)


def plain_start(left: Sequence[str], done: Settled) -> Check:
    """Judge whether the operator's own ``docker compose up`` keeps everything as it is."""
    title = "docker compose up would change nothing"
    if not left:
        return Check("release.plain_start", title, PASS, "a dry run names nothing to create, recreate, remove or start")
    if done.kept:
        said = f"it would end what is kept: {', '.join(left)}"
        return Check("release.plain_start", title, WARN, said, "Leave docker compose up until the old containers ended.")
    return Check("release.plain_start", title, FAIL, f"it would {', '.join(left)}", "Deploy again.")
