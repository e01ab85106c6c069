# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What long work says while it goes on: one JSON line each in ``progress.jsonl`` of the run, for whoever follows it.

The file is written on the host and followed from the controller (``plugins/plugin_utils/_follow.py``). Nothing depends
on it: a line that cannot be written is left out.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from collections.abc import Iterable
from pathlib import Path

from . import _journal, _secrets, _store

MAX_LENGTH = 300  # of a line that a person reads as it passes

Say = t.Callable[[str], None]


def silent(_text: str) -> None:
    """Say nothing: for work that nobody follows."""


def path_of(state_dir: Path, run: str) -> Path:
    return _journal.run_dir(state_dir, run) / "progress.jsonl"


class Progress:
    """Says what goes on in one run; with no path, nothing.

    Args:
        path: the file; it and its directory are made when there is something to say.
        hidden: secrets to mask; read at each line, so that values which become known later count too.
    """

    def __init__(self, path: Path | None, hidden: Iterable[str] = ()) -> None:
        self._path = path
        self._hidden = hidden

    def say(self, text: str) -> None:
        """Add one line, on the disk's side of every buffer when this returns."""
        if self._path is None:
            return
        words = " ".join(_secrets.redact(text, self._hidden).split())
        if len(words) > MAX_LENGTH:
            words = words[:MAX_LENGTH] + "…"
        # ASCII alone, whatever the text holds: a line is read back by its bytes.
        line = json.dumps({"at": _journal.now(), "text": words}) + "\n"
        with contextlib.suppress(OSError):
            _store.private_dir(self._path.parent)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode("ascii"))
            finally:
                os.close(descriptor)
