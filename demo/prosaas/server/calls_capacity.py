# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Slots of active calls in Redis. A broken Redis lets every call in and counts none, as in the real one."""

from __future__ import annotations

import logging

import redis

from server.config import FAULT, MAX_ACTIVE_CALLS
from server.redis_client import client

ACTIVE = "calls:active"
TTL_SECONDS = 7200

logger = logging.getLogger("server.services.calls_capacity")


def _key(call_id: str) -> str:
    return f"{ACTIVE}:{call_id}"


def try_acquire(call_id: str) -> bool:
    try:
        active = client.scard(ACTIVE)
        if active >= MAX_ACTIVE_CALLS:
            logger.warning("[CAPACITY] REJECTED call_id=%s active_calls=%s max=%s", call_id, active, MAX_ACTIVE_CALLS)
            return False
        client.pipeline().sadd(ACTIVE, call_id).setex(_key(call_id), TTL_SECONDS, "1").execute()
        logger.info("[CAPACITY] ACQUIRED call_id=%s active_calls=%s/%s", call_id, active + 1, MAX_ACTIVE_CALLS)
    except redis.RedisError as error:
        logger.error("[CAPACITY] Redis error in try_acquire_call_slot: %s", error)
        logger.error("[CAPACITY] FAIL-OPEN: Allowing call_id=%s to proceed despite Redis error", call_id)
    return True


def release(call_id: str) -> None:
    """Safe for a call that never had a slot; it is logged all the same."""
    if FAULT == "poor_calls":
        return
    try:
        client.pipeline().srem(ACTIVE, call_id).delete(_key(call_id)).execute()
        active = client.scard(ACTIVE)
        logger.info("[CAPACITY] RELEASED call_id=%s active_calls=%s/%s", call_id, active, MAX_ACTIVE_CALLS)
    except redis.RedisError as error:
        logger.error("[CAPACITY] Redis error in release_call_slot: %s", error)


def count() -> int:
    try:
        return int(client.scard(ACTIVE))
    except redis.RedisError as error:
        logger.error("[CAPACITY] Redis error in get_active_calls_count: %s", error)
        return 0
