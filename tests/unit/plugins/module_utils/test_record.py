# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run from its beginning to its record, with secrets in what it saw."""

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _journal, _lease, _record, _run
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

ASKED: dict[str, t.Any] = {
    "playbook": "deploy",
    "operator": "dana",
    "project": "app",
    "asked": {"commit": "main"},
    "controller": {"host": "laptop", "boot_id": "b", "pid": 1, "process_started": 2},
}


def begin(state: Path, lease: bool = True) -> str:
    return str(_run.begin(state, ASKED, lease, "", check_mode=False)["run"])


def test_record_holds_what_was_asked_seen_and_done(tmp_path: Path) -> None:
    run = begin(tmp_path)
    for status in ("fail", "pass"):
        check = {"id": "compose.api.state", "status": status, "required": True, "waiver": None, "attestation": None}
        _journal.append(tmp_path, run, {"step": "compose_health", "status": "ok", "seconds": 1.5, "checks": [check]})
    record, path = _run.end(tmp_path, run, "verified", "all good", 30)
    assert json.loads(path.read_text()) == record
    assert path.stat().st_mode & 0o777 == 0o600
    assert (record["operator"], record["asked"], record["outcome"]) == ("dana", {"commit": "main"}, "verified")
    assert [step["step"] for step in record["steps"]] == ["compose_health"] * 2
    assert [(check["id"], check["status"]) for check in record["checks"]] == [("compose.api.state", "pass")], "the last answer"
    assert [(row["step"], row["status"]) for row in record["overtaken"]] == [("compose_health", "fail")], "what it was before"
    assert _lease.holder(tmp_path) is None


def test_the_newest_record_is_the_one_that_ended_last(tmp_path: Path) -> None:
    """A long run that began before a short one ends after it, and carries on what that has seen."""
    long, short = begin(tmp_path), begin(tmp_path, lease=False)
    _run.end(tmp_path, max(long, short), "passed", "", 30)
    last, _path = _run.end(tmp_path, min(long, short), "passed", "", 30)
    newest = _record.newest(tmp_path)
    assert newest is not None and newest["run"] == last["run"]


def test_records_are_chained(tmp_path: Path) -> None:
    first, path = _run.end(tmp_path, begin(tmp_path), "failed", "", 30)
    second, _path = _run.end(tmp_path, begin(tmp_path), "verified", "", 30)
    assert first["previous"] is None
    assert second["previous"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_secrets_never_reach_the_journal(tmp_path: Path) -> None:
    run = begin(tmp_path, lease=False)
    msg = "postgresql://app:correct-horse@db/app refused; key tok/en+value12"
    _journal.append(tmp_path, run, {"step": "x", "msg": msg}, hidden=["tok/en+value12"])
    text = (_journal.run_dir(tmp_path, run) / "journal.jsonl").read_text()
    assert "correct-horse" not in text and "tok/en" not in text
    assert "postgresql://app:********@db/app refused" in text


def test_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    run = begin(tmp_path, lease=False)
    _journal.append(tmp_path, run, {"step": "whole"})
    with open(_journal.run_dir(tmp_path, run) / "journal.jsonl", "a", encoding="utf-8") as stream:
        stream.write('{"step": "cut sh')
    assert [entry["step"] for entry in _journal.read(tmp_path, run)] == ["whole"]


def test_check_mode_writes_nothing_and_tells_who_holds_the_lease(tmp_path: Path) -> None:
    assert _run.begin(tmp_path, ASKED, True, "", check_mode=True)["locked_by"] == ""
    assert list(tmp_path.iterdir()) == []
    begin(tmp_path)
    assert "dana on laptop" in _run.begin(tmp_path, ASKED, True, "", check_mode=True)["locked_by"]


def test_old_run_directories_go_and_records_stay(tmp_path: Path) -> None:
    for _number in range(4):
        _run.end(tmp_path, begin(tmp_path), "verified", "", 2)
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert len(list((tmp_path / "records").iterdir())) == 4


def test_end_of_an_unknown_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="There is no run nobody"):
        _run.end(tmp_path, "nobody", "failed", "", 30)
