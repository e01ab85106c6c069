# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory as one compressed archive, which gets its name only when it has been read back to its end.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import typing as t
import zlib
from dataclasses import dataclass
from pathlib import Path

from . import _store
from ._errors import OpsError

PARTIAL = ".partial"
_BLOCK = 1 << 20
_LEVEL = 6
_CREATE = ("--create", "--file=-", "--format=posix", "--numeric-owner", "--xattrs", "--acls", "--sparse")
_LIST = ("--list", "--file=-", "--quoting-style=escape")  # one line for each member, whatever is in its name
_CHANGED = 1  # tar's exit code when files changed while it read them; anything but this and 0 is a failure

State = dict[str, tuple[int, ...]]


class Content(t.NamedTuple):
    """What an archive is: bytes of the file, their sha256, members in it (the directory itself is one)."""

    bytes: int
    sha256: str
    members: int


@dataclass(frozen=True)
class Packed:
    """An archive that was written but not read back yet.

    Attributes:
        target: the name that it will get.
        bytes: its size.
        sha256: of what was written, taken on its way to the disk.
        members: how many members it must have; ``None`` when the directory changed meanwhile.
        changed: what changed while it was read; empty for a copy of one moment.
    """

    target: Path
    bytes: int
    sha256: str
    members: int | None
    changed: list[str]


class _Hashed:
    """A binary file whose bytes are counted and hashed as they pass."""

    def __init__(self, stream: t.BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self._note(data)
        return self._stream.write(data)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._note(data)
        return data

    def flush(self) -> None:
        self._stream.flush()

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _note(self, data: bytes) -> None:
        self._hash.update(data)
        self.bytes += len(data)


def pack(source: Path, target: Path) -> Packed:
    """Write the archive of a directory beside its final name, and flush it to the disk.

    A file that is written to while it is read does not fail the copy: what changed is told.
    """
    try:
        before = state_of(source)
        size, sha256, remarks = _stream(source, _partial(target))
        after = state_of(source)
    except BaseException as error:
        _partial(target).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OpsError(f"{source} cannot be read: {error.strerror}.", "Run it as root (become).") from None
        raise
    # A database and its journal that change one after the other are two good files and one bad copy, and tar sees only
    # what changes under its hands: so the whole tree is compared.
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name)) or remarks
    return Packed(target, size, sha256, None if changed else len(before), [_printable(name) for name in changed])


def publish(packed: Packed) -> Content:
    """Read a packed archive back to its end, compare it with what was written, and give it its name."""
    content = read_back(_partial(packed.target))
    if (content.bytes, content.sha256) != (packed.bytes, packed.sha256):
        raise OpsError(
            f"{packed.target.name} reads back differently from how it was written.",
            "Do not trust this disk: look at dmesg and its SMART values.",
        )
    if packed.members is not None and content.members != packed.members:
        raise OpsError(f"{packed.target.name} has {content.members} members where the directory has {packed.members}.")
    os.replace(_partial(packed.target), packed.target)
    _store.sync_dir(packed.target.parent)
    return content


def read_back(path: Path) -> Content:
    """Read an archive to its end, every header and gzip's checksum; a damaged one is an error."""
    try:
        with open(path, "rb") as raw, tempfile.TemporaryFile() as names, tempfile.TemporaryFile() as said:
            hashed = _Hashed(raw)
            with _tar(*_LIST, stdin=subprocess.PIPE, stdout=names, stderr=said) as tar:
                with gzip.GzipFile(fileobj=t.cast("t.BinaryIO", hashed), mode="rb") as unpacked:
                    shutil.copyfileobj(unpacked, t.cast("t.BinaryIO", tar.stdin), _BLOCK)
            if tar.returncode:
                raise EOFError(next(iter(_lines(said)), f"tar ended with code {tar.returncode}"))
            names.seek(0)
            return Content(hashed.bytes, hashed.sha256(), sum(1 for _name in names))
    except FileNotFoundError:
        raise OpsError(f"{path} is not there.") from None
    except (zlib.error, EOFError, OSError) as error:
        raise OpsError(f"{path} cannot be read to its end ({error}).") from None


def state_of(directory: Path) -> State:
    """Return what tells one state of a directory tree from another: every entry that an archive holds, by path."""
    found: State = {".": _identity(os.lstat(directory))}
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            entries = list(os.scandir(directory / below))
        except (FileNotFoundError, NotADirectoryError):  # gone since it was listed; the other state of the tree tells
            continue
        for entry in entries:
            name = f"{below}{entry.name}"
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISSOCK(status.st_mode):  # tar leaves sockets out
                continue
            found[name] = _identity(status)
            if stat.S_ISDIR(status.st_mode):
                pending.append(f"{name}/")
    return found


def _identity(status: os.stat_result) -> tuple[int, ...]:
    # The change time covers writing, renaming, owner and mode, and cannot be set back by a program.
    return status.st_ino, status.st_size, status.st_ctime_ns


def _stream(source: Path, partial: Path) -> tuple[int, str, list[str]]:
    """Let tar read a directory, compress and hash what it says on the way to the disk."""
    with tempfile.TemporaryFile() as said:
        with _tar(*_CREATE, f"--directory={source}", ".", stdout=subprocess.PIPE, stderr=said) as tar:
            size, sha256 = _compress(t.cast("t.BinaryIO", tar.stdout), partial)
        remarks = _lines(said)
    if tar.returncode not in (0, _CHANGED):
        first = remarks[0] if remarks else f"exit code {tar.returncode}"
        raise OpsError(
            f"tar could not read all of {source}: {first}", "Run it as root (become), then look at the disk."
        )
    return size, sha256, remarks if tar.returncode == _CHANGED else []


def _tar(*arguments: str, stdin: int = subprocess.DEVNULL, **streams: t.Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(["tar", *arguments], stdin=stdin, env={**os.environ, "LC_ALL": "C"}, **streams)
    except FileNotFoundError:
        raise OpsError("The program tar is not on this host.", "apt-get install tar") from None


def _lines(stream: t.IO[bytes]) -> list[str]:
    stream.seek(0)
    return [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]


def _compress(stream: t.BinaryIO, partial: Path) -> tuple[int, str]:
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            hashed = _Hashed(raw)
            with gzip.GzipFile("", "wb", _LEVEL, t.cast("t.BinaryIO", hashed), mtime=0) as packer:
                for block in iter(lambda: stream.read(_BLOCK), b""):
                    packer.write(block)
            raw.flush()
            os.fsync(raw.fileno())
            # So that reading back asks the disk, not the memory that the bytes came from.
            os.posix_fadvise(raw.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise OpsError(
            f"An archive could not be written to {partial.parent.parent}: {error.strerror}.",
            "Make room there, or choose another directory.",
        ) from None
    return hashed.bytes, hashed.sha256()


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}{PARTIAL}")


def _printable(name: str) -> str:
    """Return a file name as text that JSON can hold: bytes that are no UTF-8 are written as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
