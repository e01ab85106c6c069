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
import typing as t
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import _store
from ._archive import PARTIAL
from ._codec import Sums
from ._errors import OpsError
from ._periods import Keep, kept

MANIFEST = "manifest.json"
VOLUME, DATABASE, BUCKET, FILE = "volume", "database", "bucket", "file"
_ID_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass
class Part:
    """One archive, dump, list or file of a backup.

    Attributes:
        kind: ``volume``, ``database``, ``bucket`` or ``file``.
        name: the volume's name in the Compose model, the database's or the bucket's as it is called in the settings, or
            the file's as it was asked for.
        source: the volume's name on the engine, the database's server and name, the bucket's name, or the file's path.
        file: where it is, relative to the directory of the backup.
        bytes: its size there.
        sha256: of the file there.
        codec: how it is compressed, see :mod:`_codec`.
        raw_bytes: size of the stream that it was made of.
        raw_sha256: of that stream; the same wherever it is kept, and however it is compressed there.
        members: how many members the archive has (the directory itself is one), entries the dump, objects the list.
        seconds: how long writing and reading back took.
        policy: how its writers were kept from writing.
        changed: what changed in the volume while it was read.
        out: symbolic links in it that lead out of the volume.
        rows: rows of every table at the moment of the dump.
        about: what else is known of it (versions, extensions).
        mode: permission bits of the original file, octal.
        owner: its numeric ``user:group``.
    """

    kind: str
    name: str
    source: str
    file: str
    bytes: int
    sha256: str
    codec: str = "none"
    raw_bytes: int = 0
    raw_sha256: str = ""
    members: int = 1
    seconds: float = 0.0
    policy: str = ""
    changed: list[str] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    about: dict[str, t.Any] = field(default_factory=dict)
    mode: str = ""
    owner: str = ""

    @property
    def label(self) -> str:
        """What people call it: ``volume n8n_data``."""
        return f"{self.kind} {self.name}"

    def is_made_of(self, sums: Sums) -> bool:
        """Whether its file, and the stream in it where that is known, are as they were."""
        same = (sums.bytes, sums.sha256) == (self.bytes, self.sha256)
        return same and self.raw_sha256 in ("", sums.raw_sha256)


@dataclass
class Backup:
    """What ``manifest.json`` says about one backup.

    Attributes:
        id: UTC time of its beginning, as in the names of its archives.
        project: the Compose project.
        host: name of the host that it was made on.
        run: id of the run that made it.
        began: when, ISO 8601; so is ``ended``.
        release: id, commit and remote repository of the release that ran, as far as they are known.
        downtime: for how many seconds which service was held.
        parts: what it holds.
    """

    id: str
    project: str
    host: str = ""
    run: str = ""
    began: str = ""
    ended: str = ""
    release: dict[str, str] = field(default_factory=dict)
    downtime: dict[str, float] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    schema: int = 2

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
    def draft(self, backup_id: str = "", after: Backup | None = None) -> Iterator[tuple[str, Path]]:
        """Yield an id, a new one without ``backup_id``, and a directory to fill; unless published, it goes at the end."""
        backup_id = backup_id or new_id(after)
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


def new_id(after: Backup | None = None) -> str:
    """Return the id of a backup that begins now; the one of a later second where the newest is not older than that."""
    now = datetime.datetime.now(datetime.timezone.utc)
    if after is not None:
        now = max(now, after.time() + datetime.timedelta(seconds=1))
    return now.strftime(_ID_FORMAT)


def to_prune(backups: Sequence[Backup], keep: Keep) -> list[Backup]:
    """Return what goes, by period; never the newest one whose volumes did not change while they were read."""
    stay = kept((backup.time() for backup in backups), keep)
    consistent = max((backup.id for backup in backups if backup.consistent()), default="")
    return [backup for backup in backups if backup.time() not in stay and backup.id != consistent]


def _read(path: Path) -> Backup:
    content = _store.read_json(path / MANIFEST)
    try:
        parts = [_part(part) for part in content["parts"]]
        known = {name: value for name, value in content.items() if name in Backup.__dataclass_fields__}
        backup = Backup(**{**known, "parts": parts})
        if backup.id != path.name:
            raise ValueError(f"it is of {backup.id}")
        _time(backup.id)
    except (KeyError, TypeError, ValueError) as error:
        raise OpsError(f"{path / MANIFEST} is no manifest of a backup ({error}).") from None
    return backup


def _part(content: t.Mapping[str, t.Any]) -> Part:
    """Read a part; earlier versions of the collection wrote less, and packed with gzip, later ones may write more."""
    known = {name: value for name, value in content.items() if name in Part.__dataclass_fields__}
    return Part(**{"codec": "gzip" if content["file"].endswith(".gz") else "none", **known})


def _time(backup_id: str) -> datetime.datetime:
    return datetime.datetime.strptime(backup_id, _ID_FORMAT).replace(tzinfo=datetime.timezone.utc)
