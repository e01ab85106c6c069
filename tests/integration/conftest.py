# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What integration tests share: the demo's cloud, healthy, and its bad days. tests/run brings the demo up before."""

from __future__ import annotations

import contextlib
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]


class Cloud:
    """The cloud of the demo, by its own scripts."""

    ca = ROOT / ".demo/ca/ca.crt"
    account = "5f1e0a7c9d2b4863a1c0e4d7b6f82913"
    bucket = "prosaas-attachments"
    urls = {"s3": "https://s3.prosaas.test", "r2": f"https://{account}.r2.cloudflarestorage.test"}
    api = "https://api.cloudflare.test/client/v4"

    def run(self, script: str, *arguments: str) -> str:
        command = ["bash", str(ROOT / "demo/cloud" / script), *arguments]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert finished.returncode == 0, f"{' '.join(command)}: {finished.stderr}"
        return finished.stdout

    def secret(self, name: str) -> str:
        return (ROOT / ".demo/secrets" / name).read_text(encoding="ascii").strip()

    @contextlib.contextmanager
    def fault(self, name: str, *seconds: str) -> Iterator[None]:
        self.run("fault", name, "on", *seconds)
        try:
            yield
        finally:
            self.run("fault", name, "off")
            if name.endswith("-down"):
                self.run("up")  # which waits for the answers

    @contextlib.contextmanager
    def flavour(self, name: str) -> Iterator[None]:
        before = self.run("flavour").strip()
        self.run("flavour", name)
        try:
            yield
        finally:
            self.run("flavour", before)


class Groups(LoadScopeScheduling):
    """What one process must run: all files that change the demo's one cloud, and each file of the rest."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "cloud" if uses_cloud(ROOT / file) else file


@functools.cache
def uses_cloud(file: Path) -> bool:
    return bool(re.search(r"[( ]cloud: ", file.read_text(encoding="utf-8")))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    missed = {item.path.name for item in items if "cloud" in item.fixturenames and not uses_cloud(item.path)}
    assert not missed, f"write the type of cloud in {', '.join(missed)}: by that it is known which tests need the cloud"


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    the_cloud = Cloud()
    the_cloud.run("up")
    yield the_cloud
    the_cloud.run("fault", "none")
