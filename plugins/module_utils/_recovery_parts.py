# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing back each kind of part, and keeping what was there until somebody says that the new is good.

Every kind answers the same four questions: what is there now (``there``), bring back (``put``), take that back
(``undo``), let go of what was there (``settle``). Each may be asked again after a crash.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import _archive, _codec, _dotenv, _pg_counts, _pg_restore, _store, _volumes
from ._backup_parts import Database
from ._compose import Execute, Project
from ._errors import OpsError
from ._pg_counts import Counts
from ._pg_tools import Tools
from ._postgres import Target
from ._postgres_connect import Manner
from ._postgres_refusal import Refused
from ._shelf import BUCKET, DATABASE, FILE, VOLUME, Part

REFUSE, KEEP = "refuse", "keep"


class Piece(t.Protocol):
    """One part of a backup and its place on this host."""

    part: Part

    def there(self) -> str:
        """Say what would be replaced; empty when nothing is there, or the same."""

    def put(self) -> str:
        """Bring the part back and say what was done; what was there is kept."""

    def undo(self) -> None:
        """Put back what was there."""

    def settle(self) -> None:
        """Let go of what was there."""


@dataclass(frozen=True)
class Place:
    """Where parts come from and go to.

    Attributes:
        stored: directory of the backup.
        kept: directory for what was there before, of files.
        id: of this restore.
        env_file: that says where the databases are: the restored one, where it is among what comes back.
        links_out: whether links that lead out of a volume are taken: ``refuse`` or ``keep``.
        owners: as in :func:`_pg_restore.restore`.
        model: returns the Compose model; asked when the files are back.
    """

    stored: Path
    kept: Path
    id: str
    project: Project
    execute: Execute
    env_file: Path
    databases: Mapping[str, Database]
    tools: Tools
    manner: Manner
    links_out: str
    owners: str
    model: Callable[[], Mapping[str, t.Any]]


class VolumePiece:
    """A volume: the new content is unpacked beside the old and then takes its name."""

    def __init__(self, part: Part, place: Place) -> None:
        self.part, self.place = part, place

    def there(self) -> str:
        directory = self._directory(make=False)
        if directory is None or self._beside(directory).exists():  # a killed restore has moved it aside
            return ""
        entries = len(os.listdir(directory))
        return f"the volume {self.name()} with {entries} entries at its top" if entries else ""

    def put(self) -> str:
        if self.part.out and self.place.links_out != KEEP:
            raise OpsError(
                f"Links of {self.part.name} lead out of it: {', '.join(self.part.out[:3])}.",
                "Look at them, then restore with links_out: keep.",
            )
        directory = t.cast("Path", self._directory(make=True))
        new, before = self._beside(directory, "new"), self._beside(directory, "before")
        if before.exists() and directory.exists():
            return "is back already"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        try:
            codec = _codec.CODECS[self.part.codec]
            sums = _archive.extract(self.place.stored / self.part.file, codec, new)
            if not self.part.is_made_of(sums):
                raise OpsError(f"{self.part.file} is not what its manifest says.", "Take another backup.")
            _store.sync_dir(new)
            os.sync()  # all that was unpacked
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        if not before.exists():  # else killed between the two
            os.rename(directory, before)
        os.rename(new, directory)
        _store.sync_dir(directory.parent)
        return f"{self.part.members} members in the volume {self.name()}"

    def undo(self) -> None:
        directory = self._directory(make=False)
        if directory is None:
            return
        new, before = self._beside(directory, "new"), self._beside(directory, "before")
        if before.exists():
            if directory.exists():
                os.rename(directory, new)
            os.rename(before, directory)
            _store.sync_dir(directory.parent)
        shutil.rmtree(new, ignore_errors=True)

    def settle(self) -> None:
        directory = self._directory(make=False)
        if directory is not None:
            shutil.rmtree(self._beside(directory, "before"), ignore_errors=True)

    def _declared(self) -> Mapping[str, t.Any]:
        return (self.place.model().get("volumes") or {}).get(self.part.name) or {}

    def name(self) -> str:
        """Return the volume's name on the engine: the model's, or the one that it had."""
        return str(self._declared().get("name") or self.part.source)

    def _directory(self, make: bool) -> Path | None:
        """Return the directory of the volume; one that is not there is made as Compose would make it, or is ``None``."""
        name = self.name()
        model = {"volumes": {self.part.name: {"name": name}}}
        try:
            directory = _volumes.locate(self.part.name, model, self.place.execute, half=self._beside)[1]
        except _volumes.Absent:
            if not make:
                return None
            _volumes.make_as_compose(name, self.part.name, self.place.project.name, self._declared(), self.place.execute)
            directory = _volumes.locate(self.part.name, model, self.place.execute)[1]
        if os.path.ismount(directory):
            raise OpsError(
                f"The volume {name} is a mount of its own, whose content cannot be kept aside.",
                f"Unpack {self.part.file} by hand (see the README of the role backup).",
            )
        return directory

    def _beside(self, directory: Path, what: str = "before") -> Path:
        return directory.with_name(f"{directory.name}.{what}-{self.place.id}")


class DatabasePiece:
    """A database: its schemas are renamed and made anew, in one transaction."""

    def __init__(self, part: Part, place: Place) -> None:
        self.part, self.place = part, place

    def there(self) -> str:
        try:
            target = self._target()
            found = _pg_restore.counts(target, self.place.manner, self.part.about["schemas"])
        except Refused as refused:
            if refused.kind == "database":
                return ""
            raise
        rows = sum(found.rows.values())
        return f"the database {target.database} with {len(found.rows)} tables and {rows} rows" if found.rows else ""

    def put(self) -> str:
        place, facts, target = self.place, self.part.about, self._target()
        made = _pg_restore.ensure(target, place.manner, facts)
        if place.id in _pg_restore.unsettled(target, place.manner):
            return "is back already"
        codec = _codec.CODECS[self.part.codec]
        with _codec.reading(place.stored / self.part.file, codec) as stream:
            source = t.cast("t.BinaryIO", stream)
            done = _pg_restore.restore(target, place.tools, place.manner, source, facts, place.id, owners=place.owners)
            stream.sums()
        said = f"{len(self.part.rows)} tables"
        if facts.get("counts"):
            found = _pg_restore.counts(target, place.manner, facts["schemas"])
            said = _pg_counts.equal(Counts.of(facts["counts"]), found, "It is kept aside: undo this restore.")
        return "; ".join([said, *(["the database was made"] if made else []), *done.notes])

    def undo(self) -> None:
        _pg_restore.undo(self._target(), self.place.manner, self.place.id)

    def settle(self) -> None:
        _pg_restore.settle(self._target(), self.place.manner, self.place.id)

    def _target(self) -> Target:
        wanted = self.place.databases.get(self.part.name)
        if wanted is None:
            raise OpsError(f"No database {self.part.name} is among the settings.", "Name it in databases.")
        return wanted.source.target(_dotenv.values(self.place.env_file))


class FilePiece:
    """A file: the old one is kept in the restore's own directory."""

    def __init__(self, part: Part, place: Place) -> None:
        self.part, self.place = part, place
        self.path = place.project.directory / part.name
        self.old = place.kept / "files" / part.name.lstrip("/")
        self.none = self.old.with_name(f"{self.old.name}.none")

    def there(self) -> str:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ""
        except IsADirectoryError:  # the engine makes one where a file that is mounted is missing
            return "" if not os.listdir(self.path) else f"a directory at {self.path}"
        return "" if hashlib.sha256(content).hexdigest() == self.part.sha256 else str(self.path)

    def put(self) -> str:
        content = (self.place.stored / self.part.file).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.part.sha256:
            raise OpsError(f"{self.part.file} is not what its manifest says.", "Take another backup.")
        if not self.old.exists() and not self.none.exists():
            if self.path.is_dir():
                os.rmdir(self.path)
            if self.path.exists():
                status = self.path.stat()
                _store.write_whole(
                    self.old, self.path.read_bytes(), status.st_mode & 0o7777, (status.st_uid, status.st_gid)
                )
            else:
                _store.write_whole(self.none, b"")
        user, _colon, group = self.part.owner.partition(":")
        _store.write_whole(self.path, content, int(self.part.mode or "0600", 8), (int(user or 0), int(group or 0)))
        return str(self.path)

    def undo(self) -> None:
        if self.old.exists():
            status = self.old.stat()
            _store.write_whole(
                self.path, self.old.read_bytes(), status.st_mode & 0o7777, (status.st_uid, status.st_gid)
            )
        elif self.none.exists():
            self.path.unlink(missing_ok=True)

    def settle(self) -> None:
        self.old.unlink(missing_ok=True)
        self.none.unlink(missing_ok=True)


class ListPiece:
    """The list of a bucket: it is there to be compared, and nothing is brought back."""

    def __init__(self, part: Part, place: Place) -> None:
        self.part = part

    def there(self) -> str:
        return ""

    def put(self) -> str:
        return f"the list of {self.part.members} objects is in {self.part.file}; the objects are the bucket's own"

    def undo(self) -> None:
        """Nothing was done."""

    def settle(self) -> None:
        """Nothing was kept."""


PIECES: dict[str, Callable[[Part, Place], Piece]] = {
    FILE: FilePiece,
    VOLUME: VolumePiece,
    DATABASE: DatabasePiece,
    BUCKET: ListPiece,
}
# Files first: the model and the addresses of the databases come from them.
ORDER = [FILE, VOLUME, DATABASE, BUCKET]
