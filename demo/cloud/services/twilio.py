# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twilio's REST API: one account, one phone number and where calls to it go, and calls that are made through it."""

from __future__ import annotations

import asyncio
import os
import re
import time
from typing import Any

import phone
from common import Refused, basic, fault, same, secret
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

NUMBER = os.environ["TWILIO_NUMBER"]
VERIFIED = os.environ.get("TWILIO_CALLER_ID", "+15005550010")  # a telephone elsewhere, verified as a caller's number
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
APPLICATION = os.environ["APPLICATION"]
ERRORS = "https://www.twilio.com/docs/errors"


def error(status: int, code: int, message: str) -> Refused:
    return Refused(status, {"code": code, "message": message, "more_info": f"{ERRORS}/{code}", "status": status})


def authenticated(request: Request) -> str:
    """The account that is asking. A suspended one is refused with the words for a wrong token."""
    if fault("twilio-outage"):
        raise error(503, 20503, "Service is unavailable. Please try again later.")
    account, token = "AC" + secret("twilio_account"), secret("twilio_token")
    user, password = basic(request)
    if fault("twilio-suspended") or not (same(user, account) and same(password, token)):
        raise error(401, 20003, "Authenticate")
    if request.path_params["account"] != account:
        raise error(404, 20404, f"The requested resource {request.url.path} was not found")
    return account


async def account(request: Request) -> JSONResponse:
    sid = authenticated(request)
    # As the real one, it gives the token back: an answer is nothing to print.
    return JSONResponse(
        {
            "sid": sid,
            "owner_account_sid": sid,
            "friendly_name": "The stand-in",
            "status": "active",
            "type": "Full",
            "auth_token": secret("twilio_token"),
            "date_created": "Mon, 05 Jan 2026 08:00:00 +0000",
            "uri": f"/2010-04-01/Accounts/{sid}.json",
        }
    )


def number(sid: str) -> dict[str, Any]:
    elsewhere = fault("twilio-voice-url-elsewhere")
    return {
        "sid": "PN" + "0" * 31 + "6",
        "account_sid": sid,
        "phone_number": NUMBER,
        "friendly_name": NUMBER,
        "capabilities": {"voice": not fault("twilio-no-voice"), "sms": True, "mms": False, "fax": False},
        "voice_url": "https://demo.twilio.test/welcome/voice/" if elsewhere else f"{APPLICATION}/webhook/incoming_call",
        "voice_method": "POST",
        "voice_application_sid": "",
        "trunk_sid": None,
        "status_callback": "" if fault("twilio-no-callback") else f"{APPLICATION}/webhook/call_status",
        "status_callback_method": "POST",
    }


async def numbers(request: Request) -> JSONResponse:
    """As the real one, it finds numbers by a part of them, and pages."""
    sid = authenticated(request)
    wanted = request.query_params.get("PhoneNumber", "").lstrip("+")
    found = [] if fault("twilio-number-gone") else [number(sid)]
    found = [one for one in found if wanted in one["phone_number"]]
    page = {"page": 0, "page_size": 50, "start": 0, "end": max(0, len(found) - 1), "next_page_uri": None}
    return JSONResponse({**page, "uri": request.url.path, "incoming_phone_numbers": found})


EXCHANGE = phone.Exchange()
TASKS: set[asyncio.Task[None]] = set()


def moment(seconds: float) -> str | None:
    return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(seconds)) if seconds else None


def told(leg: phone.Leg, sid: str) -> dict[str, Any]:
    """A call as the API has it: the duration is a text, and told when the call is over."""
    return {
        "sid": leg.sid,
        "account_sid": sid,
        "parent_call_sid": None,
        "to": leg.to,
        "from": leg.caller,
        "phone_number_sid": number(sid)["sid"] if leg.direction == "inbound" else None,
        "status": leg.status,
        "direction": leg.direction,
        "duration": str(leg.duration) if leg.over else None,
        "date_created": moment(leg.created),
        "start_time": moment(leg.answered),
        "end_time": moment(leg.over),
        "uri": f"/2010-04-01/Accounts/{sid}/Calls/{leg.sid}.json",
    }


def wanted(request: Request) -> phone.Leg:
    sid = request.path_params["call"]
    leg = EXCHANGE.leg(sid)
    if leg is None:
        raise error(404, 20404, f"The requested resource {request.url.path} was not found")
    return leg


async def calls(request: Request) -> Response:
    """The list, filtered and the newest first, and POST for a new one."""
    sid = authenticated(request)
    if request.method == "POST":
        return await make_call(request, sid)
    fields = {"To": "to", "From": "caller", "Status": "status"}
    asked = {field: request.query_params[name] for name, field in fields.items() if name in request.query_params}
    found = [leg for leg in EXCHANGE.legs if all(getattr(leg, name) == value for name, value in asked.items())]
    size = min(int(request.query_params.get("PageSize", "50")), 1000)
    page = {"page": 0, "page_size": size, "next_page_uri": None, "uri": request.url.path}
    return JSONResponse({**page, "calls": [told(leg, sid) for leg in found[:size]]})


async def make_call(request: Request, sid: str) -> JSONResponse:
    form = {name: str(value) for name, value in (await request.form()).multi_items()}
    to, caller = form.get("To", ""), form.get("From", "")
    if not to:
        raise error(400, 21201, "No 'To' number is specified")
    if not caller:
        raise error(400, 21213, "No 'From' number is specified")
    if not E164.fullmatch(to) or to == caller:  # no number is connected with itself
        raise error(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
    if not E164.fullmatch(caller):
        raise error(400, 21212, f"The source phone number provided, {caller}, is not valid.")
    if caller not in (NUMBER, VERIFIED):
        said = "is not yet verified for your account. You may only make calls from phone numbers that you've verified"
        raise error(400, 21210, f"The source phone number provided, {caller}, {said} or purchased from Twilio.")
    if not form.get("Twiml"):  # nothing here fetches TwiML of others
        raise error(400, 21205, "Url parameter is required.")
    leg = phone.Leg(to, caller, "outbound-api")
    known = number(sid)
    reached = phone.Number(NUMBER, known["voice_url"], known["status_callback"])
    line = phone.Line(EXCHANGE, leg, form, reached if to == NUMBER and not fault("twilio-number-gone") else None)
    EXCHANGE.legs.insert(0, leg)
    EXCHANGE.lines[leg.sid] = line
    answer = told(leg, sid)
    task = asyncio.get_running_loop().create_task(line.lead())
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)
    return JSONResponse(answer, 201)


async def call(request: Request) -> JSONResponse:
    """One call; POST ends it, and with it the other one of the two."""
    sid = authenticated(request)
    leg = wanted(request)
    if request.method == "POST":
        status = (await request.form()).get("Status")
        if leg.status in phone.ENDED:
            raise error(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status not in ("completed", "canceled"):
            raise error(400, 21218, "Status is not valid.")
        for line in EXCHANGE.lines.values():
            if leg in (line.ours, line.theirs):
                line.end()
    return JSONResponse(told(leg, sid))


async def notifications(request: Request) -> JSONResponse:
    authenticated(request)
    leg = wanted(request)
    found = [{"call_sid": leg.sid, "error_code": code, "log": "0"} for code in leg.noted]
    return JSONResponse({"page": 0, "notifications": found})


async def recordings(request: Request) -> JSONResponse:
    authenticated(request)
    leg = wanted(request)
    found = [
        {"sid": one.sid, "call_sid": one.call, "status": one.status, "channels": 1}
        for one in EXCHANGE.recordings.values()
        if one.call == leg.sid
    ]
    return JSONResponse({"page": 0, "recordings": found})


async def recording(request: Request) -> Response:
    """The sound of one, as WAV; DELETE removes it."""
    authenticated(request)
    name, _dot, kind = request.path_params["file"].partition(".")
    found = EXCHANGE.recordings.get(name)
    if found is None or kind not in ("wav", "json"):
        raise error(404, 20404, f"The requested resource {request.url.path} was not found")
    if request.method == "DELETE":
        del EXCHANGE.recordings[name]
        return Response(status_code=204)
    if kind == "json":
        return JSONResponse({"sid": found.sid, "call_sid": found.call, "status": found.status, "channels": 1})
    return Response(found.wav(), media_type="audio/x-wav")


ACCOUNTS = "/2010-04-01/Accounts/{account}"
ROUTES = [
    Route(ACCOUNTS + "/IncomingPhoneNumbers.json", numbers),
    Route(ACCOUNTS + "/Calls.json", calls, methods=["GET", "POST"]),
    Route(ACCOUNTS + "/Calls/{call}/Notifications.json", notifications),
    Route(ACCOUNTS + "/Calls/{call}/Recordings.json", recordings),
    Route(ACCOUNTS + "/Calls/{call}.json", call, methods=["GET", "POST"]),
    Route(ACCOUNTS + "/Recordings/{file}", recording, methods=["GET", "DELETE"]),
    Route(ACCOUNTS + ".json", account),
]
