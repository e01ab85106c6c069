# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""capacity_check against a real Redis and a service that counts as the application does, wrong answers included."""

from __future__ import annotations

import subprocess
import typing as t
from collections.abc import Iterator

import pytest
from tiny import Stack, ansible, check, module, stack, status

# As the application: the limit from its environment, 0 calls when Redis is away, a page for every other path.
APPLICATION = """
import http.server, json, os, redis
store = redis.Redis("redis", socket_timeout=1, socket_connect_timeout=1)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code, kind, body = 200, "text/html", "<html>"
        if self.path == "/details" and self.headers.get("X-Internal-Secret") != os.environ["SECRET"]:
            code = 403
        elif self.path == "/details":
            try: active = store.scard("calls:active")
            except redis.RedisError: active = 0
            limit = int(os.environ["LIMIT"])
            kind, body = "application/json", json.dumps({"status": "ok", "active_calls": active, "max_calls": limit,
                "capacity_available": limit - active, "at_capacity": active >= limit})
        self.send_response(code); self.send_header("Content-Type", kind); self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *a): pass
http.server.HTTPServer(("", 5050), Handler).serve_forever()
""".replace("$", "$$")

SECRET = "s3cret-s3cret-s3cret"
SERVICES = {
    "redis": {
        "command": ["redis-server", "--save", "", "--bind", "0.0.0.0", "--protected-mode", "no"],
        "healthcheck": {"test": ["CMD", "redis-cli", "ping"], "interval": "1s", "retries": 20},
    },
    "calls": {
        "command": ["python3", "-c", APPLICATION],
        "environment": {"SECRET": SECRET, "LIMIT": "3"},
        "healthcheck": {"test": ["CMD", "curl", "-fs", "localhost:5050/"], "interval": "1s", "retries": 20},
    },
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack("capacity", tmp_path_factory.mktemp("capacity"), SERVICES, up=False) as project:
        project.compose("up", "-d", "--wait")
        yield project


@pytest.fixture()
def project(running: Stack) -> Iterator[Stack]:
    (running.directory / ".env").write_text(f"MAX_ACTIVE_CALLS=3\nINTERNAL_SECRET={SECRET}\n", encoding="utf-8")
    redis(running, "FLUSHALL")
    redis(running, "CONFIG", "RESETSTAT")
    yield running


def redis(project: Stack, *arguments: str) -> str:
    argv = ["docker", "exec", project.container("redis"), "redis-cli", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def take(project: Stack, member: str, live: bool = True) -> None:
    redis(project, "SADD", "calls:active", member)
    if live:
        redis(project, "SETEX", f"calls:active:{member}", "7200", "1")


def given(project: Stack) -> dict[str, t.Any]:
    return {
        "project": project.name,
        "env_file": str(project.directory / ".env"),
        "limit_variable": "MAX_ACTIVE_CALLS",
        "endpoint_service": "calls",
        "endpoint_url": "http://calls:5050/details",
        "endpoint_headers": {"X-Internal-Secret": "INTERNAL_SECRET"},
    }


def capacity(project: Stack, check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return module("capacity_check", check=check_mode, **{**given(project), **options})


def test_idle_and_busy_are_green(project: Stack) -> None:
    idle = capacity(project, items={"capacity.slots": [317]})
    assert idle["verdict"] == "pass", idle["msg"]
    assert check(idle, "capacity.slots")["evidence"].startswith("0:")
    assert check(idle, "capacity.slots")["item"] == [317]
    assert SECRET not in str(idle)
    take(project, "CA1")
    busy = capacity(project)
    assert busy["verdict"] == "pass"
    assert "1 of them live" in check(busy, "capacity.slots")["evidence"]
    assert busy["live"] == ["CA1"]


def test_leak_is_found_told_released_and_live_slots_stay(project: Stack) -> None:
    take(project, "CAlive")
    take(project, "CAleak", live=False)
    found = capacity(project)
    assert found["failed"]
    assert status(found)["capacity.leaked"] == "fail"
    assert "release_leaked=true" in check(found, "capacity.leaked")["remedy"]

    told = ansible("capacity_check", check=True, **given(project), release_leaked=True)
    assert told["changed"]
    assert "CAleak\n" in told["diff"][0]["before"]
    assert told["diff"][0]["after"] == "CAlive\n"
    assert redis(project, "SCARD", "calls:active") == "2", "check mode changes nothing"

    done = capacity(project, release_leaked=True)
    assert done["changed"]
    assert not done.get("failed")
    assert redis(project, "SMEMBERS", "calls:active") == "CAlive"
    assert not capacity(project, release_leaked=True)["changed"]


def test_a_missing_key_proves_nothing_where_redis_evicts(project: Stack) -> None:
    take(project, "CAmaybe", live=False)
    redis(project, "CONFIG", "SET", "maxmemory-policy", "volatile-random")
    redis(project, "SETEX", "victim", "100", "x" * 100)
    redis(project, "CONFIG", "SET", "maxmemory", "1")
    redis(project, "CONFIG", "SET", "maxmemory", "0")
    assert int(redis(project, "INFO", "stats").partition("evicted_keys:")[2].split()[0]) > 0
    seen = capacity(project, release_leaked=True)
    assert status(seen)["capacity.leaked"] == "unknown"
    assert redis(project, "SCARD", "calls:active") == "1"


def test_full_by_work_is_a_remark_full_by_leaks_a_failure(project: Stack) -> None:
    for member in ("CA1", "CA2", "CA3"):
        take(project, member)
    assert status(capacity(project))["capacity.free"] == "warn"
    redis(project, "DEL", "calls:active:CA3")
    assert status(capacity(project))["capacity.free"] == "fail"


def test_wrong_limit_wrong_secret_wrong_page(project: Stack) -> None:
    environment = project.directory / ".env"
    environment.write_text(f"MAX_ACTIVE_CALLS=15\nINTERNAL_SECRET={SECRET}\n", encoding="utf-8")
    seen = capacity(project)
    assert check(seen, "capacity.limit")["evidence"] == "it is 3, MAX_ACTIVE_CALLS says 15"
    assert status(seen)["capacity.limit"] == "fail"

    environment.write_text("MAX_ACTIVE_CALLS=3\nINTERNAL_SECRET=another-one\n", encoding="utf-8")
    seen = capacity(project)
    assert status(seen)["capacity.endpoint"] == "fail"
    assert "refuses the secret (403)" in check(seen, "capacity.endpoint")["evidence"]

    page = capacity(project, endpoint_url="http://calls:5050/")
    assert status(page)["capacity.endpoint"] == "fail", "a page with status 200 proves nothing"
    assert "<html>" in check(page, "capacity.endpoint")["evidence"]


def test_redis_down_is_a_failure_and_never_zero_calls(project: Stack) -> None:
    container = project.container("redis")
    subprocess.run(["docker", "stop", "-t", "0", container], check=True, capture_output=True)
    try:
        seen = capacity(project)
    finally:
        subprocess.run(["docker", "start", container], check=True, capture_output=True)
    assert status(seen) == {
        "capacity.redis": "fail",
        "capacity.endpoint": "unknown",
        "capacity.limit": "unknown",
        "capacity.slots": "unknown",
        "capacity.leaked": "unknown",
        "capacity.free": "unknown",
        "capacity.admission": "unknown",
    }
    assert "no running container" in seen["msg"]


def test_redis_that_listens_elsewhere_and_engine_away(project: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = capacity(project, redis_url="redis://127.0.0.1:1/0")
    assert status(seen)["capacity.redis"] == "fail"
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    away = capacity(project)
    assert check(away, "capacity.redis")["status"] == "unknown"
    assert "The Docker engine does not answer on this host" in away["msg"]
