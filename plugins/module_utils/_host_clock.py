# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this host's clock right? Compared with what others say the time is, over connections that are verified.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import ctypes
import email.utils
import time
import typing as t
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ._check import FAIL, PASS, SKIP, WARN, Outcome
from ._errors import OpsError, Unreachable
from ._http import Client, target

UNSYNCHRONISED = 0x40  # STA_UNSYNC


class Reading(t.NamedTuple):
    """How far a source's clock is ahead of ours, in seconds; or why it could not be asked."""

    source: str
    ahead: float = 0.0
    error: str = ""


def read(client: Client, urls: Sequence[str]) -> list[Reading]:
    """Ask all sources, side by side."""
    if not urls:
        return []
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda url: _read_one(client, url), urls))


def _read_one(client: Client, url: str) -> Reading:
    host = target(url).host
    before = time.time()
    try:
        answer = client.send(url, "HEAD")
    except OpsError as error:
        return Reading(host, error=error.problem)
    ours = (before + time.time()) / 2
    try:
        said = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        age = float(answer.headers.get("age", 0))  # a cache hands out the date at which it was filled
    except (KeyError, TypeError, ValueError):
        return Reading(host, error=f"{host} does not say what time it is.")
    return Reading(host, said + age + 0.5 - ours)  # the header has whole seconds


def judge(readings: Sequence[Reading], most: float, kept: bool) -> Outcome:
    """Judge by the majority: one source that differs from this host and from another is the one that is wrong."""
    heard = [one for one in readings if not one.error]
    if not readings:
        return Outcome(SKIP, "no source of the time is given")
    if not heard:
        raise Unreachable(f"Nobody could be asked for the time: {readings[0].error}", "Look at: timedatectl")
    near = [one for one in heard if abs(one.ahead) <= most]
    far = [one for one in heard if abs(one.ahead) > most]
    keeper = "kept by a time service" if kept else "kept by no time service"
    if far and len(far) > len(near):
        told = "; ".join(f"{told_of(one)}" for one in far)
        return Outcome(FAIL, f"this host's clock is wrong: {told}", "timedatectl set-ntp true, or: chronyc makestep")
    if far:
        told = "; ".join(told_of(one) for one in far)
        said = f"{told}, while {', '.join(one.source for one in near)} agrees with this host"
        return Outcome(WARN, said, "What it signs or checks by time will fail: see what its operator says")
    worst = max(abs(one.ahead) for one in near)
    return Outcome(PASS, f"within {max(worst, 1):.0f} s of {', '.join(one.source for one in near)}, {keeper}")


def told_of(one: Reading) -> str:
    side = "ahead of" if one.ahead > 0 else "behind"
    return f"{one.source} is {abs(one.ahead):.0f} s {side} it"


class _Timex(ctypes.Structure):
    """The beginning of the kernel's struct timex; the rest is room for what it writes behind."""

    _fields_: t.ClassVar[t.Any] = [
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    ]


def kept() -> bool:
    """Whether a time service keeps the kernel's clock."""
    state = _Timex()
    try:
        found = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return False
    return bool(found >= 0 and not state.status & UNSYNCHRONISED)
