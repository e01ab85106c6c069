# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack that takes phone calls, and the callers: signed webhooks, media streams, and both where a call has both."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils._twilio import signature
from tiny import Stack

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "token-of-the-tests"
PUBLIC = "https://calls.test"
LIMIT = 3

REDIS = {
    "command": ["redis-server", "--save", "", "--bind", "0.0.0.0", "--protected-mode", "no"],
    "healthcheck": {"test": ["CMD", "redis-cli", "ping"], "interval": "1s", "retries": 30},
}
# The stand-in's own calls service, without the rest of it.
CALLS = {
    "working_dir": "/app",
    "volumes": [f"{ROOT / 'demo/prosaas'}:/app:ro"],
    "command": ["python3", "-m", "uvicorn", "asgi:app", "--host", "0.0.0.0", "--port", "5050", "--ws", "websockets"],
    "environment": {
        "SERVICE_ROLE": "calls",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MAX_ACTIVE_CALLS": str(LIMIT),
        "TWILIO_AUTH_TOKEN": TOKEN,
        "PUBLIC_BASE_URL": PUBLIC,
        "DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/none",
    },
    "depends_on": {"redis": {"condition": "service_healthy"}},
    "healthcheck": {"test": ["CMD", "curl", "-fs", "localhost:5050/health/details"], "interval": "1s", "retries": 60},
}
SERVICES = {"redis": REDIS, "calls": CALLS}


def redis(project: Stack, *arguments: str) -> str:
    argv = ["docker", "exec", project.container("redis"), "redis-cli", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def containers(project: Stack) -> list[str]:
    return project.compose("ps", "-q", "calls").split()


def address(container: str) -> str:
    given = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    argv = ["docker", "inspect", "--format", given, container]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def ring(container: str, sid: str, path: str = "/webhook/incoming_call", **more: str) -> tuple[int, str]:
    """Do what Twilio does when somebody calls; without From and To nothing but the slot is written."""
    form = {"CallSid": sid, **more}
    headers = {"X-Twilio-Signature": signature(TOKEN, f"{PUBLIC}{path}", form)}
    request = urllib.request.Request(
        f"http://{address(container)}:5050{path}", urllib.parse.urlencode(form).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def is_taken(container: str, sid: str) -> bool:
    return "<Stream" in ring(container, sid)[1]


def hang_up(container: str, sid: str) -> None:
    """End a call. The slot is given back before the row of the call is looked for, which this stack has no database for."""
    assert ring(container, sid, "/webhook/call_status", CallStatus="completed")[0] == 500


@contextlib.contextmanager
def stream(container: str, sid: str) -> Iterator[socket.socket]:
    """Open a media stream and keep it open; an outbound call is nothing more."""
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection((address(container), 5050), 10) as connection:
        head = f"GET /ws/twilio-media HTTP/1.1\r\nHost: calls.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\n\r\n".encode())
        assert b" 101 " in connection.recv(4096)
        start = json.dumps({"event": "start", "start": {"callSid": sid, "streamSid": f"MZ{sid}"}}).encode()
        assert len(start) < 126
        connection.sendall(bytes([0x81, 0x80 | len(start), 0, 0, 0, 0]) + start)  # masked with zeros
        yield connection


def until(what: t.Callable[[], t.Any], seconds: float, every: float = 0.3) -> t.Any:
    """Return what it is as soon as it is something; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s")


def members(project: Stack) -> Sequence[str]:
    return redis(project, "SMEMBERS", "calls:active").split()
