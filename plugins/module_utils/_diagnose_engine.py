# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of a project and their logs, by the engine, or by its files where the engine is down.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import os
import re
import time
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._bounded import Programs
from ._compose import explain
from ._engine import PROJECT, SERVICE, moment
from ._errors import OpsError, Unreachable

DATA_ROOT, DAEMON = Path("/var/lib/docker"), Path("/etc/docker/daemon.json")
Inspected = dict[str, t.Any]


@dataclass(frozen=True)
class Span:
    """What of a log is wanted: the last so many lines, and besides all of the last so many minutes."""

    lines: int
    minutes: int

    def since(self) -> float:
        return time.time() - 60 * self.minutes


def file_name(container: Mapping[str, t.Any]) -> str:
    """Return a name for files about a container, of harmless characters."""
    name = str(container["Name"]).lstrip("/")
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name) or str(container["Id"])[:12]


def service_of(container: Mapping[str, t.Any]) -> str:
    return str((container["Config"].get("Labels") or {}).get(SERVICE, ""))


def runs(container: Mapping[str, t.Any]) -> bool:
    """Whether it can be asked: one that waits to be started again counts as running for the engine."""
    return bool(container["State"].get("Running")) and not container["State"].get("Restarting")


def environment(container: Mapping[str, t.Any]) -> dict[str, str]:
    """Return the variables of a container; they hold secrets."""
    return {
        name: value for name, _equals, value in (line.partition("=") for line in container["Config"].get("Env") or [])
    }


class Live:
    """The engine, by its own command: it needs no package, and each question has its time."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    def docker(self, *arguments: str, merged: bool = False) -> str:
        ran = self._programs.run(["docker", *arguments], merged=merged)
        if ran.code:
            raise explain(f"docker {arguments[0]}", ran.err or ran.out, f"Try it by hand: docker {arguments[0]}")
        return ran.out

    def containers(self, project: str) -> list[Inspected]:
        """Return all containers of a project as the engine describes them, stopped ones, too."""
        ids = self.docker("ps", "-aq", "--no-trunc", "--filter", f"label={PROJECT}={project}").split()
        if not ids:
            return []
        ran = self._programs.run(["docker", "inspect", "--type", "container", *ids])
        if ran.is_cut or (ran.code and "no such" not in ran.err.lower()):  # one may have been removed meanwhile
            raise explain("docker inspect", ran.err or "it printed too much", "docker ps -a")
        return sorted(json.loads(ran.out), key=lambda each: str(each["Name"]))

    def log(self, container: Mapping[str, t.Any], span: Span) -> str:
        """Return the end of what a container printed on both streams, each line with the engine's time stamp."""
        last = self.docker("logs", "--timestamps", "--tail", str(span.lines), container["Id"], merged=True)
        is_whole = last.count("\n") < span.lines
        if is_whole or moment(last.partition(" ")[0]) < span.since():
            return last
        return self.docker("logs", "--timestamps", "--since", f"{span.minutes}m", container["Id"], merged=True)


class Files:
    """The files that an engine which is down has left behind: what its containers were, and what they printed."""

    def __init__(self, limit: int, root: Path | None = None) -> None:
        self._limit, self._root = limit, root or data_root()

    def containers(self, project: str) -> list[Inspected]:
        found = []
        for path in sorted(self._root.glob("containers/*/config.v2.json")):
            try:
                one = json.loads(path.read_text(encoding="utf-8"))
                if (one["Config"].get("Labels") or {}).get(PROJECT) == project:
                    found.append({**one, "Id": one["ID"], "HostConfig": _json(path.with_name("hostconfig.json"))})
            except (OSError, ValueError, LookupError):
                continue  # half written when the engine went away
        if not found:
            raise Unreachable(
                f"No containers of {project} are to be found in {self._root}.", "Run it with become: true."
            )
        return sorted(found, key=lambda each: str(each["Name"]))

    def log(self, container: Mapping[str, t.Any], span: Span) -> str:
        path = Path(container.get("LogPath") or "")
        try:
            with path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                stream.seek(max(size - 2 * self._limit, 0))
                data = stream.read()
        except OSError as error:
            raise Unreachable(
                f"The log cannot be read: {error.strerror}.", "Start the engine: systemctl start docker"
            ) from None
        if size > len(data):
            data = data.partition(b"\n")[2]
        rows = list(_rows(data))
        cut = max(len(rows) - span.lines, 0)
        since = span.since()
        while cut and moment(rows[cut - 1][0]) >= since:
            cut -= 1
        return "".join(f"{stamp} {text}" for stamp, text in rows[cut:])


def data_root(daemon: Path = DAEMON) -> Path:
    """Return where the engine keeps its files, by its settings, which need no engine."""
    return Path(_json(daemon).get("data-root") or DATA_ROOT)


def _json(path: Path) -> dict[str, t.Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _rows(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield time and text of each line of a log as the engine's ``json-file`` driver keeps it, cut ones in one piece."""
    begun = ""
    stamp = ""
    for line in data.splitlines():
        try:
            row = json.loads(line)
            text, when = str(row["log"]), str(row["time"])
        except (ValueError, LookupError, TypeError):
            continue
        stamp = stamp or when
        begun += text
        if text.endswith("\n"):
            yield stamp, begun
            begun = stamp = ""
    if begun:
        yield stamp, f"{begun}\n"


def reduced(container: Mapping[str, t.Any], told: t.Callable[[str], Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return of a container what helps: its state, its health, how it was made; of its variables what ``told`` says."""
    config, host = container["Config"], container.get("HostConfig") or {}
    state = dict(container["State"])
    health = state.pop("Health", None) or {}
    network = container.get("NetworkSettings") or {}
    return {
        "name": str(container["Name"]).lstrip("/"),
        "id": container["Id"],
        "service": service_of(container),
        "image": {"name": config.get("Image"), "id": container.get("Image")},
        "created": container.get("Created"),
        "state": state,
        "health": {**health, "Log": (health.get("Log") or [])[-5:]},
        "health_check": config.get("Healthcheck"),
        "restarts": container.get("RestartCount"),
        "command": " ".join([str(container.get("Path") or ""), *map(str, container.get("Args") or [])]),
        "user": config.get("User"),
        "host": {name: host[name] for name in _HOST if host.get(name)},
        "mounts": container.get("Mounts") or sorted(container.get("MountPoints") or {}),
        "networks": {
            name: {key: (net or {}).get(key) for key in ("IPAddress", "Gateway", "Aliases")}
            for name, net in (network.get("Networks") or {}).items()
        },
        "ports": network.get("Ports"),
        "labels": config.get("Labels"),
        "environment": {name: told(value) for name, value in sorted(environment(container).items())},
    }


_HOST = (
    *(
        "RestartPolicy",
        "Memory",
        "NanoCpus",
        "CpuShares",
        "PidsLimit",
        "Ulimits",
        "ReadonlyRootfs",
        "CapAdd",
        "CapDrop",
    ),
    *("SecurityOpt", "Tmpfs", "LogConfig", "NetworkMode", "Dns", "ExtraHosts", "Privileged", "OomScoreAdj"),
)


def table(containers: Sequence[Mapping[str, t.Any]]) -> list[list[str]]:
    """Return a row of text for each container: what a person looks at first."""
    rows = [["container", "state", "health", "exit", "restarts", "started", "note"]]
    for one in containers:
        state = one["State"]
        status = state.get("Status") or ("running" if state.get("Running") else "not running")
        note = "killed for want of memory" if state.get("OOMKilled") else str(state.get("Error") or "")
        health = (state.get("Health") or {}).get("Status") or "-"
        started = str(state.get("StartedAt") or "")[:19]
        code = "-" if runs(one) else str(state.get("ExitCode"))
        rows.append([file_name(one), status, health, code, str(one.get("RestartCount") or 0), started, note])
    return rows


def known_by(containers: Sequence[Mapping[str, t.Any]]) -> list[str]:
    """Return the words by which a project is known: nobody can keep them secret."""
    return sorted({word for one in containers for word in (service_of(one), file_name(one))})


def must(engine: Live | Files | OpsError) -> Live:
    """Return the engine itself, or raise why there is none."""
    if isinstance(engine, Live):
        return engine
    raise engine if isinstance(engine, OpsError) else Unreachable("The Docker engine does not answer on this host.")
