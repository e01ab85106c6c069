# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database must hold: tables with their columns, migrations that were all applied, rows that are not to go away.

All of it is read; an application's own migrator is never asked, since asking it may well migrate.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import fnmatch
import typing as t
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from . import _postgres_connect, _release
from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._compose import Execute
from ._errors import OpsError
from ._git import Git
from ._memory import today
from ._schema import some

_KEYS = {"tables", "migrations", "count", "remedy"}
_MIGRATIONS = {"table", "column", "success", "files"}
_COUNT = {"id", "title", "table", "where", "unit", "told"}


@dataclass(frozen=True)
class Migrations:
    """Where applied migrations are written down, and where a release has them.

    Attributes:
        table: with its schema in front where it is not the user's own.
        column: of that table, the id of a migration.
        success: of that table, whether it succeeded; empty where there is no such column.
        files: patterns of files in the release's commit, each a migration of the name of the file.
    """

    table: str
    column: str
    success: str = ""
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Count:
    """Rows that are counted, and compared with how many there were.

    Attributes:
        id: last part of the check's id.
        where: a boolean column; those of which it is true are told, too, as ``told``.
        unit: what the rows are, in the plural.
    """

    id: str
    title: str
    table: str
    unit: str
    where: str = ""
    told: str = ""


@dataclass(frozen=True)
class Wish:
    """What must be there, by table; and what to do when something is not."""

    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    migrations: Migrations | None = None
    count: Count | None = None
    remedy: str = "Look whether the connection leads to the right database, and at the log of its migrations."

    @classmethod
    def of(cls, name: str, given: Mapping[str, t.Any]) -> Wish:
        parts = ((given, _KEYS), (given.get("migrations") or {}, _MIGRATIONS), (given.get("count") or {}, _COUNT))
        unknown = sorted(key for part, known in parts for key in part.keys() - known)
        if unknown:
            raise OpsError(f"The schema of {name} does not know {', '.join(unknown)}.", "See the option schemas.")
        try:
            return cls(
                {table: list(columns or []) for table, columns in (given.get("tables") or {}).items()},
                Migrations(**given["migrations"]) if given.get("migrations") else None,
                Count(**given["count"]) if given.get("count") else None,
                given.get("remedy") or cls.remedy,
            )
        except TypeError as error:
            raise OpsError(f"The schema of {name} is not complete: {error}.", "See the option schemas.") from None


@dataclass(frozen=True)
class Held:
    """What is there.

    Attributes:
        missing: tables that are not, and columns as ``table.column``.
        applied: whether each migration succeeded, by its id; ``None`` where their table is not.
        rows: how many there are, and of how many the column is true; ``None`` where their table is not.
    """

    missing: Sequence[str] = ()
    applied: Mapping[str, bool] | None = None
    rows: tuple[int, int] | None = None


def held(connection: t.Any, wish: Wish, seconds: int) -> Held | OpsError:
    """Look at all of it, each part in a read-only transaction."""
    try:
        return Held(
            _missing(connection, wish.tables, seconds),
            _applied(connection, wish.migrations, seconds) if wish.migrations else None,
            _rows(connection, wish.count, seconds) if wish.count else None,
        )
    except OpsError as error:
        return error


# By the catalog: information_schema leaves out what the user has no right to.
_COLUMNS = """
SELECT to_regclass(%(table)s) IS NOT NULL,
       ARRAY(SELECT attname::text FROM pg_attribute
              WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped)
"""


def _missing(connection: t.Any, tables: Mapping[str, Sequence[str]], seconds: int) -> list[str]:
    found: list[str] = []
    with _postgres_connect.reading(connection, seconds) as cursor:
        for table, columns in tables.items():
            cursor.execute(_COLUMNS, {"table": _quoted(connection, table)})
            there, has = cursor.fetchone()
            found += [f"{table}.{column}" for column in columns if column not in has] if there else [f"table {table}"]
    return found


def _applied(connection: t.Any, wanted: Migrations, seconds: int) -> dict[str, bool] | None:
    from psycopg2 import sql

    with _postgres_connect.reading(connection, seconds) as cursor:
        if not _is_there(cursor, connection, wanted.table):
            return None
        success = sql.Identifier(wanted.success) if wanted.success else sql.SQL("true")
        names = [sql.Identifier(wanted.column), success, _identifier(wanted.table)]
        cursor.execute(sql.SQL("SELECT {}::text, {} IS TRUE FROM {}").format(*names))
        return {name: bool(good) for name, good in cursor.fetchall() if name is not None}


def _rows(connection: t.Any, wanted: Count, seconds: int) -> tuple[int, int] | None:
    from psycopg2 import sql

    with _postgres_connect.reading(connection, seconds) as cursor:
        if not _is_there(cursor, connection, wanted.table):
            return None
        where = sql.Identifier(wanted.where) if wanted.where else sql.SQL("true")
        cursor.execute(
            sql.SQL("SELECT count(*), count(*) FILTER (WHERE {}) FROM {}").format(where, _identifier(wanted.table))
        )
        total, told = cursor.fetchone()
        return int(total), int(told)


def _is_there(cursor: t.Any, connection: t.Any, table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [_quoted(connection, table)])
    return bool(cursor.fetchone()[0])


def _identifier(table: str) -> t.Any:
    from psycopg2 import sql

    return sql.Identifier(*table.split("."))


def _quoted(connection: t.Any, table: str) -> str:
    return str(_identifier(table).as_string(connection))


@dataclass(frozen=True)
class Known:
    """The migrations that the release which serves is known to have, and from where; none where it does not tell."""

    ids: Collection[str] = ()
    source: str = ""


def known(state_dir: Path, project_dir: Path | None, wanted: Migrations, execute: Execute) -> Known:
    """Return what the release was verified with, and the files of its commit."""
    release = None
    with contextlib.suppress(OpsError):  # a note that cannot be read is no reason to look at nothing
        release = _release.Store(state_dir).current()
    verified = release.schema or [] if release else []
    files = _files(project_dir, release.commit if release else "HEAD", wanted.files, execute) if project_dir else []
    sources = [("was verified with", verified), ("has in its commit", files)]
    return Known({*verified, *files}, " and ".join(said for said, ids in sources if ids))


def _files(directory: Path, commit: str, patterns: Sequence[str], execute: Execute) -> list[str]:
    """Return the names of a commit's migrations; none where there is no such commit."""
    if not patterns:
        return []
    try:
        listed = Git(directory, execute).run("ls-tree", "-r", "--name-only", commit).splitlines()
    except OpsError:
        return []
    return [PurePosixPath(file).stem for pattern in patterns for file in fnmatch.filter(listed, pattern)]


def judge_tables(found: Held, wish: Wish) -> Outcome:
    if found.missing:
        return Outcome(FAIL, f"not there: {some(found.missing, 8)}", wish.remedy)
    columns = sum(map(len, wish.tables.values()))
    return Outcome(PASS, f"all {len(wish.tables)} tables are there, with the {columns} columns that are asked for")


def judge_migrations(found: Held, wish: Wish, release: Known) -> Outcome:
    wanted = wish.migrations
    if wanted is None:
        return Outcome(UNKNOWN, "nothing says where migrations are written down", "Give migrations in schemas.")
    if found.applied is None:
        return Outcome(FAIL, f"there is no table {wanted.table}: no migration was ever applied here", wish.remedy)
    failed = sorted(name for name, good in found.applied.items() if not good)
    lacking = sorted(set(release.ids) - found.applied.keys())
    said = [f"not successful: {some(failed)}"] if failed else []
    said += [f"not applied, though the release has them: {some(lacking)}"] if lacking else []
    if said:
        return Outcome(FAIL, "; ".join(said), wish.remedy)
    more = "; which ones the release needs is not known"
    if release.ids:
        more = f", among them the {len(release.ids)} that the release {release.source}"
    return Outcome(PASS, f"{len(found.applied)} are applied, none has failed{more}")


def judge_count(found: Held, wish: Wish, before: Mapping[str, t.Any] | None, kept_in: Path | None) -> Outcome:
    """Judge the number of rows by what it was: fewer is a remark, none at all a fault.

    Args:
        before: what was kept of the last look that found some.
        kept_in: the file with that.
    """
    wanted = wish.count
    if wanted is None or found.rows is None:
        return Outcome(FAIL, f"there is no table {wanted.table if wanted else ''}", wish.remedy)
    total, told = found.rows
    said = f"{wanted.unit}: {total}" + (f", {wanted.told}: {told}" if wanted.where else "")
    if not before:
        return Outcome(PASS, f"{said}; later looks are compared with this one")
    was = f"at the last look ({before['on']}): {before['total']}"
    was += f", {wanted.told}: {before['told']}" if wanted.where else ""
    if not total and before["total"]:
        return Outcome(FAIL, f"{said}; {was}", f"{wish.remedy} Gone on purpose? rm {kept_in}")
    if total < before["total"] or told < before["told"]:
        return Outcome(WARN, f"{said}; {was}", "Nothing, if somebody took them away; else restore the dump.")
    return Outcome(PASS, f"{said}, no fewer than at the last look")


def remembered(found: Held) -> dict[str, t.Any] | None:
    """Return what is kept of the rows for the next look; nothing of a look that found none."""
    return {"total": found.rows[0], "told": found.rows[1], "on": today()} if found.rows and found.rows[0] else None
