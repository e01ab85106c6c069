# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shelf of backups, how both it and what is on it are judged, and what of it goes: the engine is not needed."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import (
    _archive,
    _backup_judge,
    _backup_parts,
    _codec,
    _volumes,
)
from ansible_collections.prosaas.ops.plugins.module_utils._backup_judge import Limits
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._periods import Keep, kept
from ansible_collections.prosaas.ops.plugins.module_utils._provenance import without_password
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import (
    DATABASE,
    VOLUME,
    Backup,
    Part,
    Shelf,
    new_id,
    to_prune,
)

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)


def part(name: str = "data", size: int = 1000, members: int = 5, changed: int = 0, kind: str = VOLUME, **more: t.Any) -> Part:
    names = [f"f{number}" for number in range(changed)]
    return Part(kind, name, f"app_{name}", f"{name}_x", size, "0" * 64, raw_bytes=size, members=members, changed=names, **more)


def backup(day: int, *parts: Part, project: str = "app") -> Backup:
    return Backup(f"202611{day:02}T020000Z", project, parts=list(parts) or [part()])


def shelve(shelf: Shelf, made: Backup) -> None:
    draft = shelf.directory / f".{made.id}.partial"
    draft.mkdir(parents=True)
    shelf.publish(draft, made)


# The shelf


def test_what_was_put_on_the_shelf_comes_back_newest_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "b", "app")
    first, second = backup(1, part(changed=2)), backup(2)
    for each in (first, second, backup(3, project="another")):
        shelve(shelf, each)
    assert shelf.backups() == ([second, first], [])


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"parts": [{"kind": 1}]}', '{"id": "x", "project": "app", "parts": []}']
)
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    shelf = Shelf(tmp_path, "app")
    shelve(shelf, backup(1))
    odd = shelf.path("20261102T020000Z")
    odd.mkdir()
    (odd / "manifest.json").write_text(content, encoding="ascii")
    assert shelf.backups() == ([backup(1)], [odd.name])


def test_a_backup_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """It was packed by gzip, and less was written down."""
    directory = tmp_path / "20261120T020000Z"
    directory.mkdir()
    old = {"kind": "volume", "name": "data", "source": "app_data", "file": "data_x.tar.gz", "bytes": 5, "sha256": "a" * 64}
    content = {"id": directory.name, "project": "app", "consistency": "live", "parts": [{**old, "members": 3}], "schema": 1}
    (directory / "manifest.json").write_text(json.dumps(content), encoding="ascii")
    ((read,), unreadable) = Shelf(tmp_path, "app").backups()
    assert unreadable == []
    assert (read.parts[0].codec, read.parts[0].members) == ("gzip", 3)
    assert read.parts[0].is_made_of(_codec.Sums(5, "a" * 64, 99, "b" * 64))
    assert not read.parts[0].is_made_of(_codec.Sums(5, "c" * 64, 99, "b" * 64))


def test_a_draft_that_is_not_published_leaves_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "app")
    with shelf.draft() as (_id, draft):
        (draft / "half").write_text("x", encoding="ascii")
    assert os.listdir(tmp_path) == []


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "app")
    with shelf.locked(), pytest.raises(OpsError, match="Another backup is being written"):
        with shelf.locked():
            pass


def test_file_names_that_are_no_text_survive_in_a_manifest(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "b", "app")
    odd = os.fsdecode(b"bad\xff\nname")
    before = part()
    before.changed = [_archive.printable(odd)]
    shelve(shelf, backup(1, before))
    assert shelf.backups()[0][0].parts[0].changed == ["bad\\xff\nname"]


# Retention


def ids(backups: t.Iterable[Backup]) -> list[str]:
    return [each.id[6:8] for each in backups]


def test_the_newest_stay() -> None:
    made = [backup(day) for day in (5, 4, 3, 2, 1)]
    assert ids(to_prune(made, Keep(last=2, daily=0, weekly=0, monthly=0))) == ["03", "02", "01"]
    assert to_prune(made[:2], Keep()) == []


def test_the_newest_quiet_one_stays_besides() -> None:
    moved = part(changed=1)
    made = [backup(5, moved), backup(4, moved), backup(3), backup(2), backup(1)]
    assert ids(to_prune(made, Keep(last=2, daily=0, weekly=0, monthly=0))) == ["02", "01"]


def test_never_all_of_them() -> None:
    assert ids(to_prune([backup(2), backup(1)], Keep(0, 0, 0, 0, 0))) == ["01"]


def test_periods_keep_the_newest_of_each() -> None:
    """Two a day for 70 days: three newest, seven days, four weeks, three months."""
    start = datetime.datetime(2026, 9, 14, 2, tzinfo=datetime.timezone.utc)
    times = [start + datetime.timedelta(hours=12 * number) for number in range(140)]
    stay = sorted(kept(times, Keep(last=3, daily=7, weekly=4, monthly=3)))
    days = [at.strftime("%m-%dT%H") for at in stay]
    assert days[-8:] == ["11-16T14", "11-17T14", "11-18T14", "11-19T14", "11-20T14", "11-21T14", "11-22T02", "11-22T14"]
    assert days[:-8] == ["09-30T14", "10-31T14", "11-01T14", "11-08T14", "11-15T14"]
    assert kept(times, Keep(1, 0, 0, 0, 0)) == {times[-1]}


def test_a_period_without_a_backup_does_not_count() -> None:
    """Nothing for a month: the old ones do not go because of it."""
    old = [datetime.datetime(2026, 10, day, tzinfo=datetime.timezone.utc) for day in range(1, 8)]
    assert kept([*old, NOW], Keep(last=1, daily=7, weekly=0, monthly=0)) == {NOW, *old[-6:]}


def test_ids_go_on_where_the_clock_does_not() -> None:
    later = Backup("20990101T000000Z", "app")
    assert new_id(later) == "20990101T000001Z"
    assert new_id(Backup("20200101T000000Z", "app")) > "2026"


# Judgement


@pytest.mark.parametrize(
    ("seen", "required", "status", "says"),
    [
        (part(), True, "pass", "data_x: 1 kB, 5 members"),
        (part(members=1), True, "fail", "the volume is empty"),
        (part(members=1), False, "warn", "the volume is empty"),
        (part(changed=3), True, "warn", "3 of them changed while they were read"),
        (part(out=["x"]), True, "warn", "links lead out of the volume: x"),
        (part(kind=DATABASE, rows={"public.a": 2, "public.b": 3}), True, "pass", "2 tables with 5 rows"),
        (part(kind=DATABASE), True, "fail", "the database has no table"),
    ],
)
def test_a_part(seen: Part, required: bool, status: str, says: str) -> None:
    outcome = _backup_judge.part(seen, required)
    assert outcome.status == status
    assert says in outcome.evidence
    assert bool(outcome.remedy) == (status != "pass")


@pytest.mark.parametrize(
    ("newest", "unreadable", "status", "says"),
    [
        (backup(22), [], "pass", "10.0 h ago"),
        (backup(21), [], "fail", "34.0 h ago; 25 h at most are wanted"),
        (None, [], "fail", "there is none"),
        (backup(22), ["20261122T030000Z"], "warn", "left out, their manifests cannot be read: 20261122T030000Z"),
        (None, ["20261122T030000Z"], "fail", "left out"),
        (backup(23), [], "unknown", "14.0 h ahead of this host's clock"),
    ],
)
def test_the_age(newest: Backup | None, unreadable: list[str], status: str, says: str) -> None:
    outcome = _backup_judge.age(newest, NOW, Limits(), unreadable)
    assert outcome.status == status
    assert says in outcome.evidence


@pytest.mark.parametrize(
    ("size", "status"),
    [(1000, "pass"), (2000, "pass"), (800, "pass"), (799, "warn"), (500, "warn"), (499, "fail"), (1, "fail")],
)
def test_the_size(size: int, status: str) -> None:
    outcome = _backup_judge.sizes(backup(2, part(size=size)), backup(1), Limits())
    assert outcome.status == status
    assert "(before: 1 kB)" in outcome.evidence


def test_the_size_of_something_new() -> None:
    assert _backup_judge.sizes(backup(2, part("new")), backup(1), Limits()).status == "skip"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:token@github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://github.com/a/b.git", "https://github.com/a/b.git"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("/srv/git/b.git", "/srv/git/b.git"),
    ],
)
def test_a_manifest_holds_no_token_of_the_repository(url: str, told: str) -> None:
    assert without_password(url) == told


# Volumes, by the words of the engine


MODEL = {"volumes": {"data": {"name": "other_data"}}}


def inspected(directory: Path, **more: object) -> str:
    return json.dumps(
        [{"Name": "other_data", "Driver": "local", "Mountpoint": str(directory), "Options": None, **more}]
    )


def test_a_volume_is_found_by_the_name_that_the_model_gives_it(tmp_path: Path) -> None:
    asked = []

    def execute(argv: list[str]) -> tuple[int, str, str]:
        asked.append(argv)
        return 0, inspected(tmp_path), ""

    assert _volumes.locate("data", MODEL, execute) == ("other_data", tmp_path)
    assert asked == [["docker", "volume", "inspect", "other_data"]]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((1, "[]", "Error: No such volume: other_data"), _volumes.Absent, "does not exist on this host"),
        ((1, "", "Cannot connect to the Docker daemon at unix:///x. Is it running?"), Unreachable, "does not answer"),
        ((0, inspected(Path("/nowhere/at/all")), ""), OpsError, "is not to be found at /nowhere/at/all"),
        ((0, inspected(Path("/"), Driver="rexray"), ""), OpsError, "driver rexray"),
        ((0, inspected(Path("/etc"), Options={"type": "nfs", "device": ":/x"}), ""), OpsError, "is not mounted now"),
    ],
)
def test_a_volume_that_cannot_be_read(answer: tuple[int, str, str], error: type[OpsError], says: str) -> None:
    with pytest.raises(error, match=says):
        _volumes.locate("data", MODEL, lambda argv: answer)


def test_a_volume_that_the_model_lacks() -> None:
    with pytest.raises(_volumes.Absent, match="uses a volume n8n_data"):
        _volumes.locate("n8n_data", MODEL, lambda argv: pytest.fail("the engine must not be asked for a guessed name"))


def test_every_held_container_goes_on_though_one_cannot(tmp_path: Path) -> None:
    calls = []

    def execute(argv: list[str]) -> tuple[int, str, str]:
        calls.append(argv[1:])
        if argv[1] == "ps":
            return 0, "aaa n8n\nbbb baileys\nccc n8n\n", ""
        failed = argv[1:] == ["start", "aaa"]
        return int(failed), "", "no space left on device" if failed else ""

    downtime: dict[str, float] = {}
    note = tmp_path / "note"
    hold = _volumes.Hold(_volumes.STOP, 5)
    with pytest.raises(OpsError, match="By hand: docker start aaa"):
        with _volumes.held(execute, "app", ["n8n"], hold, note, downtime):
            assert json.loads(note.read_text()) == {"how": "stop", "containers": ["aaa", "ccc"]}
    assert calls[1:] == [["stop", "-t", "5", "aaa", "ccc"], ["start", "aaa"], ["start", "ccc"]]
    assert list(downtime) == ["n8n"]


GUARDED = """
import sys, time
from ansible_collections.prosaas.ops.plugins.module_utils import _guardian
with _guardian.watching([["touch", sys.argv[1]]]):
    print("held", flush=True)
    time.sleep(0 if sys.argv[2] == "well" else 60)
"""


@pytest.mark.parametrize("how", ["well", "killed"])
def test_a_guardian_acts_when_its_process_is_killed_and_not_otherwise(tmp_path: Path, how: str) -> None:
    mark = tmp_path / "mark"
    argv = [sys.executable, "-c", GUARDED, str(mark), how]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout and process.stdout.readline() == b"held\n"
        if how == "killed":
            os.killpg(process.pid, 9)
    deadline = time.monotonic() + (10 if how == "killed" else 0.5)
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mark.exists() == (how == "killed")


def test_files_do_not_leave_their_directory(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "secret").write_text("x", encoding="ascii")
    with pytest.raises(OpsError, match="leads out of its directory"):
        _backup_parts.read_files(tmp_path / "app", ["../secret"])
    with pytest.raises(OpsError, match=r"\.env: No such file or directory"):
        _backup_parts.read_files(tmp_path / "app", [".env"])
