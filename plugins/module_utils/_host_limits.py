# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which limits of processes an engine will refuse to set, told before a container is started with them.

The runtime sets them with its own rights. Without CAP_SYS_RESOURCE (an engine in a container, say) nobody may go beyond
the hard limit that the runtime inherited; with it, only the kernel's own ceiling for open files is left.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ._check import FAIL, PASS, Outcome
from ._errors import Unreachable

SYS_RESOURCE = 1 << 24
UNLIMITED = 1 << 64
# Name in a Compose file: line of /proc/PID/limits.
LINES = {
    "as": "address space",
    "core": "core file size",
    "cpu": "cpu time",
    "data": "data size",
    "fsize": "file size",
    "locks": "file locks",
    "memlock": "locked memory",
    "msgqueue": "msgqueue size",
    "nice": "nice priority",
    "nofile": "open files",
    "nproc": "processes",
    "rss": "resident set",
    "rtprio": "realtime priority",
    "rttime": "realtime timeout",
    "sigpending": "pending signals",
    "stack": "stack size",
}


class Limits(t.NamedTuple):
    """What a runtime may set: by name, unless ``any_value``; never more than ``files`` open files."""

    hard: Mapping[str, int]
    any_value: bool
    files: int


def wanted(model: Mapping[str, t.Any]) -> dict[tuple[str, int], list[str]]:
    """Return which services ask for which hard limits: ``{(name, value): services}``."""
    found: dict[tuple[str, int], list[str]] = {}
    for service, definition in sorted(model["services"].items()):
        for name, value in sorted((definition.get("ulimits") or {}).items()):
            pair = value.values() if isinstance(value, dict) else [value]
            numbers = [UNLIMITED if int(number) < 0 else int(number) for number in pair]
            found.setdefault((name, max(numbers)), []).append(service)
    return found


def judge(asked: Mapping[tuple[str, int], list[str]], limits: Limits) -> Outcome:
    refused = []
    for (name, value), services in asked.items():
        most = _most(name, limits)
        if value > most:
            refused.append(f"{name} {_told(value)} for {', '.join(services)}, at most {_told(most)}")
    if refused:
        remedy = "Raise the engine's own limit (LimitNOFILE and the like in its unit, or fs.nr_open), or ask for less"
        return Outcome(FAIL, f"the engine will refuse: {'; '.join(refused)}", remedy)
    told = [f"{name} {_told(value)}" for name, value in asked]
    return Outcome(PASS, f"the engine can set {', '.join(told)}" if told else "no service asks for limits of its own")


def _most(name: str, limits: Limits) -> int:
    ceiling = limits.files if name == "nofile" else UNLIMITED
    return ceiling if limits.any_value else min(ceiling, limits.hard.get(name, UNLIMITED))


def _told(value: int) -> str:
    return "unlimited" if value >= UNLIMITED else str(value)


def of_engine(proc: Path) -> Limits:
    """Return the limits of the process that starts containers: containerd, as it runs beside us."""
    runtime = _containerd(proc)
    try:
        lines = (proc / runtime / "limits").read_text(encoding="ascii").splitlines()
        status = (proc / runtime / "status").read_text(encoding="utf-8", errors="replace")
        files = int((proc / "sys/fs/nr_open").read_text(encoding="ascii"))
    except OSError as error:
        raise Unreachable(f"containerd's limits cannot be read ({error.strerror}).", _TRY) from None
    capable = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    hard = {name: _hard(lines, line) for name, line in LINES.items()}
    return Limits(hard, bool(capable and int(capable[1], 16) & SYS_RESOURCE), files)


_TRY = "Try it: docker run --rm --ulimit nofile=N:N IMAGE true"


def _hard(lines: list[str], name: str) -> int:
    for line in lines:
        found = re.match(rf"Max {name}\s+\S+\s+(\S+)", line)
        if found:
            return UNLIMITED if found[1] == "unlimited" else int(found[1])
    return UNLIMITED


def _containerd(proc: Path) -> str:
    """Return the id of the engine's containerd: a child of dockerd, or the system's. Other namespaces' do not count."""
    names: dict[str, list[str]] = {"dockerd": [], "containerd": []}
    for process in proc.glob("[0-9]*"):
        try:
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
            if name in names and _namespace(process) == _namespace(proc / "self"):
                names[name].append(process.name)
        except OSError:  # it ended, or is not ours to look at
            continue
    own = [one for one in names["containerd"] if _parent(proc / one) in names["dockerd"]]
    found = own or names["containerd"]
    if len(found) != 1:
        raise Unreachable(f"{len(found)} processes named containerd run here: which one is the engine's?", _TRY)
    return found[0]


def _namespace(process: Path) -> str:
    return os.readlink(process / "ns/pid")


def _parent(process: Path) -> str:
    found = re.search(
        r"^PPid:\s*(\d+)", (process / "status").read_text(encoding="utf-8", errors="replace"), re.MULTILINE
    )
    return found[1] if found else ""
