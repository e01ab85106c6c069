# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bad days that happen after a good start (the others are where they strike)."""

from __future__ import annotations

import logging
import os
import threading

from server import calls_capacity
from server.config import CRASH_AFTER_SECONDS, DIES_AFTER_SECONDS, FAULT, MAX_ACTIVE_CALLS, ROLE

logger = logging.getLogger("server.app_factory")

_held = [f"CAbadday{number:026d}" for number in range(MAX_ACTIVE_CALLS)]


def after_boot() -> None:
    if FAULT == "critical_logs":
        logger.critical("❌ [BOOT][FATAL] bad day: critical_logs")
        logger.error("Blueprint registration error: bad day: critical_logs")
    if FAULT == "at_capacity" and ROLE == "calls":
        for call_id in _held:
            calls_capacity.try_acquire(call_id)
    if FAULT == "crash_loop" and ROLE == "worker":
        threading.Timer(CRASH_AFTER_SECONDS, _crash).start()
    if FAULT == "dies_later" and ROLE == "calls":
        threading.Timer(DIES_AFTER_SECONDS, _die).start()


def before_exit() -> None:
    """The calls of `at_capacity` end with the process that holds them."""
    if FAULT == "at_capacity" and ROLE == "calls":
        for call_id in _held:
            calls_capacity.release(call_id)


def _crash() -> None:
    logger.error("❌ WORKER BOOTSTRAP FAILED AT: bad day: crash_loop")
    os._exit(1)


def _die() -> None:
    logger.error("❌ [BOOT][FATAL] bad day: dies_later")
    os._exit(1)
