# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which migrations a database has, and whether a release ever worked with them.

Migrations go one way. A release that was verified on some of them is not known to work on a database that has more.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from . import _postgres_connect
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Outcome
from ._errors import OpsError
from ._postgres import Source
from ._postgres_connect import Manner

PACKAGE = "psycopg2"
NAMED = 5  # migrations that a sentence names
_KEYS = {"connection", "table", "column", "sslmodes", "ca_path", "timeout"}


@dataclass(frozen=True)
class Tracking:
    """Where an application keeps the ids of the migrations that its database has.

    Attributes:
        source: the connection, by names of variables.
        table: with its schema in front where it is not the user's own.
        column: of that table, the id of a migration.
        how: how the connection is opened.
    """

    source: Source
    table: str
    column: str
    how: Manner

    @classmethod
    def of(cls, given: Mapping[str, t.Any]) -> Tracking | None:
        """Read it from data; empty is an application without migrations."""
        if not given:
            return None
        unknown, missing = sorted(given.keys() - _KEYS), sorted({"connection", "table", "column"} - given.keys())
        if unknown or missing:
            why = f"does not know {', '.join(unknown)}" if unknown else f"needs {', '.join(missing)}"
            raise OpsError(f"What is said of the schema {why}.", "See the option schema of release_plan.")
        how = Manner(
            tuple(given.get("sslmodes") or Manner().sslmodes),
            int(given.get("timeout") or Manner().seconds),
            given.get("ca_path") or "",
        )
        return cls(Source.of("schema", given["connection"]), given["table"], given["column"], how)

    def read(self, values: Mapping[str, str]) -> list[str]:
        """Return the ids of the migrations that the database has; it is asked in a read-only transaction.

        Rows of failed migrations count, too: what such a one left behind nobody knows.
        """
        try:
            from psycopg2 import sql
        except ImportError:
            raise OpsError(
                f"The Python package {PACKAGE} is not on this host", "Run the preflight playbook once; it prepares it."
            ) from None
        with _postgres_connect.own_settings():
            target = self.source.target(values)
            with _postgres_connect.connected(target, [self.source], self.how) as connection:
                with _postgres_connect.reading(connection, self.how.seconds) as cursor:
                    table = sql.Identifier(*self.table.split("."))
                    cursor.execute("SELECT to_regclass(%s)", [table.as_string(connection)])
                    if cursor.fetchone()[0] is None:
                        return []
                    cursor.execute(sql.SQL("SELECT {}::text FROM {}").format(sql.Identifier(self.column), table))
                    return sorted(row[0] for row in cursor.fetchall() if row[0] is not None)


def recorded(given: Mapping[str, t.Any], values: Mapping[str, str]) -> list[str] | None:
    """Return what a release keeps of its schema: the ids, or ``None`` where they cannot be known."""
    try:
        tracking = Tracking.of(given)
        return tracking.read(values) if tracking else None
    except OpsError:
        return None


def judge(
    given: Mapping[str, t.Any], had: Sequence[str] | None, values: Mapping[str, str], release: str, accepted: bool
) -> Outcome:
    """Judge whether a release may serve on the database as it is.

    Args:
        had: the migrations that it was verified with; ``None`` when that was not recorded.
        accepted: somebody takes it as it is: what would stop becomes a remark.
    """
    found = _judge(given, had, values, release)
    if accepted and found.status in (FAIL, UNKNOWN):
        return Outcome(WARN, f"accepted with schema=accept: {found.evidence}", found.remedy)
    return found


def _judge(given: Mapping[str, t.Any], had: Sequence[str] | None, values: Mapping[str, str], release: str) -> Outcome:
    accept = "To go back all the same: -e schema=accept"
    if not given:
        return Outcome(SKIP, "the application has no migrations")
    if had is None:
        return Outcome(UNKNOWN, f"it is not recorded on which schema release {release} was verified", accept)
    try:
        tracking = Tracking.of(given)
        has = tracking.read(values) if tracking else []
    except OpsError as error:
        evidence = f"the migrations of the database cannot be read: {error.problem}"
        return Outcome(UNKNOWN, evidence, f"{error.remedy} {accept}".strip())
    newer = sorted(set(has) - set(had))
    if newer:
        return Outcome(
            FAIL,
            f"the database has {len(newer)} migrations that release {release} never had: {some(newer)}",
            "Restore the dump from before them (the data written since is lost), or, where the old code is known to work "
            "with them: -e schema=accept",
        )
    return Outcome(PASS, f"release {release} was verified on all {len(has)} migrations that the database has")


def some(names: Iterable[str], most: int = NAMED) -> str:
    """Return the first few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
