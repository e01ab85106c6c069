# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing back the configuration that a release ran with: its ``.env`` and the files that are mounted into services.

Compose files are not among them: they come with the commit.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import _journal, _store
from ._deploy import Application
from ._errors import OpsError
from ._release import Release

# The replaced environment file, which has secrets, is no stray file of the checkout.
_IGNORED = "/{name}.[0-9]*"


def kept(app: Application, release: Release) -> dict[Path, bytes]:
    """Return the files that a release ran with, by their place in the project directory."""
    directory = app.store.path(release.id)
    env = directory / "env"
    if not env.is_file():
        raise OpsError(
            f"The configuration of release {release.id} was not kept.",
            "Go back with today's: leave out config=release.",
        )
    found = {app.env_path(): env.read_bytes()}
    below = directory / "files"
    for path in sorted(below.rglob("*")):
        if path.is_file():
            found[app.project.directory / path.relative_to(below)] = path.read_bytes()
    return found


def restore(app: Application, release: Release, dry: bool) -> list[str]:
    """Bring the files back that differ; return their names, relative to the project directory.

    A replaced environment file stays beside the new one as ``NAME.TIME``, any other below ``replaced/TIME`` in the state
    directory, all with mode 0600. Owner and mode of a file that is there stay as they are.
    """
    stamp = _journal.stamp()
    differing = {path: content for path, content in kept(app, release).items() if _content(path) != content}
    if not dry:
        for path, content in differing.items():
            _keep_aside(app, path, stamp)
            _put(path, content)
    return [str(path.relative_to(app.project.directory)) for path in differing]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _keep_aside(app: Application, path: Path, stamp: str) -> None:
    content = _content(path)
    if content is None:
        return
    if path == app.env_path():
        _ignore(app, path.name)
        aside = path.with_name(f"{path.name}.{stamp}")
    else:
        aside = app.state_dir / "replaced" / stamp / path.relative_to(app.project.directory)
    _store.write_whole(aside, content)


def _put(path: Path, content: bytes) -> None:
    if path.is_file():
        found = path.stat()
        _store.write_whole(path, content, found.st_mode & 0o777, (found.st_uid, found.st_gid))
    else:
        _store.write_whole(path, content)


def _ignore(app: Application, name: str) -> None:
    """Tell git of this checkout alone that the replaced file is meant to be there."""
    exclude = app.project.directory / app.git.run("rev-parse", "--git-path", "info/exclude")
    line = _IGNORED.format(name=name)
    text = exclude.read_text(encoding="utf-8") if exclude.is_file() else ""
    if line not in text.splitlines():
        os.makedirs(exclude.parent, exist_ok=True)
        with open(exclude, "a", encoding="utf-8") as stream:
            stream.write(("" if not text or text.endswith("\n") else "\n") + line + "\n")
