# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer proves, which shapes it has, and how long is waited for it; and the list that the role ships."""

from __future__ import annotations

import datetime
import json
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.prosaas.ops.plugins.module_utils import _endpoint
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ansible_collections.prosaas.ops.plugins.module_utils._condition import Condition
from ansible_collections.prosaas.ops.plugins.module_utils._endpoint import Endpoint, Shape
from ansible_collections.prosaas.ops.plugins.module_utils._endpoint_data import endpoint_of, in_force
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer
from ansible_collections.prosaas.ops.plugins.modules import endpoint_check

SHIPPED = Path(__file__).resolve().parents[4] / "roles/verify/defaults/main/endpoints.yml"
INDEX = Answer(200, {"content-type": "text/html"}, b"<!doctype html><html><body>App</body></html>\n")


def text(body: str, status: int = 200) -> Answer:
    return Answer(status, {"content-type": "text/plain"}, body.encode())


def said(content: t.Any, status: int = 200) -> Answer:
    return Answer(status, {"content-type": "application/json; charset=utf-8"}, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("condition", "body", "objection"),
    [
        (Condition("status", "ok"), {"status": "ok"}, ""),
        (Condition("status", "ok"), {"status": "error"}, 'status is "error", expected "ok"'),
        (Condition("status", "ok"), {}, 'status is null, expected "ok"'),
        (Condition("status", "ok"), ["ok"], 'status is null, expected "ok"'),
        (Condition("a.b[0]", 1), {"a": {"b": [1]}}, ""),
        (Condition("max", "15"), {"max": 15}, ""),
        (Condition("max", 1), {"max": True}, "max is true, expected 1"),
        (Condition("db", within=[None, "connected"]), {}, ""),
        (Condition("db", within=[None, "connected"]), {"db": "connected"}, ""),
        (Condition("db", within=[None, "connected"]), {"db": "gone"}, 'db is "gone", expected null or "connected"'),
        (Condition("full", within=[True, False]), {"full": 0}, "full is 0, expected true or false"),
        (Condition("n", exists=True), {"n": 0}, ""),
        (Condition("n", exists=True), {}, "n is missing"),
        (Condition("error", exists=False), {}, ""),
        (Condition("error", exists=False), {"error": "x"}, 'error is "x"'),
    ],
)
def test_what_json_must_say(condition: Condition, body: t.Any, objection: str) -> None:
    assert Shape(json=[condition]).objections(said(body)) == ([objection] if objection else [])


@pytest.mark.parametrize(
    ("shape", "answer", "objections"),
    [
        (
            Shape(json=[Condition("status", "ok")]),
            INDEX,
            ["is a web page, not JSON: something else answered in its place"],
        ),
        (Shape(json=[Condition("status", "ok")]), text("ok"), ["is not JSON"]),
        (Shape(json=[Condition("status", "ok")]), text('{"status": "ok"}'), []),
        (Shape(status=[200, 503], json=[Condition("db", "up")]), said({"db": "up"}, 503), []),
        (Shape(status=[301]), said({}, 500), ["answered 500 instead of 301"]),
        (Shape(body_equals="ok"), text("ok\n"), []),
        (Shape(body_equals="ok"), text("not ok"), ["is not 'ok'"]),
        (Shape(content_type="text/html", body_contains=["</html>"], body_not_contains=["Error"]), INDEX, []),
        (Shape(content_type="text/html"), text("x"), ["is text/plain instead of text/html"]),
        (Shape(content_type="text/html"), Answer(200), ["is of no type instead of text/html"]),
        (Shape(body_contains=["a", "b"]), text("a"), ["lacks 'b'"]),
        (Shape(body_not_contains=["a"]), text("a"), ["holds 'a'"]),
        (
            Shape(status=[301], header_contains={"Location": "https://A.test"}),
            Answer(301, {"location": "https://a.test/x"}),
            [],
        ),
        (Shape(status=[301], header_contains={"Location": "https:"}), Answer(301), ["header Location lacks 'https:'"]),
        (Shape(max_seconds=1), Answer(200, seconds=1.5), ["took 1.5 s, at most 1"]),
    ],
)
def test_a_shape(shape: Shape, answer: Answer, objections: list[str]) -> None:
    assert shape.objections(answer) == objections


def shipped() -> dict[str, Endpoint]:
    """Return the role's endpoints as the module reads them."""
    raw = (
        SHIPPED.read_text(encoding="utf-8")
        .replace("{{ verify_domain }}", "app.test")
        .replace("{{ verify_n8n_domain }}", "n8n.app.test")
        .replace("{{ verify_endpoints_certificate_days }}", "14")
    )
    read = ArgumentSpecValidator(endpoint_check.OPTIONS).validate(
        {"endpoints": yaml.safe_load(raw)["verify_endpoints"]}
    )
    assert read.error_messages == []
    return {
        given["id"]: endpoint_of(given, "", {"INTERNAL_SECRET": "x" * 32})
        for given in read.validated_parameters["endpoints"]
    }


CAPACITY = {"status": "ok", "active_calls": 0, "max_calls": 15, "capacity_available": 15, "at_capacity": False}
API_AS_FOUND = {"status": "ok", "service": "prosaasil-api", "warnings": [], "timestamp": "2026-11-22T22:39:07"}


@pytest.mark.parametrize(
    ("endpoint", "answer", "status"),
    [
        # the application as the checklist describes it, and as it was found
        ("health", said({"status": "ok"}), PASS),
        ("health", text("ok\n"), PASS),
        ("health", INDEX, FAIL),
        ("health", said({"status": "error"}), FAIL),
        ("http", Answer(301, {"location": "https://app.test/"}), PASS),
        ("http", text("ok"), FAIL),
        ("api_health", said({"status": "ok", "database": "connected"}), PASS),
        ("api_health", said(API_AS_FOUND), PASS),
        ("api_health", said({"status": "ok", "database": "disconnected"}), FAIL),
        ("api_health", said({"status": "initializing"}, 503), FAIL),
        ("api_health", text("Internal Server Error", 500), FAIL),
        ("api_health", text("ok"), FAIL),
        ("api_health", INDEX, FAIL),
        (
            "readyz",
            said({"status": "ready", "dependencies": {"database": "healthy", "baileys_service": "healthy"}}),
            PASS,
        ),
        (
            "readyz",
            said(
                {"status": "degraded", "dependencies": {"database": "healthy", "baileys_service": "unreachable"}}, 503
            ),
            PASS,
        ),
        ("readyz", said({"status": "degraded", "dependencies": {"database": "unhealthy: timeout"}}, 503), FAIL),
        ("readyz", said({"status": "error"}, 500), FAIL),
        ("health_details", said(CAPACITY), PASS),
        ("health_details", said({**CAPACITY, "at_capacity": True}), PASS),
        ("health_details", said({"status": "error", "error": "no"}, 500), FAIL),
        ("health_details", said({"error": "forbidden"}, 403), FAIL),
        ("health_details", text("ok"), FAIL),
        ("frontend", INDEX, PASS),
        ("frontend", text("502 Bad Gateway", 502), FAIL),
        ("n8n", said({"status": "ok"}), PASS),
        ("n8n", INDEX, FAIL),
        ("baileys", text("ok"), PASS),
        ("baileys", said({"status": "ok"}), PASS),
        ("baileys", INDEX, FAIL),
    ],
)
def test_the_shipped_endpoints_accept_both_kinds_of_the_application(endpoint: str, answer: Answer, status: str) -> None:
    asked = shipped()[f"endpoint.{endpoint}"]
    outcome = _endpoint.judge(asked, answer)
    assert outcome.status == status, outcome.evidence
    assert bool(outcome.remedy) == (status == FAIL)


def test_traps_1_to_4_each_answer_counts_for_what_it_proves() -> None:
    def status(endpoint: str, answer: Answer) -> str:
        return _endpoint.judge(shipped()[f"endpoint.{endpoint}"], answer).status

    # trap 1: the edge's own text is the edge's, and never the application's
    assert (status("health", text("ok\n")), status("api_health", text("ok\n"))) == (PASS, FAIL)
    # trap 2: a 200 without JSON is no capacity
    assert (status("health_details", text("ok")), status("health_details", said(CAPACITY))) == (FAIL, PASS)
    # trap 3: the field of the checklist is taken where it is, and the database is judged by what asks it
    assert status("api_health", said(API_AS_FOUND)) == PASS
    assert status("readyz", said({"dependencies": {"database": "unhealthy: no"}}, 503)) == FAIL
    # trap 4: the health of a service whose application did not start is 200, and this is not
    assert status("api_health", text("Internal Server Error", 500)) == FAIL


def test_the_secret_of_a_header_is_sent_and_nowhere_told() -> None:
    asked = shipped()["endpoint.health_details"]
    assert asked.headers == {"X-Internal-Secret": "x" * 32}
    assert "x" * 32 not in _endpoint.judge(asked, said(CAPACITY)).evidence


def test_every_shipped_endpoint_has_a_remedy_of_its_own() -> None:
    assert all(asked.remedy.startswith("Look ") and "docker compose" in asked.remedy for asked in shipped().values())


def test_a_condition_needs_exactly_one_test() -> None:
    for tests in ({}, {"equals": 1, "exists": True}):
        given = {"id": "a", "title": "a", "url": "http://a.test", "any_of": [{"json": [{"query": "a", **tests}]}]}
        assert ArgumentSpecValidator(endpoint_check.OPTIONS).validate({"endpoints": [given]}).error_messages


def test_a_later_endpoint_takes_the_place_of_one_with_its_id_or_takes_it_away() -> None:
    one, two = {"id": "a", "url": "1", "any_of": [{}]}, {"id": "b", "url": "2", "any_of": [{}]}
    assert in_force([one, two]) == [one, two]
    assert in_force([one, two, {**one, "url": "3"}]) == [{**one, "url": "3"}, two]
    assert in_force([one, two, {**one, "any_of": []}]) == [two]


@pytest.mark.parametrize(("days", "status"), [(30, PASS), (13, WARN), (0.4, WARN)])
def test_the_days_of_a_certificate(days: float, status: str) -> None:
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    outcome = _endpoint.judge_days(end - datetime.timedelta(days=90), end, ("app.test", "n8n.app.test"), 14)
    assert outcome.status == status
    assert f"valid until {end:%Y-%m-%d}, {days:.0f} of 90 days are left, for app.test, n8n.app.test" in outcome.evidence
    assert bool(outcome.remedy) == (status == WARN)


def answering(*outcomes: Outcome | OpsError) -> t.Callable[[], Outcome]:
    left = list(outcomes)

    def look() -> Outcome:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, OpsError):
            raise outcome
        return outcome

    return look


def test_it_is_looked_again_until_it_passes() -> None:
    look = answering(OpsError("no container."), Unreachable("no engine."), Outcome(FAIL, "500"), Outcome(PASS, "fine"))
    assert _endpoint.until_met(look, time.monotonic() + 5, first_pause=0.01) == Outcome(PASS, "fine (try 4)")


@pytest.mark.parametrize(
    ("last", "status"),
    [(Outcome(FAIL, "500"), FAIL), (OpsError("no container."), FAIL), (Unreachable("no engine."), UNKNOWN)],
)
def test_at_the_deadline_the_last_look_counts(last: Outcome | OpsError, status: str) -> None:
    start = time.monotonic()
    assert _endpoint.until_met(answering(last), start + 0.2, first_pause=0.05).status == status
    assert 0.2 <= time.monotonic() - start < 1


def test_without_a_deadline_it_is_looked_once() -> None:
    assert _endpoint.until_met(answering(Outcome(FAIL, "500"), Outcome(PASS, "")), time.monotonic()) == Outcome(
        FAIL, "500"
    )
