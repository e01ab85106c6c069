# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release store: what can be gone back to, what is let go, and what a wrong question answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _retention
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._release import Config, Release, Store

A, B, C = "a" * 40, "b" * 40, "ab" + "c" * 38


def release(number: int, commit: str, verified: bool = True, adopted: bool = False) -> Release:
    stamp = f"2026110{number}T000000Z"
    return Release(
        id=f"{stamp}-{commit[:12]}",
        commit=commit,
        subject=f"change {number}",
        made=stamp,
        images={"api": {"name": "app-api:latest", "id": f"sha256:{number}"}},
        switched=stamp,
        verified=stamp if verified else "",
        adopted=adopted,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def fill(store: Store, *releases: Release) -> None:
    for each in releases:
        store.put(each)
    store.set_current(releases[-1])


def test_what_was_put_comes_back_with_private_modes(store: Store) -> None:
    one = release(1, A)
    store.put(one)
    store.keep_files(one, {"env": b"A=1\n", "compose/docker-compose.yml": b"services: {}\n"})
    assert store.get(one.id) == one
    for path in store.path(one.id).rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_commit_means_its_newest_verified_release(store: Store) -> None:
    fill(store, release(1, A), release(2, A), release(3, A, verified=False), release(4, B))
    assert store.find(commit=A[:7]).id == release(2, A).id


def test_release_means_any_release(store: Store) -> None:
    fill(store, release(1, A, verified=False), release(2, B))
    assert store.find(release=release(1, A).id).commit == A


def test_nothing_asked_means_the_newest_good_one_of_another_commit(store: Store) -> None:
    fill(store, release(1, A), release(2, B, verified=False), release(3, C), release(4, C))
    assert store.find().commit == A


def test_nothing_asked_after_a_rollback_means_a_still_earlier_one_and_never_the_one_that_was_left(store: Store) -> None:
    fill(store, release(1, A), release(2, B), release(3, C), release(5, B))
    left = {C: "20261104T000000Z"}
    assert store.find(left=left).commit == A
    assert store.find().commit == C, "what was deployed over can be gone back to"
    fill(store, release(7, A))
    left[B] = "20261106T000000Z"
    with pytest.raises(OpsError, match="no earlier release") as error:
        store.find(left=left)
    assert "It can go back to: aaaaaaaaaaaa" in error.value.remedy and C[:12] in error.value.remedy
    fill(store, release(8, C), release(9, B))
    assert store.find(left=left).id == release(8, C).id, "deployed again since"


def test_what_is_superseded_is_noted_until_there_is_none(store: Store) -> None:
    assert store.superseded() == []
    rows = [{"id": "1f", "service": "calls", "why": "2 streams"}]
    store.set_superseded(rows)
    assert store.superseded() == rows
    store.set_superseded([])
    assert store.superseded() == [] and not (store.state_dir / "superseded.json").exists()


def test_a_release_of_before_has_no_schema_on_record(store: Store) -> None:
    one = release(1, A)
    store.put(one)
    path = store.path(one.id) / "release.json"
    content = json.loads(path.read_text())
    del content["schema"]
    path.write_text(json.dumps(content))
    assert store.get(one.id).schema is None


def test_adopted_release_can_be_gone_back_to(store: Store) -> None:
    fill(store, release(1, A, verified=False, adopted=True), release(2, B))
    assert store.find().commit == A


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"commit": "dead"}, "No verified release of commit dead"),
        ({"commit": "a"}, "ambiguous"),
        ({"release": "20260101T000000Z-0"}, "There is no release"),
        ({"release": "../../etc"}, "is no release id"),
    ],
)
def test_wrong_question_is_answered_with_the_choices_or_the_way_out(store: Store, asked: dict[str, str], said: str) -> None:
    fill(store, release(1, A), release(2, C), release(3, B))
    with pytest.raises(OpsError, match=said) as error:
        store.find(**asked)
    assert "It can go back to: bbbbbbbbbbbb" in error.value.remedy or "Give more digits" in error.value.remedy


def test_damaged_release_file_is_named(store: Store) -> None:
    one = release(1, A)
    store.put(one)
    (store.path(one.id) / "release.json").write_text("{")
    with pytest.raises(OpsError, match="release.json is damaged"):
        store.all()


class _Application:
    def __init__(self, store: Store) -> None:
        self.store = store


@pytest.mark.parametrize("retention", [0, 1, 2, 3, 99])
def test_retention_never_lets_go_of_the_serving_one_or_the_last_to_go_back_to(store: Store, retention: int) -> None:
    releases = [release(n, commit) for n, commit in enumerate((A, B, C, A, B), start=1)]
    fill(store, *releases)
    gone = _retention.superfluous(_Application(store), releases[-1], retention)  # type: ignore[arg-type]
    kept = [r.id for r in store.all() if r.id not in {g.id for g in gone}]
    assert releases[-1].id in kept and releases[-2].id in kept
    assert len(kept) == max(2, min(5, retention))


def test_retention_keeps_another_commit_behind_many_releases_of_the_configuration_alone(store: Store) -> None:
    releases = [release(1, A), release(2, B), *(release(n, C) for n in (3, 4, 5, 6))]
    fill(store, *releases)
    gone = _retention.superfluous(_Application(store), releases[-1], 2)  # type: ignore[arg-type]
    assert sorted(r.id for r in gone) == [releases[n].id for n in (0, 2, 3)]


def test_retention_keeps_good_ones_behind_many_bad_ones(store: Store) -> None:
    releases = [release(1, A), *(release(n, B, verified=False) for n in (2, 3, 4)), release(5, C)]
    fill(store, *releases)
    assert _retention.superfluous(_Application(store), releases[-1], 2) == []  # type: ignore[arg-type]


def test_configurations_are_compared_by_name_and_never_shown() -> None:
    before = Config.of(b"k", "model", {"SECRET_KEY": "hunter2hunter2", "GONE": "1", "SAME": "2"}, {"a.crt": b"1"})
    after = Config.of(b"k", "model 2", {"SECRET_KEY": "changed", "NEW": "1", "SAME": "2"}, {"a.crt": b"2"})
    stored = {"model": before.model, "env": before.env, "files": before.files}
    assert after.differences(stored) == [
        "variable GONE",
        "variable NEW",
        "variable SECRET_KEY",
        "file a.crt",
        "the resolved Compose model",
    ]
    assert "hunter2" not in repr(before)
    assert before.differences(stored) == []
