# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The webhook probe against a small application that Twilio's own validator guards."""

from __future__ import annotations

import contextlib
import http.server
import random
import string
import threading
import urllib.parse
from collections.abc import Iterator

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _twilio
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer, Client
from twilio.request_validator import RequestValidator

TOKEN = "0123456789abcdef0123456789abcdef"
BASE = "https://app.test"
TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://app.test/ws/media"/></Connect></Response>'
BUSY = "<Response><Say>All lines are busy</Say><Hangup/></Response>"


def test_the_vector_from_twilios_documentation() -> None:
    params = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    signed = _twilio.signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", params)
    assert signed == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://a.test:443/x", "https://a.test/x"),
        ("http://a.test:80/x", "http://a.test/x"),
        ("https://a.test:8443/x", "https://a.test:8443/x"),
        ("http://a.test:443/x", "http://a.test:443/x"),
        ("https://a.test/x?b=2&a=1#part", "https://a.test/x?b=2&a=1"),
        ("https://a.test/x?a=%20+", "https://a.test/x?a=%20+"),
    ],
)
def test_the_url_is_signed_as_twilio_signs_it(url: str, signed: str) -> None:
    assert _twilio.canonical(url) == signed


def test_twilios_own_validator_agrees_and_only_with_the_unaltered() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    letters = string.ascii_letters + string.digits + " +&=%/?äשö🙂"

    def word(least: int = 1) -> str:
        return "".join(draw.choice(letters) for _each in range(draw.randint(least, 12)))

    for _each in range(300):
        token = word()
        port = draw.choice(["", ":443", ":8443", ":80"])
        query = draw.choice(["", "?" + urllib.parse.urlencode({word(): word(0), word(): word(0)})])
        url = f"{draw.choice(['https', 'http'])}://a.test{port}/{urllib.parse.quote(word())}{query}"
        params = {word(): word(0) for _each in range(draw.randint(0, 6))}
        signed = _twilio.signature(token, url, params)
        validator = RequestValidator(token)
        assert validator.validate(url, params, signed), (url, params)
        assert not validator.validate(url, {**params, "Added": "1"}, signed)
        assert not RequestValidator(token + "x").validate(url, params, signed)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!DOCTYPE Response [<!ENTITY a 'aaaa'>]><Response>&a;</Response>", "declares a document type"),
        (b"<!doctype html><html></html>", "declares a document type"),
        (
            '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE Response [<!ENTITY a "a">]><Response/>'.encode("utf-16"),
            "not UTF-8",
        ),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"", "no element found"),
        (b"<Response><Say>", "no element found"),
        (b"<Response>&nbsp;</Response>", "undefined entity"),
        (b"<html><body>hello</body></html>", "its root is html"),
    ],
)
def test_what_is_no_twiml_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(OpsError, match=said):
        _twilio.parse_twiml(body)


def test_a_declared_encoding_is_not_followed() -> None:
    """Bytes that are harmless as UTF-8 must not become a document type in the encoding that they claim."""
    hidden = '<?xml version="1.0" encoding="utf-7"?><Response>+ADwAIQ-DOCTYPE+AD4-</Response>'
    assert _twilio.parse_twiml(hidden.encode()).text == "+ADwAIQ-DOCTYPE+AD4-"


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ('<Stream url="wss://app.test/ws/media"/>', ""),
        ('<Stream url="wss://APP.test/ws/media"><Parameter name="CallSid" value="CA1"/></Stream>', ""),
        ('<Stream url="ws://app.test/ws/media"/>', "is not wss://"),
        ('<Stream url="wss://other.test/ws/media"/>', "is not at app.test"),
        ('<Stream url="wss://app.test/ws/other"/>', "has not the path /ws/media"),
        ('<Stream url="wss://app.test/ws/media?a=1"/>', "has a query"),
        ("<Stream/>", "is not wss://"),
        ("", "TwiML without Connect/Stream"),
    ],
)
def test_where_the_stream_leads(stream: str, said: str) -> None:
    body = f"<Response><Connect>{stream}</Connect></Response>".encode()
    outcome = _twilio.judge_stream(Answer(200, body=body), _twilio.Stream("app.test", "/ws/media"))
    assert outcome.status == (FAIL if said else PASS)
    assert said in outcome.evidence


def test_twiml_that_only_speaks_is_quoted() -> None:
    outcome = _twilio.judge_stream(Answer(200, body=BUSY.encode()), _twilio.Stream("app.test"))
    assert outcome.status == FAIL
    assert "All lines are busy; Hangup" in outcome.evidence


class Application(http.server.ThreadingHTTPServer):
    """Takes calls, one slot each, guarded by Twilio's validator. ``fault`` is one bad day."""

    def __init__(self, fault: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.slots: set[str] = set()
        self.taken: list[dict[str, str]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Application

    def do_GET(self) -> None:
        if self.path == "/preview" and self.server.fault == "no business":
            self._answer(503, "No active business configured")
        else:
            self._answer(200, TWIML if self.path == "/preview" else "<!doctype html>")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        params = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        fault, given = self.server.fault, self.headers.get("X-Twilio-Signature", "")
        token = "another token" if fault == "another token" else TOKEN
        valid = RequestValidator(token).validate(BASE + self.path, params, given)
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
        address="127.0.0.1",
        http=Client(timeout=5),
    )


def probed(application: Application, signed: bool = False) -> dict[str, tuple[str, str]]:
    report = _twilio.inspect(hook(application.server_port), signed)
    assert report.secrets == {TOKEN}
    return {check.id.removeprefix("webhook."): (check.status, check.evidence) for check in report.checks}


def failed(seen: dict[str, tuple[str, str]]) -> set[str]:
    return {name for name, (status, _evidence) in seen.items() if status != PASS}


def test_a_guarded_webhook_passes_and_no_call_is_taken() -> None:
    with running() as application:
        seen = probed(application)
    assert set(seen) == {"unsigned", "wrong_token", "altered", "callback", "preview"}
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
    assert failed(seen) == {"unsigned", "wrong_token", "altered"}
    assert len({params["CallSid"] for params in application.taken}) == 3
    assert application.slots == set()


def test_a_signature_that_is_only_looked_for_is_not_checked() -> None:
    with running("any signature") as application:
        assert failed(probed(application)) == {"wrong_token", "altered"}


def test_another_token_is_seen_though_every_forgery_is_refused() -> None:
    with running("another token") as application:
        seen = probed(application)
    assert failed(seen) == {"callback"}
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
