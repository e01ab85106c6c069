# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Supabase's Management API: the backups of one project."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from common import Refused, bearer, fault, same, secret
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PROJECT = os.environ["SUPABASE_PROJECT"]
AT = timedelta(hours=2, minutes=10)  # of each day


def daily(count: int) -> list[dict[str, Any]]:
    """The newest backups, one a day at the same time."""
    now = datetime.now(timezone.utc)
    newest = now.replace(hour=0, minute=0, second=0, microsecond=0) + AT
    newest -= timedelta(days=newest > now)
    moments = [newest - timedelta(days=day) for day in range(count)]
    return [
        {"is_physical_backup": True, "status": "COMPLETED", "inserted_at": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")}
        for moment in moments
    ]


async def backups(request: Request) -> JSONResponse:
    if fault("provider-token-denied") or not same(bearer(request), secret("supabase_token")):
        raise Refused(401, {"message": "Unauthorized"})
    if request.path_params["project"] != PROJECT:
        raise Refused(404, {"message": "Project not found"})
    count = 0 if fault("provider-no-backups") else 3 if fault("provider-short-retention") else 7
    return JSONResponse(
        {
            "region": "eu-central-1",
            "pitr_enabled": False,
            "walg_enabled": True,  # also where there is no backup
            "backups": daily(count),
            "physical_backup_data": {},
        }
    )


ROUTES = [Route("/v1/projects/{project}/database/backups", backups)]
