# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a place for copies of backups is, whichever program or protocol leads there; and what is decided about copies.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import json
import re
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ._check import Outcome
from ._codec import Codec
from ._errors import OpsError
from ._periods import Keep, kept
from ._shelf import Backup, Part

RESTIC, S3, RSYNC = "restic", "s3", "rsync"
_ID = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Copy:
    """A complete copy in a place: its backup's id, and whether no volume changed while it was read."""

    id: str
    consistent: bool = True

    def time(self) -> datetime.datetime:
        return Backup(self.id, "").time()


@dataclass
class Sent:
    """What a copy took: the parts that were sent, those that were there already, and bytes that the place grew by."""

    sent: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    bytes: int = 0


class Place(t.Protocol):
    """Somewhere that backups are copied to. A copy counts once its manifest is there, which is sent last of all."""

    kind: str
    address: str

    def reach(self) -> str:
        """Return what answers there; raise ``Absent`` where nothing is laid out yet."""

    def lay_out(self) -> None:
        """Make the place ready for a first copy."""

    def copies(self) -> list[Copy]:
        """Return the complete copies, newest first."""

    def leftovers(self) -> bool:
        """Whether there is something that runs which broke off have left, old enough that none of them still goes on."""

    def put(self, directory: Path, backup: Backup) -> Sent:
        """Copy a backup; it is a copy when this returns, and none when this raises."""

    def fetch(self, backup_id: str, draft: Path, codec: Codec) -> Backup:
        """Bring a copy into a directory, every part compared with its manifest; return the manifest of what is there."""

    def remove(self, ids: Sequence[str]) -> None:
        """Let go of copies, and of leftovers."""

    def whole(self, newest: str, percent: float) -> str:
        """Look whether what is there is whole, reading a share of it; return what was read, or raise."""

    def locks(self, clear: bool) -> Outcome | None:
        """Judge its locks, and take away those that nobody holds any more; nothing for a place without locks."""


def to_forget(copies: Sequence[Copy], keep: Keep) -> list[str]:
    """Return the copies that go, by period; never the newest one whose volumes did not change while they were read."""
    stay = kept((copy.time() for copy in copies), keep)
    consistent = max((copy.id for copy in copies if copy.consistent), default="")
    return [copy.id for copy in copies if copy.time() not in stay and copy.id != consistent]


def manifest(data: bytes, backup_id: str, where: str) -> Backup:
    """Read a manifest that came from elsewhere; no part of it may lead out of the directory of the backup."""
    try:
        content = json.loads(data)
        backup = Backup(**{**content, "parts": [Part(**part) for part in content["parts"]]})
        if backup.id != backup_id:
            raise ValueError(f"it is of {backup.id}")
        for part in backup.parts:
            inside(part.file)
    except (KeyError, TypeError, ValueError) as error:
        raise OpsError(
            f"The manifest of {backup_id} at {where} is not one ({error}).", "Fetch another backup."
        ) from None
    return backup


def is_id(name: str) -> bool:
    return bool(_ID.fullmatch(name))


def inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of it")
    return path


def raw_sum(part: Part) -> str:
    """Return the sum of the uncompressed stream, the same wherever it is kept."""
    return part.raw_sha256 or part.sha256


def damaged(what: str, where: str) -> OpsError:
    return OpsError(
        f"{what} at {where} is not what its manifest says.",
        "Fetch another backup, then look at the store and its disk.",
    )
