# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""r2_versioning against the demo's cloud: both kinds of R2, a store with versions, and their bad days."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from conftest import Cloud
from tiny import ansible, check, status

NAMES = {
    "account": "ACCOUNT",
    "bucket": "BUCKET",
    "access_key_id": "KEY",
    "secret_access_key": "SECRET",
    "endpoint": "ENDPOINT",
}
TOKEN = {**NAMES, "cloudflare_token": "TOKEN"}


@pytest.fixture(name="look")
def _look(cloud: Cloud, tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    """Run the module with the demo's own key, or with the variables given."""
    mine = {
        "ACCOUNT": cloud.account,
        "BUCKET": cloud.bucket,
        "TOKEN": cloud.secret("cloudflare_api_token"),
        "KEY": cloud.secret("r2_access_key_id"),
        "SECRET": cloud.secret("r2_secret_access_key"),
    }

    def look(credentials: dict[str, str] | None = None, check_mode: bool = False, **variables: str) -> dict[str, t.Any]:
        env = tmp_path / "env"
        env.write_text("".join(f"{name}={value}\n" for name, value in {**mine, **variables}.items()), encoding="ascii")
        on_cloudflare = {} if "s3." not in variables.get("ENDPOINT", "") else {"cloudflare_api": ""}
        given = {
            "cloudflare_api": cloud.api,
            "endpoint_template": "https://{account}.r2.cloudflarestorage.test",
            **on_cloudflare,
        }
        result = ansible(
            "r2_versioning",
            check=check_mode,
            env_file=str(env),
            credentials=credentials or TOKEN,
            ca_path=str(cloud.ca),
            state_dir=str(tmp_path / "state"),
            items={"r2.versioning": [84]},
            **given,
        )
        assert result.get("changed", False) is False
        assert not [name for name in ("SECRET", "TOKEN") if {**mine, **variables}[name] in str(result)]
        return result

    return look


Look = t.Callable[..., dict[str, t.Any]]


def s3(cloud: Cloud) -> dict[str, str]:
    return {
        "ENDPOINT": cloud.urls["s3"],
        "KEY": cloud.secret("s3_access_key_id"),
        "SECRET": cloud.secret("s3_secret_access_key"),
    }


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
    assert (status(result)["r2.versioning"], status(result)["r2.private"]) == ("unknown", "warn")
    assert "waiver of r2.versioning" in result["msg"]
    assert not in_check_mode.get("failed")
    assert status(in_check_mode) == status(result)


@pytest.mark.parametrize(
    ("fault", "check_id", "said"),
    [
        ("r2-no-lock", "r2.versioning", "no lock rule covers the whole bucket"),
        ("r2-public", "r2.private", "the bucket is published as pub-"),
    ],
)
def test_what_cloudflare_tells_is_red(cloud: Cloud, look: Look, fault: str, check_id: str, said: str) -> None:
    with cloud.flavour("as_found"), cloud.fault(fault):
        result = look()
    assert {name for name, seen in status(result).items() if seen == "fail"} == {check_id}
    assert said in result["msg"]


def test_a_refused_token_is_unknown(cloud: Cloud, look: Look) -> None:
    with cloud.flavour("as_found"), cloud.fault("r2-token-denied"):
        result = look()
    assert (status(result)["r2.versioning"], status(result)["r2.private"]) == ("unknown", "warn")
    assert "refused the token" in result["msg"]


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
    weak = {"KEY": cloud.secret("r2_objects_access_key_id"), "SECRET": cloud.secret("r2_objects_secret_access_key")}
    with cloud.flavour("checklist"):
        result = look(NAMES, **weak)
    assert (result["versioning"], status(result)["r2.versioning"]) == ("denied", "unknown")
    assert status(result)["r2.reachable"] == "pass"


def test_a_denied_store_is_never_read_as_off(cloud: Cloud, look: Look) -> None:
    with cloud.fault("s3-deny"):
        result = look(**s3(cloud))
    assert (result["versioning"], status(result)["r2.versioning"]) == ("denied", "unknown")
    assert status(result)["r2.bucket"] == "fail"


def test_a_wrong_key_and_a_wrong_bucket_are_told_apart(cloud: Cloud, look: Look) -> None:
    wrong_key, wrong_bucket = look(KEY="0" * 32), look(BUCKET="no-such-bucket")
    assert status(wrong_key)["r2.reachable"] == "fail"
    assert status(wrong_key)["r2.bucket"] == "unknown"
    assert status(wrong_bucket)["r2.reachable"] == "pass"
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
