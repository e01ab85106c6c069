# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 and WebSocket, as much as the load needs, without a retry anywhere.

Client libraries repeat a request whose kept connection turns out to be closed, and do not say so; here every byte that
did not come is seen. The standard library alone: the benchmark runs with what demo/run has installed.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import struct
import time
import typing as t

# A kept connection that is closed this soon after a request was written had been closed before the request arrived.
CROSSED_SECONDS = 0.05
LIMIT = 1 << 20
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Lost(Exception):
    """The answer did not come, or not whole; the message is the reason in a few words."""


class Idle(Exception):
    """The server had closed the kept connection before it saw the request: not one byte of an answer came."""


class Answer(t.NamedTuple):
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Site:
    """One public address: where to connect and whom to believe."""

    def __init__(self, host: str, ca: str, port: int = 443) -> None:
        self.host = host
        self.port = port
        self.context = ssl.create_default_context(cafile=ca)
        self.context.set_alpn_protocols(["http/1.1"])

    async def connect(self) -> Connection:
        try:
            streams = await asyncio.open_connection(self.host, self.port, ssl=self.context, limit=LIMIT)
        except OSError as error:
            raise Lost(f"connect: {_reason(error)}") from error
        return Connection(*streams)

    def request(self, method: str, path: str, headers: t.Mapping[str, str], body: bytes) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "User-Agent: prosaas-load"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One connection; ``used`` tells whether an answer has already come over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.used = reader, writer, False

    @property
    def closed(self) -> bool:
        """Seen closed by the other side: nobody would send a request over it."""
        return self.reader.at_eof() or self.reader.exception() is not None or self.writer.is_closing()

    async def ask(self, request: bytes) -> Answer:
        sent = time.monotonic()
        try:
            self.writer.write(request)
            first = await self.reader.read(1)
        except OSError as error:
            raise self._nothing(sent, _reason(error)) from error
        if not first:
            raise self._nothing(sent, "closed")
        try:
            head = first + await self.reader.readuntil(b"\r\n\r\n")
            status, headers = parse_head(head)
            body = await self._body(status, headers)
        except asyncio.IncompleteReadError as error:
            raise Lost("answer cut short") from error
        except (OSError, ValueError, asyncio.LimitOverrunError) as error:
            raise Lost(f"answer cut short: {_reason(error)}") from error
        self.used = True
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)

    def _nothing(self, sent: float, reason: str) -> Exception:
        if self.used and time.monotonic() - sent < CROSSED_SECONDS:
            return Idle(reason)
        return Lost(f"no answer: {reason}")

    async def _body(self, status: int, headers: t.Mapping[str, str]) -> bytes:
        if status == 204:
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        return await self.reader.readexactly(int(headers["content-length"]))

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
            piece = await self.reader.readexactly(size + 2)
            if not size:
                return body
            body += piece[:-2]

    def close(self) -> None:
        self.writer.close()


class Socket:
    """A WebSocket: text frames both ways, pings answered."""

    def __init__(self, connection: Connection, headers: t.Mapping[str, str]) -> None:
        self.connection, self.headers = connection, headers

    @classmethod
    async def open(cls, site: Site, path: str, protocol: str) -> Socket:
        connection = await site.connect()
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Protocol": protocol,
        }
        try:
            connection.writer.write(site.request("GET", path, headers, b""))
            status, answered = parse_head(await connection.reader.readuntil(b"\r\n\r\n"))
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            connection.close()
            raise Lost(f"handshake: {_reason(error)}") from error
        if status != 101:
            connection.close()
            raise Lost(f"handshake: status {status}")
        return cls(connection, answered)

    def send(self, text: str) -> None:
        self._send(TEXT, text.encode())

    def _send(self, kind: int, payload: bytes) -> None:
        try:
            self.connection.writer.write(frame(kind, payload))
        except OSError as error:
            raise Lost(_reason(error)) from error

    async def receive(self) -> str:
        """Return the next text; raise Lost when the other side ends the stream."""
        while True:
            try:
                kind, payload = await self._frame()
            except (OSError, asyncio.IncompleteReadError) as error:
                raise Lost(f"stream: {_reason(error)}") from error
            if kind == CLOSE:
                raise Lost(f"stream: closed with {struct.unpack('!H', payload[:2])[0] if payload else 'no code'}")
            if kind == PING:
                self._send(PONG, payload)  # byte for byte: a server ends a stream whose pong is another
            if kind == TEXT:
                return payload.decode()

    async def _frame(self) -> tuple[int, bytes]:
        first, length = await self.connection.reader.readexactly(2)
        if length == 126:
            length = struct.unpack("!H", await self.connection.reader.readexactly(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", await self.connection.reader.readexactly(8))[0]
        return first & 15, await self.connection.reader.readexactly(length)

    def close(self) -> None:
        self.connection.close()


def frame(kind: int, payload: bytes) -> bytes:
    """Return a whole masked frame; nothing here is longer than 65535 bytes."""
    mask = os.urandom(4)
    size = len(payload)
    head = bytes([0x80 | kind, 0x80 | size]) if size < 126 else bytes([0x80 | kind, 0xFE]) + struct.pack("!H", size)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.strip().lower(): value.strip() for name, _colon, value in pairs}


def _reason(error: BaseException) -> str:
    """Return the error in words without addresses or numbers, so that the same reason reads the same each time."""
    if isinstance(error, ssl.SSLError):
        return "TLS"
    if isinstance(error, asyncio.IncompleteReadError):
        return "closed"
    known = {ConnectionRefusedError: "refused", ConnectionResetError: "reset", BrokenPipeError: "reset"}
    return next((word for kind, word in known.items() if isinstance(error, kind)), type(error).__name__)
