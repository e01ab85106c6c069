# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that a database has on record and that a restart would end: the rows of one question, asked when it counts.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from . import _postgres_connect, _postgres_look
from ._errors import OpsError
from ._postgres import Source
from ._postgres_connect import Manner
from ._postgres_look import Reading


def ask(source: Source, reading: Reading, values: Mapping[str, str], how: Manner) -> list[str]:
    """Return a line for each row, none where the table is missing; raise when there is no answer."""
    with _postgres_connect.own_settings():
        with _postgres_connect.connected(source.target(values), [source], how) as connection:
            rows = _postgres_look.answer(connection, reading, how.seconds)
    if isinstance(rows, OpsError):
        raise rows
    try:
        return [reading.line.format_map(row) for row in rows or []]
    except KeyError as error:
        raise OpsError(f"The line of {reading.id} names {error}, which its SELECT has not", "Correct it.") from None


def reading_of(given: Mapping[str, t.Any]) -> Reading:
    """Read the question as the option ``readings`` of postgres_check has it."""
    wanted = Reading.__dataclass_fields__
    unknown, missing = sorted(given.keys() - wanted.keys()), sorted({"id", "sql", "line", "none"} - given.keys())
    if unknown or missing:
        said = [*(f"does not know {name}" for name in unknown), *(f"has no {name}" for name in missing)]
        raise OpsError(f"The reading of campaigns {', '.join(said)}.", "See the option readings of postgres_check.")
    rest = {"title": "", "connection": "", "rows": "fail", "remedy": ""}
    return Reading(**{**rest, **given})
