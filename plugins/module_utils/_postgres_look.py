# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one connection shows: version, round trip, TLS, rights, limits, and the rows of questions given as data.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import statistics
import time
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import _postgres_connect, _postgres_schema
from ._errors import OpsError
from ._postgres import Source, Target
from ._postgres_connect import Manner
from ._postgres_schema import Held, Wish

ROWS = 100  # that a reading takes
_TRIPS = 5


_ABOUT = """
SELECT current_setting('server_version') AS version,
       pg_backend_pid() AS pid,
       pg_database_size(current_database()) AS size,
       pg_is_in_recovery() AS replica,
       current_setting('default_transaction_read_only') = 'on' AS read_only,
       current_schema() AS schema,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS creates,
       host(inet_client_addr()) AS own_address
"""
_FOREIGN_TABLES = """
SELECT c.relname, pg_get_userbyid(c.relowner)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1
"""
# Sessions of others are counted, too: their database and role are there for everybody to see.
_LIMITS = """
WITH session AS (SELECT datid, usesysid FROM pg_stat_activity
                  WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend')
SELECT 'the server', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                     - coalesce(current_setting('reserved_connections', true)::int, 0),
       (SELECT count(*) FROM session)
UNION ALL
SELECT 'database ' || datname, datconnlimit, (SELECT count(*) FROM session WHERE datid = oid)
  FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
UNION ALL
SELECT 'user ' || rolname, rolconnlimit, (SELECT count(*) FROM session WHERE usesysid = oid)
  FROM pg_roles WHERE rolname = session_user AND rolconnlimit >= 0
"""
_PLAIN_SESSIONS = f"""
SELECT host(a.client_addr), coalesce(nullif(a.application_name, ''), 'no name'), count(*)
  FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid)
 WHERE a.usename = session_user AND a.datname = current_database() AND a.client_addr IS NOT NULL AND NOT s.ssl
   AND a.application_name <> '{_postgres_connect.APPLICATION}'
 GROUP BY 1, 2 ORDER BY 3 DESC
"""


@dataclass(frozen=True)
class Reading:
    """A question as data: one SELECT whose rows are what must not be.

    Attributes:
        rows: status when there are rows.
        missing_table: table without which there can be no rows.
        line: what evidence says of a row, with its columns in braces.
        none: what evidence says when there is no row.
    """

    id: str
    title: str
    connection: str
    sql: str
    rows: str
    line: str
    none: str
    remedy: str
    missing_table: str = ""

    @property
    def select(self) -> str:
        """The question as part of another, so that it can be nothing but one SELECT."""
        sql = self.sql.strip().rstrip(";")
        if ";" in sql:
            raise OpsError(f"The SQL of {self.id} has a semicolon within", "Write it as one SELECT.")
        return f"SELECT * FROM ({sql}\n) AS reading LIMIT {ROWS}"


Limit = tuple[str, int, int]


@dataclass(frozen=True)
class Seen:
    """What one connection showed.

    Attributes:
        trip: milliseconds of a round trip.
        tls: protocol and cipher of our own leg; empty when it is in the clear.
        size: bytes of the database.
        pooled: whether a pooler stands between.
        creates: whether the user may create tables in ``schema``.
        foreign: tables in it that belong to a role which the user is no member of, and that role.
        limits: whose limit, how many connections it allows, how many there are.
        plain: sessions of the user without TLS: address, application, how many.
        held: by connection, what there is of what must be there, or why that is not known.
    """

    version: str
    trip: float
    tls: str
    size: int = 0
    pooled: bool = False
    replica: bool = False
    read_only: bool = False
    schema: str | None = "public"
    creates: bool = True
    own_address: str | None = None
    foreign: Sequence[tuple[str, str]] = ()
    limits: Sequence[Limit] = ()
    plain: Sequence[tuple[str, str, int]] = ()
    rows: Mapping[str, t.Any] = field(default_factory=dict)
    held: Mapping[str, Held | OpsError] = field(default_factory=dict)


Found = t.Union[Seen, OpsError]


def see(
    target: Target,
    sources: Sequence[Source],
    readings: Sequence[Reading],
    how: Manner,
    wishes: Mapping[str, Wish] | None = None,
) -> Seen:
    """Look at one database, all in read-only transactions."""
    with _postgres_connect.connected(target, sources, how) as connection:
        with _postgres_connect.reading(connection, how.seconds) as cursor:
            trip = _round_trip(cursor)
            about = _row(cursor, _ABOUT)
            answers = [_all(cursor, sql) for sql in (_FOREIGN_TABLES, _LIMITS, _PLAIN_SESSIONS)]
        info = connection.info
        tls = f"{info.ssl_attribute('protocol')} {info.ssl_attribute('cipher')}" if info.ssl_in_use else ""
        pooled = info.backend_pid != about.pop("pid")
        rows = {reading.id: answer(connection, reading, how.seconds) for reading in readings}
        held = {name: _postgres_schema.held(connection, wish, how.seconds) for name, wish in (wishes or {}).items()}
    foreign, limits, plain = answers
    return Seen(
        trip=trip, tls=tls, pooled=pooled, foreign=foreign, limits=limits, plain=plain, rows=rows, held=held, **about
    )


def _round_trip(cursor: t.Any) -> float:
    """Return the median of a few round trips, in milliseconds."""
    taken = []
    for _number in range(_TRIPS):
        begun = time.perf_counter()
        cursor.execute("SELECT 1")
        cursor.fetchone()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def _row(cursor: t.Any, sql: str) -> dict[str, t.Any]:
    cursor.execute(sql)
    return dict(zip((column.name for column in cursor.description), cursor.fetchone()))


def _all(cursor: t.Any, sql: str) -> list[t.Any]:
    cursor.execute(sql)
    return t.cast("list[t.Any]", cursor.fetchall())


def answer(connection: t.Any, reading: Reading, seconds: int) -> list[dict[str, t.Any]] | OpsError | None:
    """Return the rows, ``None`` where the table is missing, or why there is no answer."""
    try:
        select = reading.select
        with _postgres_connect.reading(connection, seconds) as cursor:
            if reading.missing_table:
                cursor.execute("SELECT to_regclass(%s)", (reading.missing_table,))
                if cursor.fetchone()[0] is None:
                    return None
            cursor.execute(select)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]
    except OpsError as error:
        return error
