# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The webhook probe against a small application that Twilio's own validator guards."""

from __future__ import annotations

import contextlib
import http.server
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _twilio, _twilio_probe
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN, WARN
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer, Client
from ansible_collections.prosaas.ops.plugins.module_utils._twilio_probe import FORGERIES, Expected, judge_forged
from twilio.request_validator import RequestValidator

TOKEN = "0123456789abcdef0123456789abcdef"
BASE = "https://app.test"
TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://app.test/ws/media"/></Connect></Response>'
BUSY = "<Response><Say>All lines are busy</Say><Hangup/></Response>"
EXPECTED = {
    **dict.fromkeys(("unsigned", "wrong_token", "altered", "added", "other_host", "alias"), Expected([403])),
    **dict.fromkeys(("other_scheme", "forwarded"), Expected([403], [200])),
    "method": Expected([403, 405]),
}


class Application(http.server.ThreadingHTTPServer):
    """Takes calls, one slot each, guarded by Twilio's validator. ``fault`` is one bad day."""

    request_queue_size = 32  # the probes come at once

    def __init__(self, fault: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.slots: set[str] = set()
        self.taken: list[dict[str, str]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Application

    def do_GET(self) -> None:
        path, _question, query = self.path.partition("?")
        if path in ("/incoming", "/alias"):
            self._guarded(dict(urllib.parse.parse_qsl(query)), {})
        elif self.path == "/preview" and self.server.fault == "no business":
            self._answer(503, "No active business configured")
        else:
            self._answer(200, TWIML if self.path == "/preview" else "<!doctype html>")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        params = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        self._guarded(params, params)

    def _guarded(self, params: dict[str, str], signed: dict[str, str]) -> None:
        fault, given = self.server.fault, self.headers.get("X-Twilio-Signature", "")
        validator = RequestValidator("another token" if fault == "another token" else TOKEN)
        bases = [BASE]
        if fault == "many names":
            bases += ["http://app.test", f"http://{self.headers.get('X-Forwarded-Host', '')}"]
        valid = any(validator.validate(base + self.path, signed, given) for base in bases)
        if fault == "redirects":
            self._answer(301, "", Location=f"https://www.app.test{self.path}")
        elif fault == "broken":
            self._answer(500, "Internal Server Error")
        elif not (valid or fault == "unchecked" or (fault == "any signature" and given)):
            self._answer(403, "<h1>Forbidden</h1>")
        elif self.path == "/status":
            if fault != "leaks":
                self.server.slots.discard(params["CallSid"])
            self._answer(500 if fault == "leaks" and params["CallSid"] in self.server.slots else 204, "")
        else:
            self.server.slots.add(params["CallSid"])
            self.server.taken.append(params)
            self._answer(200, BUSY if fault == "busy" else TWIML)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200 if self.server.fault == "unchecked" else 405, "")

    do_DELETE = do_PUT

    def _answer(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_arguments: object) -> None:
        pass


@contextlib.contextmanager
def running(fault: str = "") -> Iterator[Application]:
    with Application(fault) as application:
        threading.Thread(target=application.serve_forever, args=(0.02,), daemon=True).start()
        yield application
        application.shutdown()


def hook(port: int) -> _twilio.Webhook:
    return _twilio.Webhook(
        url=f"http://app.test:{port}",
        signed_url=BASE,
        token=TOKEN,
        stream=_twilio.Stream("app.test", "/ws/media"),
        incoming="/incoming",
        preview="/preview",
        status="/status",
        aliases=["/alias"],
        address="127.0.0.1",
        http=Client(timeout=5),
    )


def probed(application: Application, signed: bool = False) -> dict[str, tuple[str, str]]:
    report = _twilio_probe.inspect(hook(application.server_port), EXPECTED, signed)
    assert report.secrets == {TOKEN}
    return {check.id.removeprefix("webhook."): (check.status, check.evidence) for check in report.checks}


def failed(seen: dict[str, tuple[str, str]]) -> set[str]:
    return {name for name, (status, _evidence) in seen.items() if status != PASS}


def test_a_guarded_webhook_passes_and_no_call_is_taken() -> None:
    with running() as application:
        seen = probed(application)
    assert set(seen) == {*EXPECTED, "callback", "preview"}
    assert failed(seen) == set()
    assert application.taken == []


def test_a_signed_call_has_an_id_alone_and_its_slot_is_given_back() -> None:
    with running() as application:
        seen = probed(application, signed=True)
    assert failed(seen) == set()
    assert {"signed", "give_back"} <= set(seen)
    assert [list(params) for params in application.taken] == [["CallSid"]]
    assert len(application.taken[0]["CallSid"]) == 34
    assert application.slots == set()


def test_a_webhook_that_checks_nothing_fails_and_keeps_no_slot() -> None:
    with running("unchecked") as application:
        seen = probed(application)
    assert {name for name, (status, _said) in seen.items() if status == FAIL} == {
        *("unsigned", "wrong_token", "altered", "added", "alias", "other_host", "method")
    }
    assert {name for name, (status, _said) in seen.items() if status == WARN} == {"other_scheme", "forwarded"}
    sids = [params["CallSid"] for params in application.taken]
    assert len(sids) == len(set(sids)) == 9
    assert {name for params in application.taken for name in params} == {"CallSid", "ApiVersion"}
    assert application.slots == set()


def test_a_signature_that_is_only_looked_for_is_not_checked() -> None:
    with running("any signature") as application:
        seen = probed(application)
    assert failed(seen) == {"wrong_token", "altered", "added", "other_host", "other_scheme", "forwarded"}
    assert application.slots == set()


def test_other_names_of_the_application_are_a_remark_where_they_are_tolerated() -> None:
    with running("many names") as application:
        seen = probed(application)
    assert {name: seen[name][0] for name in failed(seen)} == {"other_scheme": WARN, "forwarded": WARN}
    assert "would be taken here, too" in seen["forwarded"][1]
    assert application.slots == set()


@pytest.mark.parametrize(
    ("statuses", "expected", "status"),
    [
        ([403, 405], Expected([403, 405]), PASS),
        ([403, 200], Expected([403, 405]), FAIL),
        ([403, 405], Expected([403]), FAIL),
        ([200], Expected([403], [200]), WARN),
        ([200, 500], Expected([403], [200]), FAIL),
        ([301], Expected([403]), FAIL),
    ],
)
def test_each_answer_must_be_a_refusal(statuses: list[int], expected: Expected, status: str) -> None:
    outcome = judge_forged([Answer(one) for one in statuses], expected, FORGERIES["method"])
    assert outcome.status == status
    assert bool(outcome.remedy) == (status != PASS)


def test_a_signed_call_waits_for_a_better_moment() -> None:
    with running() as application:
        probe = _twilio_probe.Probe(hook(application.server_port))
        outcome = probe.signed(lambda: "1 of 15 slots are free, and 2 must be")
    assert (outcome.status, application.taken, probe.holding) == ("skip", [], False)
    assert "1 of 15 slots are free" in outcome.evidence


def test_what_is_known_to_take_a_slot_is_sent_one_at_a_time_and_given_back_before_the_next() -> None:
    with running("many names") as application:
        held: list[int] = []

        def no_room() -> str:
            held.append(len(application.slots))
            return ""

        probe = _twilio_probe.Probe(hook(application.server_port))
        kinds = ["other_scheme", "forwarded"] * 4
        with ThreadPoolExecutor(max_workers=len(kinds)) as pool:
            outcomes = list(pool.map(lambda kind: probe.forged(kind, EXPECTED[kind], no_room), kinds))
    assert {outcome.status for outcome in outcomes} == {WARN}
    assert held == [0] * len(kinds)
    assert len(application.taken) == len(kinds)
    assert probe.give_back() == (PASS, "each of 8 call slots that a probe may have taken is free again", "", "")


def test_another_token_is_seen_though_every_forgery_is_refused() -> None:
    with running("another token") as application:
        seen = probed(application)
    assert [name for name, (status, _said) in seen.items() if status == FAIL] == ["callback"]
    assert {name for name, (status, _said) in seen.items() if status == UNKNOWN} == set(_twilio_probe.SIGNED_RIGHTLY)
    assert "Twilio's own requests would be, too" in seen["callback"][1]


def test_a_slot_that_is_not_given_back_is_reported() -> None:
    with running("leaks") as application:
        seen = probed(application, signed=True)
    assert failed(seen) == {"give_back"}
    assert application.slots.pop() in seen["give_back"][1]


def test_a_busy_application_is_quoted() -> None:
    with running("busy") as application:
        seen = probed(application, signed=True)
    assert failed(seen) == {"signed"}
    assert application.slots == set()


def test_the_reason_of_a_503_is_quoted() -> None:
    with running("no business") as application:
        seen = probed(application)
    assert failed(seen) == {"preview"}
    assert "503 instead of 200: No active business configured" in seen["preview"][1]


@pytest.mark.parametrize(
    ("fault", "said"), [("redirects", "answered 301 to https://www.app.test/incoming"), ("broken", "answered 500")]
)
def test_what_is_neither_served_nor_refused_proves_nothing(fault: str, said: str) -> None:
    with running(fault) as application:
        seen = probed(application)
    assert {"unsigned", "wrong_token", "altered", "callback"} <= failed(seen)
    assert said in seen["unsigned"][1]


def test_nobody_answering_is_unknown() -> None:
    with running() as application:
        pass
    assert {status for status, _evidence in probed(application).values()} == {UNKNOWN}
