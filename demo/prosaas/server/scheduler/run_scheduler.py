# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts the periodic jobs into the queues; a lock in Redis keeps it to one scheduler at a time."""

from __future__ import annotations

import logging
import signal
import sys
import time
from datetime import datetime, timezone

import redis

from server import jobs, logs
from server.boot import boot
from server.redis_client import client

LOCK = "scheduler:global_lock"
LOCK_SECONDS = 90
TICK_SECONDS = 15
FIRST_WAIT_SECONDS = 10
JOBS = ("reminders_tick_job", "scheduled_messages_tick_job")

logger = logging.getLogger("server.scheduler.run_scheduler")


def main() -> None:
    logs.configure()
    signal.signal(signal.SIGTERM, _stop)
    logger.info("🔧 Initializing Flask app...")
    boot()
    logger.info("✅ Flask app initialized")
    logger.info("🚀 Scheduler service starting")
    try:
        client.ping()
    except redis.RedisError as error:
        logger.error("❌ Failed to connect to Redis: %s", error)
        sys.exit(1)
    logger.info("✅ Redis connection successful")
    logs.boot_is_over()
    logger.info("⏳ Waiting %s seconds before first cycle...", FIRST_WAIT_SECONDS)
    time.sleep(FIRST_WAIT_SECONDS)
    cycle = 0
    while True:
        cycle += 1
        try:
            _cycle(cycle)
        except redis.RedisError as error:
            logger.error("❌ Fatal error in cycle %s: %s", cycle, error)
        time.sleep(TICK_SECONDS)


def _cycle(number: int) -> None:
    # Nobody gives the lock back, as in the real one: it runs out.
    if not client.set(LOCK, datetime.now(timezone.utc).replace(tzinfo=None).isoformat(), nx=True, ex=LOCK_SECONDS):
        return
    logger.info("🔒 Lock acquired for cycle %s", number)
    for name in JOBS:
        jobs.enqueue("default", f"server.jobs.{name}", name)
        logger.info("✅ Enqueued: %s", name)
    logger.info("✅ Cycle %s completed: %s jobs enqueued", number, len(JOBS))


def _stop(signum: int, _frame: object) -> None:
    logger.info("🛑 Shutdown signal received (%s)", signum)
    logger.info("🛑 Scheduler service shutting down gracefully")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
