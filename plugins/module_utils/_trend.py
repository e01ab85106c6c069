# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on disks now, and where it leads to: one sample a day is kept, so that a rate can be told from two of them.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ._check import FAIL, PASS, UNKNOWN, WARN, Check, Outcome
from ._errors import Unreachable
from ._host_room import existing, size

Samples = Mapping[str, Mapping[str, float]]  # numbers by name, by day (YYYY-MM-DD)
DISK, DATABASE = "disk ", "database "  # what samples are of, before its name; all are in bytes
GROWS = 0.01  # a change of less than so much of the whole is none
_ROOM = "docker system df; du -xsh /var/log /var/lib/docker; then docker builder prune, or a larger disk"


@dataclass(frozen=True)
class Disk:
    """A file system.

    Attributes:
        name: what it holds, for people and for the id of its check.
        free: bytes that a program may still write.
        size: bytes of the whole.
    """

    name: str
    path: Path
    free: int
    size: int


@dataclass(frozen=True)
class Limits:
    """How much must be free.

    Attributes:
        bytes: so many, or
        percent: so much of the whole, whichever is less: the one for large disks, the other one for small ones.
        days: a disk that is full in less, at the rate of the days before, is warned of.
    """

    bytes: int
    percent: float
    days: float

    def least(self, disk: Disk) -> float:
        return min(self.bytes, disk.size * self.percent / 100)


def disks(paths: Mapping[str, str]) -> dict[str, Disk | Unreachable]:
    """Look at the file systems of some paths, each once, under the first name that leads to it."""
    found: dict[str, Disk | Unreachable] = {}
    devices = set()
    for name, given in paths.items():
        try:
            path = existing(Path(given))
            device, room = path.stat().st_dev, os.statvfs(path)
        except OSError as error:
            found[name] = Unreachable(f"{given} cannot be looked at: {error.strerror}", f"ls -ld {given}")
            continue
        if device not in devices:
            devices.add(device)
            found[name] = Disk(name, path, room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize)
    return found


def checks(found: Mapping[str, Disk | Unreachable], samples: Samples, limits: Limits) -> list[Check]:
    """Judge each file system by what is free, and by when it will be full."""

    def judge(disk: Disk | Unreachable) -> Outcome:
        if isinstance(disk, Unreachable):
            return Outcome(UNKNOWN, disk.problem, disk.remedy)
        return judge_disk(disk, days_left(disk.free, change(samples, sample_of(disk))), limits)

    return [Check(f"disk.{name}", f"There is room for {name}", *judge(disk)) for name, disk in found.items()]


def judge_disk(disk: Disk, days: float | None, limits: Limits) -> Outcome:
    percent = 100 * disk.free / disk.size if disk.size else 0
    said = f"{size(disk.free)} of {size(disk.size)} are free ({percent:.0f} %) in {disk.path}"
    if disk.free < limits.least(disk):
        return Outcome(FAIL, f"{said}, {size(int(limits.least(disk)))} are wanted", _ROOM)
    if days is not None and days < limits.days:
        return Outcome(WARN, f"{said}; full in {days:.0f} days at the rate of the days before", _ROOM)
    return Outcome(PASS, said)


def sample_of(disk: Disk) -> str:
    return f"{DISK}{disk.name}"


def change(samples: Samples, name: str) -> float | None:
    """Return by how much a number changes in a day, from the first day that has it to the last; ``None`` when unknown."""
    have = sorted(
        (datetime.date.fromisoformat(day), numbers[name]) for day, numbers in samples.items() if name in numbers
    )
    if len(have) < 2:
        return None
    (first, was), (last, is_) = have[0], have[-1]
    return (is_ - was) / (last - first).days


def days_left(free: float, a_day: float | None) -> float | None:
    """Return the days until nothing is free; ``None`` where it does not become less, or nobody knows."""
    return free / -a_day if a_day is not None and a_day < 0 else None


def sampled(samples: Samples, day: str, numbers: Mapping[str, float], days: int) -> dict[str, dict[str, float]]:
    """Return the samples with those of a day, which are taken once, by its first look; the oldest days are left out."""
    after = {one: dict(had) for one, had in samples.items()}
    after[day] = {**numbers, **after.get(day, {})}
    return dict(sorted(after.items())[-days:])


def told(samples: Samples) -> list[str]:
    """Return a sentence for each number that has changed over the days, by name."""
    lines = []
    for name in sorted({name for numbers in samples.values() for name in numbers}):
        a_day = change(samples, name)
        days = [day for day, numbers in sorted(samples.items()) if name in numbers]
        if a_day is None:
            continue
        was, is_ = samples[days[0]][name], samples[days[-1]][name]
        if abs(is_ - was) >= GROWS * max(abs(was), abs(is_), 1):
            left = days_left(is_, a_day) if name.startswith(DISK) else None
            full = f", full in {left:.0f} days at this rate" if left is not None else ""
            lines.append(f"{name}: {_said(name, was)} on {days[0]}, {_said(name, is_)} on {days[-1]}{full}")
    return lines


def _said(name: str, number: float) -> str:
    return f"{size(int(number))} free" if name.startswith(DISK) else size(int(number))
