# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A log as the engine sends it, however its bytes are cut, and what is found in it."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _logs

AT = "2026-11-25T09:59:25.611030436Z"


def framed(lines: Iterable[bytes], stream: int = 1) -> bytes:
    texts = [f"{AT} ".encode() + line for line in lines]
    return b"".join(struct.pack(">BxxxL", stream, len(text)) + text for text in texts)


def cut(data: bytes, sizes: random.Random) -> Iterator[bytes]:
    while data:
        size = sizes.randint(1, 40)
        yield data[:size]
        data = data[size:]


def found(chunks: Iterable[bytes], *words: bytes) -> list[str]:
    return [line for _stamp, line in _logs.Search(chunks, words)]


def test_frames_are_taken_away_wherever_the_stream_is_cut() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    sizes = random.Random(seed)
    # 10 is the length of a line whose frame has a line feed in its header.
    lines = [bytes(sizes.randint(32, 126) for _byte in range(sizes.choice([0, 3, 10, 266, 2570]))) for _line in range(60)]
    sent = framed([line + b"\n" for line in lines])
    assert [line for _stamp, line in _logs.lines(cut(sent, sizes))] == [line.decode() for line in lines]
    assert {stamp for stamp, _line in _logs.lines([sent])} == {AT}


def test_a_container_with_a_terminal_has_no_frames() -> None:
    plain = f"{AT} one\r\n{AT} two ERROR\r\n".encode()
    assert [line for _stamp, line in _logs.lines([plain])] == ["one", "two ERROR"]
    assert found([plain], b"ERROR") == ["two ERROR"]


def test_both_streams_are_searched_and_each_line_is_found_once() -> None:
    sent = framed([b"ERROR ERROR CRITICAL\n", b"fine\n"]) + framed([b"CRITICAL\n"], stream=2)
    assert found([sent], b"ERROR", b"CRITICAL") == ["ERROR ERROR CRITICAL", "CRITICAL"]


def test_colours_do_not_keep_a_text_from_being_found() -> None:
    sent = framed([b"\x1b[1;31mFlask app \x1b[0mwarmup failed\x1b[0m\n"])
    assert found([sent], b"Flask app warmup failed") == ["Flask app warmup failed"]


def test_bytes_that_are_no_text_survive() -> None:
    assert found([framed([b"\xff\xfe\x00 ERROR \x80\n"])], b"ERROR") == ["\ufffd\ufffd\x00 ERROR \ufffd"]


def test_a_line_that_does_not_end_is_cut_and_takes_no_memory() -> None:
    def endless() -> Iterator[bytes]:
        yield framed([b"ERROR begins "])
        for _block in range(64):
            yield struct.pack(">BxxxL", 1, 1 << 20) + b"x" * (1 << 20)
        yield framed([b"end\n", b"ERROR after\n"])

    import tracemalloc

    tracemalloc.start()
    first, second = found(endless(), b"ERROR")
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first.startswith("ERROR begins") and len(first) <= _logs.LONGEST
    assert second == "ERROR after"
    assert peak < 8 << 20


def test_a_last_line_without_an_end_counts() -> None:
    assert found([framed([b"fine\n", b"FATAL, and then it died"])], b"FATAL") == ["FATAL, and then it died"]


def test_first_and_last_line_are_known_afterwards() -> None:
    search = _logs.Search([framed([b"first\n", b"middle\n"]), framed([b"last words\n", b"\n", b"  \n"])], [b"not this"])
    assert list(search) == []
    assert (search.first, search.last) == (AT, (AT, "last words"))
    assert search.size == 5 * (len(AT) + 1) + len("first\nmiddle\nlast words\n\n  \n")


@pytest.mark.parametrize("chunks", [[], [b""]])
def test_an_empty_log(chunks: list[bytes]) -> None:
    search = _logs.Search(chunks, [b"ERROR"])
    assert list(search) == [] and search.first == "" and search.last == ("", "")


def test_no_text_to_look_for_finds_nothing() -> None:
    assert found([framed([b"anything\n"])]) == []
