# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups are kept: so many of the newest, and the newest of so many days, weeks, months and years.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_PERIODS: dict[str, t.Callable[[datetime.datetime], object]] = {
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}

OPTIONS = {
    "type": "dict",
    "default": {},
    "options": {
        "last": {"type": "int", "default": 3},
        "daily": {"type": "int", "default": 7},
        "weekly": {"type": "int", "default": 4},
        "monthly": {"type": "int", "default": 6},
        "yearly": {"type": "int", "default": 0},
    },
}


@dataclass(frozen=True)
class Keep:
    """How many are kept of each kind. Periods without a backup do not count."""

    last: int = 3
    daily: int = 7
    weekly: int = 4
    monthly: int = 6
    yearly: int = 0

    @classmethod
    def of(cls, given: Mapping[str, int] | None) -> Keep:
        return cls(**(given or {}))


def kept(times: Iterable[datetime.datetime], keep: Keep) -> set[datetime.datetime]:
    """Return which of the given times stay; the newest always does."""
    newest_first = sorted(times, reverse=True)
    stay = set(newest_first[: max(keep.last, 1)])
    for name, period in _PERIODS.items():
        stay.update(_newest_of_each(newest_first, period)[: getattr(keep, name)])
    return stay


def _newest_of_each(
    newest_first: Sequence[datetime.datetime], period: t.Callable[[datetime.datetime], object]
) -> list[datetime.datetime]:
    found: dict[object, datetime.datetime] = {}
    for at in newest_first:
        found.setdefault(period(at), at)
    return list(found.values())
