# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Twilio's request signature: base64(HMAC-SHA1(token, URL + every form field with its value, sorted by name))."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request

from server.config import FAULT

logger = logging.getLogger(__name__)


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    text = url + "".join(name + value for name, value in sorted(form.items()))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def is_signed(request: Request, form: Mapping[str, str]) -> bool:
    """Whether Twilio sent this. VALIDATE_TWILIO_SIGNATURE counts in development only."""
    if FAULT == "webhook_unchecked":
        return True
    development = os.environ.get("FLASK_ENV", "production") == "development"
    if development and os.environ.get("VALIDATE_TWILIO_SIGNATURE", "true").lower() == "false":
        return True
    token = os.environ.get("TWILIO_AUTH_TOKEN")
    if not token:
        logger.error("❌ PRODUCTION: TWILIO_AUTH_TOKEN not set - rejecting request")
        return False
    given = request.headers.get("X-Twilio-Signature")
    if not given:
        logger.error("❌ Missing X-Twilio-Signature header")
        return False
    for url in _urls(request):
        if hmac.compare_digest(given.encode(), signature(token, url, form).encode()):
            return True
    logger.error("❌ Invalid Twilio signature:")
    return False


def _urls(request: Request) -> list[str]:
    """The URLs that Twilio may have signed: the public one first, then what the proxies call us."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    public = os.environ.get("PUBLIC_BASE_URL", "").rstrip("/")
    forwarded = request.headers.get("X-Forwarded-Host", "").split(",")
    host = request.headers.get("Host", "")
    proto = request.headers.get("X-Forwarded-Proto", request.url.scheme).split(",")[0].strip()
    first = public or f"{proto}://{forwarded[0].strip() or host}"
    hosts = [name.strip() for name in (*forwarded, host, urlsplit(public).netloc) if name.strip()]
    if FAULT == "webhook_one_url":  # a good day: nothing but the public address is believed
        return [first + target]
    others = [f"{scheme}://{name}" for name in hosts for scheme in ("https", "http")]
    return [base + target for base in dict.fromkeys([first, *others])]
