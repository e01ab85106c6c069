# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twilio's side of a voice webhook: how it signs, what it sends, how it reads the answer.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import typing as t
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from ._check import FAIL, PASS, Outcome
from ._credentials import Credentials
from ._errors import OpsError
from ._http import DEFAULT_PORTS, Answer, Client, target

FORM = "application/x-www-form-urlencoded"
MAX_TWIML = 1 << 16  # Twilio itself reads no more

LOOK = "Look at the log of the service behind the webhook."

Params = Mapping[str, t.Union[str, Sequence[str]]]

# Options of the modules that ask a webhook; their credentials differ.
OPTIONS: dict[str, t.Any] = {
    "url": {"type": "str", "required": True},
    "address": {"type": "str", "default": ""},
    "ca_path": {"type": "path", "default": ""},
    "env_file": {"type": "path", "required": True},
    "signed_url": {"type": "str", "default": ""},
    "incoming_path": {"type": "str", "required": True},
    "status_path": {"type": "str", "required": True},
    "stream_host": {"type": "str", "default": ""},
    "stream_path": {"type": "str", "default": ""},
    "ended_status": {"type": "list", "elements": "int", "default": [204]},
    "timeout": {"type": "float", "default": 15},
}


def canonical(url: str) -> str:
    """Return the URL as Twilio signs it: without fragment, and without the port where it is the scheme's own."""
    parts = urllib.parse.urlsplit(url)
    netloc = parts.netloc
    if parts.port is not None and parts.port == DEFAULT_PORTS.get(parts.scheme):
        netloc = netloc.rpartition(":")[0]
    return urllib.parse.urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def signature(token: str, url: str, params: Params) -> str:
    """Return the value of X-Twilio-Signature: base64 of HMAC-SHA1 over the URL and the sorted parameters.

    Of a parameter with several values Twilio signs each one once, sorted.
    """
    pairs = [(name, value) for name in sorted(params) for value in sorted(set(_values(params[name])))]
    signed = canonical(url) + "".join(name + value for name, value in pairs)
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def _values(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


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


@dataclass(frozen=True)
class Connection:
    """The media stream that TwiML connects a call to.

    Attributes:
        parameters: what the stream is to be told in its first message.
    """

    url: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def connection_of(twiml: bytes) -> Connection:
    """Return the media stream; TwiML without one is an error that says what it has instead."""
    root = parse_twiml(twiml)
    stream = root.find("Connect/Stream")
    if stream is None:
        said = "; ".join(" ".join((node.text or node.tag).split())[:80] for node in root) or "nothing"
        raise OpsError(f"TwiML without Connect/Stream, it says: {said}", LOOK)
    given = {node.get("name", ""): node.get("value", "") for node in stream.findall("Parameter")}
    return Connection(stream.get("url", ""), given)


def judge_stream(answer: Answer, want: Stream) -> Outcome:
    """Judge TwiML that should connect a call to a media stream; 200 and XML alone prove nothing."""
    url = connection_of(answer.body).url
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
        aliases: other paths that take calls.
    """

    url: str
    signed_url: str
    token: str
    stream: Stream
    incoming: str
    status: str
    preview: str = ""
    refused: Sequence[int] = (403,)
    ended: Sequence[int] = (204,)
    aliases: Sequence[str] = ()
    address: str = ""
    http: Client = field(default_factory=Client)

    @classmethod
    def of(cls, params: Mapping[str, t.Any], known: Credentials, http: Client, **more: t.Any) -> Webhook:
        """Read it from options; ``known`` has the token, and perhaps the address that is signed."""
        public = known.get("public_base_url")
        if public and urllib.parse.urlsplit(public).scheme not in DEFAULT_PORTS:  # a secret at the wrong place, perhaps
            name, path = params["credentials"]["public_base_url"], params["env_file"]
            raise OpsError(f"{name} in {path} is no URL.", f"Correct {name}: https:// and the public host name.")
        signed_url = params["signed_url"] or public or params["url"]
        return cls(
            url=params["url"],
            signed_url=signed_url,
            token=known.need("auth_token"),
            stream=Stream(params["stream_host"] or target(signed_url).netloc, params["stream_path"]),
            incoming=params["incoming_path"],
            status=params["status_path"],
            ended=params["ended_status"],
            address=params["address"],
            http=http,
            **more,
        )

    def signature(self, path: str, params: Params, base: str = "") -> str:
        """Sign a request as Twilio would, for the public address or for another one."""
        return signature(self.token, (base or self.signed_url).rstrip("/") + path, params)

    def send(
        self,
        path: str,
        params: Params | None = None,
        signed: str = "",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request with parameters as a form, or in the URL of a GET."""
        body = urllib.parse.urlencode(params or {}, doseq=True)
        sent = {**({"X-Twilio-Signature": signed} if signed else {}), **(headers or {})}
        if method == "GET":
            path, body = path + (f"?{body}" if body else ""), ""
        else:
            sent["Content-Type"] = FORM
        return self.http.send(self.url.rstrip("/") + path, method, sent, body.encode(), self.address)

    def end(self, sid: str, status: str = "canceled", **more: str) -> Answer:
        """Tell, as Twilio does, that a call has ended; it gives back a slot that the call may hold."""
        params = {"CallSid": sid, "CallStatus": status, **more}
        return self.send(self.status, params, self.signature(self.status, params))


def unexpected(answer: Answer, expected: Sequence[int]) -> Outcome:
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
