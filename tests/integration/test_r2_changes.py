# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""r2_versioning with a second copy to compare, and what it changes in a store on request."""

from __future__ import annotations

import contextlib
import json
import time
import typing as t
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import r2
from conftest import Cloud
from r2 import NAMES, TOKEN, Look, client, lock_rules, on, others, s3
from tiny import check, status

_look = r2._look  # the fixture "look": pytest finds those of this file

# --- a second copy


@pytest.fixture(name="copied")
def _copied(cloud: Cloud, tmp_path: Path) -> Iterator[tuple[str, dict[str, t.Any]]]:
    """Three objects in R2, copied to the other store by somebody's job; yield their prefix and the option."""
    prefix = f"tests/copy-{uuid.uuid4().hex}/"
    env = tmp_path / "copy.env"
    secrets = {"COPY_SECRET": cloud.secret("s3_secret_access_key"), "COPY_KEY": cloud.secret("s3_access_key_id")}
    known = {"COPY_URL": cloud.urls["s3"], "COPY_BUCKET": cloud.bucket, **secrets}
    env.write_text("".join(f"{name}={value}\n" for name, value in known.items()), encoding="ascii")
    for number in range(3):
        for face, before in (("r2", ""), ("s3", "nightly/")):
            key, body = f"{before}{prefix}{number}.txt", f"object {number}".encode()
            client(cloud, face).put_object(Bucket=cloud.bucket, Key=key, Body=body)
    time.sleep(1.1)  # stores tell times in whole seconds
    yield (
        prefix,
        {
            "env_file": str(env),
            "endpoint": "COPY_URL",
            "bucket": "COPY_BUCKET",
            "access_key_id": "COPY_KEY",
            "secret_access_key": "COPY_SECRET",
            "prefix": "nightly/",
            "max_age": 0,
        },
    )


@pytest.mark.soak
def test_a_second_copy_stands_in_where_nothing_keeps_objects(
    cloud: Cloud, look: Look, copied: tuple[str, dict[str, t.Any]]
) -> None:
    prefix, copy = copied
    options = {"prefixes": [prefix], "copy": copy}
    with cloud.flavour("as_found"), cloud.fault("r2-no-lock"):
        whole = look(options=options)
        client(cloud, "s3").put_object(Bucket=cloud.bucket, Key=f"nightly/{prefix}1.txt", Body=b"another")
        altered = look(options=options)
        client(cloud, "s3").delete_object(Bucket=cloud.bucket, Key=f"nightly/{prefix}1.txt")
        missing = look(options=options)
        too_fresh = look(options={**options, "copy": {**copy, "max_age": 24}})
        no_bucket = look(options={**options, "copy": {**copy, "bucket": "COPY_KEY"}})
        with cloud.fault("s3-deny"):
            denied = look(options=options)
        with cloud.fault("s3-down"):  # last, since "up" afterwards takes the other faults back, too
            down = look(options=options)
    assert not whole.get("failed"), whole["msg"]
    assert "no lock rule covers" in check(whole, "r2.versioning")["evidence"]
    assert "has the 3 newest objects that are older than 0 h" in check(whole, "r2.versioning")["evidence"]
    for result in (altered, missing):
        assert status(result)["r2.versioning"] == "fail"
        assert "lacks 1 of the 3 newest objects" in check(result, "r2.versioning")["evidence"]
    assert status(too_fresh)["r2.versioning"] == "warn"
    assert status(down)["r2.versioning"] == "unknown"
    for result in (no_bucket, denied):
        assert status(result)["r2.versioning"] == "fail"
        assert "cannot be read" in check(result, "r2.versioning")["evidence"]
    assert cloud.secret("s3_secret_access_key") not in str(whole)


def test_a_lock_rule_needs_no_second_copy(cloud: Cloud, look: Look, copied: tuple[str, dict[str, t.Any]]) -> None:
    prefix, copy = copied
    with cloud.flavour("as_found"), cloud.fault("s3-down"):
        result = look(options={"prefixes": [prefix], "copy": copy})
    assert status(result)["r2.versioning"] == "pass"


# --- what it changes on request

THEIRS = {
    "id": "theirs",
    "enabled": True,
    "prefix": "calls/",
    "condition": {"type": "Date", "date": "2030-01-01T00:00:00Z"},
}


@contextlib.contextmanager
def unlocked(cloud: Cloud, *rules: dict[str, t.Any]) -> Iterator[None]:
    """R2 as it is, with these lock rules alone; afterwards it has its own again."""
    with cloud.flavour("as_found"):
        try:
            with cloud.fault("r2-no-lock"):
                lock_rules(cloud, list(rules))
                yield
        finally:
            lock_rules(cloud)  # a fault that is over is noticed at the next request


def rules_in(result: dict[str, t.Any], side: str) -> t.Any:
    return json.loads(result["diff"][0][side])


def test_a_lock_rule_is_told_then_set_then_left_alone(cloud: Cloud, look: Look) -> None:
    options = {"ensure": "lock", "prefixes": ["attachments/", "calls/"], "lock_days": 14}
    with unlocked(cloud, THEIRS):
        told = look(check_mode=True, options=options)
        assert lock_rules(cloud) == [THEIRS]
        done = look(options=options)
        after = lock_rules(cloud)
        again = look(options=options)
        only_read = look(options={**options, "ensure": "none"})
        assert lock_rules(cloud) == after
    assert after[0] == THEIRS and len(after) == 2
    condition = {"type": "Age", "maxAgeSeconds": 14 * 86400}
    assert after[1] == {
        "id": "prosaas-ops-keep attachments/",
        "enabled": True,
        "prefix": "attachments/",
        "condition": condition,
    }
    assert (told["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert not told.get("failed"), told["msg"]
    assert "would be set (check mode)" in check(told, "r2.versioning")["evidence"]
    assert rules_in(told, "before") == [THEIRS] and rules_in(told, "after") == after
    assert not done.get("failed"), done["msg"]
    assert "diff" not in again
    assert status(only_read)["r2.versioning"] == "pass"


def test_no_lock_rule_is_set_over_what_must_stay_deletable(cloud: Cloud, look: Look) -> None:
    options = {"never_lock": ["locks/"]}
    with cloud.flavour("as_found"):
        seen = look(options=options)
    with unlocked(cloud):
        result = look(options={**options, "ensure": "lock"})
        assert lock_rules(cloud) == []
    assert status(seen)["r2.versioning"] == "warn"
    assert "retain-attachments also locks locks/" in check(seen, "r2.versioning")["evidence"]
    assert (result["changed"], status(result)["r2.versioning"]) == (False, "fail")
    assert others(result, "r2.versioning") == {"pass"}, "the other checks have their say"


@pytest.mark.parametrize(
    ("fault", "credentials", "said"),
    [
        ("r2-token-read-only", TOKEN, "Workers R2 Storage: Edit"),
        ("", NAMES, "Workers R2 Storage: Edit"),
        ("r2-token-denied", TOKEN, "Workers R2 Storage: Read"),
    ],
)
def test_a_lock_rule_that_may_not_be_set_names_the_permission(
    cloud: Cloud, look: Look, fault: str, credentials: dict[str, str], said: str
) -> None:
    with unlocked(cloud):
        with cloud.fault(fault) if fault else contextlib.nullcontext():
            result = look(credentials, options={"ensure": "lock"})
        assert lock_rules(cloud) == []
    assert (result["failed"], result["changed"]) == (True, False)
    assert said in check(result, "r2.versioning")["remedy"]


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_versioning_is_told_then_enabled_then_left_alone(cloud: Cloud, look: Look, face: str) -> None:
    options, eyes = {"ensure": "versioning"}, client(cloud, face)
    with cloud.flavour("checklist"):
        with cloud.fault(f"{face}-versioning-off"):
            told = look(check_mode=True, options=options, **on(face, cloud))
            assert "Status" not in eyes.get_bucket_versioning(Bucket=cloud.bucket)
            done = look(options=options, **on(face, cloud))
            assert eyes.get_bucket_versioning(Bucket=cloud.bucket)["Status"] == "Enabled"
            again = look(options=options, **on(face, cloud))
        eyes.head_bucket(Bucket=cloud.bucket)  # a fault that is over is noticed at the next request
    assert (told["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert (told["diff"][0]["before"], told["diff"][0]["after"]) == ("disabled\n", "enabled\n")
    assert (done["versioning"], status(done)["r2.versioning"]) == ("enabled", "pass")


@pytest.mark.soak
def test_versioning_that_cannot_be_enabled_says_why(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("as_found"):
        without = look(options={"ensure": "versioning"})
    with cloud.fault("s3-deny"):
        denied = look(options={"ensure": "versioning"}, **s3(cloud))
    with cloud.fault("s3-down"):
        down = look(options={"ensure": "versioning"}, **s3(cloud))
    assert "ensure=lock" in check(without, "r2.versioning")["remedy"]
    assert "s3:PutBucketVersioning" in check(denied, "r2.versioning")["remedy"]
    assert status(down)["r2.versioning"] == "unknown"
    assert [result["changed"] for result in (without, denied, down)] == [False, False, False]
