# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller in a container, with systemd as its first process and cron, that sees this checkout and this engine.

It has the checkout, its Python and the engine's socket and volumes at the same paths as the machine, so that the playbooks run
against the demo from there. Its crontab, its units and its home are its own.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from demo_stack import ROOT, Played, run
from host_engine import LABEL, _compose_plugin

IMAGE = "prosaas-demo/controller:bookworm"
NAME = "prosaas-demo-controller"
STATE = Path("/root", ".local/state")
HOME = STATE / "prosaas/schedule/demo"
# What systemd needs as the first process of a container.
INIT = [
    *("--cap-add", "SYS_ADMIN", "--cgroupns", "host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup", "-e", "container=docker"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec"),
]


class Controller:
    """The container, and what its schedules did."""

    def inside(self, *command: str, check: bool = True, seconds: float = 120) -> str:
        return run("docker", "exec", NAME, *command, check=check, seconds=seconds)

    def play(self, settings: dict[str, t.Any], *options: str) -> Played:
        """Run the playbook schedule in it, as a person would in a shell."""
        words = [
            "ansible-playbook",
            "playbooks/schedule.yml",
            "-i",
            "inventories/demo",
            "-e",
            json.dumps(settings),
            *options,
        ]
        words[0] = str(ROOT / ".venv/bin/ansible-playbook")
        argv = [
            "docker",
            "exec",
            "-e",
            "ANSIBLE_NOCOLOR=1",
            "-e",
            "ANSIBLE_STDOUT_CALLBACK=default",
            "-e",
            "COLUMNS=1000",
            "-e",
            "LC_ALL=C.UTF-8",
            NAME,
            "bash",
            "-c",
        ]
        done = subprocess.run(
            [*argv, f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(words)}"],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        print(done.stdout[-6000:])
        return Played(done.returncode, done.stdout)

    def status(self, job: str) -> dict[str, t.Any]:
        text = self.inside("cat", f"{HOME}/output/{job}/status.json", check=False)
        return t.cast("dict[str, t.Any]", json.loads(text)) if text else {}

    def wait_for(self, job: str, seconds: float, **wanted: t.Any) -> dict[str, t.Any]:
        """Wait until the newest run of a job is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(job)
            if status and all(status.get(key) == value for key, value in wanted.items()):
                return status
            if time.monotonic() > deadline:
                pytest.fail(f"{job} did not come to {wanted}: {status}\n{self.outputs(job)}")
            time.sleep(0.5)

    def outputs(self, job: str) -> str:
        return self.inside("sh", "-c", f"cat {HOME}/output/{job}/*.log", check=False)[-4000:]

    def run_now(self, job: str) -> subprocess.CompletedProcess[str]:
        argv = [str(ROOT / ".venv/bin/python"), f"{HOME}/run_scheduled.py", f"{HOME}/jobs/{job}.json"]
        return subprocess.run(["docker", "exec", NAME, *argv], capture_output=True, text=True, timeout=120, check=False)

    def entries(self) -> str:
        """Return the names of all that could start something: the crontab, units and timers, without when they do."""
        timers = "systemctl list-units --type=timer --plain --no-legend | cut -d ' ' -f 1"
        look = f"crontab -l 2>/dev/null; ls /etc/systemd/system /var/lib/systemd/timers; {timers}"
        return self.inside("sh", "-c", look)


@contextmanager
def controller(scratch: Path) -> Iterator[Controller]:
    """Start it; whatever happens, nothing of it stays."""
    run("docker", "build", "-q", "-t", IMAGE, ROOT / "tests/e2e/controller_image", seconds=600)
    run("docker", "rm", "-f", "-v", NAME, check=False)
    engine = Path(run("docker", "info", "--format", "{{.DockerRootDir}}").strip())
    mounts = [ROOT, scratch, engine / "volumes", Path("/var/run/docker.sock"), _compose_plugin()]
    mounts += [Path(sys.base_prefix)] if Path(sys.base_prefix) != Path("/usr") else []
    docker = shutil.which("docker")
    assert docker
    shared = [word for path in mounts for word in ("-v", f"{path}:{path}")] + ["-v", f"{docker}:/usr/bin/docker:ro"]
    try:
        # The network of the machine: the names and addresses of the demo are the same, and so are a test's receivers.
        run("docker", "run", "-d", "--name", NAME, "--network", "host", *LABEL, *INIT, *shared, IMAGE)
        one = Controller()
        deadline = time.monotonic() + 60
        while one.inside("systemctl", "is-system-running", check=False).strip() not in ("running", "degraded"):
            if time.monotonic() > deadline:
                pytest.fail("systemd did not come up: " + one.inside("systemctl", "--failed", check=False))
            time.sleep(0.5)
        yield one
    finally:
        run("docker", "rm", "-f", "-v", NAME, check=False)
