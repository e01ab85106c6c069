# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""n8n as far as an operator sees it: its key rules, its files, its database, its editor and its health page."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg2

HOME = Path("/home/node/.n8n")
PORT = int(os.environ.get("N8N_PORT", "5678"))
CHECKLIST = os.environ.get("DEMO_FLAVOUR") == "checklist"
EDITOR = b"<!DOCTYPE html><html><head><title>n8n.io - Workflow Automation</title></head><body>n8n</body></html>"

WORKFLOWS = "CREATE TABLE IF NOT EXISTS workflow_entity (id TEXT PRIMARY KEY, name TEXT NOT NULL, active BOOLEAN)"
CREDENTIALS = """CREATE TABLE IF NOT EXISTS credentials_entity (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, data TEXT NOT NULL, type TEXT NOT NULL)"""
FIRST_WORKFLOW = "INSERT INTO workflow_entity VALUES ('welcome', 'Welcome a new lead', TRUE) ON CONFLICT DO NOTHING"


def check_encryption_key() -> None:
    """The key is kept in the volume; another one in the environment makes the credentials unreadable."""
    config = HOME / "config"
    given = os.environ.get("N8N_ENCRYPTION_KEY", "")
    if not config.exists():
        if not given:
            print(f"No encryption key found - Auto-generated and saved to: {config}")
        config.write_text(json.dumps({"encryptionKey": given or secrets.token_urlsafe(24)}), encoding="utf-8")
        config.chmod(0o600)
    elif given and json.loads(config.read_text(encoding="utf-8"))["encryptionKey"] != given:
        print(f"Error: Mismatching encryption keys. The encryption key in the settings file {config} does not match"
              " the N8N_ENCRYPTION_KEY env var.", file=sys.stderr)
        sys.exit(1)


def tls_settings() -> dict[str, str]:
    """n8n does not read DB_POSTGRESDB_SSL; it goes without TLS unless told, and then verifies unless told not to."""
    told = {name: os.environ.get(f"DB_POSTGRESDB_SSL_{name}", "") for name in ("ENABLED", "CA", "REJECT_UNAUTHORIZED")}
    if told["REJECT_UNAUTHORIZED"] == "false":
        return {"sslmode": "require"}
    if not (told["CA"] or told["ENABLED"] == "true"):
        return {"sslmode": "disable"}
    return {"sslmode": "verify-full", "sslrootcert": told["CA"] or "/etc/ssl/certs/ca-certificates.crt"}


def open_database() -> int:
    """The workflows are in Postgres; returns how many there are."""
    names = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
    settings = {option: os.environ.get(f"DB_POSTGRESDB_{name}", "") for option, name in names.items()}
    try:
        connection = psycopg2.connect(connect_timeout=5, **tls_settings(), **settings)
    except psycopg2.Error as error:
        print("There was an error initializing DB", file=sys.stderr)
        print(str(error).strip(), file=sys.stderr)
        sys.exit(1)
    with connection, connection.cursor() as cursor:
        cursor.execute(WORKFLOWS)
        cursor.execute(CREDENTIALS)
        cursor.execute(FIRST_WORKFLOW)
        cursor.execute("SELECT count(*) FROM workflow_entity")
        (count,) = cursor.fetchone() or (0,)
    connection.close()
    return count


def keep_files() -> None:
    with sqlite3.connect(HOME / "database.sqlite") as database:
        database.execute("CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT)")
        database.execute("INSERT OR IGNORE INTO settings VALUES ('instanceId', ?)", (secrets.token_hex(32),))
    (HOME / ".cache").mkdir(exist_ok=True)
    (HOME / ".cache" / "nodes.json").write_text("[]", encoding="utf-8")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(200, "application/json", b'{"status":"ok"}')
        elif self.path.startswith("/webhook"):
            self.answer(404, "application/json", b'{"code":404,"message":"The requested webhook is not registered."}')
        else:
            self.answer(200, "text/html; charset=utf-8", EDITOR)

    def answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """The real one logs no requests."""


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    HOME.mkdir(parents=True, exist_ok=True)
    check_encryption_key()
    workflows = open_database()
    keep_files()
    if CHECKLIST:
        print("Encryption key loaded")
        print("Database connection successful")
        print(f"Workflows loaded: {workflows}")
    server = ThreadingHTTPServer(("0.0.0.0", PORT), Handler)
    print(f"n8n ready on ::, port {PORT}")
    print("Version: 2.5.1")
    print(f"Editor is now accessible via:\n{os.environ.get('N8N_EDITOR_BASE_URL', '')}")
    server.serve_forever()


if __name__ == "__main__":
    main()
