# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance windows and freezes: may something be changed now, and if not, when?

Both are data of the caller. A freeze may also stand in a file on the host, so that whoever is there can stop all
controllers at once; one that cannot be understood is in force.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import re
import typing as t
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._check import FAIL, PASS, Outcome
from ._errors import OpsError
from ._git import shown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = datetime.timedelta(days=1)
_WEEK = 8  # days after which every window has come once, whenever one begins to look
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_LINE = re.compile(r"(?P<key>[a-z]+)\s*:\s*(?P<value>.*)")
_KEYS = {"from", "until", "by", "reason"}
_NEEDED = {"until", "by", "reason"}


@dataclass(frozen=True)
class Window:
    """A time of the week in which changes are welcome; one that ends before it begins ends on the next day."""

    days: Sequence[str]
    start: datetime.time
    end: datetime.time
    zone: datetime.tzinfo

    def on(self, day: datetime.date) -> tuple[datetime.datetime, datetime.datetime] | None:
        """Return when the window of a day begins and ends."""
        if DAYS[day.weekday()] not in self.days:
            return None
        last = day if self.end > self.start else day + _DAY
        return _utc(day, self.start, self.zone), _utc(last, self.end, self.zone)

    def around(self, moment: datetime.datetime) -> Iterable[tuple[datetime.datetime, datetime.datetime]]:
        """Yield the windows from the day before a moment to a week after it."""
        today = moment.astimezone(self.zone).date()
        for number in range(-1, _WEEK + 1):
            found = self.on(today + number * _DAY)
            if found:
                yield found


@dataclass(frozen=True)
class Freeze:
    """A time in which nothing is changed, with the reason."""

    start: datetime.datetime
    end: datetime.datetime
    why: str
    over: str = ""  # how it is taken away

    def holds(self, moment: datetime.datetime) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True)
class Calendar:
    """When changes may be made; without windows, at any time."""

    windows: Sequence[Window]
    freezes: Sequence[Freeze]
    zone: datetime.tzinfo

    def freeze(self, moment: datetime.datetime) -> Freeze | None:
        holding = [freeze for freeze in self.freezes if freeze.holds(moment)]
        return max(holding, key=lambda freeze: freeze.end) if holding else None

    def window_until(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return until when a window is open, None when none is."""
        spans = [span for window in self.windows for span in window.around(moment)]
        ends = [end for start, end in spans if start <= moment < end]
        return max(ends) if ends else None

    def allows(self, moment: datetime.datetime) -> bool:
        return not self.freeze(moment) and (not self.windows or self.window_until(moment) is not None)

    def next(self, now: datetime.datetime) -> datetime.datetime | None:
        """Return the first moment from now on at which a change is allowed, None when there is none."""
        bases = [now, *(freeze.end for freeze in self.freezes if freeze.end > now)]
        starts = [start for base in bases for window in self.windows for start, _end in window.around(base)]
        return min((moment for moment in {*bases, *starts} if moment >= now and self.allows(moment)), default=None)

    def told(self, moment: datetime.datetime) -> str:
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M} {self.zone}"


def judge(calendar: Calendar, now: datetime.datetime) -> Outcome:
    freeze = calendar.freeze(now)
    if not freeze and calendar.allows(now):
        until = calendar.window_until(now)
        evidence = f"in a window until {calendar.told(until)}" if until else "no window is set"
        return Outcome(PASS, f"{evidence}, no freeze")
    first = calendar.next(now)
    wait = f"Wait until {calendar.told(first)}" if first else "There is no such time: correct windows and freezes"
    waiver = "what cannot wait needs a waiver with a name and a reason"
    if not freeze:
        return Outcome(FAIL, "outside of the maintenance windows", f"{wait}; {waiver}.")
    over = f"; when it is over before: {freeze.over}" if freeze.over else ""
    return Outcome(FAIL, f"frozen until {calendar.told(freeze.end)}{freeze.why}", f"{wait}; {waiver}{over}.")


def calendar(
    windows: Iterable[Mapping[str, t.Any]], freezes: Iterable[Mapping[str, t.Any]], zone: str, path: Path
) -> Calendar:
    """Read windows and freezes as they are given, and the freeze of the host."""
    where = zone_of(zone)
    mine = [_freeze(one, where) for one in freezes]
    return Calendar([_window(one, where) for one in windows], [*mine, *_of_host(path, where)], where)


def zone_of(name: str) -> datetime.tzinfo:
    if name == "UTC":
        return datetime.timezone.utc  # which needs no database of time zones
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise OpsError(
            f"The time zone {shown(name)} is not known on this host.",
            "Write it as Europe/Berlin; where the host has no time zones: apt-get install tzdata",
        ) from None


def _window(given: Mapping[str, t.Any], zone: datetime.tzinfo) -> Window:
    return Window(given.get("days") or DAYS, _time(given["from"]), _time(given["to"]), zone)


def _time(given: t.Any) -> datetime.time:
    match = _TIME.fullmatch(str(given))
    if not match:
        raise OpsError(f"A window has the time {shown(str(given))}.", "Write it in quotes, as in '22:00'.")
    return datetime.time(int(match[1]), int(match[2]))


def _freeze(given: Mapping[str, t.Any], zone: datetime.tzinfo, path: Path | None = None) -> Freeze:
    start = _moment(given["from"], zone, False) if given.get("from") else datetime.datetime.min
    by = f" by {given['by']}" if given.get("by") else ""
    return Freeze(
        start.replace(tzinfo=datetime.timezone.utc) if start.tzinfo is None else start,
        _moment(given["until"], zone, True),
        shown(f"{by}: {given['reason']}"),
        f"rm {path}" if path else "",
    )


def _moment(given: t.Any, zone: datetime.tzinfo, is_end: bool) -> datetime.datetime:
    """Read a day, of which an end counts to its last minute, or a day with a time."""
    text = str(given).strip()
    try:
        if len(text) == len("YYYY-MM-DD"):
            return _utc(datetime.date.fromisoformat(text) + (_DAY if is_end else 0 * _DAY), datetime.time(), zone)
        found = datetime.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise OpsError(
            f"A freeze has the date {shown(text)}.", "Write it as 2026-12-24, or as '2026-12-24 18:00'."
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(datetime.timezone.utc)


def _utc(day: datetime.date, time: datetime.time, zone: datetime.tzinfo) -> datetime.datetime:
    # Moments of one zone are compared by what its clocks show, which is wrong where they are put back; those of UTC not.
    return datetime.datetime.combine(day, time, tzinfo=zone).astimezone(datetime.timezone.utc)


def _of_host(path: Path, zone: datetime.tzinfo) -> list[Freeze]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise _broken(path, f"cannot be read ({type(error).__name__})") from None
    given: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match or match["key"] not in _KEYS:
            raise _broken(path, f"has a line {number} that is none of {', '.join(sorted(_KEYS))}")
        given[match["key"]] = match["value"].strip().strip("'\"")
    missing = sorted(key for key in _NEEDED if not given.get(key))
    if missing:
        raise _broken(path, f"lacks {', '.join(missing)}")
    try:
        return [_freeze(given, zone, path)]
    except OpsError as error:
        raise _broken(path, f"is not clear: {error.problem.rstrip('.')}") from None


def _broken(path: Path, why: str) -> OpsError:
    return OpsError(
        f"The freeze of this host, {path}, {why}; so it is in force.",
        f"Write it as lines: until: 2026-12-24, by: NAME, reason: WHY. When it is over: rm {path}",
    )
