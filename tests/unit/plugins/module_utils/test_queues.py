# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keys of a queue system say: who is alive, what is expected of them, what waits and what failed."""

from __future__ import annotations

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _scheduler
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, SKIP, UNKNOWN, WARN
from ansible_collections.prosaas.ops.plugins.module_utils._queues import (
    Queue,
    Seen,
    Wanted,
    Worker,
    alive,
    configured,
    judge_failed,
    judge_waiting,
    judge_workers,
)

NOW = 1_000_000.0
HERE, GONE = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
EXPECTED = {"high": ["worker"]}
wanted = Wanted(["worker"], "RQ_QUEUES", heartbeat=480, waiting=300, failed=3, failed_within=600)


def seen(*workers: Worker, suspended: bool = False, **queues: Queue) -> Seen:
    return Seen(NOW, workers, queues, suspended)


def test_every_queue_is_expected_that_some_worker_is_configured_for() -> None:
    environments = {"worker-high": {"RQ_QUEUES": "high"}, "worker-low": {"RQ_QUEUES": "low, media,"}, "api": {}}
    assert configured(environments, Wanted(["*"], "RQ_QUEUES", more=["low", "extra"])) == {
        "low": ["worker-low"],
        "extra": [],
        "high": ["worker-high"],
        "media": ["worker-low"],
    }


@pytest.mark.parametrize(
    ("worker", "lives"),
    [
        (Worker("a", ("high",), NOW - 405, HERE), True),
        (Worker("a", ("high",), NOW - 481, HERE), False),
        (Worker("a", ("high",), NOW, GONE), False),
        (Worker("a", ("high",), NOW, "worker.example"), True),
        (Worker("a", ("high",), NOW), True),
    ],
)
def test_a_worker_lives_that_was_heard_of_and_whose_container_is_not_gone(worker: Worker, lives: bool) -> None:
    found = seen(worker)
    live = alive(found, [HERE], wanted)
    assert bool(live) == lives
    assert judge_workers(found, live, EXPECTED, wanted).status == (PASS if lives else FAIL)


def test_without_an_expectation_nothing_is_passed() -> None:
    found = seen(Worker("a", ("high",), NOW, HERE))
    assert judge_workers(found, [*found.workers], {}, wanted).status == UNKNOWN


def test_jobs_without_a_time_are_not_old() -> None:
    live = [Worker("a", ("high", "low"), NOW)]
    assert judge_waiting(seen(*live), live, wanted).evidence == "no job waits"
    assert judge_waiting(seen(*live, high=Queue(waiting=2)), live, wanted).status == PASS
    assert judge_waiting(seen(*live, high=Queue(waiting=2, oldest=NOW - 301)), live, wanted).status == WARN
    assert judge_waiting(seen(*live, other=Queue(waiting=1)), live, wanted).status == FAIL


def test_failed_jobs_by_when_they_failed() -> None:
    old, new = NOW - 5000, NOW - 5
    one = seen(low=Queue(failed=200, failed_at=(new, old, old, 0.0)))
    assert judge_failed(one, EXPECTED, wanted, 0).status == PASS
    assert judge_failed(one, EXPECTED, wanted, NOW - 10).status == WARN
    assert judge_failed(one, EXPECTED, wanted, NOW - 1).evidence == "none failed since the last look, 200 jobs kept as failed"
    assert judge_failed(seen(a=Queue(failed_at=(new, new)), b=Queue(failed_at=(new,))), EXPECTED, wanted, 0).status == FAIL


LOCK = _scheduler.Wanted("scheduler", "lock", ttl=90, within=20, starts=60)


@pytest.mark.parametrize(
    ("left", "up", "watched", "status"),
    [
        (80, 1000, 0, PASS),
        (80, 5, 0, SKIP),  # taken 10 s ago, by the one before
        (80, 10, 0, PASS),
        (_scheduler.FREE, 1000, 19, UNKNOWN),
        (_scheduler.FREE, 1000, 20, FAIL),
        (_scheduler.FREE, 30, 20, UNKNOWN),  # it has yet to come up
        (_scheduler.ENDLESS, 1000, 0, FAIL),
        (91, 1000, 0, FAIL),
        (80, -1, 0, FAIL),
    ],
)
def test_a_lock_says_what_it_can(left: int, up: float, watched: float, status: str) -> None:
    assert _scheduler.judge(_scheduler.Seen(left, up, watched), LOCK).status == status
