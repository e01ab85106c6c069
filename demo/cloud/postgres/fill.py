# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take every connection slot that the application could have, and each one that becomes free, while the fault is on."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg2

FAULT = Path("/cloud/control/db-full")
PASSWORD = Path("/run/secrets/postgres_prosaas").read_text(encoding="utf-8").strip()


def connect() -> psycopg2.extensions.connection:
    target = "host=db.prosaas.test user=prosaas dbname=prosaas sslmode=require"
    return psycopg2.connect(target, password=PASSWORD)


def main() -> None:
    held = []
    while FAULT.exists():
        try:
            held.append(connect())
        except psycopg2.OperationalError:
            time.sleep(0.05)


main()
