# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Twilio signs, by its own library and its documentation, and what is read from an answer."""

from __future__ import annotations

import random
import string
import urllib.parse
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _twilio
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, Check, timed
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer, Client
from twilio.request_validator import RequestValidator

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


class Form(dict[str, "str | list[str]"]):
    """As the validator gets it from a web framework, where a name may occur several times."""

    def getlist(self, name: str) -> list[str]:
        values = self[name]
        return [values] if isinstance(values, str) else values


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
        params = Form({word(): word(0) for _each in range(draw.randint(0, 6))})
        if draw.random() < 0.3:  # a name that occurs several times
            params[word()] = [word(0) for _each in range(draw.randint(2, 4))]
        signed = _twilio.signature(token, url, params)
        validator = RequestValidator(token)
        assert validator.validate(url, params, signed), (url, params)
        assert not validator.validate(url, Form({**params, "Added": "1"}), signed)
        assert not RequestValidator(token + "x").validate(url, params, signed)


def test_of_several_values_each_is_signed_once_and_sorted() -> None:
    url = "https://app.test/x"
    several = _twilio.signature("12345", url, {"Digits": ["2", "1", "2"]})
    assert several == _twilio.signature("12345", url, {"Digits": ["1", "2"]})
    assert several != _twilio.signature("12345", url, {"Digits": "2"})
    assert RequestValidator("12345").compute_signature(url, Form({"Digits": ["2", "1", "2"]})) == several


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


def judged(twiml: str) -> Check:
    want = _twilio.Stream("app.test", "/ws/media")
    return timed("webhook.x", "x", (), lambda: _twilio.judge_stream(Answer(200, body=twiml.encode()), want))


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
    outcome = judged(f"<Response><Connect>{stream}</Connect></Response>")
    assert outcome.status == (FAIL if said else PASS)
    assert said in outcome.evidence


def test_twiml_that_only_speaks_is_quoted() -> None:
    outcome = judged(BUSY)
    assert outcome.status == FAIL
    assert "All lines are busy; Hangup" in outcome.evidence


def test_a_stream_brings_its_parameters_along() -> None:
    inner = '<Stream url="wss://app.test/ws"><Parameter name="CallSid" value="CA1"/><Parameter name="To" value=""/></Stream>'
    found = _twilio.connection_of(f"<Response><Connect>{inner}</Connect></Response>".encode())
    assert found == _twilio.Connection("wss://app.test/ws", {"CallSid": "CA1", "To": ""})


def test_what_is_no_url_is_refused_without_its_value(tmp_path: Path) -> None:
    """A secret that stands at the wrong place of an environment file is in no message."""
    env = tmp_path / ".env"
    env.write_text("TOKEN=0123456789abcdef\nBASE=hunter2hunter2\n", encoding="ascii")
    names = {"auth_token": "TOKEN", "public_base_url": "BASE"}
    options = {"credentials": names, "env_file": str(env), "signed_url": "", "url": "https://app.test"}
    with pytest.raises(OpsError, match=r"BASE in .* is no URL") as refused:
        _twilio.Webhook.of(options, Credentials(str(env), names), Client())
    assert "hunter2" not in f"{refused.value} {refused.value.remedy}"
