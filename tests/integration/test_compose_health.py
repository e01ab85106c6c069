# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""compose_health on a real engine: green, and red by a fault of the containers each time."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _release, _secrets
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Compose, Project
from tiny import IMAGE, Stack, ansible, check, module, stack, status

LOOK = "test -e /tmp/well || { echo no file for $$API_TOKEN; exit 1; }"
FILE_CHECK = {"test": ["CMD-SHELL", LOOK], "interval": "1s", "timeout": "1s", "retries": 2}
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
    "plain": {
        "command": ["python3", "-m", "http.server", "99"],
        "restart": "unless-stopped",
        "ports": ["127.0.0.1:20999:99"],
    },
    # In a profile, and impossible to start: a look at every profile fails (trap 7).
    "db": {"image": "", "profiles": ["local"]},
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
    """What is expected comes from the model, one-shots included (traps 5, 6 and 7)."""
    first = health(project, images={"plain": image_id()}, items={"compose.*.state": [7], "compose.web.*": [8]})
    assert first["verdict"] == "pass", first["msg"]
    assert set(status(first)) == {
        "compose.migrate.state",
        "compose.web.state",
        "compose.web.restarts",
        "compose.web.configuration",
        "compose.well.state",
        "compose.well.restarts",
        "compose.well.configuration",
        "compose.plain.state",
        "compose.plain.restarts",
        "compose.plain.configuration",
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
    check_said = state["evidence"].splitlines()[1]
    assert check_said.startswith("health check: exit code 1, ") and check_said.endswith(" in a row: no file for ********")
    assert "dsn=postgres://u:********@db/x" in state["evidence"]
    assert "tok-0123456789" not in str(seen), "a secret of the environment is masked in log lines"
    assert PASSWORD not in str(seen)

    docker("stop", "-t", "0", project.container("plain"))
    seen = health(project, deadline=30)
    assert check(seen, "compose.plain.state")["evidence"].startswith("exited (137)")
    assert seen["seconds"] < 5


def test_crash_loop_ends_the_wait(tmp_path: Path) -> None:
    """One look shows it running as often as not: restarts and deaths tell (trap 8)."""
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
    assert re.match(r"restart loop: .* \((last exit code 3|exit codes 3, .*)\)", loop["evidence"])
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


def test_a_probe_from_another_container_proves_the_network_between_them(tmp_path: Path) -> None:
    """The health check lacks its program (trap 5), and the host reaches what another container does not."""
    services = {
        "chat": SERVICES["web"],
        "asker": {"command": ["sleep", "infinity"], "restart": "unless-stopped"},
    }
    policies = {"chat": {"probe": {"port": 8000, "path": "/etc/hostname", "from": "asker"}}}
    with stack("probe", tmp_path, services) as project:
        asker = project.container("asker")
        seen = health(project, services=policies, window=1)
        assert "GET http://chat:8000/etc/hostname from asker answers 200" in check(seen, "compose.chat.state")["evidence"]
        assert seen["verdict"] == "pass"
        docker("exec", asker, "sh", "-c", "rm -f $(command -v curl)")
        assert status(health(project, services=policies))["compose.chat.state"] == "pass", "python3 asks as well"

        docker("network", "disconnect", f"{project.name}_default", asker)
        seen = health(project, services=policies, deadline=1)
        assert check(seen, "compose.chat.state")["status"] == "fail"
        assert "from asker: " in check(seen, "compose.chat.state")["evidence"]

        docker("stop", "-t", "0", asker)
        seen = health(project, services=policies, deadline=1)
        assert check(seen, "compose.chat.state")["status"] == "unknown", "nobody could ask it"
        assert check(seen, "compose.chat.state")["remedy"] == "See compose.asker.state"
        slip = health(project, services={"chat": {"probe": {"port": 1, "from": "nobody"}}})
        assert slip["failed"] and "cannot be asked from nobody" in slip["msg"]


def test_out_of_memory_is_told_with_its_exit_code(tmp_path: Path) -> None:
    eat = ["python3", "-c", "x = []\nwhile True: x.append(bytearray(1 << 20))"]
    services = {"eater": {"command": eat, "init": False, "restart": "no", "mem_limit": "24m", "memswap_limit": "24m"}}
    with stack("oom", tmp_path, services) as project:
        deadline = time.monotonic() + 20
        while docker("inspect", "-f", "{{.State.Status}} {{.State.OOMKilled}}", project.container("eater")) != "exited true\n":
            assert time.monotonic() < deadline, "the engine notes it soon after the end"
            time.sleep(0.2)
        seen = health(project, services={"eater": {"expect": "running"}}, deadline=20)
    assert check(seen, "compose.eater.state")["evidence"].startswith("exited (137), out of memory")
    assert "out of memory (exit code 137" in check(seen, "compose.eater.restarts")["evidence"]


def released(project: Stack) -> None:
    """Put on record that the stack was released as it is now."""

    def execute(argv: t.Sequence[str], **options: t.Any) -> tuple[int, str, str]:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=options.get("cwd"))
        return done.returncode, done.stdout, done.stderr

    options = project.options
    state = Path(options["state_dir"])
    model = Compose(Project.of(options), execute).model()
    values = _dotenv.values(project.directory / ".env")
    config = _release.Config.of(_secrets.host_key(state), json.dumps(model, sort_keys=True), values, {})
    release = _release.Release("20260101T000000Z-abc", "abc", "", "", {}, vars(config))
    _release.Store(state).put(release)
    _release.Store(state).set_current(release)


def test_stale_configuration_is_told_by_who_made_it(tmp_path: Path) -> None:
    """An edit that waits for its deployment is a remark; a container made anew by hand is a fault."""
    services: dict[str, t.Any] = {
        "store": {"command": ["sleep", "infinity"], "env_file": [".env"], "restart": "unless-stopped"},
        "api": {
            "command": ["sleep", "infinity"],
            "restart": "unless-stopped",
            "depends_on": {"store": {"condition": "service_started"}},
        },
    }
    environment = tmp_path / ".env"
    environment.write_text("LIMIT=15\nTOKEN=tok-0123456789\n")
    with stack("stale", tmp_path, services) as project:
        assert status(health(project))["compose.store.configuration"] == "pass"
        environment.write_text("LIMIT=20\nTOKEN=tok-9876543210\n")
        seen = health(project)
        assert check(seen, "compose.store.configuration")["status"] == "warn"
        assert "no finished release is on record" in check(seen, "compose.store.configuration")["evidence"]

        environment.write_text("LIMIT=15\nTOKEN=tok-0123456789\n")
        released(project)
        environment.write_text("LIMIT=20\nTOKEN=tok-9876543210\n")
        seen = health(project)
        said = "edited since the last release, and not running yet: LIMIT, TOKEN"
        assert check(seen, "compose.store.configuration")["evidence"] == said
        assert check(seen, "compose.store.configuration")["status"] == "warn"
        assert check(seen, "compose.api.configuration")["status"] == "pass", "it only depends on what would be replaced"
        assert "tok-" not in str(seen)

        environment.write_text("LIMIT=15\nTOKEN=tok-0123456789\n")
        by_hand = {"services": {"store": {"environment": {"LIMIT": "99"}, "command": ["sleep", "1d"]}}}
        (tmp_path / "by-hand.json").write_text(json.dumps(by_hand))
        project.compose("-f", str(tmp_path / "by-hand.json"), "up", "-d", "--no-deps", "store")
        seen = health(project)
        found = check(seen, "compose.store.configuration")
        assert found["status"] == "fail"
        assert found["evidence"] == "the files are as released, but it runs with other settings: LIMIT; its command"
        assert check(seen, "compose.api.configuration")["status"] == "pass"

        project.compose("up", "-d", "store")
        project.compose("up", "-d", "--no-deps", "--force-recreate", "api")
        found = check(health(project), "compose.api.configuration")
        assert found["status"] in ("warn", "pass"), "newer versions of Compose leave dependencies out of the hash"
        assert found["status"] == "pass" or "made with --no-deps" in found["evidence"]

        services["api"]["stop_grace_period"] = "1s"
        project.write(services)
        found = check(health(project), "compose.api.configuration")
        assert found["status"] == "warn", "the Compose files were edited"
        assert "something else than its variables" in found["evidence"]


def test_a_port_at_another_address_and_one_that_nobody_listens_on(tmp_path: Path) -> None:
    services = {
        "edge": {"command": ["python3", "-m", "http.server", "80"], "ports": ["127.0.0.1:20997:80"]},
        "idle": {"command": ["sleep", "infinity"], "ports": ["127.0.0.1:20998:81"]},
    }
    with stack("ports", tmp_path, services) as project:
        services["edge"]["ports"] = ["20997:80"]
        project.write(services)
        seen = check(health(project), "compose.ports")
    assert seen["status"] == "fail"
    assert "edge 20997->80 is not published at every address, but at 127.0.0.1" in seen["evidence"]
    assert "idle 20998->81 is published, but nothing listens on 81 in the container" in seen["evidence"]


def test_engine_away_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with stack("away", tmp_path, SERVICES, up=False) as project:
        seen = health(project)
    assert seen["failed"]
    assert seen["msg"] == (
        "1 could not be verified: compose.engine (The Docker engine does not answer on this host)"
        " -> Start it: systemctl start docker."
    )
