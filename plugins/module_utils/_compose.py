# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Compose command line: one project, always with the same files, always as an argument list.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from . import _secrets
from ._errors import OpsError, Unreachable

COMPOSE_OPTIONS: dict[str, t.Any] = {
    "project_dir": {"type": "path", "required": True},
    "compose_files": {"type": "list", "elements": "str", "default": ["docker-compose.yml", "docker-compose.prod.yml"]},
    "project": {"type": "str", "required": True},
}

Execute = t.Callable[..., "tuple[int, str, str]"]

# Where Compose cuts a value that it reads as a template or as quoted text.
_PIECES = re.compile(r"[\s'\"${}#:-]+")

_NO_ENGINE = ("cannot connect to the docker daemon", "error during connect", "is the docker daemon running")


@dataclass(frozen=True)
class Project:
    """A Compose project: its name, its directory, and the files that make it, in order."""

    name: str
    directory: Path
    files: tuple[str, ...]

    @classmethod
    def of(cls, params: Mapping[str, t.Any]) -> Project:
        """Build it from a module's parameters (``COMPOSE_OPTIONS``)."""
        return cls(params["project"], Path(params["project_dir"]), tuple(params["compose_files"]))

    def at(self, directory: Path, *extra_files: str) -> Project:
        """Return the same project read from another directory, with more files on top."""
        return replace(self, directory=directory, files=self.files + extra_files)


class Compose:
    """Runs ``docker compose`` for one project."""

    def __init__(self, project: Project, execute: Execute) -> None:
        self.project = project
        self._execute = execute

    def argv(self, *arguments: str) -> list[str]:
        files = [part for name in self.project.files for part in ("-f", str(self.project.directory / name))]
        where = ["--project-directory", str(self.project.directory), "-p", self.project.name]
        return ["docker", "compose", *where, *files, *arguments]

    def run(self, *arguments: str, remedy: str = "") -> tuple[str, str]:
        """Run a subcommand; return what it printed on stdout and stderr, or raise with its last lines."""
        rc, out, err = self.try_run(*arguments)
        if rc:
            raise explain(f"docker compose {arguments[0]}", err or out, remedy)
        return out, err

    def try_run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a subcommand; return its exit code and what it printed, secrets masked where it failed."""
        for name in self.project.files:
            if not (self.project.directory / name).is_file():
                raise OpsError(
                    f"{self.project.directory / name} does not exist.",
                    "Check prosaas_project_dir and prosaas_compose_files, or clone the application there.",
                )
        rc, out, err = self._execute(self.argv(*arguments), cwd=str(self.project.directory))
        return (rc, self._masked(out), self._masked(err)) if rc else (rc, out, err)

    def try_on(self, model: Mapping[str, t.Any], *arguments: str) -> tuple[int, str]:
        """Run a subcommand on a resolved model in place of the files; return its exit code and what it printed.

        The model goes through standard input, since it holds every value of ``.env``.
        """
        where = ["--project-directory", str(self.project.directory), "-p", self.project.name, "-f", "-"]
        rc, out, _err = self._execute(["docker", "compose", *where, *arguments], data=json.dumps(model))
        return rc, out

    def _masked(self, printed: str) -> str:
        """Mask what Compose quotes of the environment file when it complains about it, pieces of values included."""
        try:
            text = (self.project.directory / ".env").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return printed
        values = [line.partition("=")[2] for line in text.splitlines()]
        return _secrets.redact(printed, [piece for value in values for piece in _PIECES.split(value)])

    def model(self) -> dict[str, t.Any]:
        """Return the resolved model (``docker compose config``) of the default profile.

        It holds every value of ``.env``: never return it from a module.
        """
        out, _warnings = self.run("config", "--format", "json", remedy="Correct the file that is named.")
        return t.cast("dict[str, t.Any]", json.loads(out))


def explain(command: str, printed: str, remedy: str) -> OpsError:
    """Turn what a docker command printed into one error: an engine that is away is told from everything else."""
    if any(sign in printed.lower() for sign in _NO_ENGINE):
        return Unreachable("The Docker engine does not answer on this host.", "Start it: systemctl start docker")
    lines = [line for line in _secrets.redact(printed).strip().splitlines() if line.strip()]
    last = lines[-1] if lines else "it printed nothing"
    return OpsError(f"{command} failed: {last.rstrip('.')}.", remedy, log=lines[-40:])


def image_name(project: str, service: str, definition: Mapping[str, t.Any]) -> str:
    """Return the image name of a service as Compose names it: its own, or PROJECT-SERVICE where it is built."""
    return str(definition.get("image") or f"{project}-{service}")


def built_services(model: Mapping[str, t.Any]) -> dict[str, str]:
    """Return the image name of every service that is built from source."""
    return {
        name: image_name(str(model["name"]), name, service)
        for name, service in sorted(model["services"].items())
        if service.get("build")
    }


def one_shots(model: Mapping[str, t.Any]) -> set[str]:
    """Return the services that are meant to exit: waited for with ``service_completed_successfully``, or never restarted."""
    waited_for = {
        name
        for service in model["services"].values()
        for name, how in (service.get("depends_on") or {}).items()
        if how.get("condition") == "service_completed_successfully"
    }
    return waited_for | {name for name, service in model["services"].items() if service.get("restart") == "no"}
