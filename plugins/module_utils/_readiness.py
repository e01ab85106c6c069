# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a host once for what its checks need, and runs them; what rests on a missing answer is unknown, not fine.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import functools
import os
import shlex
import typing as t
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import _host, _host_access, _host_clock, _host_limits, _host_room
from ._check import FAIL, PASS, Outcome, Report, timed
from ._compose import Compose, Execute, Project, built_services, image_name
from ._engine import PROJECT, Container
from ._errors import OpsError, Unreachable
from ._host_engine import HostEngine
from ._host_room import Place
from ._http import Client
from ._release import Store

MADE_BY = "com.docker.compose.version"
FIRST = "Mend that first."


class Host:
    """The engine, Compose and the resolved model of one host, as far as they answer."""

    def __init__(self, project: Project, options: Mapping[str, t.Any], execute: Execute) -> None:
        self.project, self.options, self.execute = project, options, execute
        self.state_dir = Path(options["state_dir"])
        self.engine_version = self.compose_version = ""
        self._engine: HostEngine | None = None
        self._containers: list[Container] = []
        self._model: dict[str, t.Any] | None = None

    @property
    def engine(self) -> HostEngine:
        if self._engine is None:
            raise Unreachable("it needs the engine: see host.engine.", FIRST)
        return self._engine

    @property
    def containers(self) -> list[Container]:
        if not self._containers:
            self._containers = self.engine.containers()
        return self._containers

    @property
    def model(self) -> dict[str, t.Any]:
        if self._model is None:
            raise Unreachable("it needs the resolved Compose files: see host.model.", FIRST)
        return self._model

    def ask_engine(self) -> Outcome:
        try:
            engine = HostEngine.connect()
            self.engine_version = engine.version()
        except Unreachable as error:
            # Nobody there is an answer; one who may not ask, or is kept waiting, knows nothing.
            if _host.nobody_listens(os.environ):
                return Outcome(FAIL, error.problem, error.remedy)
            raise
        self._engine = engine
        least = self.options["engine_least"]
        return _host.judge_version("Docker", self.engine_version, least, "Install a newer Docker Engine.")

    def ask_compose(self) -> Outcome:
        self.compose_version = _host.compose_version(self.execute)
        made_by = []
        if self._engine is not None:
            labels = [row.get("Labels") or {} for row in self._engine.rows()]
            made_by = [label.get(MADE_BY, "") for label in labels if label.get(PROJECT) == self.project.name]
        return _host.judge_compose(self.compose_version, self.options["compose_least"], made_by)

    def resolve(self) -> Outcome:
        if not self.compose_version:
            raise Unreachable("it needs docker compose: see host.compose.", FIRST)
        self._model = Compose(self.project, self.execute).model()
        names = sorted(self._model["services"])
        return Outcome(PASS, f"{len(names)} services: {', '.join(names)}")

    def networks(self) -> Outcome:
        made = self.options["networks_made"]
        return _host.judge_networks(self.model, self.engine.networks(), made, _host.routes())

    def volumes(self) -> Outcome:
        ours = any(container.project == self.project.name for container in self.containers)
        ran_before = ours or Store(self.state_dir).current() is not None
        meanings = self.options["volumes"]
        return _host.judge_volumes(self.model, self.engine.volumes(), self.project.name, meanings, ran_before)

    def disk(self) -> Outcome:
        """Judge by what the last build took, where there was one: as much again, its cache included."""
        root = Path(self.engine.info()["DockerRootDir"])
        names = built_services(self.model).values()
        steps = {name: self.engine.steps(name) for name in names if self.engine.image(name)}
        measured, factor = _host_room.built(steps), self.options["disk_factor"]
        told = (
            f"the images of the last build take {_host_room.size(measured)}" if steps else "nothing was built here yet"
        )
        least = max(self.options["disk_least"], int(measured * factor))
        builds = _host_room.existing(self.state_dir / "worktrees")
        places = [
            Place("images", root, least, "docker system df, then docker builder prune"),
            Place("releases", builds, self.options["state_least"], f"du -xh -d 2 {shlex.quote(str(builds))}"),
        ]
        return _host_room.judge_disk(places, told)

    def memory(self) -> Outcome:
        free = _host_room.memory_available((_host.PROC / "meminfo").read_text(encoding="ascii"))
        driver = "" if self._engine is None else str(self._engine.info().get("CgroupDriver", ""))
        limited = _host_room.memory_of_containers(driver)
        least = self.options["memory_least"]
        if limited and limited[0] < free:
            return _host_room.judge_memory(limited[0], least, limited[1])
        return _host_room.judge_memory(free, least, "")

    def limits(self) -> Outcome:
        asked = _host_limits.wanted(self.model)
        if not asked:
            return Outcome(PASS, "no service asks for limits of its own")
        return _host_limits.judge(asked, _host_limits.of_engine(_host.PROC))

    def ports(self) -> Outcome:
        wanted = _host.wanted_ports(self.model)
        return _host.judge_ports(wanted, self.containers, self.project.name, _host.listeners(wanted))

    def names(self) -> Outcome:
        return _host.judge_project(self.project, self.model, self.containers, self.engine.networks())

    def clock(self) -> Outcome:
        client = Client(ca_path=self.options["ca_path"] or "", connect_timeout=3, timeout=5)
        readings = _host_clock.read(client, self.options["clock_sources"])
        return _host_clock.judge(readings, self.options["clock_most"], _host_clock.kept())

    def file(self, where: Mapping[str, str]) -> Outcome:
        if not where.get("target"):
            if not where.get("path"):
                raise OpsError("Neither path nor target is given.", "Name one of them in the option files.")
            return _host.judge_file(str(self.project.directory / where["path"]))
        mounted = _host.mounting(self.model, where["target"])
        path = next(iter(mounted.values()), "")
        judged = _host.judge_file(path, where["target"])
        return judged if judged.status != PASS else self._readable(path, sorted(mounted), judged)

    def _readable(self, path: str, services: list[str], judged: Outcome) -> Outcome:
        """Judge whether the services that mount a file may read it, as far as their users are known."""
        readers = []
        for name in services:
            reader = self._reader(name)
            if reader is None or reader.user is None:
                continue
            hindered = _host_access.obstacle(Path(path), reader, name)
            if hindered:
                return Outcome(FAIL, f"{name} cannot read it: {hindered.said}", hindered.mend)
            readers.append(name)
        told = f"; {', '.join(readers)} may read it" if readers else ""
        return Outcome(PASS, f"{judged.evidence}{told}")

    def _reader(self, service: str) -> _host_access.Reader | None:
        """Return who reads in a service's container; None while only an image that is not there yet knows it."""
        definition = self.model["services"][service]
        name = image_name(self.project.name, service, definition)
        image = None if self._engine is None else self._engine.image(name)
        if image is None and not definition.get("user"):
            return None
        return _host_access.of_model(definition, ((image or {}).get("Config") or {}).get("User") or "")


def examine(project: Project, options: Mapping[str, t.Any], execute: Execute) -> Report:
    """Run all checks of the host, those that others rest on first, and the one that waits for others beside them."""
    host = Host(project, options, execute)
    looks: list[tuple[str, str, t.Callable[[], Outcome]]] = [
        ("host.engine", "The Docker engine answers", host.ask_engine),
        ("host.compose", "Docker Compose works", host.ask_compose),
        ("host.model", "The Compose files resolve", host.resolve),
        ("host.network", "External networks exist and are fit", host.networks),
        ("host.volumes", "Volumes are known and ours", host.volumes),
        ("host.disk", "There is room to build", host.disk),
        ("host.memory", "There is memory", host.memory),
        ("host.ulimits", "The engine can set the limits that are asked for", host.limits),
        ("host.ports", "Published ports are ours or free", host.ports),
        ("host.project", "The project's names are ours", host.names),
    ]
    for name, where in sorted(options["files"].items()):
        looks.append((f"host.files.{name}", "What is mounted as a file is one", functools.partial(host.file, where)))
    with ThreadPoolExecutor(max_workers=1) as pool:
        clock = pool.submit(timed, "host.clock", "The clock is right", (), host.clock)
        checks = [timed(check_id, title, (), look) for check_id, title, look in looks]
        checks.append(clock.result())
    return Report(checks, {"engine_version": host.engine_version, "compose_version": host.compose_version})
