# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""twilio_webhook_probe and endpoint_check against the stand-in's own services, with real Redis and Postgres."""

from __future__ import annotations

import secrets
import socket
import time
import typing as t
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _twilio
from ansible_collections.prosaas.ops.plugins.module_utils._call_marks import OPTIONS, Marks, Sids, marks_of
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from tiny import Stack, ansible, check, stack, status

ROOT = Path(__file__).resolve().parents[2]
TOKEN = secrets.token_hex(16)
INTERNAL = secrets.token_hex(32)
POSTGRES = """
install -d -o postgres /run/pg /data && cd /data
runuser -u postgres -- /usr/lib/postgresql/15/bin/initdb -U prosaas -A trust -D /data/db >/dev/null
echo 'host all all all trust' >>/data/db/pg_hba.conf
exec runuser -u postgres -- /usr/lib/postgresql/15/bin/postgres -D /data/db -h 0.0.0.0 -k /run/pg
"""
SHIPPED = yaml.safe_load((ROOT / "roles/verify/defaults/main/webhook.yml").read_text(encoding="utf-8"))
PROBE: dict[str, t.Any] = {
    "credentials": {"auth_token": "TWILIO_AUTH_TOKEN", "public_base_url": "PUBLIC_BASE_URL"},
    "incoming_path": "/webhook/incoming_call",
    "status_path": "/webhook/call_status",
    "preview_path": "/webhook/incoming_call_preview",
    "stream_path": "/ws/twilio-media",
    # As the role ships it.
    "alias_paths": SHIPPED["verify_webhook_alias_paths"],
    "forgeries": SHIPPED["verify_webhook_forgeries"],
    "refused_line": SHIPPED["verify_webhook_refused_line"],
    "taken_line": SHIPPED["verify_webhook_taken_line"],
    "trace_columns": SHIPPED["verify_webhook_trace_columns"],
    "database": {"url": "DATABASE_URL"},
    "sslmodes": ["disable"],
    "limit_variable": "MAX_ACTIVE_CALLS",
}
TOLERATED = {f"webhook.{one['kind']}" for one in SHIPPED["verify_webhook_forgeries"] if 200 in one.get("tolerated", ())}


def python_service(role: str, port: int, fault: str = "", flavour: str = "as_found") -> dict[str, t.Any]:
    return {
        "command": ["python3", "-m", "uvicorn", "asgi:app", "--host", "0.0.0.0", "--port", str(port)],
        "working_dir": "/app",
        "volumes": [f"{ROOT / 'demo/prosaas'}:/app:ro"],
        "env_file": [".env"],
        "environment": {
            "SERVICE_ROLE": role,
            "DEMO_FAULT": fault,
            "DEMO_FLAVOUR": flavour,
            "PYTHONPATH": "/app",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
    }


@pytest.fixture(scope="module", name="app")
def _app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Both services, and one more of each on a bad day."""
    where = tmp_path_factory.mktemp("app")
    variables = {
        "PUBLIC_BASE_URL": "https://prosaas.test",
        "PUBLIC_HOST": "prosaas.test",
        "SECRET_KEY": secrets.token_hex(32),
        "TWILIO_AUTH_TOKEN": TOKEN,
        "INTERNAL_SECRET": INTERNAL,
        "MAX_ACTIVE_CALLS": "15",
        "FLASK_ENV": "production",
        "DATABASE_URL": "postgresql://prosaas:none@db:5432/postgres?sslmode=disable",
        "REDIS_URL": "redis://redis:6379/0",
        "NOWHERE_URL": "postgresql://prosaas:none@127.0.0.1:1/none?sslmode=disable",
    }
    (where / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="ascii")
    ready = ["CMD", "/usr/lib/postgresql/15/bin/pg_isready", "-q", "-h", "127.0.0.1"]
    services = {
        "db": {"command": ["bash", "-ec", POSTGRES], "healthcheck": {"test": ready, "interval": "1s", "retries": 30}},
        "redis": {"command": ["redis-server", "--save", "", "--protected-mode", "no"]},
        "migrate": {
            **python_service("migrate", 0),
            "command": ["python3", "-m", "server.db_migrate"],
            "depends_on": {"db": {"condition": "service_healthy"}},
        },
        "prosaas-api": python_service("api", 5000),
        "prosaas-calls": python_service("calls", 5050),
        "checklist-api": python_service("api", 5000, flavour="checklist"),
        "dead-api": python_service("api", 5000, "dead_flask"),
        "dead-calls": python_service("calls", 5050, "dead_flask"),
        "unchecked-calls": python_service("calls", 5050, "webhook_unchecked"),
    }
    with stack("webhook", where, services) as started:
        yield started


def probe(app: Stack, service: str = "prosaas-calls", **options: t.Any) -> dict[str, t.Any]:
    engine = Engine.connect()
    where = {"url": "http://prosaas.test:5050", "address": engine.address(app.name, service)}
    env = (app.directory / ".env").read_text(encoding="ascii").replace("@db:", f"@{engine.address(app.name, 'db')}:")
    (app.directory / "env-of-the-host").write_text(env, encoding="ascii")
    known = {"state_dir": str(app.directory / "state"), "env_file": str(app.directory / "env-of-the-host")}
    known.update(project=app.name, log_service=service)
    wait_for_port(where["address"], 5050)
    return ansible("twilio_webhook_probe", **{**PROBE, **where, **known, **options})


def wait_for_port(address: str, port: int) -> None:
    for _each in range(100):
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"nothing listens at {address}:{port}")


def traces(app: Stack) -> dict[str, str]:
    """What a call leaves behind: slots, jobs, rows."""
    count = "SELECT (SELECT count(*) FROM call_log) + (SELECT count(*) FROM leads)"
    return {
        "slots": app.compose("exec", "-T", "redis", "redis-cli", "SCARD", "calls:active").strip(),
        "keys": app.compose("exec", "-T", "redis", "redis-cli", "KEYS", "calls:active:*").strip(),
        "jobs": app.compose("exec", "-T", "redis", "redis-cli", "KEYS", "rq:*").strip(),
        "rows": app.compose(
            "exec", "-T", "db", "psql", "-h", "127.0.0.1", "-U", "prosaas", "-Atc", count, "postgres"
        ).strip(),
    }


UNTOUCHED = {"slots": "0", "keys": "", "jobs": "", "rows": "0"}


def test_a_guarded_webhook_passes_without_a_trace(app: Stack) -> None:
    result = probe(app)
    assert not result.get("failed"), result["msg"]
    seen = status(result)
    assert {name for name, said in seen.items() if said == "warn"} == TOLERATED
    assert set(seen.values()) == {"pass", "warn"}
    assert seen.keys() >= {f"webhook.{one['kind']}" for one in SHIPPED["verify_webhook_forgeries"]}
    assert seen.keys() >= {"webhook.callback", "webhook.preview", "webhook.no_trace", "webhook.logged", "webhook.give_back"}
    assert check(result, "webhook.no_trace")["evidence"].startswith("no key, slot or job of Redis, no row of the database")
    assert check(result, "webhook.preview")["evidence"].endswith("wss://prosaas.test/ws/twilio-media")
    assert result["changed"] is False
    assert traces(app) == UNTOUCHED


def test_a_signed_call_leaves_no_trace(app: Stack) -> None:
    result = probe(app, signed=True)
    assert not result.get("failed"), result["msg"]
    assert {"webhook.signed", "webhook.give_back"} <= set(status(result))
    assert traces(app) == UNTOUCHED
    assert TOKEN not in str(result)


def test_a_webhook_that_does_not_check_is_red_and_keeps_no_slot(app: Stack) -> None:
    result = probe(app, "unchecked-calls")
    assert result["failed"] is True
    seen = status(result)
    assert {name.rpartition(".")[2] for name, said in seen.items() if said == "fail"} == {
        *("unsigned", "wrong_token", "altered", "added", "alias", "other_host")
    }
    assert [seen[f"webhook.{name}"] for name in ("method", "give_back", "no_trace", "logged")] == ["pass"] * 4
    assert "webhook.unsigned (accepted with 200" in result["msg"]
    assert traces(app) == UNTOUCHED


def test_a_token_that_is_not_the_applications_is_red(app: Stack, tmp_path: Path) -> None:
    other = tmp_path / "env"
    other.write_text(
        "TWILIO_AUTH_TOKEN=another-token-than-the-applications\nPUBLIC_BASE_URL=https://prosaas.test\n",
        encoding="ascii",
    )
    result = probe(app, env_file=str(other), database=None)
    assert {name for name, said in status(result).items() if said == "fail"} == {"webhook.callback"}
    assert "another-token" not in str(result)


def test_what_a_call_leaves_is_found_wherever_it_is(app: Stack) -> None:
    """A row, a slot, a key and a job, compressed as RQ does it, each named; those of other calls are not."""
    sids = Sids()
    sid, other = sids.new(), Sids().new()
    store = _marks(app).store()
    job = {"data": zlib.compress(f"call {sid}".encode()), "description": "Create lead"}
    store.ask(lambda redis: redis.sadd("calls:active", sid, other))
    store.ask(lambda redis: redis.set(f"calls:active:{sid}", 1))
    store.ask(lambda redis: redis.hset("rq:job:1", mapping=job))
    store.ask(lambda redis: redis.hset("rq:job:2", mapping={"data": b"\xff\x00", "description": f"of {other}"}))
    insert = f"INSERT INTO call_log (id, call_sid) VALUES (4711, '{sid}'), (4712, '{other}')"
    sql = ("exec", "-T", "db", "psql", "-h", "127.0.0.1", "-U", "prosaas", "-qc")
    app.compose(*sql, insert, "postgres")
    try:
        assert _marks(app).kept(sids) == [f"slot {sid}", f"key calls:active:{sid}", "job 1"]
        assert _marks(app).rows(sids) == ["call_log id 4711"]
        assert _marks(app).no_trace(sids).status == "fail"
        assert _marks(app).no_trace(Sids()).status == "pass"
    finally:
        store.ask(lambda redis: redis.flushall())
        app.compose(*sql, "DELETE FROM call_log", "postgres")


def test_a_database_that_does_not_answer_leaves_it_open_whether_there_are_rows(app: Stack) -> None:
    found = probe(app, database={"url": "NOWHERE_URL"})
    assert found["failed"] is True
    assert status(found)["webhook.no_trace"] == "unknown"


def _marks(app: Stack) -> Marks:
    values = {"DATABASE_URL": f"postgresql://prosaas:none@{Engine.connect().address(app.name, 'db')}:5432/postgres?sslmode=disable"}
    params = {**{name: option.get("default") for name, option in OPTIONS.items()}, **PROBE, "project": app.name}
    return marks_of(params, values, Engine.connect, Engine.connect)


@pytest.mark.parametrize("taken", [("CA1", 14), ("prosaas-ops:run-1:0", 1)], ids=["one slot is free", "admission is closed"])
def test_the_signed_call_waits_until_it_is_in_nobodys_way(app: Stack, taken: tuple[str, int]) -> None:
    store = _marks(app).store()
    for number in range(taken[1]):
        store.ask(lambda redis, number=number: redis.sadd("calls:active", f"{taken[0]}{number}"))
        store.ask(lambda redis, number=number: redis.set(f"calls:active:{taken[0]}{number}", 1))
    try:
        result = probe(app, signed=True)
    finally:
        store.ask(lambda redis: redis.flushall())
    assert not result.get("failed"), result["msg"]
    assert status(result)["webhook.signed"] == "skip"


def test_a_token_that_is_not_set_is_one_clear_sentence(app: Stack, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("PUBLIC_BASE_URL=https://prosaas.test\n", encoding="ascii")
    result = probe(app, env_file=str(tmp_path / "env"))
    assert result["failed"] is True
    assert result["msg"] == f"TWILIO_AUTH_TOKEN is not set in {tmp_path / 'env'}. Set TWILIO_AUTH_TOKEN there."


def endpoints(app: Stack, names: dict[str, str], **options: t.Any) -> dict[str, t.Any]:
    """Ask the endpoints that the role ships for these services, at others that stand for them."""
    shipped = yaml.safe_load((ROOT / "roles/verify/defaults/main/endpoints.yml").read_text(encoding="utf-8"))
    inside = {"endpoint.api_health": {"service": "prosaas-api", "url": "http://prosaas-api:5000/api/health"}}
    asked = [{**given, **inside.get(given["id"], {})} for given in shipped["verify_endpoints"]]
    asked = [{**given, "service": names[given["service"]]} for given in asked if given.get("service") in names]
    known = {
        "state_dir": str(app.directory / "state"),
        "env_file": str(app.directory / ".env"),
        "project": app.name,
    }
    return ansible("endpoint_check", endpoints=asked, **{**known, **options})


@pytest.mark.parametrize("api", ["prosaas-api", "checklist-api"])
def test_both_kinds_of_the_services_answer_within_the_deadline(app: Stack, api: str) -> None:
    result = endpoints(app, {"prosaas-api": api, "prosaas-calls": "prosaas-calls"}, deadline=60)
    assert not result.get("failed"), result["msg"]
    names = ["endpoint.api_health", "endpoint.readyz", "endpoint.health_details"]
    assert status(result) == dict.fromkeys(names, "pass")
    said = check(result, "endpoint.api_health")["evidence"]
    assert ('database="connected"' in said) == (api == "checklist-api")
    assert 'dependencies.database="healthy"' in check(result, "endpoint.readyz")["evidence"]
    assert "max_calls=15" in check(result, "endpoint.health_details")["evidence"]
    assert INTERNAL not in str(result)


def test_a_dead_flask_is_red_though_its_health_is_ok(app: Stack) -> None:
    wait_for_port(Engine.connect().address(app.name, "dead-api"), 5000)
    surface = {
        "id": "endpoint.surface",
        "title": "/health",
        "url": "http://api:5000/health",
        "service": "dead-api",
        "any_of": [{"body_equals": "ok"}],
    }
    known = {"state_dir": str(app.directory / "state"), "project": app.name}
    assert status(ansible("endpoint_check", endpoints=[surface], **known)) == {"endpoint.surface": "pass"}
    result = endpoints(app, {"prosaas-api": "dead-api", "prosaas-calls": "dead-calls"}, deadline=3)
    assert result["failed"] is True
    assert set(status(result).values()) == {"fail"}
    assert "answered 500" in check(result, "endpoint.readyz")["evidence"]
    assert "warmup failed" in result["msg"]


def test_a_service_that_comes_back_within_the_deadline_is_green(app: Stack) -> None:
    app.compose("stop", "-t", "0", "prosaas-calls")
    result = endpoints(app, {"prosaas-calls": "prosaas-calls"})
    assert f"Service prosaas-calls of project {app.name} has no running container" in result["msg"]
    app.compose("start", "prosaas-calls")
    assert status(endpoints(app, {"prosaas-calls": "prosaas-calls"}, deadline=60)) == {
        "endpoint.health_details": "pass"
    }


def test_a_database_that_is_gone_is_red(app: Stack) -> None:
    app.compose("pause", "db")
    try:
        result = endpoints(app, {"prosaas-api": "prosaas-api"}, timeout=20)
    finally:
        app.compose("unpause", "db")
    assert status(result)["endpoint.readyz"] == "fail"
    assert "dependencies.database is" in check(result, "endpoint.readyz")["evidence"]
    assert "DATABASE_URL" in result["msg"]


def test_a_call_as_twilio_sends_it_would_have_left_traces(app: Stack) -> None:
    """Shows that the counts above can be anything else."""
    params = {"CallSid": "CA" + secrets.token_hex(16), "From": "+15005550006", "To": "+15005550006"}
    path = PROBE["incoming_path"]
    headers = {
        "Content-Type": _twilio.FORM,
        "X-Twilio-Signature": _twilio.signature(TOKEN, f"https://prosaas.test{path}", params),
    }
    address = Engine.connect().address(app.name, "prosaas-calls")
    answer = Client().send(f"http://{address}:5050{path}", "POST", headers, urllib.parse.urlencode(params).encode())
    assert answer.status == 200
    seen = traces(app)
    assert {name for name, value in seen.items() if value != UNTOUCHED[name]} == {"slots", "keys", "jobs", "rows"}
