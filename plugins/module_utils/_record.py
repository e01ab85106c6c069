# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run: what was asked, what was seen, what was done, how it ended.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import hashlib
import typing as t
from pathlib import Path

from . import _journal, _store

SCHEMA = 1


def build(state_dir: Path, begun: dict[str, t.Any], ending: dict[str, t.Any]) -> dict[str, t.Any]:
    """Put the record of a run together from its beginning, its journal and its ending.

    Args:
        begun: run, playbook, operator, controller, host, project, asked, started, release_before.
        ending: outcome, msg, release_after.
    """
    entries = _journal.read(state_dir, begun["run"])
    finished = _journal.now()
    return {
        "schema": SCHEMA,
        **begun,
        "finished": finished,
        "seconds": (_time(finished) - _time(begun["started"])).total_seconds(),
        **ending,
        "steps": [{key: value for key, value in entry.items() if key != "checks"} for entry in entries],
        "checks": last_of_each([check for entry in entries for check in entry.get("checks") or []]),
        "previous": _newest_hash(state_dir),
    }


def last_of_each(checks: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Keep each check's last answer, in the order in which checks first appeared."""
    latest = {check["id"]: check for check in checks}
    return list(latest.values())


def write(state_dir: Path, record: dict[str, t.Any]) -> Path:
    """Write it into the host's chain; return its path."""
    path = state_dir / "records" / f"{record['run']}.json"
    _store.write_json(path, record)
    return path


def _newest_hash(state_dir: Path) -> str | None:
    """Return the SHA-256 of the newest record, by which the next one is chained to it."""
    files = sorted((state_dir / "records").glob("*.json"))
    return hashlib.sha256(files[-1].read_bytes()).hexdigest() if files else None


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
