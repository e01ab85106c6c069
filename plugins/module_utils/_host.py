# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this host ready for a Compose project? Versions, networks, volumes, ports, names, and files that must be files.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import socket
import stat
import sys
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ._check import FAIL, PASS, SKIP, WARN, Outcome
from ._compose import Execute, Project
from ._engine import PROJECT, Container
from ._errors import OpsError, Unreachable

LISTENING = "0A"
PROC = Path("/proc")


class Wanted(t.NamedTuple):
    """A port that the model publishes."""

    service: str
    host_ip: str
    first: int
    last: int
    protocol: str


class Route(t.NamedTuple):
    """Where the host sends what goes to some addresses."""

    device: str
    to: ipaddress.IPv4Network | ipaddress.IPv6Network


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


def nobody_listens(variables: Mapping[str, str]) -> bool:
    """Whether the engine's socket is gone or refuses, as the environment names it."""
    where = variables.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not where.startswith("unix://"):
        return False
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(1)
        try:
            knock.connect(where[len("unix://") :])
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False


def compose_version(execute: Execute) -> str:
    remedy = (
        "Install its plugin: apt-get install docker-compose-plugin (Docker's packages) or docker-compose-v2 (Ubuntu)"
    )
    rc, out, _err = execute(["docker", "compose", "version", "--short"])
    if rc or not numbers(out.strip()):
        raise OpsError("docker compose does not work on this host.", remedy)
    return out.strip()


def judge_compose(found: str, least: str, made_by: Iterable[str]) -> Outcome:
    """Judge the version, and whether it is the one that made the running containers.

    Args:
        made_by: the versions that the project's containers were made by.
    """
    judged = judge_version("Compose", found, least, "Install a newer Compose plugin.")
    others = sorted({one for one in made_by if one and numbers(one) != numbers(found)}, key=numbers)
    if judged.status == FAIL or not others:
        return judged
    said = f"Compose {found}; the containers were made by {', '.join(others)}: a plain up would make all of them anew"
    return Outcome(
        WARN, said, f"Deploy in a quiet hour, and run no plain docker compose up before; or install {others[-1]} again"
    )


def judge_networks(
    model: Mapping[str, t.Any], present: Mapping[str, t.Any], made: Sequence[str], routes: Sequence[Route]
) -> Outcome:
    """Judge the external networks: there, and fit for containers that talk to the outside.

    Args:
        made: names of networks that a deployment makes where they are missing.
    """
    external = sorted(
        {net.get("name") or key for key, net in (model.get("networks") or {}).items() if (net or {}).get("external")}
    )
    missing = [name for name in external if name not in present]
    lost = [name for name in missing if name not in made]
    if lost:
        said = f"{', '.join(lost)} does not exist, and no deployment makes it"
        return Outcome(FAIL, said, f"docker network create {lost[0]}, or correct the name in the Compose files or .env")
    unfit = [said for name in external if name in present and (said := _unfit(name, present[name]))]
    if unfit:
        name = unfit[0].split()[0]
        remedy = f"Make it anew while nothing is on it: docker network rm {name} && docker network create {name}"
        return Outcome(FAIL, "; ".join(unfit), remedy)
    if missing:
        said = f"{', '.join(missing)} does not exist yet; a deployment creates it"
        return Outcome(WARN, said, f"Or now: docker network create {missing[0]}")
    crossed = [said for name in external if (said := _crossed(name, present[name], routes))]
    if crossed:
        return Outcome(WARN, "; ".join(crossed), "Make it anew on another subnet: docker network create --subnet …")
    if not external:
        return Outcome(PASS, "the model has no external network")
    return Outcome(PASS, ", ".join(f"{name} ({present[name].get('Driver')}) exists" for name in external))


def _unfit(name: str, network: Mapping[str, t.Any]) -> str:
    if network.get("Driver") in ("null", "host"):
        return f"{name} has the driver {network['Driver']}: services on it do not find each other"
    if network.get("Internal"):
        return f"{name} is internal: nothing on it reaches the outside"
    if network.get("Scope") == "swarm" and not network.get("Attachable"):
        return f"{name} is a swarm's and not attachable: containers of a Compose project may not join it"
    return ""


def _crossed(name: str, network: Mapping[str, t.Any], routes: Sequence[Route]) -> str:
    """Return which route of the host leads to addresses that the network takes for its own."""
    options = network.get("Options") or {}
    bridge = options.get("com.docker.network.bridge.name") or f"br-{str(network.get('Id', ''))[:12]}"
    for config in (network.get("IPAM") or {}).get("Config") or []:
        subnet = ipaddress.ip_network(config["Subnet"], strict=False) if config.get("Subnet") else None
        for route in routes:
            if subnet and subnet.version == route.to.version and route.device != bridge and route.to.overlaps(subnet):
                return f"{name} takes {subnet}, which the host reaches over {route.device} ({route.to})"
    return ""


def routes(proc: Path = PROC) -> list[Route]:
    """Return the IPv4 routes of this host, the default one left out."""
    path = proc / "net" / "route"
    found = []
    for line in path.read_text(encoding="ascii").splitlines()[1:] if path.exists() else ():
        columns = line.split()
        mask = _address(columns[7])
        if mask != "0.0.0.0":
            found.append(Route(columns[0], ipaddress.ip_network(f"{_address(columns[1])}/{mask}", strict=False)))
    return found


def judge_volumes(
    model: Mapping[str, t.Any],
    present: Mapping[str, t.Any],
    project: str,
    meanings: Mapping[str, str],
    ran_before: bool,
) -> Outcome:
    """Tell which volumes are kept and which will be new, and what that means.

    Args:
        meanings: what it means that a volume is new, by its key in the model.
        ran_before: whether the project has run on this host: then its data should be there.
    """
    volumes = {vol.get("name") or key: (key, bool(vol.get("external"))) for key, vol in _volumes(model)}
    missing = [name for name, (_key, external) in volumes.items() if external and name not in present]
    if missing:
        return Outcome(
            FAIL, f"external, and not there: {', '.join(missing)}", f"docker volume create {shlex.join(missing)}"
        )
    owners = {
        name: ((present[name].get("Labels") or {}).get(PROJECT) or project) for name in volumes if name in present
    }
    foreign = [
        f"{name} is of project {owner}" for name, owner in owners.items() if owner != project and not volumes[name][1]
    ]
    if foreign:
        return Outcome(
            FAIL, "; ".join(foreign), "Give the volume in the Compose files another name, or call it external"
        )
    kept = [f"{name} (since {str(present[name].get('CreatedAt', ''))[:10]})" for name in owners]
    new = [_new(name, meanings.get(volumes[name][0], "")) for name in volumes if name not in present]
    parts = (["kept: " + ", ".join(kept)] if kept else []) + (["new: " + ", ".join(new)] if new else [])
    if new and ran_before:
        said = f"{'; '.join(parts)}; yet the project has run here before"
        return Outcome(
            WARN, said, "If its data should be there, find it (docker volume ls) or restore it before you deploy"
        )
    return Outcome(PASS, "; ".join(parts) or "the model has no volume")


def _volumes(model: Mapping[str, t.Any]) -> list[tuple[str, dict[str, t.Any]]]:
    return sorted((key, vol or {}) for key, vol in (model.get("volumes") or {}).items())


def _new(name: str, meaning: str) -> str:
    return f"{name} ({meaning})" if meaning else name


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


def judge_project(
    project: Project, model: Mapping[str, t.Any], containers: Sequence[Container], networks: Mapping[str, t.Any]
) -> Outcome:
    """Judge whether the names that the project uses are its own."""
    here = os.path.realpath(project.directory)
    ours = [container for container in containers if container.project == project.name]
    others = {one.name: one.working_dir for one in ours if os.path.realpath(one.working_dir or here) != here}
    if others:
        names = sorted(others)
        said = f"{', '.join(names)} of project {project.name} came from {', '.join(sorted(set(others.values())))}"
        remedy = (
            f"Use that directory, or remove what was started there, once it is stopped: docker rm {shlex.join(names)}"
        )
        return Outcome(FAIL, said, remedy)
    holders = {one.name: one.project for one in containers if one.project != project.name}
    taken = [
        f"container {name} is of {_whose(holders[name])}"
        for name in _container_names(project, model)
        if name in holders
    ]
    if taken:
        name = taken[0].split()[1]
        return Outcome(FAIL, "; ".join(taken), f"Rename or remove it: docker rename {name} {name}-other")
    labels = {
        name: (networks[name].get("Labels") or {}).get(PROJECT, "") for name in _own_networks(model) if name in networks
    }
    foreign = [f"network {name} is of {_whose(owner)}" for name, owner in labels.items() if owner != project.name]
    if foreign:
        name = foreign[0].split()[1]
        return Outcome(
            FAIL, "; ".join(foreign), f"Remove it if nothing needs it (docker network rm {name}), or call it external"
        )
    return Outcome(
        PASS, f"{len(ours)} containers, all of {here}" if ours else f"no other project is named {project.name}"
    )


def _whose(project: str) -> str:
    return f"project {project}" if project else "no project"


def _container_names(project: Project, model: Mapping[str, t.Any]) -> list[str]:
    return [
        str(service.get("container_name") or f"{project.name}-{name}-1")
        for name, service in sorted(model["services"].items())
    ]


def _own_networks(model: Mapping[str, t.Any]) -> list[str]:
    networks = sorted((model.get("networks") or {}).items())
    return [str((net or {}).get("name") or key) for key, net in networks if not (net or {}).get("external")]


def mounting(model: Mapping[str, t.Any], target: str) -> dict[str, str]:
    """Return the host path that each service mounts at ``target``, by service."""
    return {
        name: str(mount["source"])
        for name, service in sorted(model["services"].items())
        for mount in service.get("volumes") or []
        if mount.get("type") == "bind" and mount.get("target") == target
    }


def judge_file(path: str, target: str = "") -> Outcome:
    """Judge whether a path that containers mount as a file is one: Docker makes a directory of what is missing."""
    if not path:
        return Outcome(SKIP, f"no service mounts {target}")
    quoted = shlex.quote(path)
    try:
        found = os.stat(path)
    except PermissionError:
        raise Unreachable(f"This user may not look at {path}.", "Run it with become: true.") from None
    except OSError:
        return Outcome(FAIL, f"{path} does not exist", f"Put the file there before anything starts: {quoted}")
    if stat.S_ISDIR(found.st_mode):
        remedy = f"rmdir {quoted}, put the file there, and recreate the services that mount it"
        return Outcome(FAIL, f"{path} is a directory: Docker made it when the file was missing", remedy)
    if not stat.S_ISREG(found.st_mode):
        return Outcome(FAIL, f"{path} is no file", f"Put the file there: {quoted}")
    if not found.st_size:
        return Outcome(FAIL, f"{path} is empty", f"Fill it: {quoted}")
    return Outcome(PASS, f"{path} is a file of {found.st_size} bytes")
