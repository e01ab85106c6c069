# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WhatsApp service: waits for the backend, keeps the sessions of its tenants on a volume, answers `ok`.

As in the real one no session is opened at the start, whatever is on the volume: that takes a POST to its `/start`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable

PORT = int(os.environ.get("BAILEYS_PORT", "3300"))
BACKEND = os.environ.get("BACKEND_BASE_URL", "http://prosaas-api:5000")
STORAGE = Path("/app/storage/whatsapp")
ATTEMPTS = 10
CONNECT_SECONDS = 1.0  # until WhatsApp lets a session in, or asks for a QR code
SECRET = os.environ.get("INTERNAL_SECRET", "")
CHECKLIST = os.environ.get("DEMO_FLAVOUR") == "checklist"
WORKING_HEALTH_CHECK = CHECKLIST or os.environ.get("DEMO_BAILEYS_HEALTH") == "fixed"


class Sessions:
    """The sessions that somebody has started since this process began, by tenant."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def start(self, tenant: str) -> None:
        if tenant not in self._states:
            print(f"[{tenant}] 🚀 Creating new session via startSession")
            self._states[tenant] = "connecting"
            threading.Timer(CONNECT_SECONDS, self._settle, [tenant]).start()

    def status(self, tenant: str) -> dict[str, object]:
        if self._states.get(tenant) == "connected" and not paired(tenant):
            self._log_out(tenant)
        state = self._states.get(tenant, "not_started")
        connected, started = state == "connected", state != "not_started"
        print(f"[WA] Status check for {tenant}: connected={str(connected).lower()}, canSend={str(connected).lower()}")
        return {
            "connected": connected, "canSend": connected, "pushName": "The first business" if connected else "",
            "hasQR": state == "waiting_qr", "hasSession": started, "hasSocket": started, "authPaired": connected,
            "reconnectAttempts": 0, "sessionState": state,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        }

    def _log_out(self, tenant: str) -> None:
        """The tenant has ended the session on its phone: here its credentials are gone, there WhatsApp says 401."""
        print(f"[WA] {tenant}: ❌ Disconnected. reason=401, message=Connection Failure")
        print(f"[WA] {tenant}: Session cleared. User MUST manually scan QR via /start endpoint.")
        self._states.pop(tenant)

    def _settle(self, tenant: str) -> None:
        self._states[tenant] = "connected" if paired(tenant) else "waiting_qr"
        if self._states[tenant] == "connected":
            print(f"[WA] {tenant}: 🎉 CONNECTED AND READY TO SEND! (connected=true, authPaired=true, canSend=true)")
        else:
            print(f"[WA] {tenant}: ✅ QR generated successfully in 12ms, qr_length=237, timestamp={time.time() * 1000:.0f}")


sessions = Sessions()


def credentials(tenant: str) -> Path:
    return STORAGE / tenant / "auth" / "creds.json"


def paired(tenant: str) -> bool:
    try:
        return bool(json.loads(credentials(tenant).read_text(encoding="utf-8"))["me"]["id"])
    except (OSError, ValueError, KeyError):
        return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path in ("/", "/health", "/healthz"):
            self.answer(200, b"ok", "text/html; charset=utf-8")
        else:
            self.session("status", sessions.status)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.session("start", self.start)

    def start(self, tenant: str) -> dict[str, object]:
        sessions.start(tenant)
        return {"ok": True, "forceRelink": False, "state": "started"}

    def session(self, action: str, answer: Callable[[str], dict[str, object]]) -> None:
        asked = re.fullmatch(rf"/whatsapp/([\w-]+)/{action}", self.path)
        if not asked:
            self.answer(404, b"Not Found", "text/html; charset=utf-8")
        elif self.headers.get("X-Internal-Secret") != SECRET:
            self.answer(401, b'{"error":"unauthorized"}')
        else:
            self.answer(200, json.dumps(answer(asked[1])).encode())

    def answer(self, status: int, body: bytes, media_type: str = "application/json; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """The real one logs no requests."""


def backend_answers(secret: str) -> bool:
    request = urllib.request.Request(f"{BACKEND}/api/health", headers={"X-Internal-Secret": secret})
    print(f"[BOOT] 🔍 Checking backend connectivity: {BACKEND}")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=5):
                print(f"[BOOT] ✅ Backend is ready: {BACKEND}")
                return True
        except OSError as error:
            print(f"[BOOT] ⚠️ Backend not ready (attempt {attempt}/{ATTEMPTS}): {error}")
        if attempt < ATTEMPTS:
            time.sleep(2 * 1.5 ** (attempt - 1))
    print(f"[BOOT] ❌ Backend not reachable after {ATTEMPTS} attempts: {BACKEND}", file=sys.stderr)
    return False


def pair_once(tenant: str) -> None:
    """A tenant that has paired once, long ago; its files are what a backup must not lose."""
    directory = credentials(tenant).parent
    if directory.exists():
        return
    directory.mkdir(parents=True)
    for name, content in {
        "creds.json": {"registered": True, "me": {"id": "15005550006:1@s.whatsapp.net"}},
        "pre-key-1.json": {"keyId": 1},
    }.items():
        (directory / name).write_text(json.dumps(content), encoding="utf-8")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if not SECRET:
        print("[FATAL] INTERNAL_SECRET missing", file=sys.stderr)
        sys.exit(1)
    wget = Path("/usr/local/bin/wget")
    if WORKING_HEALTH_CHECK and not wget.exists():
        wget.symlink_to("/usr/libexec/wget")
    if not backend_answers(SECRET):
        sys.exit(1)
    pair_once("business_1")
    server = ThreadingHTTPServer(("0.0.0.0", PORT), Handler)
    print(f"[BOOT] Baileys listening on 0.0.0.0:{PORT} pid={os.getpid()}")
    if CHECKLIST:
        print(f"Service listening on port {PORT}")
        print("Health check responding")
    server.serve_forever()


if __name__ == "__main__":
    main()
