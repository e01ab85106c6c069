# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twilio's REST API: one account, one phone number, and where calls to it go."""

from __future__ import annotations

import os
from typing import Any

from common import Refused, basic, fault, same, secret
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

NUMBER = os.environ["TWILIO_NUMBER"]
APPLICATION = os.environ["APPLICATION"]
ERRORS = "https://www.twilio.com/docs/errors"


def error(status: int, code: int, message: str) -> Refused:
    return Refused(status, {"code": code, "message": message, "more_info": f"{ERRORS}/{code}", "status": status})


def authenticated(request: Request) -> str:
    """The account that is asking. A suspended one is refused with the words for a wrong token."""
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


ACCOUNTS = "/2010-04-01/Accounts/{account}"
ROUTES = [Route(ACCOUNTS + "/IncomingPhoneNumbers.json", numbers), Route(ACCOUNTS + ".json", account)]
