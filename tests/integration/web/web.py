# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web service of a tiny stack: it says its version, and can hold an answer open as a call holds its stream."""

from __future__ import annotations

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ["VERSION"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _mark, query = self.path.partition("?")
        broken = os.environ.get("BROKEN") == path.strip("/")
        self.send_response(500 if broken else 200)
        if path == "/stream":
            self.send_header("Connection", "close")
            self.end_headers()
            for _number in range(int(query) * 10):
                self.wfile.write(f"{VERSION}\n".encode())
                self.wfile.flush()
                time.sleep(0.1)
            self.close_connection = True
            return
        body = VERSION.encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


if os.environ.get("BROKEN") == "start":
    sys.exit("no, not today")
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
