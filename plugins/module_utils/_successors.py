# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switch has to do: for each service, which containers are to serve and which are to go.

A container that Compose would make now is made for every service, never started, and compared with those that are
there: same image and same configuration by Compose's own hash means that nothing about the service changed. That is
exact for every version of Compose, and what is there after a run that was killed is taken up where it was left.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._compose import Compose, one_shots
from ._engine import Container, Engine
from ._health import replicas

_CREATE_OPTIONS = ("create", "--no-build", "--no-recreate", "--pull", "never")


@dataclass(frozen=True)
class Move:
    """What becomes of one service.

    Attributes:
        chosen: the containers that are to serve, or to have run; new ones are not started yet.
        others: the containers that are to go.
        finite: whether it is meant to exit.
    """

    service: str
    chosen: tuple[Container, ...]
    others: tuple[Container, ...]
    finite: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: what is chosen runs, or has run well, and nothing else is there."""
        well = all(one.status == "exited" and one.exit_code == 0 if self.finite else one.running for one in self.chosen)
        return well and not self.others

    @property
    def fresh(self) -> tuple[Container, ...]:
        return tuple(one for one in self.chosen if one.status == "created")


def moves(
    engine: Engine, compose: Compose, model: Mapping[str, t.Any], retired: t.Collection[str] = ()
) -> dict[str, Move]:
    """Make what is missing and decide for every service; containers that never ran and are not needed are removed.

    Args:
        retired: services that an earlier release had. Others that are not in the model are left alone: a profile may
            have brought them.
    """
    project = compose.project.name
    for one in _containers(engine, project):
        if one.status == "created":  # left by a run that was killed
            engine.remove(one.id)
    before = by_service(_containers(engine, project))
    wanted = {service: replicas(definition) for service, definition in model["services"].items()}
    scales = [
        f"--scale={service}={count + len(before.get(service, ()))}" for service, count in sorted(wanted.items()) if count
    ]
    compose.run(*_CREATE_OPTIONS, *scales, remedy="Correct what is named, and run it again.")
    known = {one.id for containers in before.values() for one in containers}
    made = by_service(one for one in _containers(engine, project) if one.id not in known)
    finite = one_shots(model)
    found = {
        service: decide(service, before.get(service, ()), made.get(service, ()), count, service in finite)
        for service, count in wanted.items()
    }
    for service in (before.keys() & set(retired)) - found.keys():
        found[service] = Move(service, (), tuple(before[service]))
    needed = {one.id for move in found.values() for one in move.chosen}
    for one in (one for containers in made.values() for one in containers if one.id not in needed):
        engine.remove(one.id)
    return found


def decide(service: str, there: Sequence[Container], made: Sequence[Container], count: int, finite: bool = False) -> Move:
    """Choose the containers of one service: those that are as Compose would make them now first, a running one before."""
    same = [one for one in there if made and (one.config_hash, one.image) == (made[0].config_hash, made[0].image)]
    same.sort(key=lambda one: (not one.running, -one.number))
    chosen = [*same[:count], *made[: max(0, count - len(same))]]
    ids = {one.id for one in chosen}
    return Move(service, tuple(chosen), tuple(one for one in there if one.id not in ids), finite)


def by_service(containers: t.Iterable[Container]) -> dict[str, list[Container]]:
    found: dict[str, list[Container]] = {}
    for one in containers:
        found.setdefault(one.service, []).append(one)
    return found


def in_order(model: Mapping[str, t.Any]) -> list[str]:
    """Return the services so that each comes after those that it depends on."""
    services: Mapping[str, t.Any] = model["services"]
    ordered: list[str] = []

    def place(name: str, above: tuple[str, ...]) -> None:
        if name in ordered or name in above or name not in services:
            return
        for needed in sorted(services[name].get("depends_on") or {}):
            place(needed, (*above, name))
        ordered.append(name)

    for name in sorted(services):
        place(name, ())
    return ordered


def needed_by(model: Mapping[str, t.Any], services: t.Iterable[str]) -> set[str]:
    """Return what these services depend on, and what that depends on."""
    found: set[str] = set()
    left = list(services)
    while left:
        for needed in (model["services"].get(left.pop()) or {}).get("depends_on") or {}:
            if needed not in found:
                found.add(needed)
                left.append(needed)
    return found


def _containers(engine: Engine, project: str) -> list[Container]:
    return [one for one in engine.containers(project) if not one.one_off]
