# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building and migrating a release of a few lines with the real engine: what is said, what fails how, what is left."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _lease
from tiny import IMAGE, LABELS, module

RUN = "20261122T200000Z-deploy-0002"
SECRET = "correct-horse-battery"
DOCKERFILE = f"""\
FROM {IMAGE}
LABEL ops.prosaas.demo=true
COPY kind /kind
RUN echo "compiling $(cat /kind)"; test "$(cat /kind)" != broken || {{ echo "token {SECRET}"; exit 3; }}
"""


class Checkout:
    """A git checkout with a Compose project of three services, each built from a directory of its own."""

    services = ("api", "worker", "migrate")

    def __init__(self, directory: Path) -> None:
        self.directory, self.state = directory / "app", directory / "state"
        self.project = f"opstest-build-{os.getpid()}"
        self.stamp = secrets.token_hex(4)  # the engine keeps what was built from the same content
        self.directory.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.write(".gitignore", ".env\n")
        self.write(".env", f"TOKEN={SECRET}\n")
        _lease.take(self.state, _lease.Holder(RUN, "dana", "laptop", "boot", 1, 1, "deploy", "2026-11-22T20:00:00Z"))

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Dana", "-c", "user.email=dana@example.test"]
        argv = ["git", *identity, "-C", str(self.directory), *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self, migrate: str = "echo migrated", **kinds: str) -> str:
        """Commit the project; a service that is named is built from another content."""
        model = {}
        for service in self.services:
            self.write(f"{service}/kind", kinds.get(service, f"{service} {self.stamp}"))
            self.write(f"{service}/Dockerfile", DOCKERFILE)
            model[service] = {"build": f"./{service}", "env_file": [".env"], "labels": LABELS, "init": True}
        model["migrate"]["command"] = ["sh", "-c", migrate]
        networks = {"default": {"labels": LABELS}}
        self.write("docker-compose.yml", json.dumps({"services": model, "networks": networks}))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a commit")
        return self.git("rev-parse", "HEAD")

    def run(self, name: str, **options: t.Any) -> dict[str, t.Any]:
        shared = {"project": self.project, "project_dir": str(self.directory), "compose_files": ["docker-compose.yml"]}
        return module(name, **shared, state_dir=str(self.state), run=RUN, **options)

    def said(self) -> list[str]:
        lines = (self.state / "runs" / RUN / "progress.jsonl").read_text(encoding="ascii").splitlines()
        return [json.loads(line)["text"] for line in lines]

    def containers(self) -> str:
        argv = ["docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path)
    try:
        yield made
    finally:
        for listing, removal in (
            (["ps", "-aq", "--filter", f"label=com.docker.compose.project={made.project}"], ["rm", "-f", "-v"]),
            (
                ["network", "ls", "-q", "--filter", f"label=com.docker.compose.project={made.project}"],
                ["network", "rm"],
            ),
            (["images", "-q", "--filter", f"reference={made.project}-*"], ["rmi", "-f"]),
        ):
            found = subprocess.run(["docker", *listing], capture_output=True, text=True, check=True).stdout.split()
            if found:
                subprocess.run(["docker", *removal, *sorted(set(found))], capture_output=True, check=False)


def test_a_build_is_told_service_by_service_and_a_second_one_from_the_cache(checkout: Checkout) -> None:
    first = checkout.run("release_build", commit=checkout.commit())
    assert (first.get("failed", False), first["built"]) == (False, ["api", "migrate", "worker"])
    said = checkout.said()
    assert {text.split(": ")[1] for text in said if text.startswith("building ")} == set(checkout.services)
    assert {text.split(" of 3")[0] for text in said if text.startswith("building ")} == {
        f"building {number}" for number in (1, 2, 3)
    }
    assert {text.split()[1] for text in said if text.startswith("built ")} == set(checkout.services)
    checkout.run("release_build", commit=checkout.commit(worker=f"another {checkout.stamp}"))
    later = checkout.said()[len(said) :]
    assert {"cached api", "cached migrate"} <= set(later)
    assert any(text.startswith("built worker in ") for text in later)


def test_a_failed_build_names_the_service_and_shows_its_own_last_lines(checkout: Checkout) -> None:
    failed = checkout.run("release_build", commit=checkout.commit(worker="broken"))
    assert failed["failed"] is True
    assert failed["msg"].startswith("docker compose build failed at worker, step 3/3 (RUN echo ")
    assert "exit code: 3. The whole log: " in failed["msg"]
    assert [line.partition(" ")[2] for line in failed["log"]] == ["compiling broken", "token ********"]
    log = checkout.state / "runs" / RUN / "build.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert SECRET not in log.read_text(encoding="utf-8")


def test_a_file_that_is_forgotten_is_named(checkout: Checkout) -> None:
    checkout.commit()
    checkout.write("api/Dockerfile", f"FROM {IMAGE}\nCOPY forgotten.txt /\n")
    checkout.git("commit", "--quiet", "-am", "forget")
    failed = checkout.run("release_build", commit=checkout.git("rev-parse", "HEAD"))
    assert failed["msg"].startswith("docker compose build failed at api, step 2/2 (COPY forgotten.txt /): ")
    assert '"/forgotten.txt"' in failed["msg"].partition("): ")[2]


def test_a_build_that_never_reaches_a_step_says_what_compose_said(checkout: Checkout) -> None:
    checkout.commit()
    checkout.git("rm", "--quiet", "api/Dockerfile")
    checkout.git("commit", "--quiet", "-m", "no recipe")
    failed = checkout.run("release_build", commit=checkout.git("rev-parse", "HEAD"))
    assert failed["failed"] is True
    assert "docker compose build failed" in failed["msg"]
    assert "Dockerfile" in failed["msg"]


def test_a_migration_uses_the_worktree_of_the_build_unless_somebody_changed_it(checkout: Checkout) -> None:
    commit = checkout.commit()
    checkout.run("release_build", commit=commit)
    tree = checkout.state / "worktrees" / commit[:12]
    before = (tree / ".git").stat().st_ctime_ns
    options = {"commit": commit, "success": ["migrated"]}
    done = checkout.run("release_migrate", **options)
    assert (done["migrated"], done["log"][-1]) == (True, "migrated")
    assert (tree / ".git").stat().st_ctime_ns == before, "it was not checked out again"
    assert checkout.said()[-1] == "migrating the database with the new image"
    for name, text in (("api/kind", "tampered"), ("api/more", "not of the commit")):
        (tree / name).write_text(text, encoding="utf-8")
        assert checkout.run("release_migrate", **options)["migrated"] is True
        assert subprocess.run(["git", "-C", tree, "status", "-s"], capture_output=True, check=True).stdout == b""
    assert checkout.containers() == ""


def test_a_migration_that_hangs_is_stopped_and_nothing_of_it_stays(checkout: Checkout) -> None:
    commit = checkout.commit(migrate=f"echo waiting for {SECRET}; exec sleep 600")
    checkout.run("release_build", commit=commit)
    failed = checkout.run("release_migrate", commit=commit, success=["migrated"], timeout=5)
    assert "did not end within 5 s and was stopped; the old release still serves." in failed["msg"]
    assert failed["log"][-1] == "waiting for ********"
    assert checkout.containers() == ""
