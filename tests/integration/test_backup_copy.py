# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup_copy with the real restic: what was copied comes back as it was, and a bad day leaves no half copy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from shelves import ENV, PASSWORD, Rig
from tiny import COLLECTIONS, check, status

FIRST, SECOND, THIRD, FOURTH = (f"2026110{day}T020000Z" for day in (1, 2, 3, 4))
KEYS = {"AWS_ACCESS_KEY_ID": "an-id-of-a-key-0001", "AWS_SECRET_ACCESS_KEY": "a-secret-key-that-nobody-may-see"}
VOLUME = os.urandom(3_000_000)


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def restic(rig: Rig, *arguments: str) -> str:
    """Our own eyes in the repository."""
    own = {
        "RESTIC_REPOSITORY": str(rig.directory / "repository"),
        "RESTIC_PASSWORD": PASSWORD,
        "HOME": str(rig.directory),
    }
    done = subprocess.run(
        ["restic", *arguments], env={**os.environ, **own}, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_a_part_without_content_is_no_fault(rig: Rig) -> None:
    """The list of an empty bucket is empty, and restic takes no empty stream."""
    rig.back_up(FIRST, b"")
    made = rig.copy()
    assert made["changed"] and set(status(made).values()) == {"pass"}, made["msg"]
    assert not rig.copy()["changed"]
    assert rig.fetch(FIRST) == {"volume n8n_data": b"", "file .env": ENV}


def test_what_was_copied_comes_back_as_it_was(rig: Rig) -> None:
    rig.back_up(FIRST, VOLUME)
    foretold = rig.copy(check_mode=True)
    assert (
        foretold["changed"]
        and foretold["copies"][0]["backups"] == [FIRST]
        and foretold["diff"][0]["after"] == f"{FIRST}\n"
    )
    assert not (rig.directory / "repository").exists()
    made = rig.copy()
    assert made["changed"] and set(status(made).values()) == {"pass"}, made["msg"]
    assert made["copies"][0]["sent"] == ["volume:n8n_data", "files"]
    again = rig.copy()
    assert not again["changed"] and again["verdict"] == "pass" and not again["copies"][0]["sent"]
    assert rig.fetch(FIRST) == {"volume n8n_data": VOLUME, "file .env": ENV}
    assert rig.fetch("", compression="gzip") == {"volume n8n_data": VOLUME, "file .env": ENV}
    listed = rig.copy("fetched", backup=FIRST)
    assert not listed["changed"] and listed["place"] == "" and listed["backup"] == FIRST


@pytest.mark.soak
def test_what_has_not_changed_is_not_sent_again(rig: Rig) -> None:
    rig.back_up(FIRST, VOLUME)
    first = rig.copy()["copies"][0]
    rig.back_up(SECOND, VOLUME, ENV + b"MORE=1\n", codec="gzip")  # the same stream, otherwise compressed
    second = rig.copy()["copies"][0]
    assert (second["sent"], second["reused"]) == (["files"], ["volume:n8n_data"])
    assert second["bytes_added"] < first["bytes_added"] / 10
    large = os.urandom(20_000_000)
    rig.back_up(THIRD, large)
    rig.copy()
    rig.back_up(FOURTH, large[:15_000_000] + b"inserted" + large[15_000_000:])
    inserted = rig.copy()["copies"][0]
    # A block of restic has 8 MiB at most; all behind the insertion is known again.
    assert inserted["sent"] == ["volume:n8n_data"] and inserted["bytes_added"] < len(large) / 2
    assert rig.fetch(SECOND) == {"volume n8n_data": VOLUME, "file .env": ENV + b"MORE=1\n"}
    assert rig.fetch(FIRST)["file .env"] == ENV


@pytest.mark.soak
def test_older_copies_go_and_what_others_need_stays(rig: Rig) -> None:
    keep = {"last": 1, "daily": 2, "weekly": 0, "monthly": 0}
    rig.back_up(FIRST, b"consistent")
    rig.back_up(SECOND, VOLUME, changed=["./database.sqlite"])
    rig.back_up(THIRD, VOLUME, b"OTHER=1\n", changed=["./database.sqlite"])
    for one in (FIRST, SECOND, THIRD):
        assert rig.copy(backup=one, keep={"last": 9})["verdict"] == "pass"
    rig.back_up(FOURTH, VOLUME, b"LAST=1\n", changed=["./database.sqlite"])
    foretold = rig.copy(check_mode=True, keep=keep)
    assert foretold["copies"][0]["pruned"] == [SECOND] and rig.listed() == [THIRD, SECOND, FIRST]
    pruned = rig.copy(keep=keep)
    assert pruned["copies"][0]["pruned"] == [SECOND] and rig.listed() == [FOURTH, THIRD, FIRST]
    assert rig.fetch(FOURTH) == {"volume n8n_data": VOLUME, "file .env": b"LAST=1\n"}
    assert rig.fetch(FIRST) == {"volume n8n_data": b"consistent", "file .env": ENV}
    checked = rig.copy("checked", max_age_hours=1e6)
    assert set(status(checked).values()) == {"pass"} and not checked["changed"]
    assert status(rig.copy("checked"))["copy.here.newest"] == "fail"  # these are years old, by any clock


def test_a_repository_that_cannot_be_used_says_why(rig: Rig) -> None:
    rig.back_up(FIRST, VOLUME)
    absent = rig.copy(here={"init": False})
    assert "There is no restic repository at" in check(absent, "copy.here.reached")["evidence"]
    assert absent["failed"] and not (rig.directory / "repository").exists()
    rig.copy()
    rig.password.write_text("another-password\n", encoding="ascii")
    wrong = rig.copy("checked")
    assert wrong["failed"] and "does not open" in check(wrong, "copy.here.reached")["evidence"]
    rig.password.write_text("\n", encoding="ascii")
    assert "has no password" in rig.copy("listed")["msg"]
    rig.password.unlink()
    assert "cannot be read" in rig.copy("listed")["msg"]
    assert rig.fetch(FIRST, here={"password_file": None, "password": PASSWORD})["file .env"] == ENV


@pytest.mark.soak
def test_a_file_that_this_host_has_damaged_is_not_copied(rig: Rig) -> None:
    rig.back_up(FIRST, VOLUME)
    rig.copy()
    made = rig.back_up(SECOND, VOLUME[1:])
    path = rig.shelf.path(SECOND) / made.parts[0].file
    other = rig.back_up(THIRD, os.urandom(2_000_000)).parts[0]
    path.write_bytes((rig.shelf.path(THIRD) / other.file).read_bytes())  # a good archive, but not this one
    failed = rig.copy(backup=SECOND)
    assert "is not what its manifest says" in check(failed, "copy.here.copied")["evidence"]
    assert status(failed)["copy.here.whole"] == status(failed)["copy.here.pruned"] == "skip"
    assert rig.listed() == [FIRST] and "part=volume:n8n_data" in str(restic(rig, "snapshots", "--json"))
    assert len(json.loads(restic(rig, "snapshots", "--json"))) == 3  # those of the first copy alone


@pytest.mark.soak
def test_damage_in_the_place_is_found(rig: Rig) -> None:
    rig.back_up(FIRST, VOLUME)
    rig.copy()
    pack = max((rig.directory / "repository/data").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    rig.back_up(SECOND, VOLUME, b"X=1\n")
    found = rig.copy(keep={"last": 1, "daily": 0, "weekly": 0, "monthly": 0})
    assert status(found)["copy.here.whole"] == "fail" and status(found)["copy.here.pruned"] == "skip"
    assert rig.listed() == [SECOND, FIRST]  # nothing is let go of while the new one is not known to be good
    there = rig.directory / "other"
    failed = rig.copy("fetched", backup=FIRST, backup_dir=str(there))
    assert failed["failed"] and not [path for path in there.iterdir() if path.name != ".lock"]


class Running:
    """The module in a process of its own."""

    def __init__(self, rig: Rig, **more: t.Any) -> None:
        options = {
            "ANSIBLE_MODULE_ARGS": {**rig.options(**more), "state": "present", "_ansible_module_name": "backup_copy"}
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ansible_collections.prosaas.ops.plugins.modules.backup_copy"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(COLLECTIONS), os.environ.get("PYTHONPATH", "")])},
        )
        stdin = t.cast("t.BinaryIO", self.process.stdin)
        stdin.write(json.dumps(options).encode())
        stdin.close()

    def until_it_sends(self, what: str) -> None:
        deadline = time.monotonic() + 60
        while not any(what in command for command in commands()):
            assert time.monotonic() < deadline and self.process.poll() is None, self.process.stdout.read()  # type: ignore[union-attr]
            time.sleep(0.01)


def commands() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.mark.soak
def test_a_run_that_is_killed_leaves_no_copy_and_no_lock(rig: Rig) -> None:
    rig.back_up(FIRST, VOLUME)
    rig.copy()
    rig.back_up(SECOND, os.urandom(60_000_000), codec="none")
    running = Running(rig)
    running.until_it_sends("--stdin-filename volume-n8n_data")
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    assert rig.listed() == [FIRST] and rig.fetch(FIRST)["volume n8n_data"] == VOLUME
    made = rig.copy()
    assert made["verdict"] == "pass" and status(made)["copy.here.lock"] == "pass" and rig.listed() == [SECOND, FIRST]
    assert restic(rig, "list", "locks", "--no-lock") == ""


@pytest.mark.soak
def test_a_lock_of_a_dead_process_is_taken_away_and_a_living_one_is_waited_for(rig: Rig) -> None:
    rig.back_up(FIRST, VOLUME)
    rig.copy()
    rig.back_up(SECOND, b"other")
    own = {
        "RESTIC_REPOSITORY": str(rig.directory / "repository"),
        "RESTIC_PASSWORD": PASSWORD,
        "HOME": str(rig.directory),
    }
    holder = subprocess.Popen(
        ["restic", "backup", "--stdin", "--stdin-filename", "held", "--host", "somebody"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **own},
    )
    try:
        deadline = time.monotonic() + 30
        while not restic(rig, "list", "locks", "--no-lock"):
            assert time.monotonic() < deadline
        held = rig.copy("checked", lock_wait=0, max_age_hours=1e6)
        assert "is locked" in check(held, "copy.here.whole")["evidence"] and status(held)["copy.here.lock"] == "warn"
        threading.Timer(4, holder.stdin.close).start()  # type: ignore[union-attr]
        assert rig.copy(lock_wait=60)["verdict"] == "pass"
        holder.wait(30)
    finally:
        holder.kill()
    holder = subprocess.Popen(
        ["restic", "backup", "--stdin", "--stdin-filename", "held"], stdin=subprocess.PIPE, env={**os.environ, **own}
    )
    while not restic(rig, "list", "locks", "--no-lock"):
        time.sleep(0.1)
    holder.kill()
    holder.wait()
    rig.back_up(THIRD, b"third")
    assert status(rig.copy())["copy.here.lock"] == "pass" and restic(rig, "list", "locks", "--no-lock") == ""


@pytest.mark.soak
def test_no_secret_is_among_arguments(rig: Rig) -> None:
    keys = rig.directory / "keys.env"
    keys.write_text("".join(f"{name}={value}\n" for name, value in KEYS.items()), encoding="ascii")
    rig.back_up(FIRST, VOLUME)
    rig.copy()
    rig.back_up(SECOND, os.urandom(30_000_000), codec="none")
    running = Running(rig, here={"credentials_file": str(keys), "password_file": None, "password": PASSWORD})
    seen: set[str] = set()
    while running.process.poll() is None:
        seen.update(command for command in commands() if command.startswith("restic "))
        time.sleep(0.005)
    said = running.process.stdout.read().decode()  # type: ignore[union-attr]
    assert running.process.returncode == 0, said
    assert any(" backup " in command for command in seen) and any(" check " in command for command in seen)
    for secret in (PASSWORD, *KEYS.values()):
        assert not [command for command in seen if secret in command]
        assert secret not in said.partition('"invocation"')[0]


@pytest.mark.soak
def test_plain_copies_on_another_host(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real rsync; what stands for ssh runs the other side of it on this host."""
    ssh = rig.directory / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\nwhile [ "$1" != far ]; do shift; done\nshift\neval exec "$@"\n', encoding="ascii")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}{os.pathsep}{os.environ['PATH']}")
    far = rig.directory / "far away"[:3]
    far.mkdir()
    rig.place.update(kind="rsync", address=f"far:{far}")
    plain(rig, far)


def plain(rig: Rig, far: Path | None) -> None:
    """What every place of plain files must do."""
    rig.back_up(FIRST, VOLUME)
    refused = rig.copy()
    assert "not encrypted" in check(refused, "copy.here.private")["evidence"] and refused["failed"]
    rig.place["unencrypted"] = "accepted"
    assert rig.copy()["verdict"] == "pass"
    assert not rig.copy()["changed"]
    made = rig.back_up(SECOND, VOLUME[1:], b"SECOND=1\n")
    assert rig.copy()["verdict"] == "pass" and rig.listed() == [SECOND, FIRST]
    assert rig.fetch(FIRST) == {"volume n8n_data": VOLUME, "file .env": ENV}
    if far:
        assert (far / SECOND / "files/.env").stat().st_mode & 0o777 == 0o600
        path = far / SECOND / made.parts[0].file
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert status(rig.copy("checked", max_age_hours=1e6))["copy.here.whole"] == "fail"
        assert rig.copy("fetched", backup=SECOND, backup_dir=str(rig.directory / "x"))["failed"]
        path.write_bytes(data)
        (far / SECOND / "manifest.json").unlink()  # a copy that broke off
        assert rig.listed() == [FIRST]
        assert rig.copy()["verdict"] == "pass"
    rig.back_up(THIRD, b"third")
    pruned = rig.copy(keep={"last": 1, "daily": 0, "weekly": 0, "monthly": 0})
    assert pruned["copies"][0]["pruned"] == [SECOND, FIRST] and rig.listed() == [THIRD]
    assert far is None or sorted(path.name for path in far.iterdir()) == [THIRD]
    assert set(status(rig.copy("checked", max_age_hours=1e6)).values()) <= {"pass", "skip"}
