# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of the call slots: leaked ones, admission left closed, an application that counts elsewhere, no Redis."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from demo_stack import run
from faults import Fault, both

from verify_faults import by_hand, stopped

REDIS = ("docker", "exec", "prosaasil-redis-1", "redis-cli")
LEAKED = [f"CA{number:030}ff" for number in range(15)]  # as many as there are slots
LIVE = "CA" + "0" * 30 + "aa"
LEFT = "prosaas-ops:20261122T101500Z-cafe:0"


@contextlib.contextmanager
def members(*names: str, live: bool = False) -> Iterator[None]:
    """Slots are taken; without their keys nobody will give them back."""
    run(*REDIS, "SADD", "calls:active", *names)
    if live:
        for name in names:
            run(*REDIS, "SETEX", f"calls:active:{name}", "600", "1")
    try:
        yield
    finally:
        run(*REDIS, "SREM", "calls:active", *names)
        run(*REDIS, "DEL", *(f"calls:active:{name}" for name in names))


FAULTS: list[Fault] = [
    Fault(
        "every slot has leaked, and a deployment that is gone has left new calls kept out (trap 13)",
        lambda: members(*LEAKED, LEFT),
        dict.fromkeys(["capacity.leaked", "capacity.free", "capacity.admission"], "fail"),
    ),
    Fault(
        "the calls service runs by another limit and counts in another Redis, while a call is live (traps 14 and 15)",
        lambda: both(
            lambda: by_hand("prosaas-calls", environment={"REDIS_URL": "redis://127.0.0.1:6379/0", "MAX_ACTIVE_CALLS": ""}),
            lambda: members(LIVE, live=True),
        ),
        {"capacity.endpoint": "fail", "capacity.limit": "fail", "capacity.leaked": "pass"},
    ),
    Fault(
        "Redis is stopped, which is not 0 calls (trap 14)",
        lambda: stopped("redis"),
        {
            "capacity.redis": "fail",
            **dict.fromkeys([f"capacity.{name}" for name in ("leaked", "free", "limit", "endpoint", "admission")], "unknown"),
        },
    ),
]
