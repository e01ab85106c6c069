# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""capacity_check against a real Redis and a service that counts as the application does, wrong answers included."""

from __future__ import annotations

import subprocess
import typing as t
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _capacity
from ansible_collections.prosaas.ops.plugins.module_utils._claim import Claim
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
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

KEYS = _capacity.Keys("calls:active", "calls:active:{member}")
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
    """A call that is in progress is no fault (trap 13)."""
    idle = capacity(project, items={"capacity.leaked": [317]})
    assert idle["verdict"] == "pass", idle["msg"]
    assert check(idle, "capacity.leaked")["evidence"] == "0: no slot is taken"
    assert check(idle, "capacity.leaked")["item"] == [317]
    assert SECRET not in str(idle)
    take(project, "CA1")
    busy = capacity(project)
    assert busy["verdict"] == "pass"
    assert check(busy, "capacity.leaked")["evidence"] == "1 taken, every one live: work is going on"
    assert check(busy, "capacity.endpoint")["evidence"] == "1 of 3, as in Redis"
    assert busy["live"] == ["CA1"]


def test_leak_is_found_told_released_and_live_slots_stay(project: Stack) -> None:
    """A member whose key is gone will never be given back (trap 13)."""
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
    """The Redis of the calls is a cache, and throws keys out when it is full (trap 29)."""
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


def test_an_application_that_lost_its_redis_is_caught_by_its_count(project: Stack) -> None:
    """Redis is well, but the application cannot read it, and says 0 calls (trap 14)."""
    take(project, "CA1")
    address = Engine.connect().address(project.name, "redis")
    redis(project, "CONFIG", "SET", "requirepass", "only-we-know-it")
    try:
        redis(project, "-a", "only-we-know-it", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        seen = capacity(project, redis_url=f"redis://:only-we-know-it@{address}:6379/0")
    finally:
        redis(project, "-a", "only-we-know-it", "CONFIG", "SET", "requirepass", "")
    assert check(seen, "capacity.endpoint")["status"] == "fail"
    assert check(seen, "capacity.endpoint")["evidence"] == "it says 0 active, Redis 1"


def test_the_limit_falls_back_as_the_application_does(project: Stack) -> None:
    """Without MAX_ACTIVE_CALLS the limit is that of another variable, and without that 50 (trap 15)."""
    environment = project.directory / ".env"
    environment.write_text(f"MAX_CONCURRENT_CALLS=3\nINTERNAL_SECRET={SECRET}\n", encoding="utf-8")
    seen = check(capacity(project, limit_fallback="MAX_CONCURRENT_CALLS", limit_default=50), "capacity.limit")
    assert (seen["status"], "MAX_CONCURRENT_CALLS" in seen["evidence"]) == ("pass", True)
    environment.write_text(f"INTERNAL_SECRET={SECRET}\n", encoding="utf-8")
    seen = check(capacity(project, limit_fallback="MAX_CONCURRENT_CALLS", limit_default=50), "capacity.limit")
    assert (seen["status"], "it is 3, the default" in seen["evidence"]) == ("fail", True)


@pytest.fixture()
def store(project: Stack) -> _capacity.Store:
    address = Engine.connect().address(project.name, "redis")
    return _capacity.Store(f"redis://{address}:6379/0", "Redis", KEYS)


def as_the_application(store: _capacity.Store, member: str) -> None:
    """Take a slot in one transaction, as the application does."""

    def take_it(client: t.Any) -> None:
        pipeline = client.pipeline()
        pipeline.sadd(KEYS.members, member)
        pipeline.setex(KEYS.of(member), 7200, "1")
        pipeline.execute()

    store.ask(take_it)


def test_a_call_that_arrives_between_the_look_and_the_release_keeps_its_slot(
    project: Stack, store: _capacity.Store
) -> None:
    """Its id was leaked when Redis was read, and is taken again before the leak is released (trap 13)."""
    take(project, "CAleak", live=False)
    take(project, "CAagain", live=False)

    def claim() -> Claim:  # which is asked for after the slots were read
        as_the_application(store, "CAagain")
        return Claim(2, 3, 1, False)

    report = _capacity.examine(store, KEYS, claim, _capacity.Wanted(3, "MAX"), release=True, preview=False)
    assert report.facts["leaked"] == ["CAagain", "CAleak"]
    assert redis(project, "SMEMBERS", "calls:active") == "CAagain"
    assert redis(project, "EXISTS", "calls:active:CAagain") == "1"
    leaked = next(one for one in report.checks if one.id == "capacity.leaked")
    assert "1 released, the rest is alive again" in leaked.evidence


def test_releases_that_race_with_calls_never_take_a_slot_from_one(project: Stack, store: _capacity.Store) -> None:
    """The same ids are released and taken at the same moments, 400 times: every call has its slot and its key."""
    members = [f"CA{number:03}" for number in range(400)]
    store.ask(lambda client: client.sadd(KEYS.members, *members))
    with ThreadPoolExecutor(max_workers=2) as pool:
        calls = pool.submit(lambda: [as_the_application(store, member) for member in members])
        released = pool.submit(lambda: store.release(members)).result()
        calls.result()
    slots = store.slots()
    assert (sorted(slots.live), slots.leaked) == (members, ())
    assert len(released) <= len(members)


def test_redis_down_is_a_failure_and_never_zero_calls(project: Stack) -> None:
    """The application says 0 calls then (trap 14)."""
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
