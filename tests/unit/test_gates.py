# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates of a switch as data: what deploy, verify and preflight say of calls and campaigns agrees."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _campaigns, _gate
from ansible_collections.prosaas.ops.plugins.module_utils._postgres import Source

ROLES = Path(__file__).resolve().parents[2] / "roles"


def defaults(role: str) -> dict[str, t.Any]:
    files = sorted((ROLES / role / "defaults/main").glob("*.yml"))
    return {name: value for path in files for name, value in (yaml.safe_load(path.read_text("utf-8")) or {}).items()}


DEPLOY, VERIFY, SHARED = defaults("deploy"), defaults("verify"), defaults("prosaas")


@pytest.mark.parametrize("what", ["calls", "campaigns"])
def test_every_setting_is_one_that_the_module_takes(what: str) -> None:
    options = _gate.GATE_OPTIONS[what]["options"]
    given: dict[str, t.Any] = DEPLOY[f"deploy_{what}"]
    assert given.keys() <= options.keys()
    assert {name for name, option in options.items() if option.get("required")} <= given.keys()


def test_calls_are_counted_where_they_are_verified() -> None:
    calls = DEPLOY["deploy_calls"]
    for here, there in {
        "service": "endpoint_service",
        "redis_service": "redis_service",
        "set_key": "set_key",
        "slot_key": "slot_key",
        "endpoint_url": "endpoint_url",
        "endpoint_headers": "endpoint_headers",
        "limit_variable": "limit_variable",
        "limit_default": "limit_default",
    }.items():
        assert calls[here] == VERIFY[f"verify_capacity_{there}"], here
    assert calls["port"] == DEPLOY["deploy_services"][calls["service"]]["port"]


def test_the_question_of_campaigns_can_be_asked() -> None:
    reading = _campaigns.reading_of(SHARED["prosaas_campaigns_reading"])
    assert "outbound_call_runs" in reading.select
    assert Source.of("campaigns", DEPLOY["deploy_campaigns"]["connection"]).urls == ["DATABASE_URL"]
    assert SHARED["prosaas_campaigns_policy"] in (_gate.ABORT, _gate.WAIT, _gate.PROCEED)
