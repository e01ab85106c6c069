# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restore on real volumes and files: all of it or nothing, what was there comes back, and a killed one is gone on with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_backup import FILL, N8N_VOLUME, SECRET, SERVICES, VOLUMES, described, docker, mountpoint
from tiny import Stack, ansible, check, module, stack, status

VOLUME = [{"name": "n8n_data", "required": True}, {"name": "whatsapp_auth"}]
ENV = f"N8N_ENCRYPTION_KEY={SECRET}\n"


@pytest.fixture()
def project(tmp_path: Path) -> Iterator[Stack]:
    with stack("restore", tmp_path, SERVICES, volumes=VOLUMES) as running:
        (tmp_path / ".env").write_text(ENV, encoding="ascii")
        (tmp_path / ".env").chmod(0o640)
        running.compose("exec", "-T", "n8n", "python3", "-c", FILL.replace('os.symlink("/etc/passwd", "absolute")', ""))
        running.compose("exec", "-T", "other", "sh", "-c", "echo creds >/data/creds.json")
        yield running


def options(project: Stack) -> dict[str, t.Any]:
    backups = str(project.directory / "backups")
    return {**project.options, "backup_dir": backups, "env_file": str(project.directory / ".env")}


def back_up(project: Stack) -> str:
    made = module("backup", **options(project), volumes=VOLUME, files=[".env"])
    assert made["verdict"] == "pass", made["msg"]
    return t.cast("str", made["backup"])


def restore(project: Stack, check_mode: bool = False, **more: t.Any) -> dict[str, t.Any]:
    return module("restore", check=check_mode, **{**options(project), **more})


def spoil(project: Stack) -> None:
    """What an operator fears: the volume is half empty, a setting is wrong."""
    directory = mountpoint(N8N_VOLUME)
    (directory / "plain").write_text("spoilt", encoding="ascii")
    shutil.rmtree(directory / ".cache")
    (project.directory / ".env").write_text("A=1\n", encoding="ascii")


def test_all_of_it_comes_back_and_what_was_there_goes_when_told(project: Stack) -> None:
    good = described(mountpoint(N8N_VOLUME))
    made = back_up(project)
    spoil(project)

    listed = restore(project, state="listed")
    assert [one["id"] for one in listed["backups"]] == [made] and made in listed["msg"]
    asked = restore(project)
    assert asked["failed"] and "-e restore_overwrite=true" in asked["msg"] and N8N_VOLUME in asked["msg"]
    foretold = restore(project, check_mode=True, overwrite=True)
    assert foretold["changed"] and len(foretold["replaces"]) == 3
    assert (project.directory / ".env").read_text() == "A=1\n"
    assert docker("inspect", "-f", "{{.State.Running}}", project.container("n8n")) == "true", "nothing was touched yet"

    done = ansible("restore", **options(project), overwrite=True)
    assert done["verdict"] == "pass", done["msg"]
    assert done["stopped"] == ["n8n", "other"]
    assert described(mountpoint(N8N_VOLUME)) == good
    assert (project.directory / ".env").read_text() == ENV
    assert (project.directory / ".env").stat().st_mode & 0o777 == 0o640
    assert SECRET not in str(done)
    again = restore(project, overwrite=True)
    assert again["verdict"] == "pass" and "is back already" in check(again, "restore.volume.n8n_data")["evidence"]

    assert restore(project, state="settled")["changed"]
    assert not restore(project, state="settled")["changed"], "there is nothing left to settle"
    assert os.listdir(mountpoint(N8N_VOLUME).parent) == ["_data"]
    project.compose("up", "-d", "--wait")
    assert project.compose("exec", "-T", "n8n", "cat", "/data/plain").startswith("plain")


def test_undone_all_is_as_it_was(project: Stack) -> None:
    back_up(project)
    spoil(project)
    before = described(mountpoint(N8N_VOLUME))
    assert restore(project, overwrite=True)["verdict"] == "pass"
    assert described(mountpoint(N8N_VOLUME)) != before
    project.compose("up", "-d", "--wait")  # as after a restore that could not be verified
    undone = restore(project, state="undone")
    assert undone["changed"] and undone["stopped"] == ["n8n", "other"]
    assert docker("inspect", "-f", "{{.State.Running}}", project.container("n8n")) == "false"
    assert described(mountpoint(N8N_VOLUME)) == before
    assert (project.directory / ".env").read_text() == "A=1\n"
    assert not (project.directory / "state" / "recovery").exists()


def test_parts_of_two_runs_are_undone_together(project: Stack) -> None:
    back_up(project)
    spoil(project)
    before = described(mountpoint(N8N_VOLUME))
    assert restore(project, overwrite=True, parts=["volume:n8n_data"])["verdict"] == "pass"
    assert restore(project, overwrite=True, parts=["file:.env"])["verdict"] == "pass"
    assert (project.directory / ".env").read_text() == ENV
    restore(project, state="undone")
    assert described(mountpoint(N8N_VOLUME)) == before
    assert (project.directory / ".env").read_text() == "A=1\n"


def test_an_empty_host_gets_everything(project: Stack) -> None:
    """The volumes are made as Compose makes them, so that it takes them for its own."""
    good = described(mountpoint(N8N_VOLUME))
    back_up(project)
    labels = docker("volume", "inspect", "-f", "{{json .Labels}}", N8N_VOLUME)
    project.compose("down", "-v")
    docker("volume", "rm", "-f", N8N_VOLUME)
    (project.directory / ".env").unlink()
    done = restore(project)
    assert done["verdict"] == "pass", done["msg"]
    assert done["replaces"] == []
    again = json.loads(docker("volume", "inspect", "-f", "{{json .Labels}}", N8N_VOLUME))
    told = ("com.docker.compose.version", "com.docker.compose.config-hash")  # Compose's own, of the moment
    assert again == {name: value for name, value in json.loads(labels).items() if name not in told}
    assert described(mountpoint(N8N_VOLUME)) == good
    restore(project, state="settled")
    argv = ["docker", "compose", "-p", project.name, "up", "-d"]
    said = subprocess.run(argv, cwd=project.directory, capture_output=True, text=True, check=True, timeout=60).stderr
    assert "already exists but was not created" not in said
    assert project.compose("exec", "-T", "other", "cat", "/data/creds.json") == "creds\n"


@pytest.mark.parametrize("damage", ["bit", "cut"])
def test_a_damaged_part_is_found_before_anything_is_touched(project: Stack, damage: str) -> None:
    made = back_up(project)
    spoil(project)
    before = described(mountpoint(N8N_VOLUME))
    (archive,) = (project.directory / "backups" / made).glob("whatsapp_auth_*")
    content = bytearray(archive.read_bytes())
    content = content[:-9] if damage == "cut" else content
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    failed = restore(project, overwrite=True)
    assert failed["failed"] and not failed["changed"]
    assert status(failed)["restore.volume.whatsapp_auth"] == "fail"
    assert status(failed)["restore.volume.n8n_data"] == "skip"
    assert "Take another backup" in failed["msg"]
    assert described(mountpoint(N8N_VOLUME)) == before
    assert docker("inspect", "-f", "{{.State.Running}}", project.container("n8n")) == "true"
    assert restore(project, overwrite=True, parts=["volume:n8n_data"])["verdict"] == "pass", "what is whole comes back"


def test_what_is_not_there_is_told_with_what_is(project: Stack) -> None:
    assert "There is no backup" in restore(project)["msg"]
    made = back_up(project)
    assert f"There are: {made}" in restore(project, backup="20200101T000000Z")["msg"]
    assert "It holds: volume:n8n_data" in restore(project, parts=["volume:n8n"])["msg"]


def test_killed_between_two_parts_it_is_gone_on_with_or_undone(project: Stack) -> None:
    """The moments of a kill are made by hand: a half unpacked volume, and one between its two renames."""
    back_up(project)
    good = described(mountpoint(N8N_VOLUME))
    spoil(project)
    spoilt = described(mountpoint(N8N_VOLUME))
    assert restore(project, overwrite=True)["verdict"] == "pass"
    ledger = project.directory / "state" / "recovery" / "recovery.json"
    content = json.loads(ledger.read_text())
    directory = mountpoint(N8N_VOLUME)
    new, before = (directory.with_name(f"_data.{what}-{content['id']}") for what in ("new", "before"))
    # Between the renames: the old one has moved aside, the new one has not come.
    directory.rename(new)
    (new / "half").write_text("half", encoding="ascii")
    content["back"].remove("volume n8n_data")
    ledger.write_text(json.dumps(content), encoding="ascii")
    assert before.is_dir() and not directory.exists()
    assert restore(project, overwrite=True)["verdict"] == "pass"
    assert described(directory) == good
    # The same moment, and the way back.
    directory.rename(new)
    assert restore(project, state="undone")["changed"]
    assert described(directory) == spoilt
    assert sorted(os.listdir(directory.parent)) == ["_data"]


def test_a_drill_restores_counts_and_leaves_nothing(project: Stack) -> None:
    project.compose("exec", "-T", "n8n", "python3", "-c", SQLITE)
    made = back_up(project)
    first = drill(project)
    assert first["verdict"] == "pass", first["msg"]
    assert "all equal, 1 SQLite databases whole" in check(first, "drill.volume.n8n_data")["evidence"]
    second = drill(project)
    assert "(before: " in check(second, "drill.seconds")["evidence"]
    assert docker("volume", "ls", "-q", "--filter", "label=ops.prosaas.drill") == ""
    assert len(json.loads((project.directory / "state/drills.json").read_text())) == 2
    assert check(drill(project, max_seconds=0.001), "drill.seconds")["status"] == "fail"

    # What a killed drill has left goes with the next one.
    docker("volume", "create", "--label", "ops.prosaas.drill=true", f"{project.name}-left")
    assert drill(project)["cleared"] == [f"{project.name}-left"]

    (archive,) = (project.directory / "backups" / made).glob("whatsapp_auth_*")
    archive.write_bytes(archive.read_bytes()[:-9])
    failed = drill(project)
    assert failed["failed"] and status(failed)["drill.volume.whatsapp_auth"] == "fail"
    assert status(failed)["drill.volume.n8n_data"] == "pass"


def test_a_drill_finds_what_the_archive_cannot_show(project: Stack) -> None:
    """A whole archive of a damaged database, and of a volume whose key is not kept with it."""
    project.compose("exec", "-T", "n8n", "python3", "-c", SQLITE)
    path = mountpoint(N8N_VOLUME) / "database.sqlite"
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes(good[:middle] + os.urandom(6000) + good[middle + 6000 :])
    back_up(project)
    failed = drill(project)
    assert failed["failed"] and "SQLite finds databases of n8n_data damaged" in failed["msg"]

    path.write_bytes(good)
    (mountpoint(N8N_VOLUME) / "config").write_text('{"encryptionKey": "another-key"}', encoding="ascii")
    back_up(project)
    key = {"volume": "n8n_data", "file": "config", "field": "encryptionKey", "variable": "N8N_ENCRYPTION_KEY"}
    wrong = drill(project, keys=[key])
    assert wrong["failed"] and "is not the key that n8n_data was written with" in wrong["msg"]
    assert SECRET not in str(wrong) and "another-key" not in str(wrong)


SQLITE = """
import sqlite3
database = sqlite3.connect("/data/database.sqlite")
database.execute("CREATE TABLE t (text TEXT)")
database.executemany("INSERT INTO t VALUES (?)", [("x" * 100,) for _ in range(1000)])
database.commit()
"""


def drill(project: Stack, **more: t.Any) -> dict[str, t.Any]:
    known = options(project)
    shared = {name: known[name] for name in ("project", "backup_dir", "state_dir", "runtime") if name in known}
    return module("restore_drill", **{**shared, **more})
