# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the host: what others did to it, and what the application asks of it and it does not have."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from demo_stack import DEMO, PROJECT, run

from . import Fault, both, cloud, edited

IMAGE = "prosaas-demo/base:bookworm"
LABEL = ("--label", "ops.prosaas.demo=true")
SOCKET = Path(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")[len("unix://") :])
COMPOSE_FILE = PROJECT / "docker-compose.yml"
MIB = 1 << 20

OF_THE_ENGINE = ("host.network", "host.volumes", "host.disk", "host.ports", "host.project")
OF_THE_MODEL = (*OF_THE_ENGINE, "host.ulimits", "host.files.speech_credentials")


@contextlib.contextmanager
def container(name: str, *options: str) -> Iterator[None]:
    run("docker", "run", "-d", "--name", name, *LABEL, *options, IMAGE, "sleep", "infinity")
    try:
        yield
    finally:
        run("docker", "rm", "-f", name)


@contextlib.contextmanager
def network(name: str, *options: str) -> Iterator[None]:
    run("docker", "network", "create", *LABEL, *options, name)
    try:
        yield
    finally:
        run("docker", "network", "rm", name)


def asks_for_more(text: str) -> str:
    """A port that a stranger holds, and a volume that nobody made."""
    for old, new in (
        ('ports: ["80:80", "443:443"]', 'ports: ["80:80", "443:443", "21080:8080"]'),
        ("recordings_data: {labels: *demo}", "recordings_data: {external: true, name: recordings-of-the-old-host}"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def application_asks_for_what_is_not_there() -> Iterator[None]:
    # More open files than any kernel lets one process have.
    lines = "\nDEMO_NOFILE=2147483647\nDOCKER_NETWORK_NAME=opsfault-internal\n"
    with (
        network("opsfault-internal", "--internal"),
        container("opsfault-stranger", "-p", "127.0.0.1:21080:80"),
        edited(PROJECT / ".env", lambda text: text + lines),
        edited(COMPOSE_FILE, asks_for_more),
    ):
        yield


@contextlib.contextmanager
def file_is_a_directory() -> Iterator[None]:
    """As the engine leaves it when a service was started without the file."""
    path = DEMO / "secrets/gcp-stt-sa.json"
    aside = path.rename(path.with_name("gcp-stt-sa.json.aside"))
    path.mkdir()
    try:
        yield
    finally:
        path.rmdir()
        aside.rename(path)


@contextlib.contextmanager
def disk_is_small() -> Iterator[None]:
    """Where releases are built lies a file system of its own that is nearly full."""
    place = DEMO / "state/worktrees"
    run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", place)
    try:
        yield
    finally:
        run("umount", place)


@contextlib.contextmanager
def memory_is_short() -> Iterator[None]:
    """The control group of all containers has a limit, a little above what they use."""
    parent = "system.slice" if run("docker", "info", "--format", "{{.CgroupDriver}}").strip() == "systemd" else "docker"
    folder = Path("/sys/fs/cgroup/memory", parent)
    names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "-1"
    if not folder.exists():
        folder = Path("/sys/fs/cgroup", parent)
        names = "memory.max", "memory.current", "inactive_file", "max"
    limit, usage, idle, none = names
    found = re.search(rf"^{idle} (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE)
    assert found is not None
    used = int((folder / usage).read_text()) - int(found[1])
    (folder / limit).write_text(str(used + 256 * MIB))
    try:
        yield
    finally:
        (folder / limit).write_text(none)


@contextlib.contextmanager
def moved_away(*paths: Path) -> Iterator[None]:
    moved = [(path.rename(path.with_name(f"{path.name}.aside")), path) for path in paths]
    try:
        yield
    finally:
        for aside, path in moved:
            aside.rename(path)


@contextlib.contextmanager
def neither_engine_nor_compose() -> Iterator[None]:
    """What runs goes on: only the engine's socket is gone, and the plugin of its command line."""
    plugins = json.loads(run("docker", "info", "--format", "{{json .ClientInfo.Plugins}}"))
    [compose] = [plugin for plugin in plugins if plugin["Name"] == "compose"]
    with moved_away(SOCKET, Path(compose["Path"]), *map(Path, compose.get("ShadowedPaths") or [])):
        yield


OLD_CHECKOUT = (
    "--label",
    "com.docker.compose.project=prosaasil",
    "--label",
    "com.docker.compose.project.working_dir=/srv/old",
)

FAULTS: list[Fault] = [
    Fault(
        "the application asks for a port, a volume, a network and limits that it cannot have",
        application_asks_for_what_is_not_there,
        dict.fromkeys(("host.ports", "host.volumes", "host.network", "host.ulimits"), "fail"),
    ),
    Fault(
        "others use this host: an old checkout runs, the disk is full, the credentials are a directory",
        lambda: both(lambda: container("opsfault-old", *OLD_CHECKOUT), disk_is_small, file_is_a_directory),
        dict.fromkeys(("host.project", "host.disk", "host.files.speech_credentials"), "fail"),
    ),
    Fault(
        "the clock is wrong and memory is short",
        lambda: both(lambda: cloud("r2-clock"), memory_is_short),
        {"host.clock": "fail", "host.memory": "fail"},
    ),
    Fault(
        "the Compose file is broken, and nobody can be asked for the time",
        lambda: both(
            lambda: edited(COMPOSE_FILE, lambda text: text.replace("\nservices:", "\nservice:", 1)),
            lambda: cloud("r2-down"),
        ),
        {"host.model": "fail", "host.clock": "unknown", **dict.fromkeys(OF_THE_MODEL, "unknown")},
    ),
    Fault(
        "neither the engine nor Compose answers",
        neither_engine_nor_compose,
        {
            "host.engine": "fail",
            "host.compose": "fail",
            "host.model": "unknown",
            **dict.fromkeys(OF_THE_ENGINE, "unknown"),
        },
    ),
]
