# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object store of the cloud, over TLS: plain S3, or R2 with Cloudflare's API (STORE_FACE=s3|r2)."""

from __future__ import annotations

import os
import signal
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bucket import Store
from cloudflare import Api
from gate import Gate, Key
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

SECRETS = Path("/run/secrets")
TLS = Path("/cloud/tls")
CONTROL = Path("/cloud/control")
DATA = Path("/cloud/data")
CONNECTION_TIMEOUT = 120
CLOCK_FAULT = 7200


class Handler(MotoRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Without the query: a presigned URL is a credential."""
        self.log("info", "%s %s %s %s", self.headers.get("Host"), self.command, self.path.partition("?")[0], code)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header, which a fault sets back by two hours."""
        if timestamp is None and (CONTROL / f"{os.environ['STORE_FACE']}-clock").exists():
            timestamp = time.time() - CLOCK_FAULT
        return super().date_time_string(timestamp)


class Server(ThreadedWSGIServer):
    """TLS per connection, in its own thread: who connects and says nothing keeps nobody waiting."""

    daemon_threads = True

    def __init__(self, app: Any, certificate: Path, key: Path) -> None:
        super().__init__("0.0.0.0", 443, app, handler=Handler)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)
        self.ssl_context = self.tls  # by which werkzeug knows that URLs are https

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(CONNECTION_TIMEOUT)
        with self.tls.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that went away is no error of ours
            super().handle_error(request, client_address)


def secret(name: str) -> str:
    return (SECRETS / name).read_text(encoding="ascii").strip()


def key_pair(name: str, objects_only: bool = False) -> dict[str, Key]:
    return {secret(f"{name}_access_key_id"): Key(secret(f"{name}_secret_access_key"), objects_only)}


def make_gate(face: str, store: Store) -> Gate:
    moto = create_backend_app("s3")
    if face == "s3":
        return Gate(face, store, key_pair("s3"), CONTROL, moto)
    api = Api(os.environ["STORE_ACCOUNT"], secret("cloudflare_api_token"), os.environ["STORE_PUBLIC_HOST"], store)
    keys = {**key_pair("r2"), **key_pair("r2_objects", objects_only=True)}
    return Gate(face, store, keys, CONTROL, moto, api)


def keep_saved(store: Store) -> None:
    while True:
        store.changed.wait()
        time.sleep(0.5)  # many changes, one file
        store.changed.clear()
        store.save()


def stop(*_signal: Any) -> None:
    raise SystemExit(0)


def main() -> None:
    face = os.environ["STORE_FACE"]
    store = Store(os.environ["STORE_BUCKET"], DATA / "store.pickle")
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=keep_saved, args=(store,), daemon=True).start()
    try:
        Server(make_gate(face, store), TLS / f"{face}.crt", TLS / f"{face}.key").serve_forever()
    finally:
        store.save()


main()
