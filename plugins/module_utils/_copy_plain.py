# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of backups as plain files, as they are on this host: what a bucket and another host have in common.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import abc
import datetime
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import _copy_place, _store
from ._check import Outcome
from ._codec import BLOCK, Codec
from ._copy_place import Copy, Sent, damaged
from ._shelf import MANIFEST, Backup, Part


class Plain(abc.ABC):
    """A place of plain files; what leads there is left to its kinds. See :class:`_copy_place.Place`.

    Args:
        address: what it is called in messages.
        project: backups of others there are left alone.
        state: directory on this host that nobody else reads.
    """

    kind = ""

    def __init__(self, address: str, project: str, state: Path, say: Callable[[str], None]) -> None:
        self.address, self._project, self._state, self._say = address, project, state, say
        self._manifests: dict[str, Backup] = {}  # none is ever changed

    @abc.abstractmethod
    def reach(self) -> str: ...

    def lay_out(self) -> None:
        """Nothing has to be made: folders come with the first file."""
        return None

    @abc.abstractmethod
    def sizes(self, backup_id: str = "") -> dict[str, dict[str, int]]:
        """Return the files of each backup that is there, whole or not, by id and name, with their bytes."""

    @abc.abstractmethod
    def send(self, source: Path, backup_id: str, name: str) -> None:
        """Copy one file; it has its name only when all of it is there."""

    @abc.abstractmethod
    def bring(self, backup_id: str, name: str, target: Path) -> None:
        """Copy one file back."""

    @abc.abstractmethod
    def delete(self, backup_id: str) -> None:
        """Remove a backup, its manifest first."""

    def copies(self) -> list[Copy]:
        found = []
        for backup_id, names in sorted(self.sizes().items(), reverse=True):
            if MANIFEST in names:
                backup = self._manifest(backup_id)
                if backup.project == self._project:
                    found.append(Copy(backup_id, backup.consistent()))
        return found

    def leftovers(self) -> bool:
        return bool(self._left())

    def put(self, directory: Path, backup: Backup) -> Sent:
        there, result = self.sizes(backup.id).get(backup.id, {}), Sent()
        for part in backup.parts:
            path = directory / part.file
            _compare(path, part, "this host")
            # What a run that broke off has sent is sent again: its size alone does not tell that it is the same.
            self._say(f"copying {part.label} to {self.address}")
            self.send(path, backup.id, part.file)
            result.sent.append(part.label)
            result.bytes += part.bytes - there.get(part.file, 0)
        there = self.sizes(backup.id).get(backup.id, {})
        for part in backup.parts:
            if there.get(part.file) != part.bytes:
                raise damaged(part.label, self.address)
        self.send(directory / MANIFEST, backup.id, MANIFEST)
        return result

    def fetch(self, backup_id: str, draft: Path, codec: Codec) -> Backup:
        """Bring a copy back as it is: what is plain here has the compression that it was made with."""
        backup = self._manifest(backup_id)
        for part in backup.parts:
            self._say(f"fetching {part.label} from {self.address}")
            self._bring(part, backup_id, draft)
        return backup

    def remove(self, ids: Sequence[str]) -> None:
        for backup_id in [*ids, *self._left()]:
            self._say(f"letting go of {backup_id} at {self.address}")
            self.delete(backup_id)

    def whole(self, newest: str, percent: float) -> str:
        there, wrong, total = self.sizes(), [], 0
        manifests = [self._manifest(copy.id) for copy in self.copies()]
        for backup in manifests:
            total += len(backup.parts)
            wrong += [part for part in backup.parts if there[backup.id].get(part.file) != part.bytes]
        if wrong:
            raise damaged(wrong[0].label, self.address)
        read = sample(next(one for one in manifests if one.id == newest).parts, percent, _today())
        with self.scratch() as scratch:
            for part in read:
                self._bring(part, newest, scratch).unlink()
        told = f"; read back from {newest}: {', '.join(part.label for part in read)}" if read else "; no data read"
        return f"{total} files of {len(manifests)} copies have the sizes of their manifests{told}"

    def locks(self, clear: bool) -> Outcome | None:
        return None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a directory for what is read back; it holds secrets, so it is beside the state of this host."""
        with tempfile.TemporaryDirectory(dir=_store.private_dir(self._state), prefix=".copy-") as name:
            yield Path(name)

    def _left(self) -> list[str]:
        """Return what has no manifest although its backup is over a day old."""
        day = datetime.timedelta(days=1)
        now = datetime.datetime.now(datetime.timezone.utc)
        return [one for one, names in self.sizes().items() if MANIFEST not in names and now - Copy(one).time() > day]

    def _manifest(self, backup_id: str) -> Backup:
        if backup_id in self._manifests:
            return self._manifests[backup_id]
        with self.scratch() as scratch:
            self.bring(backup_id, MANIFEST, scratch / MANIFEST)
            found = _copy_place.manifest((scratch / MANIFEST).read_bytes(), backup_id, self.address)
        return self._manifests.setdefault(backup_id, found)

    def _bring(self, part: Part, backup_id: str, directory: Path) -> Path:
        path = directory / part.file
        _store.private_dir(path.parent)
        self.bring(backup_id, part.file, path)
        path.chmod(0o600)
        _compare(path, part, self.address)
        return path


def sample(parts: Sequence[Part], percent: float, day: int) -> list[Part]:
    """Return parts that hold a share of the bytes, other ones every day; at least one, unless the share is nothing."""
    if not parts or percent <= 0:
        return []
    start = day % len(parts)
    wanted, found, total = sum(part.bytes for part in parts) * percent / 100, [], 0
    for part in [*parts[start:], *parts[:start]]:
        found.append(part)
        total += part.bytes
        if total >= wanted:
            break
    return found


def _compare(path: Path, part: Part, where: str) -> None:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    except OSError:
        raise damaged(part.label, where) from None
    if digest.hexdigest() != part.sha256:
        raise damaged(part.label, where)


def _today() -> int:
    return datetime.datetime.now(datetime.timezone.utc).toordinal()
