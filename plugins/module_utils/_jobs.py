# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of RQ that are being worked on, read from its keys in Redis, so that what a stop has cut can be named.

RQ keeps a sorted set ``rq:wip:QUEUE`` of what was started and has not ended; since version 2 its members are
``JOB:EXECUTION``.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t

_QUEUES = "rq:queues"
_QUEUE = "rq:queue:"
_STARTED = "rq:wip:"


def started(redis: t.Any) -> set[str]:
    """Return the ids of the jobs that are started, each with its queue: ``QUEUE/JOB``.

    Args:
        redis: a client that decodes its answers; ``_capacity.Store.client`` is one.
    """
    queues = sorted(str(key)[len(_QUEUE) :] for key in redis.smembers(_QUEUES) if str(key).startswith(_QUEUE))
    pipeline = redis.pipeline(transaction=False)
    for queue in queues:
        pipeline.zrange(f"{_STARTED}{queue}", 0, -1)
    return {f"{queue}/{job_of(member)}" for queue, members in zip(queues, pipeline.execute()) for member in members}


def job_of(member: str) -> str:
    return member.partition(":")[0]
