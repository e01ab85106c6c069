# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images a changed file reaches: as Docker reads a Dockerfile and a .dockerignore."""

from __future__ import annotations

import typing as t
from types import MappingProxyType

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _build_inputs

DOCKERFILE = """
FROM base AS made
COPY tools/ /tools/
FROM base
COPY --from=made /tools/out /out
COPY --chown=1:1 server/ \\
     asgi.py /app/
copy ["with space.txt", "/app/"]
ADD https://example.test/x.tar /x
COPY VERSION FAUL[T] ./
"""
FILES = {
    "app/Dockerfile": DOCKERFILE,
    "app/.dockerignore": "# a comment\n*.md\n**/tests\n!server/tests/keep.py\nserver/*.tmp\n",
}


def reached(*names: str, files: t.Mapping[str, str] = MappingProxyType(FILES), **build: str) -> list[str]:
    return _build_inputs.changed({"context": "/srv/x/app", **build}, "/srv/x", names, lambda path: files.get(path, ""))


@pytest.mark.parametrize(
    "name",
    ["server/a.py", "server/deep/b.py", "asgi.py", "with space.txt", "VERSION", "FAULT", "tools/t", "Dockerfile", "server/tests/keep.py"],
)
def test_a_file_that_is_copied_counts(name: str) -> None:
    assert reached(f"app/{name}") == [f"app/{name}"]


@pytest.mark.parametrize(
    "name",
    [
        *("app/frontend/x.js", "app/server.py", "app/server/tests/test_a.py", "app/server/x.tmp", "app/FAULTS"),
        *("other/server/a.py", "asgi.py", "app/README.md"),
    ],
)
def test_a_file_that_is_not_copied_does_not(name: str) -> None:
    assert reached(name) == []


def test_what_may_take_anything_takes_everything_that_is_not_ignored() -> None:
    for dockerfile in ("FROM base\nARG WHAT\nCOPY $WHAT /x\n", "FROM base\nRUN --mount=type=bind,target=/src make\n", ""):
        files = {**FILES, "app/Dockerfile": dockerfile}
        assert reached("app/any", "app/note.md", "elsewhere", files=files) == ["app/any"]
    assert reached("app/any", files={**FILES, "app/Dockerfile": "FROM base\nCOPY . .\n"}) == ["app/any"]


def test_a_dockerignore_of_the_dockerfile_stands_before_the_general_one() -> None:
    files = {**FILES, "app/docker/api": DOCKERFILE, "app/docker/api.dockerignore": "asgi.py\n"}
    assert reached("app/asgi.py", "app/server/x.tmp", files=files, dockerfile="docker/api") == ["app/server/x.tmp"]


def test_a_context_elsewhere_is_not_ours_and_a_remote_one_counts() -> None:
    assert reached("app/asgi.py", context="/srv/other") == []
    assert reached("app/asgi.py", context="https://forge.test/x.git") == ["app/asgi.py"]
