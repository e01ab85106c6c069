# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Letting go of a release takes away the image names that were its own, and no other; on the real engine."""

from __future__ import annotations

import subprocess
import types
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _images, _retention
from ansible_collections.prosaas.ops.plugins.module_utils._release import Release, Store

A, B = "a" * 40, "b" * 40
NAME = "retention-tests-api"


def execute(argv: list[str], **_: t.Any) -> tuple[int, str, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def image(label: str, commit: str) -> str:
    """Make an image and give it the name that a build of the commit gives; return its id."""
    tag = f"{NAME}:{commit[:12]}"
    dockerfile = f"FROM scratch\nLABEL made={label}\n"
    subprocess.run(["docker", "build", "-q", "-t", tag, "-"], input=dockerfile, text=True, check=True, capture_output=True)
    return _images.image_ids(execute, [tag])[tag]


def release(number: int, commit: str, image_id: str) -> Release:
    stamp = f"2026110{number}T000000Z"
    images = {"api": {"name": f"{NAME}:latest", "id": image_id}}
    return Release(f"{stamp}-{commit[:12]}", commit, "a change", stamp, images, switched=stamp, verified=stamp)


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> Iterator[t.Any]:
    yield types.SimpleNamespace(store=Store(tmp_path), execute=execute)
    names = subprocess.run(["docker", "image", "ls", "-q", NAME], capture_output=True, text=True, check=True).stdout.split()
    if names:
        subprocess.run(["docker", "image", "rm", "--force", *set(names)], check=True, capture_output=True)


def test_names_that_a_newer_build_of_the_same_commit_has_taken_stay(app: t.Any) -> None:
    """A commit was built anew on another base: the older release of it must not take the newer one's images away."""
    old, new = (release(n, A, image(f"at-{n}", A)) for n in (1, 2))
    app.store.put(old)
    app.store.put(new)
    _retention.let_go(app, old)
    assert [each.id for each in app.store.all()] == [new.id]
    assert _images.image_ids(execute, [f"{NAME}:{A[:12]}"]) == {f"{NAME}:{A[:12]}": new.images["api"]["id"]}


def test_names_of_its_own_go(app: t.Any) -> None:
    old, new = release(1, A, image("one", A)), release(2, B, image("two", B))
    app.store.put(old)
    app.store.put(new)
    _retention.let_go(app, old)
    assert list(_images.image_ids(execute, [f"{NAME}:{A[:12]}", f"{NAME}:{B[:12]}"])) == [f"{NAME}:{B[:12]}"]
