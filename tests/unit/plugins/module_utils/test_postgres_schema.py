# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database must hold, judged by what there is, what a release needs, and what there was."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _postgres_schema, _release
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, WARN
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_schema import (
    Held,
    Known,
    Wish,
    judge_count,
    judge_migrations,
    judge_tables,
    remembered,
)

wish = Wish.of(
    "shop",
    {
        "tables": {"orders": ["id", "paid"], "customers": None},
        "migrations": {"table": "done", "column": "id", "success": "good", "files": ["migrations/*.sql"]},
        "count": {"id": "flows", "title": "Flows", "table": "flow", "where": "active", "unit": "flows", "told": "active"},
        "remedy": "Look.",
    },
)


@pytest.mark.parametrize(
    "given", [{"table": {}}, {"migrations": {"table": "done"}}, {"count": {"id": "flows", "colour": "red"}}]
)
def test_a_wish_that_cannot_be_read_says_so(given: dict[str, object]) -> None:
    with pytest.raises(OpsError, match="schema of shop"):
        Wish.of("shop", given)


def test_what_is_missing_is_named() -> None:
    assert judge_tables(Held(), wish).status == PASS
    found = judge_tables(Held(missing=["table customers", "orders.paid"]), wish)
    assert found == (FAIL, "not there: table customers, orders.paid", "Look.", "")


@pytest.mark.parametrize(
    ("applied", "known", "status", "words"),
    [
        ({"1": True, "2": True}, ["1"], PASS, "2 are applied, none has failed, among them the 1 that the release has in its commit"),
        ({"1": True}, [], PASS, "which ones the release needs is not known"),
        ({"1": True, "2": False}, ["1"], FAIL, "not successful: 2"),
        ({"1": True}, ["1", "3"], FAIL, "not applied, though the release has them: 3"),
        (None, [], FAIL, "there is no table done"),
    ],
)
def test_migrations(applied: dict[str, bool] | None, known: list[str], status: str, words: str) -> None:
    found = judge_migrations(Held(applied=applied), wish, Known(known, "has in its commit"))
    assert found.status == status
    assert words in found.evidence


@pytest.mark.parametrize(
    ("rows", "before", "status"),
    [
        ((0, 0), None, PASS),
        ((3, 2), None, PASS),
        ((3, 2), (3, 2), PASS),
        ((2, 2), (3, 2), WARN),
        ((3, 1), (3, 2), WARN),
        ((0, 0), (3, 2), FAIL),
        (None, None, FAIL),
    ],
)
def test_rows_are_compared_with_what_there_was(
    rows: tuple[int, int] | None, before: tuple[int, int] | None, status: str
) -> None:
    was = {"total": before[0], "told": before[1], "on": "2026-11-01"} if before else None
    found = judge_count(Held(rows=rows), wish, was, Path("/state/seen/database.json"))
    assert found.status == status
    assert ("rm /state/seen/database.json" in found.remedy) == (rows is not None and status == FAIL)


def test_a_look_that_found_nothing_is_not_remembered() -> None:
    assert remembered(Held(rows=(0, 0))) is remembered(Held()) is None
    assert (remembered(Held(rows=(3, 2))) or {})["total"] == 3


def test_a_release_needs_what_it_was_verified_with_and_what_its_commit_has(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "migrations").mkdir(parents=True)
    (checkout / "migrations/002_orders.sql").touch()
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.test"]
        subprocess.run(["git", *identity, *words], cwd=checkout, check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=checkout, text=True).strip()
    (checkout / "migrations/003_not_committed.sql").touch()

    def execute(argv: list[str], **_options: object) -> tuple[int, str, str]:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert wish.migrations is not None
    known = _postgres_schema.known(tmp_path, checkout, wish.migrations, execute)
    assert known == Known({"002_orders"}, "has in its commit")
    store = _release.Store(tmp_path)
    release = _release.Release(_release.new_id(commit), commit, "one", "", {}, schema=["001_customers"])
    store.put(release)
    store.set_current(release)
    known = _postgres_schema.known(tmp_path, checkout, wish.migrations, execute)
    assert (sorted(known.ids), known.source) == (["001_customers", "002_orders"], "was verified with and has in its commit")
    shutil.rmtree(store.path(release.id))
    assert _postgres_schema.known(tmp_path, None, wish.migrations, execute) == Known(set(), "")


def test_the_columns_that_verify_asks_for_are_those_that_the_application_calls_critical() -> None:
    root = Path(__file__).resolve().parents[4]
    data = yaml.safe_load((root / "roles/verify/defaults/main/database.yml").read_text(encoding="utf-8"))
    tree = ast.parse((root / "demo/prosaas/server/db_migrate.py").read_text(encoding="utf-8"))
    values = {one.targets[0].id: one.value for one in tree.body if isinstance(one, ast.Assign)}  # type: ignore[attr-defined]
    critical = {table: list(columns) for table, columns in ast.literal_eval(values["CRITICAL_COLUMNS"]).items()}
    asked = data["verify_database_tables"]
    assert {table: columns for table, columns in asked.items() if columns} == critical
    assert {"business", "leads", "threads", "messages", "faqs"} <= asked.keys()
