# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump of a database as one compressed file, read back by pg_restore before it counts.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import _codec, _dump, _store
from ._archive import partial
from ._codec import Codec, Sums
from ._errors import OpsError
from ._pg_counts import Counts
from ._pg_tools import Tools
from ._postgres import Target
from ._postgres_connect import Manner


@dataclass(frozen=True)
class Dumped:
    """What was written: its sums, the entries that pg_restore lists, the counts of its moment, and what it is of."""

    sums: Sums
    entries: int
    counts: Counts | None
    facts: dict[str, t.Any]


def into(
    target: Target, tools: Tools, how: Manner, path: Path, codec: Codec, *, schemas: Sequence[str], counts: bool
) -> Dumped:
    """Dump some schemas of a database into a file, which gets its name only when it has been read back to its end."""
    half = partial(path)
    try:
        with _dump.dumping(target, tools, how, schemas=schemas, counts=counts) as dump:
            sums = _codec.write(dump.stream, half, codec)
            dump.finish()
        found, entries = read_back(half, codec, tools, dump.facts["tool_major"])
        _codec.must_be_as_written(path.name, found, sums)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    half.rename(path)
    _store.sync_dir(path.parent)
    return Dumped(sums, entries, dump.counts, dump.facts)


def read_back(path: Path, codec: Codec, tools: Tools, major: int = 0) -> tuple[Sums, int]:
    """Let pg_restore read a dump to its end; return its sums, and how many entries it lists.

    Args:
        major: of the pg_dump that wrote it.
    """
    with _codec.reading(path, codec) as stream:
        try:
            entries = _dump.contents(t.cast("t.BinaryIO", stream), tools, major)
        except OpsError:
            stream.sums()  # what is wrong with the compression is the better reason
            raise
        return stream.sums(), entries
