# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the checkout on the host, of the forge that it comes from, and of the moment."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from demo_stack import DEMO, PROJECT, run

from . import Fault, both, edited

FORGE = DEMO / "origin/prosaasil.git"
IDENTITY = ["-c", "user.name=somebody", "-c", "user.email=somebody@prosaas.test"]


def git(directory: Path, *arguments: str | Path, **options: str) -> str:
    return run("git", "-C", directory, *IDENTITY, *arguments, **options).strip()


@contextlib.contextmanager
def edited_by_hand() -> Iterator[None]:
    with (
        edited(PROJECT / "docker-compose.yml", lambda text: text + "\n# tried something on the host\n"),
        edited(PROJECT / "docker-compose.prod.yml", lambda text: text + "\nx-tried: ${NOBODY_SETS_THIS}\n"),
        edited(PROJECT / ".gitignore", lambda text: text.replace(".env\n", "").replace("*.env\n", "")),
    ):
        yield


@contextlib.contextmanager
def writable_by_everybody() -> Iterator[None]:
    path = PROJECT / "docker"
    mode = path.stat().st_mode & 0o7777
    path.chmod(mode | 0o002)
    try:
        yield
    finally:
        path.chmod(mode)


@contextlib.contextmanager
def password_in_a_remote() -> Iterator[None]:
    git(PROJECT, "config", "remote.old.url", "https://deploy:secret-of-the-forge@forge.prosaas.test/prosaasil.git")
    try:
        yield
    finally:
        git(PROJECT, "config", "--remove-section", "remote.old")


@contextlib.contextmanager
def env_was_committed() -> Iterator[None]:
    """On a branch that somebody made on the host, and with other values than today's."""
    blob = git(PROJECT, "hash-object", "-w", "--stdin", input="SECRET_KEY=another\n")
    tree = git(PROJECT, "mktree", input=f"100644 blob {blob}\t.env\n")
    git(PROJECT, "update-ref", "refs/heads/backup", git(PROJECT, "commit-tree", "-m", "Back up", tree))
    try:
        yield
    finally:
        git(PROJECT, "update-ref", "-d", "refs/heads/backup")


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    path = DEMO / "state/freeze"
    path.write_text("until: 2099-12-31\nby: dana\nreason: The phone provider has an outage\n", encoding="utf-8")
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def secret_pushed() -> Iterator[None]:
    lines = (PROJECT / ".env").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("R2_SECRET_ACCESS_KEY=")]
    before = git(FORGE, "rev-parse", "main")
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        git(work, "clone", "--quiet", FORGE, ".")
        (work / "notes.txt").write_text(f"To try webhooks: {line}\n", encoding="utf-8")
        git(work, "add", "notes.txt")
        git(work, "commit", "--quiet", "--message", "Note how to try webhooks")
        try:
            git(work, "push", "--quiet", "origin", "main")
            yield
        finally:
            git(FORGE, "update-ref", "refs/heads/main", before)
            git(FORGE, "prune", "--expire=now")


@contextlib.contextmanager
def branch_gone() -> Iterator[None]:
    before = git(FORGE, "rev-parse", "main")
    git(FORGE, "update-ref", "-d", "refs/heads/main")
    try:
        yield
    finally:
        git(FORGE, "update-ref", "refs/heads/main", before)


@contextlib.contextmanager
def aside(path: Path) -> Iterator[None]:
    elsewhere = path.rename(path.with_name(path.name + ".aside"))
    try:
        yield
    finally:
        elsewhere.rename(path)


@contextlib.contextmanager
def shallow() -> Iterator[None]:
    path = PROJECT / ".git/shallow"
    path.write_text(git(PROJECT, "rev-parse", "HEAD") + "\n", encoding="ascii")
    try:
        yield
    finally:
        path.unlink()


def scanner_broken() -> contextlib.AbstractContextManager[None]:
    return edited(DEMO / "state/runtime/bin/kingfisher", lambda _text: "#!/bin/sh\nexit 3\n")


FAULTS: list[Fault] = [
    Fault(
        "somebody edited Compose files and .gitignore on the host",
        edited_by_hand,
        {
            "code.compose.docker-compose": "fail",
            "code.compose.docker-compose.prod": "fail",
            "code.config": "fail",
            "code.tree": "fail",
            "code.ignored": "fail",
        },
    ),
    Fault(
        "everybody can write in the checkout, a remote has a password, .env was committed, and the host is frozen",
        lambda: both(writable_by_everybody, password_in_a_remote, env_was_committed, frozen),
        {"code.mode": "fail", "code.remote": "fail", "code.history": "fail", "code.window": "fail"},
    ),
    Fault(
        "a secret was pushed to the forge",
        secret_pushed,
        {"code.secrets": "fail", "code.secret_scan": "fail", "code.commit": "pass"},
    ),
    Fault("the branch of production is gone at the forge", branch_gone, {"code.commit": "fail"}),
    Fault(
        "the forge is away, the checkout is shallow, .env is gone and the scanner breaks",
        lambda: both(lambda: aside(FORGE), shallow, lambda: aside(PROJECT / ".env"), scanner_broken),
        {
            "code.commit": "unknown",
            "code.history": "unknown",
            "code.secrets": "unknown",
            "code.secret_scan": "unknown",
            "code.config": "fail",
        },
    ),
]
