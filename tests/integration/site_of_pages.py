# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site of its own for the tests of pages: served over TLS by an authority made for it, as good or bad as it is told."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = "site.test"
HTML, SCRIPT, STYLE = "text/html", "text/javascript", "text/css"
PAGE = """<!doctype html><html><head><title>A site</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/app.css"><script type="module" src="/app.js"></script></head>
<body><form><input id="word" type="password"></form></body></html>"""
FILES: dict[str, tuple[int, str, str]] = {
    "/": (200, HTML, PAGE),
    "/app.css": (200, STYLE, "body { margin: 2em }"),
    "/app.js": (200, SCRIPT, "fetch('/api/me')"),
    "/api/me": (401, "application/json", "{}"),
}


@dataclass
class Site:
    """What is served; a file that is slow never ends.

    Attributes:
        turns: what is served by path from a number of requests for ``/`` on.
    """

    port: int = 0
    ca: str = ""
    files: dict[str, tuple[int, str, str]] = field(default_factory=lambda: dict(FILES))
    slow: str = ""
    visits: int = 0
    turns: tuple[int, dict[str, tuple[int, str, str]]] | None = None

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}/"

    def answer(self, path: str) -> tuple[int, str, str]:
        self.visits += path == "/"
        if self.turns and self.visits >= self.turns[0]:
            self.files.update(self.turns[1])
        return self.files.get(path, (404, HTML, "not found"))


def certificate(directory: Path, days: int = 90) -> tuple[Path, Path, Path]:
    """Make an authority, and a certificate of it with its key."""
    ca, key, cert = directory / "ca.crt", directory / "key", directory / "crt"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days)]
    calls = [
        [*new, "-subj", "/CN=an authority", "-keyout", f"{ca}.key", "-out", str(ca)],
        [
            *(*new, "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-CA", str(ca), "-CAkey", f"{ca}.key"),
            *("-addext", "basicConstraints=critical,CA:false", "-keyout", str(key), "-out", str(cert)),
        ],
    ]
    for call in calls:
        subprocess.run(call, check=True, capture_output=True, timeout=60)
    return ca, key, cert


@contextlib.contextmanager
def site(directory: Path, days: int = 90) -> Iterator[Site]:
    told = Site()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == told.slow:
                over.wait(30)
            status, kind, body = told.answer(path)
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("X-Content-Type-Options", "nosniff")  # as the application's edge does
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_arguments: object) -> None:
            """Say nothing: who refuses the certificate hangs up."""

    ca, key, cert = certificate(directory, days)
    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    told.port, told.ca = server.server_address[1], str(ca)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def browsers() -> list[str]:
    """Return what is left of browsers of ours on this machine: processes and profiles."""
    left = [str(path) for path in Path("/tmp").glob("prosaas-ops-browser-*")]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            left += [str(process)] if b"prosaas-ops-browser-" in process.read_bytes() else []
    return left


def none_left(seconds: float = 3) -> bool:
    until = time.monotonic() + seconds
    while browsers() and time.monotonic() < until:
        time.sleep(0.1)
    return not browsers()
