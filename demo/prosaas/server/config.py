# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of every Python service, read from the environment once."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = (ROOT / "VERSION").read_text(encoding="utf-8").strip()

ROLE = os.environ.get("SERVICE_ROLE", "api")
REDIS_URL = os.environ.get("REDIS_URL") or "redis://redis:6379/0"
BAILEYS_BASE_URL = os.environ.get("BAILEYS_BASE_URL", "http://baileys:3300")
QUEUES = os.environ.get("RQ_QUEUES", "high,default,low,receipts,receipts_sync,maintenance").split(",")

# `checklist` behaves as the deployment checklist says, anything else as the application does today.
CHECKLIST = os.environ.get("DEMO_FLAVOUR") == "checklist"
SLOW_START_SECONDS = float(os.environ.get("DEMO_SLOW_START_SECONDS", "45"))
CRASH_AFTER_SECONDS = float(os.environ.get("DEMO_CRASH_AFTER_SECONDS", "8"))
DIES_AFTER_SECONDS = float(os.environ.get("DEMO_DIES_AFTER_SECONDS", "20"))


def is_production() -> bool:
    return os.environ.get("PRODUCTION") in ("1", "true", "True")


def _fault() -> str:
    """A bad day comes with the environment, or with the commit."""
    file = ROOT / "FAULT"
    return os.environ.get("DEMO_FAULT") or (file.read_text(encoding="utf-8").strip() if file.exists() else "")


FAULT = _fault()


def _integer(name: str, default: int) -> int:
    try:
        return int(os.environ[name])
    except (KeyError, ValueError):
        return default


MAX_CONCURRENT_CALLS = _integer("MAX_CONCURRENT_CALLS", 50)
MAX_ACTIVE_CALLS = _integer("MAX_ACTIVE_CALLS", MAX_CONCURRENT_CALLS)


def database_url() -> str:
    """The pooler wins over everything, for every service; the direct URL is never used, as in the real one."""
    url = os.environ.get("DATABASE_URL_POOLER") or os.environ.get("DATABASE_URL") or ""
    return url.replace("postgres://", "postgresql://", 1)


def public_host() -> str:
    return os.environ.get("PUBLIC_HOST", "").replace("https://", "").replace("http://", "").rstrip("/")
