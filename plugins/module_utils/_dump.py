# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A logical dump of a live database: one snapshot that pg_dump writes and that we count.

Nothing is changed by it: every transaction is read-only.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import subprocess
import threading
import typing as t
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from . import _pg_counts, _pg_tools
from ._errors import OpsError, Unreachable
from ._pg_child import Child, Feed
from ._pg_counts import Counts
from ._pg_tools import Programs, Tools
from ._postgres import Target
from ._postgres_connect import Manner, connected

TRANSACTION_PORTS = ("6543",)  # where a provider's pooler gives each transaction another session
# For the dump alone: limits that a role has for the application would end it in the middle.
NO_LIMITS = ("-c statement_timeout=0", "-c idle_in_transaction_session_timeout=0")
_READER = "Back up with a user that may read all of it: the owner, or a member of pg_read_all_data with BYPASSRLS."
_LOCKED = "A migration or an ALTER TABLE may hold locks (pg_stat_activity shows it): start again when it has ended."

# Those of a restore that is not settled are left out, too.
_ALL_SCHEMAS = r"""
SELECT n.nspname FROM pg_catalog.pg_namespace n
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname !~ '^before_\d{8}T\d{6}Z'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
 ORDER BY 1
"""
_ABOUT = """
SELECT current_setting('server_version') AS server_version,
       current_setting('server_version_num')::int / 10000 AS server_major,
       current_database() AS database,
       pg_encoding_to_char(encoding) AS encoding, datcollate AS collation, datctype AS ctype,
       pg_database_size(oid) AS database_bytes
  FROM pg_catalog.pg_database WHERE datname = current_database()
"""
_EXTENSIONS = """
SELECT e.extname, e.extversion, n.nspname
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname <> 'plpgsql' ORDER BY 1
"""
# pg_dump takes it for granted that everybody may use a new schema "public", and leaves that right out.
_PUBLIC = """
SELECT n.nspname, p.privilege_type
  FROM pg_catalog.pg_namespace n,
       aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) p
 WHERE n.nspname = ANY (%(schemas)s) AND p.grantee = 0 ORDER BY 1, 2
"""
# Owners, and who was granted something, so that a restore can say beforehand which roles it lacks.
_ROLES = """
WITH inside AS (SELECT oid, nspowner, nspacl FROM pg_catalog.pg_namespace WHERE nspname = ANY (%(schemas)s)),
     brought AS (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'),
     class AS (SELECT oid, relowner, relacl FROM pg_catalog.pg_class
                WHERE relnamespace IN (SELECT oid FROM inside)
                  AND ('pg_catalog.pg_class'::regclass, oid) NOT IN (SELECT classid, objid FROM brought)),
     proc AS (SELECT proowner, proacl FROM pg_catalog.pg_proc
               WHERE pronamespace IN (SELECT oid FROM inside)
                 AND ('pg_catalog.pg_proc'::regclass, oid) NOT IN (SELECT classid, objid FROM brought)),
     type AS (SELECT typowner, typacl FROM pg_catalog.pg_type
               WHERE typnamespace IN (SELECT oid FROM inside)
                 AND ('pg_catalog.pg_type'::regclass, coalesce(nullif(typelem, 0), oid))
                     NOT IN (SELECT classid, objid FROM brought)
                 AND ('pg_catalog.pg_type'::regclass, oid) NOT IN (SELECT classid, objid FROM brought)),
     named AS (
  SELECT nspowner AS role FROM inside
  UNION SELECT relowner FROM class
  UNION SELECT proowner FROM proc
  UNION SELECT typowner FROM type
  UNION SELECT p.grantee FROM inside, aclexplode(nspacl) p
  UNION SELECT p.grantee FROM class, aclexplode(relacl) p
  UNION SELECT p.grantee FROM pg_catalog.pg_attribute JOIN class ON class.oid = attrelid, aclexplode(attacl) p
  UNION SELECT p.grantee FROM proc, aclexplode(proacl) p
  UNION SELECT p.grantee FROM type, aclexplode(typacl) p
  UNION SELECT defaclrole FROM pg_catalog.pg_default_acl WHERE defaclnamespace IN (SELECT oid FROM inside)
  UNION SELECT p.grantee FROM pg_catalog.pg_default_acl, aclexplode(defaclacl) p
         WHERE defaclnamespace IN (SELECT oid FROM inside)
  UNION SELECT unnest(polroles) FROM pg_catalog.pg_policy JOIN class ON class.oid = polrelid)
SELECT rolname FROM pg_catalog.pg_roles WHERE oid IN (SELECT role FROM named) AND rolname !~ '^pg_' ORDER BY 1
"""


@dataclass
class Dump:
    """A dump that is being read.

    Attributes:
        stream: the archive, in pg_dump's custom format, not compressed. Read it to its end, then :meth:`finish`.
        facts: what a restore needs to know, fit for JSON: server_version, server_major, tool_version, tool_major,
            database, encoding, collation, ctype, database_bytes, schemas (a list), public (rights that everybody
            has on each schema), extensions (name, version, schema of each), roles (that the dump names).
        counts: of the very same snapshot; there after :meth:`finish`, ``None`` when they were not asked for.
    """

    stream: t.BinaryIO
    facts: dict[str, t.Any]
    counts: Counts | None = None
    _child: Child | None = field(default=None, repr=False)
    _counter: _Counter | None = field(default=None, repr=False)

    def finish(self) -> None:
        """Say whether the archive is whole; a dump that failed in the middle is an :class:`OpsError`."""
        writer = t.cast("Child", self._child)
        if self.stream.read(1):
            raise OpsError("The dump was not read to its end.")
        if writer.wait():
            if self._counter and self._counter.refused():  # with its transaction the snapshot went away
                self._counter.result()
            raise writer.error(f"The dump of database {self.facts['database']}", _remedy(writer))
        if self._counter:
            self.counts = self._counter.result()


@contextmanager
def dumping(
    target: Target,
    tools: Tools,
    how: Manner,
    *,
    schemas: Sequence[str] = (),
    counts: bool = True,
    lock_seconds: int = 30,
) -> Iterator[Dump]:
    """Start a dump of some schemas (none given: all but those of the system); leaving the block ends it.

    Args:
        counts: whether the rows of every table are counted meanwhile.
        lock_seconds: how long a table may be locked by somebody else before the dump is given up.
    """
    import psycopg2

    if target.port in TRANSACTION_PORTS:
        raise no_session(target)
    with connected(target, (), how) as connection:
        session_of_its_own(connection, target, how)
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        try:
            with connection.cursor() as cursor:
                facts = _facts(cursor, schemas)
                programs = _pg_tools.find(tools, facts["server_major"])
                facts["tool_major"] = programs.major
                cursor.execute("SELECT pg_export_snapshot()")
                snapshot = cursor.fetchone()[0]
        except psycopg2.Error as error:
            raise asked(error) from None
        settings = _pg_tools.with_options(_pg_tools.settings(target, how, programs), *NO_LIMITS)
        # Large objects belong to no schema, and are left out of a dump of schemas unless asked for.
        words = ["--format=custom", "--compress=0", "--large-objects" if programs.major >= 16 else "--blobs"]
        words += [f"--snapshot={snapshot}", f"--lock-wait-timeout={lock_seconds * 1000}", "--no-password"]
        words += ["--strict-names", *(f"--schema={_quoted(name)}" for name in facts["schemas"])]
        with programs.running("pg_dump", *words, settings=settings, stdout=subprocess.PIPE) as writer:
            with _Counter(connection, facts["schemas"], counts) as counter:
                yield Dump(writer.stdout, facts, None, writer, counter if counts else None)


def contents(stream: t.BinaryIO, tools: Tools, tool_major: int = 0) -> int:
    """Return how many entries an archive lists, having read all of it; a damaged one is an :class:`OpsError`.

    The list stands at the beginning, so the list alone would not see that the end is missing.

    Args:
        tool_major: of the pg_dump that wrote it, which older programs cannot read.
    """
    return entries(stream, _pg_tools.find(tools, tool_major))


def entries(stream: t.BinaryIO, programs: Programs) -> int:
    """Return how many entries an archive lists, having read all of it, by programs that were found."""
    pipe = subprocess.PIPE
    with programs.running("pg_restore", "--list", stdin=pipe, stdout=pipe) as lister:
        with programs.running("pg_restore", "--file=-", stdin=pipe) as reader:
            feed = Feed(stream, lister.stdin, reader.stdin)
            listed = sum(1 for line in lister.stdout if line.strip() and not line.startswith(b";"))
            codes = [each.wait() for each in (lister, reader)]
            failed = next((each for each, code in zip((lister, reader), codes) if code), None)
            if failed:
                feed.stop()
                if feed.failed():  # the archive ended there because its source did
                    feed.finish()
                raise failed.error("Reading the archive", "It is damaged: use another backup.")
            feed.finish()
    return listed


class _Counter:
    """Counts in the transaction whose snapshot is dumped, while the dump is read."""

    def __init__(self, connection: t.Any, schemas: Sequence[str], wanted: bool) -> None:
        self._connection, self._schemas = connection, schemas
        self._found: Counts | None = None
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True) if wanted else None

    def __enter__(self) -> _Counter:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._thread and self._thread.is_alive():
            with suppress(Exception):  # a connection that is gone cannot be told to stop, and has
                self._connection.cancel()
            self._thread.join()

    def refused(self) -> bool:
        """Say whether the server has refused to count, which ends the transaction."""
        t.cast("threading.Thread", self._thread).join()
        return self._failed is not None and not isinstance(asked(self._failed), Unreachable)

    def result(self) -> Counts:
        t.cast("threading.Thread", self._thread).join()
        if self._failed:
            raise asked(self._failed) from None
        return t.cast("Counts", self._found)

    def _run(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                self._found = _pg_counts.count(cursor, self._schemas)
        except BaseException as error:  # handed to the thread that waits
            self._failed = error


def _facts(cursor: t.Any, schemas: Sequence[str]) -> dict[str, t.Any]:
    """Take the snapshot, with limits of time off, and return what is known of the database."""
    cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
    cursor.execute("SET LOCAL row_security = off")  # rows that a policy would hide are an error
    cursor.execute("SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'")
    cursor.execute(_ABOUT)
    facts = dict(zip([column.name for column in cursor.description], cursor.fetchone()))
    cursor.execute(_ALL_SCHEMAS)
    there = [name for (name,) in cursor.fetchall()]
    missing = sorted(set(schemas) - set(there))
    if missing:
        raise OpsError(
            f"The database {facts['database']} has no schema {', '.join(missing)}; it has {', '.join(there)}.",
            "Correct the list of schemas, or the connection.",
        )
    facts["schemas"] = list(schemas or there)
    given = {"schemas": facts["schemas"]}
    cursor.execute(_PUBLIC, given)
    facts["public"] = {name: [] for name in facts["schemas"]}
    for name, right in cursor.fetchall():
        facts["public"][name].append(right)
    cursor.execute(_EXTENSIONS)
    facts["extensions"] = [dict(zip(("name", "version", "schema"), row)) for row in cursor.fetchall()]
    cursor.execute(_ROLES, given)
    facts["roles"] = [name for (name,) in cursor.fetchall()]
    return facts


def session_of_its_own(connection: t.Any, target: Target, how: Manner) -> None:
    """Refuse a pooler that gives each transaction another session: no snapshot and no setting would hold there.

    Where such a pooler is, a second connection is served by the session that the first one has just left.
    """
    mine = _served_by(connection)
    if mine == connection.info.backend_pid:  # no pooler: it would have made up the number
        return
    with connected(target, (), how) as other:
        if _served_by(other) == mine:
            raise no_session(target)


def _served_by(connection: t.Any) -> int:
    import psycopg2

    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])
    except psycopg2.Error as error:
        raise asked(error) from None
    finally:
        if not connection.closed:
            connection.rollback()


def no_session(target: Target) -> OpsError:
    return OpsError(
        f"{target.place} is a pooler that gives each transaction another session, and a dump needs one of its own.",
        "Give backups the direct connection, or the pooler's port for sessions (Supabase: 5432).",
    )


def asked(error: BaseException) -> BaseException:
    """Return what the server said no to as an error that can be shown; anything else as it is."""
    import psycopg2

    if not isinstance(error, psycopg2.Error):
        return error
    said = error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__
    if error.pgcode is None or error.pgcode.startswith(("57P", "08")):
        return Unreachable(f"The server went away while it was asked: {said}.", "Start again when it runs.")
    return OpsError(f"The server does not answer what was asked: {said}.", _READER)


def _remedy(writer: Child) -> str:
    said = " ".join(writer.said())
    if "lock timeout" in said or "statement timeout" in said:  # --lock-wait-timeout is the only one there is
        return _LOCKED
    if "permission denied" in said or "row-level security" in said:
        return _READER
    return ""


def _quoted(name: str) -> str:
    """Return a name as a pattern of pg_dump that fits this name alone."""
    return '"' + name.replace('"', '""') + '"'
