# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds the indexes after the migrations. It never fails a deployment: it exits 0 whatever happens."""

from __future__ import annotations

import logging

import psycopg2

from server import logs
from server.config import database_url

INDEXES = {
    "idx_leads_tenant": "leads (tenant_id)",
    "idx_call_log_business": "call_log (business_id, created_at)",
    "idx_messages_thread": "messages (thread_id)",
}

logger = logging.getLogger("server.db_build_indexes")


def main() -> None:
    logs.configure()
    logger.info("Database Index Builder")
    try:
        connection = psycopg2.connect(database_url(), connect_timeout=5)
    except psycopg2.Error as error:
        logger.error("❌ Database connection failed: %s", error)
        logger.error("⚠️  Index build skipped, but deployment will continue")
        return
    logger.info("✅ Database connection successful")
    connection.autocommit = True  # CONCURRENTLY runs in no transaction
    for number, (name, target) in enumerate(INDEXES.items(), start=1):
        logger.info("[%s/%s] Processing: %s", number, len(INDEXES), name)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {target}")
        except psycopg2.Error as error:
            logger.error("    ❌ %s", error)
    connection.close()


if __name__ == "__main__":
    main()
