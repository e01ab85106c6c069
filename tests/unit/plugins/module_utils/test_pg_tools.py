# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs fit a server, what they are started with, and what is said when they fail."""

from __future__ import annotations

import io
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _pg_tools
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._pg_child import Feed, child
from ansible_collections.prosaas.ops.plugins.module_utils._pg_tools import (
    Programs,
    Tools,
    choose,
    find,
    on_host,
    settings,
)
from ansible_collections.prosaas.ops.plugins.module_utils._postgres import Source
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_connect import Manner

SECRET = "b4tteryhorse"
HOW = Manner()


def target(query: str = "", host: str = "db.example.test") -> t.Any:
    url = f"postgresql://shop:{SECRET}@{host}:5433/orders{query}"
    return Source.of("shop", {"url": "URL"}).target({"URL": url})


def fake(directory: Path, major: int, programs: t.Iterable[str] = _pg_tools.PROGRAMS) -> Path:
    directory.mkdir(parents=True)
    for name in programs:
        (directory / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {major}.3 (Debian)'\n", encoding="ascii")
        (directory / name).chmod(0o755)
    return directory


@pytest.mark.parametrize(
    ("majors", "wanted", "chosen"),
    [
        ([15], 15, 15),
        ([14], 15, None),
        ([17, 15, 16], 15, 15),
        ([17, 16, 14], 15, 16),
        ([], 15, None),
        ([9, 18], 17, 18),
    ],
)
def test_the_nearest_that_is_not_older(majors: list[int], wanted: int, chosen: int | None) -> None:
    assert choose(majors, wanted) == chosen


def test_programs_of_this_host(tmp_path: Path) -> None:
    for major in (13, 16, 17):
        fake(tmp_path / "debian" / str(major) / "bin", major)
    fake(tmp_path / "path", 16)
    fake(tmp_path / "half", 18, ["pg_dump"])
    found = on_host(tmp_path / "debian", f"{tmp_path / 'half'}:{tmp_path / 'path'}:{tmp_path / 'none'}")
    assert found == {major: str(tmp_path / "debian" / str(major) / "bin") for major in (13, 16, 17)}
    assert on_host(tmp_path / "nothing", str(tmp_path / "path")) == {16: str(tmp_path / "path")}


@pytest.fixture(name="having")
def _having(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[dict[int, str], int], None]:
    def having(here: dict[int, str], inside: int) -> None:
        monkeypatch.setattr(_pg_tools, "on_host", lambda: here)
        monkeypatch.setattr(_pg_tools, "find_in_image", lambda image, network: Programs(inside, "/bin", image, network))

    return having


def test_the_host_comes_first_and_then_the_image(having: t.Any) -> None:
    having({15: "/h15", 17: "/h17"}, 18)
    assert find(Tools(image="pg"), 15) == Programs(15, "/h15")
    assert find(Tools(image="pg"), 14, least=16) == Programs(17, "/h17")
    assert find(Tools(image="pg", network="net"), 18) == Programs(18, "/bin", "pg", "net")
    assert find(Tools("image", "pg"), 15) == Programs(18, "/bin", "pg", "host")


@pytest.mark.parametrize(
    ("tools", "server", "least", "problem", "remedy"),
    [
        (Tools("host"), 17, 0, "the server is PostgreSQL 17, this host has 15", "apt-get install postgresql-client-17"),
        (Tools(), 17, 0, "this host has 15; no image is given", "or docker pull postgres:17"),
        (Tools(image="pg"), 17, 0, "this host has 15; the image pg has 16", "or docker pull postgres:17"),
        (Tools("image"), 17, 0, "PostgreSQL 17, no image is given", "docker pull postgres:17"),
        (Tools("host"), 15, 18, "the archive was made by version 18", "postgresql-client-18"),
        (Tools("hosts"), 15, 0, "programs is hosts", "auto, host, image"),
    ],
)
def test_none_that_fits(having: t.Any, tools: Tools, server: int, least: int, problem: str, remedy: str) -> None:
    having({15: "/h15"}, 16)
    with pytest.raises(OpsError) as told:
        find(tools, server, least)
    assert problem in told.value.problem and remedy in told.value.remedy
    assert ("apt-get" in told.value.remedy) == (tools.programs in ("auto", "host"))


def test_no_programs_at_all(having: t.Any) -> None:
    having({}, 0)
    with pytest.raises(OpsError, match="this host has none"):
        find(Tools("host"), 15)


def test_nothing_of_a_connection_is_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "of-the-operator")
    monkeypatch.setenv("PGSERVICE", "of-the-operator")
    for programs in (Programs(15, "/bin"), Programs(15, "/bin", "pg")):
        given = settings(target("?sslmode=disable&options=-c%20role%3Dx"), HOW, programs)
        assert given.variables["PGSSLMODE"] == "require"
        assert given.variables["PGSSLROOTCERT"] == "/nonexistent", "require must not come to mean verify-ca"
        more = _pg_tools.with_options(given, "-c statement_timeout=0")
        assert more.variables["PGOPTIONS"] == "-c role=x -c statement_timeout=0"
        argv, environment = programs._command("name", "/bin/pg_dump", ["--format=custom"], more)
        assert not any(word in " ".join(argv) for word in (SECRET, "shop", "orders", "db.example.test"))
        assert environment["PGPASSWORD"] == SECRET and "PGSERVICE" not in environment
        assert "keepalives_idle=5" in argv[-1]
    assert argv[argv.index("PGPASSWORD") - 1] == "--env"
    assert argv[argv.index("--log-driver") + 1] == "none", "a dump is not for the engine's logs"
    assert environment.get("HOME") != "/nonexistent", "the engine's own command line keeps its settings"


def test_files_are_mounted_for_an_image(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text("", encoding="ascii")
    programs = Programs(15, "/bin", "pg", "net")
    given = settings(target(f"?sslmode=verify-full&sslrootcert={ca}"), HOW, programs)
    argv, environment = programs._command("name", "/bin/psql", [], given)
    assert f"{ca}:/run/prosaas-ops/pgsslrootcert:ro" in argv
    assert environment["PGSSLROOTCERT"] == "/run/prosaas-ops/pgsslrootcert"
    assert argv[argv.index("--network") + 1] == "net"
    alone, _environment = programs._command("name", "/bin/pg_restore", ["--list"], None)
    assert alone[alone.index("--network") + 1] == "none"


def test_the_authorities_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pg_tools, "_system_ca", lambda: "/etc/ssl/all.crt")
    wanted = target("?sslmode=verify-full&sslrootcert=system")
    assert settings(wanted, HOW, Programs(16, "/bin")).variables["PGSSLROOTCERT"] == "system"
    assert settings(wanted, HOW, Programs(15, "/bin")).variables["PGSSLROOTCERT"] == "/etc/ssl/all.crt"
    assert settings(wanted, HOW, Programs(17, "/bin", "pg")).variables["PGSSLROOTCERT"] == "/etc/ssl/all.crt"


def test_what_cannot_be_handed_over() -> None:
    with pytest.raises(OpsError, match="replication cannot be handed"):
        settings(target("?replication=database"), HOW, Programs(15, "/bin"))
    with pytest.raises(OpsError, match="socket directory /run/pg of this host"):
        settings(target("?host=/run/pg", host=""), HOW, Programs(15, "/bin", "pg"))


def test_an_image_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.CompletedProcess([], 125, "", "docker: Error response from daemon: No such image: pg:17.")
    monkeypatch.setattr(subprocess, "run", lambda *_arguments, **_options: said)
    with pytest.raises(OpsError, match="The image pg:17 is not on this host") as told:
        _pg_tools.find_in_image("pg:17")
    assert told.value.remedy == "docker pull pg:17"


@pytest.mark.parametrize(
    ("script", "kind", "problem"),
    [
        (
            "echo 'pg_dump: error: query failed: ERROR:  permission denied for table t' >&2",
            OpsError,
            "permission denied for t",
        ),
        ("echo 'psql:<stdin>:3: ERROR:  column \"a\" does not exist' >&2", OpsError, 'column "a" does not exist'),
        (
            "echo 'pg_dump: error: Dumping the contents of table \"t\" failed: PQgetResult() failed.' >&2;"
            "echo 'pg_dump: detail: Error message from server: FATAL:  terminating connection' >&2",
            Unreachable,
            "server went away .*terminating connection",
        ),
        ("echo plain >&2", OpsError, "failed: plain"),
        ("true", OpsError, "it said nothing"),
        (f"echo 'error: for {SECRET} no' >&2", OpsError, r"for \*{8} no"),
    ],
)
def test_why_a_program_failed(script: str, kind: type[OpsError], problem: str) -> None:
    with child("sh", ["sh", "-c", f"{script}; exit 3"], {"PATH": "/usr/bin:/bin"}, {SECRET}) as started:
        assert started.wait() == 3
        error = started.error("The work")
    assert error.__class__ is kind
    assert error.problem.startswith("The work failed")
    with pytest.raises(OpsError, match=problem.replace("denied for t", "denied for table t")):
        raise error


def test_a_program_has_ended_when_its_block_is_left() -> None:
    with child("sleep", ["sleep", "60"], {"PATH": "/usr/bin:/bin"}, ()) as started:
        assert started.process.poll() is None
    assert started.process.poll() is not None
    with pytest.raises(OpsError, match="is not on this host"), child("x", ["/nonexistent/x"], {}, ()):
        pass


def test_a_stream_goes_on_for_the_readers_that_are_left() -> None:
    pipe = subprocess.PIPE
    path = {"PATH": "/usr/bin:/bin"}
    source = io.BytesIO(b"x" * 5_000_000)
    with (
        child("head", ["head", "-c", "10"], path, (), pipe, pipe) as head,
        child("wc", ["wc", "-c"], path, (), pipe, pipe) as count,
    ):
        feed = Feed(source, head.stdin, count.stdin)
        assert head.stdout.read() == b"x" * 10
        assert count.stdout.read().strip() == b"5000000"
        feed.finish()
    source = io.BytesIO(b"x" * 5_000_000)
    with child("true", ["true"], path, (), pipe) as gone:
        Feed(source, gone.stdin).finish()
    assert source.read() == b"", "the rest is read all the same, for the checksum at its end"
