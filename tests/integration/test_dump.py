# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps of a live server, read back and proven in a scratch; its bad days."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pg
import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dump, _pg_counts, _pg_restore, _pg_scratch
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._pg_tools import Tools
from pg import DRILL, FIRST, HOST, HOW, INSIDE, PASSWORD, SHOP, Dumped, Server, bring, nothing_left, state, take
from tiny import IMAGE


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[Server]:
    with pg.server() as running:
        yield running


@pytest.fixture(scope="module", name="dumped")
def _dumped(server: Server) -> Dumped:
    server.database("shop", SHOP)
    return take(server, "shop")


def test_counts_are_of_the_dump_while_rows_come_and_go(server: Server, dumped: Dumped) -> None:
    stop = threading.Event()
    written = []

    def write() -> None:
        with contextlib.closing(server.connect("shop")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not stop.is_set():
                    cursor.execute("INSERT INTO leads (business, phone) SELECT 1, '+9' FROM generate_series(1, 3)")
                    written.append(3)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        taken = []
        for _round in range(3):
            seen = len(written)
            taken.append(take(server, "shop"))
            assert len(written) > seen, "rows came meanwhile"
    finally:
        stop.set()
        writer.join()
        server.psql("DELETE FROM leads WHERE phone = '+9'", "shop", "postgres")
    for number, (archive, facts, counts) in enumerate(taken):
        server.database("moment")
        bring(server, "moment", archive, facts, f"2026112{number}T210501Z")
        assert _pg_counts.differences(counts, _pg_restore.counts(server.target("moment"), HOW, ["public"])) == []
    assert taken[0][2] != taken[2][2]


def test_a_scratch_proves_a_dump_and_is_gone_afterwards(server: Server, dumped: Dumped) -> None:
    archive, facts, counts = dumped
    with _pg_scratch.scratch(IMAGE, DRILL, facts) as made:
        inspected = pg.docker("inspect", "-f", "{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Ports}}", made.name)
        assert inspected == "none 0"
        volume = pg.docker("inspect", "-f", "{{range .Mounts}}{{.Name}}{{end}}", made.name)
        assert made.restore(io.BytesIO(archive)) == []
        assert _pg_counts.differences(counts, made.counts()) == []
        assert set(made.seconds) == {"start", "restore", "count"}
        assert made.query("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'leads'") == ["shop"]
        made.query("DELETE FROM leads WHERE id = 5")
        assert _pg_counts.differences(counts, made.counts()) == ["public.leads has 1999 rows of 2000"]
    assert nothing_left() == []
    assert volume not in pg.docker("volume", "ls", "-q").split()


def test_what_a_killed_drill_left_is_removed(server: Server, dumped: Dumped, tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with _pg_scratch.scratch(IMAGE, DRILL, dumped[1]):
            (tmp_path / "up").touch()
            time.sleep(60)
    deadline = time.monotonic() + 30
    while not (tmp_path / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(nothing_left()) == 1
    assert _pg_scratch.clear()
    assert nothing_left() == []


def test_a_damaged_archive_is_told_and_changes_nothing(server: Server, dumped: Dumped) -> None:
    archive, facts, _counts = dumped
    server.database("twin", "CREATE TABLE leads (old int)")
    before = state(server, "twin")
    half = archive[: len(archive) * 2 // 3]
    for damaged in (half, b"no archive at all" * 99, b"", archive[:20] + b"\xff" * 40 + archive[60:]):
        with pytest.raises(OpsError, match="Reading the archive failed") as told:
            _dump.contents(io.BytesIO(damaged), HOST)
        assert "another backup" in told.value.remedy
        with pytest.raises(OpsError, match="Reading the archive failed|does not hold the schema"):
            bring(server, "twin", damaged, facts)
        assert state(server, "twin") == before


class Broken(io.BytesIO):
    """A stream that fails in the middle, as a damaged compressed file does."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 0:
            raise OpsError("The stored part is damaged.")
        return super().read(40_000)


class Late(io.BytesIO):
    """A stream whose checksum turns out to be wrong at its very end."""

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(size)
        if not block:
            raise OpsError("The checksum is wrong.")
        return block


@pytest.mark.parametrize(("kind", "words"), [(Broken, "part is damaged"), (Late, "checksum is wrong")])
def test_what_reading_the_stream_raises_comes_through(
    server: Server, dumped: Dumped, kind: type[io.BytesIO], words: str
) -> None:
    server.database("twin", "CREATE TABLE leads (old int)")
    before = state(server, "twin")
    with pytest.raises(OpsError, match=words):
        _dump.contents(kind(dumped[0]), HOST)
    with pytest.raises(OpsError, match=words):
        _pg_restore.restore(server.target("twin"), HOST, HOW, kind(dumped[0]), dumped[1], FIRST)
    assert state(server, "twin") == before


def test_a_lock_held_by_a_migration_ends_the_dump(server: Server, dumped: Dumped) -> None:
    with contextlib.closing(server.connect("shop")) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE business")
        with pytest.raises(OpsError, match="timeout") as told:
            take(server, "shop", lock_seconds=1, counts=False)
    assert "migration" in told.value.remedy


def big(server: Server) -> str:
    sql = "CREATE TABLE big AS SELECT g, repeat(md5(g::text), 32) AS text FROM generate_series(1, 60000) g"
    return server.database("big", sql)


@pytest.mark.parametrize("tools", [HOST, INSIDE], ids=["host", "image"])
def test_the_password_is_in_no_argument_and_a_caller_may_stop_in_the_middle(server: Server, tools: Tools) -> None:
    database = big(server)
    with _dump.dumping(server.target(database), tools, HOW) as dump:
        assert dump.stream.read(300_000)
        commands = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                commands.append(path.read_bytes())
        assert any(b"pg_dump" in command and b"--snapshot" in command for command in commands)
        assert not any(PASSWORD.encode() in command for command in commands)
    activity = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'big'"
    deadline = time.monotonic() + 5
    while server.psql(activity) != "0":
        assert time.monotonic() < deadline, "nobody is connected any more"
        time.sleep(0.1)
    assert nothing_left() == []


def test_the_server_goes_away_in_the_middle() -> None:
    with pg.server() as own:
        database = big(own)
        begun = time.monotonic()
        with _dump.dumping(own.target(database), HOST, HOW) as dump:
            got = len(dump.stream.read(300_000))
            pg.docker("kill", own.name)
            for block in iter(lambda: dump.stream.read(1 << 20), b""):
                got += len(block)
            with pytest.raises(Unreachable, match="The dump of database big failed, the server went away") as told:
                dump.finish()
        assert got < 60_000_000 and time.monotonic() - begun < 30
        assert PASSWORD not in str(told.value)


def test_a_user_that_may_not_read_all_is_told(server: Server, dumped: Dumped) -> None:
    server.psql(f"ALTER ROLE reader PASSWORD '{PASSWORD}'")
    with pytest.raises(OpsError, match="permission denied") as told:
        with _dump.dumping(server.target("shop", "reader"), HOST, HOW) as dump:
            dump.stream.read()
            dump.finish()
    assert "pg_read_all_data" in told.value.remedy


def test_nothing_runs_when_the_password_is_wrong(server: Server) -> None:
    with pytest.raises(OpsError, match="does not accept the password of shop"):
        with _dump.dumping(server.target("shop", password="wr0ngwr0ng"), HOST, HOW):
            pass
    ran = subprocess.run(["pgrep", "-x", "pg_dump"], capture_output=True, text=True, check=False).stdout
    assert ran == ""
