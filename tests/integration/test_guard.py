# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo keeps its hands off a real application: one sentence, and nothing is touched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "com.docker.compose.project=prosaasil"

FOREIGN = {
    "volume": (["docker", "volume", "create", "prosaasil_n8n_data_of_somebody"], ["docker", "volume", "rm"]),
    "container": (
        # The demo's image gives its label to every container of it: this one says that it is somebody else's.
        [*("docker", "create", "--name", "prosaasil-somebody-1", "--label", PROJECT, "--label", "ops.prosaas.demo=no"),
         *("prosaas-demo/base:bookworm", "true")],
        ["docker", "rm", "-f"],
    ),
}


def docker(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def of_the_demo() -> set[str]:
    """Return the containers of the application and of the cloud; other tests have theirs beside these."""
    listed = docker("docker", "ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}").splitlines()
    return {line for line in listed if line.split()[1].startswith(("prosaasil-", "prosaas-cloud-"))}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("command", [["demo/run"], ["demo/run", "--replace"]])
def test_demo_refuses_beside_a_real_application(kind: str, command: list[str]) -> None:
    make, remove = FOREIGN[kind]
    made = docker(*make)
    before = of_the_demo()
    try:
        done = subprocess.run(["bash", *command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode != 0
        assert "that is not the demo's" in done.stderr and "run the demo on another machine" in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr
        assert of_the_demo() == before
    finally:
        docker(*remove, made)
