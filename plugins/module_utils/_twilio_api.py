# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twilio's REST API, as far as a call is made, watched, ended and listened to with it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import array
import base64
import io
import sys
import typing as t
import urllib.parse
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import _audio
from ._errors import OpsError, Unreachable
from ._http import Answer, Client
from ._twilio import FORM

ENDED = ("completed", "busy", "failed", "no-answer", "canceled")
NOT_IN_PROGRESS = 21220  # what a call that is over answers to being ended

_PAGE = 50  # calls in a list, the newest first
LONGEST = 8 << 20  # bytes of a recording: eight minutes

_TO = "Write the number that the application answers as +, country code and number, in quotes."
_FROM = "Give a number of this account, or one that is verified there: console.twilio.com, Phone Numbers."
_ACCOUNT = "Look at the account at console.twilio.com."
# Twilio's codes: what they mean here, and what to do.
REFUSALS: Mapping[int, tuple[str, str]] = {
    10001: ("the account is not active", _ACCOUNT),
    10004: ("the account has as many calls at once as it may", "Wait until some have ended, then run it again."),
    20003: (
        "the token is not that of the account, or the account is suspended or closed",
        "Look at the account at console.twilio.com; if it is active, copy its auth token into the env file.",
    ),
    20005: ("the account is not active", _ACCOUNT),
    20404: ("the account is not known there", "Copy the account SID from console.twilio.com into the env file."),
    20429: ("it was asked too often", "Wait a minute, then run it again."),
    21201: ("the number to call is missing", _TO),
    21205: ("what is to be said is not taken", "Correct what real_call says."),
    21210: ("the calling number is neither this account's nor verified there", _FROM),
    21211: ("the number to call is not valid", f"{_TO} It must be another than the calling one."),
    21212: ("the calling number is not valid", _FROM),
    21213: ("the calling number is missing", _FROM),
    21214: ("the number to call cannot be reached", _TO),
    21215: (
        "the account may not call that country",
        "Allow it at console.twilio.com, Voice, Settings, Geo permissions.",
    ),
    21216: ("the account may not call that number", _ACCOUNT),
    21217: ("the number to call does not look valid", _TO),
    21219: ("a trial account calls verified numbers alone", "Verify the number at console.twilio.com, or upgrade."),
}


class Refused(OpsError):
    """Twilio understood, and said no."""

    def __init__(self, code: int, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.code = code


@dataclass(frozen=True)
class Call:
    """One leg of a call, as Twilio tells it.

    Attributes:
        direction: ``inbound``, ``outbound-api`` or ``outbound-dial``.
        seconds: how long it lasted; -1 as long as that is not told.
    """

    sid: str
    status: str
    direction: str
    caller: str
    called: str
    parent: str = ""
    seconds: int = -1

    @property
    def over(self) -> bool:
        return self.status in ENDED

    @classmethod
    def of(cls, told: Mapping[str, t.Any]) -> Call:
        seconds = str(told.get("duration") or "")
        return cls(
            sid=str(told["sid"]),
            status=str(told["status"]),
            direction=str(told.get("direction") or ""),
            caller=str(told.get("from") or ""),
            called=str(told.get("to") or ""),
            parent=str(told.get("parent_call_sid") or ""),
            seconds=int(seconds) if seconds.isdigit() else -1,
        )


@dataclass(frozen=True)
class Sound:
    """What a recording holds.

    Attributes:
        first: seconds until the first sound that can be heard; -1 when there is none.
        kept: what to say where it could not be deleted.
    """

    seconds: float
    first: float
    kept: str = ""


class Account:
    """One account. Nothing here is tried twice: a call that is asked for twice is two calls.

    Args:
        url: where the API is.
        token: auth token of the account.
        http: reads recordings, too, up to ``LONGEST``.
    """

    def __init__(self, url: str, sid: str, token: str, http: Client) -> None:
        if not url.startswith("https://"):
            raise OpsError(f"{url!r} is no https:// URL, and the token goes there.", "Correct api_url.")
        self._base = f"{url.rstrip('/')}/2010-04-01/Accounts/{urllib.parse.quote(sid, safe='')}"
        self._headers = {"Authorization": "Basic " + base64.b64encode(f"{sid}:{token}".encode()).decode()}
        self._http = http
        self._where = url.rstrip("/")

    def calls_to(self, number: str) -> list[Call]:
        """Return the newest calls to a number.

        A filter by the time of the start would leave out those that have not begun.
        """
        query = urllib.parse.urlencode({"To": number, "PageSize": _PAGE})
        return self._read(f"/Calls.json?{query}", lambda told: [Call.of(one) for one in told["calls"]])

    def place(self, form: Mapping[str, str]) -> Call:
        return self._read("/Calls.json", Call.of, form)

    def call(self, sid: str) -> Call:
        return self._read(f"/Calls/{sid}.json", Call.of)

    def end(self, sid: str) -> None:
        """End a call; one that is over already is ended, too."""
        try:
            self._ask(f"/Calls/{sid}.json", {"Status": "completed"})
        except Refused as error:
            if error.code != NOT_IN_PROGRESS:
                raise

    def noted(self, sid: str) -> list[str]:
        """Return the codes of what Twilio found wrong with a call; it is extra, so none where that is not told."""
        try:
            return self._read(
                f"/Calls/{sid}/Notifications.json",
                lambda told: sorted({str(one["error_code"]) for one in told["notifications"]}),
            )
        except OpsError:
            return []

    def recordings(self, sid: str) -> dict[str, str]:
        """Return the status of each recording of a call."""
        return self._read(
            f"/Calls/{sid}/Recordings.json", lambda told: {one["sid"]: one["status"] for one in told["recordings"]}
        )

    def sound(self, recording: str) -> Sound:
        """Listen to a recording. Where Twilio sends us on to its storage, that is not told the token."""
        answer = self._send(f"/Recordings/{recording}.wav")
        storage = answer.headers.get("location", "") if 300 <= answer.status < 400 else ""
        if storage.startswith("https://"):
            answer = self._http.send(storage, "GET", headers={})
        return heard(self._taken(answer).body)

    def forget(self, recording: str) -> None:
        self._ask(f"/Recordings/{recording}.json", method="DELETE")

    def _read(self, path: str, parse: t.Callable[[t.Any], Found], form: Mapping[str, str] | None = None) -> Found:
        answer = self._ask(path, form)
        try:
            return parse(answer.json())
        except (ValueError, LookupError, TypeError, AttributeError):
            raise OpsError(
                f"{self._where} answers {answer.status} with something else than Twilio would.",
                "Look at what is there.",
            ) from None

    def _ask(self, path: str, form: Mapping[str, str] | None = None, method: str = "") -> Answer:
        return self._taken(self._send(path, form, method))

    def _send(self, path: str, form: Mapping[str, str] | None = None, method: str = "") -> Answer:
        body = urllib.parse.urlencode(form).encode() if form else b""
        headers = {**self._headers, **({"Content-Type": FORM} if form else {})}
        return self._http.send(self._base + path, method or ("POST" if form else "GET"), headers=headers, body=body)

    def _taken(self, answer: Answer) -> Answer:
        if not 200 <= answer.status < 300:
            raise refusal(answer, self._where)
        return answer


Found = t.TypeVar("Found")


def refusal(answer: Answer, where: str) -> OpsError:
    """Turn an answer that is none into one sentence. Where Twilio itself is at a loss, nothing can be said."""
    try:
        told = answer.json()
        code, said = int(told.get("code") or 0), " ".join(str(told.get("message") or "").split())[:160]
    except (ValueError, TypeError, AttributeError):
        code, said = 0, ""
    if answer.status >= 500:
        return Unreachable(
            f"Twilio's API at {where} answers {answer.status}.", "Look at status.twilio.com, then run it again."
        )
    if answer.status == 429:
        code = code if code in REFUSALS else 20429
        return Unreachable(f"Twilio refuses ({code}): {REFUSALS[code][0]}.", REFUSALS[code][1])
    if answer.status == 401:
        code = 20003
    if code in REFUSALS:
        problem, remedy = REFUSALS[code]
        return Refused(code, f"Twilio refuses ({code}): {problem}.", remedy)
    known = f"code {code}" if code else f"status {answer.status}"
    remedy = f"See https://www.twilio.com/docs/errors/{code}" if code else f"Look at what is at {where}."
    return Refused(code, f"Twilio refuses ({known})" + (f": {said.rstrip('.')}." if said else "."), remedy)


def heard(wav: bytes) -> Sound:
    """Listen to a recording: PCM of 16 bits."""
    try:
        with wave.open(io.BytesIO(wav)) as opened:
            if opened.getsampwidth() != 2:
                raise wave.Error("not 16 bits")
            rate = opened.getframerate() * opened.getnchannels()
            samples = array.array("h", opened.readframes(opened.getnframes()))
    except (wave.Error, EOFError, ValueError):
        raise OpsError("The recording is no sound of 16 bits.", "Listen to it at console.twilio.com.") from None
    if sys.byteorder == "big":
        samples.byteswap()
    return Sound(len(samples) / rate, _first(samples, rate))


def _first(samples: Sequence[int], rate: int) -> float:
    loud = (number for number, sample in enumerate(samples) if abs(sample) >= _audio.AUDIBLE)
    found = next(loud, -1)
    return round(found / rate, 2) if found >= 0 else -1.0
