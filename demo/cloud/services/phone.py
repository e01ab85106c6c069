# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twilio's telephone exchange: a call from one of the account's numbers to the one that the application answers.

As at Twilio a call between two of its numbers is two calls: one that was asked for, which runs the TwiML that came with
it, and one that comes in, which runs the TwiML that the application answers. What the first one says goes to the
application's media stream; what the stream gives back is what the first one hears, and records.
"""

from __future__ import annotations

import asyncio
import audioop
import base64
import hashlib
import hmac
import io
import json
import math
import secrets
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import websockets
from common import fault, secret

ENDED = ("completed", "busy", "failed", "no-answer", "canceled")
RATE, FRAME = 8000, 160  # samples a second; samples, and bytes of µ-law, in 20 ms
SILENCE = b"\xff" * FRAME
RING = 0.3
WEBHOOK_SECONDS = 15
MOST_TWIML = 1 << 16
# Numbers of Twilio's error dictionary.
NO_ANSWER, NO_TWIML, UNKNOWN_VERB, NO_HANDSHAKE, BAD_STREAM = "11200", "12100", "12200", "31920", "12400"


@dataclass
class Leg:
    """One of the two calls."""

    to: str
    caller: str
    direction: str
    sid: str = field(default_factory=lambda: "CA" + secrets.token_hex(16))
    status: str = "queued"
    created: float = field(default_factory=time.time)
    answered: float = 0.0
    over: float = 0.0
    noted: list[str] = field(default_factory=list)

    def turn(self, status: str) -> None:
        if self.status in ENDED:
            return
        self.status = status
        if status == "in-progress":
            self.answered = time.time()
        elif status in ENDED:
            self.over = time.time()

    @property
    def duration(self) -> int:
        return math.ceil(self.over - self.answered) if self.answered and self.over else 0


@dataclass
class Recording:
    call: str
    sid: str = field(default_factory=lambda: "RE" + secrets.token_hex(16))
    status: str = "in-progress"
    heard: bytearray = field(default_factory=bytearray)

    def wav(self) -> bytes:
        written = io.BytesIO()
        with wave.open(written, "wb") as made:
            made.setnchannels(1)
            made.setsampwidth(2)
            made.setframerate(RATE)
            made.writeframes(audioop.ulaw2lin(bytes(self.heard), 2))
        return written.getvalue()


@dataclass
class Exchange:
    """All calls of the account, the newest first, and what was recorded."""

    legs: list[Leg] = field(default_factory=list)
    recordings: dict[str, Recording] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)

    def leg(self, sid: str) -> Leg | None:
        return next((leg for leg in self.legs if leg.sid == sid), None)


@dataclass(frozen=True)
class Number:
    """What a number does with calls."""

    phone: str
    voice_url: str
    status_callback: str


class Line:
    """Two legs that are connected, from the first ring to the end."""

    def __init__(self, exchange: Exchange, ours: Leg, form: Mapping[str, str], number: Number | None) -> None:
        self._exchange, self.ours, self._form, self._number = exchange, ours, form, number
        self.theirs: Leg | None = None
        self._ending = asyncio.Event()
        self._recording: Recording | None = None

    def end(self) -> None:
        self._ending.set()

    async def lead(self) -> None:
        """Ring, connect, and end; within its time limit."""
        try:
            await asyncio.wait_for(self._lead(), float(self._form.get("TimeLimit", 14400)))
        except asyncio.TimeoutError:
            pass
        finally:
            await self._hang_up("completed")

    async def _lead(self) -> None:
        await self._until(RING)
        self.ours.turn("ringing")
        await self._until(RING)
        if self._ending.is_set():
            return await self._hang_up("canceled")
        if fault("twilio-busy"):
            return await self._hang_up("busy")
        if parsed(self._form["Twiml"]) is None:
            self.ours.noted.append(NO_TWIML)
            return await self._hang_up("failed")
        if self._number is None:  # nobody has this number in a world without other telephones
            return await self._hang_up("no-answer")
        self.theirs = Leg(self.ours.to, self.ours.caller, "inbound", status="ringing")
        self._exchange.legs.insert(0, self.theirs)
        twiml = await self._fetch(self._number.voice_url, "ringing")
        if twiml is None:
            return await self._hang_up("failed")
        if len(twiml) and twiml[0].tag == "Reject":
            return await self._hang_up("busy")
        self.theirs.turn("in-progress")
        self.ours.turn("in-progress")
        if self._form.get("Record") == "true":
            self._recording = Recording(self.ours.sid)
            self._exchange.recordings[self._recording.sid] = self._recording
        await self._run(twiml)

    async def _run(self, twiml: ElementTree.Element) -> None:
        """Do what the application says, verb by verb; when there is nothing more to do, the call is over."""
        for verb in twiml:
            if self._ending.is_set() or verb.tag == "Hangup":
                return
            stream = verb.find("Stream") if verb.tag == "Connect" else None
            if stream is not None:
                await self._connect(verb, stream)
            elif verb.tag == "Say":
                await self._until(max(1.0, len(verb.text or "") * 0.06))
            elif verb.tag == "Pause":
                await self._until(float(verb.get("length", "1")))
            else:
                self._note(UNKNOWN_VERB)

    async def _connect(self, verb: ElementTree.Element, stream: ElementTree.Element) -> None:
        url = stream.get("url", "")
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "wss" or parts.query:
            self._note(BAD_STREAM)
            return
        try:
            opened = await websockets.connect(url, ssl=ssl.create_default_context(), origin=None, open_timeout=5)
        except (OSError, websockets.WebSocketException, asyncio.TimeoutError):
            self._note(NO_HANDSHAKE)
            return
        given = {node.get("name", ""): node.get("value", "") for node in stream.findall("Parameter")}
        try:
            await self._carry(opened, given)
        finally:
            with suppress(OSError, websockets.WebSocketException):
                await opened.close()
        if not self._ending.is_set() and verb.get("action"):
            more = await self._fetch(verb.get("action", ""), "in-progress")
            if more is not None:
                await self._run(more)

    async def _carry(self, opened: Any, given: Mapping[str, str]) -> None:
        """Carry sound both ways, a frame each 20 ms, until one side has enough."""
        assert self.theirs is not None
        name, account = "MZ" + secrets.token_hex(16), "AC" + secret("twilio_account")
        about = {"streamSid": name, "accountSid": account, "callSid": self.theirs.sid, "tracks": ["inbound"]}
        about["mediaFormat"] = {"encoding": "audio/x-mulaw", "sampleRate": RATE, "channels": 1}
        number = 1

        async def send(event: str, **more: Any) -> None:
            nonlocal number
            await opened.send(json.dumps({"event": event, "sequenceNumber": str(number), "streamSid": name, **more}))
            number += 1

        listening = asyncio.ensure_future(self._listen(opened, name))
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await opened.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
            await send("start", start={**about, "customParameters": dict(given)})
            began, chunk = time.monotonic(), 0
            async for frame in spoken(self._form["Twiml"]):
                media = {"track": "inbound", "chunk": str(chunk + 1), "timestamp": str(chunk * 20)}
                await send("media", media={**media, "payload": base64.b64encode(frame).decode()})
                chunk += 1
                left = began + chunk * FRAME / RATE - time.monotonic()
                await asyncio.wait({listening, ending}, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
                if listening.done() or ending.done():
                    break
            if not listening.done():
                self._ending.set()  # all was said, or the caller hung up: unless the application did, the call is over
                await send("stop", stop={"accountSid": account, "callSid": self.theirs.sid})
                await asyncio.wait({listening}, timeout=2)
        except websockets.WebSocketException:
            pass  # the application hung up
        finally:
            listening.cancel()
            ending.cancel()

    async def _listen(self, opened: Any, name: str) -> None:
        """Play what comes back, and tell each mark when what came before it was played."""
        until = time.monotonic()
        with suppress(websockets.WebSocketException, ValueError, LookupError, TypeError):
            async for text in opened:
                message = json.loads(text)
                if message["event"] == "media":
                    sound = base64.b64decode(message["media"]["payload"])
                    until = max(until, time.monotonic()) + len(sound) / RATE
                    if self._recording:
                        self._recording.heard += sound
                elif message["event"] == "clear":
                    until = time.monotonic()
                elif message["event"] == "mark":
                    await asyncio.sleep(max(until - time.monotonic(), 0))
                    told = {"event": "mark", "streamSid": name, "mark": {"name": message["mark"]["name"]}}
                    await opened.send(json.dumps(told))

    async def _hang_up(self, status: str) -> None:
        """Turn both legs to their last status, and tell the number's own callback."""
        if self.ours.status in ENDED:
            return
        self.ours.turn(status)
        if self._recording:
            self._recording.status = "completed"
        if self.theirs:
            self.theirs.turn(status)
            if self._number and self._number.status_callback:
                await self._post(self._number.status_callback, self.theirs.status, str(self.theirs.duration))

    async def _fetch(self, url: str, status: str) -> ElementTree.Element | None:
        """Ask the application what to do; what is wrong with its answer is noted."""
        code, body = await self._post(url, status)
        if not 200 <= code < 300:
            self._note(NO_ANSWER)
            return None
        root = parsed(body)
        if root is None:
            self._note(NO_TWIML)
        return root

    async def _post(self, url: str, status: str, duration: str = "") -> tuple[int, bytes]:
        assert self.theirs is not None
        form = {
            "CallSid": self.theirs.sid,
            "AccountSid": "AC" + secret("twilio_account"),
            "From": self.theirs.caller,
            "To": self.theirs.to,
            "Caller": self.theirs.caller,
            "Called": self.theirs.to,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            "CallStatus": status,
            **({"CallDuration": duration, "Duration": "1"} if duration else {}),
        }
        return await asyncio.get_running_loop().run_in_executor(None, post, url, form)

    def _note(self, code: str) -> None:
        if self.theirs:
            self.theirs.noted.append(code)

    async def _until(self, seconds: float) -> None:
        """Let time go by, but no longer than the call lasts."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)


def parsed(twiml: str | bytes) -> ElementTree.Element | None:
    with suppress(ElementTree.ParseError):
        root = ElementTree.fromstring(twiml)
        return root if root.tag == "Response" else None
    return None


class Redirected(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def post(url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
    """Send a signed form; a status of 0 when there was no answer."""
    signed = url + "".join(name + value for name, value in sorted(form.items()))
    signature = hmac.new(secret("twilio_token").encode(), signed.encode(), hashlib.sha1).digest()
    headers = {"X-Twilio-Signature": base64.b64encode(signature).decode(), "User-Agent": "TwilioProxy/1.1"}
    request = urllib.request.Request(url, urllib.parse.urlencode(form).encode(), headers)
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    try:
        with urllib.request.build_opener(trusted, Redirected).open(request, timeout=WEBHOOK_SECONDS) as answer:
            return answer.status, answer.read(MOST_TWIML)
    except urllib.error.HTTPError as error:
        return error.code, b""
    except OSError:
        return 0, b""


async def spoken(twiml: str) -> AsyncIterator[bytes]:
    """Frames of what TwiML says: a tone for as long as a voice would take, and silence for a pause."""
    for verb in ElementTree.fromstring(twiml):
        if verb.tag == "Say":
            for number in range(int(max(1.0, len(verb.text or "") * 0.06) * RATE / FRAME)):
                yield tone(number)
        elif verb.tag == "Pause":
            for _frame in range(int(float(verb.get("length", "1")) * RATE / FRAME)):
                yield SILENCE


def tone(number: int) -> bytes:
    samples = (int(8000 * math.sin(2 * math.pi * 220 * (number * FRAME + n) / RATE)) for n in range(FRAME))
    return audioop.lin2ulaw(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples), 2)
