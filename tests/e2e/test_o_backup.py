# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of the whole stack while it is called, and its way back to a host that has lost everything (trap 26).

The tests of this file build on each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from demo_stack import DEMO, PROJECT, Stack, run
from load import Load

STATE, BACKUPS = DEMO / "state", DEMO / "state/backups"
SERVER = ("docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1", "psql", "-XAt")
VOLUMES = ("n8n_data", "whatsapp_auth", "recordings_data")
RECORDINGS = json.dumps({"backup_volumes_extra": [{"name": "recordings_data", "required": True}]})
LOST = ("docker/nginx/ssl/prosaas-origin.crt", "docker/nginx/ssl/prosaas-origin.key", ".env")


def mountpoint(volume: str) -> Path:
    return Path(run("docker", "volume", "inspect", "-f", "{{.Mountpoint}}", f"prosaasil_{volume}").strip())


def tree(directory: Path) -> dict[str, tuple[t.Any, ...]]:
    """Return mode, owner and content of everything, by path; without what a start of the application writes anew."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(directory))] = (oct(status.st_mode), status.st_uid, status.st_gid, content)
    return found


def rows(database: str) -> str:
    count = "query_to_xml(format('SELECT count(*) AS n FROM %I.%I', table_schema, table_name), false, true, '')"
    sql = (
        f"SELECT table_name, (xpath('/row/n/text()', {count}))[1] FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1"
    )
    return run(*SERVER, "-d", database, "-c", sql)


def newest() -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((max(BACKUPS.glob("2*")) / "manifest.json").read_text()))


def fill() -> None:
    """What a business leaves on its host: workflows, a session with many small files, a recording, rows."""
    workflows = "INSERT INTO workflow_entity SELECT 'w' || n, 'Workflow ' || n, n % 2 = 0 FROM generate_series(1, 40) n"
    run(*SERVER, "-d", "n8n", "-c", f"{workflows} ON CONFLICT DO NOTHING")
    run(*SERVER, "-d", "prosaas", "-c", "CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, said text)")
    run(*SERVER, "-d", "prosaas", "-c", "ALTER TABLE notes OWNER TO prosaas")
    run(*SERVER, "-d", "prosaas", "-c", "INSERT INTO notes (said) SELECT 'שלום ' || n FROM generate_series(1, 5000) n")
    session = mountpoint("whatsapp_auth") / "kept"
    session.mkdir(exist_ok=True)
    for number in range(300):
        (session / f"pre-key-{number}.json").write_text(json.dumps({"keyPair": os.urandom(32).hex()}), encoding="ascii")
        os.chown(session / f"pre-key-{number}.json", 1000, 1000)
    (mountpoint("recordings_data") / "call.wav").write_bytes(os.urandom(3_000_000))


def test_a_backup_while_calls_come_and_go_cuts_none(deployed: Stack) -> None:
    """Somebody is on the line all the time, so nothing is held: what did not change while it was read is good."""
    with Load(DEMO, rate=10) as load:
        load.steady().mark()
        done = deployed.play("backup", "-e", "backup_calls_deadline=1")
    found = load.report()
    assert done.code == 0, done.output
    assert (found["failures"], found["calls"]["problems"]) == ([], {})
    assert newest()["downtime"] == {}
    check = next(check for check in deployed.record()["checks"] if check["id"] == "backup.volume.n8n_data")
    assert "n8n not held, since " in check["evidence"], check


def test_alone_it_holds_what_writes_for_a_moment(deployed: Stack) -> None:
    before = deployed.ids()
    fill()
    done = deployed.play("backup", "-e", RECORDINGS)
    assert done.code == 0, done.output
    assert {name: status for name, status in deployed.statuses().items() if status not in ("pass", "skip")} == {}
    assert set(newest()["downtime"]) == {"n8n", "baileys"} and max(newest()["downtime"].values()) < 10
    assert deployed.ids() == before, "paused, not stopped"
    assert "n8n_data" in done.output.partition("Say what there is now")[2]


def test_check_mode_changes_nothing(deployed: Stack) -> None:
    before = sorted(os.listdir(BACKUPS))
    done = deployed.play("backup", "--check", "--diff", "-e", RECORDINGS)
    assert done.code == 0 and "would be packed from" in done.output
    assert sorted(os.listdir(BACKUPS)) == before


def test_the_drill_restores_it_and_leaves_nothing(deployed: Stack) -> None:
    before = (deployed.ids(), run("docker", "volume", "ls", "-q"), run("docker", "network", "ls", "-q"))
    done = deployed.play("restore", "-e", "drill=true")
    assert done.code == 0, done.output
    statuses = deployed.statuses()
    assert {statuses[f"drill.{one}"] for one in ("volume.n8n_data", "database.main", "database.n8n", "seconds")} == {"pass"}
    assert (deployed.ids(), run("docker", "volume", "ls", "-q"), run("docker", "network", "ls", "-q")) == before


@pytest.mark.soak
def test_a_part_comes_back_and_the_rest_goes_on(deployed: Stack) -> None:
    """A session was lost: its volume comes from the backup, and nobody else is stopped."""
    good, before = tree(mountpoint("whatsapp_auth") / "kept"), deployed.ids()
    shutil.rmtree(mountpoint("whatsapp_auth") / "kept")
    part = "parts=volume:whatsapp_auth"
    refused = deployed.play("restore", "-e", part)
    assert refused.code != 0 and "-e restore_overwrite=true" in refused.output
    assert deployed.ids() == before
    done = deployed.play("restore", "-e", part, "-e", "restore_overwrite=true")
    assert done.code == 0, done.output
    assert tree(mountpoint("whatsapp_auth") / "kept") == good
    after = deployed.ids()
    shots = {"migrate", "indexer", "backfill"}  # every start runs them again
    assert {service for service in after if after[service] != before[service]} - shots == {"baileys"}


def test_a_host_that_has_lost_everything_gets_it_back(deployed: Stack) -> None:
    """From the copy in the cloud: what was on the host went with it."""
    served, kept = deployed.served(), {name: (PROJECT / name).read_bytes() for name in LOST}
    deployed.play("backup", "-e", RECORDINGS)
    before = ({name: tree(mountpoint(name)) for name in VOLUMES}, {name: rows(name) for name in ("prosaas", "n8n")})
    lose_everything()
    assert deployed.ids() == {}

    done = deployed.play("restore", "-e", "restore_from=cloud")
    assert done.code == 0, done.output
    record = deployed.record()
    assert record["outcome"] == "restored"
    assert deployed.served() == served
    assert {name: (PROJECT / name).read_bytes() for name in LOST} == kept
    assert (PROJECT / ".env").stat().st_mode & 0o077 == 0
    after = ({name: tree(mountpoint(name)) for name in VOLUMES}, {name: rows(name) for name in ("prosaas", "n8n")})
    for name in VOLUMES:
        # The application has started since; what it writes then is its own. Nothing of what was kept has changed.
        assert {path: after[0][name].get(path) for path in before[0][name]} == before[0][name], name
    lost = set(before[1]["n8n"].splitlines()) - set(after[1]["n8n"].splitlines())
    assert lost == set()
    assert "notes|5000" in after[1]["prosaas"] and before[1]["prosaas"] == after[1]["prosaas"]
    assert not (STATE / "recovery").exists(), "what was there before has gone"
    assert deployed.play("verify").code == 0


def lose_everything() -> None:
    """The host is empty: no checkout, container, volume, setting, release or backup; the databases are dropped."""
    compose = ["docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.prod.yml"]
    subprocess.run([*compose, "down", "-v"], cwd=PROJECT, check=True, capture_output=True, timeout=180)
    shutil.rmtree(PROJECT)
    for database in ("prosaas", "n8n"):
        run(*SERVER, "-d", "postgres", "-c", f"DROP DATABASE {database} WITH (FORCE)")
    # One provider lets its customers make databases, the other gives them an empty one.
    run(*SERVER, "-d", "postgres", "-c", "CREATE DATABASE prosaas OWNER prosaas")
    run(*SERVER, "-d", "postgres", "-c", "ALTER ROLE n8n CREATEDB")
    for path in STATE.iterdir():
        if path.name == "runtime":
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
