# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of the week or the month at which something is to happen, in the words of cron and of systemd.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

from ._errors import OpsError

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_AT = re.compile(r"(\*|[01][0-9]|2[0-3]):(?:\*(?:/([1-9][0-9]?))?|([0-5][0-9]))")
_LONGEST_GAP = 62  # days between two of the same number, at the most: a 31st of January and one of March


@dataclass(frozen=True)
class Times:
    """When something happens, in the local time of the machine.

    Attributes:
        hour: 0 to 23; ``None`` is every hour.
        minute: 0 to 59; ``None`` is every minute.
        weekdays: 0 (Monday) to 6; empty is every day.
        monthdays: 1 to 31; empty is every day. Cron joins the two with "or" and systemd with "and", so only one is set.
        step: with every minute, only each so many; it divides the hour.
    """

    hour: int | None
    minute: int | None
    weekdays: tuple[int, ...] = ()
    monthdays: tuple[int, ...] = ()
    step: int = 1

    def cron(self) -> dict[str, str]:
        """Return the five fields of a crontab, which has 0 for Sunday."""
        return {
            "minute": _or_star(self.minute) + (f"/{self.step}" if self.step > 1 else ""),
            "hour": _or_star(self.hour),
            "day": _listed(self.monthdays),
            "month": "*",
            "weekday": _listed(sorted((day + 1) % 7 for day in self.weekdays)),
        }

    def calendar(self) -> str:
        """Return the same for ``OnCalendar=``."""
        days = ",".join(DAYS[day][:3].title() for day in self.weekdays)
        date = f"*-*-{','.join(f'{day:02}' for day in self.monthdays) or '*'}"
        minute = f"00/{self.step}" if self.step > 1 else _or_star(self.minute, 2)
        return f"{days} {date} {_or_star(self.hour, 2)}:{minute}:00".strip()

    def next_after(self, now: datetime.datetime) -> datetime.datetime:
        """Return the first time after ``now``, both without a time zone."""
        for ahead in range(_LONGEST_GAP + 1):
            day = now.date() + datetime.timedelta(days=ahead)
            if self._on(day):
                for time in self._times():
                    found = datetime.datetime.combine(day, time)
                    if found > now:
                        return found
        raise AssertionError("some day within two months has every number")

    def _on(self, day: datetime.date) -> bool:
        in_week = not self.weekdays or day.weekday() in self.weekdays
        return in_week and (not self.monthdays or day.day in self.monthdays)

    def _times(self) -> t.Iterator[datetime.time]:
        for hour in range(24) if self.hour is None else (self.hour,):
            for minute in range(0, 60, self.step) if self.minute is None else (self.minute,):
                yield datetime.time(hour, minute)


def parsed(at: str, days: Sequence[str] = (), days_of_month: Sequence[int] = ()) -> Times:
    """Read ``HH:MM``, where either may be ``*`` and the minutes ``*/N``, with days of the week or of the month."""
    found = _AT.fullmatch(at)
    if not found:
        raise OpsError(
            f"at is {at!r}, which is no time of a day.",
            "Write it as 'HH:MM', in quotes: YAML reads some times as numbers. '*:15' is every hour, '*:*/5' every five minutes.",
        )
    if days and days_of_month:
        raise OpsError(
            "days and days_of_month are both set, which cron and systemd read differently.", "Set one of them."
        )
    unknown = [day for day in days if day not in DAYS]
    if unknown:
        raise OpsError(f"days has {unknown[0]!r}, which is no day of the week.", f"Use {', '.join(DAYS)}.")
    wrong = [day for day in days_of_month if not 1 <= day <= 31]
    if wrong:
        raise OpsError(
            f"days_of_month has {wrong[0]}, which no month has.", "Use 1 to 31; months without it are left out."
        )
    hour, step, minute = found[1], int(found[2] or 1), found[3]
    if 60 % step:
        raise OpsError(
            f"at is {at!r}, and {step} minutes do not divide the hour.", "Use 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30."
        )
    return Times(
        None if hour == "*" else int(hour),
        None if minute is None else int(minute),
        tuple(sorted({DAYS.index(day) for day in days})),
        tuple(sorted(set(days_of_month))),
        step,
    )


def _or_star(number: int | None, digits: int = 1) -> str:
    return "*" if number is None else f"{number:0{digits}}"


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(str(number) for number in numbers) or "*"
