# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this host ready for a Compose project? Versions, room, ports, names, and files that must be files.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import sys
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ._check import FAIL, PASS, SKIP, WARN, Outcome
from ._compose import Execute, Project
from ._engine import Container
from ._errors import OpsError, Unreachable

GIB = 1 << 30
LISTENING = "0A"
PROC = Path("/proc")


class Wanted(t.NamedTuple):
    """A port that the model publishes."""

    service: str
    host_ip: str
    first: int
    last: int
    protocol: str


class Listener(t.NamedTuple):
    """A program that listens."""

    protocol: str
    address: str
    port: int
    program: str


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version: ``20.10.24+dfsg1`` is (20, 10, 24)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.lstrip("v").split("+")[0].split("-")[0]))


def judge_version(what: str, found: str, least: str, remedy: str) -> Outcome:
    if numbers(found) < numbers(least):
        return Outcome(FAIL, f"{what} {found}, at least {least} is needed", remedy)
    return Outcome(PASS, f"{what} {found}")


def compose_version(execute: Execute) -> str:
    remedy = (
        "Install its plugin: apt-get install docker-compose-plugin (Docker's packages) or docker-compose-v2 (Ubuntu)"
    )
    rc, out, _err = execute(["docker", "compose", "version", "--short"])
    if rc or not numbers(out.strip()):
        raise OpsError("docker compose does not work on this host.", remedy)
    return out.strip()


def judge_networks(model: Mapping[str, t.Any], present: Mapping[str, t.Any]) -> Outcome:
    external = sorted(
        {net.get("name") or key for key, net in (model.get("networks") or {}).items() if (net or {}).get("external")}
    )
    missing = [name for name in external if name not in present]
    if missing:
        return Outcome(
            WARN,
            f"{', '.join(missing)} does not exist yet; a deployment creates it",
            f"Or now: docker network create {missing[0]}",
        )
    if not external:
        return Outcome(PASS, "the model has no external network")
    return Outcome(PASS, ", ".join(f"{name} ({present[name].get('Driver')}) exists" for name in external))


def judge_volumes(model: Mapping[str, t.Any], present: Mapping[str, t.Any]) -> Outcome:
    """Tell which volumes are kept and which will be new; only an external one has to be there."""
    volumes = {
        vol.get("name") or key: bool(vol.get("external")) for key, vol in sorted((model.get("volumes") or {}).items())
    }
    missing = [name for name, external in volumes.items() if external and name not in present]
    if missing:
        return Outcome(
            FAIL, f"external, and not there: {', '.join(missing)}", f"docker volume create {shlex.join(missing)}"
        )
    kept = [f"{name} (since {str(present[name].get('CreatedAt', ''))[:10]})" for name in volumes if name in present]
    new = [name for name in volumes if name not in present]
    parts = (["kept: " + ", ".join(kept)] if kept else []) + (["new: " + ", ".join(new)] if new else [])
    return Outcome(PASS, "; ".join(parts) or "the model has no volume")


def judge_room(what: str, free: int, least: int, remedy: str) -> Outcome:
    told = f"{free / GIB:.1f} GiB free {what}"
    if free < least:
        return Outcome(FAIL, f"{told}, {least / GIB:.1f} GiB are wanted", remedy)
    return Outcome(PASS, told)


def disk_free(path: str) -> int:
    try:
        found = os.statvfs(path)
    except OSError:
        raise Unreachable(f"{path}, where the engine keeps images, is not on this host.", "Run it there.") from None
    return found.f_bavail * found.f_frsize


def memory_available(meminfo: str) -> int:
    """Return the bytes that a new program can have (``MemAvailable``)."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    if not found:
        raise OpsError("/proc/meminfo has no MemAvailable.", "Run the check on a Linux host.")
    return int(found[1]) * 1024


def wanted_ports(model: Mapping[str, t.Any]) -> list[Wanted]:
    found = []
    for name, service in sorted(model["services"].items()):
        for port in service.get("ports") or []:
            if port.get("published"):  # without a number the engine takes a free one
                first, _dash, last = str(port["published"]).partition("-")
                ip = port.get("host_ip") or "0.0.0.0"
                found.append(Wanted(name, ip, int(first), int(last or first), port.get("protocol", "tcp")))
    return found


def judge_ports(
    wanted: Iterable[Wanted], containers: Sequence[Container], project: str, listening: Sequence[Listener]
) -> Outcome:
    """Judge whether each port is published by the project already, or free."""
    ours, free, taken = [], [], []
    for want in wanted:
        for number in range(want.first, want.last + 1):
            name = f"{number}/{want.protocol}"
            holder = next((one for one in containers if _publishes(one, number, want)), None)
            program = next((one.program for one in listening if _collides(one, number, want)), "")
            if holder and holder.project == project:
                ours.append(name)
            elif holder or program:
                taken.append(f"{name} is held by " + (f"container {holder.name}" if holder else program))
            else:
                free.append(name)
    if taken:
        return Outcome(FAIL, "; ".join(taken), "Stop what holds it, or publish another port.")
    parts = ([f"ours: {', '.join(ours)}"] if ours else []) + ([f"free: {', '.join(free)}"] if free else [])
    return Outcome(PASS, "; ".join(parts) or "the model publishes no port")


def _publishes(container: Container, number: int, want: Wanted) -> bool:
    return container.running and any(
        (port.published, port.protocol) == (number, want.protocol) and _same_address(port.host_ip, want.host_ip)
        for port in container.ports
    )


def _collides(listener: Listener, number: int, want: Wanted) -> bool:
    same = (listener.protocol, listener.port) == (want.protocol, number)
    return same and _same_address(listener.address, want.host_ip)


def _same_address(one: str, other: str) -> bool:
    return one == other or not {one, other}.isdisjoint({"0.0.0.0", "::"})


def listeners(wanted: Iterable[Wanted], proc: Path = PROC) -> list[Listener]:
    """Return which programs of this host listen on the wanted ports."""
    ports = {number for want in wanted for number in range(want.first, want.last + 1)}
    found: dict[str, tuple[str, str, int]] = {}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = proc / "net" / table
        for line in path.read_text(encoding="ascii").splitlines()[1:] if path.exists() else ():
            columns = line.split()
            address, _colon, port = columns[1].rpartition(":")
            if int(port, 16) in ports and (columns[3] == LISTENING or table.startswith("udp")):
                found[columns[9]] = (table[:3], _address(address), int(port, 16))
    owners = _owners(set(found), proc) if found else {}
    return [Listener(*where, owners.get(inode, "a program that only root can name")) for inode, where in found.items()]


def _address(kernel: str) -> str:
    """Return the address that the kernel writes as hexadecimal words in the byte order of the machine."""
    words = [int(kernel[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(kernel), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _owners(inodes: set[str], proc: Path) -> dict[str, str]:
    """Return the program behind each socket; as another user than root only one's own are seen."""
    found = {}
    links = {f"socket:[{inode}]": inode for inode in inodes}
    for process in proc.glob("[0-9]*"):
        try:
            held = {os.readlink(entry) for entry in os.scandir(process / "fd")} & set(links)
            if held:
                program = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                found.update({links[link]: f"{program} (process {process.name})" for link in held})
        except OSError:  # it ended, or is not ours to look at
            continue
    return found


def judge_project(project: Project, containers: Iterable[Container]) -> Outcome:
    """Judge whether containers of this project's name were started from another directory."""
    here = os.path.realpath(project.directory)
    others = sorted(
        {
            container.working_dir
            for container in containers
            if container.project == project.name
            and container.working_dir
            and os.path.realpath(container.working_dir) != here
        }
    )
    if others:
        return Outcome(
            FAIL,
            f"containers of project {project.name} were started from {', '.join(others)}",
            f"Use that directory, or stop them first: docker compose -p {project.name} down",
        )
    count = sum(container.project == project.name for container in containers)
    return Outcome(PASS, f"{count} containers, all of {here}" if count else f"no other project is named {project.name}")


def mounted_from(model: Mapping[str, t.Any], target: str) -> str:
    """Return the host path that services mount at ``target``; empty when none does."""
    for service in model["services"].values():
        for mount in service.get("volumes") or []:
            if mount.get("type") == "bind" and mount.get("target") == target:
                return str(mount["source"])
    return ""


def judge_file(path: str, target: str = "") -> Outcome:
    """Judge whether a path that containers mount as a file is one: Docker makes a directory of what is missing."""
    if not path:
        return Outcome(SKIP, f"no service mounts {target}")
    quoted = shlex.quote(path)
    if os.path.isdir(path):
        remedy = f"rmdir {quoted}, put the file there, and recreate the services that mount it"
        return Outcome(FAIL, f"{path} is a directory: Docker made it when the file was missing", remedy)
    if not os.path.isfile(path):
        return Outcome(FAIL, f"{path} does not exist", f"Put the file there before anything starts: {quoted}")
    size = os.path.getsize(path)
    return (
        Outcome(PASS, f"{path} is a file of {size} bytes")
        if size
        else Outcome(FAIL, f"{path} is empty", f"Fill it: {quoted}")
    )
