# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own bad days during a deployment: its disk is full, its engine restarts. The tests build on each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_stack import Played, Stack
from deploy_faults import DOING, Running, said
from fleet import PROJECT_DIR, Fleet
from fleet import fleet as start

NAME = "lonely"
LEASE = "/var/lib/prosaas/lease.json"
FILLER = "/var/lib/docker/filler"
SERVICES = {"web", "redis", "nginx"}

pytestmark = pytest.mark.soak  # hosts with engines of their own take minutes


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A host with a small disk, on which the first release serves."""
    with start(tmp_path_factory.mktemp("lonely"), [NAME], disk="700m") as running:
        yield running


def options(one: Fleet, commit: str) -> list[str]:
    return ["--skip-tags", "preflight", "-e", f"commit={one.origin.commits[commit]}"]


def deploy(stack: Stack, one: Fleet, commit: str) -> Played:
    return stack.play("deploy", *options(one, commit), short=False, inventory=one.inventory())


def is_one_release(one: Fleet, version: str) -> None:
    """Served, free to work on, one container for each service, and nothing that a plain start would do."""
    host = one.hosts[NAME]
    assert one.served(NAME) == version
    assert host.inside("ls", LEASE, check=False) == ""
    rows = host.inside("docker", "compose", "--project-directory", PROJECT_DIR, "ps", "-a", "--format", "json").splitlines()
    found = {json.loads(row)["Name"]: json.loads(row)["State"] for row in rows}
    assert found == {f"tiny-{service}-1": "running" for service in SERVICES}
    up = "docker compose up -d --no-build --dry-run 2>&1"
    printed = host.inside("sh", "-c", f"cd {PROJECT_DIR} && {up}")
    assert "Running" in printed and not DOING.search(printed), printed


def test_the_first_release_serves(one: Fleet, stack: Stack) -> None:
    assert deploy(stack, one, "good").code == 0
    is_one_release(one, "good")


def test_a_full_disk_fails_the_build_and_nothing_else(one: Fleet, stack: Stack) -> None:
    host = one.hosts[NAME]
    before = host.containers()
    host.inside("dd", "if=/dev/zero", f"of={FILLER}", "bs=1M", check=False)  # until there is no more room
    try:
        done = deploy(stack, one, "better")
        assert done.code != 0
        assert "no space left on device" in said(done)
        assert "Traceback" not in done.output
        assert "Nothing was switched" in done.output
        assert one.served(NAME) == "good"
        assert host.containers() == before, "id and StartedAt of every container"
    finally:
        host.inside("rm", "-f", FILLER)
    assert one.records(NAME)[-1]["outcome"] == "failed"
    is_one_release(one, "good")


def test_an_engine_that_restarts_in_the_middle_ends_on_one_release(one: Fleet, stack: Stack, tmp_path: Path) -> None:
    host = one.hosts[NAME]
    run = Running(tmp_path / "log", *options(one, "better"), inventory=one.inventory())
    run.until(lambda: "Bring it into service" in run.output())
    host.stop_engine()
    host.wait_for("the end of the engine", "sh", "-c", "! pgrep -x dockerd")
    host.start_engine()
    done = run.end()
    assert "Traceback" not in done.output
    assert one.served(NAME) in ("good", "better"), "what served before, or already the new one"
    assert host.inside("ls", LEASE, check=False) == ""
    if done.code:
        assert one.records(NAME)[-1]["outcome"] in ("failed", "taken_back")
    again = deploy(stack, one, "better")
    assert again.code == 0
    is_one_release(one, "better")
