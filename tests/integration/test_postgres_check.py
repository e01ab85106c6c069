# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_check against the demo's managed Postgres: a customer of its own, its bad days, and a look from inside."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from conftest import Cloud
from tiny import IMAGE, ansible, check, module, stack, status

SERVER = "prosaas-cloud-postgres-1"
HOST = "db.prosaas.test"
CUSTOMER = f"opstest_{os.getpid()}"
PASSWORD = "Corr3ctHorse_B4tteryStaple"
MAIN = {"main": {"title": "The database", "url": "DATABASE_URL", "migrates": True}}
READING = {
    "id": "database.runs",
    "title": "No run",
    "connection": "main",
    "sql": "SELECT id, state FROM runs WHERE state = 'running' ORDER BY id",
    "missing_table": "runs",
    "line": "run {id} is {state}",
    "none": "no run goes on",
    "remedy": "Wait.",
}
CONNECT, TLS, ROOM, RIGHTS = (f"database.main.{what}" for what in ("connect", "tls", "room", "rights"))
Look = t.Callable[..., dict[str, t.Any]]


def as_provider(*statements: str, database: str = CUSTOMER) -> str:
    words = [word for statement in statements for word in ("-c", statement)]
    argv = ["docker", "exec", "-u", "postgres", SERVER, "psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-d", database, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def as_customer(*statements: str) -> None:
    with contextlib.closing(psycopg2.connect(url(), application_name="the customer")) as connection:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def url(host: str = HOST, database: str = CUSTOMER, password: str = PASSWORD, options: str = "sslmode=require") -> str:
    return f"postgresql://{CUSTOMER}:{password}@{host}/{database}?{options}"


@pytest.fixture(scope="module", autouse=True)
def customer(cloud: Cloud) -> Iterator[None]:
    """A customer of the provider's, as customer.sql makes them."""
    as_provider(f"CREATE ROLE {CUSTOMER} LOGIN PASSWORD '{PASSWORD}'", database="postgres")
    as_provider(f"CREATE DATABASE {CUSTOMER} OWNER {CUSTOMER}", database="postgres")
    try:
        yield
    finally:
        as_provider(f"DROP DATABASE {CUSTOMER} WITH (FORCE)", database="postgres")
        as_provider(f"DROP ROLE {CUSTOMER}", database="postgres")


@pytest.fixture(name="look")
def _look(cloud: Cloud, tmp_path: Path) -> Look:
    """Run the module with the customer's settings, or with the variables given."""

    def look(run: t.Callable[..., dict[str, t.Any]] = module, connections: t.Any = None, **given: t.Any) -> dict[str, t.Any]:
        variables = {"DATABASE_URL": url(), **given.pop("variables", {})}
        env = tmp_path / "env"
        env.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="ascii")
        options = {"env_file": str(env), "connections": connections or MAIN, "state_dir": str(tmp_path / "state"), **given}
        result = run("postgres_check", **options)
        assert not result.get("changed"), "it only reads"
        assert PASSWORD not in str(result)
        for row in result.get("checks", []):
            assert row["evidence"] and (row["remedy"] or row["status"] in {"pass", "skip"}), row
        return result

    return look


def test_a_customer_as_it_should_be(look: Look) -> None:
    result = look(run=ansible)
    assert not result.get("failed"), result["msg"]
    assert set(status(result).values()) == {"pass"}
    assert re.search(rf"PostgreSQL 15\.\d+ at {HOST}:5432 answers {CUSTOMER} on {CUSTOMER}", result["checks"][0]["evidence"])
    assert "TLSv1.3" in check(result, TLS)["evidence"]
    assert "refuses plain connections" in check(result, TLS)["evidence"]


def test_each_url_is_a_connection_and_two_that_lead_to_one_place_are_asked_once(look: Look) -> None:
    as_provider(f"ALTER ROLE {CUSTOMER} CONNECTION LIMIT 1")
    try:
        both = {"main": {**MAIN["main"], "free": 0}, "direct": {"url": "DIRECT", "or": ["DATABASE_URL"], "free": 0}}
        result = look(connections=both)
    finally:
        as_provider(f"ALTER ROLE {CUSTOMER} CONNECTION LIMIT -1")
    assert set(status(result).values()) == {"pass"}, "with one connection to be had"
    assert check(result, ROOM)["evidence"] == f"0 of 1 connections of user {CUSTOMER} are free"
    assert "database.direct.rights" not in status(result)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (url(password="another"), "does not accept the password"),
        (url(password=""), "asks .* for a password, and none is set"),
        (url(host="nobody.prosaas.test"), "does not resolve"),
        (url(host=f"{HOST}:81"), "nothing listens at"),
        (url(database="nothing"), "has no database nothing"),
        (url(database="n8n"), "may not connect to n8n"),
        (url(options="sslmode=verify-full"), "has no CA certificate"),
        (url(options="sslmode=verify-full&sslrootcert=/etc/hostname"), "has no CA certificate"),
        (url(options="sslmode=require&pgbouncer=true"), "no URL that libpq can read"),
    ],
    ids=lambda text: text.replace(CUSTOMER, "customer"),  # each process has one of its own
)
def test_a_wrong_url_is_told_apart_and_the_rest_is_not_known(look: Look, wrong: str, word: str) -> None:
    result = look(variables={"DATABASE_URL": wrong}, readings=[READING])
    found = status(result)
    assert found.pop(CONNECT) == "fail"
    assert re.search(word, check(result, CONNECT)["evidence"])
    assert {value for name, value in found.items() if name != TLS} == {"unknown"}


def test_certificates_are_verified_where_the_url_asks_for_it(cloud: Cloud, look: Look) -> None:
    def verifying(root: str, host: str = HOST) -> dict[str, str]:
        return {"DATABASE_URL": url(host=host, options=f"sslmode=verify-full&sslrootcert={root}")}

    result = look(variables=verifying(str(cloud.ca)))
    assert "as sslmode=verify-full demands; the server" in check(result, TLS)["evidence"]
    inside_only = verifying("/in/the/container.crt")
    assert status(look(variables=inside_only))[CONNECT] == "unknown"
    assert status(look(variables=inside_only, ca_path=str(cloud.ca)))[CONNECT] == "pass"
    public = look(variables=verifying("/etc/ssl/certs/ca-certificates.crt"))
    assert "is not trusted" in check(public, TLS)["evidence"]
    address = subprocess.run(["getent", "hosts", HOST], capture_output=True, text=True, check=True).stdout.split()[0]
    other = look(variables=verifying(str(cloud.ca), host=address))
    assert "is for another name" in check(other, TLS)["evidence"]
    assert status(other)[CONNECT] == status(other)[TLS] == "fail"


def test_settings_and_files_of_the_user_do_not_count(
    look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cloud: Cloud
) -> None:
    home = tmp_path / "home"
    (home / ".postgresql").mkdir(parents=True)
    (home / ".postgresql/root.crt").write_text("no certificate", encoding="ascii")
    (home / ".pgpass").write_text(f"*:*:*:*:{PASSWORD}\n", encoding="ascii")
    (home / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    for name, value in {"PGPASSWORD": PASSWORD, "PGSSLMODE": "disable", "PGOPTIONS": "-c nothing=1"}.items():
        monkeypatch.setenv(name, value)
    assert set(status(look()).values()) == {"pass"}
    assert status(look(variables={"DATABASE_URL": url(password="")}))[CONNECT] == "fail"
    assert os.environ["PGPASSWORD"] == PASSWORD


def test_tls_that_is_not_demanded_fails_and_no_password_goes_without(cloud: Cloud, look: Look) -> None:
    unasked = {"DATABASE_URL": url(options="application_name=shop")}
    result = look(variables=unasked)
    assert (status(result)[CONNECT], status(result)[TLS]) == ("pass", "fail")
    assert check(result, TLS)["remedy"] == "Add sslmode=require to DATABASE_URL."
    with cloud.fault("db-no-tls"):
        none = look(variables=unasked)
        allowed = look(variables={"DATABASE_URL": url(options="sslmode=disable")}, sslmodes=["disable", "require"])
    assert "speaks no TLS, and without it no password is sent" in check(none, CONNECT)["evidence"]
    assert status(none)[TLS] == "fail"
    assert status(allowed)[CONNECT] == "pass", "where the operator wants it so"


def test_plain_connections_are_told_and_fail_when_they_are_ours(cloud: Cloud, look: Look) -> None:
    with cloud.fault("db-plain"):
        quiet = look()
        plain = psycopg2.connect(url(options="sslmode=disable&application_name=the_worker"))
        with contextlib.closing(plain):
            spoken = look()
    assert (status(quiet)[TLS], "also takes plain connections" in check(quiet, TLS)["evidence"]) == ("pass", True)
    assert status(spoken)[TLS] == "fail"
    assert "from this host's address come without TLS: 1 of the_worker" in check(spoken, TLS)["evidence"]


@pytest.mark.parametrize(
    ("ill", "well", "name", "word"),
    [
        ("ALTER ROLE {c} CONNECTION LIMIT 3", "ALTER ROLE {c} CONNECTION LIMIT -1", ROOM, "of 3 connections of user"),
        ("ALTER DATABASE {c} CONNECTION LIMIT 3", "ALTER DATABASE {c} CONNECTION LIMIT -1", ROOM, "of database"),
        (
            "REVOKE CREATE ON SCHEMA public FROM pg_database_owner",
            "GRANT CREATE ON SCHEMA public TO pg_database_owner",
            RIGHTS,
            "may not create tables in schema public",
        ),
        (
            "ALTER ROLE {c} SET default_transaction_read_only = on",
            "ALTER ROLE {c} RESET default_transaction_read_only",
            RIGHTS,
            "are read-only",
        ),
        ("ALTER ROLE {c} SET search_path = nowhere", "ALTER ROLE {c} RESET search_path", RIGHTS, "no schema"),
        ("CREATE TABLE foreign_one (id int)", "DROP TABLE foreign_one", RIGHTS, r"foreign_one \(postgres\)"),
        ("ALTER ROLE {c} NOLOGIN", "ALTER ROLE {c} LOGIN", CONNECT, "may not connect"),
    ],
)
def test_what_a_provider_may_do(look: Look, ill: str, well: str, name: str, word: str) -> None:
    as_provider(ill.format(c=CUSTOMER))
    try:
        result = look()
    finally:
        as_provider(well.format(c=CUSTOMER))
    assert status(result)[name] == "fail"
    assert re.search(word, check(result, name)["evidence"])
    assert name == CONNECT or list(status(result).values()).count("pass") == 3, "and nothing else is wrong"


def test_tables_of_others_that_are_not_altered_are_let_be(look: Look) -> None:
    as_provider("CREATE TABLE foreign_one (id int)", "CREATE EXTENSION pg_stat_statements")
    try:
        mine = {"main": {**MAIN["main"], "tables": ["shop_*"]}}
        assert status(look(connections=mine))[RIGHTS] == "pass"
        as_provider("DROP TABLE foreign_one")
        assert status(look())[RIGHTS] == "pass", "what belongs to an extension is nobody's to alter"
    finally:
        as_provider("DROP TABLE IF EXISTS foreign_one", "DROP EXTENSION pg_stat_statements")


def test_an_old_server_fails_and_a_slow_one_is_said(look: Look) -> None:
    assert "at least 99 is needed" in check(look(server_least="99"), CONNECT)["evidence"]
    assert status(look(round_trip=0.000001))[CONNECT] == "warn"


@pytest.fixture(name="runs")
def _runs() -> Iterator[None]:
    as_customer("CREATE TABLE runs (id serial, state text)", "INSERT INTO runs (state) VALUES ('running'), ('done')")
    try:
        yield
    finally:
        as_customer("DROP TABLE runs")


def test_a_reading_finds_live_work_and_no_table_is_no_work(look: Look) -> None:
    none = check(look(readings=[READING]), READING["id"])
    assert (none["status"], none["evidence"]) == ("pass", "no run goes on: there is no table runs yet")


def test_a_reading_tells_what_it_found(look: Look, runs: None) -> None:
    found = check(look(readings=[READING]), READING["id"])
    assert (found["status"], found["evidence"], found["remedy"]) == ("fail", "run 1 is running", "Wait.")
    assert check(look(readings=[{**READING, "rows": "warn"}]), READING["id"])["status"] == "warn"
    as_customer("UPDATE runs SET state = 'done'")
    assert check(look(readings=[READING]), READING["id"])["evidence"] == "no run goes on"


def test_the_gate_of_campaigns_waits_for_the_same_rows(tmp_path: Path, runs: None) -> None:
    env = tmp_path / "env"
    env.write_text(f"DATABASE_URL={url()}\n", encoding="ascii")

    def gate(**given: t.Any) -> dict[str, t.Any]:
        campaigns = {"connection": {"url": "DATABASE_URL"}, "reading": READING, "deadline": 1, **given}
        options = {"project": "none", "env_file": str(env), "state_dir": str(tmp_path / "state")}
        return module("call_gate", **options, campaigns=campaigns, hold=0)

    refused = gate()
    assert refused["failed"] and PASSWORD not in str(refused)
    assert "still running: 1 campaign (run 1 is running). Nothing was touched" in refused["msg"]
    gone_on = gate(policy="proceed")
    assert (gone_on["passed"]["campaigns"]["live"], gone_on["campaigns"]) == (1, ["run 1 is running"])
    threading.Timer(2, as_customer, ("UPDATE runs SET state = 'done'",)).start()
    waited = gate(policy="wait")
    assert waited["passed"]["campaigns"]["live"] == 0 and waited["passed"]["campaigns"]["seconds"] > 1
    away = gate(connection={"url": "ELSEWHERE"})
    assert "whether a campaign is running is not known: ELSEWHERE not set" in away["msg"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("WITH gone AS (DELETE FROM runs RETURNING id, state) SELECT * FROM gone", "unknown"),
        ("SELECT nextval('runs_id_seq') AS id, 'x' AS state", "unknown"),
        ("SELECT set_config('transaction_read_only', 'off', false) AS id, 'x' AS state", "unknown"),
        ("SELECT 1 AS id, 'x' AS state; DELETE FROM runs", "fail"),
        ("SELECT 1 AS id, 'x' AS state) AS a; DELETE FROM runs; SELECT * FROM (SELECT 1", "fail"),
        ("DELETE FROM runs RETURNING id, state", "unknown"),
        ("SELECT nothing FROM runs", "unknown"),
        ("SELECT pg_sleep(9) AS id, 'x' AS state", "unknown"),
    ],
)
def test_a_reading_can_change_nothing(look: Look, runs: None, sql: str, expected: str) -> None:
    result = look(readings=[{**READING, "sql": sql}, {**READING, "id": "database.again"}], timeout=2)
    assert check(result, READING["id"])["status"] == expected
    assert check(result, "database.again")["evidence"] == "run 1 is running", "and the next one is answered"
    assert as_provider("SELECT count(*), max(id), (SELECT last_value FROM runs_id_seq) FROM runs") == "2|2|2"


def test_rows_that_may_not_be_seen_are_not_taken_for_none(look: Look) -> None:
    as_provider("CREATE TABLE runs (id int, state text)", "INSERT INTO runs VALUES (1, 'running')")
    try:
        assert check(look(readings=[READING]), READING["id"])["status"] == "unknown", "no right to read"
        as_provider(f"GRANT SELECT ON runs TO {CUSTOMER}", "ALTER TABLE runs ENABLE ROW LEVEL SECURITY")
        hidden = check(look(readings=[READING]), READING["id"])
        assert (hidden["status"], "row-level security" in hidden["evidence"]) == ("unknown", True)
    finally:
        as_provider("DROP TABLE runs")


def test_all_that_is_said_to_the_server_only_reads(look: Look) -> None:
    """The server's own log of statements; only this customer's are in it."""
    as_provider(f"ALTER ROLE {CUSTOMER} SET log_statement = 'all'")
    began = str(int(time.time()))
    try:
        look(readings=[READING])
    finally:
        as_provider(f"ALTER ROLE {CUSTOMER} RESET log_statement")
    done = subprocess.run(["docker", "logs", "--since", began, SERVER], capture_output=True, text=True, check=True)
    said = re.findall(r"LOG:  statement: (.*)", done.stdout + done.stderr)
    assert len(said) > 10
    first = {statement.split()[0] for statement in said if statement.strip()}
    assert first <= {"BEGIN", "SET", "SELECT", "WITH", "ROLLBACK"}
    assert {statement for statement in said if statement.startswith("BEGIN")} == {"BEGIN READ ONLY"}
    assert all(statement.startswith("SET LOCAL") for statement in said if statement.startswith("SET"))


def test_passwords_that_a_provider_changed_and_connections_that_it_took(cloud: Cloud, look: Look) -> None:
    """The faults of the demo that are done to its own two customers."""
    mine = {"DATABASE_URL": f"postgresql://n8n:{cloud.secret('postgres_n8n')}@{HOST}/n8n?sslmode=require"}
    with cloud.fault("db-password"):
        assert "does not accept the password" in check(look(variables=mine), CONNECT)["evidence"]
    with cloud.fault("db-limit"):
        assert "of 2 connections of user n8n" in check(look(variables=mine), ROOM)["evidence"]
    with cloud.fault("db-read-only"):
        assert status(look(variables=mine))[RIGHTS] == "fail"
    assert set(status(look(variables=mine)).values()) == {"pass"}


INSIDE = "database.main.inside"


def test_inside_asks_through_a_container_and_shows_no_password_on_the_way(look: Look, tmp_path: Path) -> None:
    services = {"mute": {"command": ["sleep", "600"]}, "api": {"command": ["sleep", "600"]}}
    services = {name: {**service, "networks": ["way"]} for name, service in services.items()}
    way = {"networks": {"way": {"external": True, "name": "prosaas-net"}}}
    with stack("postgres", tmp_path, services, **way) as project, watched() as arguments:
        options = {"project": project.name, "network": "prosaas-net"}
        found = check(look(services=["mute", "api"], **options), INSIDE)
        assert (found["status"], "from mute it answers" in found["evidence"]) == ("pass", True)
        assert "over TLSv1.3" in found["evidence"]
        none = look(services=["mute", "api"], python="no-such-python", **options)
        assert "no Python with psycopg2 in mute, api" in check(none, INSIDE)["evidence"]
        old = {"DATABASE_URL": url(password="another")}
        assert status(look(services=["api"], variables=old, **options))[INSIDE] == "unknown", "nobody is answered"
    assert any("docker exec" in argument for argument in arguments)
    assert PASSWORD not in " ".join(arguments)


def test_inside_asks_through_a_built_image_where_nothing_runs(look: Look, tmp_path: Path) -> None:
    project = f"opstest-postgres-image-{os.getpid()}"
    options = {"project": project, "services": ["api"]}
    none = look(network="prosaas-net", **options)
    assert status(none)[INSIDE] == "skip", "as before the first build"
    subprocess.run(["docker", "tag", IMAGE, f"{project}-api"], check=True, timeout=60)
    try:
        found = check(look(network="prosaas-net", **options), INSIDE)
        assert (found["status"], f"from the image {project}-api" in found["evidence"]) == ("pass", True)
        assert status(look(check=True, network="prosaas-net", **options))[INSIDE] == "unknown", "nothing is started"
        cut = check(look(network="bridge", **options), INSIDE)
        assert (cut["status"], "docker network inspect bridge" in cut["remedy"]) == ("fail", True)
        images = subprocess.run(["docker", "ps", "-a", "--format", "{{.Image}}"], capture_output=True, text=True, timeout=60, check=True)
        assert f"{project}-api" not in images.stdout.split(), "no container of it stays"
    finally:
        subprocess.run(["docker", "rmi", f"{project}-api"], check=True, timeout=60, capture_output=True)


def test_inside_with_the_settings_that_a_container_was_started_with(look: Look, tmp_path: Path) -> None:
    """Today's file is right, and what runs was started with an older one: nobody else sees that."""
    networks: dict[str, t.Any] = {"networks": ["way"], "command": ["sleep", "600"]}
    services = {
        "api": {**networks, "environment": {"DATABASE_URL": url()}},
        "old": {**networks, "environment": {"DATABASE_URL": url(password="OldPassword_0123")}},
    }
    way = {"networks": {"way": {"external": True, "name": "prosaas-net"}}}
    with stack("postgres-own", tmp_path, services, **way) as project:
        options = {"project": project.name, "network": "prosaas-net", "own_settings": True}
        good = check(look(services=["api"], **options), INSIDE)
        assert (good["status"], "with the settings that it was started with" in good["evidence"]) == ("pass", True)
        result = look(services=["old"], **options)
        old = check(result, INSIDE)
        assert (old["status"], old["remedy"]) == ("fail", "Recreate it, so that it reads its environment anew.")
        assert "does not accept the password" in old["evidence"] and "OldPassword" not in str(result)
        assert status(look(services=["none"], **options))[INSIDE] == "unknown", "no image is started for it"


SCHEMA = {
    "tables": {"orders": ["id", "paid"], "Odd Name": []},
    "migrations": {"table": "done", "column": "id", "success": "good"},
    "count": {"id": "flows", "title": "Flows", "table": "flow", "where": "active", "unit": "flows", "told": "active"},
    "remedy": "Look at the migrations.",
}


def test_what_must_be_there_is_read_and_what_was_there_is_remembered(look: Look) -> None:
    def found() -> dict[str, tuple[str, str]]:
        result = look(schemas={"main": SCHEMA}, remember=True)
        return {name: (check(result, f"database.main.{name}")["status"], check(result, f"database.main.{name}")["evidence"])
                for name in ("tables", "migrations", "flows")}

    assert {name: row[0] for name, row in found().items()} == dict.fromkeys(("tables", "migrations", "flows"), "fail")
    as_customer(
        "CREATE TABLE orders (id int, paid boolean)",
        'CREATE TABLE "Odd Name" ()',
        "CREATE TABLE done (id text, good boolean)",
        "INSERT INTO done VALUES ('1', true), ('2', NULL)",
        "CREATE TABLE flow (active boolean)",
        "INSERT INTO flow VALUES (true), (false)",
    )
    try:
        half = found()
        assert half["tables"] == ("pass", "all 2 tables are there, with the 2 columns that are asked for")
        assert half["migrations"] == ("fail", "not successful: 2")
        assert half["flows"] == ("pass", "flows: 2, active: 1; later looks are compared with this one")
        as_customer("UPDATE done SET good = true", "ALTER TABLE orders DROP COLUMN paid", "DELETE FROM flow WHERE active")
        later = found()
        assert later["tables"] == ("fail", "not there: orders.paid")
        assert later["migrations"][0] == "pass" and later["migrations"][1].startswith("2 are applied, none has failed")
        assert later["flows"][0] == "warn" and "flows: 1, active: 0; at the last look" in later["flows"][1]
        as_customer("DELETE FROM flow")
        assert found()["flows"][0] == found()["flows"][0] == "fail", "and so it stays until somebody forgets it"
        away = look(schemas={"main": SCHEMA}, variables={"DATABASE_URL": url(password="another")})
        assert {status(away)[f"database.main.{name}"] for name in half} == {"unknown"}
        assert status(look(schemas={"main": {"tables": {"orders": []}}}, timeout=1))["database.main.tables"] == "pass"
    finally:
        as_customer('DROP TABLE orders, done, flow, "Odd Name"')


@contextlib.contextmanager
def watched() -> Iterator[set[str]]:
    """Collect the arguments of every process while something runs."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
