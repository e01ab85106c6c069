# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""r2_versioning against the demo's cloud: both kinds of R2, a store with versions, and their bad days."""

from __future__ import annotations

import contextlib
import json
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import r2
from conftest import Cloud
from r2 import NAMES, SITE, Look, client, on, others, s3, weak_key
from tiny import ansible, check, status

_look = r2._look  # the fixture "look": pytest finds those of this file
TOO_WEAK = {"r2.private": "unknown", "r2.versioning": "unknown"}  # what nobody can tell without an API token
PROBES = "prosaas-ops-probe/"


def test_r2_as_it_is_passes_by_its_lock_rule(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("as_found"):
        result = look()
    assert not result.get("failed"), result["msg"]
    assert set(status(result).values()) == {"pass"}
    assert result["versioning"] == "unsupported"
    assert "the store has no versioning; bucket lock rule" in check(result, "r2.versioning")["evidence"]
    assert check(result, "r2.versioning")["item"] == [84]


def test_r2_as_the_checklist_sees_it_passes_by_versioning(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("checklist"):
        result = look()
    assert not result.get("failed"), result["msg"]
    assert (result["versioning"], status(result)["r2.versioning"]) == ("enabled", "pass")


def test_without_a_token_nothing_is_made_up(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("as_found"):
        result = look(NAMES)
        in_check_mode = look(NAMES, check_mode=True)
    assert result["failed"] is True
    assert {name: status(result)[name] for name in TOO_WEAK} == TOO_WEAK
    assert "waiver of r2.versioning" in result["msg"]
    assert not in_check_mode.get("failed")
    assert status(in_check_mode) == {**status(result), "r2.objects": "skip"}


def test_what_no_machine_can_know_a_person_may_answer(cloud: Cloud, look: Look) -> None:
    said = {"by": "dana", "reason": "Looked at the bucket's settings in the dashboard.", "until": "2999-01-01"}
    answers = [{"check": name, **said} for name in TOO_WEAK]
    with cloud.flavour("as_found"):
        result = look(NAMES, options={"attestations": answers})
        refused = look(options={"attestations": answers}, TOKEN="wrong")
    assert not result.get("failed"), result["msg"]
    assert {name: status(result)[name] for name in TOO_WEAK} == TOO_WEAK, "an answer is no pass"
    assert refused["failed"] is True, "with a token it is no matter of opinion"


@pytest.mark.parametrize(
    ("fault", "check_id", "said"),
    [
        ("r2-no-lock", "r2.versioning", "no lock rule covers the whole bucket"),
        ("r2-public", "r2.private", "the bucket is published as pub-"),
        ("r2-no-cors", "r2.cors", "GET from https://prosaas.test is refused"),
        ("r2-cors-open", "r2.cors", "a page of any origin may GET and PUT"),
        ("r2-read-only", "r2.objects", "may not put an object: 403 AccessDenied"),
    ],
)
def test_each_is_red_by_a_fault_of_its_own(cloud: Cloud, look: Look, fault: str, check_id: str, said: str) -> None:
    with cloud.flavour("as_found"), cloud.fault(fault):
        result = look()
    assert {name for name, seen in status(result).items() if seen == "fail"} == {check_id}
    assert said in result["msg"]


def test_a_refused_token_is_unknown(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("as_found"), cloud.fault("r2-token-denied"):
        result = look()
    assert {name: status(result)[name] for name in TOO_WEAK} == TOO_WEAK
    assert "refused the token" in result["msg"]
    assert others(result, *TOO_WEAK) == {"pass"}


@pytest.mark.parametrize(("fault", "said"), [("versioning-off", "disabled"), ("versioning-suspended", "suspended")])
@pytest.mark.parametrize("store", ["r2", "s3"])
def test_versioning_that_is_not_on_is_red(cloud: Cloud, look: Look, store: str, fault: str, said: str) -> None:
    with cloud.flavour("checklist"), cloud.fault(f"{store}-{fault}"):
        result = look(**(s3(cloud) if store == "s3" else {}))
    assert (result["versioning"], status(result)["r2.versioning"]) == (said, "fail")
    assert "put-bucket-versioning" in result["msg"]


def test_a_store_with_versions_passes(cloud: Cloud, look: Look) -> None:
    result = look(**s3(cloud))
    assert not result.get("failed"), result["msg"]
    assert set(status(result).values()) == {"pass"}


def test_a_key_for_objects_alone_is_denied_and_not_disabled(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("checklist"):
        result = look(NAMES, **weak_key(cloud))
    assert (result["versioning"], status(result)["r2.versioning"]) == ("denied", "unknown")
    assert others(result, *TOO_WEAK) == {"pass"}


def test_a_denied_store_is_never_read_as_off(cloud: Cloud, look: Look) -> None:
    with cloud.fault("s3-deny"):
        result = look(**s3(cloud))
    assert (result["versioning"], status(result)["r2.versioning"]) == ("denied", "unknown")
    assert status(result)["r2.bucket"] == "fail"


def test_a_wrong_key_and_a_wrong_bucket_are_told_apart(cloud: Cloud, look: Look) -> None:
    wrong_key, wrong_bucket = look(KEY="0" * 32), look(BUCKET="no-such-bucket")
    assert status(wrong_key)["r2.reachable"] == "fail"
    assert status(wrong_key)["r2.bucket"] == status(wrong_key)["r2.objects"] == "unknown"
    assert status(wrong_key)["r2.cors"] == "pass", "a preflight needs no key"
    assert status(wrong_bucket)["r2.reachable"] == "pass"
    assert status(wrong_bucket)["r2.cors"] == status(wrong_bucket)["r2.objects"] == "unknown"
    assert "there is no bucket no-such-bucket" in wrong_bucket["msg"]


def test_a_store_that_is_down_is_unknown(cloud: Cloud, look: Look) -> None:
    with cloud.fault("s3-down"):
        result = look(**s3(cloud))
    assert result["failed"] is True
    assert set(status(result).values()) == {"unknown"}
    assert result["versioning"] == "unreachable"


def test_a_missing_env_file_is_one_clear_sentence(look: Look, cloud: Cloud, tmp_path: Path) -> None:
    result = ansible(
        "r2_versioning", env_file=str(tmp_path / "none"), credentials=NAMES, state_dir=str(tmp_path / "state")
    )
    assert result["failed"] is True
    assert str(tmp_path / "none") in result["msg"]
    assert "Traceback" not in str(result)


def test_it_is_quick(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("as_found"):
        assert look()["seconds"] < 1.5


# --- CORS


@contextlib.contextmanager
def cors(cloud: Cloud, face: str, *rules: dict[str, list[str]]) -> Iterator[None]:
    """The bucket has these rules for a while."""
    eyes = client(cloud, face)
    before = eyes.get_bucket_cors(Bucket=cloud.bucket)["CORSRules"]
    try:
        eyes.put_bucket_cors(Bucket=cloud.bucket, CORSConfiguration={"CORSRules": rules})
        yield
    finally:
        eyes.put_bucket_cors(Bucket=cloud.bucket, CORSConfiguration={"CORSRules": before})


def may(origin: str, *methods: str) -> dict[str, list[str]]:
    return {"AllowedOrigins": [origin], "AllowedMethods": list(methods)}


@pytest.mark.parametrize("face", ["s3", "r2"])
@pytest.mark.parametrize(
    ("rules", "expected", "said"),
    [
        ([may(SITE, "GET"), may("*", "GET")], "warn", "a page of any origin may GET"),
        ([may(SITE, "GET"), may("https://*", "DELETE")], "fail", "a page of any origin may DELETE"),
        ([may("https://other.test", "GET")], "fail", "GET from https://prosaas.test is refused"),
        ([may("https://*.test", "GET", "HEAD")], "pass", "rules also let https://*.test in"),
    ],
)
def test_cors_is_what_a_browser_gets(
    cloud: Cloud, look: Look, face: str, rules: list[t.Any], expected: str, said: str
) -> None:
    with cors(cloud, face, *rules):
        result = look(**on(face, cloud))
    assert status(result)["r2.cors"] == expected
    assert said in check(result, "r2.cors")["evidence"]
    assert others(result, "r2.cors") == {"pass"}


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_where_no_page_needs_cors_none_gets_in(cloud: Cloud, look: Look, face: str) -> None:
    with cors(cloud, face, may("*", "GET", "PUT")):
        result = look(options={"cors_origins": []}, **on(face, cloud))
    assert status(result)["r2.cors"] == "fail"
    assert status(look(options={"cors_origins": []}, **on(face, cloud)))["r2.cors"] == "pass"


def test_cors_needs_no_permission_at_all(cloud: Cloud, look: Look) -> None:
    """The usual key may not read the rules, and there is no token."""
    with cors(cloud, "r2", may("*", "PUT"), may(SITE, "GET")):
        opened = look(NAMES, **weak_key(cloud))
    with cloud.fault("r2-no-cors"):
        shut = look(NAMES, **weak_key(cloud))
    assert "a page of any origin may PUT" in check(opened, "r2.cors")["evidence"]
    assert status(shut)["r2.cors"] == "fail"
    remedy = check(shut, "r2.cors")["remedy"]
    assert json.loads(remedy.partition("policy: ")[2]) == [may(SITE, "GET")], "it can be pasted into the dashboard"


# --- the probe


def probes(cloud: Cloud, face: str) -> list[str]:
    """Return everything that probes left: objects, uploads, versions."""
    eyes, place = client(cloud, face), {"Bucket": cloud.bucket, "Prefix": PROBES}
    found = eyes.list_objects_v2(**place).get("Contents", []) + eyes.list_multipart_uploads(**place).get("Uploads", [])
    with contextlib.suppress(eyes.exceptions.ClientError):
        listed = eyes.list_object_versions(**place)
        found += listed.get("Versions", []) + listed.get("DeleteMarkers", [])
    return [one["Key"] for one in found]


@pytest.mark.parametrize(
    ("face", "flavour", "fault", "said"),
    [
        ("s3", "as_found", "", "was put, read back the same and deleted"),
        ("s3", "as_found", "s3-versioning-off", "was put, read back the same and deleted"),
        ("r2", "checklist", "", "was put, read back the same and deleted"),
        ("r2", "as_found", "r2-no-lock", "was put, read back the same and deleted"),
        ("r2", "as_found", "", "no object put (the lock rule retain-attachments would keep it)"),
    ],
)
def test_the_probe_leaves_nothing(cloud: Cloud, look: Look, face: str, flavour: str, fault: str, said: str) -> None:
    with cloud.flavour(flavour), cloud.fault(fault) if fault else contextlib.nullcontext():
        result = look(**on(face, cloud))
        assert said in check(result, "r2.objects")["evidence"]
        assert probes(cloud, face) == []
    assert status(result)["r2.objects"] == "pass"


def test_where_lock_rules_cannot_be_seen_no_object_is_put(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("as_found"):
        result = look(NAMES, **weak_key(cloud))
        assert probes(cloud, "r2") == []
    assert status(result)["r2.objects"] == "pass"
    assert "a lock rule, which cannot be seen, might keep it" in check(result, "r2.objects")["evidence"]


def test_old_versions_that_the_key_may_not_delete_are_told(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("checklist"):
        result = look(**weak_key(cloud))
        assert status(result)["r2.objects"] == "pass"
        if result["versioning"] == "enabled":
            assert "old versions of probes stay" in check(result, "r2.objects")["evidence"]
        look()
        assert probes(cloud, "r2") == [], "a key that may has cleaned up"


@pytest.mark.parametrize("flavour", ["as_found", "checklist"])
def test_a_key_that_may_not_write_is_seen_either_way(cloud: Cloud, look: Look, flavour: str) -> None:
    with cloud.flavour(flavour), cloud.fault("r2-read-only"):
        result = look()
    assert status(result)["r2.objects"] == "fail"
    assert others(result, "r2.objects") == {"pass"}
    assert "Object Read & Write" in check(result, "r2.objects")["remedy"]


def test_check_mode_writes_no_probe(cloud: Cloud, look: Look) -> None:
    with cloud.fault("r2-read-only"):
        assert status(look(check_mode=True))["r2.objects"] == "skip"


def test_a_probe_needs_a_place_of_its_own(look: Look) -> None:
    result = look(options={"probe_prefix": "/"})
    assert result["failed"] is True
    assert "probe_prefix is empty" in result["msg"]
