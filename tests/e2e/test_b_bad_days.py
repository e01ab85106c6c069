# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of a deployment: what served before still serves, the message names the cause, the lock is free."""

from __future__ import annotations

import subprocess
import time
import typing as t

import pytest
from demo_stack import DEMO, PROJECT, ROOT, Stack, run


def serves_as_before(stack: Stack, done: t.Any, said: str) -> None:
    assert done.code != 0
    assert said in done.output
    assert stack.served() == "1.3.0"
    assert not stack.locked()
    record = stack.record()
    assert record["playbook"] == "deploy"
    assert record["outcome"] in ("failed", "taken_back")
    assert said in record["msg"], "the record says what the operator read"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("build_fails", "docker compose build failed"),
        ("migration_fails", "The migration failed (exit code 1)"),
    ],
)
def test_before_the_switch_nothing_is_touched(deployed: Stack, fault: str, said: str) -> None:
    before = deployed.ids()
    done = deployed.play("deploy", "-e", f"commit=bad/{fault}")
    serves_as_before(deployed, done, said)
    assert "Nothing was switched" in done.output
    assert deployed.ids() == before
    assert deployed.record()["outcome"] == "failed"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        # Its web services stay healthy (see test_c_red_and_green), but the scheduler needs Flask, too, and says so.
        ("dead_flask", "compose.scheduler."),
        ("crash_loop", "compose.worker."),
        ("never_healthy", "compose.prosaas-calls.state"),
        ("webhook_unchecked", "webhook.unsigned"),
    ],
)
def test_after_the_switch_it_is_taken_back(deployed: Stack, fault: str, said: str) -> None:
    done = deployed.play("deploy", "-e", f"commit=bad/{fault}", "-e", "verify_health_window=12")
    serves_as_before(deployed, done, said)
    assert "Taken back: release" in done.output
    assert deployed.record()["outcome"] == "taken_back"
    assert run("git", "-C", PROJECT, "rev-parse", "HEAD").strip() == deployed.commit("main")
    assert deployed.play("verify").code == 0


def test_the_first_deployment_over_a_stack_started_by_hand_is_taken_back_too(deployed: Stack) -> None:
    """What runs before the collection comes is kept as a release; here the collection's memory is taken away for that."""
    state, aside = DEMO / "state", DEMO / "state.aside"
    names = ("current.json", "releases")
    aside.mkdir()
    for name in names:
        (state / name).rename(aside / name)
    try:
        done = deployed.play("deploy", "-e", "commit=bad/webhook_unchecked")
        serves_as_before(deployed, done, "webhook.unsigned")
        record = deployed.record()
        assert (record["outcome"], record["release_before"]) == ("taken_back", None)
        assert record["release_after"]["adopted"] or record["release_after"]["verified"]
        assert record["release_after"]["commit"] == deployed.commit("main")
    finally:
        for name in names:
            run("rm", "-rf", state / name)
            (aside / name).rename(state / name)
        aside.rmdir()
    assert deployed.play("deploy").stats["failed"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-e", "commit=no-such-branch"], "no-such-branch is no branch, tag or commit of origin"),
        (["-e", '{"commit": 1234567}'], "Quote it"),
        (["-e", '{"commit": "; rm -rf /"}'], "is no branch, tag or commit id"),
        (["-e", "commit=--upload-pack=touch"], "is no branch, tag or commit id"),
    ],
)
def test_a_commit_that_cannot_be_meant_is_refused(deployed: Stack, options: list[str], said: str) -> None:
    before = deployed.ids()
    serves_as_before(deployed, deployed.play("deploy", *options), said)
    assert deployed.ids() == before


def test_local_changes_are_refused_and_kept(deployed: Stack) -> None:
    path = PROJECT / "VERSION"
    before = path.read_text()
    path.write_text("precious\n")
    try:
        serves_as_before(deployed, deployed.play("deploy", "-e", "commit=v1.1.0"), "changed since the checkout: VERSION")
        assert path.read_text() == "precious\n"
    finally:
        path.write_text(before)


def test_two_deployments_at_once_do_not_meet(deployed: Stack) -> None:
    """The second one is told who holds the host; the first one goes on."""
    argv = [str(ROOT / ".venv/bin/ansible-playbook"), "playbooks/deploy.yml", "-i", "inventories/demo"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as first:
        deadline = time.monotonic() + 60
        while not deployed.locked() and time.monotonic() < deadline:
            time.sleep(0.1)
        second = deployed.play("deploy")
        output, _errors = first.communicate(timeout=300)
    assert first.returncode == 0, output
    assert second.code != 0
    assert "This host is locked: demo on" in second.output and "prosaas_break_lease=" in second.output


def test_the_lease_of_a_killed_controller_is_taken_over(deployed: Stack) -> None:
    argv = [str(ROOT / ".venv/bin/ansible-playbook"), "playbooks/deploy.yml", "-i", "inventories/demo"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        deadline = time.monotonic() + 60
        while not deployed.locked() and time.monotonic() < deadline:
            time.sleep(0.05)
        killed.kill()
    assert deployed.locked(), "it was killed while it held the lease"
    time.sleep(3)  # what the killed run had started on the host ends by itself
    done = deployed.play("deploy")
    assert done.code == 0
    assert not deployed.locked()
    assert (DEMO / "state/records").is_dir()
