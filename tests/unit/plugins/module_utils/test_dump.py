# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted and compared, the SQL around a dump, and what a restore refuses before it begins."""

from __future__ import annotations

import contextlib
import io
import types
import typing as t
from collections.abc import Iterator
from dataclasses import replace

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dump, _pg_before, _pg_counts, _pg_pour, _pg_restore
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._pg_before import Found, refuse
from ansible_collections.prosaas.ops.plugins.module_utils._pg_counts import Counts
from ansible_collections.prosaas.ops.plugins.module_utils._pg_tools import Tools
from ansible_collections.prosaas.ops.plugins.module_utils._postgres import Source
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_connect import Manner

ID = "20261122T210501Z"
COUNTS = Counts({"public.leads": 5, "public.faqs": 0}, {"public.leads_id_seq": 7}, 0)
FACTS: dict[str, t.Any] = {
    "server_major": 15,
    "tool_major": 15,
    "schemas": ["public"],
    "roles": ["shop"],
    "extensions": [],
}
FOUND = Found("orders", 15, schemas={"public": True}, roles=["shop", "postgres"])


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (COUNTS, []),
        (COUNTS._replace(sequences={"public.leads_id_seq": 9}), []),
        (COUNTS._replace(sequences={"public.leads_id_seq": 6}), ["the sequence public.leads_id_seq is at 6, behind 7"]),
        (COUNTS._replace(sequences={}), ["the sequence public.leads_id_seq is missing"]),
        (COUNTS._replace(rows={"public.leads": 4, "public.faqs": 0}), ["public.leads has 4 rows of 5"]),
        (COUNTS._replace(rows={"public.faqs": 0}), ["public.leads is missing (5 rows)"]),
        (COUNTS._replace(rows={**COUNTS.rows, "public.x": 0}), ["public.x is not in the dump"]),
    ],
)
def test_differences(found: Counts, told: list[str]) -> None:
    assert _pg_counts.differences(COUNTS, found) == told
    if told:
        with pytest.raises(OpsError, match="not what was backed up"):
            _pg_counts.equal(COUNTS, found)
    else:
        assert _pg_counts.equal(COUNTS, found) == "2 tables with 5 rows, all equal"


def test_missing_large_objects_and_counts_as_json() -> None:
    wanted = COUNTS._replace(large_objects=3)
    assert _pg_counts.differences(wanted, COUNTS) == ["0 large objects of 3"]
    assert Counts.of(wanted._asdict()) == wanted


def script(text: str, schemas: t.Sequence[str] = ("public",), server: int = 15) -> str:
    return b"".join(_pg_pour.script(io.BytesIO(text.encode()), schemas, server)).decode()


def test_the_schema_is_left_out_and_what_the_server_does_not_know() -> None:
    head = "SET lock_timeout = 0;\nSET transaction_timeout = 0;\n"
    body = (
        "ALTER SCHEMA public OWNER TO shop;\nCREATE TABLE t ();\nCREATE SCHEMA public;\nSET transaction_timeout = 0;\n"
    )
    dumped = f"{head}CREATE SCHEMA public;\n{body}"
    assert script(dumped) == f"SET lock_timeout = 0;\n{body}", "what comes later may be anything, a function's text too"
    assert script(dumped, server=17) == f"{head}{body}"
    assert script('CREATE SCHEMA "Other.One";\nCREATE SCHEMA public;\n', ["public", "Other.One"]) == ""


def test_a_dump_without_the_schema() -> None:
    with pytest.raises(OpsError, match="does not hold the schema public"):
        script("SELECT 1;\n" * 3000)
    assert script("SELECT 1;\n") == "SELECT 1;\n", "one that ends early is pg_restore's to explain"


def test_the_schema_is_put_aside() -> None:
    found = replace(FOUND, extensions={"pg_trgm": ("public", ""), "pgcrypto": ("extensions", "")})
    wanted = [{"name": "pg_trgm", "schema": "public"}, {"name": "uuid-ossp", "schema": "Ext"}]
    sql = _pg_restore.making_room(found, {**FACTS, "schemas": ["public", "new"], "extensions": wanted}, ID, 30)
    assert sql.splitlines()[:8] == [
        "SET LOCAL lock_timeout = 30000;",
        "SET LOCAL client_min_messages = warning;",
        f'ALTER SCHEMA "public" RENAME TO "before_{ID}_public";',
        'CREATE SCHEMA "public";',
        'ALTER EXTENSION "pg_trgm" SET SCHEMA "public";',
        f'CREATE SCHEMA "before_{ID}_new";',
        f"COMMENT ON SCHEMA \"before_{ID}_new\" IS 'prosaas.ops: there was none';",
        'CREATE SCHEMA "new";',
    ]
    assert 'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" SCHEMA "Ext" CASCADE' in sql and '"pgcrypto"' not in sql


def test_rights_of_everybody() -> None:
    assert (
        _pg_pour.everybody({"public": ["CREATE", "USAGE"], "own": []})
        == 'GRANT CREATE, USAGE ON SCHEMA "public" TO PUBLIC;\n'
    )


@pytest.mark.parametrize(
    ("found", "facts", "problem"),
    [
        (replace(FOUND, replica=True), FACTS, "takes no changes"),
        (FOUND, {**FACTS, "server_major": 16}, "The dump is of PostgreSQL 16, and the server is 15"),
        (replace(FOUND, creates=False), FACTS, "shop may not make a schema"),
        (replace(FOUND, schemas={"public": False}), FACTS, "shop does not own the schema public"),
        (replace(FOUND, schemas={f"before_{ID}_public": True}), FACTS, f"A restore {ID} was made before"),
        (FOUND, {**FACTS, "schemas": ["x" * 50]}, "too long for Postgres"),
        (replace(FOUND, extensions={"postgis": ("public", "it is stuck")}), FACTS, r"postgis \(it is stuck\)"),
        (replace(FOUND, roles=[]), FACTS, "does not have: shop"),
        (replace(FOUND, large_objects=2), FACTS, "2 large objects"),
        (replace(FOUND, outside=["view v in a", "b", "c", "d"]), FACTS, "view v in a, b, c and 1 more"),
    ],
)
def test_what_is_refused(found: Found, facts: dict[str, t.Any], problem: str) -> None:
    with pytest.raises(OpsError, match=problem) as told:
        refuse(found, facts, ID, "keep", "shop")
    assert told.value.remedy


def test_what_is_not_refused() -> None:
    refuse(FOUND, FACTS, ID, "keep", "shop")
    refuse(replace(FOUND, schemas={}), FACTS, ID, "keep", "shop")
    refuse(replace(FOUND, roles=[]), FACTS, ID, "drop", "shop")
    refuse(replace(FOUND, extensions={"postgis": ("gis", "it is stuck")}), FACTS, ID, "keep", "shop")


@pytest.mark.parametrize("restore_id", ["", "today", f'{ID}"; DROP', f"{ID}_x"])
def test_an_id_that_is_none(restore_id: str) -> None:
    target = Source.of("m", {"url": "U"}).target({"U": "postgresql://u:passw0rd@nowhere.test/d"})
    with pytest.raises(OpsError, match="is no id of a restore"):
        _pg_restore.restore(target, Tools(), Manner(), io.BytesIO(), FACTS, restore_id)
    with pytest.raises(OpsError, match="owners is all"):
        _pg_restore.restore(target, Tools(), Manner(), io.BytesIO(), FACTS, ID, owners="all")


def test_the_port_of_a_pooler_is_refused_before_anything() -> None:
    target = Source.of("m", {"url": "U"}).target({"U": "postgresql://u:passw0rd@pooler.test:6543/d"})
    with pytest.raises(OpsError, match="pooler.test:6543 is a pooler that gives each transaction"):
        with _dump.dumping(target, Tools(), Manner()):
            pass
    with pytest.raises(OpsError, match="is a pooler that gives each transaction"):
        _pg_restore.undo(target, Manner(), ID)


class Connection:
    """One that says which process serves it, and which one its pooler said."""

    closed = 0

    def __init__(self, served: int, said: int) -> None:
        self.served = served
        self.info = types.SimpleNamespace(backend_pid=said)

    @contextlib.contextmanager
    def cursor(self) -> Iterator[t.Any]:
        yield types.SimpleNamespace(execute=lambda _sql: None, fetchone=lambda: (self.served,))

    def rollback(self) -> None:
        pass


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (Connection(10, 10), None, False),
        (Connection(10, 99), Connection(11, 98), False),
        (Connection(10, 99), Connection(10, 98), True),
    ],
    ids=["direct", "a pooler of sessions", "a pooler of transactions"],
)
def test_poolers(first: Connection, second: Connection | None, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def connected(*_given: object) -> Iterator[Connection]:
        assert second, "a direct connection is not asked twice"
        yield second

    monkeypatch.setattr(_dump, "connected", connected)
    target = Source.of("m", {"url": "U"}).target({"U": "postgresql://u:passw0rd@pooler.test:6432/d"})
    with pytest.raises(OpsError, match="pooler") if refused else contextlib.nullcontext():
        _dump.session_of_its_own(first, target, Manner())


def test_names_of_what_is_kept_fit_what_finds_them() -> None:
    assert _pg_before.aside(ID, "public") == f"before_{ID}_public"
    assert _pg_pour.identifier('a"b') == '"a""b"' and _pg_pour.literal("it's") == "'it''s'"
