# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GitHub's API over the demo's repository: what the runs of the application's workflow came to, commit by commit."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from common import Refused, bearer, fault, same, secret
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

REPOSITORY = os.environ["FORGE_REPOSITORY"]
ORIGIN = Path("/cloud/origin/prosaasil.git")
DOCS = "https://docs.github.com/rest"

# The jobs of the application's workflow; the audits of the dependencies are steps of the first two.
JOBS = (
    "Backend Quality & Security",
    "Frontend Quality & Security",
    "Docker Build Validation",
    "E2E Tests (Playwright)",
    "Security Summary",
)
RED = {"forge-tests-red": "E2E Tests (Playwright)", "forge-scan-red": "Backend Quality & Security"}


def error(status: int, message: str) -> Refused:
    return Refused(status, {"message": message, "documentation_url": DOCS, "status": str(status)})


def refs() -> dict[str, str]:
    """The branches and tags of the bare repository, now, with the ids that they point to."""
    found = {}
    packed = ORIGIN / "packed-refs"
    for line in packed.read_text(encoding="utf-8").splitlines() if packed.exists() else []:
        if re.match(r"[0-9a-f]{40} refs/", line):
            sha, name = line.split(" ", 1)
            found[name] = sha
    for path in (ORIGIN / "refs").rglob("*"):
        if path.is_file():
            found[str(path.relative_to(ORIGIN))] = path.read_text(encoding="ascii").strip()
    return {re.sub(r"^refs/(heads|tags)/", "", name): sha for name, sha in found.items()}


def objects() -> set[str]:
    """The ids of all objects of the repository, loose and packed (index of version 2: a table of 256, then the ids)."""
    found = {path.parent.name + path.name for path in (ORIGIN / "objects").glob("[0-9a-f][0-9a-f]/*")}
    for path in (ORIGIN / "objects/pack").glob("*.idx"):
        index = path.read_bytes()
        count = int.from_bytes(index[8 + 255 * 4 : 8 + 256 * 4], "big")
        ids = index[8 + 256 * 4 :]
        found |= {ids[20 * number : 20 * number + 20].hex() for number in range(count)}
    return found


def resolved(name: str) -> str:
    """The id that a branch, a tag, or an id of four digits or more stands for; empty for none."""
    if name in refs():
        return refs()[name]
    if re.fullmatch(r"[0-9a-f]{4,40}", name):
        matches = [sha for sha in objects() if sha.startswith(name)]
        return matches[0] if len(matches) == 1 else ""
    return ""


def admitted(request: Request) -> None:
    """The repository is private: without a token it does not exist."""
    if not request.headers.get("User-Agent"):
        raise error(
            403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header"
        )
    token = bearer(request)
    if token and not same(token, secret("forge_token")):
        raise error(401, "Bad credentials")
    if not token or f"{request.path_params['owner']}/{request.path_params['name']}" != REPOSITORY:
        raise error(404, "Not Found")


def run(number: int, name: str, sha: str) -> dict[str, Any]:
    pending = fault("forge-pending")
    red = any(fault(day) and job == name for day, job in RED.items())
    return {
        "id": number,
        "name": name,
        "head_sha": sha,
        "status": "in_progress" if pending else "completed",
        "conclusion": None if pending else "failure" if red else "success",
        "app": {"slug": "github-actions"},
    }


async def check_runs(request: Request) -> JSONResponse:
    admitted(request)
    sha = resolved(request.path_params["commit"])
    if not sha:
        raise error(422, f"No commit found for SHA: {request.path_params['commit']}")
    runs = [run(number, name, sha) for number, name in enumerate(JOBS, 1)]
    return JSONResponse({"total_count": len(runs), "check_runs": runs})


async def status(request: Request) -> JSONResponse:
    """What others have set on the commit: nothing, and then GitHub says "pending"."""
    admitted(request)
    sha = resolved(request.path_params["commit"])
    if not sha:
        raise error(404, "Not Found")
    return JSONResponse({"state": "pending", "statuses": [], "sha": sha, "total_count": 0})


COMMITS = "/repos/{owner}/{name}/commits/{commit:path}"
ROUTES = [Route(COMMITS + "/check-runs", check_runs), Route(COMMITS + "/status", status)]
