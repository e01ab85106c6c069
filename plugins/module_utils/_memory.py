# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen at an earlier look, kept on the host: some things are judged by what they were.

One JSON file per subject, ``seen/SUBJECT.json`` below the state directory. It holds numbers, names and dates.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from pathlib import Path

from . import _journal, _store


class Memory:
    """What one subject remembers: ``before`` is what was kept, ``now`` what is to be kept by :meth:`keep`."""

    def __init__(self, state_dir: Path, subject: str) -> None:
        self.path = state_dir / "seen" / f"{subject}.json"
        self.before: dict[str, t.Any] = _store.read_json(self.path) or {}
        self.now: dict[str, t.Any] = dict(self.before)
        self._kept = dict(self.before)

    def forget(self, part: str, names: Iterable[str]) -> None:
        """Leave names out of one part, as if they had never been seen."""
        gone = set(names)
        self.before[part] = {name: was for name, was in self.before.get(part, {}).items() if name not in gone}
        self.now[part] = dict(self.before[part])

    def keep(self) -> None:
        """Write it whole, where it differs from what was kept."""
        if self.now != self._kept:
            _store.write_json(self.path, self.now)


def today() -> str:
    """Return the day, UTC, as it is remembered."""
    return _journal.now()[:10]
