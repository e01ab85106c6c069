# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real forge and a real checkout of it, for the tests of what looks at code."""

from __future__ import annotations

import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _code_commit
from ansible_collections.prosaas.ops.plugins.module_utils._git import Git


class World:
    """Somebody's clone (``work``), the forge, and the checkout on the host, which begins at the first commit."""

    def __init__(self, directory: Path) -> None:
        self.work, self.forge, self.host = (directory / name for name in ("work", "forge.git", "host"))
        self.commands: list[list[str]] = []
        self.work.mkdir()
        self.git(self.work, "init", "--quiet", "--initial-branch=main")
        self.git(self.work, "remote", "add", "origin", str(self.forge))
        self.first = self.commit({"file": "1\n", ".gitignore": ".env\n"})
        self.git(directory, "clone", "--quiet", "--bare", str(self.work), str(self.forge))
        self.git(directory, "clone", "--quiet", str(self.forge), str(self.host))
        self.checkout = Git(self.host, self.execute)

    def execute(self, argv: list[str], **options: t.Any) -> tuple[int, str, str]:
        """Run a program as AnsibleModule.run_command does."""
        self.commands.append(argv)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.work.parent), **(options.get("environ_update") or {})}
        data = options.get("data")
        done = subprocess.run(
            argv,
            input=None if data is None else data.encode() + b"\n",
            cwd=options.get("cwd"),
            env=environment,
            capture_output=True,
            check=False,
        )
        return done.returncode, *(text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))  # type: ignore[return-value]

    def git(self, directory: Path, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.test"]
        command = ["git", "-C", str(directory), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: dict[str, str], branch: str = "main", message: str = "a change") -> str:
        """Commit files at somebody's, on a branch that begins where that one is."""
        if branch != self.git(self.work, "branch", "--show-current"):
            self.git(self.work, "checkout", "--quiet", "-B", branch)
        for name, content in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        self.git(self.work, "add", "--force", "--", *files)
        self.git(self.work, "commit", "--quiet", "--message", message)
        return self.git(self.work, "rev-parse", "HEAD")

    def push(self, *refs: str) -> None:
        self.git(self.work, "push", "--quiet", "--force", "origin", *(refs or ("main",)))

    def everything(self) -> dict[str, bytes]:
        """Return every file on the host, git's own included."""
        return {str(path): path.read_bytes() for path in sorted(self.host.rglob("*")) if path.is_file()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def repository(world: World) -> Iterator[_code_commit.Beside]:
    with _code_commit.beside(world.checkout) as found:
        yield found
