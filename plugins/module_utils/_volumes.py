# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Compose project's volumes on the engine: where they are, and their writers held for a while.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import os
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import _engine, _guardian, _store
from ._check import stopwatch
from ._compose import Execute, explain
from ._errors import OpsError

STOP, PAUSE = "stop", "pause"


@dataclass(frozen=True)
class Hold:
    """How writers are kept from writing: ``stop``, ``pause``, or not at all.

    Attributes:
        timeout: seconds that a container gets to stop before it is killed.
    """

    how: str = ""
    timeout: int = 30

    @property
    def argv(self) -> list[str]:
        return ["docker", "pause"] if self.how == PAUSE else ["docker", "stop", "-t", str(self.timeout)]

    @property
    def remedy(self) -> str:
        return "This engine cannot pause containers: set the policy stop." if self.how == PAUSE else ""


class Absent(OpsError):
    """A volume is not there: an error for a required one only."""


def locate(
    volume: str, model: Mapping[str, t.Any], execute: Execute, half: t.Callable[[Path], Path] | None = None
) -> tuple[str, Path]:
    """Return the engine's name of a volume, and the directory that holds it on this host.

    Args:
        half: where its content is, should it have been moved aside by something that was killed.
    """
    declared = (model.get("volumes") or {}).get(volume)
    if declared is None:
        raise Absent(
            f"No service of the Compose model uses a volume {volume}.", "docker compose config --volumes lists them."
        )
    name = str(declared["name"])
    rc, out, err = execute(["docker", "volume", "inspect", name])
    if rc and "no such volume" in err.lower():
        raise Absent(f"The volume {name} does not exist on this host.", "Deploy once; docker volume ls lists them.")
    if rc:
        raise explain("docker volume inspect", err, "")
    found = json.loads(out)[0]
    if found["Driver"] != "local":
        raise OpsError(
            f"The volume {name} is kept by the driver {found['Driver']}; only those of the driver local can be read.",
            "Take it out of the list of volumes and back it up with the tools of that driver.",
        )
    directory = Path(found["Mountpoint"])
    if not os.path.isdir(directory) and not (half and half(directory).is_dir()):
        raise OpsError(
            f"The volume {name} is not to be found at {directory}.",
            "Run this as root (become), on the engine's own host.",
        )
    # Such a volume (NFS, bind) is an empty directory until a container uses it.
    if (found.get("Options") or {}).get("device") and not os.path.ismount(directory):
        raise OpsError(f"The volume {name} is not mounted now.", "Start a service that uses it.")
    return name, directory


def make_as_compose(name: str, key: str, project: str, declared: Mapping[str, t.Any], execute: Execute) -> None:
    """Make a volume as Compose makes it from its model, labels included, so that Compose takes it for its own.

    Args:
        key: its name in the model.
        declared: what the model says of it.
    """
    labels = {**(declared.get("labels") or {}), _engine.PROJECT: project, _engine.VOLUME: key}
    make(name, labels, execute, str(declared.get("driver") or "local"), declared.get("driver_opts") or {})


def make(
    name: str,
    labels: Mapping[str, t.Any],
    execute: Execute,
    driver: str = "local",
    options: Mapping[str, t.Any] | None = None,
) -> None:
    argv = ["docker", "volume", "create", "--driver", driver]
    argv += [word for label, value in labels.items() for word in ("--label", f"{label}={value}")]
    argv += [word for option, value in (options or {}).items() for word in ("--opt", f"{option}={value}")]
    rc, _out, err = execute([*argv, name])
    if rc:
        raise explain("docker volume create", err, "")


@contextmanager
def held(
    execute: Execute, project: str, services: Sequence[str], hold: Hold, note: Path, downtime: dict[str, float]
) -> Iterator[None]:
    """Keep the running containers of some services from writing, and let the very same ones go on whatever happens.

    Should this process be killed, a guardian lets them go on; should that be killed as well, the next run does.

    Args:
        note: file that says meanwhile how they go on, for :func:`let_go` by the next run.
        downtime: is told the seconds for which each service was held.
    """
    writers = _writers(execute, project, services) if hold.how else {}
    if not writers:
        yield
        return
    containers = sorted(writers)
    _store.write_json(note, {"how": hold.how, "containers": containers})
    with _guardian.watching([_again(hold.how, container) for container in containers]), stopwatch() as seconds:
        try:
            rc, _out, err = execute([*hold.argv, *containers])
            if rc:
                raise explain(f"docker {hold.how}", err, hold.remedy)
            yield
        finally:
            try:
                let_go(execute, hold.how, containers)
            finally:
                downtime.update(dict.fromkeys(writers.values(), seconds()))
    note.unlink()


def running(execute: Execute, *filters: str) -> dict[str, str]:
    """Return ``{container id: service}`` of the containers that ``docker ps`` shows for some filters."""
    argv = ["docker", "ps", "--no-trunc", "--format", f'{{{{.ID}}}} {{{{.Label "{_engine.SERVICE}"}}}}']
    rc, out, err = execute([*argv, *(word for one in filters for word in ("--filter", one))])
    if rc:
        raise explain("docker ps", err, "")
    return dict(t.cast("tuple[str, str]", tuple(line.split(" ", 1))) for line in out.splitlines())


def _writers(execute: Execute, project: str, services: Sequence[str]) -> dict[str, str]:
    """Return the running containers of some services, one-off runs left out."""
    if not services:
        return {}
    ours = ("status=running", f"label={_engine.PROJECT}={project}", f"label={_engine.ONE_OFF}=False")
    return {one: service for one, service in running(execute, *ours).items() if service in services}


def _again(how: str, container: str) -> list[str]:
    return ["docker", "unpause" if how == PAUSE else "start", container]


def let_go(execute: Execute, how: str, containers: Sequence[str]) -> None:
    """Let containers go on; one that was replaced or goes on already is somebody else's business."""
    failed = {}
    for container in containers:
        rc, _out, err = execute(_again(how, container))
        if rc and not any(word in err.lower() for word in ("no such container", "is not paused")):
            failed[container[:12]] = err
    if failed:
        verb = _again(how, "")[1]
        raise explain(f"docker {verb}", next(iter(failed.values())), f"By hand: docker {verb} {' '.join(failed)}")
