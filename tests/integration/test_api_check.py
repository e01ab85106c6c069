# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""api_check against the outside services of the demo's cloud, over verified TLS and with real keys."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from conftest import Cloud
from tiny import ansible, check, module, status

PROJECT = "wxkqjdmzrtvplhnbcyfe"
PROBES: list[dict[str, t.Any]] = [
    {
        "requests": [
            {
                "name": "models",
                "url": "https://api.openai.test/v1/models",
                "bearer": "OPENAI_KEY",
                "reason": "error.code",
            }
        ],
        "checks": [
            {"id": "a.key", "title": "The key is good", "requests": ["models"]},
            {
                "id": "a.model",
                "title": "The model is there",
                "requests": ["models"],
                "of": "models.data[?id == {MODEL}] | [0]",
                "absent": {"say": "there is no such model", "remedy": "Choose another."},
                "tell": {"model": "id"},
                "see": "a.key",
            },
        ],
    },
    {
        "requests": [
            {
                "name": "account",
                "url": "https://api.twilio.test/2010-04-01/Accounts/{SID}.json",
                "basic": ["SID", "TOKEN"],
                "reason": "code",
            }
        ],
        "checks": [
            {
                "id": "a.account",
                "title": "The account is active",
                "requests": ["account"],
                "of": "account",
                "expect": [{"query": "status", "equals": "active", "say": "it is {found}"}],
                "tell": {"status": "status"},
            }
        ],
    },
    {
        "requests": [
            {
                "name": "backups",
                "url": "https://api.supabase.test/v1/projects/{project}/database/backups",
                "bearer_file": "",
            }
        ],
        "checks": [
            {
                "id": "a.backups",
                "title": "There are backups",
                "requests": ["backups"],
                "of": "backups.backups",
                "question": "Are there backups?",
            }
        ],
    },
]
Look = t.Callable[..., dict[str, t.Any]]


@pytest.fixture(name="options")
def _options(cloud: Cloud, tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    env = tmp_path / "env"
    env.write_text(
        f"OPENAI_KEY=sk-demo-{cloud.secret('openai_key')}\n"
        f"SID=AC{cloud.secret('twilio_account')}\nTOKEN={cloud.secret('twilio_token')}\n",
        encoding="ascii",
    )

    def options(**changes: t.Any) -> dict[str, t.Any]:
        given = {
            "probes": PROBES,
            "env_file": str(env),
            "values": {"MODEL": "gpt-4o-mini-realtime-preview", "project": PROJECT},
            "ca_path": str(cloud.ca),
            "state_dir": str(tmp_path / "state"),
            "gather": True,
        }
        return {**given, **changes}

    return options


def with_token(cloud: Cloud) -> list[dict[str, t.Any]]:
    backups = PROBES[2]
    token = str(cloud.ca.parents[1] / "secrets/supabase_token")
    return [*PROBES[:2], {**backups, "requests": [{**backups["requests"][0], "bearer_file": token}]}]


def no_secret(cloud: Cloud, result: dict[str, t.Any]) -> bool:
    names = ("openai_key", "twilio_account", "twilio_token", "supabase_token")
    said = str({key: value for key, value in result.items() if key != "invocation"})
    return not any(cloud.secret(name)[:8] in said for name in names)


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_the_services_know_is_told(cloud: Cloud, options: Look, check_mode: bool) -> None:
    result = ansible("api_check", check=check_mode, **options(probes=with_token(cloud)))
    assert not result.get("failed"), result["msg"]
    assert set(status(result).values()) == {"pass"} and result["changed"] is False
    assert check(result, "a.account")["evidence"].startswith("api.twilio.test: status active, ")
    assert check(result, "a.model")["evidence"].startswith("api.openai.test: model gpt-4o-mini-realtime-preview, ")
    assert no_secret(cloud, result)
    assert result["seconds"] < 1


def test_keys_that_are_refused(cloud: Cloud, options: Look) -> None:
    with cloud.fault("openai-key-revoked"), cloud.fault("twilio-suspended"), cloud.fault("provider-token-denied"):
        result = module("api_check", **options(probes=with_token(cloud)))
    assert status(result) == {"a.key": "fail", "a.model": "unknown", "a.account": "fail", "a.backups": "fail"}
    assert "does not accept OPENAI_KEY (401 invalid_api_key)" in check(result, "a.key")["evidence"]
    assert check(result, "a.model")["remedy"] == "See a.key."
    assert "Accounts/{SID}.json does not accept SID and TOKEN (401 20003)" in check(result, "a.account")["evidence"]
    assert no_secret(cloud, result), "OpenAI repeats parts of the key"


def test_what_nobody_was_asked_a_person_answers(options: Look) -> None:
    result = module("api_check", **options(gather=False))
    assert result["failed"] and status(result)["a.backups"] == "unknown"
    assert check(result, "a.backups")["question"] == "Are there backups?"
    answer = {"check": "a.*", "by": "dana", "reason": "seen in the dashboard", "until": "2099-01-01"}
    answered = module("api_check", **options(gather=False, attestations=[answer]))
    assert not answered.get("failed") and answered["verdict"] == "warn"
    assert check(answered, "a.backups")["status"] == "unknown", "recorded as what it is"


def test_a_service_that_does_not_answer_is_no_wrong_key(cloud: Cloud, options: Look) -> None:
    with cloud.fault("services-down"):
        result = module("api_check", **options())
    assert set(status(result).values()) == {"unknown"}
    assert not check(result, "a.key")["question"], "what a machine can find out is no matter of opinion"
    with cloud.fault("openai-busy"):
        assert status(module("api_check", **options()))["a.key"] == "unknown"


def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(cloud: Cloud, options: Look) -> None:
    result = module("api_check", **options(ca_path=None))
    assert status(result)["a.key"] == "fail"
    assert "is not valid" in check(result, "a.key")["evidence"]
    assert no_secret(cloud, result)
