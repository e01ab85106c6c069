# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of the databases: away, without TLS, full, without rights, out of the containers' reach; and live work."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from demo_stack import run

from faults import Fault, both, cloud

NAMES = ("main", "pooler", "direct", "n8n")
MIGRATED = ("main", "pooler", "n8n")


def every(what: str, names: tuple[str, ...] = NAMES) -> list[str]:
    return [f"database.{name}.{what}" for name in names]


def sql(statement: str) -> None:
    run("docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1", "psql", "-qX", "-d", "prosaas", "-c", statement)


@contextlib.contextmanager
def running_campaign() -> Iterator[None]:
    """A customer has started a campaign."""
    sql(
        "INSERT INTO outbound_call_runs (id, business_id, total_leads, completed_count, in_progress_count)"
        " SELECT 4711, min(id), 80, 12, 3 FROM business"
    )
    try:
        yield
    finally:
        sql("DELETE FROM outbound_call_runs WHERE id = 4711")


FAULTS: list[Fault] = [
    Fault(
        "the database is down",
        functools.partial(cloud, "db-down"),
        dict.fromkeys(
            [*every("connect"), *every("tls"), *every("room"), *every("inside"), *every("rights", MIGRATED)]
            + ["database.campaigns"],
            "unknown",
        ),
    ),
    Fault(
        "the database has its TLS switched off",
        functools.partial(cloud, "db-no-tls"),
        dict.fromkeys([*every("connect"), *every("tls")], "fail"),
    ),
    Fault(
        "the database has no connection left",
        functools.partial(cloud, "db-full"),
        {**dict.fromkeys([*every("connect"), *every("room")], "fail"), "database.campaigns": "unknown"},
    ),
    Fault(
        "somebody took the right to create tables, the containers are cut off, and a campaign is running",
        functools.partial(
            both,
            functools.partial(cloud, "db-no-rights"),
            functools.partial(cloud, "db-cut-off"),
            running_campaign,
        ),
        {
            **dict.fromkeys([*every("rights", MIGRATED), *every("inside"), "database.campaigns"], "fail"),
            **dict.fromkeys([*every("connect"), *every("tls"), *every("room")], "pass"),
        },
    ),
]
