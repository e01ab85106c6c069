# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a database, in numbers: rows of each table, values of sequences, large objects. And two of them compared.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ._errors import OpsError

# Tables that hold rows themselves: partitions, not what they are partitions of; none that an extension brings along.
# A materialized view is made anew by a restore, and may have been stale.
TABLES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ({schemas}) AND c.relkind = 'r'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1
"""
SEQUENCES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       coalesce(pg_catalog.pg_sequence_last_value(c.oid), 0), s.seqincrement
  FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (%(schemas)s) ORDER BY 1
"""
LARGE_OBJECTS = "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata"


class Counts(t.NamedTuple):
    """What is in the schemas of a database; fit for JSON by ``_asdict()``, and back by :meth:`of`.

    Attributes:
        rows: of each table, by its name as SQL has it (``public.leads``, ``"Odd"."Name"``).
        sequences: last value of each, 0 where none was taken yet.
        large_objects: how many the database has.
    """

    rows: dict[str, int]
    sequences: dict[str, int]
    large_objects: int

    @classmethod
    def of(cls, given: Mapping[str, t.Any]) -> Counts:
        return cls(dict(given["rows"]), dict(given["sequences"]), int(given["large_objects"]))


def count(cursor: t.Any, schemas: Sequence[str]) -> Counts:
    """Count with an open cursor: what its transaction sees, so of one moment in a repeatable read."""
    given = {"schemas": list(schemas)}
    cursor.execute(TABLES.format(schemas="%(schemas)s"), given)
    rows = {}
    for (name,) in cursor.fetchall():
        cursor.execute(f"SELECT count(*) FROM ONLY {name}")  # quoted by the server
        rows[name] = int(cursor.fetchone()[0])
    cursor.execute(SEQUENCES, given)
    sequences = {name: int(value) for name, value, increment in cursor.fetchall() if increment > 0}
    cursor.execute(LARGE_OBJECTS)
    return Counts(rows, sequences, int(cursor.fetchone()[0]))


def differences(wanted: Counts, found: Counts) -> list[str]:
    """Return what differs, a phrase each; empty when what was found is what was wanted.

    A sequence may be ahead, since no snapshot holds it still, and must not be behind: it would give a number twice.
    Large objects are compared where some are wanted.
    """
    told = []
    for name in sorted({*wanted.rows, *found.rows}):
        old, new = wanted.rows.get(name), found.rows.get(name)
        if old is None:
            told.append(f"{name} is not in the dump")
        elif new is None:
            told.append(f"{name} is missing ({old} rows)")
        elif old != new:
            told.append(f"{name} has {new} rows of {old}")
    for name, value in sorted(wanted.sequences.items()):
        now = found.sequences.get(name)
        if now is None:
            told.append(f"the sequence {name} is missing")
        elif now < value:
            told.append(f"the sequence {name} is at {now}, behind {value}")
    if found.large_objects < wanted.large_objects:
        told.append(f"{found.large_objects} large objects of {wanted.large_objects}")
    return told


def equal(wanted: Counts, found: Counts, remedy: str = "") -> str:
    """Return one phrase about counts that are equal; a difference is an error that names the first ones."""
    told = differences(wanted, found)
    if told:
        more = f" and {len(told) - 5} more" if len(told) > 5 else ""
        raise OpsError(f"The restored database is not what was backed up: {', '.join(told[:5])}{more}.", remedy)
    return f"{len(wanted.rows)} tables with {sum(wanted.rows.values())} rows, all equal"
