# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import json
import typing as t
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import (
    _cloudflare,
    _copy,
    _copy_open,
    _copy_place,
    _copy_plain,
    _copy_restic,
    _copy_rsync,
    _copy_s3,
    _inventory,
    _restic,
)
from ansible_collections.prosaas.ops.plugins.module_utils._copy_place import Copy
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._periods import Keep
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import VOLUME, Backup, Part, Shelf

A, B, C = "20261101T020000Z", "20261102T020000Z", "20261103T020000Z"
NOW = datetime.datetime(2026, 11, 3, 12, tzinfo=datetime.timezone.utc)
NO_PERIODS = {"daily": 0, "weekly": 0, "monthly": 0}


def part(**more: t.Any) -> Part:
    return Part(**{"kind": VOLUME, "name": "v", "source": "s", "file": "v.tar", "bytes": 10, "sha256": "a", **more})


def row(name: str, *tags: str, hours: float = 1, **more: t.Any) -> dict[str, t.Any]:
    at = (NOW - datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S")
    return {"id": name * 64, "time": f"{at}.123456789Z", "tags": ["prosaas", *tags], **more}


def manifest(name: str, backup: str, *holds: str, **more: t.Any) -> dict[str, t.Any]:
    return row(name, "manifest", f"backup={backup}", *(f"holds={one * 16}" for one in holds), **more)


def known(*rows: dict[str, t.Any]) -> list[_copy_restic.Snapshot]:
    return _copy_restic.snapshots(json.dumps(rows))


VOLUME_1 = row("1", "part=volume:v", "raw=aa")
FILES_2 = row("2", "part=files", "raw=bb")


def test_a_copy_counts_when_its_manifest_and_all_of_its_parts_are_there() -> None:
    whole = _copy_restic.stored(known(VOLUME_1, FILES_2, manifest("a", A, "1", "2")))
    assert [each.copy for each in whole] == [Copy(A)]
    assert {key: one.id[0] for key, one in whole[0].parts.items()} == {("volume:v", "aa"): "1", ("files", "bb"): "2"}
    assert _copy_restic.stored(known(VOLUME_1, manifest("a", A, "1", "2"))) == []
    assert _copy_restic.stored(known(VOLUME_1, FILES_2)) == []
    changed = _copy_restic.stored(known(VOLUME_1, row("a", "manifest", "changed", f"backup={A}", f"holds={'1' * 16}")))
    assert [each.copy for each in changed] == [Copy(A, consistent=False)]
    assert _copy_restic.stored(known(row("a", "manifest", "backup=../../etc"))) == []


def test_a_rewritten_or_copied_snapshot_is_known_by_its_first_id() -> None:
    moved = {**row("9", "part=volume:v", "raw=aa"), "original": "1" * 64}
    assert [each.copy.id for each in _copy_restic.stored(known(moved, manifest("a", A, "1")))] == [A]


def test_no_snapshot_goes_that_a_kept_copy_needs() -> None:
    there = known(
        VOLUME_1, FILES_2, row("3", "part=files", "raw=cc"), manifest("a", A, "1", "2"), manifest("b", B, "1", "3")
    )
    assert {one[0] for one in _copy_restic.let_go(there, [A], NOW)} == {"a", "2"}
    assert {one[0] for one in _copy_restic.let_go(there, [A, B], NOW)} == {"a", "b", "1", "2", "3"}
    assert _copy_restic.let_go(there, [], NOW) == []


def test_what_a_broken_run_has_left_goes_after_a_day() -> None:
    young, old = row("4", "part=volume:v", "raw=dd"), row("5", "part=volume:v", "raw=ee", hours=30)
    others = {**row("6", hours=30), "tags": ["somebody"]}
    there = known(VOLUME_1, manifest("a", A, "1"), young, old, others)
    assert [one[0] for one in _copy_restic.let_go(there, [], NOW)] == ["5"]


def test_the_newest_copy_and_the_newest_consistent_one_stay() -> None:
    copies = [Copy(C, consistent=False), Copy(B, consistent=False), Copy(A)]
    assert _copy_place.to_forget(copies, Keep(last=1, **NO_PERIODS)) == [B]
    assert _copy_place.to_forget(copies, Keep(last=0, **NO_PERIODS)) == [B]
    assert _copy_place.to_forget(copies, Keep(last=1, **{**NO_PERIODS, "daily": 2})) == []


@pytest.mark.parametrize(
    ("code", "said", "word"),
    [
        (1, "Fatal: wrong password or no key found", "password"),
        (12, "Fatal: wrong password or no key found", "password"),
        (
            1,
            "Fatal: unable to open config file: stat /r/config: no such file or directory\nIs there a repository at",
            "absent",
        ),
        (10, "Fatal: repository does not exist: unable to open config file: stat", "absent"),
        (1, "Fatal: unable to open config file: Stat: The specified key does not exist.", "absent"),
        (1, "Fatal: unable to open config file: Stat: The specified bucket does not exist", "absent"),
        (
            1,
            'Fatal: unable to open config file: Stat: Get "https://x/": dial tcp 1.2.3.4:1: connect: connection refused',
            "away",
        ),
        (
            1,
            "Fatal: unable to open config file: Stat: The Access Key Id you provided does not exist in our records.",
            "denied",
        ),
        (1, "Fatal: unable to open config file: Stat: Access Denied.", "denied"),
        (1, "Fatal: unable to create lock in backend: repository is already locked by PID 7 on vm", "locked"),
        (11, "unable to create lock in backend: something else", "locked"),
        (1, "Remove(<lock/ab>) returned error, retrying after 1s: client.RemoveObject: The object is locked", "kept"),
        (1, "Fatal: x509: certificate signed by unknown authority", "certificate"),
        (1, "Fatal: something new", ""),
    ],
)
def test_releases_with_and_without_exit_codes_of_their_own_are_understood(code: int, said: str, word: str) -> None:
    assert _restic.reason(code, said.splitlines()) == word
    error = _restic.refusal(code, said.splitlines(), "place")
    assert error.problem and error.remedy and "\n" not in str(error)
    assert isinstance(error, Unreachable) == (word == "away")


def test_the_line_that_tells_most_is_shown_without_a_signed_query() -> None:
    said = [
        "using temporary cache in /x",
        'Save(<data/1>) returned error, retrying after 5s: Put "https://h/b?X-Sig=1": EOF',
    ]
    assert _restic.telling(said) == 'Put "https://h/b": EOF'
    assert _restic.messages('words\n{"message_type":"summary"}\n[1]\n') == [{"message_type": "summary"}]


def test_locks_are_judged_by_who_holds_them() -> None:
    lock = {"hostname": "here", "pid": 7, "time": "2026-11-03T01:02:03.5Z"}
    assert _copy_restic.judge_locks([], True, "here", lambda pid: False).status == "pass"
    assert _copy_restic.judge_locks([lock], True, "here", lambda pid: False).status == "fail"
    assert _copy_restic.judge_locks([lock], False, "here", lambda pid: False).status == "warn"
    assert _copy_restic.judge_locks([lock], True, "here", lambda pid: True).status == "warn"
    assert _copy_restic.judge_locks([lock], True, "elsewhere", lambda pid: False).status == "warn"


@pytest.mark.parametrize(
    ("prefix", "enabled", "status"),
    [
        ("", True, "fail"),
        ("p/", True, "fail"),
        ("p/locks/", True, "fail"),
        ("p/data/", True, "pass"),
        ("", False, "pass"),
    ],
)
def test_a_lock_rule_over_locks_fails(prefix: str, enabled: bool, status: str) -> None:
    rule = _cloudflare.LockRule("all", prefix, enabled, 30)
    assert _copy_open.judge_rules([rule], "p/locks/").status == status


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", ""])
def test_a_manifest_from_elsewhere_leads_nowhere_else(name: str) -> None:
    with pytest.raises(OpsError, match="is not one"):
        _copy_place.manifest(json.dumps(asdict(Backup(A, "p", parts=[part(file=name)]))).encode(), A, "there")


def test_check_mode_before_there_is_any_backup_foretells(tmp_path: Path) -> None:
    """A real run makes the first one just before; no place is asked for that."""
    spot = _copy.Spot("office", t.cast("t.Any", None))
    report = _copy.present(Shelf(tmp_path, "app"), [spot], "", dry=True)
    assert [(check.id, check.status) for check in report.checks] == [("copy.office.copied", "skip")]
    with pytest.raises(OpsError, match="There is no backup"):
        _copy.present(Shelf(tmp_path, "app"), [spot], "", dry=False)


def test_a_manifest_is_that_of_its_backup() -> None:
    good = asdict(Backup(A, "p", parts=[part()]))
    assert _copy_place.manifest(json.dumps(good).encode(), A, "there").parts == [part()]
    for data in (b"", b"[]", b"{}", json.dumps({**good, "id": B}).encode(), json.dumps({**good, "more": 1}).encode()):
        with pytest.raises(OpsError):
            _copy_place.manifest(data, A, "there")


def test_a_share_of_the_parts_is_read_and_another_one_tomorrow() -> None:
    parts = [part(name=name, bytes=size) for name, size in (("a", 10), ("b", 80), ("c", 10))]
    assert _copy_plain.sample(parts, 0, 1) == []
    assert [one.name for one in _copy_plain.sample(parts, 5, 0)] == ["a"]
    assert [one.name for one in _copy_plain.sample(parts, 5, 1)] == ["b"]
    assert [one.name for one in _copy_plain.sample(parts, 100, 2)] == ["c", "a", "b"]


def test_addresses() -> None:
    assert _copy_s3.parsed("s3:https://h/bucket/a/b/") == ("https://h", "bucket", "a/b/")
    assert _copy_s3.parsed("https://h:9000/bucket") == ("https://h:9000", "bucket", "")
    for wrong in ("bucket", "https://h", "s3:bucket/x"):
        with pytest.raises(OpsError):
            _copy_s3.parsed(wrong)
    command = _copy_rsync.Ssh("u@h:/d", 2222, "/k", "/known").command()
    assert "StrictHostKeyChecking=yes" in command and "UserKnownHostsFile=/known" in command and "-p 2222" in command
    with pytest.raises(OpsError):
        _copy_rsync.Ssh("u@h:/d", 22, "/a key").command()


@pytest.mark.parametrize(
    ("code", "said", "kind", "word"),
    [
        (255, "ssh: connect to host h port 22: Connection refused", Unreachable, "does not answer"),
        (255, "Host key verification failed.", OpsError, "host key"),
        (255, "u@h: Permission denied (publickey).", OpsError, "refuses the key"),
        (23, 'rsync: change_dir "/x" failed: No such file or directory (2)', OpsError, "does not have"),
        (11, "rsync: write failed: No space left on device (28)", OpsError, "failed"),
    ],
)
def test_rsync_and_ssh_are_understood(code: int, said: str, kind: type, word: str) -> None:
    error = _copy_rsync.explained(code, said, "h:/d")
    assert error.__class__ is kind and word in error.problem and error.remedy


def test_the_list_of_a_bucket_is_made_a_page_at_a_time() -> None:
    at = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
    read: list[int] = []

    def pages() -> t.Iterator[list[t.Mapping[str, t.Any]]]:
        for number in range(3):
            read.append(number)
            yield [{"Key": f"{number}/ש", "Size": 5, "ETag": '"e"', "LastModified": at}] if number != 1 else []

    listing = _inventory.Listing(pages())
    assert listing.read(10) and read == [0]
    rest = listing.read()
    assert read == [0, 1, 2] and listing.objects == 2 and listing.total_bytes == 10
    assert json.loads(rest.splitlines()[-1]) == {
        "key": "2/ש",
        "size": 5,
        "etag": "e",
        "modified": "2026-11-01T00:00:00.000+00:00",
    }
