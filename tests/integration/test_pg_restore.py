# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps brought back into a real server: all of it is there, or everything is as it was before."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import pg
import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dump, _pg_counts, _pg_restore
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._pg_tools import Tools
from pg import FIRST, HOST, HOW, INSIDE, PASSWORD, SECOND, SHOP, Dumped, Server, bring, nothing_left, state, take


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[Server]:
    with pg.server() as running:
        yield running


@pytest.fixture(scope="module", name="dumped")
def _dumped(server: Server) -> Dumped:
    server.database("shop", SHOP)
    return take(server, "shop")


@pytest.mark.parametrize("tools", [HOST, INSIDE], ids=["host", "image"])
def test_all_of_it_comes_back_beside_what_was_there(server: Server, dumped: Dumped, tools: Tools) -> None:
    archive, facts, counts = take(server, "shop", tools)
    assert counts.rows == {"public.business": 50, "public.leads": 2000, "public.odd_2026": 7}
    assert counts == dumped[2]
    assert (facts["schemas"], facts["roles"]) == (["public"], ["reader", "shop"])
    assert _dump.contents(io.BytesIO(archive), tools, facts["tool_major"]) > 30
    wanted = state(server, "shop")

    server.database("twin", "CREATE TABLE leads (old int); INSERT INTO leads VALUES (1)")
    before = state(server, "twin")
    restored = bring(server, "twin", archive, facts, tools=tools)
    assert (restored.schemas, restored.kept, restored.notes) == (["public"], [f"before_{FIRST}_public"], [])
    found = _pg_restore.counts(server.target("twin"), HOW, facts["schemas"])
    assert _pg_counts.differences(counts, found) == []
    assert server.psql(f'SELECT old FROM "before_{FIRST}_public".leads', "twin") == "1", "what was there is kept"
    assert _pg_restore.unsettled(server.target("twin"), HOW) == {FIRST: ["public"]}
    assert take(server, "twin")[1]["schemas"] == ["public"], "what is kept is not dumped again"

    undone = "CREATE TABLE public.since (id int)"
    server.psql(undone, "twin", "shop")
    assert _pg_restore.undo(server.target("twin"), HOW, FIRST) == ["public"]
    assert state(server, "twin") == before

    server.database("twin")
    bring(server, "twin", archive, facts, SECOND, tools=tools)
    assert _pg_restore.settle(server.target("twin"), HOW, SECOND) == [f"before_{SECOND}_public"]
    assert state(server, "twin") == wanted, "owners, rights, comments, indexes, triggers, policies, all"
    assert (
        server.psql(
            "INSERT INTO leads (business, phone, note) VALUES (1, '+2', 'x') RETURNING id, note", "twin", "shop"
        )
        == "2001|x!"
    )
    assert nothing_left() == []


def test_a_restore_that_fails_half_way_leaves_everything_as_it_was(server: Server, dumped: Dumped) -> None:
    archive, facts, _counts = dumped
    # What a trigger of the whole database forbids is not known before.
    server.database("twin", "CREATE TABLE leads (old int); INSERT INTO leads VALUES (1), (2)")
    server.psql(
        "CREATE FUNCTION pg_temp.no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;"
        "CREATE SCHEMA guard; CREATE FUNCTION guard.no() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF tg_tag = 'CREATE INDEX' THEN RAISE EXCEPTION 'no index today'; END IF; END $$;"
        "CREATE EVENT TRIGGER no ON ddl_command_start EXECUTE FUNCTION guard.no()",
        "twin",
    )
    before = state(server, "twin")
    with pytest.raises(OpsError, match="no index today") as told:
        bring(server, "twin", archive, facts)
    assert "changed nothing" in told.value.problem
    assert state(server, "twin") == before
    assert _pg_restore.unsettled(server.target("twin"), HOW) == {}


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ("CREATE SCHEMA other; CREATE VIEW other.v AS SELECT * FROM leads", "view other.v.* in other"),
        ("CREATE SCHEMA other; CREATE TABLE other.t (l int REFERENCES leads)", "constraint t_l_fkey"),
        (
            "CREATE SCHEMA other; CREATE TABLE other.t (); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON other.t FOR EACH ROW EXECUTE FUNCTION f()",
            "trigger g on",
        ),
        ("SELECT lo_create(0)", "1 large objects"),
        ("RESET ROLE; ALTER SCHEMA public OWNER TO reader", "does not own the schema public"),
    ],
)
def test_what_would_be_lost_is_refused_beforehand(server: Server, dumped: Dumped, prepare: str, words: str) -> None:
    server.database("twin", "CREATE TABLE leads (id int PRIMARY KEY)")
    server.psql(prepare, "twin", "postgres" if "reader" in prepare else "shop")
    before = state(server, "twin")
    with pytest.raises(OpsError, match=words) as told:
        bring(server, "twin", dumped[0], dumped[1])
    assert told.value.remedy
    assert state(server, "twin") == before


def test_extensions_among_the_tables(server: Server, dumped: Dumped) -> None:
    """Who may not move them is told so; a superuser takes them along, and back."""
    archive, facts, counts = dumped
    server.database(
        "twin",
        "CREATE EXTENSION pg_trgm; CREATE TABLE leads (old text); CREATE INDEX ON leads USING gin (old gin_trgm_ops)",
    )
    before = state(server, "twin")
    with pytest.raises(OpsError, match=r"shop cannot take them along: pg_trgm \(its functions belong to postgres\)"):
        bring(server, "twin", archive, facts)
    assert state(server, "twin") == before
    superuser = server.target("twin", "postgres")
    _pg_restore.restore(superuser, HOST, HOW, io.BytesIO(archive), facts, FIRST)
    assert _pg_counts.differences(counts, _pg_restore.counts(superuser, HOW, ["public"])) == []
    _pg_restore.undo(superuser, HOW, FIRST)
    where = "SELECT n.nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_trgm'"
    assert server.psql(where, "twin") == "public"
    assert (
        server.psql(
            "INSERT INTO leads VALUES ('abc'); SELECT count(*) FROM leads WHERE old LIKE '%bc%'", "twin", "shop"
        )
        == "1"
    )


def test_roles_that_the_server_lacks(server: Server, dumped: Dumped) -> None:
    archive, facts, counts = dumped
    with pg.server() as other:
        other.psql("DROP ROLE reader")
        other.database("shop")
        with pytest.raises(OpsError, match="roles that the server does not have: reader"):
            bring(other, "shop", archive, facts)
        with pytest.raises(OpsError, match='"reader" does not exist'):  # a policy names it, which is no right
            bring(other, "shop", archive, facts, owners="drop")
        other.psql("CREATE ROLE reader")
        bring(other, "shop", archive, facts, owners="drop")
        assert _pg_counts.differences(counts, _pg_restore.counts(other.target("shop"), HOW, ["public"])) == []
        assert other.psql("SELECT relacl FROM pg_class WHERE relname = 'leads'", "shop") == ""


def test_a_database_is_made_when_it_is_not_there(server: Server, dumped: Dumped) -> None:
    server.psql("DROP DATABASE IF EXISTS fresh; DROP ROLE IF EXISTS poor")
    assert _pg_restore.ensure(server.target("fresh"), HOW, dumped[1])
    assert not _pg_restore.ensure(server.target("fresh"), HOW, dumped[1])
    bring(server, "fresh", dumped[0], dumped[1])
    server.psql(f"DROP DATABASE fresh; CREATE ROLE poor LOGIN PASSWORD '{PASSWORD}'")
    with pytest.raises(OpsError, match="permission denied to create database") as told:
        _pg_restore.ensure(server.target("fresh", "poor"), HOW)
    assert 'CREATE DATABASE "fresh" TEMPLATE template0 OWNER "poor"' in told.value.remedy


def test_a_session_in_the_way_is_told(server: Server, dumped: Dumped) -> None:
    server.database("twin", "CREATE TABLE leads (old int)")
    bring(server, "twin", dumped[0], dumped[1])
    with contextlib.closing(server.connect("twin")) as connection, connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "before_{FIRST}_public".leads')
        with pytest.raises(OpsError, match="1 other sessions use the database"):
            _pg_restore.settle(server.target("twin"), HOW, FIRST, lock_seconds=1)
        assert len(_pg_restore.sessions(server.target("twin"), HOW)) == 1
    assert _pg_restore.settle(server.target("twin"), HOW, FIRST) == [f"before_{FIRST}_public"]
    with pytest.raises(OpsError, match="holds nothing of a restore"):
        _pg_restore.undo(server.target("twin"), HOW, FIRST)


def test_everybody_may_use_the_schema_as_before(server: Server, dumped: Dumped) -> None:
    rights = (
        "SELECT has_schema_privilege('reader', 'public', 'USAGE'), has_schema_privilege('reader', 'public', 'CREATE')"
    )
    for grant, wanted in (
        ("", "t|f"),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC", "f|f"),
        ("GRANT ALL ON SCHEMA public TO PUBLIC", "t|t"),
    ):
        server.database("rights", f"CREATE TABLE t (); {grant}")
        assert server.psql(rights, "rights") == wanted
        archive, facts, _counts = take(server, "rights")
        bring(server, "rights", archive, facts)
        assert server.psql(rights, "rights") == wanted


def test_what_is_in_no_schema_of_ours(server: Server) -> None:
    odd = 'CREATE SCHEMA "Other.One"; CREATE TABLE "Other.One".t AS SELECT 1 AS a; CREATE TABLE public.p (); SELECT lo_create(0)'
    server.database("shop2", odd)
    archive, facts, counts = take(server, "shop2")
    assert facts["schemas"] == ["Other.One", "public"] and counts.large_objects == 1
    assert counts.rows == {'"Other.One".t': 1, "public.p": 0}
    server.database("twin")
    bring(server, "twin", archive, facts)
    assert _pg_counts.differences(counts, _pg_restore.counts(server.target("twin"), HOW, facts["schemas"])) == []
    server.psql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata", "twin")
    _pg_restore.undo(server.target("twin"), HOW, FIRST)
    assert "Other.One" not in server.psql("SELECT string_agg(nspname, ' ') FROM pg_namespace", "twin")
    only = take(server, "shop2", schemas=["Other.One"])
    assert only[2].rows == {'"Other.One".t': 1}
    with pytest.raises(OpsError, match="has no schema nothing; it has Other.One, public"):
        take(server, "shop2", schemas=["nothing"])
