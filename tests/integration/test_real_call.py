# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""call_test has a call made by the demo's own Twilio, to the stand-in's own calls service."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._twilio_api import Account, Call
from test_call_test import CHECKS, ROOT, TOKEN, application, call, redis
from test_webhook_and_endpoints import wait_for_port
from tiny import LABELS, Stack, check, status

ACCOUNT = "b" * 32
NUMBER, CALLER = "+15005550006", "+15005550010"
TWILIO = "api.twilio.test"
AT_PROSAAS = {"aliases": ["prosaas.test"]}


def twilio(where: Path, network: str) -> dict[str, t.Any]:
    return {
        "command": ["python3", "/cloud/services/server.py"],
        "environment": {
            "PYTHONDONTWRITEBYTECODE": "1",
            "SSL_CERT_FILE": "/cloud/tls/services.crt",
            "APPLICATION": "https://prosaas.test",
            "TWILIO_NUMBER": NUMBER,
            "TWILIO_CALLER_ID": CALLER,
            "SUPABASE_PROJECT": "none",
            "FORGE_REPOSITORY": "none/none",
        },
        "volumes": [
            f"{ROOT / 'demo/cloud/services'}:/cloud/services:ro",
            f"{where}/tls/tls.crt:/cloud/tls/services.crt:ro",
            f"{where}/tls/tls.key:/cloud/tls/services.key:ro",
            f"{where}/control:/cloud/control:ro",
            f"{where}/secrets:/run/secrets:ro",
        ],
        "networks": [network],
    }


@pytest.fixture(scope="module", name="app")
def _app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    where = tmp_path_factory.mktemp("real")
    for name in ("control", "secrets"):
        (where / name).mkdir()
    (where / "secrets/twilio_account").write_text(ACCOUNT, encoding="ascii")
    (where / "secrets/twilio_token").write_text(TOKEN, encoding="ascii")
    others = {
        "twilio": twilio(where, "default"),
        "poor-twilio": twilio(where, "poor"),
        "calls": {"networks": {"default": AT_PROSAAS}},
        "poor-calls": {"networks": {"default": {}, "poor": AT_PROSAAS}},
    }
    networks = {name: {"labels": LABELS} for name in ("default", "poor")}
    with application(where, others, networks=networks) as started:
        env = (where / ".env").read_text(encoding="ascii")
        lines = [line for line in env.splitlines() if not line.startswith("TWILIO_ACCOUNT_SID=")]
        (where / "known.env").write_text("\n".join([*lines, f"TWILIO_ACCOUNT_SID=AC{ACCOUNT}", ""]), encoding="ascii")
        for service in ("twilio", "poor-twilio"):
            wait_for_port(Engine.connect().address(started.name, service), 443)
        yield started


@contextlib.contextmanager
def resolved(app: Stack, service: str) -> Iterator[None]:
    """The name of Twilio's API is that of our container: /etc/hosts may have the demo's."""
    real, there = socket.getaddrinfo, Engine.connect().address(app.name, service)

    def getaddrinfo(host: t.Any, *rest: t.Any, **more: t.Any) -> t.Any:
        return real(there if host == TWILIO else host, *rest, **more)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = real


def real_call(app: Stack, service: str = "calls", check_mode: bool = False, **more: t.Any) -> dict[str, t.Any]:
    wanted = {"to": NUMBER, "from": CALLER, "api_url": f"https://{TWILIO}", "seconds": 3, "recording_deadline": 2}
    wanted.update(more.pop("real", {}))
    known = {"env_file": str(app.directory / "known.env"), "real_call": wanted}
    with resolved(app, "poor-twilio" if service == "poor-calls" else "twilio"):
        return call(app, service, check_mode, **{**known, **more})


def account(app: Stack) -> Account:
    http = Client(ca_path=str(app.directory / "tls/tls.crt"))
    return Account(f"https://{TWILIO}", f"AC{ACCOUNT}", TOKEN, http)


def legs(app: Stack, service: str = "twilio") -> list[Call]:
    with resolved(app, service):
        return account(app).calls_to(NUMBER)


@contextlib.contextmanager
def fault(app: Stack, name: str) -> Iterator[None]:
    path = app.directory / "control" / name
    path.touch()
    try:
        yield
    finally:
        path.unlink()


def test_a_call_goes_through_twilio_and_is_ended(app: Stack) -> None:
    result = real_call(app)
    assert not result.get("failed"), result["msg"]
    assert status(result) == {**{f"call.{name}": "pass" for name in CHECKS}, "call.answer_makes_sense": "unknown"}
    theirs, ours = legs(app)[:2]
    assert (theirs.sid, theirs.direction, ours.direction) == (result["call"]["sid"], "inbound", "outbound-api")
    assert [leg.status for leg in (theirs, ours)] == ["completed"] * 2
    assert ours.seconds in (3, 4, 5)
    assert f"{theirs.sid} (inbound) completed after" in check(result, "call.completed")["evidence"]
    assert "1 of 3, as in Redis" in check(result, "call.counted")["evidence"]
    assert "that Twilio recorded" in check(result, "call.audio")["evidence"]
    assert f"/app/server/recordings/{theirs.sid}.mp3" in check(result, "call.recording")["evidence"]
    assert redis(app, "KEYS", "calls:*") == ""
    with resolved(app, "twilio"):
        assert account(app).recordings(ours.sid) == {}, "it is deleted once it was listened to"
    assert TOKEN not in json.dumps(result)


def test_an_application_whose_calls_go_wrong_is_red_and_no_call_stays(app: Stack) -> None:
    result = real_call(app, "poor-calls")
    assert result["failed"] is True
    found = status(result)
    assert {name for name, said in found.items() if said == "fail"} == {
        *("call.connected", "call.audio", "call.completed", "call.released", "call.uncounted", "call.recording")
    }
    assert "the application hung up on CA" in check(result, "call.connected")["evidence"]
    assert "all of it is silence" in check(result, "call.audio")["evidence"]
    assert "it was taken out here" in check(result, "call.uncounted")["evidence"]
    assert all(leg.over for leg in legs(app, "poor-twilio"))
    assert redis(app, "KEYS", "calls:*") == ""


def test_a_webhook_that_refuses_is_named_with_twilios_own_error(app: Stack) -> None:
    """Twilio has another token than the application, as after one was changed at one place alone."""
    secret = app.directory / "secrets/twilio_token"
    env = (app.directory / "known.env").read_text(encoding="ascii")
    other = "another-token-than-the-applications"
    (app.directory / "other.env").write_text(env.replace(TOKEN, other), encoding="ascii")
    secret.write_text(other, encoding="ascii")
    try:
        result = real_call(app, env_file=str(app.directory / "other.env"))
    finally:
        secret.write_text(TOKEN, encoding="ascii")
    found = status(result)
    assert found.pop("call.connected") == "fail" and set(found.values()) == {"unknown"}
    said = "the call could not be put through; Twilio notes 11200, the webhook answered with an error"
    assert check(result, "call.connected")["evidence"] == said


@pytest.mark.parametrize(
    ("name", "said", "evidence"),
    [("twilio-busy", "fail", "the number was busy"), ("twilio-outage", "unknown", "answers 503")],
)
def test_a_bad_day_of_twilio_is_told_from_one_of_the_application(
    app: Stack, name: str, said: str, evidence: str
) -> None:
    with fault(app, name):
        result = real_call(app)
    found = status(result)
    assert (result["failed"], found.pop("call.connected"), set(found.values())) == (True, said, {"unknown"})
    assert evidence in check(result, "call.connected")["evidence"]


@pytest.mark.soak
def test_a_call_whose_end_was_not_seen_is_red_and_names_the_call(app: Stack) -> None:
    done = threading.Event()

    def outage() -> None:
        while redis(app, "SCARD", "calls:active") != "1":
            time.sleep(0.1)
        time.sleep(1)
        with fault(app, "twilio-outage"):
            done.wait(30)

    thread = threading.Thread(target=outage)
    thread.start()
    try:
        result = real_call(app, real={"end_deadline": 1, "listen": False})
    finally:
        done.set()
        thread.join()
    evidence = check(result, "call.completed")["evidence"]
    going = [leg for leg in legs(app) if not leg.over]
    with resolved(app, "twilio"):
        account(app).end(going[0].sid)
    assert (status(result)["call.completed"], len(going)) == ("fail", 2)
    assert "the end of the call was not seen: " in evidence and going[0].sid in evidence
    assert status(result)["call.audio"] == "skip"


@pytest.mark.parametrize(
    ("real", "said"),
    [
        ({"from": "+15005550099"}, "(21210)"),
        ({"to": "+15005550007"}, "nobody took the call"),
    ],
)
def test_a_number_that_twilio_does_not_take_is_one_sentence(app: Stack, real: dict[str, str], said: str) -> None:
    result = real_call(app, real=real)
    assert status(result)["call.connected"] == "fail"
    assert said in check(result, "call.connected")["evidence"] and check(result, "call.connected")["remedy"]


@pytest.mark.parametrize(
    ("real", "said"),
    [
        ({"to": "15005550006"}, "real_call.to is no phone number. Write it in quotes"),
        ({"from": NUMBER}, "are the same number"),
        ({"seconds": 600}, "real_call.seconds is 600"),
        ({"api_url": "http://api.twilio.test"}, "is no https:// URL"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(app: Stack, real: dict[str, t.Any], said: str) -> None:
    before = len(legs(app))
    assert said in real_call(app, real=real)["msg"]
    assert len(legs(app)) == before


def test_without_room_and_in_check_mode_nobody_calls(app: Stack) -> None:
    before = len(legs(app))
    assert set(status(real_call(app, check_mode=True)).values()) == {"skip", "unknown"}
    redis(app, "SADD", "calls:active", "CA1", "CA2")
    try:
        result = real_call(app)
    finally:
        redis(app, "DEL", "calls:active")
    assert "1 of 3 slots are free" in check(result, "call.connected")["evidence"]
    assert len(legs(app)) == before


def test_a_process_that_is_told_to_end_ends_the_call_first(app: Stack) -> None:
    code = "import sys, test_real_call as tests; from tiny import Stack; from pathlib import Path\n"
    code += "app = Stack.__new__(Stack); app.name, app.directory = sys.argv[1], Path(sys.argv[2])\n"
    code += "tests.real_call(app, real={'seconds': 30})"
    argv = [sys.executable, "-c", code, app.name, str(app.directory)]
    process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    try:
        until = time.monotonic() + 20
        while redis(app, "SCARD", "calls:active") != "1":
            assert time.monotonic() < until
        time.sleep(1)
        process.terminate()
        process.wait(timeout=30)
    finally:
        process.kill()
    assert [leg.status for leg in legs(app)[:2]] == ["completed"] * 2
    assert redis(app, "KEYS", "calls:*") == ""
