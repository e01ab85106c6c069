# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Twilio's answers are read as. The demo's own Twilio is asked in tests/integration/test_real_call.py."""

from __future__ import annotations

import array
import io
import wave

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _twilio_api
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer
from ansible_collections.prosaas.ops.plugins.module_utils._twilio_api import Account, Call, Refused

from .service import Service, said

TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://api.twilio.test"


def account(**answers: Answer | OpsError) -> Account:
    return Account(URL, "AC1", TOKEN, Service({".json": next(iter(answers.values()))}))


def error(status: int, code: int) -> Answer:
    return said({"code": code, "message": "Words of Twilio's own.", "status": status}, status)


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (401, 20003, Refused, "the token is not that of the account"),
        (401, 0, Refused, "the token is not that of the account"),
        (400, 21210, Refused, "neither this account's nor verified there"),
        (400, 21211, Refused, "the number to call is not valid"),
        (400, 21212, Refused, "the calling number is not valid"),
        (403, 21215, Refused, "may not call that country"),
        (404, 20404, Refused, "the account is not known there"),
        (400, 29999, Refused, "(code 29999): Words of Twilio's own."),
        (429, 20429, Unreachable, "asked too often"),
        (429, 10004, Unreachable, "as many calls at once as it may"),
        (500, 20500, Unreachable, "answers 500"),
        (503, 20503, Unreachable, "answers 503"),
    ],
)
def test_a_refusal_is_one_sentence_and_a_remedy(status: int, code: int, kind: type[OpsError], words: str) -> None:
    with pytest.raises(kind) as raised:
        account(any=error(status, code)).place({"To": "+15005550006"})
    assert raised.value.__class__ is kind
    assert words in raised.value.problem and raised.value.problem.count("\n") == 0 and raised.value.remedy


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"sid": "CA1"}', b'"text"', b"\xff"])
def test_an_answer_that_is_none_of_twilios_is_an_error(body: bytes) -> None:
    with pytest.raises(OpsError, match="something else than Twilio would"):
        account(any=Answer(201, {}, body)).place({"To": "+15005550006"})
    with pytest.raises(Refused, match=r"Twilio refuses \(status 418\)"):
        account(any=Answer(418, {}, body)).place({"To": "+15005550006"})


def test_a_call_that_is_over_is_ended() -> None:
    account(any=error(400, 21220)).end("CA1")
    with pytest.raises(Refused):
        account(any=error(404, 20404)).end("CA1")


def test_what_twilio_notes_is_extra() -> None:
    assert account(any=said({"notifications": [{"error_code": "11200"}, {"error_code": "11200"}]})).noted("CA1") == [
        "11200"
    ]
    assert account(any=error(503, 20503)).noted("CA1") == []


def test_the_token_goes_over_tls_alone() -> None:
    with pytest.raises(OpsError, match="no https:// URL"):
        Account("http://api.twilio.test", "AC1", TOKEN, Service({}))


@pytest.mark.parametrize(("duration", "seconds"), [("7", 7), (None, -1), ("", -1)])
def test_a_duration_is_a_text_and_told_at_the_end(duration: str | None, seconds: int) -> None:
    told = {"sid": "CA1", "status": "completed", "direction": "inbound", "from": "+1", "to": "+2", "duration": duration}
    assert Call.of(told) == Call("CA1", "completed", "inbound", "+1", "+2", "", seconds)


def recording(samples: list[int], width: int = 2) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(width)
        made.setframerate(8000)
        made.writeframes(array.array("h", samples).tobytes())
    return written.getvalue()


def test_the_first_sound_of_a_recording_is_found() -> None:
    assert _twilio_api.heard(recording([0] * 4000 + [-9000] * 4000)) == _twilio_api.Sound(1.0, 0.5)
    assert _twilio_api.heard(recording([100] * 8000)) == _twilio_api.Sound(1.0, -1)
    assert _twilio_api.heard(recording([])) == _twilio_api.Sound(0.0, -1)


def test_a_storage_that_twilio_sends_us_on_to_is_not_told_the_token() -> None:
    found = {"location": "https://storage.test/RE1"}
    http = Service({"/Recordings/RE1.wav": Answer(307, found), "storage.test": Answer(200, {}, recording([0] * 8000))})
    assert Account(URL, "AC1", TOKEN, http).sound("RE1").seconds == 1.0
    assert [("Authorization" in headers) for _url, headers in http.asked] == [True, False]  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", [b"", b"RIFF", b"ID3 of an MP3", recording([0] * 8, width=1)])
def test_what_is_no_sound_is_an_error(body: bytes) -> None:
    with pytest.raises(OpsError, match="no sound of 16 bits"):
        _twilio_api.heard(body)
