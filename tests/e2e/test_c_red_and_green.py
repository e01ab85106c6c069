# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each module seen red by a fault of the stack, with a remedy, and green again: through the playbooks, on the real thing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from demo_stack import PROJECT, ROOT, Stack, run
from faults import cloud

Fault = Callable[[Stack], AbstractContextManager[None]]

LEAKED = "CA" + "0" * 30 + "ff"


@contextmanager
def stopped(service: str) -> Iterator[None]:
    run("docker", "stop", "-t", "1", f"prosaasil-{service}-1")
    try:
        yield
    finally:
        run("docker", "start", f"prosaasil-{service}-1")


@contextmanager
def leaked_slot(stack: Stack) -> Iterator[None]:
    stack.redis("SADD", "calls:active", LEAKED)
    try:
        yield
    finally:
        stack.redis("SREM", "calls:active", LEAKED)


@contextmanager
def left_closed(stack: Stack) -> Iterator[None]:
    """The host went down while a deployment kept new calls out: its members are still there, their keys are not."""
    member = "prosaas-ops:20261122T101500Z-cafe:0"
    stack.redis("SADD", "calls:active", member)
    try:
        yield
    finally:
        stack.redis("SREM", "calls:active", member)


@contextmanager
def by_hand(service: str, **changes: object) -> Iterator[None]:
    """Somebody recreated a container by hand, with something else about it."""
    files = ["-f", "docker-compose.yml", "-f", "docker-compose.prod.yml"]
    up = ["up", "-d", "--no-build", "--no-deps", "--wait", service]
    override = PROJECT / "by-hand.json"
    override.write_text(json.dumps({"services": {service: changes}}))
    run("docker", "compose", *files, "-f", override, *up, cwd=PROJECT)
    override.unlink()
    # As a person would: the proxy looks up the new address.
    run("docker", "exec", "prosaasil-nginx-1", "nginx", "-s", "reload")
    try:
        yield
    finally:
        run("docker", "compose", *files, *up, cwd=PROJECT)
        run("docker", "exec", "prosaasil-nginx-1", "nginx", "-s", "reload")


@contextmanager
def built_by_hand(service: str) -> Iterator[None]:
    """Somebody built an image by hand and runs it."""
    image = f"prosaasil-{service}:by-hand"
    dockerfile = f"FROM prosaasil-{service}:latest\nLABEL built=by-hand\n"
    run("docker", "build", "-q", "-t", image, "-", input=dockerfile)
    try:
        with by_hand(service, image=image):
            yield
    finally:
        run("docker", "image", "rm", image)


FAULTS: dict[str, tuple[str, str, str, Fault]] = {
    # fault: playbook, check id, what it must turn to, how the fault is made
    "a service is stopped": ("verify", "compose.worker.state", "fail", lambda stack: stopped("worker")),
    "a service runs another image": ("verify", "compose.frontend.image", "fail", lambda stack: built_by_hand("frontend")),
    "Flask is dead behind a green health check": (
        "verify",
        "endpoint.api_health",
        "fail",
        lambda stack: by_hand("prosaas-api", environment={"DEMO_FAULT": "dead_flask"}),
    ),
    "the webhook takes forged calls": (
        "verify",
        "webhook.unsigned",
        "fail",
        lambda stack: by_hand("prosaas-calls", environment={"DEMO_FAULT": "webhook_unchecked"}),
    ),
    "redis is stopped": ("verify", "compose.redis.state", "fail", lambda stack: stopped("redis")),
    "a slot leaked": ("verify", "capacity.leaked", "fail", leaked_slot),
    "a deployment has left new calls kept out": ("verify", "capacity.admission", "fail", left_closed),
    "the bucket does not answer": ("preflight", "r2.reachable", "unknown", lambda stack: cloud("r2-down")),
    "the bucket has no lock rule": ("preflight", "r2.versioning", "fail", lambda stack: cloud("r2-no-lock")),
    "a secret is missing": ("preflight", "env.secret_key", "fail", lambda stack: stack.env_line("SECRET_KEY", None)),
    "a placeholder is left": (
        "preflight",
        "env.openai_api_key",
        "fail",
        lambda stack: stack.env_line("OPENAI_API_KEY", "sk-your-openai-api-key"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_stack_is_seen_named_and_gone_again(deployed: Stack, name: str) -> None:
    playbook, check_id, status, fault = FAULTS[name]
    with fault(deployed):
        done = deployed.play(playbook, "-e", "verify_health_deadline=8")
        assert done.code != 0
        found = {check["id"]: check for check in deployed.record()["checks"]}[check_id]
        assert found["status"] == status
        assert found["remedy"], "it says what to do"
        assert check_id in done.output
    after = deployed.play(playbook)
    assert after.code == 0
    assert deployed.statuses()[check_id] == "pass"


def test_redis_away_is_no_zero_calls(deployed: Stack) -> None:
    """Asked on its own, while the services' own check would already have stopped the playbook."""
    with stopped("redis"):
        done = deployed.play("verify", "-e", '{"prosaas_advisory": ["compose.*", "endpoint.*"]}', "-e", "verify_health_deadline=5")
        assert done.code != 0
        assert deployed.statuses()["capacity.redis"] == "fail"
    assert deployed.play("verify").code == 0


def test_a_stopped_edge_is_seen_by_the_webhook_probe(deployed: Stack) -> None:
    with stopped("nginx"):
        done = deployed.play("verify", "-e", '{"prosaas_advisory": ["compose.*", "endpoint.*"]}', "-e", "verify_health_deadline=5")
        assert done.code != 0
        assert deployed.statuses()["webhook.unsigned"] in ("fail", "unknown")
    assert deployed.play("verify").code == 0


def test_missing_env_is_one_sentence(deployed: Stack) -> None:
    path = PROJECT / ".env"
    aside = path.rename(path.with_name(".env.aside"))
    try:
        done = deployed.play("preflight")
        assert done.code != 0
        assert f"{path} does not exist" in done.output
        assert "Traceback" not in done.output
        assert deployed.statuses()["env.file"] == "fail"
    finally:
        aside.rename(path)
    assert deployed.play("preflight").code == 0


def test_verify_leaves_no_trace(deployed: Stack) -> None:
    """The signed probe takes a call slot and gives it back; nothing else is written."""
    def traces() -> tuple[str, ...]:
        counts = "SELECT (SELECT count(*) FROM call_log), (SELECT count(*) FROM leads)"
        rows = run("docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1", "psql", "-At", "-d", "prosaas", "-c", counts)
        return (
            rows,
            deployed.redis("SMEMBERS", "calls:active"),
            deployed.redis("KEYS", "calls:active:*"),
            deployed.redis("LLEN", "rq:queue:high"),
            deployed.redis("LLEN", "rq:queue:default"),
        )

    before = traces()
    assert deployed.play("verify").code == 0
    assert deployed.statuses()["webhook.signed"] == "pass"
    assert traces() == before


def test_no_secret_in_what_is_printed_or_kept(deployed: Stack) -> None:
    lines = (PROJECT / ".env").read_text().splitlines()
    named = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    words = ("SECRET", "TOKEN", "PASSWORD", "API_KEY", "ENCRYPTION_KEY", "DATABASE_URL")
    del named["GCP_SECRETS_DIR"]  # a folder's name
    secrets = {value for name, value in named.items() if any(word in name for word in words) and len(value) >= 16}
    secrets |= {value.split(":")[2].split("@")[0] for value in list(secrets) if value.startswith("postgresql://")}
    assert len(secrets) > 10
    done = subprocess.run(
        [".venv/bin/ansible-playbook", "playbooks/deploy.yml", "-i", "inventories/demo", "-vvv", "--diff"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0
    kept = "".join(
        path.read_text(errors="replace")
        for top in ("records", "state/records", "state/runs")
        for path in (ROOT / ".demo" / top).rglob("*")
        if path.is_file()
    )
    for secret in secrets:
        assert secret not in done.stdout + done.stderr
        assert secret not in kept
