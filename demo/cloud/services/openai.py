# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI: the list of models, which is what tells whether a key is good."""

from __future__ import annotations

from typing import Any

from common import Refused, bearer, fault, same, secret
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CALLS = "gpt-4o-mini-realtime-preview"
MODELS = ["gpt-4o-mini", "gpt-4o-realtime-preview", CALLS, "gpt-realtime", "whisper-1"]
DOCS = "https://platform.openai.com"


def error(message: str, code: str | None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def masked(key: str) -> str:
    """The key as OpenAI repeats it: with its last four characters."""
    return f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"


async def models(request: Request) -> JSONResponse:
    key = bearer(request)
    if not key:
        raise Refused(401, error("You didn't provide an API key.", None))
    if fault("openai-key-revoked") or not same(key, "sk-demo-" + secret("openai_key")):
        said = f"Incorrect API key provided: {masked(key)}. You can find your API key at {DOCS}/account/api-keys."
        raise Refused(401, error(said, "invalid_api_key"))
    if fault("openai-quota"):
        said = f"You exceeded your current quota, please check your plan and billing details: {DOCS}/docs/guides/error-codes."
        raise Refused(429, error(said, "insufficient_quota", "insufficient_quota"))
    if fault("openai-busy"):
        raise Refused(429, error("Rate limit reached for requests", "rate_limit_exceeded", "requests"))
    offered = [name for name in MODELS if not (name == CALLS and fault("openai-model-gone"))]
    rows = [{"id": name, "object": "model", "created": 1734387380, "owned_by": "system"} for name in offered]
    return JSONResponse({"object": "list", "data": rows})


ROUTES = [Route("/v1/models", models)]
