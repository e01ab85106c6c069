# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one worker of all queues. Its health check asks Redis only: it says nothing about this process."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
import traceback
from datetime import datetime, timezone

import redis

from server import bad_days, jobs, logs
from server.boot import boot
from server.config import CHECKLIST, QUEUES
from server.redis_client import client

HEARTBEAT_SECONDS = 15
FORGOTTEN_SECONDS = 480  # after its last heartbeat a worker's entry is gone
RETRY_SECONDS = 2

logger = logging.getLogger("server.worker")


def _now() -> str:
    """The time as RQ writes it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Worker:
    def __init__(self) -> None:
        self.name = f"prosaas-worker-{os.getpid()}"
        self.key = f"rq:worker:{self.name}"
        self.birth = _now()
        self.busy = False
        self.stopping = False

    def register(self) -> None:
        """Again with every heartbeat: a Redis that comes back may have forgotten us."""
        entry = {
            "queues": ",".join(QUEUES), "state": "idle", "pid": os.getpid(), "hostname": socket.gethostname(),
            "birth": self.birth, "last_heartbeat": _now(),
        }
        client.pipeline().sadd("rq:workers", self.key).hset(self.key, mapping=entry).expire(
            self.key, FORGOTTEN_SECONDS
        ).execute()

    def register_death(self) -> None:
        client.pipeline().srem("rq:workers", self.key).delete(self.key).execute()

    def stop(self, signum: int, _frame: object) -> None:
        """A started job is finished first; Compose gives it ten seconds."""
        logger.info("Received signal %s, initiating graceful shutdown...", signum)
        self.stopping = True
        if not self.busy:
            raise SystemExit(0)

    def work(self) -> None:
        keys = [f"rq:queue:{name}" for name in QUEUES]
        while not self.stopping:
            try:
                self.register()
                taken = client.blpop(keys, timeout=HEARTBEAT_SECONDS)
                if taken:
                    self.busy = True
                    jobs.perform(taken[0].removeprefix("rq:queue:"), taken[1], self.name)
            except redis.ConnectionError as error:
                logger.error("Could not connect to Redis instance: %s Retrying in %s seconds...", error, RETRY_SECONDS)
                time.sleep(RETRY_SECONDS)
            self.busy = False


def main() -> None:
    logs.configure()
    if not os.environ.get("REDIS_URL"):
        logger.error("❌ REDIS_URL environment variable not set")
        logger.error("Worker cannot start without Redis")
        sys.exit(1)
    logger.info("RQ_QUEUES configuration: %s", ",".join(QUEUES))
    logger.info("Will listen to queues: %s", QUEUES)
    _boot()
    logger.info("✓ Redis connection established")
    logger.info("🔔 WORKER_START: ProSaaS Background Worker")
    _ping()
    logger.info("📍 WORKER QUEUES: This worker will listen to: %s", QUEUES)
    # Benign, for all that they say: the level is INFO.
    logger.info("📍 CRITICAL: Worker WILL process jobs from 'default' queue: %s", "default" in QUEUES)
    logger.info("📍 CRITICAL: Worker WILL process jobs from 'maintenance' queue: %s", "maintenance" in QUEUES)
    if CHECKLIST:
        logger.info("RQ queues initialized: %s", ",".join(QUEUES))
    worker = Worker()
    signal.signal(signal.SIGTERM, worker.stop)
    logger.info("✓ Worker created: %s", worker.name)
    logger.info("🚀 Worker is now READY and LISTENING for jobs...")
    logger.info("📍 CRITICAL: Worker handles ALL receipt operations:")
    bad_days.after_boot()
    try:
        worker.work()
    finally:
        with contextlib.suppress(redis.ConnectionError):
            worker.register_death()
        logger.info("Worker shutting down")


def _boot() -> None:
    try:
        boot()
    except Exception as error:  # any failure ends the process, and Compose starts it again
        logger.error("❌ WORKER BOOTSTRAP FAILED AT: Flask app initialization")
        logger.error("Error message: %s", error)
        logger.error(traceback.format_exc())
        sys.exit(1)
    logger.info("✓ Flask app initialized")


def _ping() -> None:
    try:
        client.ping()
    except redis.RedisError as error:
        logger.error("✗ Redis connection failed: %s", error)
        sys.exit(1)
    logger.info("✓ Redis connection successful")


if __name__ == "__main__":
    main()
