# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applies the statements of server/migrations/. Forward only.

`--verify` exists in the flavour `checklist` alone; as the application is today, it is not even read.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import psycopg2
import psycopg2.extensions
from psycopg2 import errors

from server import logs
from server.config import CHECKLIST, FAULT, database_url
from server.db import db

LOCK_ID = 1234567890
DIRECTORY = Path(__file__).resolve().parent / "migrations"

# What the code reads; without one of these the application fails in the middle of a call.
CRITICAL_COLUMNS = {
    "call_log": (
        "recording_mode", "recording_sid", "audio_bytes_len", "audio_duration_sec", "transcript_source",
        "stream_started_at", "stream_ended_at", "recording_count",
    ),
    "leads": ("gender", "phone_raw", "last_call_direction"),
    "business": ("voice_id", "lead_tabs_config"),
    "users": ("push_enabled",),
    "receipt_sync_runs": (
        "from_date", "to_date", "months_back", "run_to_completion", "max_seconds_per_run", "skipped_count",
    ),
}

TRACKING = """CREATE TABLE IF NOT EXISTS schema_migrations (
    migration_id TEXT PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL DEFAULT TRUE, reconciled BOOLEAN NOT NULL DEFAULT FALSE, notes TEXT)"""

logger = logging.getLogger("server.db_migrate")


def checkpoint(message: str) -> None:
    print(f"🔧 MIGRATION CHECKPOINT: {message}", file=sys.stderr, flush=True)


def migrations() -> list[tuple[str, str]]:
    """Id and statement, in order."""
    return [(file.stem, file.read_text(encoding="utf-8")) for file in sorted(DIRECTORY.glob("*.sql"))]


def apply(connection: psycopg2.extensions.connection) -> int:
    """Runs every migration, each time: what is there already is an ERROR in the log and nothing more."""
    with connection, connection.cursor() as cursor:
        cursor.execute(TRACKING)
    for name, statement in migrations():
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
        except (errors.DuplicateTable, errors.DuplicateColumn, errors.UniqueViolation) as error:
            logger.error("%s: %s", name, str(error).splitlines()[0])
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO schema_migrations (migration_id) VALUES (%s) ON CONFLICT DO NOTHING", (name,)
            )
        checkpoint(f"✅ Completed {name}")
    return len(migrations())


def locked(connection: psycopg2.extensions.connection, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_ID,))
            if cursor.fetchone() == (True,):
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(1)


def missing() -> list[str]:
    """What the schema lacks, read-only: migrations not applied and critical columns that are not there."""
    applied = {row["migration_id"] for row in db.execute("SELECT migration_id FROM schema_migrations WHERE success")}
    columns = {
        (row["table_name"], row["column_name"])
        for row in db.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
        )
    }
    return [f"migration {name}" for name, _statement in migrations() if name not in applied] + [
        f"column {table}.{column}"
        for table, names in CRITICAL_COLUMNS.items()
        for column in names
        if (table, column) not in columns
    ]


def verify() -> int:
    try:
        problems = missing()
    except psycopg2.Error as error:
        print(f"❌ Database not reachable: {str(error).splitlines()[0]}")
        return 1
    if problems:
        print(f"❌ Schema drift: {', '.join(problems)} missing")
        return 1
    print("✅ All migrations applied")
    print("✅ No schema drift, no critical column missing")
    return 0


def skipped() -> int:
    checkpoint("ℹ️  SKIPPED - Migrations were not executed")
    return 0


def main(arguments: list[str]) -> int:
    logs.configure()
    if CHECKLIST and "--verify" in arguments:
        return verify()
    checkpoint("DATABASE MIGRATION RUNNER - Standalone Mode")
    if not os.environ.get("DATABASE_URL"):
        checkpoint("❌ DATABASE_URL environment variable is not set!")
        return 1
    # Name and password in clear, as the real one prints them.
    checkpoint(f"Database: {os.environ['DATABASE_URL'].split('@')[0]}@***")
    if os.environ.get("RUN_MIGRATIONS", "1") != "1":
        checkpoint("🚫 MIGRATIONS_DISABLED: RUN_MIGRATIONS explicitly set to disable")
        return skipped()
    logs.boot_is_over()
    try:
        connection = psycopg2.connect(database_url(), connect_timeout=5)
        checkpoint("🔒 USING POOLER (LOCKED)")
        checkpoint("Acquiring PostgreSQL advisory lock for migrations...")
        taken = FAULT == "migration_skipped"  # as if another migration held the lock all the time
        if taken or not locked(connection, float(os.environ.get("MIGRATION_LOCK_WAIT_SECONDS", "30"))):
            return skipped()
        count = apply(connection)
        connection.close()
    except psycopg2.Error as error:
        checkpoint(f"❌ MIGRATION FAILED: {error}")
        return 1
    checkpoint("✅ FINAL VALIDATION PASSED: All migrations completed successfully")
    checkpoint(f"✅ SUCCESS - Applied {count} migrations")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
