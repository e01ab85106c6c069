# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of pg_dump turned into SQL by pg_restore and run by psql, all of it or nothing.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import subprocess
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ._errors import OpsError
from ._pg_child import BLOCK, Feed
from ._pg_tools import Programs, Settings

KEEP, DROP = "keep", "drop"
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_HEAD = 2000  # lines within which every CREATE SCHEMA stands: pg_dump writes them before anything else


def identifier(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return text as SQL has it, also where backslashes are just that."""
    return "'" + text.replace("'", "''") + "'"


def script(sql: t.BinaryIO, schemas: Sequence[str], server: int) -> Iterator[bytes]:
    """Yield the SQL of pg_restore without what has been done before, or what the server does not know.

    The schemas are made beforehand, since extensions move into them. ``transaction_timeout`` is a setting that newer
    programs write for every server, and that those before 17 do not have.
    """
    waiting = {f"CREATE SCHEMA {_as_dumped(name)};".encode(): name for name in schemas}
    for _line in range(_HEAD):
        if not waiting:
            break
        line = sql.readline()
        if not line:
            return  # pg_restore has failed, and says why
        if waiting.pop(line.rstrip(), None) is None and not (
            server < 17 and line.startswith(b"SET transaction_timeout")
        ):
            yield line
    if waiting:
        raise OpsError(
            f"The dump does not hold the schema {', '.join(waiting.values())}.", "Use a dump that was made of it."
        )
    yield from iter(lambda: sql.read(BLOCK), b"")


def extensions(wanted: Sequence[Mapping[str, str]], there: Sequence[str]) -> str:
    """Return SQL that makes the extensions that are not there, as far as it may; what it may not is a warning."""
    lines = []
    for each in wanted:
        if each["name"] in there:
            continue
        name, schema = identifier(each["name"]), identifier(each["schema"])
        lines += [
            "DO $ops$ BEGIN",
            f"CREATE SCHEMA IF NOT EXISTS {schema};",
            f"CREATE EXTENSION IF NOT EXISTS {name} SCHEMA {schema} CASCADE;",
            f"EXCEPTION WHEN OTHERS THEN RAISE WARNING '%', {literal('without extension ' + each['name'])};",
            "END $ops$;",
        ]
    return "".join(f"{line}\n" for line in lines)


def everybody(public: Mapping[str, Sequence[str]]) -> str:
    """Return SQL that gives everybody the rights on schemas that pg_dump takes for granted and leaves out."""
    return "".join(
        f"GRANT {', '.join(rights)} ON SCHEMA {identifier(name)} TO PUBLIC;\n"
        for name, rights in sorted(public.items())
        if rights
    )


def pour(
    stream: t.BinaryIO,
    programs: Programs,
    facts: Mapping[str, t.Any],
    *,
    server: int,
    before: str,
    settings: Settings | None = None,
    arguments: Sequence[str] = (),
    owners: str = KEEP,
    remedy: str = "",
) -> list[str]:
    """Run an archive's SQL in one transaction; return what psql warned of.

    Args:
        before: SQL that runs first in the same transaction, and leaves every schema of the dump there and empty.
        server: the server's major version.
        arguments: of psql, where a connection has no settings.
        owners: ``keep`` or ``drop``: whether owners and rights are brought back, too.
    """
    pipe = subprocess.PIPE
    kept = owners == KEEP
    flags = ["--file=-", *([] if kept else ["--no-owner", "--no-privileges"])]
    words = ["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse", *arguments]
    with programs.running("pg_restore", *flags, stdin=pipe, stdout=pipe) as source:
        with programs.running("psql", *words, settings=settings, stdin=pipe) as sink:
            feed = Feed(stream, source.stdin)
            try:
                sink.stdin.write(f"BEGIN;\n{before}".encode())
                for block in script(source.stdout, facts["schemas"], server):
                    sink.stdin.write(block)
                if source.wait():
                    feed.stop()
                    if feed.failed():
                        feed.finish()
                    raise source.error("Reading the archive", "It is damaged: use another backup. Nothing was changed.")
                feed.finish()
                # Only now: psql would take a stream that ends early for all of it.
                sink.stdin.write((everybody(facts["public"] if kept else {}) + "COMMIT;\n").encode())
                sink.stdin.close()
            except BrokenPipeError:  # psql has ended, and says why
                pass
            if sink.wait():
                raise sink.error("Restoring, which changed nothing,", remedy)
            return [line.partition("WARNING:")[2].strip() for line in sink.said() if "WARNING:" in line]


def _as_dumped(name: str) -> str:
    """Return a name as pg_dump writes it: quoted only where it must be."""
    return name if _PLAIN.fullmatch(name) else identifier(name)
