# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's outside services answer as the real ones do, and a client sees each of their bad days."""

from __future__ import annotations

import subprocess
import time
import typing as t

import pytest
import requests
from conftest import ROOT, Cloud

PROJECT = "https://api.supabase.test/v1/projects/wxkqjdmzrtvplhnbcyfe/database/backups"
VERIFIED = "+15005550010"
CALL = {"To": "+15005550007", "From": VERIFIED, "Twiml": "<Response><Say>Hello.</Say></Response>"}
COMMITS = "https://api.github.test/repos/prosaas/prosaasil/commits"


def get(cloud: Cloud, url: str, token: str = "", **options: t.Any) -> tuple[int, t.Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers.update(options.pop("headers", {}))
    answer = requests.get(url, headers=headers, verify=str(cloud.ca), timeout=10, **options)
    return answer.status_code, answer.json()


def models(cloud: Cloud, key: str | None = None) -> tuple[int, t.Any]:
    own = f"sk-demo-{cloud.secret('openai_key')}"
    return get(cloud, "https://api.openai.test/v1/models", own if key is None else key)


def twilio(cloud: Cloud, path: str = ".json", token: str = "", account: str = "") -> tuple[int, t.Any]:
    own = f"AC{cloud.secret('twilio_account')}"
    url = f"https://api.twilio.test/2010-04-01/Accounts/{account or own}{path}"
    return get(cloud, url, auth=(own, token or cloud.secret("twilio_token")))


def number(cloud: Cloud) -> dict[str, t.Any]:
    status, answer = twilio(cloud, "/IncomingPhoneNumbers.json?PhoneNumber=%2B15005550006")
    assert status == 200 and len(answer["incoming_phone_numbers"]) == 1
    return t.cast("dict[str, t.Any]", answer["incoming_phone_numbers"][0])


def runs(cloud: Cloud, commit: str, token: str | None = None, **options: t.Any) -> tuple[int, t.Any]:
    own = cloud.secret("forge_token")
    return get(cloud, f"{COMMITS}/{commit}/check-runs", own if token is None else token, **options)


def conclusions(cloud: Cloud) -> dict[str, str | None]:
    return {run["name"]: run["conclusion"] for run in runs(cloud, "main")[1]["check_runs"]}


def git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT / ".demo/origin/prosaasil.git"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def test_openai(cloud: Cloud) -> None:
    status, answer = models(cloud)
    assert status == 200 and "gpt-4o-mini-realtime-preview" in {model["id"] for model in answer["data"]}
    assert (models(cloud, "")[0], models(cloud, "sk-demo-other")[0]) == (401, 401)
    status, answer = models(cloud, "sk-demo-of-somebody-else")
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert "else" in answer["error"]["message"], "it repeats the end of the key"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("openai-key-revoked", 401, "invalid_api_key"),
        ("openai-quota", 429, "insufficient_quota"),
        ("openai-busy", 429, "rate_limit_exceeded"),
    ],
)
def test_openai_refuses(cloud: Cloud, fault: str, status: int, code: str) -> None:
    with cloud.fault(fault):
        found, answer = models(cloud)
    assert (found, answer["error"]["code"]) == (status, code)


def test_openai_takes_a_model_away(cloud: Cloud) -> None:
    with cloud.fault("openai-model-gone"):
        status, answer = models(cloud)
    assert status == 200 and "gpt-4o-mini-realtime-preview" not in {model["id"] for model in answer["data"]}


def test_twilio(cloud: Cloud) -> None:
    status, account = twilio(cloud)
    assert (status, account["status"], account["auth_token"]) == (200, "active", cloud.secret("twilio_token"))
    assert twilio(cloud, token="f" * 32) == (
        401,
        {
            "code": 20003,
            "message": "Authenticate",
            "more_info": "https://www.twilio.com/docs/errors/20003",
            "status": 401,
        },
    )
    assert twilio(cloud, account="AC" + "0" * 32)[1]["code"] == 20404
    assert number(cloud)["voice_url"] == "https://prosaas.test/webhook/incoming_call"
    assert twilio(cloud, "/IncomingPhoneNumbers.json?PhoneNumber=5550006")[1]["incoming_phone_numbers"], (
        "by a part of it"
    )
    assert twilio(cloud, "/IncomingPhoneNumbers.json?PhoneNumber=%2B4930")[1]["incoming_phone_numbers"] == []


def test_twilio_faults(cloud: Cloud) -> None:
    with cloud.fault("twilio-suspended"):
        assert twilio(cloud)[1]["code"] == 20003
    with cloud.fault("twilio-number-gone"):
        assert twilio(cloud, "/IncomingPhoneNumbers.json")[1]["incoming_phone_numbers"] == []
    with cloud.fault("twilio-voice-url-elsewhere"), cloud.fault("twilio-no-voice"), cloud.fault("twilio-no-callback"):
        found = number(cloud)
    assert not found["voice_url"].startswith("https://prosaas.test/")
    assert (found["capabilities"]["voice"], found["status_callback"]) == (False, "")


def ask(cloud: Cloud, path: str, **form: str) -> tuple[int, t.Any]:
    """Post to Twilio, as a client that makes and ends calls does."""
    own = f"AC{cloud.secret('twilio_account')}"
    url = f"https://api.twilio.test/2010-04-01/Accounts/{own}{path}"
    answer = requests.post(url, form, auth=(own, cloud.secret("twilio_token")), verify=str(cloud.ca), timeout=10)
    return answer.status_code, answer.json()


def ended(cloud: Cloud, call: str) -> dict[str, t.Any]:
    until = time.monotonic() + 10
    while (told := twilio(cloud, f"/Calls/{call}.json")[1])["end_time"] is None and time.monotonic() < until:
        time.sleep(0.1)
    return t.cast("dict[str, t.Any]", told)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": ""}, 21201),
        ({"From": ""}, 21213),
        ({"To": "5005550006"}, 21211),
        ({"To": VERIFIED}, 21211),
        ({"From": "anonymous"}, 21212),
        ({"From": "+15005550011"}, 21210),
        ({"Twiml": ""}, 21205),
    ],
)
def test_twilio_refuses_a_call(cloud: Cloud, changes: dict[str, str], code: int) -> None:
    status, answer = ask(cloud, "/Calls.json", **{**CALL, **changes})
    assert (status, answer["code"]) == (400, code)


def test_twilio_makes_calls(cloud: Cloud) -> None:
    """To a number that nobody has; those that are answered: test_real_call.py."""
    status, call = ask(cloud, "/Calls.json", **CALL)
    assert (status, call["status"], call["direction"]) == (201, "queued", "outbound-api")
    assert ended(cloud, call["sid"])["status"] == "no-answer"
    assert ask(cloud, f"/Calls/{call['sid']}.json", Status="completed")[1]["code"] == 21220
    assert twilio(cloud, f"/Calls.json?To=%2B{CALL['To'][1:]}")[1]["calls"][0]["sid"] == call["sid"]
    assert twilio(cloud, "/Calls.json?To=%2B4930")[1]["calls"] == []
    assert twilio(cloud, f"/Calls/CA{'0' * 32}.json")[1]["code"] == 20404
    with cloud.fault("twilio-busy"):
        assert ended(cloud, ask(cloud, "/Calls.json", **CALL)[1]["sid"])["status"] == "busy"
    with cloud.fault("twilio-outage"):
        assert (ask(cloud, "/Calls.json", **CALL)[0], twilio(cloud)[0]) == (503, 503)


def test_supabase(cloud: Cloud) -> None:
    token = cloud.secret("supabase_token")
    status, answer = get(cloud, PROJECT, token)
    assert (status, len(answer["backups"]), answer["pitr_enabled"]) == (200, 7, False)
    assert get(cloud, PROJECT, "other") == (401, {"message": "Unauthorized"})
    assert get(cloud, PROJECT.replace("wxk", "abc"), token)[0] == 404
    with cloud.fault("provider-token-denied"):
        assert get(cloud, PROJECT, token)[0] == 401
    with cloud.fault("provider-short-retention"):
        assert len(get(cloud, PROJECT, token)[1]["backups"]) == 3
    with cloud.fault("provider-no-backups"):
        assert get(cloud, PROJECT, token)[1]["backups"] == []


def test_the_forge_knows_what_the_repository_has(cloud: Cloud) -> None:
    head, before = git("rev-parse", "main"), git("rev-parse", "main~1")
    for name in ("main", "v1.3.0", head, head[:8]):
        status, answer = runs(cloud, name)
        assert (status, answer["total_count"], answer["check_runs"][0]["head_sha"]) == (200, 5, head)
    assert runs(cloud, before)[1]["check_runs"][0]["head_sha"] == before
    assert runs(cloud, "bad%2Fdead_flask")[0] == 200
    assert runs(cloud, "0" * 40)[0] == runs(cloud, "nothing")[0] == 422
    status, answer = get(cloud, f"{COMMITS}/main/status", cloud.secret("forge_token"))
    assert (status, answer["state"], answer["statuses"], answer["sha"]) == (200, "pending", [], head)


def test_the_forge_is_private(cloud: Cloud) -> None:
    assert runs(cloud, "main", token="") == (404, {**runs(cloud, "main", token="")[1], "message": "Not Found"})
    assert runs(cloud, "main", token="other")[1]["message"] == "Bad credentials"
    assert runs(cloud, "main", headers={"User-Agent": ""})[0] == 403


def test_forge_faults(cloud: Cloud) -> None:
    assert set(conclusions(cloud).values()) == {"success"}
    with cloud.fault("forge-tests-red"):
        assert conclusions(cloud)["E2E Tests (Playwright)"] == "failure"
    with cloud.fault("forge-scan-red"):
        assert conclusions(cloud)["Backend Quality & Security"] == "failure"
    with cloud.fault("forge-pending"):
        assert set(conclusions(cloud).values()) == {None}
