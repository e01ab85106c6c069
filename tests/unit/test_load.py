# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load that judges a switch: what it counts as lost, over real sockets, and how it counts."""

from __future__ import annotations

import asyncio
import typing as t

import pytest
from report import Seen, failures, longest_gap, served_from
from wire import CROSSED_SECONDS, PING, PONG, Answer, Connection, Idle, Lost, Socket

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Release: 1.3.0\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


def ask(*answers: bytes, linger: float = 0.0) -> list[Answer | Exception]:
    """Ask over one connection of a server that gives these answers, waits, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(1000)
            writer.write(answer)
        await reader.read(1000)
        await asyncio.sleep(linger)
        writer.close()

    async def talk() -> list[t.Any]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            connection = Connection(*await asyncio.open_connection(*server.sockets[0].getsockname()))
            asked = [await asyncio.gather(connection.ask(b"?"), return_exceptions=True) for _turn in (*answers, b"")]
            connection.close()
        return [one for (one,) in asked]

    return asyncio.run(talk())


def test_whole_answers_are_read_whole() -> None:
    first, second, _closed = ask(WHOLE, CHUNKED)
    assert isinstance(first, Answer) and (first.status, first.body, first.headers["x-release"]) == (200, b"ok", "1.3.0")
    assert isinstance(second, Answer) and second.body == b"ok"


def test_kept_connection_that_was_closed_already_is_idle_and_not_lost() -> None:
    assert isinstance(ask(WHOLE)[-1], Idle)


def test_kept_connection_that_is_closed_while_the_answer_is_waited_for_is_lost() -> None:
    assert isinstance(ask(WHOLE, linger=4 * CROSSED_SECONDS)[-1], Lost)


def test_new_connection_without_an_answer_is_lost() -> None:
    assert isinstance(ask()[-1], Lost)


@pytest.mark.parametrize("cut", [WHOLE[:-1], WHOLE[:30], CHUNKED[:-4], CHUNKED[:-12]])
def test_answer_that_is_cut_short_is_lost(cut: bytes) -> None:
    assert isinstance(asyncio.run(read(cut)), Lost)


async def read(answer: bytes) -> Answer | Exception:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        connection = Connection(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        (answered,) = await asyncio.gather(connection.ask(b"?"), return_exceptions=True)
        connection.close()
    return t.cast("Answer | Exception", answered)


def every(step: float, begin: float, end: float, release: str, route: str = "a", problem: str = "") -> list[Seen]:
    moments = [begin + number * step for number in range(int((end - begin) / step))]
    return [Seen(route, moment, moment, problem, False, True, release) for moment in moments]


def test_gap_counts_before_the_first_and_after_the_last_answer() -> None:
    assert longest_gap(every(0.5, 2, 6, "old"), begin=0, end=6) == 2
    assert longest_gap(every(0.5, 0, 4, "old"), begin=0, end=9) == 5.5
    assert longest_gap([], begin=1, end=9) == 8


def test_version_is_served_when_every_route_gave_nothing_else_for_long_enough() -> None:
    old, new = every(0.5, 0, 4, "old"), every(0.5, 4, 12, "new")
    other = every(0.5, 0, 6, "old", "b") + every(0.5, 6, 12, "new", "b")
    assert served_from([*old, *new, *other], "new", since=0, now=12) == 5.5
    assert served_from([*old, *new, *other], "new", since=0, now=10) is None
    # A route that has fallen silent serves nothing.
    silent = every(0.5, 0, 4, "old", "b")
    assert served_from([*old, *new, *silent], "new", since=0, now=12) is None
    # A late answer of the old one begins the wait anew, and so does a failure.
    late = [Seen("b", 8.0, 8.0, "", False, True, "old")]
    assert served_from([*old, *new, *other, *late], "new", since=0, now=13.5) == 8.0
    assert served_from([*old, *new, *other, *every(0.5, 9, 9.5, "", "b", "reset")], "new", since=0, now=13) is None
    # What hung from 7 to 20 says that the route did not serve in between, whatever else it answered.
    hung = [Seen("b", 7.0, 20.0, "no whole answer", False, True, "")]
    meanwhile = every(0.5, 12, 24, "new") + every(0.5, 12, 24, "new", "b")
    assert served_from([*old, *new, *other, *hung, *meanwhile], "new", since=0, now=24) is None


def test_failures_are_counted_by_second_route_and_reason() -> None:
    seen = [*every(0.25, 3, 4, "", problem="reset"), *every(0.5, 0, 3, "old")]
    assert failures(seen) == [{"second": 3, "route": "a", "reason": "reset", "count": 4}]


def test_pong_carries_the_bytes_of_its_ping() -> None:
    """A server takes any other for a dead line, and ends the stream."""
    payload, pongs = bytes(range(124, 132)), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes([0x80 | PING, len(payload)]) + payload)
        head = await reader.readexactly(6)
        pongs.append((head[0] & 15, bytes(byte ^ head[2 + at % 4] for at, byte in enumerate(await reader.readexactly(8)))))
        writer.close()

    async def talk() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            connection = Connection(*await asyncio.open_connection(*server.sockets[0].getsockname()))
            with pytest.raises(Lost):
                await Socket(connection, {}).receive()
            connection.close()

    asyncio.run(talk())
    assert pongs == [(PONG, payload)]
