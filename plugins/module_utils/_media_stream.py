# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The media stream of a call from Twilio's side: a WebSocket with a message per 20 ms of sound, in real time.

What comes back is played as a telephone would, only that nobody hears it: a mark is told when what was sent before it
has been played, and at once when the other side clears what is still to be played.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import select
import socket
import ssl
import time
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import _audio
from ._errors import OpsError
from ._http import AGENT, Client

GOODBYE = 5.0  # seconds in which the other side ends the stream once it is told to
_SENT_WITHIN = 10.0  # seconds in which a single message must go out or come in


@dataclass(frozen=True)
class Start:
    """Who calls: what the first messages of a stream say."""

    account: str
    call: str
    parameters: Mapping[str, str]
    stream: str = field(default_factory=lambda: "MZ" + secrets.token_hex(16))

    def messages(self) -> list[dict[str, t.Any]]:
        return [
            {"event": "connected", "protocol": "Call", "version": "1.0.0"},
            {
                "event": "start",
                "sequenceNumber": "1",
                "streamSid": self.stream,
                "start": {
                    "streamSid": self.stream,
                    "accountSid": self.account,
                    "callSid": self.call,
                    "tracks": ["inbound"],
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": _audio.RATE, "channels": 1},
                    "customParameters": dict(self.parameters),
                },
            },
        ]

    def media(self, number: int, frame: bytes) -> dict[str, t.Any]:
        """Return the message of one frame; numbers begin with 0."""
        return {
            "event": "media",
            "sequenceNumber": str(number + 2),
            "streamSid": self.stream,
            "media": {
                "track": "inbound",
                "chunk": str(number + 1),
                "timestamp": str(round(number * _audio.FRAME_SECONDS * 1000)),
                "payload": base64.b64encode(frame).decode(),
            },
        }

    def mark(self, name: str) -> dict[str, t.Any]:
        return {"event": "mark", "streamSid": self.stream, "mark": {"name": name}}

    def stop(self, number: int) -> dict[str, t.Any]:
        ended = {"accountSid": self.account, "callSid": self.call}
        return {"event": "stop", "sequenceNumber": str(number + 2), "streamSid": self.stream, "stop": ended}


@dataclass
class Heard:
    """What came back.

    Attributes:
        frames: messages with sound.
        seconds: how much sound.
        first: seconds from the start of the stream until the first sound that can be heard; -1 when there was none.
        loudest: of 32768.
        marks: how many the other side asked for, and how many were told before the end.
        clears: how often it took back what was still to be played.
        broken: why the stream ended before it was to; empty when it did not.
        strange: messages that are no message of a stream.
    """

    frames: int = 0
    seconds: float = 0.0
    first: float = -1.0
    loudest: int = 0
    marks: int = 0
    told: int = 0
    clears: int = 0
    broken: str = ""
    strange: int = 0
    lasted: float = 0.0

    @property
    def audible(self) -> bool:
        return self.first >= 0


class Playing:
    """The telephone's loudspeaker: knows until when what has come is played, and which marks are due."""

    def __init__(self) -> None:
        self._until = 0.0
        self._marks: list[tuple[float, str]] = []

    def play(self, seconds: float, now: float) -> None:
        self._until = max(self._until, now) + seconds

    def mark(self, name: str, now: float) -> None:
        self._marks.append((max(self._until, now), name))

    def clear(self, now: float) -> None:
        self._until = now
        self._marks = [(now, name) for _due, name in self._marks]

    def due(self, now: float) -> list[str]:
        names = [name for due, name in self._marks if due <= now]
        self._marks = [(due, name) for due, name in self._marks if due > now]
        return names


@dataclass(frozen=True)
class Talk:
    """How the call goes.

    Attributes:
        frames: what is said.
        least: seconds that the call lasts at least.
        listen: seconds until which something must have been heard.
    """

    frames: Sequence[bytes]
    least: float
    listen: float


class Line:
    """An open media stream."""

    def __init__(self, connection: socket.socket, url: str) -> None:
        import websocket

        self._connection = connection
        connection.settimeout(_SENT_WITHIN)
        try:
            self._ws = websocket.create_connection(
                url, timeout=_SENT_WITHIN, socket=connection, header=dict(AGENT), suppress_origin=True
            )
        except websocket.WebSocketBadStatusException as error:
            raise OpsError(
                f"the media stream at {url} is refused ({error.status_code})", "Look at the proxy in front of it."
            ) from None
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise OpsError(
                f"the media stream at {url} does not open ({type(error).__name__})", "Look at the log of its service."
            ) from None

    def talk(self, start: Start, talk: Talk) -> Heard:
        """Lead the call to its end: speak, listen, and stop; what goes wrong on the way is in the answer."""
        import websocket

        heard, playing, sent = Heard(), Playing(), 0
        try:
            for message in start.messages():
                self._send(message)
            began = time.monotonic()
            while not _over(heard, talk, sent, time.monotonic() - began):
                now = time.monotonic()
                if now >= began + sent * _audio.FRAME_SECONDS:
                    frame = (
                        talk.frames[sent] if sent < len(talk.frames) else bytes([_audio.SILENCE]) * _audio.FRAME_BYTES
                    )
                    self._send(start.media(sent, frame))
                    sent += 1
                for name in playing.due(time.monotonic()):
                    self._send(start.mark(name))
                    heard.told += 1
                if self._readable(began + sent * _audio.FRAME_SECONDS - time.monotonic()):
                    self._hear(heard, playing, began)
                heard.lasted = time.monotonic() - began
            self._send(start.stop(sent))
        except (websocket.WebSocketException, OSError) as error:
            heard.broken = heard.broken or type(error).__name__
        return heard

    def close(self) -> bool:
        """Wait for the other side to end the stream, then end it; tell whether it did by itself."""
        import websocket

        until = time.monotonic() + GOODBYE
        try:
            while time.monotonic() < until:
                if self._readable(until - time.monotonic()):
                    opcode, _data = self._ws.recv_data(control_frame=True)
                    if opcode == websocket.ABNF.OPCODE_CLOSE:
                        return True
            return False
        except websocket.WebSocketConnectionClosedException:
            return True
        except (websocket.WebSocketException, OSError):
            return False
        finally:
            self._ws.shutdown()

    def _send(self, message: Mapping[str, t.Any]) -> None:
        self._ws.send(json.dumps(message))

    def _readable(self, seconds: float) -> bool:
        sock = self._connection
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        return bool(select.select([sock], [], [], max(seconds, 0))[0])

    def _hear(self, heard: Heard, playing: Playing, began: float) -> None:
        """Take one message; the library answers pings with their own bytes, and a close with a close."""
        import websocket

        opcode, data = self._ws.recv_data(control_frame=True)
        now = time.monotonic()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
            heard.broken = f"closed by the other side with {code}"
            raise websocket.WebSocketConnectionClosedException
        if opcode in (websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY):
            take(data, heard, playing, now, now - began)


def _over(heard: Heard, talk: Talk, sent: int, lasted: float) -> bool:
    if sent < len(talk.frames) or lasted < talk.least:
        return False
    return heard.audible or lasted >= talk.listen


def take(data: bytes, heard: Heard, playing: Playing, now: float, lasted: float) -> None:
    """Take one message of the other side."""
    try:
        message = json.loads(data)
        event = message["event"]
        if event == "media":
            sound = base64.b64decode(message["media"]["payload"], validate=True)
            heard.frames += 1
            heard.seconds += len(sound) / _audio.RATE
            heard.loudest = max(heard.loudest, _audio.loudness(sound))
            if not heard.audible and heard.loudest >= _audio.AUDIBLE:
                heard.first = round(lasted, 2)
            playing.play(len(sound) / _audio.RATE, now)
        elif event == "mark":
            playing.mark(str(message["mark"]["name"]), now)
            heard.marks += 1
        elif event == "clear":
            heard.clears += 1
            playing.clear(now)
        else:
            heard.strange += 1
    except (ValueError, LookupError, TypeError, binascii.Error):
        heard.strange += 1


def dial(client: Client, url: str, address: str = "") -> Line:
    """Open a stream, at an address in place of the one that its host's name resolves to where one is given."""
    connection = client.open(re.sub("^ws", "http", url), address)
    try:
        return Line(connection, url)
    except BaseException:
        connection.close()
        raise
