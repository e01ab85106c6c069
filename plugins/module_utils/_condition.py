# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a value in a JSON answer must be, as data.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 80  # characters of a JSON value that evidence may hold


@dataclass(frozen=True)
class Condition:
    """One thing that a JSON answer must say; exactly one of the tests is given.

    Attributes:
        query: JMESPath expression.
        equals: the value that it must have.
        within: values of which it must be one; ``None`` among them allows it to be absent.
        exists: whether it must be there (not null).
        at_least: the least number that it may be.
        at_most: the largest number that it may be.
    """

    query: str
    equals: t.Any = None
    within: Sequence[t.Any] | None = None
    exists: bool | None = None
    at_least: float | None = None
    at_most: float | None = None

    def met(self, found: t.Any) -> bool:
        """Whether the value is what was expected."""
        if self.exists is not None:
            return (found is not None) == self.exists
        if self.at_least is not None or self.at_most is not None:
            return _between(found, self.at_least, self.at_most)
        return any(_same(found, value) for value in self._wanted())

    def objection(self, found: t.Any) -> str:
        """Return why the value is not what was expected; empty when it is."""
        if self.met(found):
            return ""
        shown = json.dumps(found, ensure_ascii=False)[:SHOWN]
        if self.exists is not None:
            return f"{self.query} is {'missing' if self.exists else shown}"
        if self.at_least is not None or self.at_most is not None:
            limit = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
            return f"{self.query} is {shown}, expected {limit}"
        return f"{self.query} is {shown}, expected {' or '.join(json.dumps(value) for value in self._wanted())}"

    def _wanted(self) -> list[t.Any]:
        return list(self.within) if self.within is not None else [self.equals]


def _same(found: t.Any, wanted: t.Any) -> bool:
    """Compare as JSON does: true is not 1. A number may be written as text, since templates make text of numbers."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, (int, float)) and isinstance(wanted, str):
        return str(found) == wanted
    return bool(found == wanted)


def _between(found: t.Any, least: float | None, most: float | None) -> bool:
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return False
    return (least is None or found >= least) and (most is None or found <= most)
