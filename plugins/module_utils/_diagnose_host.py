# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host says of itself: room, memory, load, who was killed, what listens, what is scheduled.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import platform
import re
import typing as t
from collections.abc import Iterator, Sequence
from pathlib import Path

from ._bounded import Programs
from ._compose import explain
from ._errors import OpsError
from ._host_room import existing

VERSIONS: dict[str, list[str]] = {
    "engine": ["docker", "version"],
    "compose": ["docker", "compose", "version", "--short"],
    "git": ["git", "--version"],
    "openssl": ["openssl", "version"],
}

_OF_THE_KERNEL = ("uptime", "loadavg", "meminfo", "pressure/cpu", "pressure/memory", "pressure/io")
_KILLED = re.compile(r"(?i)out of memory|oom[-_]|killed process|i/o error|read-only|no space|segfault|hung task")
_MOST_KERNEL_LINES, _MOST_PROCESSES = 200, 60

Ask = t.Callable[[Programs], str]


def questions(
    project: Path, state_dir: Path, data_root: Path, containers: Sequence[str]
) -> Iterator[tuple[str, str, Ask]]:
    """Yield what is asked of the host: a title, a name for the answer, and the question.

    Args:
        project: directory of the Compose project.
        state_dir: where the collection keeps its state.
        data_root: where the engine keeps its files.
        containers: ids of the running containers.
    """
    # Other file systems may hang, those of a broken network for ever: only where we are is looked at.
    places = sorted(
        {str(existing(path)) for path in (Path("/"), Path("/tmp"), Path("/var/log"), project, state_dir, data_root)}
    )
    yield "Memory and load", "host/kernel.txt", lambda _programs: kernel()
    yield "Room on the disks", "host/disks.txt", _of(["df", "-hP", *places])
    yield "Files on the disks", "host/inodes.txt", _of(["df", "-iP", *places])
    # Without arguments, in which anything may stand.
    yield "The processes", "host/processes.txt", _of(_PROCESSES, most=_MOST_PROCESSES)
    yield "What listens", "host/listening.txt", _of(["ss", "-Hltnp"])
    yield "Who was killed by the kernel", "host/kernel-log.txt", killed
    yield "The timers", "host/timers.txt", _of(["systemctl", "list-timers", "--all", "--no-pager"])
    yield (
        "The log of the engine",
        "host/engine.log",
        _of(["journalctl", "-u", "docker", "-n", "300", "--no-pager", "-o", "short-iso"]),
    )
    yield "The checkout", "project.txt", lambda programs: checkout(project, programs)
    yield "The engine", "engine.txt", _of(["docker", "info"])
    yield "What the engine keeps", "engine-disk.txt", _of(["docker", "system", "df"])
    if containers:
        yield "What the containers use", "usage.txt", _of(["docker", "stats", "--no-stream", *containers])


_PROCESSES = ["ps", "-eo", "pid,ppid,user,stat,pcpu,rss,etime,comm", "--sort=-rss"]


def _of(argv: Sequence[str], most: int = 0) -> Ask:
    return lambda programs: printed(programs, argv, most)


def printed(programs: Programs, argv: Sequence[str], most: int = 0) -> str:
    """Return what a program prints, the first lines of it if ``most`` says so; raise when it fails."""
    ran = programs.run(argv)
    if ran.code and not ran.out.strip():
        raise explain(" ".join(argv[:2]), ran.err, f"Try it by hand: {' '.join(argv[:2])}")
    return "".join(ran.out.splitlines(keepends=True)[: most or None])


def system() -> dict[str, str]:
    """Return what this machine and this Python are."""
    try:
        lines = Path("/etc/os-release").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")), "not known")
    return {
        "os": name,
        "kernel": " ".join(os.uname()[2:5:2]),
        "python": platform.python_version(),
        "host": os.uname().nodename,
    }


def kernel() -> str:
    """Return what the kernel says of memory, load and pressure; an older one has no pressure."""
    found = []
    for name in _OF_THE_KERNEL:
        try:
            found.append(f"== /proc/{name}\n{Path('/proc', name).read_text('ascii')}")
        except (OSError, ValueError):
            continue
    return "\n".join(found)


def killed(programs: Programs) -> str:
    """Return the lines of the kernel's log that tell why something died."""
    try:
        text = printed(programs, ["dmesg", "--ctime"])
    except OpsError:
        text = printed(programs, ["journalctl", "-k", "-n", "5000", "--no-pager"])
    found = [line for line in text.splitlines() if _KILLED.search(line)]
    return "\n".join(found[-_MOST_KERNEL_LINES:] or ["nothing of the kind"]) + "\n"


def checkout(project: Path, programs: Programs) -> str:
    """Return which commit the checkout has, and what was changed there by hand."""
    log = printed(programs, ["git", "-C", str(project), "log", "-5", "--format=%h %cI %s"])
    status = printed(programs, ["git", "-C", str(project), "status", "--short", "--branch"], 100)
    return f"{log}\n{status}"
