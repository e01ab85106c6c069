# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""compose_health on a real engine: green, and red by a fault of the containers each time."""

from __future__ import annotations

import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import IMAGE, Stack, ansible, check, module, stack, status

FILE_CHECK = {"test": ["CMD", "test", "-e", "/tmp/well"], "interval": "1s", "timeout": "1s", "retries": 2}
WELL = "touch /tmp/well; exec sleep infinity"
PASSWORD = "correct-horse-battery"

SERVICES: dict[str, t.Any] = {
    "migrate": {"command": ["true"], "restart": "no"},
    "web": {
        "command": ["python3", "-m", "http.server", "8000"],
        "healthcheck": {"test": ["CMD", "no-such-program"], "interval": "1s", "retries": 1},
        "restart": "unless-stopped",
    },
    "well": {
        "command": ["sh", "-c", f"echo dsn=postgres://u:{PASSWORD}@db/x token=$$API_TOKEN; {WELL}"],
        "environment": {"API_TOKEN": "tok-0123456789", "MODE": "production"},
        "healthcheck": FILE_CHECK,
        "restart": "unless-stopped",
        "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
    },
    "plain": {"command": ["sleep", "infinity"], "restart": "unless-stopped", "ports": ["127.0.0.1:20999:99"]},
}
POLICIES = {"web": {"probe": {"port": 8000, "path": "/etc/hostname"}}}
QUICK = {"services": POLICIES, "deadline": 20, "window": 2}


def image_id() -> str:
    shown = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Id}}", IMAGE], capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


@pytest.fixture()
def project(tmp_path: Path) -> Iterator[Stack]:
    with stack("health", tmp_path, SERVICES) as running:
        yield running


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


def health(project: Stack, **options: t.Any) -> dict[str, t.Any]:
    return module("compose_health", **{**project.options, **QUICK, **options})


def test_green_then_at_once_and_nothing_touched(project: Stack) -> None:
    first = health(project, images={"plain": image_id()}, items={"compose.*.state": [7], "compose.web.*": [8]})
    assert first["verdict"] == "pass", first["msg"]
    assert set(status(first)) == {
        "compose.migrate.state",
        "compose.web.state",
        "compose.web.restarts",
        "compose.well.state",
        "compose.well.restarts",
        "compose.plain.state",
        "compose.plain.restarts",
        "compose.plain.image",
        "compose.orphans",
        "compose.ports",
    }
    assert check(first, "compose.web.state")["item"] == [7, 8]
    assert check(first, "compose.plain.state")["evidence"] == "running; it has no health check"
    assert check(first, "compose.migrate.state")["evidence"] == "exited (0)"
    assert "answers 200; its own health check says unhealthy" in check(first, "compose.web.state")["evidence"]
    second = ansible("compose_health", **{**project.options, **QUICK})
    assert second["verdict"] == "pass"
    assert not second["changed"]
    assert second["seconds"] < 3, "a settled stack is not waited for"
    assert second["services"] == first["services"], "ids and start times are as they were"


def test_a_service_that_dies_in_the_window_fails(project: Stack) -> None:
    victim = project.container("well")
    health(project)
    killer = threading.Timer(3, docker, ["kill", victim])
    killer.start()
    seen = health(project, window=600)
    killer.join()
    restarts = check(seen, "compose.well.restarts")
    assert restarts["status"] == "fail"
    assert "after everything was good (exit code 137)" in restarts["evidence"]
    assert seen["seconds"] < 30, "the end of the window was not waited for"


def test_missing_stopped_and_unhealthy(project: Stack) -> None:
    docker("rm", "-f", project.container("plain"))
    seen = health(project)
    assert status(seen)["compose.plain.state"] == "fail"
    assert check(seen, "compose.plain.state")["evidence"] == "has no container"
    assert "up -d plain" in check(seen, "compose.plain.state")["remedy"]
    assert status(seen)["compose.ports"] == "fail"
    assert seen["seconds"] < 3, "nothing can come of waiting"

    project.compose("up", "-d")
    docker("exec", project.container("well"), "rm", "/tmp/well")
    time.sleep(4)
    seen = health(project, deadline=3)
    state = check(seen, "compose.well.state")
    assert state["status"] == "fail"
    assert state["evidence"].startswith("running, health: unhealthy\n")
    assert "dsn=postgres://u:********@db/x" in state["evidence"]
    assert "tok-0123456789" not in str(seen), "a secret of the environment is masked in log lines"
    assert PASSWORD not in str(seen)

    docker("stop", "-t", "0", project.container("plain"))
    seen = health(project, deadline=30)
    assert check(seen, "compose.plain.state")["evidence"].startswith("exited (137)")
    assert seen["seconds"] < 5


def test_crash_loop_ends_the_wait(tmp_path: Path) -> None:
    services = {
        "loop": {"command": ["sh", "-c", "echo going down; exit 3"], "restart": "unless-stopped"},
        "slow": {
            "command": ["sleep", "infinity"],
            "healthcheck": {**FILE_CHECK, "start_period": "60s"},
        },
    }
    with stack("loop", tmp_path, services) as project:
        seen = health(project, services={}, deadline=60, crash_loop=4)
    assert seen["seconds"] < 30
    loop = check(seen, "compose.loop.restarts")
    assert loop["status"] == "fail"
    assert "restart loop" in loop["evidence"]
    assert "going down" in check(seen, "compose.loop.state")["evidence"]
    assert check(seen, "compose.slow.state")["status"] == "unknown", "nobody knows what it would have become"


def test_one_shot_that_fails_ends_the_wait(tmp_path: Path) -> None:
    services = {"migrate": {"command": ["sh", "-c", "echo no such table >&2; exit 4"], "restart": "no"}}
    with stack("oneshot", tmp_path, services) as project:
        seen = health(project, services={}, deadline=60)
    assert check(seen, "compose.migrate.state")["evidence"] == "exited (4)\nno such table"
    assert seen["seconds"] < 5


def test_slow_start_is_waited_for_on_events(tmp_path: Path) -> None:
    services = {"slow": {"command": ["sleep", "infinity"], "healthcheck": {**FILE_CHECK, "start_period": "60s"}}}
    with stack("slow", tmp_path, services) as project:
        ready = threading.Timer(3, docker, ["exec", project.container("slow"), "touch", "/tmp/well"])
        ready.start()
        seen = health(project, services={}, deadline=60, window=1)
        ready.join()
    assert seen["verdict"] == "pass"
    assert 1 < check(seen, "compose.slow.state")["seconds"] < 30


def test_orphan_and_wrong_image(project: Stack) -> None:
    project.write({name: service for name, service in SERVICES.items() if name != "plain"})
    seen = health(project, images={"well": "sha256:" + "0" * 64})
    assert check(seen, "compose.orphans")["status"] == "fail"
    assert "docker rm -f" in check(seen, "compose.orphans")["remedy"]
    assert check(seen, "compose.well.image")["status"] == "fail"


def test_engine_away_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with stack("away", tmp_path, SERVICES, up=False) as project:
        seen = health(project)
    assert seen["failed"]
    assert seen["msg"] == (
        "1 could not be verified: compose.engine (The Docker engine does not answer on this host)"
        " -> Start it: systemctl start docker."
    )
