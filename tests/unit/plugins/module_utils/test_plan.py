# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan is made of: differences of models, the way back, the schema, and what a person reads."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _changes, _plan_text, _schema, _way_back
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc)
TRACKED = {"connection": {"url": "DATABASE_URL"}, "table": "schema_migrations", "column": "migration_id"}


def test_differences_of_models_name_what_changed_and_no_value() -> None:
    before = {
        "services": {
            "api": {"image": "a", "environment": {"SECRET": "hunter2", "SAME": "1", "NULL": None}, "build": {"context": "/x"}},
            "same": {"command": ["x"], "depends_on": {"api": {}}},
            "gone": {},
        }
    }
    after = {
        "services": {
            "api": {"image": "a", "environment": {"SECRET": "hunter3", "SAME": "1", "NEW": "2"}, "mem_limit": "1g"},
            "same": {"command": ["x"]},
            "new": {},
        }
    }
    found = _changes.differences(before, after)
    assert found == {"api": ["environment changed: NEW, NULL, SECRET", "mem_limit changed"]}
    assert "hunter" not in str(found)


def record(state: Path, run: str, outcome: str, commit: str, before: str = "") -> None:
    (state / "records").mkdir(exist_ok=True)
    content = {"run": run, "outcome": outcome, "release_after": {"commit": commit}, "finished": f"at the end of {run}"}
    content["release_before"] = {"commit": before} if before else None
    (state / "records" / f"{run}.json").write_text(json.dumps(content))


def rehearsed(state: Path) -> str:
    return _way_back.rehearsed(state, 90, NOW).status


def test_a_rehearsal_is_a_rollback_and_the_way_forward_again(tmp_path: Path) -> None:
    assert rehearsed(tmp_path) == "warn"
    record(tmp_path, "20261101T000000Z-deploy-0001", "verified", "b")
    record(tmp_path, "20261102T000000Z-rollback-0002", "rolled_back", "a")
    assert rehearsed(tmp_path) == "warn"
    record(tmp_path, "20261103T000000Z-deploy-0003", "taken_back", "a")
    record(tmp_path, "20261103T000000Z-verify-0003", "verified", "b")
    record(tmp_path, "20261104T000000Z-deploy-0004", "verified", "a")
    assert rehearsed(tmp_path) == "warn"
    record(tmp_path, "20261105T000000Z-deploy-0005", "verified", "b")
    found = _way_back.rehearsed(tmp_path, 90, NOW)
    assert found.status == "pass" and "2026-11-05" in found.evidence


def test_a_rehearsal_that_failed_or_is_long_ago_or_damaged_does_not_count(tmp_path: Path) -> None:
    record(tmp_path, "20260501T000000Z-rollback-0001", "rolled_back", "a")
    record(tmp_path, "20260502T000000Z-deploy-0002", "verified", "b")
    record(tmp_path, "20261102T000000Z-rollback-0003", "failed", "a")
    record(tmp_path, "20261103T000000Z-deploy-0004", "verified", "b")
    record(tmp_path, "20261104T000000Z-rollback-0005", "rolled_back", "a")
    (tmp_path / "records/20261104T000000Z-rollback-0005.json").write_text("{")
    record(tmp_path, "20261105T000000Z-deploy-0006", "verified", "b")
    assert rehearsed(tmp_path) == "warn"


def test_only_a_rollback_that_ended_well_leaves_a_commit(tmp_path: Path) -> None:
    assert _way_back.left(tmp_path) == {}
    record(tmp_path, "20261101T000000Z-rollback-0001", "rolled_back", "a", before="b")
    record(tmp_path, "20261102T000000Z-rollback-0002", "failed", "a", before="c")
    record(tmp_path, "20261103T000000Z-rollback-0003", "unchanged", "a", before="a")
    record(tmp_path, "20261104T000000Z-deploy-0004", "verified", "d", before="a")
    record(tmp_path, "20261105T000000Z-rollback-0005", "rolled_back", "a", before="b")
    assert _way_back.left(tmp_path) == {"b": "at the end of 20261105T000000Z-rollback-0005"}


def test_without_migrations_there_is_nothing_to_judge() -> None:
    assert _schema.judge({}, None, {}, "r", False).status == "skip"
    assert _schema.recorded({}, {}) is None


def test_a_schema_that_is_not_known_is_unknown_until_it_is_accepted() -> None:
    for had, values in ((None, {}), (["1"], {}), (["1"], {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x"})):
        assert _schema.judge(TRACKED, had, values, "r", False).status == "unknown"
        accepted = _schema.judge(TRACKED, had, values, "r", True)
        assert accepted.status == "warn" and "accepted" in accepted.evidence


def test_newer_migrations_are_named_five_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    has = [f"{number:03}" for number in range(1, 11)]
    monkeypatch.setattr(_schema.Tracking, "read", lambda self, values: has)
    assert _schema.judge(TRACKED, has, {}, "r", False).status == "pass"
    found = _schema.judge(TRACKED, has[:3], {}, "r", False)
    assert found.status == "fail" and "7 migrations" in found.evidence
    assert "004, 005, 006, 007, 008 and 2 more" in found.evidence and "schema=accept" in found.remedy
    assert _schema.judge(TRACKED, has[:3], {}, "r", True).status == "warn"
    assert _schema.judge(TRACKED, [*has, "099"], {}, "r", False).status == "pass"


@pytest.mark.parametrize("given", [{"table": "x", "column": "y"}, {**TRACKED, "tabel": "z"}, {**TRACKED, "connection": {"uri": "X"}}])
def test_a_schema_as_data_with_a_mistake_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(OpsError, match="tabel|connection|Connection"):
        _schema.Tracking.of(given)


def test_the_plan_of_a_deployment_says_everything_that_decides() -> None:
    plan = {
        **{"commit": "a" * 40, "subject": "Faster", "needed": True, "reasons": ["commit bbbbbbbbbbbb serves"], "coming": 22},
        **{"commits": ["aaaaaaa Faster"], "going_back": 0, "services": {"api": ["another image"]}, "live": ["3 calls are live"]},
        **{"differs": [f"variable V{n}" for n in range(10)], "migrations": ["server/db_migrate.py"]},
    }
    text = _plan_text.deploy_text(plan, "bbbbbbbbbbbb (Old)")
    for said in ("Commits to come: 22", "  aaaaaaa Faster", "and 21 older ones", "  api: another image", "variable V7 and 2 more"):
        assert said in text
    for said in ("3 calls are live", "server/db_migrate.py", "goes back to: bbbbbbbbbbbb (Old)"):
        assert said in text
    assert _plan_text.deploy_text({**plan, "needed": False}, "").startswith("Nothing to deploy: aaaaaaaaaaaa (Faster)")


def test_the_plan_of_a_rollback_names_the_reason_or_that_there_is_none() -> None:
    plan = {"commit": "a" * 40, "subject": "Old", "release": "r1", "needed": True, "reason": "", "config": "today", "live": []}
    plan |= {"differs": ["variable TOKEN"], "restores": [], "services": {}}
    assert "because: no reason was given" in _plan_text.rollback_text(plan)
    assert "With today's .env; set otherwise since: variable TOKEN" in _plan_text.rollback_text(plan)
    back = _plan_text.rollback_text({**plan, "config": "release", "restores": [".env"], "reason": "silent calls"})
    assert "because: silent calls" in back and "these files come back: .env" in back
