# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of what nobody sees: workers and scheduler away, jobs that fail or wait for nobody, WhatsApp logged out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from demo_stack import DEMO, run
from faults import Fault, both

from verify_faults import container, open_sessions, stopped

CREDENTIALS = "/app/storage/whatsapp/business_1/auth/creds.json"
ASIDE = f"{CREDENTIALS}.aside"
JOBS = [f"opstest-{number}" for number in range(12)]


def redis(*command: str) -> None:
    run("docker", "exec", container("redis"), "redis-cli", *command)


@contextlib.contextmanager
def jobs_in_trouble() -> Iterator[None]:
    """Twelve jobs have just failed, and one waits in a queue that nobody listens to."""
    forgotten = time.time() + 31_536_000
    redis("ZADD", "rq:failed:low", *(word for job in JOBS for word in (str(forgotten), job)))
    for job in JOBS:
        redis("HSET", f"rq:job:{job}", "ended_at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    redis("SADD", "rq:queues", "rq:queue:opstest")
    redis("RPUSH", "rq:queue:opstest", "opstest-waiting")
    try:
        yield
    finally:
        redis("ZREM", "rq:failed:low", *JOBS)
        redis("DEL", "rq:queue:opstest", *(f"rq:job:{job}" for job in JOBS))
        redis("SREM", "rq:queues", "rq:queue:opstest")


@contextlib.contextmanager
def logged_out() -> Iterator[None]:
    """A phone has ended its session: the credentials are gone, and the service has been restarted since."""
    run("docker", "exec", container("baileys"), "mv", CREDENTIALS, ASIDE)
    run("docker", "restart", "-t", "1", container("baileys"))
    try:
        yield
    finally:
        run("docker", "exec", container("baileys"), "mv", ASIDE, CREDENTIALS)
        open_sessions()


@contextlib.contextmanager
def stuck_lock() -> Iterator[None]:
    """The scheduler's lock has lost its end: no cycle begins any more, and its health check is green."""
    lock = "scheduler:global_lock"
    redis("SET", lock, "stuck")
    try:
        yield
    finally:
        redis("DEL", lock)


@contextlib.contextmanager
def no_backups() -> Iterator[None]:
    """Somebody has cleared up the disk."""
    directory = DEMO / "state/backups"
    aside = directory.with_name("backups-aside")
    directory.rename(aside)
    try:
        yield
    finally:
        aside.rename(directory)


FAULTS: list[Fault] = [
    Fault(
        "the worker is stopped, jobs fail and wait, the scheduler's lock is stuck, WhatsApp is logged out, the backups are gone",
        lambda: both(lambda: stopped("worker"), jobs_in_trouble, stuck_lock, logged_out, no_backups),
        dict.fromkeys(
            ["queues.workers", "queues.waiting", "queues.failed", "scheduler.lock"]
            + ["sessions.paired", "sessions.connected", "backup.newest"],
            "fail",
        ),
    ),
    Fault(
        "Redis and the WhatsApp service are stopped (trap 14)",
        lambda: both(lambda: stopped("baileys"), lambda: stopped("redis")),
        dict.fromkeys(
            ["queues.workers", "queues.waiting", "queues.failed", "scheduler.lock"]
            + ["sessions.paired", "sessions.connected"],
            "unknown",
        ),
    ),
]
