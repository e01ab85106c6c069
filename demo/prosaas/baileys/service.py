# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WhatsApp service: waits for the backend, keeps the sessions of its tenants on a volume, answers `ok`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = int(os.environ.get("BAILEYS_PORT", "3300"))
BACKEND = os.environ.get("BACKEND_BASE_URL", "http://prosaas-api:5000")
STORAGE = Path("/app/storage/whatsapp")
ATTEMPTS = 10
CHECKLIST = os.environ.get("DEMO_FLAVOUR") == "checklist"
WORKING_HEALTH_CHECK = CHECKLIST or os.environ.get("DEMO_BAILEYS_HEALTH") == "fixed"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        known = self.path in ("/", "/health", "/healthz")
        body = b"ok" if known else b"Not Found"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain")
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


def keep_session(tenant: Path) -> None:
    """A tenant that has paired once; its files are what a backup must not lose."""
    tenant.mkdir(parents=True, exist_ok=True)
    for name, content in {
        "creds.json": {"registered": True, "me": {"id": "15005550006:1@s.whatsapp.net"}},
        "pre-key-1.json": {"keyId": 1},
    }.items():
        file = tenant / name
        if not file.exists():
            file.write_text(json.dumps(content), encoding="utf-8")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    secret = os.environ.get("INTERNAL_SECRET")
    if not secret:
        print("[FATAL] INTERNAL_SECRET missing", file=sys.stderr)
        sys.exit(1)
    wget = Path("/usr/local/bin/wget")
    if WORKING_HEALTH_CHECK and not wget.exists():
        wget.symlink_to("/usr/libexec/wget")
    if not backend_answers(secret):
        sys.exit(1)
    keep_session(STORAGE / "tenant-1")
    server = ThreadingHTTPServer(("0.0.0.0", PORT), Handler)
    print(f"[BOOT] Baileys listening on 0.0.0.0:{PORT} pid={os.getpid()}")
    if CHECKLIST:
        print(f"Service listening on port {PORT}")
        print("Health check responding")
    server.serve_forever()


if __name__ == "__main__":
    main()
