# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives and their compression: directories, tar, zstd and gzip are real."""

from __future__ import annotations

import dataclasses
import io
import os
import random
import resource
import signal
import sqlite3
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _archive, _codec, _sqlite
from ansible_collections.prosaas.ops.plugins.module_utils._codec import CODECS, Codec
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

GZIP, ZSTD, NONE = CODECS["gzip"], CODECS["zstd"], CODECS["none"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / ".cache").mkdir(parents=True)
    (source / "database.sqlite").write_bytes(os.urandom(100_000))
    (source / ".cache" / "one").write_text("1", encoding="ascii")
    (source / "link").symlink_to("database.sqlite")
    return source


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_an_archive_is_what_was_packed(tree: Path, tmp_path: Path, codec: Codec) -> None:
    target = tmp_path / f"data.tar{codec.suffix}"
    packed = _archive.pack(tree, target, codec)
    assert not target.exists(), "it has no name before it has been read back"
    content = _archive.publish(packed)
    assert (content.sums, content.members, content.out) == (packed.sums, 5, [])
    assert content.sums.bytes == target.stat().st_size
    assert packed.changed == []
    assert target.stat().st_mode & 0o777 == 0o600
    assert set(os.listdir(tmp_path)) == {"source", target.name}
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    assert _archive.extract(target, codec, unpacked) == packed.sums
    assert _archive.differences(target, codec, unpacked) == []
    (unpacked / ".cache" / "one").write_text("2", encoding="ascii")
    assert any(".cache/one" in line for line in _archive.differences(target, codec, unpacked))


def test_the_same_tree_makes_the_same_stream(tree: Path, tmp_path: Path) -> None:
    """So what is not new need not be sent again, however it is compressed."""
    sums = [_archive.pack(tree, tmp_path / f"{codec.name}.tar", codec).sums for codec in (ZSTD, GZIP, ZSTD)]
    assert len({one.raw_sha256 for one in sums}) == 1


@pytest.mark.parametrize("where", ["head", "middle", "checksum", "cut", "empty"])
@pytest.mark.parametrize("codec", [GZIP, ZSTD], ids=["gzip", "zstd"])
def test_a_damaged_archive_cannot_be_read_to_its_end(tree: Path, tmp_path: Path, where: str, codec: Codec) -> None:
    target = tmp_path / "data.tar.x"
    _archive.publish(_archive.pack(tree, target, codec))
    content = bytearray(target.read_bytes())
    if where in ("cut", "empty"):
        del content[0 if where == "empty" else -1 :]
    else:
        content[{"head": 1, "middle": len(content) // 2, "checksum": -2}[where]] ^= 0x10
    target.write_bytes(content)
    with pytest.raises(OpsError, match="cannot be read to its end"):
        _archive.read_back(target, codec)


def test_any_flipped_bit_is_seen(tree: Path, tmp_path: Path) -> None:
    """By the sums at the least: some bits of a header mean nothing to the programs."""
    target = tmp_path / "data.tar.zst"
    good = _archive.publish(_archive.pack(tree, target, ZSTD)).sums
    content = target.read_bytes()
    draw = random.Random(20261128)
    for _time in range(20):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        target.write_bytes(damaged)
        try:
            assert _archive.read_back(target, ZSTD).sums != good
        except OpsError as error:
            assert "cannot be read to its end" in str(error) or "refused" in str(error)


def test_an_archive_that_reads_back_differently_gets_no_name(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "data.tar.zst"
    packed = _archive.pack(tree, target, ZSTD)
    (tree / "more").write_text("x", encoding="ascii")
    other = _archive.pack(tree, tmp_path / "other", ZSTD)  # a good archive, but not the one written
    os.replace(_archive.partial(other.target), _archive.partial(target))
    with pytest.raises(OpsError, match="reads back differently"):
        _archive.publish(packed)
    assert not target.exists()


@pytest.mark.parametrize(("name", "size"), [("lost", 4), ("database.sqlite", 99)])
def test_an_archive_that_lacks_something_gets_no_name(tree: Path, tmp_path: Path, name: str, size: int) -> None:
    packed = _archive.pack(tree, tmp_path / "data.tar.gz", GZIP)
    with pytest.raises(OpsError, match=f"does not hold what the directory has: {name}"):
        _archive.publish(dataclasses.replace(packed, sizes={**packed.sizes, name: size}))


def test_a_change_while_it_is_read_is_told(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = _codec.write

    def while_somebody_writes(*arguments: t.Any) -> _codec.Sums:
        (tree / "database.sqlite").write_bytes(b"new")
        return really(*arguments)

    monkeypatch.setattr(_codec, "write", while_somebody_writes)
    packed = _archive.pack(tree, tmp_path / "data.tar.gz", GZIP)
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
        _archive.pack(tmp_path / "nothing", tmp_path / "data.tar.gz", GZIP)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tree: Path, tmp_path: Path, codec: Codec) -> None:
    """A limit on the size of files stands in for the disk; the kernel refuses the write in the same way."""
    target = tmp_path / "out" / "data.tar.gz"
    target.parent.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OpsError, match="could not be written to .*: File too large"):
            _archive.pack(tree, target, codec)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert os.listdir(target.parent) == []


def test_zstd_where_it_is_there_and_gzip_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _codec.choose("auto") == ZSTD
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert _codec.choose("auto") == GZIP
    with pytest.raises(OpsError, match="apt-get install zstd"):
        _codec.choose("zstd")


# What no backup of ours holds


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


HOSTILE = {
    "an absolute path": ([member("/etc/cron.d/x")], "leads out of the directory"),
    "the directory above": ([member("./a/../../x")], "leads out of the directory"),
    "a device": ([member("./sda", tarfile.BLKTYPE)], "is a device"),
    "a hard link out": ([member("./x", tarfile.LNKTYPE, "../shadow")], "is a hard link out"),
    "an absolute hard link": ([member("./x", tarfile.LNKTYPE, "/etc/shadow")], "is a hard link out"),
    "a path through a link": ([member("./etc", tarfile.SYMTYPE, "/etc"), member("./etc/cron.d/x")], "lies behind a link"),
}


@pytest.mark.parametrize(("members", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused(tmp_path: Path, members: list[tarfile.TarInfo], says: str) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for one in members:
            archive.addfile(one, io.BytesIO())
    with pytest.raises(OpsError, match=f"The archive is refused: .*{says}"):
        _archive.read_back(path, NONE)


@pytest.mark.parametrize(("link", "out"), [("/etc/passwd", True), ("../x", True), ("a/../../x", True), ("a/../b", False)])
def test_a_link_out_is_named(tmp_path: Path, link: str, out: bool) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "link").symlink_to(link)
    content = _archive.publish(_archive.pack(source, tmp_path / "x.tar", NONE))
    assert content.out == (["link"] if out else [])


# SQLite


def database(path: Path, rows: int = 100) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (n INTEGER, text TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, "x" * 100) for number in range(rows)])
    connection.commit()
    return connection


def test_a_database_is_copied_while_it_is_written(tmp_path: Path) -> None:
    """What is in the write-ahead log alone is in the copy, and what is not committed is not."""
    source, copies = tmp_path / "source", tmp_path / "copies"
    (source / "sub").mkdir(parents=True)
    copies.mkdir()
    writer = database(source / "sub/database.sqlite")
    writer.execute("INSERT INTO t VALUES (-1, 'open')")
    os.chmod(source / "sub/database.sqlite", 0o640)
    left = _sqlite.copy_all(source, ["sub/database.sqlite"], copies)
    packed = _archive.pack(source, tmp_path / "x.tar", NONE, left, copies)
    content = _archive.publish(packed)
    writer.close()
    assert packed.changed == [] and content.members == 3, "the directory, sub, and one file for the three of SQLite"
    target = tmp_path / "target"
    target.mkdir()
    _archive.extract(tmp_path / "x.tar", NONE, target)
    copy = target / "sub/database.sqlite"
    assert sqlite3.connect(copy).execute("SELECT count(*), min(n) FROM t").fetchone() == (100, 0)
    assert copy.stat().st_mode & 0o777 == 0o640
    assert _sqlite.problem(copy) == "" and _sqlite.is_database(copy)


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    database(tmp_path / "database.sqlite", rows=5000).close()
    path = tmp_path / "database.sqlite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 9000] = os.urandom(9000)
    path.write_bytes(content)
    assert _sqlite.problem(path)
    (tmp_path / "copies").mkdir()
    with pytest.raises(OpsError, match="database.sqlite"):
        _sqlite.copy_all(tmp_path, ["database.sqlite"], tmp_path / "copies")
    with pytest.raises(OpsError, match="is not in the volume"):
        _sqlite.copy_all(tmp_path, ["other.sqlite"], tmp_path / "copies")
    with pytest.raises(OpsError, match="leads out of its volume"):
        _sqlite.copy_all(tmp_path, ["../x"], tmp_path / "copies")
