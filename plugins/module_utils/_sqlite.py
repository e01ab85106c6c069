# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of SQLite databases by SQLite's own means, while they are written to.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from ._errors import OpsError

_BUSY_SECONDS = 30
_BESIDE = ("", "-wal", "-shm", "-journal")
_MAGIC = b"SQLite format 3\x00"


def copy_all(directory: Path, names: Iterable[str], target: Path) -> list[str]:
    """Copy databases under their own names; return all the paths that the copies stand in for.

    Raises:
        OpsError: one is not there, no database, locked for too long, or damaged.
    """
    stands_for = []
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise OpsError(f"The database {name} leads out of its volume.", "Name it relative to the volume.")
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy(directory / name, copy)
        stands_for += [f"{name}{suffix}" for suffix in _BESIDE]
    return stands_for


def problem(path: Path) -> str:
    """Return what is wrong with a database, in SQLite's words; empty when it is whole."""
    try:
        with closing(_opened(path)) as database:
            found = [str(row[0]) for row in database.execute("PRAGMA integrity_check(3)")]
    except sqlite3.Error as error:
        return str(error)
    return "" if found == ["ok"] else "; ".join(found)


def is_database(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise OpsError(f"The database {source.name} is not in the volume.", "Correct databases of that volume.")
    try:
        with closing(_opened(source)) as database, closing(sqlite3.connect(target)) as copy:
            database.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise OpsError(f"SQLite cannot copy {source.name}: {error}.", "Look at the database, or use policy: pause.") from None
    wrong = problem(target)
    if wrong:
        raise OpsError(f"The database {source.name} is damaged: {wrong}.", "Repair it: sqlite3 FILE .recover")
    status = source.stat()
    os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
