# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ASGI application of prosaas-api and prosaas-calls.

`/health` answers before the larger part ("Flask" in the real one) is made, and without it: a container can be
healthy while every other path answers 500. That part is made in the background, and again by each request.

Every answer, a stream's handshake included, names in `X-Release` the version that gave it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server import bad_days, health, logs, twilio, web
from server.boot import boot
from server.config import CHECKLIST, FAULT, MAX_ACTIVE_CALLS, ROLE, SLOW_START_SECONDS, VERSION
from server.media_stream import twilio_media
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logs.configure()
log = logging.getLogger("asgi")

_lock = threading.Lock()
_flask: Starlette | None = None


def get_flask_app() -> Starlette:
    global _flask
    with _lock:
        if _flask is None:
            log.info("Creating Flask app (first time)...")
            boot()
            _flask = Starlette(routes=[*health.ROUTES, *twilio.ROUTES, *web.ROUTES])
            log.info("Flask app created successfully")
        return _flask


def _warm_up() -> None:
    time.sleep(0.5)
    try:
        get_flask_app()
    except (Exception, SystemExit) as error:
        log.error("Flask app warmup failed: %s", error)
        return
    if CHECKLIST and ROLE == "calls":
        logging.getLogger("server.services.calls_capacity").info(
            "[CAPACITY] Initialized with MAX_ACTIVE_CALLS=%s", MAX_ACTIVE_CALLS
        )
        log.info("Single worker confirmed")
    log.info("Flask app warmup complete")
    logs.boot_is_over()
    bad_days.after_boot()


class Named:
    """Puts the version on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", []), (b"x-release", VERSION.encode())]
            await send(message)

        await self.app(scope, receive, named)


class Lazy:
    """Hands the request to the larger part, or answers 500 while that cannot be made."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            application = await run_in_threadpool(get_flask_app)
        except (Exception, SystemExit) as error:
            log.error("Exception in ASGI application: %s", error)
            await PlainTextResponse("Internal Server Error", 500)(scope, receive, send)
            return
        await application(scope, receive, send)


async def healthz(request: Request) -> PlainTextResponse:
    if FAULT == "never_healthy" and ROLE == "calls":
        return PlainTextResponse("bad day: never_healthy", 503)
    return PlainTextResponse("ok")


async def upgrade_required(request: Request) -> PlainTextResponse:
    return PlainTextResponse("Upgrade Required", 426)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    if FAULT == "slow_start":
        # Nothing listens yet: the container stays in `starting`.
        await run_in_threadpool(time.sleep, SLOW_START_SECONDS)
    threading.Thread(target=_warm_up, daemon=True, name="FlaskWarmup").start()
    yield
    bad_days.before_exit()


app = Starlette(
    lifespan=lifespan,
    middleware=[Middleware(Named)],
    routes=[
        Route("/health", healthz),
        Route("/healthz", healthz),
        Route("/ws/twilio-media", upgrade_required),
        WebSocketRoute("/ws/twilio-media", twilio_media),
        WebSocketRoute("/ws/twilio-media/", twilio_media),
        Route("/{path:path}", Lazy()),
    ],
)
