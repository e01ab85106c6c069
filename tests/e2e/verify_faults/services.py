# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of the services: all of them from a wrong image, migrations that fail, an edit that nobody has deployed."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator

from demo_stack import PROJECT, run
from faults import Fault, both, edited

from verify_faults import open_sessions

COMPOSE = ("docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.prod.yml")
UP = ("up", "-d", "--no-build", "--pull", "never")
CREATE = ("create", "--no-build", "--pull", "never")  # starting them is not left to Compose, which waits for dependencies
ONE_SHOTS = ("migrate", "indexer", "backfill")
LASTING = ("nginx", "redis", "prosaas-api", "prosaas-calls", "worker", "scheduler", "baileys", "n8n", "frontend")
WRONG = "prosaas-demo/base:bookworm"
ORPHAN = "prosaasil-old-worker-1"


def labelled(service: str) -> list[str]:
    return [f"com.docker.compose.{name}" for name in ("project=prosaasil", f"service={service}", "oneoff=False")]


def containers(*services: str) -> list[str]:
    """Return the ids of the containers of these services, by their labels: a deployment changes the names."""
    filters = [[word for one in labelled(service) for word in ("--filter", f"label={one}")] for service in services]
    return [found for each in filters for found in run("docker", "ps", "-aq", *each).split()]


def until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"it did not come about in {seconds:g} s"
        time.sleep(0.5)


def states() -> list[dict[str, object]]:
    return [json.loads(line) for line in run(*COMPOSE, "ps", "-a", "--format", "json", cwd=PROJECT).splitlines()]


def well() -> bool:
    """Whether all that has a health check that works is healthy, and the proxy has found its upstreams."""
    return {str(one["Service"]) for one in states() if one["Health"] == "healthy"} >= {*LASTING} - {"n8n", "baileys"}


@contextlib.contextmanager
def brought_up(changes: dict[str, object], *services: str) -> Iterator[None]:
    """Somebody brought services up by hand, with something else about them."""
    override = PROJECT / "by-hand.json"
    override.write_text(json.dumps({"services": dict.fromkeys(services, changes)}))
    try:
        run(*COMPOSE, "-f", str(override), *CREATE, *services, cwd=PROJECT)
        run("docker", "start", *containers(*services))
        yield
    finally:
        override.unlink()
        run(*COMPOSE, *UP, cwd=PROJECT)
        until(well, 90)
        open_sessions()


@contextlib.contextmanager
def all_loop() -> Iterator[None]:
    """Everything was brought up from a wrong image and ends at once; the engine has tried again several times."""
    wrong = {"image": WRONG, "entrypoint": ["sh", "-c", "echo no module named server; exit 3"], "command": []}
    with brought_up(wrong, *LASTING, *ONE_SHOTS):
        count = ("docker", "inspect", "-f", "{{.RestartCount}}", *containers(*LASTING))
        until(lambda: min(map(int, run(*count).split())) >= 5, 60)
        yield


@contextlib.contextmanager
def orphan() -> Iterator[None]:
    """A container of a service that the model does not have any more still runs."""
    labels = [word for one in (*labelled("old-worker"), "ops.prosaas.demo=true") for word in ("--label", one)]
    run("docker", "run", "-d", "--init", "--name", ORPHAN, *labels, WRONG, "sleep", "infinity")
    try:
        yield
    finally:
        run("docker", "rm", "-f", ORPHAN)


@contextlib.contextmanager
def stood_still(*services: str) -> Iterator[None]:
    """Services hang: their processes are there and do nothing."""
    hung = containers(*services)
    run("docker", "pause", *hung)
    try:
        yield
    finally:
        run("docker", "unpause", *hung)


FAULTS: list[Fault] = [
    Fault(
        "everything was brought up by hand from a wrong image, ends at once and is tried again (traps 6 and 8)",
        lambda: both(all_loop, orphan),
        dict.fromkeys(
            [f"compose.{name}.{what}" for name in LASTING for what in ("state", "restarts", "image", "configuration")]
            + [f"compose.{name}.{what}" for name in ONE_SHOTS for what in ("state", "image")]
            + ["compose.orphans", "compose.ports"],
            "fail",
        ),
    ),
    Fault(
        "migrations fail, the worker hangs, and so does the API, from which the WhatsApp service is asked (trap 5)",
        lambda: both(
            lambda: brought_up({"command": ["false"]}, "migrate"), lambda: stood_still("worker", "prosaas-api")
        ),
        {
            "compose.migrate.state": "fail",
            "compose.worker.state": "unknown",
            "compose.worker.restarts": "unknown",
            "compose.baileys.state": "unknown",
        },
    ),
    Fault(
        "a limit was edited in the environment file, and nobody has deployed it",
        lambda: edited(PROJECT / ".env", lambda text: text.replace("MAX_ACTIVE_CALLS=15", "MAX_ACTIVE_CALLS=20")),
        {"compose.prosaas-calls.configuration": "warn", "compose.nginx.configuration": "pass"},
    ),
]
