# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections as data, why a server refuses, and what is said of what a connection shows."""

from __future__ import annotations

import os
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _postgres_check, _postgres_inside
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, SKIP, UNKNOWN, WARN
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._postgres import Source, Target
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_connect import Manner, own_settings, parameters
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_inside import Inside, Place
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_judge import (
    Want,
    judge_connect,
    judge_inside,
    judge_reading,
    judge_rights,
    judge_room,
    judge_tls,
)
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_look import Reading, Seen
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_refusal import Refused, refusal

SECRET = "b4tteryhorse"
URL = f"postgresql://shop:{SECRET}@db.example.test:5433/orders?sslmode=require"
PARTS = {part: part.upper() for part in ("host", "port", "name", "user", "password", "ssl", "verify", "ca")}
VALUES = {"HOST": "db.example.test", "NAME": "flows", "USER": "n8n", "PASSWORD": SECRET}

shop = Source.of("shop", {"url": "URL", "migrates": True, "free": 5})
flows = Source.of("flows", {"title": "The flows", **PARTS})
target = shop.target({"URL": URL})
seen = Seen("15.4 (Debian)", 1.5, "TLSv1.3 AES", limits=[("the server", 60, 10)])
full = Refused("full", "no connection left", "End some.")
away = Refused("silent", "it does not answer", "Look.", UNKNOWN)


def test_a_url_leads_to_a_place_whatever_its_scheme_and_however_often_it_is_written() -> None:
    assert (target.place, target.database, target.user, target.sslmode) == (
        "db.example.test:5433",
        "orders",
        "shop",
        "require",
    )
    for scheme in ("postgres", "postgresql+psycopg2"):
        assert shop.target({"URL": URL.replace("postgresql", scheme, 1)}) == target
    fallback = Source.of("other", {"url": "OTHER", "or": ["URL"]})
    assert fallback.target({"OTHER": "", "URL": URL}) == target
    assert SECRET not in repr(target)


def test_startup_options_are_those_of_the_url_and_the_application() -> None:
    pooler = Source.of("pooler", {"url": "URL", "options": "-c statement_timeout=30000"})
    assert pooler.target({"URL": f"{URL}&options=-csearch_path%3Da"}).get("options") == (
        "-csearch_path=a -c statement_timeout=30000"
    )


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://shop:pass@{SECRET}@db.example.test/orders",
        f"postgresql://shop:{SECRET}/word@db.example.test/orders",
        f"postgresql://shop:12/{SECRET}@db.example.test/orders",
        f"postgresql://shop:{SECRET}@db.example.test/orders?pgbouncer=true",
        f"mysql://shop:{SECRET}@db.example.test/orders",
        SECRET,
    ],
)
def test_a_url_that_cannot_be_read_shows_no_piece_of_itself(url: str) -> None:
    with pytest.raises(OpsError) as error:
        shop.target({"URL": url})
    assert "URL" in error.value.problem
    assert SECRET not in str(error.value)


def test_what_is_not_set_is_named() -> None:
    with pytest.raises(OpsError, match="URL not set in the env file"):
        shop.target({})
    with pytest.raises(OpsError, match="HOST, PASSWORD not set"):
        flows.target({"NAME": "flows", "USER": "n8n"})


@pytest.mark.parametrize(
    ("said", "sslmode", "root"),
    [
        ({}, "disable", ""),
        ({"SSL": "false"}, "disable", ""),
        ({"SSL": "true"}, "verify-full", "system"),
        ({"SSL": "true", "VERIFY": "false"}, "require", ""),
        ({"VERIFY": "false"}, "require", ""),
        ({"CA": "/ca.crt"}, "verify-full", "/ca.crt"),
        ({"CA": "-----BEGIN CERTIFICATE-----"}, "require", ""),
    ],
)
def test_parts_ask_for_tls_as_their_program_does(said: dict[str, str], sslmode: str, root: str) -> None:
    found = flows.target({**VALUES, **said})
    assert (found.sslmode, found.get("sslrootcert"), found.port) == (sslmode, root, "5432")


@pytest.mark.parametrize("given", [{}, {"url": "A", "host": "B"}, {"url": "A", "sslmode": "require"}])
def test_a_connection_is_a_url_or_parts_and_nothing_unknown(given: dict[str, str]) -> None:
    with pytest.raises(OpsError, match="Connection shop"):
        Source.of("shop", given)


HERE = 'connection to server at "db.example.test" (192.0.2.7), port 5433 failed: '


@pytest.mark.parametrize(
    ("text", "kind", "status"),
    [
        ('could not translate host name "db" to address: Name or service not known', "unresolved", FAIL),
        ('could not translate host name "db" to address: Temporary failure in name resolution', "silent", UNKNOWN),
        (f"{HERE}Connection refused\n\tIs the server running on that host?", "refused", FAIL),
        (f"{HERE}timeout expired", "silent", UNKNOWN),
        (f"{HERE}No route to host", "silent", UNKNOWN),
        (f"{HERE}Network is unreachable", "no_way", FAIL),
        (f"{HERE}FATAL:  the database system is starting up", "silent", UNKNOWN),
        (f"{HERE}server closed the connection unexpectedly", "silent", UNKNOWN),
        (f"{HERE}server does not support SSL, but SSL was required", "no_tls", FAIL),
        (f"{HERE}SSL error: certificate verify failed", "certificate", FAIL),
        (f'{HERE}server certificate for "a" does not match host name "b"', "certificate", FAIL),
        (f'{HERE}root certificate file "/nonexistent" does not exist', "certificate", FAIL),
        (f"{HERE}received invalid response to SSL negotiation: H", "protocol", FAIL),
        (f'{HERE}FATAL:  password authentication failed for user "shop"', "password", FAIL),
        (f"{HERE}fe_sendauth: no password supplied", "password", FAIL),
        (f'{HERE}FATAL:  database "orders" does not exist', "database", FAIL),
        (f'{HERE}FATAL:  role "shop" does not exist', "user", FAIL),
        (f"{HERE}FATAL:  Tenant or user not found", "user", FAIL),
        (f'{HERE}FATAL:  permission denied for database "orders"\nDETAIL:  User …', "no_right", FAIL),
        (f'{HERE}FATAL:  too many connections for role "shop"', "full", FAIL),
        (f"{HERE}FATAL:  sorry, too many clients already", "full", FAIL),
        (f"{HERE}FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "full", FAIL),
        (f"{HERE}FATAL:  Max client connections reached", "full", FAIL),
        (f'{HERE}FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "shop", no encryption', "not_admitted", FAIL),
        (f"{HERE}FATAL:  unsupported startup parameter: options", "options", FAIL),
        (f"{HERE}FATAL:  a new kind of trouble with {SECRET}", "other", FAIL),
        ("", "other", FAIL),
    ],
)
def test_reasons_are_told_apart_each_with_a_remedy_and_without_a_password(text: str, kind: str, status: str) -> None:
    found = refusal(text, target, shop)
    assert (found.kind, found.status) == (kind, status)
    assert found.problem and found.remedy
    assert SECRET not in str(found)


def test_of_several_addresses_the_one_that_answered_counts() -> None:
    v6, v4 = f"{HERE}Network is unreachable\n\tIs it?\n", f'{HERE}FATAL:  database "orders" does not exist'
    assert refusal(v6 + v4, target, shop).kind == "database"
    assert refusal(f"{HERE}timeout expired\n{HERE}timeout expired", target, shop).kind == "silent"
    assert refusal(f"{HERE}Connection refused\n{HERE}timeout expired", target, shop).kind == "refused"


def test_no_password_goes_without_tls_and_nothing_comes_from_the_home_of_the_user() -> None:
    plain = flows.target(VALUES)
    assert parameters(plain, Manner())["sslmode"] == "require"
    assert parameters(plain, Manner(sslmodes=["disable"]))["sslmode"] == "disable"
    told = parameters(target, Manner(seconds=3))
    assert {told[name] for name in ("passfile", "sslcert", "sslkey", "sslrootcert")} == {"/nonexistent"}
    assert told["connect_timeout"] == 3


def test_a_certificate_that_only_the_containers_have_is_replaced_or_said_to_be_missing(tmp_path: Path) -> None:
    verifying = shop.target({"URL": f"{URL}&sslrootcert=/inside/ca.crt".replace("=require", "=verify-full")})
    assert parameters(verifying, Manner(ca_path="/here/ca.crt"))["sslrootcert"] == "/here/ca.crt"
    with pytest.raises(Unreachable, match="/inside/ca.crt"):
        parameters(verifying, Manner())
    mine = tmp_path / "ca.crt"
    mine.touch()
    there = shop.target({"URL": f"{URL}&sslrootcert={mine}"})
    assert parameters(there, Manner(ca_path="/here/ca.crt"))["sslrootcert"] == str(mine)


def test_the_environment_of_libpq_is_kept_away_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    with own_settings():
        assert "PGPASSWORD" not in os.environ
    assert os.environ["PGPASSWORD"] == SECRET


def test_connect_is_judged_by_version_and_round_trip() -> None:
    assert judge_connect(seen, target, Want()).status == PASS
    old = judge_connect(replace(seen, version="13.22"), target, Want())
    assert (old.status, "at least 14" in old.evidence) == (FAIL, True)
    slow = judge_connect(replace(seen, trip=120), target, Want())
    assert (slow.status, "120.0 ms, more than 50" in slow.evidence) == (WARN, True)
    assert judge_connect(away, target, Want()) == (UNKNOWN, "it does not answer", "Look.", "")
    assert "through a pooler" in judge_connect(replace(seen, pooled=True), target, Want()).evidence


def test_tls_must_be_demanded_and_used_by_all_that_come_from_here() -> None:
    assert judge_tls(seen, shop, target, False, Want()).status == PASS
    open_too = judge_tls(seen, shop, target, True, Want())
    assert (open_too.status, "also takes plain" in open_too.evidence) == (PASS, True)
    for url in (URL.replace("?sslmode=require", ""), URL.replace("require", "prefer")):
        optional = judge_tls(seen, shop, shop.target({"URL": url}), None, Want())
        assert (optional.status, optional.remedy) == (FAIL, "Add sslmode=require to URL.")
    unasked = judge_tls(seen, flows, flows.target(VALUES), None, Want())
    assert (unasked.status, "Set SSL=true" in unasked.remedy, "VERIFY=false" in unasked.remedy) == (FAIL, True, True)
    assert judge_tls(replace(seen, tls=""), shop, target, None, Want()).status == FAIL
    assert judge_tls(Refused("no_tls", "none", "On."), shop, target, None, Want()).status == FAIL
    assert judge_tls(away, shop, target, None, Want()).remedy == "See database.shop.connect."


def test_plain_sessions_count_when_they_are_ours() -> None:
    ours = replace(seen, own_address="192.0.2.1", plain=[("192.0.2.1", "n8n", 2)])
    found = judge_tls(ours, shop, target, True, Want())
    assert (found.status, "2 of n8n" in found.evidence) == (FAIL, True)
    assert judge_tls(replace(ours, own_address="192.0.2.2"), shop, target, True, Want()).status == PASS
    assert judge_tls(replace(ours, pooled=True), shop, target, True, Want()).status == PASS, "they are the pooler's"


@pytest.mark.parametrize(
    ("shown", "word"),
    [
        ({"replica": True}, "read replica"),
        ({"read_only": True}, "read-only"),
        ({"schema": None}, "no schema"),
        ({"creates": False}, "may not create"),
        ({"foreign": [("orders", "admin")]}, "orders (admin)"),
    ],
)
def test_what_stands_in_the_way_of_a_migration_is_said(shown: dict[str, t.Any], word: str) -> None:
    found = judge_rights(replace(seen, **shown), shop, target)
    assert (found.status, word in found.evidence, bool(found.remedy)) == (FAIL, True, True)


def test_tables_of_others_count_when_they_are_to_be_altered() -> None:
    shared = replace(seen, foreign=[("orders", "admin")])
    assert judge_rights(shared, replace(shop, tables=["flow_*"]), target).status == PASS
    assert judge_rights(seen, shop, target).status == PASS
    assert judge_rights(away, shop, target).status == UNKNOWN


def test_room_is_the_narrowest_limit() -> None:
    limits = [("the server", 60, 10), ("user shop", 6, 4)]
    found = judge_room(replace(seen, limits=limits), shop)
    assert (found.status, found.evidence) == (FAIL, "2 of 6 connections of user shop are free, 5 are needed")
    assert judge_room(seen, shop) == (PASS, "50 of 60 connections of the server are free", "", "")
    assert judge_room(replace(seen, limits=[("the server", 3, 9)]), shop).evidence.startswith("0 of 3 ")
    assert "pooler itself" in judge_room(replace(seen, pooled=True), shop).evidence
    assert (judge_room(full, shop).status, judge_room(away, shop).status) == (FAIL, UNKNOWN)
    assert judge_room(replace(seen, limits=[]), shop).status == UNKNOWN


def test_inside_is_judged_in_the_light_of_what_the_host_saw() -> None:
    def judged(answer: dict[str, t.Any], outside: t.Any = seen) -> t.Any:
        return judge_inside(Inside("api", {"shop": answer}), outside, shop, target, "shop-net")

    assert judged({"tls": "TLSv1.3", "ms": 3.2}) == (PASS, "from api it answers in 3 ms, over TLSv1.3", "", "")
    cut = judged({"error": 'could not translate host name "db" to address: Name or service not known'})
    assert (cut.status, "docker network inspect shop-net" in cut.remedy) == (FAIL, True)
    wrong = judged({"error": f'{HERE}root certificate file "/ca" does not exist'})
    assert (wrong.status, "sslrootcert" in wrong.remedy) == (FAIL, True)
    assert judged({"error": f"{HERE}timeout expired"}, away).remedy == "See database.shop.connect."
    assert judged({"tls": "TLSv1.3", "ms": 3.2}, away).status == PASS
    before_the_first_build = judge_inside(_postgres_inside.NothingYet("nothing yet"), seen, shop, target, "shop-net")
    assert before_the_first_build.status == SKIP
    nobody = judge_inside(Unreachable("none runs", "Start one."), seen, shop, target, "shop-net")
    assert (nobody.status, nobody.remedy) == (UNKNOWN, "Start one.")


def test_inside_another_programs_certificate_is_not_looked_for() -> None:
    verifying = flows.target({**VALUES, "SSL": "true", "CA": "/n8n/ca.crt"})
    assert _postgres_inside._params(flows, verifying)["sslmode"] == "require"
    assert "sslrootcert" not in _postgres_inside._params(flows, verifying)
    assert _postgres_inside._params(shop, target) == dict(target.params)


def reading(**changed: str) -> Reading:
    given = {
        "id": "database.runs",
        "title": "No run",
        "connection": "shop",
        "sql": "SELECT id FROM runs",
        "rows": FAIL,
        "line": "run {id} goes on",
        "none": "no run goes on",
        "remedy": "Wait.",
        "missing_table": "runs",
        **changed,
    }
    return Reading(**given)


def rows(found: t.Any) -> Seen:
    return replace(seen, rows={"database.runs": found})


def test_a_reading_says_what_its_rows_are() -> None:
    assert judge_reading(reading(), rows([])) == (PASS, "no run goes on", "", "")
    assert judge_reading(reading(), rows(None)).evidence == "no run goes on: there is no table runs yet"
    assert judge_reading(reading(), rows([{"id": 1}, {"id": 2}])) == (
        FAIL,
        "run 1 goes on; run 2 goes on",
        "Wait.",
        "",
    )
    many = judge_reading(reading(rows=WARN), rows([{"id": number} for number in range(100)]))
    assert (many.status, many.evidence[-22:]) == (WARN, "; and at least 95 more")


def test_a_question_without_an_answer_is_no_answer() -> None:
    assert judge_reading(reading(), away).status == UNKNOWN
    with pytest.raises(Unreachable):
        judge_reading(reading(), rows(Unreachable("denied", "GRANT")))
    with pytest.raises(OpsError, match="names 'id'"):
        judge_reading(reading(), rows([{"number": 1}]))


def test_a_reading_is_one_select() -> None:
    assert reading(sql="SELECT 1;").select.startswith("SELECT * FROM (SELECT 1\n)")
    with pytest.raises(OpsError, match="semicolon"):
        assert reading(sql="SELECT 1; DROP TABLE runs").select


def test_what_cannot_be_read_keeps_its_checks_and_all_its_secrets() -> None:
    values = {"URL": f"postgresql://shop:pass@{SECRET}@db.example.test/orders"}
    report = _postgres_check.inspect([shop], [], values, Place(services=["api"]), _never, Want())
    assert {check.id: check.status for check in report.checks} == {
        "database.shop.connect": FAIL,
        "database.shop.tls": UNKNOWN,
        "database.shop.room": UNKNOWN,
        "database.shop.rights": UNKNOWN,
        "database.shop.inside": UNKNOWN,
    }
    assert f"pass@{SECRET}" in report.secrets
    assert SECRET not in str(report.checks)


def test_a_reading_of_an_unknown_connection_is_refused() -> None:
    with pytest.raises(OpsError, match="names no connection: other"):
        _postgres_check.inspect([shop], [reading(connection="other")], {"URL": URL}, Place(), _never, Want())


def _never(*_argv: t.Any, **_options: t.Any) -> tuple[int, str, str]:
    raise AssertionError("nothing is run")


def test_a_target_without_a_database_leads_to_the_one_of_its_user() -> None:
    assert Target((("host", "a"), ("user", "shop"))).database == "shop"
