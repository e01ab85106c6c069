# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May a page of this origin do that? A browser's preflight, which nobody signs, in the words of each service."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from bucket import Store
from signature import Refused
from werkzeug.wrappers import Request, Response

NOT_ALLOWED = {
    "s3": (403, "AccessForbidden", "CORSResponse: This CORS request is not allowed."),
    "r2": (403, "Unauthorized", "CORS not configured for this bucket"),
}


def lets(rule: Any, origin: str, method: str, headers: list[str]) -> bool:
    """Does this rule (moto's) let a page of the origin send the method with these headers?"""
    allowed = [pattern.lower() for pattern in rule.allowed_headers or []]
    return (
        any(fnmatchcase(origin, pattern) for pattern in rule.allowed_origins)
        and method in rule.allowed_methods
        and all(any(fnmatchcase(header, pattern) for pattern in allowed) for header in headers)
    )


def preflight(request: Request, face: str, store: Store) -> Response:
    bucket = request.path.lstrip("/").partition("/")[0]
    if bucket not in store.backend.buckets:
        raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
    origin, method = request.headers.get("Origin"), request.headers.get("Access-Control-Request-Method")
    if not origin or not method:
        raise Refused(400, "BadRequest", "Insufficient information. Origin request header needed.")
    asked = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
    headers = [header.strip() for header in asked if header.strip()]
    for rule in store.bucket.cors:
        if lets(rule, origin, method, headers):
            shown = {
                "Access-Control-Allow-Origin": "*" if "*" in rule.allowed_origins else origin,
                "Access-Control-Allow-Methods": ", ".join(rule.allowed_methods),
                "Access-Control-Allow-Headers": ", ".join(headers),
                "Access-Control-Max-Age": rule.max_age_seconds or "",
                "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
            }
            given = {name: value for name, value in shown.items() if value}
            return Response(status=200 if face == "s3" else 204, headers=given)
    raise Refused(*NOT_ALLOWED[face])
