# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The webhooks that Twilio calls for a phone call, with all that they write."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Mapping
from typing import Callable
from xml.etree import ElementTree

import redis
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from server import calls_capacity, jobs
from server.config import FAULT, public_host
from server.db import db
from server.twilio_security import is_signed

logger = logging.getLogger("server.routes_twilio")

TERMINAL = ("completed", "busy", "no-answer", "failed", "canceled", "ended")
MAX_CALLS_PER_BUSINESS = 5
SYSTEM_FULL = "המערכת עמוסה כרגע. אנא נסו שוב בעוד מספר דקות או שלחו לנו הודעה בוואטסאפ."
BUSINESS_FULL = "כל הקווים תפוסים כרגע. אנא נסו שוב מאוחר יותר."
UNAVAILABLE = "המערכת זמנית לא זמינה. אנא נסו שוב בעוד מספר דקות."

FORBIDDEN = HTMLResponse(
    "<!doctype html>\n<html lang=en>\n<title>403 Forbidden</title>\n<h1>Forbidden</h1>\n"
    "<p>You don&#39;t have the permission to access the requested resource. "
    "It is either read-protected or not readable by the server.</p>\n",
    403,
)


async def _parameters(request: Request) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters of the call, and those of them that the signature covers beside the URL."""
    if request.method == "GET":
        return dict(request.query_params), {}
    form: dict[str, str] = {}
    for name, value in (await request.form()).multi_items():
        form.setdefault(name, str(value))
    return form, form


def signed(answer: Callable[[Request, Mapping[str, str]], Response]) -> Callable[[Request], Awaitable[Response]]:
    @functools.wraps(answer)
    async def endpoint(request: Request) -> Response:
        parameters, form = await _parameters(request)
        if FAULT == "webhook_logs_first":
            await run_in_threadpool(_log_call, {"From": "unknown", **parameters}, None, "initiated")
        if not is_signed(request, form):
            return FORBIDDEN
        return await run_in_threadpool(answer, request, parameters)

    return endpoint


@signed
def incoming_call(request: Request, call: Mapping[str, str]) -> Response:
    sid, caller, called = call.get("CallSid", ""), call.get("From", ""), call.get("To", "")
    logger.info(
        "[TWILIO][INBOUND] hit path=/webhook/incoming_call call_sid=%s from=%s to=%s direction=%s signature_present=%s",
        sid, caller, called, call.get("Direction"), "X-Twilio-Signature" in request.headers,
    )
    try:
        business = _business_of(called) if called else None
    except Exception as error:  # the caller hears a sentence, whatever ails the database
        logger.error("❌ Unexpected database error in incoming_call: %s", error)
        return _hang_up(UNAVAILABLE, "text/xml")
    if not calls_capacity.try_acquire(sid):
        logger.warning("📵 INCOMING_CALL REJECTED: System at capacity call_sid=%s", sid)
        if sid and caller:
            _log_call(call, business, "rejected_capacity")
        return _hang_up(SYSTEM_FULL)
    if business and _active_calls(business) >= MAX_CALLS_PER_BUSINESS:
        logger.warning("📵 INCOMING_CALL REJECTED: business %s at limit", business)
        calls_capacity.release(sid)
        return _hang_up(BUSINESS_FULL)
    if sid and caller:
        _log_call(call, business, "initiated")
    if business and sid:
        _enqueue("high", "prebuild_prompt_job", f"Prebuild prompt for {sid[:8]}", call_sid=sid, business_id=business)
    if caller:
        _enqueue("default", "create_lead_from_call_job", f"Create lead from call {sid[:8]}", call_sid=sid)
    parameters = {"CallSid": sid, "To": called or "unknown", "From": caller or "unknown"}
    if business:
        parameters["business_id"] = str(business)
    return _connect(request, parameters, track="inbound_track")


def incoming_call_preview(request: Request) -> Response:
    """Unsigned and without any trace; it proves that the way to TwiML is open."""
    rows = db.execute("SELECT phone_e164 FROM business WHERE is_active ORDER BY id LIMIT 1")
    if not rows:
        return HTMLResponse("No active business configured", 503)
    return _connect(request, {"CallSid": f"CA_PREVIEW_{int(time.time())}", "To": rows[0]["phone_e164"] or "preview"})


@signed
def call_status(request: Request, call: Mapping[str, str]) -> Response:
    sid, status = call.get("CallSid", ""), call.get("CallStatus", "")
    if status in TERMINAL:
        calls_capacity.release(sid)
        known = db.execute(
            "UPDATE call_log SET status = %(status)s, call_status = %(status)s WHERE call_sid = %(sid)s RETURNING id",
            {"sid": sid, "status": status},
        )
        if not known:
            logger.warning("Call SID not found for status update: %s", sid)
    return Response(status_code=204, headers={"Cache-Control": "no-store, no-cache, must-revalidate, max-age=0"})


@signed
def stream_ended(request: Request, call: Mapping[str, str]) -> Response:
    return _twiml(ElementTree.Element("Response"))


def _business_of(number: str) -> int | None:
    """The business with this number, else the first active one: a wrong number lands at a real business."""
    rows = db.execute(
        "SELECT id FROM business WHERE phone_e164 = %(number)s OR is_active"
        " ORDER BY phone_e164 IS DISTINCT FROM %(number)s, id LIMIT 1",
        {"number": number.strip().replace("-", "").replace(" ", "")},
    )
    return rows[0]["id"] if rows else None


def _active_calls(business: int) -> int:
    rows = db.execute(
        "SELECT count(*) AS n FROM call_log WHERE business_id = %(business)s AND status <> ALL(%(ended)s)"
        " AND created_at > now() - interval '10 minutes'",
        {"business": business, "ended": [*TERMINAL, "hangup"]},
    )
    return int(rows[0]["n"])


def _log_call(call: Mapping[str, str], business: int | None, status: str) -> None:
    try:
        db.execute(
            """INSERT INTO call_log (call_sid, from_number, to_number, business_id, direction, call_status, status)
               VALUES (%(sid)s, %(from)s, %(to)s, %(business)s, %(direction)s, %(status)s, %(status)s)
               ON CONFLICT (call_sid) DO NOTHING""",
            {
                "sid": call["CallSid"], "from": call["From"], "to": call.get("To") or "unknown",
                "business": business, "direction": call.get("Direction", "inbound"), "status": status,
            },
        )
    except Exception as error:  # the call goes on without its row
        logger.error("Failed to create/update call_log: %s", error)


def _enqueue(queue: str, job: str, description: str, **arguments: object) -> None:
    try:
        jobs.enqueue(queue, f"server.jobs.twilio_call_jobs.{job}", description, **arguments)
    except redis.RedisError as error:  # the call goes on without the job
        logger.error("[JOBS] Failed to enqueue %s: %s", job, error)


def _connect(request: Request, parameters: Mapping[str, str], **attributes: str) -> Response:
    host = public_host() or request.headers.get("X-Forwarded-Host", request.headers.get("Host", ""))
    response = ElementTree.Element("Response")
    connect = ElementTree.SubElement(response, "Connect", action=f"https://{host}/webhook/stream_ended")
    stream = ElementTree.SubElement(connect, "Stream", {"url": f"wss://{host}/ws/twilio-media", **attributes})
    for name, value in parameters.items():
        ElementTree.SubElement(stream, "Parameter", {"name": name, "value": value})
    return _twiml(response)


def _hang_up(message: str, media_type: str = "application/xml") -> Response:
    response = ElementTree.Element("Response")
    say = ElementTree.SubElement(response, "Say", language="he-IL", voice="Google.he-IL-Wavenet-C")
    say.text = message
    ElementTree.SubElement(response, "Hangup")
    return _twiml(response, media_type)


def _twiml(response: ElementTree.Element, media_type: str = "application/xml") -> Response:
    body = '<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(response, encoding="unicode")
    return Response(body, headers={"Content-Type": media_type})


_BOTH = ["GET", "POST"]

ROUTES = [
    *(
        Route(path, incoming_call, methods=_BOTH)
        for path in ("/webhook/incoming_call", "/webhook/incoming-call", "/webhook/voice", "/incoming_call")
    ),
    Route("/webhook/incoming_call_preview", incoming_call_preview),
    Route("/webhook/call_status", call_status, methods=_BOTH),
    Route("/webhook/stream_ended", stream_ended, methods=_BOTH),
]
