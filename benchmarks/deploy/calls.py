# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phone calls as Twilio makes them: a signed webhook, then the media stream that its answer names."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
import typing as t
import uuid
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

from report import Call
from wire import Lost, Site, Socket

FRAME_SECONDS = 0.05
SILENCE_SECONDS = 2.0  # a stream without an echo for this long is cut
SHORT_SECONDS = 1.5
PATIENCE = 20.0
INCOMING, STATUS = "/webhook/incoming_call", "/webhook/call_status"


class Line:
    """The telephone company's side: it knows the token, signs, and carries the sound."""

    def __init__(self, site: Site, env_file: Path) -> None:
        lines = (line.partition("=") for line in env_file.read_text(encoding="utf-8").splitlines())
        self._site = site
        self._token = {name: value for name, _equals, value in lines}["TWILIO_AUTH_TOKEN"].encode()

    def form(self, path: str, values: t.Mapping[str, str], signed: bool) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of a posted form."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if signed:
            text = f"https://{self._site.host}{path}" + "".join(name + values[name] for name in sorted(values))
            digest = hmac.new(self._token, text.encode(), hashlib.sha1).digest()
            headers["X-Twilio-Signature"] = base64.b64encode(digest).decode()
        return headers, urlencode(values).encode()

    async def call(self, ended: asyncio.Event, lasting: bool, talking: t.Callable[[], None] | None = None) -> Call:
        """Make one call that lasts until the event; without numbers, so that no lead and no row comes of it."""
        sid, stream = f"CA{uuid.uuid4().hex}", Stream()
        answered_by = carried_by = problem = ""
        try:
            answered_by, path = await asyncio.wait_for(self._begin(sid), PATIENCE)
            socket = await asyncio.wait_for(Socket.open(self._site, path, "audio.twilio.com"), PATIENCE)
            carried_by = socket.headers.get("x-release", "")
            try:
                await stream.talk(socket, sid, ended, talking)
            finally:
                socket.close()
            await asyncio.wait_for(self._post(STATUS, {"CallSid": sid, "CallStatus": "completed"}), PATIENCE)
        except Lost as error:
            problem = str(error)
        except asyncio.TimeoutError:
            problem = f"no answer in {PATIENCE:.0f} s"
        return Call(sid, lasting, problem, stream.silence, answered_by, carried_by)

    async def _begin(self, sid: str) -> tuple[str, str]:
        """Return who answered the webhook, and the path of the stream."""
        headers, body = await self._post(INCOMING, {"CallSid": sid})
        stream = ElementTree.fromstring(body).find("Connect/Stream")
        if stream is None:
            raise Lost("webhook: the call was turned away")
        return headers.get("x-release", ""), urlsplit(stream.get("url", "")).path

    async def _post(self, path: str, values: t.Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        headers, body = self.form(path, values, signed=True)
        connection = await self._site.connect()
        try:
            answer = await connection.ask(self._site.request("POST", path, {**headers, "Connection": "close"}, body))
        finally:
            connection.close()
        if answer.status not in (200, 204):
            raise Lost(f"webhook: status {answer.status}")
        return answer.headers, answer.body


class Stream:
    """The sound of one call: numbered frames, each of which must come back, in order."""

    def __init__(self) -> None:
        self.silence = 0.0
        self._sent = 0
        self._hung_up = False

    async def talk(self, socket: Socket, sid: str, ended: asyncio.Event, talking: t.Callable[[], None] | None) -> None:
        name = f"MZ{uuid.uuid4().hex}"
        start = {"callSid": sid, "streamSid": name, "customParameters": {"CallSid": sid}}
        socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        socket.send(json.dumps({"event": "start", "streamSid": name, "start": start}))
        speaking = asyncio.create_task(self._speak(socket, name, ended))
        try:
            await self._listen(socket, talking)
        finally:
            speaking.cancel()

    async def _speak(self, socket: Socket, name: str, ended: asyncio.Event) -> None:
        while not ended.is_set():
            payload = base64.b64encode(f"{self._sent:08d}".encode() * 20).decode()
            socket.send(json.dumps({"event": "media", "streamSid": name, "media": {"payload": payload}}))
            self._sent += 1
            await asyncio.sleep(FRAME_SECONDS)
        self._hung_up = True
        socket.send(json.dumps({"event": "stop", "streamSid": name}))

    async def _listen(self, socket: Socket, talking: t.Callable[[], None] | None) -> None:
        """Hear every frame; the other side may close only after we have hung up and heard them all."""
        heard, last = 0, time.monotonic()
        while True:
            try:
                message = json.loads(await asyncio.wait_for(socket.receive(), SILENCE_SECONDS))
            except asyncio.TimeoutError:
                raise Lost(f"stream: no echo for {SILENCE_SECONDS:.0f} s") from None
            except Lost:
                if self._hung_up and heard == self._sent:
                    return
                raise
            self.silence, last = max(self.silence, time.monotonic() - last), time.monotonic()
            if int(base64.b64decode(message["media"]["payload"])[:8]) != heard:
                raise Lost("stream: a frame was lost")
            heard += 1
            if talking and heard == 1:
                talking()
