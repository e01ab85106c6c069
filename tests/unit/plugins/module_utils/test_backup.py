# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives, the shelf of backups, and how both are judged: directories and tar are real, the engine is not needed."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import hashlib
import json
import os
import resource
import signal
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _archive, _backup, _volumes
from ansible_collections.prosaas.ops.plugins.module_utils._backup import Volume, Wanted
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Project
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import FILE, VOLUME, Backup, Part, Shelf, to_prune

PROJECT = Project("app", Path("/opt/app"), ("docker-compose.yml",))
NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / ".cache").mkdir(parents=True)
    (source / "database.sqlite").write_bytes(os.urandom(100_000))
    (source / ".cache" / "one").write_text("1", encoding="ascii")
    (source / "link").symlink_to("database.sqlite")
    return source


def part(name: str = "data", size: int = 1000, members: int = 5, changed: int = 0) -> Part:
    names = [f"f{number}" for number in range(changed)]
    return Part(VOLUME, name, f"app_{name}", f"{name}_x.tar.gz", size, "0" * 64, members, changed=names)


def backup(day: int, *parts: Part, project: str = "app") -> Backup:
    return Backup(f"202611{day:02}T020000Z", project, parts=list(parts) or [part()])


def shelve(shelf: Shelf, made: Backup) -> None:
    draft = shelf.directory / f".{made.id}.partial"
    draft.mkdir(parents=True)
    shelf.publish(draft, made)


# Archives


def test_an_archive_is_what_was_packed(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "data.tar.gz"
    packed = _archive.pack(tree, target)
    assert not target.exists(), "it has no name before it has been read back"
    content = _archive.publish(packed)
    assert content == (target.stat().st_size, packed.sha256, 5)
    assert packed.changed == []
    assert target.stat().st_mode & 0o777 == 0o600
    assert set(os.listdir(tmp_path)) == {"source", "data.tar.gz"}


@pytest.mark.parametrize("where", ["head", "middle", "checksum", "cut", "empty"])
def test_a_damaged_archive_cannot_be_read_to_its_end(tree: Path, tmp_path: Path, where: str) -> None:
    target = tmp_path / "data.tar.gz"
    _archive.publish(_archive.pack(tree, target))
    content = bytearray(target.read_bytes())
    if where in ("cut", "empty"):
        del content[0 if where == "empty" else -1 :]
    else:
        content[{"head": 1, "middle": len(content) // 2, "checksum": -8}[where]] ^= 0x10
    target.write_bytes(content)
    with pytest.raises(OpsError, match="cannot be read to its end"):
        _archive.read_back(target)


def test_an_archive_that_reads_back_differently_gets_no_name(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "data.tar.gz"
    packed = _archive.pack(tree, target)
    (partial,) = tmp_path.glob(".data*")
    partial.write_bytes(
        gzip.compress(gzip.decompress(partial.read_bytes()), 1)
    )  # a good archive, but not the one written
    with pytest.raises(OpsError, match="reads back differently"):
        _archive.publish(packed)
    assert not target.exists()


def test_an_archive_that_lacks_a_member_gets_no_name(tree: Path, tmp_path: Path) -> None:
    packed = _archive.pack(tree, tmp_path / "data.tar.gz")
    with pytest.raises(OpsError, match="has 5 members where the directory has 6"):
        _archive.publish(dataclasses.replace(packed, members=6))


def test_a_change_while_it_is_read_is_told(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = _archive._compress

    def while_somebody_writes(*arguments: t.Any) -> tuple[int, str]:
        (tree / "database.sqlite").write_bytes(b"new")
        return really(*arguments)

    monkeypatch.setattr(_archive, "_compress", while_somebody_writes)
    packed = _archive.pack(tree, tmp_path / "data.tar.gz")
    assert packed.changed == ["database.sqlite"]
    _archive.publish(packed)


def test_state_sees_what_a_time_stamp_hides(tree: Path) -> None:
    file = tree / "database.sqlite"
    before, stamp = _archive.state_of(tree), file.stat()
    content = file.read_bytes()
    file.write_bytes(bytes(reversed(content)))
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = _archive.state_of(tree)
    assert {name for name in before if before[name] != after[name]} == {"database.sqlite"}


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="cannot be read: No such file or directory"):
        _archive.pack(tmp_path / "nothing", tmp_path / "data.tar.gz")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk; the kernel refuses the write in the same way."""
    target = tmp_path / "out" / "data.tar.gz"
    target.parent.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OpsError, match="could not be written to .*: File too large"):
            _archive.pack(tree, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert os.listdir(target.parent) == []


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


def test_file_names_that_are_no_text_survive_in_a_manifest(tree: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "b", "app")
    odd = os.fsdecode(b"bad\xff\nname")
    before = part()
    before.changed = [_archive._printable(odd)]
    shelve(shelf, backup(1, before))
    assert shelf.backups()[0][0].parts[0].changed == ["bad\\xff\nname"]


# Retention


def ids(backups: list[Backup]) -> list[str]:
    return [each.id[6:8] for each in backups]


def test_the_newest_stay() -> None:
    kept = [backup(day) for day in (5, 4, 3, 2, 1)]
    assert ids(to_prune(kept, 2)) == ["03", "02", "01"]
    assert to_prune(kept[:2], 7) == []


def test_the_newest_quiet_one_stays_besides() -> None:
    moved = part(changed=1)
    kept = [backup(5, moved), backup(4, moved), backup(3), backup(2), backup(1)]
    assert ids(to_prune(kept, 2)) == ["02", "01"]


def test_never_all_of_them() -> None:
    assert ids(to_prune([backup(2), backup(1)], 0)) == ["01"]


# Judgement


@pytest.mark.parametrize(
    ("seen", "required", "status", "says"),
    [
        (part(), True, "pass", "data_x.tar.gz: 1 kB, 5 members"),
        (part(members=1), True, "fail", "the volume is empty"),
        (part(members=1), False, "warn", "the volume is empty"),
        (part(changed=3), True, "warn", "3 of them changed while they were read"),
    ],
)
def test_an_archive(seen: Part, required: bool, status: str, says: str) -> None:
    outcome = _backup.judge_part(seen, required)
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
    ],
)
def test_the_age(newest: Backup | None, unreadable: list[str], status: str, says: str) -> None:
    outcome = _backup.judge_age(newest, NOW, Wanted(PROJECT), unreadable)
    assert outcome.status == status
    assert says in outcome.evidence


@pytest.mark.parametrize(
    ("size", "status"), [(1000, "pass"), (2000, "pass"), (800, "pass"), (799, "warn"), (0, "warn")]
)
def test_the_size(size: int, status: str) -> None:
    outcome = _backup.judge_size(backup(2, part(size=size)), backup(1), 20)
    assert outcome.status == status
    assert "(before: 1 kB)" in outcome.evidence


def test_the_size_of_something_new() -> None:
    assert _backup.judge_size(backup(2, part("new")), backup(1), 20).status == "skip"


def test_the_newest_backup_is_read_to_its_end(tree: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "b", "app")
    shelf.directory.mkdir()
    wanted = Wanted(PROJECT, (Volume("data", required=True), Volume("more")), (".env",), max_age_hours=1e6)
    assert {check.status for check in _backup.judge(wanted, shelf).checks} == {"fail"}

    with shelf.draft() as (backup_id, draft):
        content = _archive.publish(_archive.pack(tree, draft / "data.tar.gz"))
        (draft / ".env").write_text("A=1\n", encoding="ascii")
        digest = hashlib.sha256(b"A=1\n").hexdigest()
        parts = [
            Part(VOLUME, "data", "app_data", "data.tar.gz", *content),
            Part(FILE, ".env", "/x/.env", ".env", 4, digest),
        ]
        shelf.publish(draft, Backup(backup_id, "app", parts=parts))
    judged = {check.id: check for check in _backup.judge(wanted, shelf).checks}
    assert {key: check.status for key, check in judged.items()} == {
        "backup.newest": "pass",
        "backup.volume.data": "pass",
        "backup.volume.more": "skip",
        "backup.files": "pass",
        "backup.size": "skip",
    }
    (shelf.path(backup_id) / ".env").write_text("A=2\n", encoding="ascii")
    archive = shelf.path(backup_id) / "data.tar.gz"
    archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()), 1))
    judged = {check.id: check for check in _backup.judge(wanted, shelf).checks}
    assert "is not what its manifest says" in judged["backup.volume.data"].evidence
    assert judged["backup.files"].evidence == f"{backup_id} does not hold, or not unchanged: .env"
    archive.unlink()
    judged = {check.id: check for check in _backup.judge(wanted, shelf).checks}
    assert "is not there" in judged["backup.volume.data"].evidence


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


def test_every_stopped_container_is_started_again_though_one_cannot_be(tmp_path: Path) -> None:
    calls = []

    def execute(argv: list[str]) -> tuple[int, str, str]:
        calls.append(argv[1:])
        if argv[1] == "ps":
            return 0, "aaa n8n\nbbb baileys\nccc n8n\n", ""
        failed = argv[1:] == ["start", "aaa"]
        return int(failed), "", "no space left on device" if failed else ""

    downtime: dict[str, float] = {}
    note = tmp_path / "note"
    with pytest.raises(OpsError, match="Start by hand: docker start aaa"):
        with _volumes.stopped(execute, "app", ["n8n"], 5, note, downtime):
            assert json.loads(note.read_text()) == ["aaa", "ccc"]
    assert calls[1:] == [["stop", "-t", "5", "aaa", "ccc"], ["start", "aaa"], ["start", "ccc"]]
    assert list(downtime) == ["n8n"]


def test_files_do_not_leave_their_directory(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "secret").write_text("x", encoding="ascii")
    project = Project("app", tmp_path / "app", ())
    with pytest.raises(OpsError, match="leads out of its directory"):
        _backup._read_files(Wanted(project, files=("../secret",)))
    with pytest.raises(OpsError, match=r"\.env: No such file or directory"):
        _backup._read_files(Wanted(project, files=(".env",)))
