# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a host once for what its checks need, and runs them; what rests on a missing answer is unknown, not fine.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Mapping

from . import _certificate, _host
from ._check import PASS, Outcome, Report, timed
from ._compose import Compose, Execute, Project
from ._engine import Container, Engine
from ._errors import OpsError, Unreachable


class Host:
    """The engine, Compose and the resolved model of one host, as far as they answer."""

    def __init__(self, project: Project, options: Mapping[str, t.Any], execute: Execute) -> None:
        self.project, self.options, self.execute = project, options, execute
        self.engine_version = self.compose_version = ""
        self._engine: Engine | None = None
        self._containers: list[Container] = []
        self._model: dict[str, t.Any] | None = None

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            raise Unreachable("It needs the engine: see host.engine.")
        return self._engine

    @property
    def containers(self) -> list[Container]:
        if not self._containers:
            self._containers = self.engine.containers()
        return self._containers

    @property
    def model(self) -> dict[str, t.Any]:
        if self._model is None:
            raise Unreachable("It needs the resolved Compose files: see host.model.")
        return self._model

    def ask_engine(self) -> Outcome:
        self._engine = Engine.connect()
        self.engine_version = self._engine.version()
        least = self.options["engine_least"]
        return _host.judge_version("Docker", self.engine_version, least, "Install a newer Docker Engine.")

    def ask_compose(self) -> Outcome:
        self.compose_version = _host.compose_version(self.execute)
        least = self.options["compose_least"]
        return _host.judge_version("Compose", self.compose_version, least, "Install a newer Compose plugin.")

    def resolve(self) -> Outcome:
        if not self.compose_version:
            raise Unreachable("It needs docker compose: see host.compose.")
        self._model = Compose(self.project, self.execute).model()
        names = sorted(self._model["services"])
        return Outcome(PASS, f"{len(names)} services: {', '.join(names)}")

    def networks(self) -> Outcome:
        return _host.judge_networks(self.model, self.engine.networks())

    def volumes(self) -> Outcome:
        return _host.judge_volumes(self.model, self.engine.volumes())

    def disk(self) -> Outcome:
        root = str(self.engine.info()["DockerRootDir"])
        free, least = _host.disk_free(root), self.options["disk_least"]
        return _host.judge_room(f"in {root}", free, least, "Make room: docker system df, then docker builder prune")

    def memory(self) -> Outcome:
        free = _host.memory_available((_host.PROC / "meminfo").read_text(encoding="ascii"))
        return _host.judge_room("of memory", free, self.options["memory_least"], "Stop something, or add memory.")

    def ports(self) -> Outcome:
        wanted = _host.wanted_ports(self.model)
        return _host.judge_ports(wanted, self.containers, self.project.name, _host.listeners(wanted))

    def names(self) -> Outcome:
        return _host.judge_project(self.project, self.containers)

    def file(self, where: Mapping[str, str]) -> Outcome:
        if where.get("target"):
            return _host.judge_file(_host.mounted_from(self.model, where["target"]), where["target"])
        if not where.get("path"):
            raise OpsError("Neither path nor target is given.", "Name one of them in the option files.")
        return _host.judge_file(str(self.project.directory / where["path"]))


def examine(project: Project, options: Mapping[str, t.Any], execute: Execute) -> Report:
    """Run all checks of the host, those that others rest on first."""
    host = Host(project, options, execute)
    looks: list[tuple[str, str, t.Callable[[], Outcome]]] = [
        ("host.engine", "The Docker engine answers", host.ask_engine),
        ("host.compose", "Docker Compose works", host.ask_compose),
        ("host.model", "The Compose files resolve", host.resolve),
        ("host.network", "External networks exist", host.networks),
        ("host.volumes", "Volumes are known", host.volumes),
        ("host.disk", "There is room to build", host.disk),
        ("host.memory", "There is memory", host.memory),
        ("host.ports", "Published ports are ours or free", host.ports),
        ("host.project", "The project's name is ours", host.names),
    ]
    for name, where in sorted(options["files"].items()):
        looks.append((f"host.files.{name}", "What is mounted as a file is one", functools.partial(host.file, where)))
    checks = [timed(check_id, title, (), look) for check_id, title, look in looks]
    if options.get("tls"):
        checks += _certificate.examine(_pair(project, options["tls"]), execute)
    return Report(checks, {"engine_version": host.engine_version, "compose_version": host.compose_version})


def _pair(project: Project, tls: Mapping[str, t.Any]) -> _certificate.Pair:
    paths = {name: project.directory / tls[name] for name in ("certificate", "key")}
    return _certificate.Pair(**{**tls, **paths})
