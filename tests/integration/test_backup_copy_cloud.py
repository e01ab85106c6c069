# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup_copy to the buckets of the demo's cloud, on good days and when the store is away, slow, or breaks half way."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _object_store
from ansible_collections.prosaas.ops.plugins.module_utils._object_store import Store
from conftest import Cloud
from r2 import lock_rules
from shelves import ENV, Rig
from test_backup_copy import FIRST, SECOND, THIRD, VOLUME, plain
from tiny import check, status

BUCKET = f"copytest-{os.getpid()}"


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def at(rig: Rig, cloud: Cloud, face: str, bucket: str, **more: t.Any) -> None:
    """Let the rig's place be a bucket of the cloud."""
    keys = rig.directory / f"{face}.env"
    named = {"AWS_ACCESS_KEY_ID": f"{face}_access_key_id", "AWS_SECRET_ACCESS_KEY": f"{face}_secret_access_key"}
    keys.write_text("".join(f"{name}={cloud.secret(file)}\n" for name, file in named.items()), encoding="ascii")
    url = f"{cloud.urls[face]}/{bucket}/{rig.directory.name}"
    kind = more.get("kind", "restic")
    address = f"s3:{url}" if kind == "restic" else url
    rig.place.update(address=address, credentials_file=str(keys), ca_path=str(cloud.ca), **more)


@pytest.fixture(name="bucket", scope="module")
def _bucket(cloud: Cloud) -> Iterator[str]:
    keys = (cloud.secret("s3_access_key_id"), cloud.secret("s3_secret_access_key"))
    # A bucket is made in a region; "auto" is none.
    store = _object_store.connect(Store(cloud.urls["s3"], "us-east-1", BUCKET, *keys), str(cloud.ca))
    store.create_bucket(Bucket=BUCKET)
    yield BUCKET
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for row in page.get("Contents", []):
            store.delete_object(Bucket=BUCKET, Key=row["Key"])
    store.delete_bucket(Bucket=BUCKET)


@pytest.fixture(name="there")
def _there(rig: Rig, cloud: Cloud, bucket: str) -> Rig:
    """A rig whose repository in the cloud has a first copy, and a second backup to copy."""
    at(rig, cloud, "s3", bucket)
    rig.back_up(FIRST, VOLUME)
    made = rig.copy()
    assert made["verdict"] == "pass", made["msg"]
    rig.back_up(SECOND, os.urandom(40_000_000), codec="none")
    return rig


@pytest.mark.soak
def test_a_store_that_is_away_is_no_pass_and_harms_nothing(there: Rig, cloud: Cloud) -> None:
    with cloud.fault("s3-down"):
        for state in ("present", "checked"):
            away = there.copy(state, patience=6)
            found = check(away, "copy.here.reached")
            assert away["failed"] and found["status"] == "unknown" and found["seconds"] < 30, found
    assert there.listed() == [FIRST] and there.fetch(FIRST)["file .env"] == ENV
    assert there.copy()["verdict"] == "pass" and there.listed() == [SECOND, FIRST]


@pytest.mark.soak
def test_a_slow_store_is_waited_for_within_patience(there: Rig, cloud: Cloud) -> None:
    with cloud.fault("s3-slow", "30"):
        slow = there.copy(patience=4)
        assert check(slow, "copy.here.reached")["status"] == "unknown"
        assert "within 4 s" in check(slow, "copy.here.reached")["evidence"]
    with cloud.fault("s3-slow", "1"):
        assert there.listed() == [FIRST]


@pytest.mark.soak
def test_a_store_that_breaks_half_way_leaves_no_copy(there: Rig, cloud: Cloud) -> None:
    with cloud.fault("s3-breaks", "2"):
        broken = there.copy(patience=8)
    assert broken["failed"] and status(broken)["copy.here.copied"] in ("unknown", "fail")
    assert status(broken)["copy.here.pruned"] == "skip"
    assert there.listed() == [FIRST]
    assert there.fetch(FIRST) == {"volume n8n_data": VOLUME, "file .env": ENV}
    mended = there.copy()
    assert mended["verdict"] == "pass" and status(mended)["copy.here.lock"] == "pass", mended["msg"]
    assert there.listed() == [SECOND, FIRST] and len(there.fetch(SECOND)["volume n8n_data"]) == 40_000_000


@pytest.mark.soak
def test_keys_that_the_store_does_not_know_are_told_from_a_repository_that_is_not_there(there: Rig) -> None:
    keys = there.directory / "s3.env"
    right = keys.read_text(encoding="ascii")
    keys.write_text("AWS_ACCESS_KEY_ID=DEMONOBODY000000\nAWS_SECRET_ACCESS_KEY=wrong-wrong-wrong\n", encoding="ascii")
    refused = there.copy()
    assert "refuses the access key" in check(refused, "copy.here.reached")["evidence"]
    keys.write_text(right, encoding="ascii")
    absent = there.copy("checked", here={"address": f"{there.place['address']}-other"})
    assert "There is no restic repository" in check(absent, "copy.here.reached")["evidence"]


@pytest.mark.soak
def test_plain_objects_in_a_bucket(rig: Rig, cloud: Cloud, bucket: str) -> None:
    at(rig, cloud, "s3", bucket, kind="s3")
    plain(rig, None)


@pytest.mark.soak
def test_plain_objects_when_the_store_breaks_half_way(rig: Rig, cloud: Cloud, bucket: str) -> None:
    at(rig, cloud, "s3", bucket, kind="s3", unencrypted="accepted")
    rig.back_up(FIRST, VOLUME)
    assert rig.copy()["verdict"] == "pass"
    rig.back_up(SECOND, os.urandom(40_000_000), codec="none")
    with cloud.fault("s3-breaks", "2"):
        broken = rig.copy()
    assert status(broken)["copy.here.copied"] == "unknown" and rig.listed() == [FIRST], broken["msg"]
    with cloud.fault("s3-down"):
        assert status(rig.copy())["copy.here.reached"] == "unknown"
    assert rig.fetch(FIRST)["volume n8n_data"] == VOLUME
    assert rig.copy()["verdict"] == "pass" and rig.listed() == [SECOND, FIRST]


@pytest.mark.soak
def test_a_lock_rule_over_restics_locks_is_found(rig: Rig, cloud: Cloud, tmp_path: Path) -> None:
    """R2 answers deletes of locked objects with an error, so restic cannot take its locks away."""
    at(rig, cloud, "r2", cloud.bucket)
    rig.back_up(FIRST, b"first")
    before = lock_rules(cloud)
    token = tmp_path / "token"
    token.write_text(cloud.secret("cloudflare_api_token"), encoding="ascii")
    asked = {"cloudflare_token_file": str(token), "cloudflare_api": cloud.api, "cloudflare_account": cloud.account}
    everything = {"id": "all", "enabled": True, "prefix": "", "condition": {"type": "Age", "maxAgeSeconds": 86400}}
    try:
        lock_rules(cloud, [])
        good = rig.copy(here=asked)
        assert good["verdict"] == "pass" and "no lock rule" in check(good, "copy.here.lock")["evidence"], good["msg"]
        rig.back_up(SECOND, b"second")
        lock_rules(cloud, [everything])
        told = rig.copy(here=asked)
        assert "lock rule all keeps" in check(told, "copy.here.lock")["evidence"]
        assert status(told)["copy.here.copied"] == "skip"  # nothing is sent where no lock could go away
        lock_rules(cloud, [{**everything, "prefix": f"{rig.directory.name}/{part}/"} for part in ("data", "snapshots")])
        assert rig.copy(here=asked)["verdict"] == "pass" and rig.listed() == [SECOND, FIRST]
        rig.back_up(THIRD, b"third")
        lock_rules(cloud, [everything])
        shown = rig.copy(patience=8)  # without a token
        assert status(shown)["copy.here.copied"] == status(shown)["copy.here.lock"] == "fail", shown["msg"]
        assert "does not let restic delete objects" in check(shown, "copy.here.lock")["evidence"]
        assert (
            status(rig.copy(patience=8))["copy.here.copied"] == "skip"
        )  # the lock that is left stops the next one early
    finally:
        lock_rules(cloud, before)
