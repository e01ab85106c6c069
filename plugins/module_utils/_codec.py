# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream into a compressed file and out of it again, hashed on both sides of the compression.

The programs zstd and gzip do the work: they run beside us, and whoever has no Python unpacks with them.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import typing as t
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ._errors import OpsError

BLOCK = 1 << 20
BEGIN = 32 * BLOCK  # written to a file before its disk is told to begin
_F_SETPIPE_SZ = 1031  # which fcntl names since Python 3.10


@dataclass(frozen=True)
class Codec:
    """One way to compress: its name, what it adds to a file's name, and both of its commands (empty: none)."""

    name: str
    suffix: str
    pack: tuple[str, ...] = ()
    unpack: tuple[str, ...] = ()


# zstd's own checksum is on by default; -T0 uses every core.
CODECS = {
    one.name: one
    for one in (
        Codec("zstd", ".zst", ("zstd", "-q", "-T0", "-3", "-c"), ("zstd", "-q", "-d", "-c")),
        Codec("gzip", ".gz", ("gzip", "-n", "-6", "-c"), ("gzip", "-d", "-c")),
        Codec("none", ""),
    )
}
AUTO = "auto"


class Sums(t.NamedTuple):
    """What a file is: its bytes and their sha256, and the same of the stream that it was made of."""

    bytes: int
    sha256: str
    raw_bytes: int
    raw_sha256: str


def choose(wanted: str) -> Codec:
    """Return the codec of a name; ``auto`` is zstd where the program is there, and gzip elsewhere."""
    if wanted == AUTO:
        return CODECS["zstd" if shutil.which("zstd") else "gzip"]
    codec = CODECS[wanted]
    if codec.pack and not shutil.which(codec.pack[0]):
        raise OpsError(f"The program {codec.pack[0]} is not on this host.", f"apt-get install {codec.name}")
    return codec


class Hashed:
    """A binary stream whose bytes are counted and hashed as they pass."""

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

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _note(self, data: bytes) -> None:
        self._hash.update(data)
        self.bytes += len(data)


def write(stream: t.BinaryIO, path: Path, codec: Codec) -> Sums:
    """Compress a stream to its end into a file of mode 0600, and flush that to the disk."""
    raw = Hashed(stream)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            stored = Hashed(file)
            if codec.pack:
                with _running(codec.pack) as (packer, said):
                    with _beside(lambda: _keep(packer.stdout, stored, file), packer) as drained:
                        _feed(raw, packer)
                        drained.result()
                    _must_have_ended(packer, said, path)
            else:
                _keep(raw, stored, file)
            file.flush()
            os.fsync(file.fileno())
            # So that reading back asks the disk, not the memory that the bytes came from.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise OpsError(
            f"{path.name.lstrip('.')} could not be written to {path.parent.parent}: {error.strerror}.",
            "Make room there, or choose another directory.",
        ) from None
    return Sums(stored.bytes, stored.sha256(), raw.bytes, raw.sha256())


def must_be_as_written(name: str, found: Sums, written: Sums) -> None:
    """Raise where a file reads back differently from how it was written."""
    if found != written:
        raise OpsError(
            f"{name} reads back differently from how it was written.",
            "Do not trust this disk: look at dmesg and its SMART values.",
        )


class Reader:
    """The stream that a compressed file was made of."""

    def __init__(self, raw: Hashed, stored: Hashed, end: t.Callable[[], None]) -> None:
        self._raw, self._stored, self._end = raw, stored, end

    def read(self, size: int = -1) -> bytes:
        return self._raw.read(size)

    def sums(self) -> Sums:
        """Read what is left, and say what it all was; a damaged file is an error."""
        while self._raw.read(BLOCK):
            pass
        self._end()
        return Sums(self._stored.bytes, self._stored.sha256(), self._raw.bytes, self._raw.sha256())


@contextlib.contextmanager
def reading(path: Path, codec: Codec) -> Iterator[Reader]:
    """Open a compressed file for reading, with nothing of it in memory but a block."""
    try:
        file = open(path, "rb")
    except OSError as error:
        raise OpsError(f"{path} cannot be read: {error.strerror}.") from None
    with file:
        stored = Hashed(file)
        if not codec.unpack:
            yield Reader(stored, stored, lambda: None)
            return
        with _running(codec.unpack) as (unpacker, said):
            with _beside(lambda: _feed(stored, unpacker), unpacker) as fed:

                def end() -> None:
                    fed.result()
                    _must_have_ended(unpacker, said, path)

                yield Reader(Hashed(t.cast("t.BinaryIO", unpacker.stdout)), stored, end)


@contextlib.contextmanager
def _running(argv: tuple[str, ...]) -> Iterator[tuple[subprocess.Popen[bytes], t.IO[bytes]]]:
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile() as said:
        try:
            program = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=said, env={**os.environ, "LC_ALL": "C"})
        except FileNotFoundError:
            raise OpsError(f"The program {argv[0]} is not on this host.", f"apt-get install {argv[0]}") from None
        widen(program.stdin, program.stdout)
        try:
            yield program, said
        finally:
            program.kill()  # no matter where it has ended
            program.wait()
            for stream in (program.stdin, program.stdout):
                try:
                    t.cast("t.BinaryIO", stream).close()
                except OSError:  # what is still in the buffer of a pipe that nobody reads
                    pass


@contextlib.contextmanager
def _beside(work: t.Callable[[], None], program: subprocess.Popen[bytes]) -> Iterator[Future[None]]:
    """Do one side of a program's work in a thread; it ends with the program whatever happens on the other side."""

    def guarded() -> None:
        try:
            work()
        except BaseException:
            program.kill()  # so that the other side does not wait for it
            raise

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(guarded)
        try:
            yield done
        except BrokenPipeError:
            done.result()  # the reason is on the other side, if it is not the program itself
        finally:
            program.kill() if not done.done() else None


def _feed(stream: t.Any, program: subprocess.Popen[bytes]) -> None:
    """Give a program all of a stream; one that ends before has its own reason."""
    try:
        _copy(stream, program.stdin)
        t.cast("t.BinaryIO", program.stdin).close()
    except BrokenPipeError:
        pass


def _copy(source: t.Any, target: t.Any) -> None:
    while block := source.read(BLOCK):
        target.write(block)


def _keep(source: t.Any, stored: Hashed, file: t.BinaryIO) -> None:
    """Copy into a file whose disk begins long before the end, so that the flush has little left to wait for."""
    begun = 0
    while block := source.read(BLOCK):
        stored.write(block)
        if stored.bytes - begun >= BEGIN:
            file.flush()
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begun = stored.bytes


def widen(*pipes: t.IO[bytes] | None) -> None:
    """Let a block fit into a pipe, which holds a sixteenth of that: programs then take turns less often."""
    for pipe in pipes:
        if pipe is not None:
            with contextlib.suppress(OSError):  # a user who has used up what is granted for pipes
                fcntl.fcntl(pipe, _F_SETPIPE_SZ, BLOCK)


def _must_have_ended(program: subprocess.Popen[bytes], said: t.IO[bytes], path: Path) -> None:
    if program.wait():
        said.seek(0)
        lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
        why = lines[0].replace("/*stdin*\\ : ", "") if lines else f"code {program.returncode}"
        raise OpsError(f"{path} cannot be read to its end ({why}).")
