# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""background_check on a real Redis with RQ's keys, and on the stand-in's WhatsApp service."""

from __future__ import annotations

import json
import re
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from tiny import Stack, ansible, check, module, stack, status

SECRET = "Corr3ctHorse_B4tteryStaple"
FOREVER = ["sleep", "infinity"]
CHAT = "from baileys import service; service.backend_answers = lambda secret: True; service.main()"
SERVICES: dict[str, t.Any] = {
    "redis": {"image": "prosaas-demo/redis:7", "command": ["redis-server", "--save", ""]},
    "worker": {"command": FOREVER, "environment": {"RQ_QUEUES": "high, low"}},
    "scheduler": {"command": FOREVER},
    "chat": {
        "command": ["python3", "-uc", CHAT],
        "working_dir": "/app",
        "environment": {"INTERNAL_SECRET": SECRET},
        "volumes": [f"{ROOT}/demo/prosaas/baileys:/app/baileys:ro"],
    },
}
QUEUES = {"services": ["worker", "worker-*"], "variable": "RQ_QUEUES"}
SCHEDULER = {"service": "scheduler", "lock": "the:lock", "ttl": 90, "within": 1, "starts": 0}
SESSIONS = {
    "services": ["chat"],
    "directory": "/app/storage/whatsapp",
    "credentials": "{tenant}/auth/creds.json",
    "paired": "me.id",
    "status_url": "http://{service}:3300/whatsapp/{tenant}/status",
    "start_url": "http://{service}:3300/whatsapp/{tenant}/start",
    "headers": {"X-Internal-Secret": "INTERNAL_SECRET"},
    "state": "sessionState",
    "settled": ["not_started", "waiting_qr"],
    "idle": "not_started",
}
Look = t.Callable[..., dict[str, t.Any]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack("background", tmp_path_factory.mktemp("background"), SERVICES) as running:
        yield running


@pytest.fixture(name="look")
def _look(project: Stack, tmp_path: Path) -> Look:
    """Run the module; each test has a memory of its own."""
    env = tmp_path / "env"
    env.write_text(f"INTERNAL_SECRET={SECRET}\n", encoding="ascii")

    def look(run: t.Callable[..., dict[str, t.Any]] = module, **given: t.Any) -> dict[str, t.Any]:
        options = {"project": project.name, "env_file": str(env), "state_dir": str(tmp_path / "state"), "deadline": 10}
        result = run("background_check", **{**options, "remember": True, **given})
        assert SECRET not in json.dumps(result)
        assert "15005550006" not in json.dumps(result), "nothing of the credentials"
        for row in result["checks"]:
            assert row["evidence"] and (row["remedy"] or row["status"] in {"pass", "skip"}), row
        return result

    return look


def redis(project: Stack, *command: object) -> str:
    return project.compose("exec", "-T", "redis", "redis-cli", *map(str, command)).strip()


def ago(seconds: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - seconds))


def worker(project: Stack, name: str, queues: str, seconds: float = 0, hostname: str = "") -> None:
    key = f"rq:worker:{name}"
    hostname = hostname or project.container("worker")[:12]
    redis(project, "HSET", key, "queues", queues, "last_heartbeat", ago(seconds), "hostname", hostname)
    redis(project, "SADD", "rq:workers", key)


@pytest.fixture(autouse=True)
def _empty(project: Stack) -> None:
    redis(project, "FLUSHALL")


def test_workers_jobs_and_the_scheduler_as_they_should_be(project: Stack, look: Look) -> None:
    worker(project, "one", "high,low")
    redis(project, "SET", "the:lock", "now", "EX", 90)
    result = look(ansible, queues=QUEUES, scheduler=SCHEDULER)
    assert not result.get("failed"), result["msg"]
    assert set(status(result).values()) == {"pass"}
    assert check(result, "queues.workers")["evidence"].startswith("one worker listens to all 2 queues, last heard of")
    assert not result["changed"]


def test_a_worker_that_is_gone_does_not_count_however_alive_its_entry_looks(project: Stack, look: Look) -> None:
    worker(project, "killed", "high,low", hostname="0123456789ab")
    worker(project, "silent", "high,low", seconds=500)
    worker(project, "one", "high")
    result = look(queues=QUEUES, deadline=0)
    said = check(result, "queues.workers")
    assert (said["status"], said["evidence"]) == (
        "fail",
        "no live worker listens to low; no longer there: killed, silent",
    )
    assert "docker compose logs --tail 50 worker; " in said["remedy"]
    assert "redis-cli DEL rq:worker:killed" in said["remedy"]


def test_a_worker_that_comes_late_is_waited_for(project: Stack, look: Look) -> None:
    import threading

    timer = threading.Timer(1.5, worker, [project, "late", "high,low"])
    timer.start()
    begun = time.monotonic()
    try:
        assert status(look(queues=QUEUES))["queues.workers"] == "pass"
    finally:
        timer.join()
    assert time.monotonic() - begun < 8, "and no longer than that"


def test_suspended_workers_begin_nothing(project: Stack, look: Look) -> None:
    worker(project, "one", "high,low")
    redis(project, "SET", "rq:suspended", 1)
    assert "are suspended" in check(look(queues=QUEUES), "queues.workers")["evidence"]


def test_jobs_that_wait_for_nobody_or_for_long(project: Stack, look: Look) -> None:
    worker(project, "one", "high,low")
    redis(project, "SADD", "rq:queues", "rq:queue:low", "rq:queue:forgotten")
    redis(project, "RPUSH", "rq:queue:low", "job-1", "job-2")
    redis(project, "HSET", "rq:job:job-1", "enqueued_at", ago(400))
    late = check(look(queues=QUEUES), "queues.waiting")
    assert late["status"] == "warn"
    assert re.fullmatch(r"2 jobs in the queues, the oldest for 40\d s, more than 300 \(in low\)", late["evidence"])
    redis(project, "RPUSH", "rq:queue:forgotten", "job-3")
    lost = check(look(queues=QUEUES), "queues.waiting")
    assert (lost["status"], lost["evidence"]) == ("fail", "jobs wait where no live worker listens: 1 in forgotten")


def test_failed_jobs_are_a_remark_when_they_are_new_and_a_fault_when_they_are_many(project: Stack, look: Look) -> None:
    def fail(first: int, number: int, seconds: float) -> None:
        for job in range(first, first + number):
            redis(project, "ZADD", "rq:failed:low", time.time() + 31536000, f"job-{job}")
            redis(project, "HSET", f"rq:job:job-{job}", "ended_at", ago(seconds))

    worker(project, "one", "high,low")
    redis(project, "SADD", "rq:queues", "rq:queue:low")
    fail(0, 3, 5000)
    assert check(look(queues=QUEUES), "queues.failed")["evidence"].startswith("3 jobs kept as failed; later looks")
    assert status(look(queues=QUEUES))["queues.failed"] == "pass"
    fail(3, 2, -1)
    fresh = check(look(queues=QUEUES), "queues.failed")
    assert (fresh["status"], fresh["evidence"]) == ("warn", "2 jobs failed since the last look: 2 in low")
    fail(5, 9, -1)
    many = check(look(queues=QUEUES), "queues.failed")
    assert (many["status"], many["evidence"]) == ("fail", "11 jobs failed within 10 minutes: 11 in low")


def test_the_lock_of_a_scheduler(project: Stack, look: Look) -> None:
    def said(**changed: t.Any) -> tuple[str, str]:
        row = check(look(scheduler={**SCHEDULER, **changed}), "scheduler.lock")
        return row["status"], row["evidence"]

    assert said() == ("fail", "nobody took the lock the:lock for 1 s: no cycle begins")
    redis(project, "SET", "the:lock", "now")
    assert said()[0] == "fail" and "has no end" in said()[1]
    redis(project, "EXPIRE", "the:lock", 90)
    assert said()[0] == "pass"
    redis(project, "EXPIRE", "the:lock", 1)
    assert said(ttl=9000)[0] == "skip", "taken before the container started"
    assert said(service="another") == ("fail", "service another does not run, so nothing is scheduled")


def test_without_redis_nothing_is_known(look: Look) -> None:
    result = look(queues=QUEUES, scheduler=SCHEDULER, redis_service="chat")
    assert set(status(result).values()) == {"unknown"}
    assert "does not answer" in check(result, "scheduler.lock")["evidence"]


def test_a_session_that_was_connected_must_be(project: Stack, look: Look) -> None:
    """The service starts none by itself; once started and seen connected, a restart of the service is seen."""
    never = look(sessions=SESSIONS)
    assert status(never) == {"sessions.paired": "pass", "sessions.connected": "warn"}
    assert check(never, "sessions.connected")["evidence"] == "business_1 is not_started; never seen connected so far"

    told = look(sessions=SESSIONS, start=True, check=True)
    assert (told["changed"], told["started"]) == (True, ["business_1"])
    assert status(look(sessions=SESSIONS))["sessions.connected"] == "warn", "nothing was started"
    done = look(sessions=SESSIONS, start=True)
    assert (done["changed"], done["started"]) == (True, ["business_1"])
    assert check(done, "sessions.connected")["evidence"].startswith("connected: business_1; nobody had started business_1")
    again = look(sessions=SESSIONS, start=True)
    assert (again["changed"], status(again)["sessions.connected"]) == (False, "pass")

    project.compose("restart", "-t", "0", "chat")
    lost = check(look(sessions=SESSIONS), "sessions.connected")
    assert lost["status"] == "fail"
    assert re.fullmatch(r"business_1 is not_started; business_1 was connected on [\d-]{10}", lost["evidence"])
    assert lost["remedy"] == "Run background_check with start=true"

    creds = "/app/storage/whatsapp/business_1/auth/creds.json"
    project.compose("exec", "-T", "chat", "mv", creds, "/tmp/")
    gone = look(sessions=SESSIONS)
    assert set(status(gone).values()) == {"fail"}
    assert "forget=[business_1]" in check(gone, "sessions.paired")["remedy"]
    assert set(status(look(sessions=SESSIONS, forget=["business_1"])).values()) == {"pass"}
    project.compose("exec", "-T", "chat", "mv", "/tmp/creds.json", creds)


def test_a_service_that_refuses_or_is_away(look: Look, project: Stack, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("INTERNAL_SECRET=another_secret\n", encoding="ascii")
    refused = check(look(sessions=SESSIONS, env_file=str(wrong)), "sessions.connected")
    assert (refused["status"], "refuses the secret (401)" in refused["evidence"]) == ("fail", True)
    away = look(sessions={**SESSIONS, "status_url": "http://{service}:1/{tenant}"}, deadline=0)
    assert status(away)["sessions.connected"] == "unknown"
    missing = look(sessions={**SESSIONS, "services": ["nobody"]})
    assert set(status(missing).values()) == {"unknown"}
