# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What long work says: a private file of lines, without a secret, that never stands in the way."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils._health import Judgement
from ansible_collections.prosaas.ops.plugins.module_utils._progress import MAX_LENGTH, Progress, path_of
from ansible_collections.prosaas.ops.plugins.module_utils._watch import awaited


def texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="ascii").splitlines()]


def test_lines_are_added_to_a_private_file_of_the_run(tmp_path: Path) -> None:
    path = path_of(tmp_path, "one")
    Progress(path).say("built api")
    Progress(path).say("built worker – in 3 s")
    assert path == tmp_path / "runs/one/progress.jsonl"
    assert texts(path) == ["built api", "built worker – in 3 s"]
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert set(json.loads(path.read_text().splitlines()[0])) == {"at", "text"}


def test_secrets_are_masked_also_those_that_become_known_later(tmp_path: Path) -> None:
    hidden: set[str] = set()
    progress = Progress(tmp_path / "progress.jsonl", hidden)
    hidden.add("correct-horse-battery")
    progress.say("token correct-horse-battery at postgresql://app:pass-word@db/shop")
    assert texts(tmp_path / "progress.jsonl") == ["token ******** at postgresql://app:********@db/shop"]


def test_a_text_is_one_line_that_can_be_read(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress.jsonl")
    progress.say("two\nlines\tof \udce9")
    progress.say("x" * 1000)
    said = texts(tmp_path / "progress.jsonl")
    assert said == ["two lines of \udce9", "x" * MAX_LENGTH + "…"]


def test_without_a_run_nothing_is_written_and_a_full_disk_is_no_failure(tmp_path: Path) -> None:
    Progress(None).say("anything")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    Progress(tmp_path / "file" / "progress.jsonl").say("cannot be written")
    Progress(Path("/dev/full")).say("cannot be written either")


def test_what_is_awaited_is_named() -> None:
    states = {
        name: Judgement(good, False, "running") for name, good in (("api", True), ("worker", False), ("baileys", False))
    }
    assert awaited(states, 30) == "1/3 healthy, waiting for worker, baileys"
    assert awaited({"api": states["api"]}, 30) == "1/1 healthy, watching that they stay so for 30 s"
