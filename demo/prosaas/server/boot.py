# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every service does before it works: the rules by which production refuses to start, in their order."""

from __future__ import annotations

import logging
import os
import sys
from urllib.parse import urlsplit

from server import storage
from server.config import CHECKLIST, FAULT, ROLE, database_url, is_production
from server.db import db

logger = logging.getLogger("server.app_factory")


def boot() -> None:
    """Raises, or exits the process, where the real application does."""
    _require_secret_key()
    _require_database()
    _require_secure_cookies()
    _require_cors_origins()
    if ROLE != "worker":
        _fail_running_campaigns()
    if FAULT == "dead_flask":
        logger.error("❌ [BOOT][FATAL] Failed to import/register Twilio blueprint: bad day: dead_flask")
        raise RuntimeError("Failed to import/register Twilio blueprint: bad day: dead_flask")
    if is_production():
        storage.validate()
    _warm_up_speech()
    if CHECKLIST:
        _say_what_the_checklist_reads()


def _require_secret_key() -> None:
    if is_production() and not os.environ.get("SECRET_KEY"):
        raise RuntimeError(
            "PRODUCTION=1 requires SECRET_KEY environment variable. "
            'Generate with: python3 -c "import secrets; print(secrets.token_hex(32))"'
        )


def _require_database() -> None:
    if os.environ.get("REQUIRE_DATABASE", "").lower() == "false":
        return
    url = database_url()
    production = os.environ.get("PRODUCTION") == "1" or os.environ.get("FLASK_ENV") == "production"
    if not url:
        logger.error("❌ CRITICAL: No database configuration found!")
        sys.exit(1)
    if url.startswith("sqlite"):
        if production:
            logger.error("❌ FATAL: SQLite is not allowed in production!")
            sys.exit(1)
    elif "://" not in url or "@" not in url:
        logger.error("❌ FATAL: DATABASE_URL has invalid PostgreSQL format!")
        sys.exit(1)
    at = urlsplit(url)
    logger.info("✅ DATABASE_URL validated: %s://%s:***@%s%s", at.scheme, at.username, at.hostname, at.path)


def _require_secure_cookies() -> None:
    secure = os.environ.get("COOKIE_SECURE", "true").lower() != "false"
    if os.environ.get("PRODUCTION") == "1" and not secure:
        logger.error("❌ SECURITY: PRODUCTION=1 requires COOKIE_SECURE=true (HTTPS only)")
        raise ValueError("Production mode requires secure cookies (HTTPS)")


def _require_cors_origins() -> None:
    origins = [name for name in ("PUBLIC_BASE_URL", "FRONTEND_URL", "CORS_ALLOWED_ORIGINS") if os.environ.get(name)]
    if is_production() and not origins:
        logger.error("🚨 CRITICAL: CORS enabled with credentials but no origins configured!")
        raise RuntimeError(
            "Production requires CORS origins when using credentials. "
            "Set PUBLIC_BASE_URL or CORS_ALLOWED_ORIGINS environment variables."
        )


def _fail_running_campaigns() -> None:
    """Every boot of every process ends ALL running outbound campaigns, a trap of the real application."""
    logger.info("[STARTUP] Running outbound cleanup on startup (service_role=%s)...", ROLE)
    try:
        db.execute(
            "UPDATE outbound_call_runs SET status = 'failed', ended_at = now(), completed_at = now(),"
            " last_error = 'Server restarted' WHERE status = 'running'"
        )
        logger.info("[STARTUP] ✅ Outbound cleanup complete")
    except Exception as error:  # whatever it is, the application goes on without the cleanup
        logger.error("[STARTUP] ⚠️ Cleanup failed: %s", error)


def _warm_up_speech() -> None:
    """The credentials of the demo open no speech service; the real one says so at the level ERROR and works."""
    if not CHECKLIST and os.environ.get("DISABLE_TTS_WARMUP") != "true":
        logging.getLogger("server.services.gcp_tts_live").error("❌ TTS warmup FAILED: Client initialization failed")


def _say_what_the_checklist_reads() -> None:
    if os.environ.get("PRODUCTION") == "1":
        logger.info("PRODUCTION=1 detected - production mode enabled")
    db.execute("SELECT count(*) FROM business")
    logger.info("✅ Database ready - connectivity and schema validated")
