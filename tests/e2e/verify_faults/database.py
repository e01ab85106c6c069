# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of the databases after a deployment: not reached, or not holding what is read."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from demo_stack import run
from faults import Fault, both, cloud

NAMES = ("app", "n8n")


def every(*what: str) -> list[str]:
    return [f"database.{name}.{one}" for name in NAMES for one in what]


HELD = ["database.app.migrations", "database.app.tables", "database.n8n.tables", "database.n8n.workflows"]


def sql(database: str, statement: str) -> None:
    server = ["docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1"]
    run(*server, "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement)


@contextlib.contextmanager
def changed(database: str, change: str, back: str) -> Iterator[None]:
    sql(database, change)
    try:
        yield
    finally:
        sql(database, back)


# The application's `DB OK` and its `--verify` are green all the while (trap 9): neither asks the database.
half_migrated = functools.partial(
    changed,
    "prosaas",
    "UPDATE schema_migrations SET success = false WHERE migration_id = '009_receipt_sync_runs';"
    "DELETE FROM schema_migrations WHERE migration_id = '006_faqs';"
    "ALTER TABLE leads RENAME COLUMN gender TO gender_",
    "UPDATE schema_migrations SET success = true;"
    "INSERT INTO schema_migrations (migration_id) VALUES ('006_faqs') ON CONFLICT DO NOTHING;"
    "ALTER TABLE leads RENAME COLUMN gender_ TO gender",
)
another_n8n = functools.partial(
    changed,
    "n8n",
    "ALTER TABLE workflow_entity RENAME TO workflow_entity_",
    "ALTER TABLE workflow_entity_ RENAME TO workflow_entity",
)

FAULTS: list[Fault] = [
    Fault(
        "the database has its TLS switched off",
        functools.partial(cloud, "db-no-tls"),
        {**dict.fromkeys(every("connect", "tls"), "fail"), **dict.fromkeys([*every("room"), *HELD], "unknown")},
    ),
    Fault(
        "the database has no connection left",
        functools.partial(cloud, "db-full"),
        dict.fromkeys(every("connect", "room"), "fail"),
    ),
    Fault(
        "the containers are cut off, a migration failed, a column is missing, and n8n has lost its workflows (traps 3 and 9)",
        functools.partial(both, functools.partial(cloud, "db-cut-off"), half_migrated, another_n8n),
        {**dict.fromkeys([*every("inside"), *HELD], "fail"), **dict.fromkeys(every("connect", "tls", "room"), "pass")},
    ),
]
