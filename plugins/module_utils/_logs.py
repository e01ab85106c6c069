# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a container as a stream of bytes: gigabytes of it are searched without being held or cut into lines.

Every line begins with the engine's time stamp. Nothing here asks the engine.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator

LONGEST = 1 << 14  # bytes of a line that are looked at

_HEADER = 8  # bytes before each frame: the stream's number, three zeros, the length
_length = struct.Struct(">xxxxL").unpack_from
_STREAMS = (b"\0", b"\1", b"\2")
_COLOUR = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def payload(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Take away the frames that the engine puts around what a container without a terminal prints."""
    rest = b""
    framed: bool | None = None
    for chunk in chunks:
        if framed is None:
            framed = chunk[:1] in _STREAMS  # without frames a log begins with a time stamp
        if not framed:
            yield chunk
            continue
        data = rest + chunk
        parts, start, end = [], 0, len(data)
        while start + _HEADER <= end:
            after = start + _HEADER + _length(data, start)[0]
            if after > end:
                break
            parts.append(data[start + _HEADER : after])
            start = after
        rest = data[start:]
        if parts:
            yield b"".join(parts)


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks that end where a line does, without colours; of a line that does not end, only the beginning."""
    rest = b""
    for block in blocks:
        data = rest + block
        end = data.rfind(b"\n") + 1
        rest = data[end:][:LONGEST]
        if end:
            yield _plain(data[:end])
    if rest:
        yield _plain(rest + b"\n")


def _plain(data: bytes) -> bytes:
    return _COLOUR.sub(b"", data) if b"\x1b[" in data else data


def split(line: bytes) -> tuple[str, str]:
    """Return the time stamp and the text of a line, cut where it is too long."""
    stamp, _space, text = line[:LONGEST].partition(b" ")
    return stamp.decode("ascii", "replace"), text.rstrip(b"\r\n").decode("utf-8", "replace")


def _last_words(block: bytes) -> bytes:
    """Return the last of the lines that is not empty, if one of the last few is not."""
    end = len(block)
    for _line in range(5):
        start = block.rfind(b"\n", 0, max(end - 1, 0)) + 1
        line = block[start:end][:LONGEST]
        if line.partition(b" ")[2].strip():
            return line
        end = start
    return b""


class Search:
    """One pass over a log that yields the lines which hold one of some literal texts.

    Attributes:
        size: bytes that were read so far.
        first: time stamp of the first line; empty as long as there is none.
        last: the last line that is not empty, with its time stamp.
    """

    def __init__(self, chunks: Iterable[bytes], literals: Iterable[bytes]) -> None:
        self._chunks = chunks
        literals = sorted(set(literals), key=lambda one: (-len(one), one))
        self._wanted = re.compile(b"|".join(map(re.escape, literals)) if literals else rb"(?!)")
        self.size = 0
        self.first = ""
        self._tail = b""

    @property
    def last(self) -> tuple[str, str]:
        return split(self._tail)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for block in whole_lines(payload(self._chunks)):
            self.size += len(block)
            self.first = self.first or split(block[: block.find(b"\n")])[0]
            self._tail = _last_words(block) or self._tail
            yield from self._lines(block)

    def _lines(self, block: bytes) -> Iterator[tuple[str, str]]:
        found = self._wanted.search(block)
        while found:
            start = block.rfind(b"\n", 0, found.start()) + 1
            end = block.find(b"\n", found.start())
            yield split(block[start:end])
            found = self._wanted.search(block, end + 1)


def lines(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Yield every line with its time stamp."""
    for block in whole_lines(payload(chunks)):
        for line in block.split(b"\n")[:-1]:
            yield split(line)
