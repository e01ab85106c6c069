# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a browser asks the API for: who it is, a form that is refused, and a long download."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

logger = logging.getLogger("server.app_factory")

EXPORT_PIECES = 10
EXPORT_PIECE_SECONDS = 0.1
EXPORT_PIECE = b"2026-01-25,+15005550006,website,new\n" * 100


async def me(_request: Request) -> JSONResponse:
    """The page asks before anybody can have logged in, and is told so."""
    return JSONResponse({"error": "Not authenticated"}, 401)


async def login(request: Request) -> JSONResponse:
    """Nobody has an account here. The body is read to its end, as a login does."""
    await request.body()
    return JSONResponse({"error": "Invalid credentials"}, 401)


async def leads(request: Request) -> JSONResponse:
    """A form is taken with its token alone, as by the real one's SeaSurf, in its words."""
    if not request.headers.get("X-CSRFToken"):
        logger.warning("Forbidden (CSRF token missing or incorrect.): %s", request.url.path)
        return JSONResponse({"error": "CSRF token missing or incorrect."}, 403)
    return JSONResponse({"error": "Not authenticated"}, 401)


async def export(request: Request) -> StreamingResponse:
    """One second long: who stops a container in the middle of it has cut an answer."""
    length = str(EXPORT_PIECES * len(EXPORT_PIECE))
    return StreamingResponse(_pieces(), media_type="text/csv", headers={"Content-Length": length})


async def _pieces() -> AsyncIterator[bytes]:
    for _piece in range(EXPORT_PIECES):
        await asyncio.sleep(EXPORT_PIECE_SECONDS)
        yield EXPORT_PIECE


ROUTES = [
    Route("/api/auth/me", me),
    Route("/api/auth/login", login, methods=["POST"]),
    Route("/api/leads", leads, methods=["POST"]),
    Route("/api/leads/export", export),
]
