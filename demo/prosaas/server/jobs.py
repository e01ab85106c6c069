# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of RQ that can be seen from outside: its keys in Redis, and the jobs behind them."""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import Any, Callable

from server.db import db
from server.redis_client import client

RESULT_TTL_SECONDS = 500
FAILURE_TTL_SECONDS = 31_536_000

logger = logging.getLogger(__name__)


def enqueue(queue: str, func: str, description: str, **arguments: Any) -> str:
    job_id = str(uuid.uuid4())
    job = {
        "func": func, "description": description, "data": json.dumps(arguments), "origin": queue,
        "status": "queued", "created_at": _now(), "enqueued_at": _now(),
    }
    (
        client.pipeline()
        .hset(f"rq:job:{job_id}", mapping=job)
        .sadd("rq:queues", f"rq:queue:{queue}")
        .rpush(f"rq:queue:{queue}", job_id)
        .execute()
    )
    return job_id


def perform(queue: str, job_id: str, worker: str) -> None:
    key = f"rq:job:{job_id}"
    job = client.hgetall(key)
    name = job.get("func", "")
    logger.info("🔨 JOB PICKED queue='%s' job_id=%s function=%s", queue, job_id, name)
    client.pipeline().zadd(f"rq:wip:{queue}", {job_id: time.time()}).hset(
        key, mapping={"status": "started", "started_at": _now(), "worker_name": worker}
    ).execute()
    try:
        FUNCTIONS[name](**json.loads(job["data"]))
        registry, kept = "finished", RESULT_TTL_SECONDS
    except Exception as error:  # a job may fail in any way; the worker goes on with the next
        logger.error("❌ JOB FAILED queue='%s' job_id=%s function=%s", queue, job_id, name)
        logger.error("   → error: %s", error)
        registry, kept = "failed", FAILURE_TTL_SECONDS
    # Both registries are sorted by the time at which a job is forgotten.
    client.pipeline().zrem(f"rq:wip:{queue}", job_id).zadd(f"rq:{registry}:{queue}", {job_id: time.time() + kept}).hset(
        key, mapping={"status": registry, "ended_at": _now()}
    ).expire(key, kept).execute()


def prebuild_prompt(call_sid: str, business_id: int) -> None:
    logger.info("[PROMPT] Pre-built prompt call_sid=%s business_id=%s", call_sid, business_id)


def create_lead_from_call(call_sid: str) -> None:
    db.execute(
        """INSERT INTO leads (tenant_id, phone_e164, phone_raw, last_call_direction)
           SELECT business_id, from_number, from_number, direction FROM call_log
           WHERE call_sid = %(sid)s AND NOT EXISTS (SELECT 1 FROM leads WHERE phone_e164 = call_log.from_number)""",
        {"sid": call_sid},
    )


def tick() -> None:
    """The periodic jobs of the scheduler have nothing to do here."""


FUNCTIONS: dict[str, Callable[..., None]] = {
    "server.jobs.twilio_call_jobs.prebuild_prompt_job": prebuild_prompt,
    "server.jobs.twilio_call_jobs.create_lead_from_call_job": create_lead_from_call,
    "server.jobs.reminders_tick_job": tick,
    "server.jobs.scheduled_messages_tick_job": tick,
}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
