# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a Twilio webhook what Twilio would ask, and what a forger would.

Every request names a call of its own and nothing else (no From, no To), so that the application finds no business,
makes no lead and writes no call. Whatever may have taken a call slot is given back by the status callback that ends a call.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import typing as t
import urllib.parse
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from xml.etree import ElementTree

from ._check import FAIL, PASS, Outcome, Report, timed
from ._errors import OpsError
from ._http import DEFAULT_PORTS, Answer, Client

FORM = "application/x-www-form-urlencoded"
MAX_TWIML = 1 << 16  # Twilio itself reads no more


def canonical(url: str) -> str:
    """Return the URL as Twilio signs it: without fragment, and without the port where it is the scheme's own."""
    parts = urllib.parse.urlsplit(url)
    netloc = parts.netloc
    if parts.port is not None and parts.port == DEFAULT_PORTS.get(parts.scheme):
        netloc = netloc.rpartition(":")[0]
    return urllib.parse.urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def signature(token: str, url: str, params: Mapping[str, str]) -> str:
    """Return the value of X-Twilio-Signature: base64 of HMAC-SHA1 over the URL and the sorted parameters."""
    signed = canonical(url) + "".join(name + params[name] for name in sorted(params))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def call_sid() -> str:
    """Return a call id that no call has had: well formed, random."""
    return "CA" + secrets.token_hex(16)


def parse_twiml(body: bytes) -> ElementTree.Element:
    """Parse TwiML from a server that is not trusted: UTF-8 only, and no declaration that could define an entity."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OpsError(
            "The answer is no TwiML: it is not UTF-8.", "Look at the log of the service behind the webhook."
        ) from None
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise OpsError(
            "The answer is no TwiML: it declares a document type.", "Look at what answers at the webhook's URL."
        )
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise OpsError(f"The answer is no TwiML ({error}).", "Look at what answers at the webhook's URL.") from None
    if root.tag != "Response":
        raise OpsError(f"The answer is no TwiML: its root is {root.tag}.", "Look at what answers at the webhook's URL.")
    return root


@dataclass(frozen=True)
class Stream:
    """What the TwiML's media stream must point to.

    Attributes:
        host: host of the WebSocket.
        path: path of the WebSocket; empty when any will do.
    """

    host: str
    path: str = ""


def judge_stream(answer: Answer, want: Stream) -> Outcome:
    """Judge TwiML that should connect a call to a media stream; 200 and XML alone prove nothing."""
    root = parse_twiml(answer.body)
    stream = root.find("Connect/Stream")
    if stream is None:
        said = "; ".join(" ".join((node.text or node.tag).split())[:80] for node in root) or "nothing"
        return Outcome(
            FAIL, f"TwiML without Connect/Stream, it says: {said}", "Look at the log of the service behind the webhook."
        )
    url = stream.get("url", "")
    parts = urllib.parse.urlsplit(url)
    wrong = [
        text
        for text, bad in (
            ("is not wss://", parts.scheme != "wss"),
            (f"is not at {want.host}", parts.netloc.lower() != want.host.lower()),
            (f"has not the path {want.path}", bool(want.path) and parts.path != want.path),
            ("has a query, which Twilio does not pass on", bool(parts.query)),
        )
        if bad
    ]
    if wrong:
        return Outcome(
            FAIL,
            f"the stream's URL {url!r} {' and '.join(wrong)}",
            "Correct the public host in the application's settings.",
        )
    return Outcome(PASS, f"200 TwiML, Connect/Stream to {url}")


@dataclass(frozen=True)
class Webhook:
    """One application's webhook and how to reach it.

    Attributes:
        url: base URL to which the requests go.
        signed_url: base URL that is signed: what the application believes its public address to be.
        preview: path that answers TwiML to an unsigned GET; empty when there is none.
        status: path of the status callback.
        refused: status codes of a refusal.
        ended: status codes of an accepted status callback.
    """

    url: str
    signed_url: str
    token: str
    stream: Stream
    incoming: str
    preview: str
    status: str
    refused: Sequence[int] = (403,)
    ended: Sequence[int] = (204,)
    address: str = ""
    http: Client = field(default_factory=Client)


class Probe:
    """Sends the requests, remembers which call ids may hold a slot, and gives those back."""

    def __init__(self, hook: Webhook) -> None:
        self._hook = hook
        self._holding: set[str] = set()

    def preview(self) -> Outcome:
        answer = self._hook.http.send(self._hook.url.rstrip("/") + self._hook.preview, address=self._hook.address)
        if answer.status != 200:
            return _unexpected(answer, [200])
        return judge_stream(answer, self._hook.stream)

    def unsigned(self) -> Outcome:
        return self._refused({"CallSid": call_sid()}, None)

    def wrong_token(self) -> Outcome:
        params = {"CallSid": call_sid()}
        return self._refused(params, signature(secrets.token_hex(16), self._signed(self._hook.incoming), params))

    def altered(self) -> Outcome:
        right = signature(self._hook.token, self._signed(self._hook.incoming), {"CallSid": call_sid()})
        return self._refused({"CallSid": call_sid()}, right)

    def callback(self) -> Outcome:
        """Show that token and signed URL are right without taking a slot: the end of a call that never was."""
        answer = self._end(call_sid())
        if answer.status in self._hook.ended:
            return Outcome(PASS, f"a correctly signed status callback is accepted ({answer.status})")
        if answer.status in self._hook.refused:
            return Outcome(
                FAIL,
                f"a correctly signed status callback is refused ({answer.status}): Twilio's own requests would be, too",
                f"Compare the auth token with the Twilio account's, and {self._hook.signed_url} with its webhook's URL.",
            )
        return _unexpected(answer, self._hook.ended)

    def signed(self) -> Outcome:
        params = {"CallSid": call_sid()}
        answer = self._post(
            self._hook.incoming, params, signature(self._hook.token, self._signed(self._hook.incoming), params)
        )
        return judge_stream(answer, self._hook.stream) if answer.status == 200 else _unexpected(answer, [200])

    @property
    def holding(self) -> bool:
        return bool(self._holding)

    def give_back(self) -> Outcome:
        """End every call that may hold a slot."""
        left = {}
        for sid in sorted(self._holding):
            answer = self._end(sid)
            if answer.status in self._hook.ended:
                self._holding.discard(sid)
            else:
                left[sid] = answer.status
        if not left:
            return Outcome(PASS, "every call slot that a probe took is free again")
        told = ", ".join(f"{sid} (answered {status})" for sid, status in left.items())
        return Outcome(
            FAIL,
            f"the call slot of {told} may still be taken",
            "Take these out of the application's active calls by hand.",
        )

    def _refused(self, params: dict[str, str], signed: str | None) -> Outcome:
        answer = self._post(self._hook.incoming, params, signed)
        if answer.status in self._hook.refused:
            return Outcome(PASS, f"refused with {answer.status}")
        if answer.status < 300:
            return Outcome(
                FAIL,
                f"accepted with {answer.status}: anybody can make this application take calls",
                "Switch the signature check on and deploy again.",
            )
        return _unexpected(answer, self._hook.refused)

    def _post(self, path: str, params: Mapping[str, str], signed: str | None) -> Answer:
        self._holding.add(
            params["CallSid"]
        )  # before it is sent: a request without an answer may have taken a slot, too
        answer = self._send(path, params, signed)
        if 300 <= answer.status < 500:
            self._holding.discard(params["CallSid"])
        return answer

    def _end(self, sid: str) -> Answer:
        params = {"CallSid": sid, "CallStatus": "canceled"}
        return self._send(
            self._hook.status, params, signature(self._hook.token, self._signed(self._hook.status), params)
        )

    def _send(self, path: str, params: Mapping[str, str], signed: str | None) -> Answer:
        headers = {"Content-Type": FORM, **({"X-Twilio-Signature": signed} if signed else {})}
        body = urllib.parse.urlencode(params).encode()
        return self._hook.http.send(self._hook.url.rstrip("/") + path, "POST", headers, body, self._hook.address)

    def _signed(self, path: str) -> str:
        return self._hook.signed_url.rstrip("/") + path


def _unexpected(answer: Answer, expected: Sequence[int]) -> Outcome:
    wanted = " or ".join(str(status) for status in expected)
    if 300 <= answer.status < 400:
        remedy = "Ask the URL that is meant: Twilio signs what it was given, and a redirect is another."
        return Outcome(
            FAIL, f"answered {answer.status} to {answer.headers.get('location', 'nowhere')} instead of {wanted}", remedy
        )
    said = f": {answer.excerpt()}" if answer.content_type != "text/html" and answer.body else ""
    return Outcome(
        FAIL,
        f"answered {answer.status} instead of {wanted}{said}",
        "Look at the log of the service behind the webhook.",
    )


def inspect(hook: Webhook, signed: bool = False) -> Report:
    """Run the probes side by side; the signed one, which takes a slot for a moment, only when asked for."""
    probe = Probe(hook)
    looks: list[tuple[str, str, t.Callable[[], Outcome]]] = [
        ("webhook.unsigned", "An unsigned call is refused", probe.unsigned),
        ("webhook.wrong_token", "A call signed with another token is refused", probe.wrong_token),
        ("webhook.altered", "A call altered after signing is refused", probe.altered),
        ("webhook.callback", "A correctly signed status callback is accepted", probe.callback),
    ]
    if hook.preview:
        looks.append(("webhook.preview", "The webhook answers TwiML for a media stream", probe.preview))
    if signed:
        looks.append(("webhook.signed", "A correctly signed call gets its media stream", probe.signed))
    with ThreadPoolExecutor(max_workers=len(looks)) as pool:
        checks = list(pool.map(lambda look: timed(look[0], look[1], (), look[2]), looks))
    if probe.holding:
        name = "webhook.give_back"
        checks.append(timed(name, "The probes leave no call slot behind", (), probe.give_back))
    return Report(checks=checks, secrets={hook.token})
