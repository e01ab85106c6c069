# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Compose project's volumes on the engine: where they are, and their writers stopped for a while.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import os
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import _engine, _store
from ._check import stopwatch
from ._compose import Execute, explain
from ._errors import OpsError


class Absent(OpsError):
    """A volume is not there: an error for a required one only."""


def locate(volume: str, model: Mapping[str, t.Any], execute: Execute) -> tuple[str, Path]:
    """Return the engine's name of a volume, and the directory that holds it on this host."""
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
    if not os.path.isdir(directory):
        raise OpsError(
            f"The volume {name} is not to be found at {directory}.",
            "Run this as root (become), on the engine's own host.",
        )
    # Such a volume (NFS, bind) is an empty directory until a container uses it.
    if (found.get("Options") or {}).get("device") and not os.path.ismount(directory):
        raise OpsError(f"The volume {name} is not mounted now.", "Start a service that uses it.")
    return name, directory


@contextmanager
def stopped(
    execute: Execute, project: str, services: Sequence[str], timeout: int, note: Path, downtime: dict[str, float]
) -> Iterator[None]:
    """Stop the running containers of some services, and start the very same ones again whatever happens.

    Args:
        note: file that holds their ids meanwhile, for :func:`start` by the next run, should this process be killed.
        downtime: is told the seconds for which each service was stopped.
    """
    running = _running(execute, project, services)
    if not running:
        yield
        return
    _store.write_json(note, sorted(running))
    with stopwatch() as seconds:
        try:
            rc, _out, err = execute(["docker", "stop", "-t", str(timeout), *sorted(running)])
            if rc:
                raise explain("docker stop", err, "")
            yield
        finally:
            try:
                start(execute, sorted(running))
            finally:
                downtime.update(dict.fromkeys(running.values(), seconds()))
    note.unlink()


def _running(execute: Execute, project: str, services: Sequence[str]) -> dict[str, str]:
    """Return ``{container id: service}`` of the running containers of some services."""
    if not services:
        return {}
    argv = ["docker", "ps", "--no-trunc", "--format", f'{{{{.ID}}}} {{{{.Label "{_engine.SERVICE}"}}}}']
    argv += ["--filter", "status=running", "--filter", f"label={_engine.PROJECT}={project}"]
    argv += ["--filter", f"label={_engine.ONE_OFF}=False"]
    rc, out, err = execute(argv)
    if rc:
        raise explain("docker ps", err, "")
    found = dict(line.split(" ", 1) for line in out.splitlines())
    return {container: service for container, service in found.items() if service in services}


def start(execute: Execute, containers: Sequence[str]) -> None:
    """Start containers; one that was replaced meanwhile is somebody else's business."""
    failed = {}
    for container in containers:
        rc, _out, err = execute(["docker", "start", container])
        if rc and "no such container" not in err.lower():
            failed[container[:12]] = err
    if failed:
        raise explain("docker start", next(iter(failed.values())), f"Start by hand: docker start {' '.join(failed)}")
