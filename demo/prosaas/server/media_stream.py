# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WebSocket that carries the sound of a call. It echoes; what counts is that it lives as long as the call.

What is heard is saved where the real one saves what it fetches from Twilio: `recordings/<CallSid>.mp3`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from server import calls_capacity
from server.config import FAULT, MAX_CONCURRENT_CALLS, ROOT

START_SECONDS = 3
POOR_SECONDS = 0.5
SILENCE = base64.b64encode(b"\xff" * 160).decode()
RECORDINGS = ROOT / "server/recordings"
RECORDED_LEAST, RECORDED_MOST = 8_000, 240_000  # bytes: a second, half a minute
SUBPROTOCOL = "audio.twilio.com"

logger = logging.getLogger("twilio_ws")

_streams: set[str] = set()


async def twilio_media(websocket: WebSocket) -> None:
    offered = websocket.scope.get("subprotocols") or []
    if offered and SUBPROTOCOL not in offered:
        logger.warning("[WS] Unknown subprotocol from client – rejecting: %s", offered)
        await websocket.close(code=1002)
        return
    await websocket.accept(subprotocol=SUBPROTOCOL if offered else None)
    logger.info("[REALTIME] WebSocket connected: /ws/twilio-media")
    try:
        start = await asyncio.wait_for(_next(websocket, "start"), START_SECONDS)
    except asyncio.TimeoutError:
        logger.warning("[WS] No START event after 3s – closing ghost session")
        await websocket.close(code=1000, reason="No START event")
        return
    except WebSocketDisconnect:
        return
    await _carry(websocket, start)


async def _next(websocket: WebSocket, event: str) -> dict[str, Any]:
    while True:
        message = json.loads(await websocket.receive_text())
        if message.get("event") == event:
            return message


async def _carry(websocket: WebSocket, start: dict[str, Any]) -> None:
    details = start.get("start", {})
    call_sid = details.get("callSid") or details.get("customParameters", {}).get("CallSid", "")
    if len(_streams) >= MAX_CONCURRENT_CALLS:
        logger.warning("[CALLS_OVER_CAPACITY] Over capacity: %s/%s calls", len(_streams), MAX_CONCURRENT_CALLS)
        await websocket.close(code=1013)
        return
    _streams.add(call_sid)
    logger.info("[WS] START EVENT RECEIVED! call_sid=%s", call_sid)
    heard = bytearray()
    try:
        await asyncio.wait_for(
            _echo(websocket, start.get("streamSid") or details.get("streamSid"), heard),
            POOR_SECONDS if FAULT == "poor_calls" else None,
        )
    except asyncio.TimeoutError:
        await websocket.close(code=1011)
    except WebSocketDisconnect as gone:
        logger.info("[WS] MediaStream disconnected call_sid=%s code=%s", call_sid, gone.code)
    finally:
        _streams.discard(call_sid)
        await run_in_threadpool(calls_capacity.release, call_sid)
        await run_in_threadpool(_save, call_sid, bytes(heard))


async def _echo(websocket: WebSocket, stream_sid: str | None, heard: bytearray) -> None:
    while True:
        message = json.loads(await websocket.receive_text())
        if message.get("event") == "media":
            payload = message["media"]["payload"]
            if len(heard) < RECORDED_MOST:
                heard += base64.b64decode(payload)
            echo = {"payload": SILENCE if FAULT == "poor_calls" else payload}
            await websocket.send_text(json.dumps({"event": "media", "streamSid": stream_sid, "media": echo}))
        elif message.get("event") == "stop":
            await websocket.close()
            return


def _save(call_sid: str, heard: bytes) -> None:
    if len(heard) < RECORDED_LEAST or not call_sid:
        return
    try:
        RECORDINGS.mkdir(exist_ok=True)
        path = RECORDINGS / f"{call_sid}.mp3"
        path.write_bytes(heard)
        logger.info("[RECORDING_SERVICE] ✅ Recording saved: %s (%s bytes)", path, len(heard))
    except OSError as error:  # the call is over, with or without its recording
        logger.error("[RECORDING_SERVICE] Failed to create recordings directory: %s", error)
