# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that are made of a record on the controller, beside it: its page, JUnit XML, and the report of a rollback.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Collection
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _record, _store

from . import _incident, _record_junit, _record_page

Row = dict[str, t.Any]


class File(t.NamedTuple):
    """One file: the format that it belongs to, its key in the result of the module, its suffix, what is in it, and when."""

    format: str
    key: str
    suffix: str
    render: Callable[[Row], str]
    wanted: Callable[[Row], bool]


FILES = (
    File("html", "page", ".html", _record_page.render, lambda record: True),
    File("html", "incident_page", ".incident.html", _incident.page, _record.is_incident),
    File("html", "incident", ".incident.md", _incident.markdown, _record.is_incident),
    File("junit", "junit", ".xml", _record_junit.render, lambda record: True),
)


def make(record: Row, path: Path, formats: Collection[str], warn: Callable[[str], None]) -> dict[str, str]:
    """Write what is asked for beside a record; return the paths by key.

    A file that cannot be made is told: the record is complete without it, and the run has ended.

    Args:
        path: of the record.
        warn: takes a sentence for the operator.
    """
    made = {}
    for one in FILES:
        if one.format not in formats or not one.wanted(record):
            continue
        target = path.with_suffix(one.suffix)
        try:
            _store.write_whole(target, one.render(record).encode(errors="backslashreplace"))
            made[one.key] = str(target)
        except Exception as error:
            warn(f"{target.name} was not made: {type(error).__name__}: {error}. The record is complete.")
    return made
