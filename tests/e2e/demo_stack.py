# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack of the demo as a user has it: playbooks run by ``ansible-playbook``, containers looked at by ``docker``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / ".demo"
PROJECT = DEMO / "prosaasil"
PLAYBOOK_SECONDS = 600

# Short windows, so that a fault costs seconds; production's own are the roles' defaults.
SHORT: dict[str, t.Any] = {
    **{"verify_health_deadline": 60, "verify_health_window": 4, "verify_endpoints_deadline": 15},
    **{"deploy_start_window": 2, "deploy_prove_deadline": 12, "deploy_watch_window": 5},
}


@dataclass
class Played:
    """What a playbook run printed and counted."""

    code: int
    output: str

    @property
    def stats(self) -> dict[str, int]:
        """The recap of the (one) host."""
        recap = self.output.rpartition("PLAY RECAP")[2]
        return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", recap)}

    @property
    def tasks(self) -> int:
        return self.stats["ok"] + self.stats["failed"] + self.stats["rescued"]


def run(*argv: str | Path, check: bool = True, seconds: float = 120, **options: t.Any) -> str:
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, timeout=seconds, check=False, **options
    )
    if check:
        assert done.returncode == 0, f"{argv}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


class Stack:
    """The demo on this machine."""

    def play(
        self,
        name: str,
        *options: str,
        short: bool = True,
        inventory: str | Path = "inventories/demo",
        callback: str = "default",  # its recap has all counts
    ) -> Played:
        """Run a playbook of the checkout, as the README tells it."""
        argv = [str(ROOT / ".venv/bin/ansible-playbook"), f"playbooks/{name}.yml", "-i", str(inventory)]
        argv += ["-e", json.dumps(SHORT)] if short else []
        shown = {"ANSIBLE_STDOUT_CALLBACK": callback, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "COLUMNS": "1000"}
        done = subprocess.run(
            [*argv, *options],
            cwd=ROOT,
            env={**os.environ, **shown},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=PLAYBOOK_SECONDS,
            check=False,
        )
        print(done.stdout[-6000:])  # pytest shows it when the test fails
        return Played(done.returncode, done.stdout)

    def ids(self) -> dict[str, tuple[str, str, str]]:
        """Service to container id, StartedAt and image id of everything in the project, one-shots included."""
        filters = ["--filter", "label=com.docker.compose.project=prosaasil"]
        ids = run("docker", "ps", "-aq", "--no-trunc", *filters).split()
        found = json.loads(run("docker", "inspect", *ids)) if ids else []
        return {
            c["Config"]["Labels"]["com.docker.compose.service"]: (c["Id"], c["State"]["StartedAt"], c["Image"])
            for c in found
        }

    def images(self) -> set[str]:
        return set(run("docker", "images", "-aq", "--no-trunc").split())

    def served(self) -> str:
        """The version that the public edge serves: every image of the stand-in carries its own."""
        page = run("curl", "-sS", "--max-time", "10", "--cacert", DEMO / "ca/ca.crt", "https://prosaas.test/")
        return re.findall(r"\d+\.\d+\.\d+", page)[0]

    def commit(self, name: str) -> str:
        return run("git", "-C", DEMO / "origin/prosaasil.git", "rev-parse", f"{name}^{{commit}}").strip()

    def record(self) -> dict[str, t.Any]:
        """The newest record on the controller."""
        newest = max((DEMO / "records/demo").glob("2*.json"), key=lambda path: path.stat().st_mtime_ns)
        return t.cast("dict[str, t.Any]", json.loads(newest.read_text()))

    def statuses(self) -> dict[str, str]:
        return {check["id"]: check["status"] for check in self.record()["checks"]}

    def redis(self, *command: str) -> str:
        return run("docker", "exec", "prosaasil-redis-1", "redis-cli", *command).strip()

    def locked(self) -> bool:
        return (DEMO / "state/lease.json").exists()

    @contextmanager
    def env_line(self, name: str, value: str | None) -> Iterator[None]:
        """Edit one variable of the application's ``.env`` as a person would, and put the file back."""
        path = PROJECT / ".env"
        before = path.read_text()
        lines = [line for line in before.splitlines() if not line.startswith(f"{name}=")]
        path.write_text("\n".join([*lines, *([] if value is None else [f"{name}={value}"])]) + "\n")
        try:
            yield
        finally:
            path.write_text(before)
