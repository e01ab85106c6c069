# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days that the logs tell of: settings that are refused, services that never got far, one-shots that did nothing."""

from __future__ import annotations

import contextlib
import functools
import json
import typing as t
from collections.abc import Iterator, Mapping

from demo_stack import PROJECT, run
from faults import Fault, both

from verify_faults import open_sessions

COMPOSE = ("docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.prod.yml")
LASTING = ["prosaas-api", "prosaas-calls", "worker", "nginx"]  # those with a health check that can be waited for

# What Twilio does first; the service has no room for it.
ONE_STREAM = """
import asyncio, json, websockets
async def call():
    async with websockets.connect('ws://localhost:5050/ws/twilio-media') as stream:
        await stream.send(json.dumps({'event': 'start', 'start': {'callSid': 'CAopstest'}}))
        await stream.wait_closed()
asyncio.run(call())
"""


@contextlib.contextmanager
def recreated(changes: Mapping[str, Mapping[str, t.Any]]) -> Iterator[None]:
    """Somebody recreated containers by hand, with something else about them; whether they work is not waited for."""
    override = PROJECT / "by-hand.json"
    override.write_text(json.dumps({"services": changes}))
    up = ("up", "-d", "--no-build", "--no-deps")
    try:
        run(*COMPOSE, "-f", override, *up, *changes, cwd=PROJECT)
        yield
    finally:
        override.unlink()
        run(*COMPOSE, *up, *changes, cwd=PROJECT)
        waited = [service for service in changes if service in LASTING]
        if waited:
            run(*COMPOSE, *up, "--wait", *waited, cwd=PROJECT)
        run("docker", "exec", container("nginx"), "nginx", "-s", "reload")
        if "baileys" in changes:
            open_sessions()


def container(service: str) -> str:
    return run(*COMPOSE, "ps", "-q", service, cwd=PROJECT).split()[0]


@contextlib.contextmanager
def one_call_too_many() -> Iterator[None]:
    run("docker", "exec", container("prosaas-calls"), "python", "-c", ONE_STREAM)
    yield


@contextlib.contextmanager
def removed(service: str) -> Iterator[None]:
    run(*COMPOSE, "rm", "-sf", service, cwd=PROJECT)
    try:
        yield
    finally:
        run(*COMPOSE, "up", "-d", "--no-build", "--no-deps", service, cwd=PROJECT)


INSECURE = {"environment": {"COOKIE_SECURE": "false"}}
NO_DATABASE = {"environment": {"DATABASE_URL_POOLER": "postgresql://nobody:nothing@nowhere.prosaas.test/none"}}
# With `--workers 2` each process counts calls for itself.
TWO_PROCESSES = {
    "command": "uvicorn asgi:app --host 0.0.0.0 --port 5050 --ws websockets --timeout-keep-alive 75 --workers 2",
    "environment": {"COOKIE_SECURE": "false", "MAX_CONCURRENT_CALLS": "0"},
}

refused = functools.partial(
    recreated,
    {"prosaas-api": INSECURE, "prosaas-calls": TWO_PROCESSES, "worker": INSECURE, "scheduler": INSECURE},
)
never_got_far = functools.partial(
    recreated,
    {
        "baileys": {"environment": {"INTERNAL_SECRET": ""}},
        "n8n": {"environment": {"N8N_ENCRYPTION_KEY": "another-key-than-the-data-has-got"}},
        "nginx": {"entrypoint": ["nginx", "-g", "no_such_directive;"]},
        "migrate": {"environment": {"RUN_MIGRATIONS": "0"}},
        "indexer": NO_DATABASE,
        "backfill": NO_DATABASE,
    },
)


def every(service: str, *rules: str) -> list[str]:
    return [f"logs.{service}.{rule}" for rule in rules]


FAULTS: list[Fault] = [
    Fault(
        "the settings are refused in all Python services, and calls are two processes without room (traps 4, 11 and 12)",
        functools.partial(both, refused, one_call_too_many),
        dict.fromkeys(
            every("prosaas-api", "started", "production", "configuration", "errors")
            + every("prosaas-calls", "started", "workers", "capacity", "errors")
            + every("worker", "started", "redis", "errors")
            + every("scheduler", "started", "errors"),
            "fail",
        ),
    ),
    Fault(
        "WhatsApp has no secret, n8n another key and nginx a bad directive, and the one-shots did nothing (trap 6)",
        never_got_far,
        dict.fromkeys(
            every("baileys", "started", "errors")
            + every("n8n", "started", "encryption")
            + every("nginx", "started", "errors")
            + ["logs.migrate.done", "logs.indexer.done", "logs.backfill.done"],
            "fail",
        ),
    ),
    Fault(
        "the scheduler's container is gone",
        functools.partial(removed, "scheduler"),
        dict.fromkeys(every("scheduler", "started", "errors"), "unknown"),
    ),
]
