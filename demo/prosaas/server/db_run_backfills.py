# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fills new columns of old rows, in small steps. It never fails a deployment: it exits 0 whatever happens."""

from __future__ import annotations

import argparse
import logging
import time

import psycopg2

from server import logs
from server.db import db

BACKFILLS = {
    "leads_phone_raw": "UPDATE leads SET phone_raw = phone_e164 WHERE phone_raw IS NULL",
    "call_log_recording_count": "UPDATE call_log SET recording_count = 0 WHERE recording_count IS NULL",
}

logger = logging.getLogger("server.db_run_backfills")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="run every backfill")
    parser.add_argument("--max-minutes", type=float, default=10)
    options = parser.parse_args()
    logs.configure()
    logger.info("Database Backfill Runner")
    deadline = time.monotonic() + options.max_minutes * 60
    for name, statement in BACKFILLS.items() if options.all else ():
        if time.monotonic() > deadline:
            logger.warning("Will continue on next run")
            return
        try:
            db.execute(statement)
            logger.info("✅ Backfill %s completed successfully", name)
        except psycopg2.Error as error:
            logger.error("❌ Backfill %s failed: %s", name, error)


if __name__ == "__main__":
    main()
