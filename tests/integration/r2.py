# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of r2_versioning share: the module with the demo's own keys, and our own eyes in the stores."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import boto3
import pytest
import requests
from botocore.config import Config
from conftest import Cloud
from tiny import ansible, status

NAMES = {
    "account": "ACCOUNT",
    "bucket": "BUCKET",
    "access_key_id": "KEY",
    "secret_access_key": "SECRET",
    "endpoint": "ENDPOINT",
}
TOKEN = {**NAMES, "cloudflare_token": "TOKEN"}
SITE = "https://prosaas.test"

Look = t.Callable[..., dict[str, t.Any]]


@pytest.fixture(name="look")
def _look(cloud: Cloud, tmp_path: Path) -> Look:
    """Run the module with the demo's own key, or with the variables given; options go to the module as they are."""
    mine = {
        "ACCOUNT": cloud.account,
        "BUCKET": cloud.bucket,
        "TOKEN": cloud.secret("cloudflare_api_token"),
        "KEY": cloud.secret("r2_access_key_id"),
        "SECRET": cloud.secret("r2_secret_access_key"),
    }

    def look(
        credentials: dict[str, str] | None = None,
        check_mode: bool = False,
        options: dict[str, t.Any] | None = None,
        **variables: str,
    ) -> dict[str, t.Any]:
        env = tmp_path / "env"
        known = {**mine, **variables}
        env.write_text("".join(f"{name}={value}\n" for name, value in known.items()), encoding="ascii")
        on_cloudflare = {} if "s3." not in variables.get("ENDPOINT", "") else {"cloudflare_api": ""}
        result = ansible(
            "r2_versioning",
            check=check_mode,
            **{
                "env_file": str(env),
                "credentials": credentials or TOKEN,
                "cloudflare_api": cloud.api,
                "endpoint_template": "https://{account}.r2.cloudflarestorage.test",
                "cors_origins": [SITE],
                "probe": True,
                "ca_path": str(cloud.ca),
                "state_dir": str(tmp_path / "state"),
                "items": {"r2.versioning": [84]},
                **on_cloudflare,
                **(options or {}),
            },
        )
        assert "ensure" in (options or {}) or result.get("changed", False) is False
        assert not [name for name in known if re.search("SECRET|TOKEN", name) and known[name] in str(result)]
        return result

    return look


def client(cloud: Cloud, face: str) -> t.Any:
    """Our own eyes in a store: the key that may do everything."""
    return boto3.client(
        "s3",
        endpoint_url=cloud.urls[face],
        region_name="auto",
        verify=str(cloud.ca),
        aws_access_key_id=cloud.secret(f"{face}_access_key_id"),
        aws_secret_access_key=cloud.secret(f"{face}_secret_access_key"),
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
    )


def s3(cloud: Cloud) -> dict[str, str]:
    return {
        "ENDPOINT": cloud.urls["s3"],
        "KEY": cloud.secret("s3_access_key_id"),
        "SECRET": cloud.secret("s3_secret_access_key"),
    }


def on(face: str, cloud: Cloud) -> dict[str, str]:
    return s3(cloud) if face == "s3" else {}


def weak_key(cloud: Cloud) -> dict[str, str]:
    return {"KEY": cloud.secret("r2_objects_access_key_id"), "SECRET": cloud.secret("r2_objects_secret_access_key")}


def lock_rules(cloud: Cloud, rules: list[dict[str, t.Any]] | None = None) -> list[dict[str, t.Any]]:
    """Return the lock rules; set them first where some are given."""
    url = f"{cloud.api}/accounts/{cloud.account}/r2/buckets/{cloud.bucket}/lock"
    given = {"headers": {"Authorization": f"Bearer {cloud.secret('cloudflare_api_token')}"}, "verify": str(cloud.ca)}
    if rules is not None:
        assert requests.put(url, json={"rules": rules}, timeout=10, **given).json()["success"]
    return t.cast("list[dict[str, t.Any]]", requests.get(url, timeout=10, **given).json()["result"]["rules"])


def others(result: dict[str, t.Any], *ids: str) -> set[str]:
    """Return the status of every check but these."""
    return {seen for name, seen in status(result).items() if name not in ids}
