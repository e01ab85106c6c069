# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else the host's checks ask of the engine: containers and images as it describes them, and a command in one.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from ._engine import PROJECT, SERVICE, Engine, answering
from ._errors import Unreachable


class HostEngine(Engine):
    """The engine, asked for more than the containers of one project."""

    @classmethod
    def connect(cls, timeout: float = 20) -> HostEngine:
        return t.cast("HostEngine", super().connect(timeout))

    def rows(self) -> list[dict[str, t.Any]]:
        """Return a row for each container, stopped ones included: names, labels, state."""
        with answering():
            return t.cast("list[dict[str, t.Any]]", self._api.containers(all=True))

    def newest(self, project: str, service: str) -> dict[str, t.Any] | None:
        """Return the newest container of a service as the engine describes it, one that runs before all others."""
        labels = [f"{PROJECT}={project}", f"{SERVICE}={service}"]
        with answering():
            rows = self._api.containers(all=True, filters={"label": labels})
            newest = max(rows, key=lambda row: (row["State"] == "running", row["Created"]), default=None)
            return t.cast("dict[str, t.Any]", self._api.inspect_container(newest["Id"])) if newest else None

    def image(self, name: str) -> dict[str, t.Any] | None:
        """Return an image as the engine describes it; None when it is not on this host."""
        import docker.errors

        with answering():
            try:
                return t.cast("dict[str, t.Any]", self._api.inspect_image(name))
            except docker.errors.ImageNotFound:
                return None

    def steps(self, image: str) -> set[tuple[int, str, int]]:
        """Return when, how and with how many bytes each layer of an image was made; equal ones are the same layer."""
        with answering():
            rows = self._api.history(image)
        return {(row["Created"], row["CreatedBy"], row["Size"]) for row in rows if row["Size"]}

    def call(self, container: str, argv: Sequence[str]) -> tuple[int, str]:
        """Run a command in a container as its own user, with its own capabilities; return exit code and output."""
        with answering():
            job = self._api.exec_create(container, list(argv))["Id"]
            printed = self._api.exec_start(job)
            code = self._api.exec_inspect(job)["ExitCode"]
        if code is None:
            raise Unreachable("The engine did not say how a command in the container ended.", "Run it again.")
        return code, printed.decode("utf-8", "replace").strip()
