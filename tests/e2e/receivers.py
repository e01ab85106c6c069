# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A webhook's receiver and a mail server on this machine, as small as they can be; each keeps what it was sent."""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import json
import socketserver
import threading
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Received:
    """What came in, in order, and where to send it."""

    port: int
    got: list[t.Any] = field(default_factory=list)
    status: int = 200  # what a webhook is answered


@contextlib.contextmanager
def webhook() -> Iterator[Received]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.got.append({"path": self.path, **json.loads(body)})
            self.send_response(received.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Received(server.server_address[1])
    with _serving(server):
        yield received


@contextlib.contextmanager
def mailbox() -> Iterator[Received]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mail.test\r\n")
            for line in self.rfile:
                word = line[:4].upper()
                if word == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                self.wfile.write(b"354 go on\r\n" if word == b"DATA" else b"250 fine\r\n")
                if word == b"DATA":
                    text = b"".join(iter(self.rfile.readline, b".\r\n"))
                    received.got.append(email.message_from_bytes(text, policy=email.policy.default))
                    self.wfile.write(b"250 kept\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    received = Received(server.server_address[1])
    with _serving(server):
        yield received


@contextlib.contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
