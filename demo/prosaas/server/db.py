# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database. Importing `db` proves nothing about it: it connects when a statement is executed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2.extras import RealDictCursor

from server.config import database_url


class Database:
    @contextmanager
    def connect(self) -> Iterator[psycopg2.extensions.connection]:
        connection = psycopg2.connect(database_url(), connect_timeout=5, application_name="prosaas")
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def execute(self, statement: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """One statement in its own transaction; its rows, or none."""
        with self.connect() as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(statement, values)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []


db = Database()
