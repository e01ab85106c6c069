# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the faces share: refusals in the words of each service, secrets, the bad days, who is asking."""

from __future__ import annotations

import base64
import hmac
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

SECRETS = Path("/run/secrets")
CONTROL = Path("/cloud/control")


class Refused(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


async def refusal(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return JSONResponse(error.body, error.status)


def secret(name: str) -> str:
    return (SECRETS / name).read_text(encoding="ascii").strip()


def fault(name: str) -> bool:
    """Whether this bad day is on; read at each request."""
    return (CONTROL / name).exists()


def bearer(request: Request) -> str:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def basic(request: Request) -> tuple[str, str]:
    scheme, _space, pair = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return "", ""
    try:
        user, _colon, password = base64.b64decode(pair, validate=True).decode("utf-8").partition(":")
    except ValueError:
        return "", ""
    return user, password


def same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8"), known.encode("utf-8"))
