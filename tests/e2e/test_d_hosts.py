# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host reached by SSH with sudo, with an engine of its own, in a container: what must not happen to this machine."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from demo_stack import DEMO, PROJECT, ROOT, Stack, run

NAME = "prosaas-demo-host"
CAPABILITIES = [
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("-v", "/sys/fs/cgroup:/sys/fs/cgroup"),
]
LABEL = ["--label", "ops.prosaas.demo=true"]


def inside(*command: str, check: bool = True) -> str:
    return run("docker", "exec", NAME, *command, check=check)


def compose_plugin() -> Path:
    plugins = json.loads(run("docker", "info", "--format", "{{json .ClientInfo.Plugins}}"))
    return Path(next(plugin["Path"] for plugin in plugins if plugin["Name"] == "compose"))


def wait_for(what: str, *command: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if subprocess.run(["docker", "exec", NAME, *command], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.5)
    pytest.fail(f"{what} did not come up: {inside('tail', '/var/log/dockerd.log', check=False)}")


@pytest.fixture(scope="module")
def host(deployed: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield an inventory with the one host; the application's checkout is on it, nothing of it runs."""
    scratch = tmp_path_factory.mktemp("host")
    wheels = scratch / "wheels"
    pip = [ROOT / ".venv/bin/python", "-m", "pip", "download", "-q", "--only-binary=:all:", "--python-version", "3.11"]
    # The last one: redis wants it on the Python of Debian 12 (3.11.2), which is not quite the one that downloads.
    run(*pip, "-d", wheels, "-r", ROOT / "requirements.txt", "async-timeout", seconds=300)
    run("docker", "build", "-q", "-t", "prosaas-demo/host:bookworm", ROOT / "tests/e2e/host", seconds=600)
    run("docker", "rm", "-f", "-v", NAME, check=False)
    mounts = ["-v", f"{compose_plugin()}:/usr/libexec/docker/cli-plugins/docker-compose:ro", "-v", "/var/lib/docker"]
    networks = ["--network", "prosaas-cloud"]
    names = [line.split() for line in run("bash", ROOT / "demo/cloud/names").splitlines()]
    hosts = [part for ip, *aliases in names for alias in aliases for part in ("--add-host", f"{alias}:{ip}")]
    start = ["docker", "run", "-d", "--name", NAME, *LABEL, *CAPABILITIES, *mounts, *networks, *hosts]
    run(*start, "prosaas-demo/host:bookworm")
    try:
        wait_for("its engine", "docker", "info")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", scratch / "key")
        run("docker", "cp", scratch / "key.pub", f"{NAME}:/tmp/key.pub")
        inside("install", "-D", "-o", "deploy", "-g", "deploy", "-m", "600", "/tmp/key.pub", "/home/deploy/.ssh/authorized_keys")
        inside("chown", "deploy:deploy", "/home/deploy/.ssh")
        for source, target in (
            (DEMO / "origin/prosaasil.git", "/srv/prosaasil.git"),
            (DEMO / "ca", "/srv/demo/ca"),
            (DEMO / "secrets", "/srv/demo/secrets"),
            (wheels, "/srv/wheels"),
        ):
            inside("mkdir", "-p", str(Path(target).parent))
            run("docker", "cp", source, f"{NAME}:{target}")
        inside("git", "-c", "safe.directory=*", "clone", "-q", "/srv/prosaasil.git", "/opt/prosaasil")
        # As on a fresh host: the checkout, its .env, its certificate, the one file that is mounted.
        for name in (".env", "docker/nginx/ssl"):
            run("docker", "cp", PROJECT / name, f"{NAME}:/opt/prosaasil/{Path(name).parent}/")
        inside("mkdir", "-p", str(DEMO / "secrets"))
        run("docker", "cp", DEMO / "secrets/gcp-stt-sa.json", f"{NAME}:{DEMO}/secrets/")
        inside("chown", "-R", "root:root", "/opt/prosaasil", str(DEMO))
        address = run("docker", "inspect", "--format", '{{(index .NetworkSettings.Networks "prosaas-cloud").IPAddress}}', NAME)
        yield inventory(scratch, address.strip())
    finally:
        run("docker", "rm", "-f", "-v", NAME, check=False)


def inventory(scratch: Path, address: str, port: int = 22) -> Path:
    """Write an inventory of the one host; what the demo's own inventory says of its cloud holds here, too."""
    variables = {
        **yaml.safe_load((ROOT / "inventories/demo/group_vars/prosaas.yml").read_text(encoding="utf-8")),
        "demo_home": "/srv/demo",
        "ansible_host": address,
        "ansible_port": port,
        "ansible_user": "deploy",
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(scratch / "key"),
        "ansible_ssh_common_args": f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={scratch}/known_hosts",
        "prosaas_project_dir": "/opt/prosaasil",
        "prosaas_state_dir": "/var/lib/prosaas",
        "prosaas_runtime_pip_args": "--no-index --find-links /srv/wheels",
        "prosaas_records_dir": str(scratch / "records"),
        # The zone names the machine that this host is a container of.
        "preflight_dns_addresses": [run("getent", "hosts", "ns.prosaas.test").split(".53")[0] + ".1"],
    }
    path = scratch / f"hosts-{port}.json"
    path.write_text(json.dumps({"prosaas": {"hosts": {"remote": variables}}}))
    return path


def newest_record(host: Path) -> dict[str, object]:
    newest = max((host.parent / "records/remote").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    record: dict[str, object] = json.loads(newest.read_text())
    return record


def test_check_mode_before_the_runtime_exists_is_unknown_and_says_what_to_do(host: Path, stack: Stack) -> None:
    done = stack.play("preflight", "--check", "-v", inventory=host)
    assert done.code == 0
    assert "runtime.host_check" in done.output
    assert "Run the preflight playbook once without --check" in done.output
    assert inside("ls", "-A", "/var/lib/prosaas", check=False) == "", "nothing was made"


def test_preflight_over_ssh_with_sudo_and_without_a_package_index(host: Path, stack: Stack) -> None:
    first = stack.play("preflight", inventory=host)
    assert first.code == 0
    second = stack.play("preflight", inventory=host)
    assert (second.code, second.stats["changed"]) == (0, 0)
    record = newest_record(host)
    assert record["outcome"] == "passed"
    assert record["host"] == inside("hostname").strip()
    assert inside("stat", "-c", "%U %a", "/var/lib/prosaas/records").strip() == "root 700"


@pytest.mark.parametrize("playbook", ["preflight", "deploy", "verify", "backup", "rollback"])
def test_a_stopped_engine_is_one_clear_sentence(host: Path, stack: Stack, playbook: str) -> None:
    inside("pkill", "-x", "dockerd")
    try:
        done = stack.play(playbook, inventory=host)
        assert done.code != 0
        assert "The Docker engine does not answer" in done.output or playbook == "rollback"
        assert "Traceback" not in done.output
        assert inside("ls", "/var/lib/prosaas/lease.json", check=False) == "", "the lease is free"
    finally:
        run("docker", "exec", "-d", NAME, "sh", "-c", "rm -f /var/run/docker.pid; exec dockerd >>/var/log/dockerd.log 2>&1")
        wait_for("its engine", "docker", "info")


def test_an_unreachable_host_is_one_clear_sentence_with_a_record_on_the_controller(host: Path, stack: Stack) -> None:
    done = stack.play("deploy", inventory=inventory(host.parent, "127.0.0.1", port=1))
    assert done.code != 0
    assert "remote cannot be reached, nothing was changed there" in done.output
    assert done.stats["unreachable"] == 1
    record = newest_record(host)
    assert (record["outcome"], record["playbook"]) == ("failed", "deploy")
