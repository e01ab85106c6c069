# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump brought back into a database, beside what was there until somebody says that the new is good.

In one transaction each schema is renamed (``before_ID_NAME``) and made anew from the dump. :func:`undo` takes that
back, :func:`settle` lets go of what was there.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from . import _pg_before, _pg_counts, _pg_pour, _pg_tools
from ._check import stopwatch
from ._dump import NO_LIMITS, TRANSACTION_PORTS, no_session, session_of_its_own
from ._errors import OpsError
from ._pg_before import aside, quiet
from ._pg_counts import Counts
from ._pg_pour import DROP, KEEP, identifier, literal
from ._pg_tools import Tools
from ._postgres import Target
from ._postgres_connect import Manner, changing, connected
from ._postgres_refusal import Refused

_MAINTENANCE = ("postgres", "template1")  # databases to connect to in order to make another
_NONE = "prosaas.ops: there was none"  # comment on a schema that stands for one that was not there
_ID = re.compile(r"\d{8}T\d{6}Z[0-9A-Za-z-]*")


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        schemas: that were made anew.
        kept: schemas that hold what was there, as they are called now.
        notes: what could not be brought back, a phrase each (an extension, a publication).
        seconds: that it took.
    """

    schemas: list[str]
    kept: list[str]
    notes: list[str]
    seconds: float


def elsewhere(target: Target, database: str) -> Target:
    """Return the same server and user with another database."""
    return Target(tuple(sorted({**dict(target.params), "dbname": database}.items())))


def ensure(target: Target, how: Manner, facts: Mapping[str, t.Any] | None = None) -> bool:
    """Make the database if it is not there; return whether it was made.

    Args:
        facts: of the dump that it is for: the database gets its encoding and collation.
    """
    try:
        with connected(target, (), how):
            return False
    except Refused as refused:
        if refused.kind != "database":
            raise
    name = identifier(target.database)
    sql = f"CREATE DATABASE {name} TEMPLATE template0"
    if facts:
        alike = (("ENCODING", "encoding"), ("LC_COLLATE", "collation"), ("LC_CTYPE", "ctype"))
        sql += "".join(f" {word} {literal(str(facts[key]))}" for word, key in alike)
    by_hand = f"Run it as a user that may: {sql} OWNER {identifier(target.user)}"
    last: OpsError | None = None
    for maintenance in _MAINTENANCE:
        try:
            with changing(elsewhere(target, maintenance), how) as connection:
                with quiet(f"The database {target.database} cannot be made", by_hand), connection.cursor() as cursor:
                    cursor.execute(sql)
                return True
        except Refused as refused:
            last = refused
    why = last.problem if last else ""
    raise OpsError(f"The database {target.database} is not there, and cannot be made: {why}.", by_hand)


def restore(
    target: Target,
    tools: Tools,
    how: Manner,
    stream: t.BinaryIO,
    facts: Mapping[str, t.Any],
    restore_id: str,
    *,
    owners: str = KEEP,
    lock_seconds: int = 30,
) -> Restored:
    """Bring a dump back, all of it or nothing, and keep what was there.

    Args:
        stream: the archive; it is read to its end.
        facts: of the dump.
        restore_id: begins with a time (``20261122T210501Z``), as ids of runs and backups do.
        owners: ``keep``, or ``drop`` where the server has other roles: all will be the connection's user's.
        lock_seconds: how long to wait for a lock.
    """
    if not _ID.fullmatch(restore_id):
        raise OpsError(f"{restore_id} is no id of a restore.", "It begins with a time: 20261122T210501Z.")
    if owners not in (KEEP, DROP):
        raise OpsError(f"owners is {owners}.", f"It must be {KEEP} or {DROP}.")
    _direct(target)
    with connected(target, (), how) as connection:
        session_of_its_own(connection, target, how)
        found = _pg_before.look(connection, facts["schemas"], lock_seconds)
    _pg_before.refuse(found, facts, restore_id, owners, target.user)
    programs = _pg_tools.find(tools, found.major, int(facts["tool_major"]))
    settings = _pg_tools.with_options(_pg_tools.settings(target, how, programs), *NO_LIMITS)
    with stopwatch() as seconds:
        notes = _pg_pour.pour(
            stream,
            programs,
            facts,
            server=found.major,
            before=making_room(found, facts, restore_id, lock_seconds),
            settings=settings,
            owners=owners,
            remedy=f"{found.sessions} other sessions use the database: stop them if one was in the way, "
            "else see the log of the server.",
        )
        took = seconds()
    kept = [aside(restore_id, name) for name in facts["schemas"]]
    return Restored(list(facts["schemas"]), kept, [*notes, *found.publications], took)


def making_room(found: _pg_before.Found, facts: Mapping[str, t.Any], restore_id: str, lock_seconds: int) -> str:
    """Return SQL that puts the schemas aside and makes empty ones, with the extensions that were in them."""
    lines = [f"SET LOCAL lock_timeout = {lock_seconds * 1000}", "SET LOCAL client_min_messages = warning"]
    for name in facts["schemas"]:
        kept = identifier(aside(restore_id, name))
        if name in found.schemas:
            lines.append(f"ALTER SCHEMA {identifier(name)} RENAME TO {kept}")
        else:
            lines += [f"CREATE SCHEMA {kept}", f"COMMENT ON SCHEMA {kept} IS {literal(_NONE)}"]
        lines.append(f"CREATE SCHEMA {identifier(name)}")
        lines += [
            f"ALTER EXTENSION {identifier(extension)} SET SCHEMA {identifier(name)}"
            for extension, (schema, _why_not) in sorted(found.extensions.items())
            if schema == name
        ]
    sql = "".join(f"{line};\n" for line in lines)
    return sql + _pg_pour.extensions(facts["extensions"], list(found.extensions))


def counts(target: Target, how: Manner, schemas: Sequence[str]) -> Counts:
    """Count what is there now, of one moment."""
    with connected(target, (), how) as connection, quiet("Counting the rows"):
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL row_security = off")
            return _pg_counts.count(cursor, schemas)


def sessions(target: Target, how: Manner) -> list[str]:
    """Return the other sessions that use the database: application, user and address of each."""
    with connected(target, (), how) as connection, quiet("Asking for sessions"), connection.cursor() as cursor:
        cursor.execute(_pg_before.SESSIONS)
        return [" ".join(filter(None, row)) for row in cursor.fetchall()]


def unsettled(target: Target, how: Manner) -> dict[str, list[str]]:
    """Return the restores whose old schemas are still there: by id, the names that these had."""
    with connected(target, (), how) as connection, quiet("Asking for schemas"), connection.cursor() as cursor:
        found: dict[str, list[str]] = {}
        for restore_id, name, _none in _kept(cursor):
            found.setdefault(restore_id, []).append(name)
        return found


def undo(target: Target, how: Manner, restore_id: str, *, lock_seconds: int = 30) -> list[str]:
    """Drop what a restore made and bring back what was there, all or nothing; return the schemas."""
    with _transaction(target, how, f"Undoing the restore {restore_id}", lock_seconds) as cursor:
        kept = _of(cursor, restore_id)
        _pg_before.nothing_outside(cursor, list(kept), "Drop it first: it came after the restore.")
        for name, was_none in kept.items():
            new, old = identifier(name), identifier(aside(restore_id, name))
            # One that cannot be moved came with the restore, which refuses such a schema, and goes with it.
            for extension in [] if was_none else _pg_before.movable(cursor, name):
                cursor.execute(f"ALTER EXTENSION {identifier(extension)} SET SCHEMA {old}")
            cursor.execute(f"DROP SCHEMA IF EXISTS {new} CASCADE")
            cursor.execute(f"DROP SCHEMA {old}" if was_none else f"ALTER SCHEMA {old} RENAME TO {new}")
        return list(kept)


def settle(target: Target, how: Manner, restore_id: str, *, lock_seconds: int = 30) -> list[str]:
    """Let go of what was there before a restore, all or nothing; return the schemas. There is no way back from it."""
    with _transaction(target, how, f"Settling the restore {restore_id}", lock_seconds) as cursor:
        kept = [aside(restore_id, name) for name in _of(cursor, restore_id)]
        _pg_before.nothing_outside(cursor, kept, "Lead it to the new schema first.")
        for name in kept:
            cursor.execute(f"DROP SCHEMA {identifier(name)} CASCADE")
        return kept


def _direct(target: Target) -> None:
    if target.port in TRANSACTION_PORTS:
        raise no_session(target)


@contextmanager
def _transaction(target: Target, how: Manner, doing: str, lock_seconds: int) -> Iterator[t.Any]:
    import psycopg2.errors

    _direct(target)
    with changing(target, how) as connection, connection.cursor() as cursor:
        try:
            cursor.execute("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
            cursor.execute(f"SET LOCAL lock_timeout = {int(lock_seconds * 1000)}")
            yield cursor
            cursor.execute("COMMIT")
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
            cursor.execute("ROLLBACK")
            cursor.execute(_pg_before.SESSIONS)
            others = [" ".join(filter(None, row)) for row in cursor.fetchall()]
            raise OpsError(
                f"{doing} did not get its locks in {lock_seconds} s, and changed nothing: "
                f"{len(others)} other sessions use the database ({', '.join(others[:3])}).",
                "Stop the services that use it, then start again.",
            ) from None
        except psycopg2.Error as error:
            with quiet(f"{doing} changed nothing"):
                raise error


def _kept(cursor: t.Any) -> list[tuple[str, str, bool]]:
    """Return the schemas that restores have put aside: id, the name that it had, whether there was none."""
    cursor.execute(
        r"SELECT m[1], m[2], coalesce(pg_catalog.obj_description(n.oid, 'pg_namespace') = %s, false)"
        r" FROM pg_catalog.pg_namespace n,"
        r" regexp_match(n.nspname, '^before_(\d{8}T\d{6}Z[0-9A-Za-z-]*)_(.+)$') m WHERE m IS NOT NULL ORDER BY 1, 2",
        (_NONE,),
    )
    return list(cursor.fetchall())


def _of(cursor: t.Any, restore_id: str) -> dict[str, bool]:
    kept = {name: was_none for each, name, was_none in _kept(cursor) if each == restore_id}
    if not kept:
        raise OpsError(f"The database holds nothing of a restore {restore_id}.", "It was settled or undone before.")
    return kept
