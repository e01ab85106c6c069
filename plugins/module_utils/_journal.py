# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each step of a run leaves behind as it ends, one JSON line each, so that a killed run has a record too.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import json
import os
import time
import typing as t
from collections.abc import Iterable
from pathlib import Path

from . import _secrets, _store


def now() -> str:
    """Return the time as every file of the collection writes it: UTC, seconds, ISO 8601."""
    return written(time.time())


def written(at: float) -> str:
    """Return a time, in seconds since the epoch, as :func:`now` writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def time_of(text: str) -> datetime.datetime:
    """Return a time as :func:`now` writes it, UTC without saying so; ``ValueError`` when it is none, ``TypeError`` when no text."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def stamp() -> str:
    """Return the time as ids begin with it: UTC, so that names sort by age."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def run_dir(state_dir: Path, run: str) -> Path:
    return state_dir / "runs" / run


def append(state_dir: Path, run: str, entry: dict[str, t.Any], hidden: Iterable[str] = ()) -> None:
    """Add one entry, with the time at which it was written; secrets in it are masked."""
    path = _store.private_dir(run_dir(state_dir, run)) / "journal.jsonl"
    line = _secrets.redact(json.dumps({"at": now(), **entry}, ensure_ascii=False), hidden)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(line + "\n")


def read(state_dir: Path, run: str) -> list[dict[str, t.Any]]:
    """Return the entries in order; a last line cut short by a kill is left out."""
    try:
        text = (run_dir(state_dir, run) / "journal.jsonl").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    entries = []
    for line in text.splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries
