# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a connection to Postgres is opened: as the application does, and so that nothing can be changed by it.

It is read-only by its transactions (``BEGIN READ ONLY``), which work through every pooler; a setting of the session
would stay behind in the pooler for somebody else.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ._errors import Unreachable
from ._postgres import VERIFYING, Source, Target
from ._postgres_refusal import refusal

APPLICATION = "prosaas.ops"
_NOWHERE = "/nonexistent"


@contextmanager
def own_settings() -> Iterator[None]:
    """Keep what libpq would take from the environment (``PGPASSWORD``, ``PGSSLMODE``, …) out of the connections."""
    found = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(found)


@dataclass(frozen=True)
class Manner:
    """How connections are opened.

    Attributes:
        sslmodes: values of ``sslmode`` that are taken as they are; any other becomes ``require``, so that no password
            travels in the clear.
        seconds: how long one answer may take.
        ca_path: stands in for an ``sslrootcert`` that is a file inside the containers only.
    """

    sslmodes: Sequence[str] = ("require", *VERIFYING)
    seconds: int = 5
    ca_path: str = ""


def parameters(target: Target, how: Manner) -> dict[str, t.Any]:
    """Return libpq's parameters: the target's, limits of time, and nothing from files of this host's user."""
    ours = {
        "connect_timeout": how.seconds,
        "application_name": APPLICATION,
        "tcp_user_timeout": how.seconds * 1000,
        "keepalives_idle": how.seconds,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "gssencmode": "disable",
        "passfile": _NOWHERE,
        "sslcert": _NOWHERE,
        "sslkey": _NOWHERE,
    }
    root = target.get("sslrootcert")
    if root not in ("", "system") and not Path(root).exists():
        if not how.ca_path:
            raise Unreachable(
                f"The CA certificate {root} that {target.host} is to be verified with is not on this host",
                "Put the file there, too, or name it in ca_path.",
            )
        root = how.ca_path
    mode = target.sslmode if target.sslmode in how.sslmodes else "require"
    # Without a name libpq looks into the home directory, where "require" would come to mean "verify-ca".
    return {**ours, **dict(target.params), "sslmode": mode, "sslrootcert": root or _NOWHERE}


@contextmanager
def connected(target: Target, sources: Sequence[Source], how: Manner) -> Iterator[t.Any]:
    """Open a connection whose every transaction is read-only; a refusal is raised as :class:`Refused`."""
    import psycopg2

    try:
        connection = psycopg2.connect(**parameters(target, how))
    except psycopg2.OperationalError as error:
        raise refusal(str(error), target, *sources) from None
    try:
        connection.set_session(readonly=True)
        yield connection
    finally:
        connection.close()


@contextmanager
def changing(target: Target, how: Manner) -> Iterator[t.Any]:
    """Open a connection that may change what is there; each statement counts by itself unless it says BEGIN."""
    import psycopg2

    try:
        connection = psycopg2.connect(**parameters(target, how))
    except psycopg2.OperationalError as error:
        raise refusal(str(error), target) from None
    try:
        connection.autocommit = True
        yield connection
    finally:
        connection.close()


@contextmanager
def reading(connection: t.Any, seconds: int) -> Iterator[t.Any]:
    """Yield a cursor in a read-only transaction that is always taken back.

    Rows that a policy would hide are an error instead of an answer that is too short.
    """
    import psycopg2

    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}; SET LOCAL row_security = off")
            yield cursor
    except psycopg2.Error as error:
        said = error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__
        raise Unreachable(
            f"the server does not answer what was asked: {said}", "See the privileges of the connection's user."
        ) from None
    finally:
        if not connection.closed:
            connection.rollback()


def takes_plain(target: Target, how: Manner) -> bool | None:
    """Ask without TLS and without a password: does the server go on, or refuse? ``None`` when it cannot be told."""
    import psycopg2

    bare = Target(tuple(pair for pair in target.params if pair[0] in ("host", "hostaddr", "port", "dbname", "user")))
    try:
        psycopg2.connect(**{**parameters(bare, how), "sslmode": "disable"}).close()
        return True
    except psycopg2.OperationalError as error:
        if "no password supplied" in str(error):
            return True
        kind = refusal(str(error), target).kind
        return False if kind == "not_admitted" or re.search(r"\b(SSL|TLS)\b", str(error)) else None
