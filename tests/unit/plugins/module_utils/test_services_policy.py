# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes that the role ships, judged with hand-written answers of the services."""

from __future__ import annotations

import datetime
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.prosaas.ops.plugins.module_utils import _api_check
from ansible_collections.prosaas.ops.plugins.module_utils._api import Known
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN, WARN, Check
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer
from ansible_collections.prosaas.ops.plugins.modules import api_check
from jinja2.nativetypes import NativeEnvironment

from .service import Service, said

DEFAULTS = Path(__file__).resolve().parents[4] / "roles/preflight/defaults/main/services.yml"
WORDS = {
    "OPENAI_API_KEY": "sk-0123456789abcdef",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "f" * 32,
    "TWILIO_PHONE_NUMBER": "+15005550006",
}
RUNS = (
    "Backend Quality & Security",
    "Frontend Quality & Security",
    "Docker Build Validation",
    "E2E Tests (Playwright)",
)


def filled(value: t.Any, settings: dict[str, t.Any]) -> t.Any:
    """Fill in the templates of a setting, as Ansible does."""
    if isinstance(value, dict):
        return {key: filled(one, settings) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, settings) for one in value]
    if isinstance(value, str) and "{{" in value:
        return filled(NativeEnvironment().from_string(value).render(settings), settings)
    return value


def shipped(probes: str, which: str, answers: dict[str, Answer | OpsError], tmp_path: Path) -> dict[str, Check]:
    env, token = tmp_path / "env", tmp_path / "token"
    env.write_text("".join(f"{name}={value}\n" for name, value in WORDS.items()), encoding="utf-8")
    token.write_text("0123456789token", encoding="utf-8")
    settings = {
        **yaml.safe_load(DEFAULTS.read_text(encoding="utf-8")),
        "preflight_domain": "prosaas.test",
        "prosaas_branch": "main",
        "commit": "feature/x",
        "preflight_services_database_project": "ref",
        "preflight_services_database_token_file": str(token),
        "preflight_services_forge_repository": "owner/name",
        "preflight_services_forge_token_file": str(token),
    }
    chosen = filled(settings[probes], settings)
    options = {"probes": [chosen[which] if which else chosen]}
    checked = ArgumentSpecValidator(api_check.OPTIONS).validate(options)
    assert not checked.error_messages
    probe = checked.validated_parameters["probes"][0]
    values = filled(settings["preflight_services_values"], settings)
    report = _api_check.inspect(
        [api_check.request_of(given) for given in probe["requests"]],
        [api_check.probe_of(given) for given in probe["checks"]],
        Known(str(env), values, settings["commit"]),
        Service(answers),
    )
    for check in report.checks:
        assert check.remedy or check.status == PASS
        assert not any(word in str(check) for word in (*WORDS.values(), "0123456789token"))
    return {check.id: check for check in report.checks}


def ago(days: float) -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def backups(*days: float, **more: t.Any) -> Answer:
    rows = [{"status": "COMPLETED", "inserted_at": ago(day), "is_physical_backup": True} for day in days]
    return said({"backups": rows, "walg_enabled": True, "pitr_enabled": False, "physical_backup_data": {}, **more})


def back_to(days: float) -> dict[str, t.Any]:
    now = time.time()
    return {
        "pitr_enabled": True,
        "backups": [],
        "physical_backup_data": {
            "earliest_physical_backup_date_unix": int(now - 86400 * days),
            "latest_physical_backup_date_unix": int(now - 100),
        },
    }


@pytest.mark.parametrize(
    ("answer", "made", "kept"),
    [
        (backups(0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5), PASS, PASS),
        (backups(0.5, 1.5, 2.5, 3.5, 4.5, 5.5), PASS, FAIL),
        (backups(1.4, 7.4), WARN, PASS),
        (backups(3, 9), FAIL, PASS),
        (backups(), FAIL, UNKNOWN),
        (backups(backups=None, physical_backup_data=None), FAIL, UNKNOWN),
        (backups(backups=[{"status": "FAILED", "inserted_at": ago(0.5)}]), FAIL, UNKNOWN),
        (backups(**back_to(6.9)), PASS, PASS),
        (backups(**back_to(2.5)), PASS, FAIL),
        (said({"message": "Unauthorized"}, 401), FAIL, UNKNOWN),
        (said({"message": "Project not found"}, 404), FAIL, UNKNOWN),
        (said({"message": "x"}, 500), UNKNOWN, UNKNOWN),
    ],
)
def test_backups_at_supabase(tmp_path: Path, answer: Answer, made: str, kept: str) -> None:
    found = shipped("preflight_services_databases", "supabase", {"/v1/projects/ref/": answer}, tmp_path)
    assert (found["database.backups"].status, found["database.retention"].status) == (made, kept), found


@pytest.mark.parametrize(
    ("answer", "made", "kept"),
    [
        (said({"project": {"history_retention_seconds": 604800}}), PASS, PASS),
        (said({"project": {"history_retention_seconds": 21600}}), PASS, FAIL),
        (said({"project": {"history_retention_seconds": 0}}), FAIL, FAIL),
        (said({"code": "", "message": "supplied credentials do not pass authentication"}, 401), FAIL, UNKNOWN),
        (said({"project": {"name": "x"}}), FAIL, FAIL),
    ],
)
def test_history_at_neon(tmp_path: Path, answer: Answer, made: str, kept: str) -> None:
    found = shipped("preflight_services_databases", "neon", {"/api/v2/projects/ref": answer}, tmp_path)
    assert (found["database.backups"].status, found["database.retention"].status) == (made, kept), found


def test_of_another_provider_a_person_is_asked(tmp_path: Path) -> None:
    found = shipped("preflight_services_databases", "other", {}, tmp_path)
    assert all(check.status == UNKNOWN and check.question.endswith("?") for check in found.values())


def github(states: dict[str, str | None], statuses: dict[str, str] | None = None, total: int = 0) -> dict[str, Answer]:
    runs = [
        {"name": name, "status": "completed" if state else "in_progress", "conclusion": state}
        for name, state in states.items()
    ]
    set_on = [{"context": name, "state": state} for name, state in (statuses or {}).items()]
    return {
        "/commits/feature%2Fx/check-runs": said({"total_count": total or len(runs), "check_runs": runs}),
        "/commits/feature%2Fx/status": said({"total_count": len(set_on), "state": "pending", "statuses": set_on}),
    }


GREEN: dict[str, str | None] = dict.fromkeys(RUNS, "success")


@pytest.mark.parametrize(
    ("answers", "tests", "scan"),
    [
        (github(GREEN), PASS, PASS),
        (github({**GREEN, "Something else": "failure"}), PASS, PASS),
        (github({**GREEN, RUNS[3]: "failure"}), FAIL, PASS),
        (github({**GREEN, RUNS[0]: "timed_out"}), FAIL, FAIL),
        (github({**GREEN, RUNS[0]: "a new word"}), FAIL, FAIL),
        (github({**GREEN, RUNS[3]: None}), UNKNOWN, PASS),
        (github({**GREEN, RUNS[3]: "failure", RUNS[0]: None}), FAIL, UNKNOWN),
        (github({**GREEN, RUNS[3]: "skipped"}), PASS, PASS),
        (github(dict.fromkeys(RUNS, "skipped")), UNKNOWN, UNKNOWN),
        (github({}), UNKNOWN, UNKNOWN),
        (github({}, {"Backend Quality": "success"}), PASS, PASS),
        (github(GREEN, {"Backend Quality": "error"}), FAIL, FAIL),
        (github(GREEN, {"Backend Quality": "pending"}), UNKNOWN, UNKNOWN),
        (github(GREEN, total=101), UNKNOWN, UNKNOWN),
        ({"/": said({"message": "Bad credentials"}, 401)}, FAIL, FAIL),
        ({"/": said({"message": "API rate limit exceeded for 192.0.2.1"}, 403)}, UNKNOWN, UNKNOWN),
        ({"/": said({"message": "No commit found for SHA: feature/x"}, 422)}, FAIL, FAIL),
    ],
)
def test_runs_at_github(tmp_path: Path, answers: dict[str, Answer | OpsError], tests: str, scan: str) -> None:
    found = shipped("preflight_services_forges", "github", answers, tmp_path)
    assert (found["code.tests"].status, found["code.scan"].status) == (tests, scan), found


@pytest.mark.parametrize(
    ("states", "more", "tests"),
    [
        ("success", {}, PASS),
        ("failed", {}, FAIL),
        ("canceled", {}, FAIL),
        ("running", {}, UNKNOWN),
        ("success", {"allow_failure": True}, UNKNOWN),
    ],
)
def test_jobs_at_gitlab(tmp_path: Path, states: str, more: dict[str, t.Any], tests: str) -> None:
    jobs = [{"name": name, "status": states, "allow_failure": False, **more} for name in RUNS]
    where = "/api/v4/projects/owner%2Fname/repository/commits/feature%2Fx/statuses"
    found = shipped("preflight_services_forges", "gitlab", {where: said(jobs)}, tmp_path)
    assert (found["code.tests"].status, found["code.scan"].status) == (tests, tests), found


def models(*names: str) -> Answer:
    return said({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


@pytest.mark.parametrize(
    ("answer", "key", "model"),
    [
        (models("gpt-4o-mini-realtime-preview"), PASS, PASS),
        (models("gpt-4o-mini"), PASS, FAIL),
        (models(), FAIL, UNKNOWN),
        (said({"error": {"code": "invalid_api_key", "message": "Incorrect: sk-0****cdef"}}, 401), FAIL, UNKNOWN),
        (said({"error": {"code": "unsupported_country_region_territory"}}, 403), FAIL, UNKNOWN),
        (said({"error": {"code": "insufficient_quota"}}, 429), FAIL, UNKNOWN),
        (said({"error": {"code": "rate_limit_exceeded"}}, 429), UNKNOWN, UNKNOWN),
        (Unreachable("https://api.openai.com/v1/models did not answer within 10 s.", "Look."), UNKNOWN, UNKNOWN),
    ],
)
def test_openai(tmp_path: Path, answer: Answer | OpsError, key: str, model: str) -> None:
    found = shipped("preflight_services_openai", "", {"/v1/models": answer}, tmp_path)
    assert (found["services.openai"].status, found["services.openai_model"].status) == (key, model), found


NUMBER: dict[str, t.Any] = {
    "phone_number": WORDS["TWILIO_PHONE_NUMBER"],
    "capabilities": {"voice": True},
    "voice_url": "https://prosaas.test/webhook/voice",
    "voice_method": "POST",
    "voice_application_sid": "",
    "trunk_sid": None,
    "status_callback": "https://prosaas.test/webhook/call_status",
}


@pytest.mark.parametrize(
    ("changes", "known", "ours"),
    [
        ({}, PASS, PASS),
        ({"phone_number": "+1500555000699"}, FAIL, UNKNOWN),
        ({"capabilities": {"voice": False}}, FAIL, PASS),
        ({"voice_url": "https://prosaas.test.evil.test/webhook/voice"}, PASS, FAIL),
        ({"voice_url": None}, PASS, FAIL),
        ({"voice_method": "GET"}, PASS, FAIL),
        ({"status_callback": ""}, PASS, WARN),
        ({"status_callback": "", "voice_method": "GET"}, PASS, FAIL),
        ({"voice_application_sid": "AP1"}, PASS, UNKNOWN),
        ({"trunk_sid": "TK1"}, PASS, UNKNOWN),
    ],
)
def test_the_number_at_twilio(tmp_path: Path, changes: dict[str, t.Any], known: str, ours: str) -> None:
    answers: dict[str, Answer | OpsError] = {
        "/IncomingPhoneNumbers.json?": said({"incoming_phone_numbers": [{**NUMBER, **changes}]}),
        "/Accounts/": said({"status": "active", "auth_token": WORDS["TWILIO_AUTH_TOKEN"]}),
    }
    found = shipped("preflight_services_twilio", "", answers, tmp_path)
    assert found["services.twilio_account"].status == PASS
    assert (found["services.twilio_number"].status, found["services.twilio_voice_url"].status) == (known, ours), found


@pytest.mark.parametrize(
    ("answer", "status"),
    [(said({"status": "suspended"}), FAIL), (said({"code": 20003}, 401), FAIL), (said({"code": 20500}, 500), UNKNOWN)],
)
def test_the_account_at_twilio(tmp_path: Path, answer: Answer, status: str) -> None:
    answers: dict[str, Answer | OpsError] = {"/IncomingPhoneNumbers.json?": said({"code": 20003}, 401), "/": answer}
    found = shipped("preflight_services_twilio", "", answers, tmp_path)
    assert found["services.twilio_account"].status == status
    assert found["services.twilio_number"].status == found["services.twilio_voice_url"].status == UNKNOWN
