# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a business leaves on its host and in its databases, and what of it is there."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

from demo_stack import DEMO, run

STATE, BACKUPS, BEFORE_RELEASES = DEMO / "state", DEMO / "state/backups", DEMO / "state/backups-before-releases"
SERVER = ("docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1", "psql", "-XAt")
RECORDINGS = json.dumps({"backup_volumes_extra": [{"name": "recordings_data", "required": True}]})


def mountpoint(volume: str) -> Path:
    return Path(run("docker", "volume", "inspect", "-f", "{{.Mountpoint}}", f"prosaasil_{volume}").strip())


def tree(directory: Path) -> dict[str, tuple[t.Any, ...]]:
    """Return mode, owner and content of everything, by path; without what a start of the application writes anew."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(directory))] = (oct(status.st_mode), status.st_uid, status.st_gid, content)
    return found


def rows(database: str) -> str:
    count = "query_to_xml(format('SELECT count(*) AS n FROM %I.%I', table_schema, table_name), false, true, '')"
    sql = (
        f"SELECT table_name, (xpath('/row/n/text()', {count}))[1] FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1"
    )
    return run(*SERVER, "-d", database, "-c", sql)


def newest() -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((max(BACKUPS.glob("2*")) / "manifest.json").read_text()))


def fill() -> None:
    """Have what a business leaves on its host, however often it is called: workflows, a session with many small files, a recording, rows."""
    workflows = "INSERT INTO workflow_entity SELECT 'w' || n, 'Workflow ' || n, n % 2 = 0 FROM generate_series(1, 40) n"
    run(*SERVER, "-d", "n8n", "-c", f"{workflows} ON CONFLICT DO NOTHING")
    run(*SERVER, "-d", "prosaas", "-c", "CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, said text)")
    run(*SERVER, "-d", "prosaas", "-c", "ALTER TABLE notes OWNER TO prosaas")
    notes = "INSERT INTO notes (said) SELECT 'שלום ' || n FROM generate_series(1, 5000) n"
    run(*SERVER, "-d", "prosaas", "-c", f"{notes} WHERE NOT EXISTS (SELECT FROM notes)")
    session = mountpoint("whatsapp_auth") / "kept"
    session.mkdir(exist_ok=True)
    for number in range(300):
        (session / f"pre-key-{number}.json").write_text(json.dumps({"keyPair": os.urandom(32).hex()}), encoding="ascii")
        os.chown(session / f"pre-key-{number}.json", 1000, 1000)
    (mountpoint("recordings_data") / "call.wav").write_bytes(os.urandom(3_000_000))
