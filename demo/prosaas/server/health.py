# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Health endpoints behind the lazy part of the application."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from datetime import datetime

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from server import calls_capacity
from server.config import BAILEYS_BASE_URL, CHECKLIST, MAX_ACTIVE_CALLS, VERSION
from server.db import db


def _database_error() -> str:
    try:
        db.execute("SELECT 1")
        return ""
    except Exception as error:  # any reason makes the database unhealthy
        return str(error).strip()[:50]


def api_health(request: Request) -> JSONResponse:
    if CHECKLIST:
        if _database_error():
            return JSONResponse({"status": "unhealthy", "database": "disconnected"}, 503)
        return JSONResponse({"status": "ok", "database": "connected"})
    # Says nothing about the database, as the real one since it no longer migrates by itself.
    return JSONResponse(
        {"status": "ok", "service": "prosaasil-api", "warnings": [], "timestamp": datetime.now().isoformat()}
    )


def readyz(request: Request) -> JSONResponse:
    error = _database_error()
    database = f"unhealthy: {error}" if error else "healthy"
    baileys = _baileys()
    ready = database == baileys == "healthy"
    return JSONResponse(
        {
            "status": "ready" if ready else "degraded",
            "dependencies": {"database": database, "baileys_service": baileys},
            "version": VERSION,
            "timestamp": datetime.now().isoformat(),
        },
        200 if ready else 503,
    )


def _baileys() -> str:
    try:
        with urllib.request.urlopen(f"{BAILEYS_BASE_URL}/healthz", timeout=2) as answer:
            return "healthy" if answer.status == 200 else f"unhealthy: {answer.status}"
    except urllib.error.HTTPError as error:
        return f"unhealthy: {error.code}"
    except OSError:
        return "unreachable"


def db_check(request: Request) -> JSONResponse:
    url = os.environ.get("DATABASE_URL", "")
    error = _database_error()
    return JSONResponse(
        {
            "database_url_status": "configured" if url else "missing",
            "driver": url.split(":", 1)[0] or "NOT_SET",
            "connection_test": f"failed: {error}" if error else "success",
            "is_production": os.environ.get("REPLIT_DEPLOYMENT") == "1",
            "timestamp": datetime.now().isoformat(),
        }
    )


def version(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "service": "agentlocator-whatsapp-crm", "version": VERSION})


def details(request: Request) -> JSONResponse:
    """Needs no authentication, whatever the template of the environment says."""
    active = calls_capacity.count()
    return JSONResponse(
        {
            "status": "ok",
            "active_calls": active,
            "max_calls": MAX_ACTIVE_CALLS,
            "capacity_available": MAX_ACTIVE_CALLS - active,
            "at_capacity": active >= MAX_ACTIVE_CALLS,
        }
    )


ROUTES = [
    Route("/api/health", api_health),
    Route("/readyz", readyz),
    Route("/db-check", db_check),
    Route("/version", version),
    Route("/health/details", details),
]
