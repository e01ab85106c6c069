# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups that are kept: one directory each, named by the UTC time of its beginning, there whole or not at all.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import _store
from ._archive import PARTIAL
from ._errors import OpsError

MANIFEST = "manifest.json"
VOLUME, FILE = "volume", "file"
_ID_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass
class Part:
    """One archive or file of a backup.

    Attributes:
        kind: ``volume`` or ``file``.
        name: the volume's name in the Compose model, or the file's as it was asked for.
        source: the volume's name on the engine, or the file's path.
        file: where it is, relative to the directory of the backup.
        bytes: its size there.
        sha256: of the file there.
        members: how many members the archive has; the directory itself is one.
        seconds: how long packing and reading back took.
        changed: what changed in the volume while it was read.
        mode: permission bits of the original file, octal.
        owner: its numeric ``user:group``.
    """

    kind: str
    name: str
    source: str
    file: str
    bytes: int
    sha256: str
    members: int = 1
    seconds: float = 0.0
    changed: list[str] = field(default_factory=list)
    mode: str = ""
    owner: str = ""


@dataclass
class Backup:
    """What ``manifest.json`` says about one backup.

    Attributes:
        id: UTC time of its beginning, as in the names of its archives.
        project: the Compose project.
        run: id of the run that made it.
        began: when, ISO 8601; so is ``ended``.
        consistency: how it was taken, ``live`` or ``stopped``.
        downtime: for how many seconds which service was stopped.
        parts: what it holds.
    """

    id: str
    project: str
    run: str = ""
    began: str = ""
    ended: str = ""
    consistency: str = ""
    downtime: dict[str, float] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    schema: int = 1

    def part(self, kind: str, name: str) -> Part | None:
        return next((part for part in self.parts if (part.kind, part.name) == (kind, name)), None)

    def consistent(self) -> bool:
        """Whether no volume changed while it was read."""
        return not any(part.changed for part in self.parts)

    def time(self) -> datetime.datetime:
        return _time(self.id)


class Shelf:
    """The directory that holds the backups of one project."""

    def __init__(self, directory: Path, project: str) -> None:
        self.directory = directory
        self._project = project

    def path(self, backup_id: str) -> Path:
        return self.directory / backup_id

    def backups(self) -> tuple[list[Backup], list[str]]:
        """Return the backups, newest first, and the ids of those whose manifest cannot be read."""
        found, unreadable = [], []
        for path in sorted(self.directory.glob("[0-9]*Z"), reverse=True):
            try:
                backup = _read(path)
            except OpsError:
                unreadable.append(path.name)
                continue
            if backup.project == self._project:
                found.append(backup)
        return found, unreadable

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who writes here, and tell in one sentence when nobody can."""
        try:
            with open(_store.private_dir(self.directory) / ".lock", "a", encoding="ascii") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise OpsError(
                        f"Another backup is being written to {self.directory}.", "Wait for it and run this again."
                    ) from None
                yield
        except OSError as error:
            raise OpsError(
                f"{self.directory} cannot be written to: {error.strerror}.", "Make room there, or choose another one."
            ) from None

    @contextmanager
    def draft(self) -> Iterator[tuple[str, Path]]:
        """Yield a new id and a directory to fill; what is not published goes with the end of it."""
        backup_id = new_id()
        while self.path(backup_id).exists():  # ids are by the second
            time.sleep(0.1)
            backup_id = new_id()
        path = self._hidden(backup_id)
        path.mkdir(mode=0o700)
        try:
            yield backup_id, path
        finally:
            self.discard(path)

    def publish(self, draft: Path, backup: Backup) -> None:
        """Write the manifest and give the backup its name."""
        _store.write_json(draft / MANIFEST, asdict(backup))
        os.replace(draft, self.path(backup.id))
        _store.sync_dir(self.directory)

    def remove(self, backup_id: str) -> None:
        """Take the name away first: what is half removed must not look like a backup."""
        hidden = self._hidden(backup_id)
        os.replace(self.path(backup_id), hidden)
        self.discard(hidden)

    def leftovers(self) -> list[Path]:
        """Return what runs that were killed have left; only for the holder of the lock."""
        return sorted(self.directory.glob(f".*{PARTIAL}"))

    @staticmethod
    def discard(path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)

    def _hidden(self, backup_id: str) -> Path:
        return self.directory / f".{backup_id}{PARTIAL}"


def new_id() -> str:
    return time.strftime(_ID_FORMAT, time.gmtime())


def to_prune(backups: Sequence[Backup], keep: int) -> list[Backup]:
    """Return what goes: all but the newest ``keep``, and never the newest whose volumes did not change while read."""
    consistent = [backup for backup in backups if backup.consistent()]
    return [backup for backup in backups[max(keep, 1) :] if backup not in consistent[:1]]


def _read(path: Path) -> Backup:
    content = _store.read_json(path / MANIFEST)
    try:
        parts = [Part(**part) for part in content["parts"]]
        backup = Backup(**{**content, "parts": parts})
        if backup.id != path.name:
            raise ValueError(f"it is of {backup.id}")
        _time(backup.id)
    except (KeyError, TypeError, ValueError) as error:
        raise OpsError(f"{path / MANIFEST} is no manifest of a backup ({error}).") from None
    return backup


def _time(backup_id: str) -> datetime.datetime:
    return datetime.datetime.strptime(backup_id, _ID_FORMAT).replace(tzinfo=datetime.timezone.utc)
