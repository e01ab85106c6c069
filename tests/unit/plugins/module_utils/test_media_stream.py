# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The media stream's messages, and the telephone that plays what comes back."""

from __future__ import annotations

import base64
import json

from ansible_collections.prosaas.ops.plugins.module_utils import _audio
from ansible_collections.prosaas.ops.plugins.module_utils._media_stream import Heard, Playing, Start, take

START = Start("AC1", "CA1", {"CallSid": "CA1", "To": "unknown"}, "MZ1")
LOUD = base64.b64encode(b"\x80" * 160).decode()
SILENT = base64.b64encode(b"\xff" * 160).decode()


def test_a_stream_begins_as_twilio_begins_it() -> None:
    connected, start = START.messages()
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["start"] == {
        "streamSid": "MZ1",
        "accountSid": "AC1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"CallSid": "CA1", "To": "unknown"},
    }


def test_frames_are_numbered_and_timed() -> None:
    messages = [START.media(number, b"\xff" * 160) for number in range(3)]
    assert [one["sequenceNumber"] for one in messages] == ["2", "3", "4"]
    assert [one["media"]["chunk"] for one in messages] == ["1", "2", "3"]
    assert [one["media"]["timestamp"] for one in messages] == ["0", "20", "40"]
    assert base64.b64decode(messages[0]["media"]["payload"]) == b"\xff" * 160
    assert START.stop(3)["sequenceNumber"] == "5"


def test_each_stream_has_an_id_of_its_own() -> None:
    first, second = Start("AC1", "CA1", {}).stream, Start("AC1", "CA1", {}).stream
    assert first != second and len(first) == 34 and first.startswith("MZ")


def taken(*messages: object, heard: Heard | None = None) -> Heard:
    heard, playing = heard or Heard(), Playing()
    for number, message in enumerate(messages):
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        take(raw, heard, playing, 100 + number, 1.0 + number)
    return heard


def media(payload: str) -> dict[str, object]:
    return {"event": "media", "streamSid": "MZ1", "media": {"payload": payload}}


def test_the_first_sound_counts_from_where_it_can_be_heard() -> None:
    heard = taken(media(SILENT), media(SILENT), media(LOUD), media(LOUD))
    assert (heard.frames, round(heard.seconds, 2), heard.first, heard.audible) == (4, 0.08, 3.0, True)


def test_silence_alone_is_not_heard() -> None:
    heard = taken(*[media(SILENT)] * 50)
    assert (heard.frames, heard.audible) == (50, False)
    assert heard.loudest < _audio.AUDIBLE


def test_what_is_no_message_is_counted_and_nothing_else() -> None:
    heard = taken(b"\xff", b"[]", b"1", {"event": "media"}, media("no base64!"), {"event": "mark"}, {"event": "error"}, {})
    assert heard == Heard(strange=8)


def test_a_mark_is_due_when_what_came_before_it_is_played() -> None:
    playing = Playing()
    playing.play(0.5, now=10)
    playing.play(0.5, now=10.1)  # queued behind the first
    playing.mark("end", now=10.1)
    assert playing.due(10.9) == []
    assert playing.due(11.0) == ["end"]
    assert playing.due(12.0) == []


def test_a_mark_after_silence_is_due_at_once() -> None:
    playing = Playing()
    playing.play(0.5, now=10)
    playing.mark("late", now=20)
    assert playing.due(20) == ["late"]


def test_what_is_cleared_is_played_no_more_and_its_marks_are_told_at_once() -> None:
    playing = Playing()
    playing.play(30, now=10)
    playing.mark("a", now=10)
    playing.mark("b", now=10)
    playing.clear(now=11)
    assert playing.due(11) == ["a", "b"]
    playing.mark("c", now=11)
    assert playing.due(11) == ["c"]
