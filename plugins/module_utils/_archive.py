# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory as one compressed archive, which gets its name only when it has been read back to its end.

GNU tar packs and unpacks: it knows sparse files, access lists and extended attributes. The same tree makes the same
stream, but for the headers of sparse files, which hold the number of tar's process.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
import subprocess
import tarfile
import tempfile
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from . import _codec, _store
from ._codec import BLOCK, Codec, Sums
from ._errors import OpsError

PARTIAL = ".partial"
_CREATE = (
    *("--create", "--file=-", "--format=posix", "--numeric-owner", "--xattrs", "--acls", "--sparse", "--sort=name"),
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
)
_EXTRACT = (
    *("--extract", "--file=-", "--numeric-owner", "--same-owner", "--same-permissions", "--delay-directory-restore"),
    *("--xattrs", "--xattrs-include=*", "--acls"),
)
_COMPARE = ("--compare", "--file=-", "--numeric-owner")
_CHANGED = 1  # tar's exit code when files changed while it read them; anything but this and 0 is a failure
_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)
_SPARSE = (tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE)

State = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Packed:
    """An archive that was written but not read back yet.

    Attributes:
        target: the name that it will get.
        sums: of what was written, taken on its way to the disk.
        sizes: what must be in it, by path: bytes of a regular file, ``None`` of anything else.
        changed: what changed while it was read; empty for a copy of one moment.
    """

    target: Path
    codec: Codec
    sums: Sums
    sizes: Mapping[str, int | None]
    changed: list[str]


class Content(t.NamedTuple):
    """What is in an archive: its sums, its members, and which links and devices lead out of the directory."""

    sums: Sums
    members: int
    out: list[str]


def pack(source: Path, target: Path, codec: Codec, leave: Sequence[str] = (), beside: Path | None = None) -> Packed:
    """Write the archive of a directory beside its final name, and flush it to the disk.

    A file that is written to while it is read does not fail the copy: what changed is told.

    Args:
        leave: paths in it that are left out.
        beside: another directory whose files are packed in their place, under the same names.
    """
    try:
        before = state_of(source, leave)
        size, remarks = _stream(source, partial(target), codec, leave, beside)
        after = state_of(source, leave)
    except BaseException as error:
        partial(target).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OpsError(f"{source} cannot be read: {error.strerror}.", "Run it as root (become).") from None
        raise
    # A database and its journal that change one after the other are two good files and one bad copy, and tar sees only
    # what changes under its hands: so the whole tree is compared.
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name)) or remarks
    sizes = {name: row[1] if stat.S_ISREG(row[3]) else None for name, row in before.items()}
    if beside:
        sizes.update({name: row[1] for name, row in state_of(beside).items() if stat.S_ISREG(row[3])})
    return Packed(target, codec, size, sizes, [printable(name) for name in changed])


def publish(packed: Packed) -> Content:
    """Read a packed archive back to its end, compare it with source and with what was written, and give it its name."""
    found: dict[str, int | None] = {}
    content = read_back(partial(packed.target), packed.codec, found)
    _codec.must_be_as_written(packed.target.name, content.sums, packed.sums)
    if not packed.changed and found != packed.sizes:
        odd = next(name for name in sorted({*found, *packed.sizes}) if found.get(name, -1) != packed.sizes.get(name, -1))
        raise OpsError(f"{packed.target.name} does not hold what the directory has: {printable(odd)}.")
    os.replace(partial(packed.target), packed.target)
    _store.sync_dir(packed.target.parent)
    return content


def read_back(path: Path, codec: Codec, sizes: dict[str, int | None] | None = None) -> Content:
    """Read an archive to its end, every header and the compression's checksum; a damaged one is an error.

    Args:
        sizes: is told what is in it, by path: bytes of a regular file, ``None`` of anything else.
    """
    members, out = 0, []
    with _codec.reading(path, codec) as stream:
        guard = _Guard()
        for member in _members(stream, path):
            name = guard.path(member)
            members += 1
            if sizes is not None:
                linked = sizes.get(posixpath.normpath(member.linkname)) if member.islnk() else None
                sizes[name] = member.size if member.isreg() else linked
            if guard.leads_out(member, name):
                out.append(printable(name))
        return Content(stream.sums(), members, out)


def extract(path: Path, codec: Codec, target: Path) -> Sums:
    """Unpack an archive into an empty directory, owners and all; :func:`read_back` has judged it before."""
    with _codec.reading(path, codec) as stream:
        with _tar_reads(stream, *_EXTRACT, f"--directory={target}") as said:
            sums = stream.sums()
        if said:
            raise OpsError(f"tar could not unpack {path.name}: {said[0]}", "Make room there, and run it as root (become).")
        return sums


def differences(path: Path, codec: Codec, directory: Path) -> list[str]:
    """Return what tar finds different between an archive and a directory: contents, sizes, owners, modes, times, links."""
    with _codec.reading(path, codec) as stream:
        with _tar_reads(stream, *_COMPARE, f"--directory={directory}") as said:
            stream.sums()
        return said


def state_of(directory: Path, leave: Sequence[str] = ()) -> State:
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
            if stat.S_ISSOCK(status.st_mode) or name in leave:  # tar leaves sockets out
                continue
            found[name] = _identity(status)
            if stat.S_ISDIR(status.st_mode):
                pending.append(f"{name}/")
    return found


def partial(target: Path) -> Path:
    return target.with_name(f".{target.name}{PARTIAL}")


def printable(name: str) -> str:
    """Return a file name as text that JSON can hold: bytes that are no UTF-8 are written as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    # The change time covers writing, renaming, owner and mode, and cannot be set back by a program.
    return status.st_ino, status.st_size, status.st_ctime_ns, status.st_mode


def _members(stream: _codec.Reader, path: Path) -> Iterator[tarfile.TarInfo]:
    try:
        opened = tarfile.open(
            fileobj=t.cast("t.BinaryIO", stream), mode="r|", bufsize=BLOCK, encoding="utf-8", errors="surrogateescape"
        )
        with opened as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # it would remember every one
                yield member
    except (tarfile.TarError, EOFError) as error:
        stream.sums()  # what is wrong with the compression is the better reason
        raise OpsError(f"{path} cannot be read to its end ({error}).") from None


class _Guard:
    """Judges members by where they would be written: none may leave the directory that it is unpacked into."""

    def __init__(self) -> None:
        self._links: set[PurePosixPath] = set()

    def path(self, member: tarfile.TarInfo) -> str:
        """Return a member's path in the directory; one that a program of ours cannot have packed is refused."""
        path = PurePosixPath(posixpath.normpath(member.name))
        named = repr(printable(member.name))
        if path.is_absolute() or ".." in PurePosixPath(member.name).parts:
            raise _hostile(f"its member {named} leads out of the directory")
        if member.type not in (*_TYPES, *_SPARSE):
            raise _hostile(f"its member {named} is a device, or of a kind that no backup holds")
        if not self._links.isdisjoint(path.parents):
            raise _hostile(f"its member {named} lies behind a link")
        if member.islnk() and _outside(posixpath.normpath(member.linkname)):
            raise _hostile(f"its member {named} is a hard link out of the directory")
        if member.issym():
            self._links.add(path)
        return str(path)

    @staticmethod
    def leads_out(member: tarfile.TarInfo, name: str) -> bool:
        """Whether it is a symbolic link to somewhere else."""
        there = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)) if member.issym() else ""
        return _outside(there)


def _outside(path: str) -> bool:
    return path.startswith("/") or path == ".." or path.startswith("../")


def _hostile(why: str) -> OpsError:
    return OpsError(
        f"The archive is refused: {why}.", "Do not unpack it by hand; find out who wrote it, and take another backup."
    )


def _stream(
    source: Path, target: Path, codec: Codec, leave: Sequence[str], beside: Path | None
) -> tuple[Sums, list[str]]:
    """Let tar read a directory, compress and hash what it says on the way to the disk."""
    argv = [*_CREATE, f"--directory={source}"]
    if leave:
        argv += ["--anchored", "--no-wildcards", *(f"--exclude=./{name}" for name in leave)]
    if beside:  # under a name of its own, since what is left out is left out everywhere
        argv.append(f"--transform=flags=r;s,^\\./{re.escape(beside.name)}/,./,")
    argv.append(".")
    if beside:
        copies = sorted(path.relative_to(beside.parent) for path in beside.rglob("*") if path.is_file())
        argv += [f"--directory={beside.parent}", *(f"./{name}" for name in copies)]
    with tempfile.TemporaryFile() as said:
        with _tar(argv, stdout=subprocess.PIPE, stderr=said) as tar:
            try:
                sums = _codec.write(t.cast("t.BinaryIO", tar.stdout), target, codec)
            except BaseException:
                tar.kill()
                raise
        remarks = _lines(said)
    if tar.returncode not in (0, _CHANGED):
        first = remarks[0] if remarks else f"exit code {tar.returncode}"
        raise OpsError(
            f"tar could not read all of {source}: {first}", "Run it as root (become), then look at the disk."
        )
    return sums, remarks if tar.returncode == _CHANGED else []


@contextmanager
def _tar_reads(stream: _codec.Reader, *arguments: str) -> Iterator[list[str]]:
    """Give tar all of a stream; the list is filled with what it complained about once it has ended."""
    remarks: list[str] = []
    with tempfile.TemporaryFile() as said:
        with _tar(arguments, stdin=subprocess.PIPE, stdout=said, stderr=said) as tar:
            try:
                while block := stream.read(BLOCK):
                    t.cast("t.BinaryIO", tar.stdin).write(block)
                t.cast("t.BinaryIO", tar.stdin).close()
            except BrokenPipeError:
                pass  # its own words are better
            except BaseException:
                tar.kill()
                raise
            yield remarks
        if tar.returncode:
            remarks += _lines(said) or [f"tar ended with code {tar.returncode}"]


def _tar(arguments: Sequence[str], stdin: int = subprocess.DEVNULL, **streams: t.Any) -> subprocess.Popen[bytes]:
    try:
        tar = subprocess.Popen(["tar", *arguments], stdin=stdin, env={**os.environ, "LC_ALL": "C"}, **streams)
    except FileNotFoundError:
        raise OpsError("The program tar is not on this host.", "apt-get install tar") from None
    _codec.widen(tar.stdin, tar.stdout)
    return tar


def _lines(stream: t.IO[bytes]) -> list[str]:
    stream.seek(0)
    return [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
