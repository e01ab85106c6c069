# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""call_test on the stand-in's own calls service, with real Redis and Postgres; the media stream also with a server that asks for more."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _audio, _media_stream
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from test_webhook_and_endpoints import POSTGRES, wait_for_port
from tiny import Stack, check, module, stack, status

ROOT = Path(__file__).resolve().parents[2]
TOKEN = secrets.token_hex(16)
LIMIT = 3
TLS = "--ssl-keyfile /tls/tls.key --ssl-certfile /tls/tls.crt"
START = f"cp -r /src/. /app/ && cd /app && exec python3 -m uvicorn asgi:app --host 0.0.0.0 --port 443 --ws websockets {TLS}"
TAKE = "redis.call('SADD', KEYS[1], 'CAother') redis.call('SETEX', KEYS[2], 60, 1)"
CHECKS = ["connected", "audio", "acquired", "counted", "completed", "released", "uncounted", "recording"]

# The other side of a media stream, as demanding as may be: it pings, marks and clears, and tells what came of it.
DEMANDING = """
import asyncio, base64, json, os, ssl, time
import websockets
async def talk(ws):
    seen, began = [], time.monotonic()
    async def listen():
        async for text in ws:
            seen.append([time.monotonic() - began, json.loads(text)])
            seen[-1][1].pop("media", None)  # a longer line would be cut
            if seen[-1][1]["event"] == "stop": return
    listening = asyncio.ensure_future(listen())
    async def say(event, **more): await ws.send(json.dumps({"event": event, "streamSid": "MZ", **more}))
    loud = base64.b64encode(bytes([128]) * 160).decode()
    for _each in range(100): await say("media", media={"payload": loud})
    await say("mark", mark={"name": "played"})
    pinged = time.monotonic(); await (await ws.ping(os.urandom(100))); pong = time.monotonic() - pinged
    await asyncio.sleep(1)
    early = [one for _at, one in seen if one["event"] == "mark"]
    cleared = time.monotonic() - began; await say("clear")
    await listening
    print(json.dumps({"seen": seen, "pong": pong, "early": early, "cleared": cleared}), flush=True)
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
    async with websockets.serve(talk, "", 443, ssl=context): await asyncio.Future()
asyncio.run(main())
"""


def calls(where: Path, fault: str = "", **more: t.Any) -> dict[str, t.Any]:
    return {
        "command": ["sh", "-c", START],
        "volumes": [f"{ROOT / 'demo/prosaas'}:/src:ro", f"{where}/tls:/tls:ro"],
        "env_file": [".env"],
        "environment": {"SERVICE_ROLE": "calls", "DEMO_FAULT": fault, "PYTHONPATH": "/app"},
        "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
        "tmpfs": ["/app"],
        **more,
    }


@contextlib.contextmanager
def application(where: Path, others: dict[str, t.Any], **top: t.Any) -> Iterator[Stack]:
    """The stand-in's calls service, and one whose calls go wrong, with their Redis and Postgres."""
    (where / "tls").mkdir()
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=prosaas.test"]
    made += ["-addext", "subjectAltName=DNS:prosaas.test,DNS:api.twilio.test", "-keyout", "tls.key", "-out", "tls.crt"]
    subprocess.run(made, cwd=where / "tls", check=True, capture_output=True)
    variables = {
        "PUBLIC_BASE_URL": "https://prosaas.test",
        "PUBLIC_HOST": "prosaas.test",
        "SECRET_KEY": secrets.token_hex(32),
        "TWILIO_ACCOUNT_SID": "AC" + secrets.token_hex(16),
        "TWILIO_AUTH_TOKEN": TOKEN,
        "MAX_ACTIVE_CALLS": str(LIMIT),
        "FLASK_ENV": "production",
        "DATABASE_URL": "postgresql://prosaas:none@db:5432/postgres",
        "REDIS_URL": "redis://redis:6379/0",
    }
    (where / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="ascii")
    ready = ["CMD", "/usr/lib/postgresql/15/bin/pg_isready", "-q", "-h", "127.0.0.1"]
    migrate = {
        **calls(where),
        "command": ["sh", "-c", "cp -r /src/. /app/ && cd /app && exec python3 -m server.db_migrate"],
        "depends_on": {"db": {"condition": "service_healthy"}},
    }
    services = {
        "db": {"command": ["bash", "-ec", POSTGRES], "healthcheck": {"test": ready, "interval": "1s", "retries": 30}},
        "redis": {"command": ["redis-server", "--save", "", "--protected-mode", "no"]},
        "migrate": migrate,
        "calls": calls(where),
        "poor-calls": calls(where, "poor_calls", tmpfs=["/app", "/app/server/recordings:ro"]),
    }
    for name, more in others.items():
        services[name] = {**services.get(name, {}), **more}
    with stack("call", where, services, **top) as started:
        for service in ("calls", "poor-calls"):
            wait_for_port(Engine.connect().address(started.name, service), 443)
        yield started


@pytest.fixture(scope="module", name="app")
def _app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    where = tmp_path_factory.mktemp("call")
    demanding = {"command": ["python3", "-c", DEMANDING], "volumes": [f"{where}/tls:/tls:ro"]}
    with application(where, {"demanding": demanding}) as started:
        yield started


def call(app: Stack, service: str = "calls", check_mode: bool = False, **more: t.Any) -> dict[str, t.Any]:
    known = {
        "state_dir": str(app.directory / "state"),
        "env_file": str(app.directory / ".env"),
        "project": app.name,
        "url": "https://prosaas.test",
        "address": Engine.connect().address(app.name, service),
        "ca_path": str(app.directory / "tls/tls.crt"),
        "credentials": {
            "auth_token": "TWILIO_AUTH_TOKEN",
            "account_sid": "TWILIO_ACCOUNT_SID",
            "public_base_url": "PUBLIC_BASE_URL",
        },
        "incoming_path": "/webhook/incoming_call",
        "status_path": "/webhook/call_status",
        "stream_path": "/ws/twilio-media",
        "log_service": service,
        "acquired_line": "[CAPACITY] ACQUIRED call_id={sid}",
        "released_line": "[CAPACITY] RELEASED call_id={sid}",
        "endpoint_url": "https://prosaas.test/health/details",
        "endpoint_service": service,
        "limit_variable": "MAX_ACTIVE_CALLS",
        "recordings": {"services": [service], "path": "/app/server/recordings", "deadline": 1},
        "advisory": ["call.answer_makes_sense"],
        "listen_seconds": 4,
        "release_deadline": 1,
    }
    return module("call_test", check_mode, **{**known, **more})


def redis(app: Stack, *command: str) -> str:
    return app.compose("exec", "-T", "redis", "redis-cli", *command).strip()


def test_a_call_goes_through_and_nothing_of_it_stays_but_its_recording(app: Stack) -> None:
    result = call(app)
    assert not result.get("failed"), result["msg"]
    assert status(result) == {**{f"call.{name}": "pass" for name in CHECKS}, "call.answer_makes_sense": "unknown"}
    assert check(result, "call.answer_makes_sense")["question"]
    sid = result["call"]["sid"]
    assert f"/app/server/recordings/{sid}.mp3, 1" in check(result, "call.recording")["evidence"]
    assert "1 of 3, as in Redis" in check(result, "call.counted")["evidence"]
    assert "0 of 3, as in Redis" in check(result, "call.uncounted")["evidence"]
    assert redis(app, "KEYS", "*") == ""
    assert TOKEN not in json.dumps(result)


def test_a_call_with_numbers_leaves_rows_that_are_named(app: Stack) -> None:
    env = (app.directory / ".env").read_text(encoding="ascii")
    there = f"@{Engine.connect().address(app.name, 'db')}:5432/postgres?sslmode=disable"
    (app.directory / "env-of-the-host").write_text(env.replace("@db:5432/postgres", there), encoding="ascii")
    known = {"database": {"url": "DATABASE_URL"}, "trace_columns": ["*.call_sid"], "sslmodes": ["disable"]}
    known["env_file"] = str(app.directory / "env-of-the-host")
    nobody = call(app, **known)
    assert "; no row names it" in check(nobody, "call.completed")["evidence"]
    somebody = call(app, **known, numbers={"From": "+15005550006", "To": "+15005550006"})
    (row,) = somebody["call"]["rows"]
    assert row.startswith("call_log id ")
    assert f"; it left {row}" in check(somebody, "call.completed")["evidence"]
    redis(app, "FLUSHALL")


def test_what_is_heard_is_what_was_said_in_real_time(app: Stack) -> None:
    began = time.monotonic()
    said = check(call(app, say_seconds=1.5), "call.audio")["evidence"]
    assert time.monotonic() - began >= 1.5
    assert float(said.split("after ")[1].split(" s")[0]) < 0.5
    assert 60 <= int(said.split("; ")[1].split(" ")[0]) <= 90


def test_other_calls_come_and_go_meanwhile(app: Stack) -> None:
    done = threading.Event()

    def others() -> None:
        while not done.is_set():
            redis(app, "EVAL", TAKE, "2", "calls:active", "calls:active:CAother")
            redis(app, "SREM", "calls:active", "CAother")

    thread = threading.Thread(target=others)
    thread.start()
    try:
        found = status(call(app))
    finally:
        done.set()
        thread.join()
        redis(app, "FLUSHALL")
    assert {name for name, said in found.items() if said != "pass"} == {"call.answer_makes_sense"}


def test_a_release_whose_calls_go_wrong_is_red_and_keeps_no_slot(app: Stack) -> None:
    result = call(app, "poor-calls")
    assert result["failed"] is True
    found = status(result)
    assert {name for name, said in found.items() if said == "fail"} == {
        *("call.connected", "call.audio", "call.completed", "call.released", "call.uncounted", "call.recording")
    }
    assert check(result, "call.connected")["evidence"].endswith("closed by the other side with 1011")
    assert "all of it is silence" in check(result, "call.audio")["evidence"]
    assert "it was taken out here" in check(result, "call.uncounted")["evidence"]
    assert "poor-calls cannot write to /app/server/recordings" in check(result, "call.recording")["evidence"]
    assert redis(app, "KEYS", "*") == ""


@pytest.mark.parametrize("closed", [False, True], ids=["two of three slots are taken", "admission is closed"])
def test_no_call_is_made_where_there_is_no_room(app: Stack, closed: bool) -> None:
    for member in ["prosaas-ops:run-1:0"] if closed else ["CA1", "CA2"]:
        redis(app, "SADD", "calls:active", member)
        redis(app, "SETEX", f"calls:active:{member}", "60", "1")
    before = redis(app, "SMEMBERS", "calls:active")
    try:
        result = call(app)
        assert redis(app, "SMEMBERS", "calls:active") == before
    finally:
        redis(app, "FLUSHALL")
    assert not result.get("failed"), result["msg"]
    assert {said for name, said in status(result).items() if name != "call.answer_makes_sense"} == {"skip"}
    assert ("closed by run-1" if closed else "1 of 3 slots are free") in check(result, "call.connected")["evidence"]


def test_check_mode_makes_no_call(app: Stack) -> None:
    result = call(app, check_mode=True)
    assert set(status(result).values()) == {"skip", "unknown"}
    assert "call" not in result
    assert redis(app, "KEYS", "*") == ""


def test_another_token_is_red_and_what_rests_on_the_call_is_unknown(app: Stack, tmp_path: Path) -> None:
    env = (app.directory / ".env").read_text(encoding="ascii").replace(TOKEN, "another-token-than-the-applications")
    (tmp_path / "env").write_text(env, encoding="ascii")
    found = status(call(app, env_file=str(tmp_path / "env")))
    assert found.pop("call.connected") == "fail"
    assert set(found.values()) == {"unknown"}


def test_a_process_that_is_told_to_end_hangs_up_first(app: Stack) -> None:
    """SIGTERM in the middle of the call: the slot is free when the process is gone."""
    code = "import sys, test_call_test as tests; from tiny import Stack; from pathlib import Path\n"
    code += "app = Stack.__new__(Stack); app.name, app.directory = sys.argv[1], Path(sys.argv[2])\n"
    code += "tests.call(app, say_seconds=20)"
    argv = [sys.executable, "-c", code, app.name, str(app.directory)]
    path = ":".join(sys.path)
    process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": path})
    try:
        until = time.monotonic() + 20
        while redis(app, "SCARD", "calls:active") != "1":
            assert time.monotonic() < until
        time.sleep(0.5)
        process.terminate()
        process.wait(timeout=20)
    finally:
        process.kill()
    assert redis(app, "KEYS", "*") == ""


def test_the_stream_is_verified_as_the_site_is(app: Stack) -> None:
    address = Engine.connect().address(app.name, "demanding")
    with pytest.raises(OpsError, match="certificate of https://prosaas.test at .* is not valid"):
        _media_stream.dial(Client(), "wss://prosaas.test/", address)


def test_pings_marks_and_clears_are_answered_as_by_a_telephone(app: Stack) -> None:
    address = Engine.connect().address(app.name, "demanding")
    wait_for_port(address, 443)
    frames = _audio.frames(_audio.speech(1.6))
    line = _media_stream.dial(Client(ca_path=str(app.directory / "tls/tls.crt")), "wss://prosaas.test/", address)
    heard = line.talk(_media_stream.Start("AC1", "CA1", {"a": "b"}, "MZ1"), _media_stream.Talk(frames, 1.6, 5))
    assert line.close() is True
    assert (heard.frames, heard.marks, heard.told, heard.clears, heard.strange, heard.broken) == (100, 1, 1, 1, 0, "")
    told = json.loads(Engine.connect().log_tail(app.container("demanding"), 1)[0])
    events = [message["event"] for _at, message in told["seen"]]
    assert events[:3] == ["connected", "start", "media"] and events[-1] == "stop"
    assert events.count("media") == 80
    # Two seconds of sound were sent: the mark is due after them, or as soon as they are cleared.
    assert told["early"] == []
    marked = next(at for at, message in told["seen"] if message["event"] == "mark")
    assert told["cleared"] <= marked < told["cleared"] + 0.3
    times = [at for at, message in told["seen"] if message["event"] == "media"]
    late = [at - (times[0] + 0.02 * number) for number, at in enumerate(times)]
    assert min(late) > -0.3 and max(late) < 0.3, "frames come in real time"
