# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running stand-in against an independent judge: Twilio's own library signs, Redis and Postgres are asked."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path

import pytest
import requests
from twilio.request_validator import RequestValidator

ONE_SHOTS = {"migrate", "indexer", "backfill"}
RUNNING = {
    "nginx", "redis", "prosaas-api", "prosaas-calls", "worker", "scheduler", "baileys", "n8n", "frontend",
}
# Like the other tests here it needs the demo up.
pytestmark = pytest.mark.usefixtures("deployed")

SITE = "https://prosaas.test"


def demo_directory() -> Path:
    """Where the running nginx was composed: the tests run in a copy of the work tree, the stack does not."""
    label = "com.docker.compose.project.working_dir"
    return Path(inspect("prosaasil-nginx-1", f'{{{{index .Config.Labels "{label}"}}}}')).parent


def inspect(container: str, template: str) -> str:
    return run("docker", "inspect", "-f", template, container)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def redis(*command: str) -> str:
    return run("docker", "exec", "prosaasil-redis-1", "redis-cli", *command)


def rows(statement: str) -> list[dict[str, object]]:
    code = f"import json; from server.db import db; print(json.dumps(db.execute({statement!r}), default=str))"
    return json.loads(run("docker", "exec", "prosaasil-prosaas-api-1", "python", "-c", code))


@pytest.fixture(scope="module")
def twilio() -> RequestValidator:
    lines = (demo_directory() / "prosaasil" / ".env").read_text(encoding="utf-8").splitlines()
    return RequestValidator(dict(line.split("=", 1) for line in lines if "=" in line)["TWILIO_AUTH_TOKEN"])


def post(path: str, form: dict[str, str], signature: str | None = None) -> requests.Response:
    headers = {"X-Twilio-Signature": signature} if signature else {}
    ca = str(demo_directory() / "ca" / "ca.crt")
    return requests.post(SITE + path, data=form, headers=headers, verify=ca, timeout=30)


def test_every_service_is_there() -> None:
    listed = run(
        "docker", "ps", "-a", "--filter", "label=com.docker.compose.project=prosaasil", "--format",
        '{{.Label "com.docker.compose.service"}} {{.State}}',
    )
    states = dict(line.split() for line in listed.splitlines())
    assert {name for name, state in states.items() if state == "running"} == RUNNING
    assert {name for name, state in states.items() if state == "exited"} == ONE_SHOTS
    assert {inspect(f"prosaasil-{name}-1", "{{.State.ExitCode}}") for name in ONE_SHOTS} == {"0"}


def test_signature_is_what_twilio_signs(twilio: RequestValidator) -> None:
    form = {"CallSid": f"CA{uuid.uuid4().hex}"}
    good = twilio.compute_signature(f"{SITE}/webhook/call_status", form)
    assert post("/webhook/call_status", form, good).status_code == 204
    assert post("/webhook/call_status", {**form, "Added": "1"}, good).status_code == 403
    assert post("/webhook/call_status", form, RequestValidator("0" * 32).compute_signature(
        f"{SITE}/webhook/call_status", form)).status_code == 403
    assert post("/webhook/call_status", form).status_code == 403


def test_call_without_numbers_takes_a_slot_and_leaves_nothing_else(twilio: RequestValidator) -> None:
    sid = f"CA{uuid.uuid4().hex}"
    before = rows("SELECT (SELECT count(*) FROM call_log) AS calls, (SELECT count(*) FROM leads) AS leads")
    call = {"CallSid": sid}
    answer = post("/webhook/incoming_call", call, twilio.compute_signature(f"{SITE}/webhook/incoming_call", call))
    try:
        assert "<Connect" in answer.text and "<Stream" in answer.text
        assert redis("SISMEMBER", "calls:active", sid) == "1"
        assert int(redis("TTL", f"calls:active:{sid}")) > 7100
    finally:
        end = {"CallSid": sid, "CallStatus": "canceled"}
        post("/webhook/call_status", end, twilio.compute_signature(f"{SITE}/webhook/call_status", end))
    assert redis("SISMEMBER", "calls:active", sid) == "0"
    assert redis("EXISTS", f"calls:active:{sid}") == "0"
    assert rows("SELECT (SELECT count(*) FROM call_log) AS calls, (SELECT count(*) FROM leads) AS leads") == before


def test_call_with_numbers_leaves_a_lead(twilio: RequestValidator) -> None:
    """The side effects that a probe must not have are real here, so that their absence proves something."""
    sid, caller = f"CA{uuid.uuid4().hex}", f"+1415{uuid.uuid4().int % 10**7:07d}"
    call = {"CallSid": sid, "From": caller, "To": "+15005550006"}
    post("/webhook/incoming_call", call, twilio.compute_signature(f"{SITE}/webhook/incoming_call", call))
    end = {"CallSid": sid, "CallStatus": "completed"}
    post("/webhook/call_status", end, twilio.compute_signature(f"{SITE}/webhook/call_status", end))
    assert [row["status"] for row in rows(f"SELECT status FROM call_log WHERE call_sid = '{sid}'")] == ["completed"]
    functions = {redis("HGET", key, "func") for key in redis("--scan", "--pattern", "rq:job:*").split()}
    assert "server.jobs.twilio_call_jobs.create_lead_from_call_job" in functions


def test_answers_name_the_version_that_gave_them() -> None:
    """Who answered is read from a header, by the load that a switch is tested under: api, calls, and the frontend."""
    ca = str(demo_directory() / "ca" / "ca.crt")
    paths = ("/", "/assets/app.js", "/api/health", "/webhook/incoming_call_preview")
    named = {path: requests.get(SITE + path, verify=ca, timeout=30).headers.get("X-Release") for path in paths}
    version = run("docker", "exec", "prosaasil-prosaas-api-1", "cat", "/app/VERSION")
    assert named == dict.fromkeys(paths, version)
