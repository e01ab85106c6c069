# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run: what was asked, what was seen, what was done, how it ended.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import typing as t
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import _boxes, _journal, _store
from ._check import FAIL, UNKNOWN, standing, worst_first
from ._errors import OpsError

SCHEMA = 2
CHAIN, LOCK = "chain.json", "chain.lock"  # beside the records: which one is the newest, and who adds one


def build(
    state_dir: Path, begun: dict[str, t.Any], ending: dict[str, t.Any], asked: _boxes.Asked
) -> dict[str, t.Any]:
    """Put the record of a run together from its beginning, its journal and its ending.

    Args:
        begun: run, playbook, operator, controller, host, project, asked, started, release_before.
        ending: outcome, msg, release_after.
        asked: the checklist that it answers.
    """
    entries = _journal.read(state_dir, begun["run"])
    finished = _journal.now()
    return {
        "schema": SCHEMA,
        **begun,
        "finished": finished,
        "seconds": (_journal.time_of(finished) - _journal.time_of(begun["started"])).total_seconds(),
        **ending,
        "steps": [{**entry, "checks": [check["id"] for check in entry.get("checks") or []]} for entry in entries],
        "checks": last_of_each([check for entry in entries for check in entry.get("checks") or []]),
        "overtaken": overtaken(entries),
        **_boxes.of_run(newest(state_dir), entries, begun["run"], finished, asked),
        "previous": None,  # until it is written
        "previous_run": None,
    }


def is_incident(record: Mapping[str, t.Any]) -> bool:
    """Whether a run was a rollback: one that the deployment did itself, or one that was asked for, well ended or not."""
    return record["outcome"] in ("taken_back", "rolled_back") or (
        record["playbook"] == "rollback" and record["outcome"] == "failed"
    )


def last_of_each(checks: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Keep each check's last answer, in the order in which checks first appeared."""
    latest = {check["id"]: check for check in checks}
    return list(latest.values())


def overtaken(entries: Sequence[Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return what stood in the way and was answered better later on: what a release was taken back for.

    Each row has besides ``at``, when it was seen, and ``step``, by whom.
    """
    found: dict[str, dict[str, t.Any]] = {}
    for entry in entries:
        rows = entry.get("checks") or []
        stands = {row["id"] for status in (FAIL, UNKNOWN) for row in standing(rows, status)}
        found.update({row["id"]: {**row, "at": entry["at"], "step": entry["step"]} for row in rows if row["id"] in stands})
    last = {row["id"]: row for entry in entries for row in entry.get("checks") or []}
    better = [row for row in found.values() if last[row["id"]]["status"] not in (FAIL, UNKNOWN)]
    return worst_first(better, lambda row: row["status"])


def write(state_dir: Path, record: dict[str, t.Any]) -> Path:
    """Link a record to the newest one and write it; return its path. Runs that end side by side do so one after the other."""
    path = state_dir / "records" / f"{record['run']}.json"
    with _one_at_a_time(state_dir / LOCK):
        record["previous_run"], record["previous"] = _newest_link(state_dir, record["run"])
        data = _store.as_json(record)
        # Told first: after a crash between the two the next one goes on with the last that is there.
        link = {key: record[key] for key in ("run", "previous", "previous_run")}
        _store.write_json(state_dir / CHAIN, {**link, "sha256": hashlib.sha256(data).hexdigest()})
        _store.write_whole(path, data)
    return path


@contextmanager
def _one_at_a_time(lock: Path) -> t.Iterator[None]:
    _store.private_dir(lock.parent)
    with open(lock, "a", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def newest(state_dir: Path) -> dict[str, t.Any] | None:
    """Return the newest record of this host; one that is damaged answers nothing."""
    records = state_dir / "records"
    link = _link(state_dir)
    known = [records / f"{link['run']}.json"] if link else []
    files = [path for path in known if path.exists()] or sorted(records.glob("*.json"))
    try:
        return _store.read_json(files[-1]) if files else None
    except OpsError:
        return None


def _link(state_dir: Path) -> dict[str, t.Any] | None:
    """Return what is noted of the record that was written last; names tell only what began last."""
    try:
        return t.cast("dict[str, t.Any] | None", _store.read_json(state_dir / CHAIN))
    except OpsError:
        return None


def _newest_link(state_dir: Path, run: str) -> tuple[str | None, str | None]:
    """Return run and hash of the record that was written last, as it was written.

    A record of schema 1 is no link: its copies have other bytes. A run that ends a second time takes its own place again.
    """
    link = _link(state_dir)
    records = state_dir / "records"
    if link and link["run"] != run and (records / f"{link['run']}.json").exists():
        return link["run"], link["sha256"]
    if link:
        return link["previous_run"], link["previous"]
    for path in sorted(records.glob("*.json"), reverse=True):
        data = path.read_bytes()
        if path.stem != run and _schema(data) == SCHEMA:
            return path.stem, hashlib.sha256(data).hexdigest()
    return None, None


def _schema(data: bytes) -> t.Any:
    try:
        return json.loads(data)["schema"]
    except (ValueError, KeyError, TypeError):
        return None
