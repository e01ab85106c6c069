# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database is like before a dump is brought back into it, and whether that can be done without a loss.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ._errors import OpsError, Unreachable
from ._pg_pour import KEEP, identifier

_LONGEST = 63  # bytes of a name
SESSIONS = """
SELECT coalesce(nullif(application_name, ''), 'no name'), usename, host(client_addr)
  FROM pg_catalog.pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY 1, 2, 3
"""
_ABOUT = """
SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(),
       has_database_privilege(current_database(), 'CREATE'), current_database()
"""
# Schemas, and whether we may rename each.
_SCHEMAS = "SELECT nspname, pg_has_role(nspowner, 'USAGE') FROM pg_catalog.pg_namespace"
# Who made a trusted extension owns it, but what is in it belongs to the superuser, and that is what would be moved.
_EXTENSIONS = """
SELECT e.extname, n.nspname,
       CASE WHEN NOT e.extrelocatable THEN 'it can be in one schema only'
            WHEN NOT pg_has_role(e.extowner, 'USAGE') THEN 'it belongs to ' || pg_get_userbyid(e.extowner)
            ELSE coalesce((SELECT 'its functions belong to ' || min(pg_get_userbyid(p.proowner)::text)
                             FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.objid
                            WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.deptype = 'e'
                              AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
                              AND NOT pg_has_role(p.proowner, 'USAGE')), '') END AS why_not
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
"""
# What stands in another schema and leads into these: views, foreign keys, triggers, functions, columns, policies.
_OUTSIDE = """
WITH spaces AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY (%(schemas)s)),
     inside AS (SELECT 'pg_class'::regclass AS class, oid FROM pg_catalog.pg_class
                 WHERE relnamespace IN (SELECT oid FROM spaces)
                UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_catalog.pg_proc
                 WHERE pronamespace IN (SELECT oid FROM spaces)
                UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_catalog.pg_type
                 WHERE typnamespace IN (SELECT oid FROM spaces)),
     pointing AS (SELECT DISTINCT d.classid, d.objid, d.objsubid
                   FROM pg_catalog.pg_depend d JOIN inside i ON i.class = d.refclassid AND i.oid = d.refobjid
                  WHERE d.deptype IN ('n', 'a')
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.refclassid
                                       AND e.objid = d.refobjid AND e.deptype = 'e')),
     placed AS (SELECT l.*, coalesce(c.relnamespace, p.pronamespace, y.typnamespace) AS space
                  FROM pointing l
                  LEFT JOIN pg_catalog.pg_rewrite w ON l.classid = 'pg_rewrite'::regclass AND w.oid = l.objid
                  LEFT JOIN pg_catalog.pg_constraint k ON l.classid = 'pg_constraint'::regclass AND k.oid = l.objid
                  LEFT JOIN pg_catalog.pg_trigger g ON l.classid = 'pg_trigger'::regclass AND g.oid = l.objid
                  LEFT JOIN pg_catalog.pg_attrdef a ON l.classid = 'pg_attrdef'::regclass AND a.oid = l.objid
                  LEFT JOIN pg_catalog.pg_policy o ON l.classid = 'pg_policy'::regclass AND o.oid = l.objid
                  LEFT JOIN pg_catalog.pg_class c
                    ON c.oid = coalesce(w.ev_class, nullif(k.conrelid, 0), g.tgrelid, a.adrelid, o.polrelid,
                                        CASE WHEN l.classid = 'pg_class'::regclass THEN l.objid END)
                  LEFT JOIN pg_catalog.pg_proc p ON l.classid = 'pg_proc'::regclass AND p.oid = l.objid
                  LEFT JOIN pg_catalog.pg_type y ON l.classid = 'pg_type'::regclass AND y.oid = l.objid)
SELECT DISTINCT pg_describe_object(classid, objid, 0), n.nspname
  FROM placed JOIN pg_catalog.pg_namespace n ON n.oid = placed.space
 WHERE n.nspname <> ALL (%(schemas)s) AND n.nspname NOT LIKE 'pg\\_%%' ORDER BY 2, 1
"""
_PUBLICATIONS = """
SELECT DISTINCT p.pubname, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
  FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
  JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (%(schemas)s) ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Found:
    """What a database is like.

    Attributes:
        major: of the server.
        replica: whether it only follows another server.
        creates: whether the user may make schemas.
        schemas: all there are, and whether the user may rename each.
        extensions: schema of each, and why it cannot be moved, empty if it can.
        roles: of the server.
        large_objects: how many there are.
        outside: what stands in other schemas and leads into those that are to be made anew.
        publications: phrases about tables that logical replication publishes one by one.
        sessions: how many others use the database.
    """

    database: str
    major: int
    replica: bool = False
    creates: bool = True
    schemas: Mapping[str, bool] = field(default_factory=dict)
    extensions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    roles: Sequence[str] = ()
    large_objects: int = 0
    outside: Sequence[str] = ()
    publications: Sequence[str] = ()
    sessions: int = 0


def aside(restore_id: str, schema: str) -> str:
    """Return the name that a schema has while it is kept."""
    return f"before_{restore_id}_{schema}"


@contextmanager
def quiet(doing: str, remedy: str = "") -> Iterator[None]:
    """Turn what the server says no to into one sentence."""
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        said = error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__
        kind = OpsError if error.pgcode and not error.pgcode.startswith(("57P", "08")) else Unreachable
        raise kind(f"{doing}: {said}.", remedy) from None


def look(connection: t.Any, schemas: Sequence[str], seconds: int) -> Found:
    """Look at a database with an open connection."""
    given = {"schemas": list(schemas)}
    with quiet("Looking at the database"), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
        cursor.execute(_ABOUT)
        major, replica, creates, database = cursor.fetchone()
        cursor.execute(_SCHEMAS)
        there = dict(cursor.fetchall())
        cursor.execute(_EXTENSIONS)
        extensions = {name: (schema, why_not) for name, schema, why_not in cursor.fetchall()}
        cursor.execute("SELECT rolname FROM pg_catalog.pg_roles ORDER BY 1")
        roles = [name for (name,) in cursor.fetchall()]
        cursor.execute("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata")
        large_objects = int(cursor.fetchone()[0])
        cursor.execute(_PUBLICATIONS, given)
        publications = [f"{table} leaves the publication {name}" for name, table in cursor.fetchall()]
        cursor.execute(SESSIONS)
        others = len(cursor.fetchall())
        return Found(
            database=database,
            major=major,
            replica=replica,
            creates=creates,
            schemas=there,
            extensions=extensions,
            roles=roles,
            large_objects=large_objects,
            outside=outside(cursor, schemas),
            publications=publications,
            sessions=others,
        )


def refuse(found: Found, facts: Mapping[str, t.Any], restore_id: str, owners: str, user: str) -> None:
    """Raise what a restore would fail at, or lose, before anything is begun."""
    by_hand = "Or restore into another database, and lead the application there."
    if found.replica:
        raise OpsError("The server follows another one and takes no changes.", "Give the connection of the primary.")
    if int(facts["server_major"]) > found.major:
        raise OpsError(
            f"The dump is of PostgreSQL {facts['server_major']}, and the server is {found.major}.",
            "Restore to a server that is not older.",
        )
    if not found.creates:
        name = identifier(found.database)
        raise OpsError(f"{user} may not make a schema.", f"GRANT CREATE ON DATABASE {name} TO {identifier(user)}")
    for name in facts["schemas"]:
        if not found.schemas.get(name, True):
            grant = f"ALTER SCHEMA {identifier(name)} OWNER TO {identifier(user)}"
            raise OpsError(f"{user} does not own the schema {name} and cannot put it aside.", f"{grant}. {by_hand}")
        if aside(restore_id, name) in found.schemas:
            raise OpsError(f"A restore {restore_id} was made before.", "Undo or settle it first.")
        if len(aside(restore_id, name).encode()) > _LONGEST:
            raise OpsError(f"The name {aside(restore_id, name)} is too long for Postgres.", "Use a shorter id.")
    stuck = [f"{name} ({why})" for name, (space, why) in found.extensions.items() if space in facts["schemas"] and why]
    if stuck:
        raise OpsError(
            f"Extensions stand among the tables, and {user} cannot take them along: {', '.join(sorted(stuck))}.",
            f"Restore with a connection of a superuser. {by_hand}",
        )
    lacking = sorted(set(facts["roles"]) - set(found.roles)) if owners == KEEP else []
    if lacking:
        raise OpsError(
            f"The dump names roles that the server does not have: {', '.join(lacking)}.",
            f"CREATE ROLE {identifier(lacking[0])}, or restore without owners and rights (owners=drop).",
        )
    if found.large_objects:
        raise OpsError(
            f"The database has {found.large_objects} large objects, which cannot be put aside as a schema can.", by_hand
        )
    if found.outside:
        raise _outside(found.outside, f"Drop it, and make it again afterwards. {by_hand}")


def outside(cursor: t.Any, schemas: Sequence[str]) -> list[str]:
    """Return what stands in other schemas and leads into these, a phrase each."""
    cursor.execute(_OUTSIDE, {"schemas": list(schemas)})
    return [f"{what} in {schema}" for what, schema in cursor.fetchall()]


def nothing_outside(cursor: t.Any, schemas: Sequence[str], remedy: str) -> None:
    """Refuse to drop what something in another schema leads to."""
    found = outside(cursor, schemas)
    if found:
        raise _outside(found, remedy)


def movable(cursor: t.Any, schema: str) -> list[str]:
    """Return the extensions in a schema that we may move into another."""
    wanted = "WHERE nspname = %s AND why_not = '' ORDER BY 1"
    cursor.execute(f"SELECT extname FROM ({_EXTENSIONS}) AS e {wanted}", (schema,))
    return [name for (name,) in cursor.fetchall()]


def _outside(found: Sequence[str], remedy: str) -> OpsError:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return OpsError(f"Something outside of the schema leads into it: {', '.join(found[:3])}{more}.", remedy)
