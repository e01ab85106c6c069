# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there room for a deployment: bytes and files on disk, where each is needed, and memory that containers may have?

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ._check import FAIL, PASS, Outcome
from ._errors import OpsError, Unreachable

GIB = 1 << 30
LEAST_INODES = 50_000  # an image of Node packages has about so many files
CGROUPS = Path("/sys/fs/cgroup")


class Place(t.NamedTuple):
    """A directory that a deployment writes to, and the bytes that it takes there."""

    what: str
    path: Path
    least: int
    remedy: str


def judge_disk(places: Iterable[Place], told: str) -> Outcome:
    """Judge each file system once, by all that is needed on it; ``told`` says how the need was measured."""
    by_device: dict[int, list[Place]] = {}
    for place in places:
        by_device.setdefault(_device(place.path), []).append(place)
    short, enough, remedies = [], [], []
    for sharing in by_device.values():
        where, lack = _look(sharing)
        if lack:
            short.append(f"{where}, {lack}")
            remedies.append(sharing[0].remedy)
        else:
            enough.append(where)
    if short:
        return Outcome(FAIL, f"{'; '.join(short)}; {told}", "Make room: " + "; ".join(remedies))
    return Outcome(PASS, f"{'; '.join(enough)}; {told}")


def _look(sharing: Sequence[Place]) -> tuple[str, str]:
    """Return what one file system has, and what it lacks; empty when it lacks nothing."""
    found = os.statvfs(sharing[0].path)
    free, least = found.f_bavail * found.f_frsize, sum(place.least for place in sharing)
    where = f"{size(free)} free in {sharing[0].path} ({' and '.join(place.what for place in sharing)})"
    if free < least:
        return where, f"{size(least)} are wanted"
    if 0 < found.f_files and found.f_favail < LEAST_INODES:  # some file systems have no such limit
        return where, f"but room for {found.f_favail} more files only, {LEAST_INODES} are wanted"
    return where, ""


def _device(path: Path) -> int:
    try:
        return path.stat().st_dev
    except OSError:
        raise Unreachable(
            f"{path} cannot be looked at on this host.", "Run it where the engine runs, as root."
        ) from None


def existing(path: Path) -> Path:
    """Return the nearest directory above a path that may not have been made yet."""
    return next(one for one in (path, *path.parents) if one.exists())


def size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB / 10 else f"{count / (1 << 20):.0f} MiB"


def judge_memory(available: int, least: int, limited_by: str) -> Outcome:
    told = f"{size(available)} of memory are available" + (f" under the limit of {limited_by}" if limited_by else "")
    if available < least:
        remedy = "Raise the limit, or stop something" if limited_by else "Stop something, or add memory"
        return Outcome(FAIL, f"{told}, {size(least)} are wanted", remedy)
    return Outcome(PASS, told)


def memory_available(meminfo: str) -> int:
    """Return the bytes that a new program can have (``MemAvailable``)."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    if not found:
        raise OpsError("/proc/meminfo has no MemAvailable.", "Run the check on a Linux host.")
    return int(found[1]) * 1024


def memory_of_containers(driver: str, root: Path = CGROUPS) -> tuple[int, str] | None:
    """Return the bytes that are left in the control group of all containers, and which; None when it has no limit."""
    parent = "system.slice" if driver == "systemd" else "docker"
    for place, most, used, idle in (
        (root / parent, "memory.max", "memory.current", "inactive_file"),
        (root / "memory" / parent, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = (place / most).read_text(encoding="ascii").strip()
            if limit == "max" or int(limit) >= 1 << 60:
                continue
            found = re.search(rf"^{idle} (\d+)$", (place / "memory.stat").read_text(encoding="ascii"), re.MULTILINE)
            reclaimable = int(found[1]) if found else 0
            taken = int((place / used).read_text(encoding="ascii")) - reclaimable
        except OSError:
            continue
        return max(int(limit) - taken, 0), str(place / most)
    return None


def built(sizes: Mapping[str, set[tuple[int, str, int]]]) -> int:
    """Return the bytes of all images together, each layer counted once."""
    return sum(size for _made, _how, size in set().union(*sizes.values()))
