# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with an engine of their own, reached by SSH with sudo, in containers: for what must not happen to this machine.

``with host("prosaas-demo-x", scratch) as one:`` yields a :class:`Host` whose engine and SSH server answer, and leaves
nothing behind. ``one.ssh()`` are the inventory variables that reach it as the user ``deploy``, who may become root.

A host with a small disk: ``host(..., disk="900m")``. Its engine keeps images, build cache, containers and volumes in a
tmpfs of that size (overlay2 works there), so that a build which needs more fails with "no space left on device" and the
machine does not. ``prosaas-demo/small:bookworm`` (:func:`small_image`: nginx, redis, python3) takes some 240 MB of it,
``prosaas-demo/base:bookworm`` 680 MB. What the engine unpacks for a moment, to load an image, and the rest of the host,
``/opt`` and ``/var/lib/prosaas``, lie outside the limit. A step that fails under the classic builder leaves its container,
and the disk full, until ``docker container prune``; BuildKit, which Compose uses, lets go of it.
"""

from __future__ import annotations

import json
import subprocess
import time
import typing as t
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from demo_stack import ROOT, run

IMAGE = "prosaas-demo/host:bookworm"
SMALL = "prosaas-demo/small:bookworm"
LABEL = ["--label", "ops.prosaas.demo=true"]
CAPABILITIES = [
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("-v", "/sys/fs/cgroup:/sys/fs/cgroup"),
]
WHEELS = "/srv/wheels"
_START = "rm -f /var/run/docker.pid; DOCKER_TMPDIR=/var/tmp/docker exec dockerd >>/var/log/dockerd.log 2>&1"


class Host:
    """One container that is a host; ``scratch`` has what the tests need to reach it."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.name, self.scratch = name, scratch

    def inside(self, *command: str, check: bool = True, seconds: float = 120) -> str:
        """Run a program on the host as root; return what it printed."""
        return run("docker", "exec", self.name, *command, check=check, seconds=seconds)

    def wait_for(self, what: str, *command: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            asked = subprocess.run(["docker", "exec", self.name, *command], capture_output=True, check=False)
            if asked.returncode == 0:
                return
            time.sleep(0.5)
        log = self.inside("tail", "/var/log/dockerd.log", check=False)
        pytest.fail(f"{what} of {self.name} did not come up: {log}")

    def copy(self, source: Path, target: str) -> None:
        """Copy a file or a directory to the host; what is above it is made."""
        self.inside("mkdir", "-p", str(Path(target).parent))
        run("docker", "cp", source, f"{self.name}:{target}")

    def load(self, archive: Path) -> None:
        """Put the images of an archive (``docker save``) into the host's engine."""
        with archive.open("rb") as stream:
            argv = ["docker", "exec", "-i", self.name, "docker", "load", "--quiet"]
            subprocess.run(argv, stdin=stream, check=True, capture_output=True, timeout=300)

    def stop_engine(self) -> None:
        self.inside("pkill", "-x", "dockerd")

    def start_engine(self) -> None:
        run("docker", "exec", "-d", self.name, "sh", "-c", _START)
        self.wait_for("the engine", "docker", "info")

    def address(self) -> str:
        networks = json.loads(run("docker", "inspect", self.name))[0]["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    def ssh(self) -> dict[str, t.Any]:
        """Return the inventory variables that reach it, and use the packages that it was given."""
        return {
            "ansible_host": self.address(),
            "ansible_user": "deploy",
            "ansible_become": True,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.scratch / "key"),
            "ansible_ssh_common_args": (
                f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={self.scratch}/known_hosts"
            ),
            "prosaas_runtime_pip_args": f"--no-index --find-links {WHEELS}",
        }

    def containers(self) -> dict[str, tuple[str, str]]:
        """Return id and StartedAt of every container on it, by name."""
        ids = self.inside("docker", "ps", "-aq").split()
        found = json.loads(self.inside("docker", "inspect", *ids)) if ids else []
        return {one["Name"].lstrip("/"): (one["Id"], one["State"]["StartedAt"]) for one in found}


@contextmanager
def host(name: str, scratch: Path, networks: Sequence[str] = (), disk: str = "") -> Iterator[Host]:
    """Start a host; whatever happens, nothing of it stays.

    Args:
        scratch: for key and packages; several hosts may share one.
        networks: more arguments of ``docker run`` (``--network``, ``--add-host``).
        disk: size of the disk of its engine, as ``900m``; empty for a volume without a limit.
    """
    run("docker", "build", "-q", "-t", IMAGE, ROOT / "tests/e2e/host", seconds=600)
    run("docker", "rm", "-f", "-v", name, check=False)
    storage = ["--tmpfs", f"/var/lib/docker:size={disk}"] if disk else ["-v", "/var/lib/docker"]
    plugin = ["-v", f"{_compose_plugin()}:/usr/libexec/docker/cli-plugins/docker-compose:ro"]
    start = ["docker", "run", "-d", "--name", name, "--hostname", name, *LABEL, *CAPABILITIES, *storage, *plugin, *networks]
    try:
        run(*start, IMAGE)
        one = Host(name, scratch)
        _let_in(one)
        one.copy(_wheels(scratch), WHEELS)
        one.wait_for("the engine", "docker", "info")
        yield one
    finally:
        run("docker", "rm", "-f", "-v", name, check=False)


def _compose_plugin() -> Path:
    plugins = json.loads(run("docker", "info", "--format", "{{json .ClientInfo.Plugins}}"))
    return Path(next(plugin["Path"] for plugin in plugins if plugin["Name"] == "compose"))


def _let_in(one: Host) -> None:
    key = one.scratch / "key"
    if not key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    one.copy(key.with_suffix(".pub"), "/tmp/key.pub")
    keys = "/home/deploy/.ssh/authorized_keys"
    one.inside("install", "-D", "-o", "deploy", "-g", "deploy", "-m", "600", "/tmp/key.pub", keys)
    one.inside("chown", "deploy:deploy", "/home/deploy/.ssh")


def _wheels(scratch: Path) -> Path:
    """Return a directory with the packages of the runtime for the hosts, which have no package index."""
    wheels = scratch / "wheels"
    if not wheels.exists():
        pip = [ROOT / ".venv/bin/python", "-m", "pip", "download", "-q", "--only-binary=:all:", "--python-version", "3.11"]
        # The last one: redis wants it on the Python of Debian 12 (3.11.2), which is not quite the one that downloads.
        run(*pip, "-d", wheels, "-r", ROOT / "requirements.txt", "async-timeout", seconds=300)
    return wheels


def small_image(scratch: Path) -> Path:
    """Build an image with what a tiny application needs; return an archive of it, to be loaded by hosts."""
    archive = scratch / "small.tar"
    if not archive.exists():
        run("docker", "build", "-q", "-t", SMALL, "-f", ROOT / "tests/e2e/host/small.Dockerfile", ROOT / "tests/e2e/host")
        run("docker", "save", "-o", archive, SMALL)
    return archive
