# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host reached by SSH with sudo, with an engine of its own, in a container: what must not happen to this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from demo_stack import DEMO, PROJECT, ROOT, Stack, run
from host_engine import Host
from host_engine import host as engine_host

NAME = "prosaas-demo-host"


@pytest.fixture(scope="module")
def machine(deployed: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host in the demo's cloud; the application's checkout is on it, nothing of it runs."""
    names = [line.split() for line in run("bash", ROOT / "demo/cloud/names").splitlines()]
    hosts = [part for ip, *aliases in names for alias in aliases for part in ("--add-host", f"{alias}:{ip}")]
    with engine_host(NAME, tmp_path_factory.mktemp("host"), ["--network", "prosaas-cloud", *hosts]) as one:
        for source, target in (
            (DEMO / "origin/prosaasil.git", "/srv/prosaasil.git"),
            (DEMO / "ca", "/srv/demo/ca"),
            (DEMO / "secrets", "/srv/demo/secrets"),
        ):
            one.copy(source, target)
        one.inside("git", "-c", "safe.directory=*", "clone", "-q", "/srv/prosaasil.git", "/opt/prosaasil")
        # As on a fresh host: the checkout, its .env, its certificate, the one file that is mounted.
        for name in (".env", "docker/nginx/ssl"):
            run("docker", "cp", PROJECT / name, f"{NAME}:/opt/prosaasil/{Path(name).parent}/")
        one.copy(DEMO / "secrets/gcp-stt-sa.json", f"{DEMO}/secrets/gcp-stt-sa.json")
        one.inside("chown", "-R", "root:root", "/opt/prosaasil", str(DEMO))
        yield one


@pytest.fixture(scope="module")
def host(machine: Host) -> Path:
    """An inventory with the one host."""
    return inventory(machine)


def inventory(machine: Host, **other: object) -> Path:
    """Write an inventory of the one host; what the demo's own inventory says of its cloud holds here, too."""
    variables = {
        **yaml.safe_load((ROOT / "inventories/demo/group_vars/prosaas.yml").read_text(encoding="utf-8")),
        **machine.ssh(),
        "demo_home": "/srv/demo",
        "prosaas_project_dir": "/opt/prosaasil",
        "prosaas_state_dir": "/var/lib/prosaas",
        "prosaas_records_dir": str(machine.scratch / "records"),
        # The zone names the machine that this host is a container of.
        "preflight_dns_addresses": [run("getent", "hosts", "ns.prosaas.test").split(".53")[0] + ".1"],
        **other,
    }
    path = machine.scratch / f"hosts-{len(other)}.json"
    path.write_text(json.dumps({"prosaas": {"hosts": {"remote": variables}}}))
    return path


def newest_record(host: Path) -> dict[str, object]:
    newest = max((host.parent / "records/remote").glob("2*.json"), key=lambda path: path.stat().st_mtime_ns)
    record: dict[str, object] = json.loads(newest.read_text())
    return record


def test_check_mode_before_the_runtime_exists_is_unknown_and_says_what_to_do(
    host: Path, machine: Host, stack: Stack
) -> None:
    done = stack.play("preflight", "--check", "-v", inventory=host)
    assert done.code == 0
    assert "runtime.host_check" in done.output
    assert "Run the preflight playbook once without --check" in done.output
    assert machine.inside("ls", "-A", "/var/lib/prosaas", check=False) == "", "nothing was made"


def test_preflight_over_ssh_with_sudo_and_without_a_package_index(host: Path, machine: Host, stack: Stack) -> None:
    first = stack.play("preflight", inventory=host)
    assert first.code == 0
    second = stack.play("preflight", inventory=host)
    assert (second.code, second.stats["changed"]) == (0, 0)
    record = newest_record(host)
    assert record["outcome"] == "passed"
    assert record["host"] == machine.inside("hostname").strip()
    assert machine.inside("stat", "-c", "%U %a", "/var/lib/prosaas/records").strip() == "root 700"


@pytest.mark.parametrize(
    "playbook", ["deploy", *(pytest.param(name, marks=pytest.mark.soak) for name in ("preflight", "verify", "backup", "rollback"))]
)
def test_a_stopped_engine_is_one_clear_sentence(host: Path, machine: Host, stack: Stack, playbook: str) -> None:
    machine.stop_engine()
    try:
        done = stack.play(playbook, inventory=host)
        assert done.code != 0
        assert "The Docker engine does not answer" in done.output or playbook == "rollback"
        assert "Traceback" not in done.output
        assert machine.inside("ls", "/var/lib/prosaas/lease.json", check=False) == "", "the lease is free"
    finally:
        machine.start_engine()


def test_an_unreachable_host_is_one_clear_sentence_with_a_record_on_the_controller(
    host: Path, machine: Host, stack: Stack
) -> None:
    done = stack.play("deploy", inventory=inventory(machine, ansible_host="127.0.0.1", ansible_port=1))
    assert done.code != 0
    assert "remote cannot be reached, nothing was changed there" in done.output
    assert done.stats["unreachable"] == 1
    record = newest_record(host)
    assert (record["outcome"], record["playbook"]) == ("failed", "deploy")
