# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are there whole or not at all.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

from ._errors import OpsError


def private_dir(path: Path) -> Path:
    """Make a directory, and those above it that are missing, so that only its owner can read them; return it."""
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    return path


def write_whole(path: Path, data: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Write a file beside its place, flush it to the disk, and rename it: readers see the old one or the new one.

    ``owner`` is a user and a group by number; without one it belongs to whoever writes it.
    """
    private_dir(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            if owner:
                os.fchown(stream.fileno(), *owner)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_dir(path.parent)


def sync_dir(path: Path) -> None:
    """Flush a directory, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: t.Any) -> None:
    """Write JSON whole, mode 0600, keys in their given order."""
    write_whole(path, as_json(content))


def as_json(content: t.Any) -> bytes:
    """Return JSON as files of ours hold it."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> t.Any:
    """Read JSON; a damaged file is an error that names it, a missing one is ``None``."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OpsError(f"{path} is damaged ({error}).", f"Look at it, then move it away: mv {path} {path}.damaged") from None
