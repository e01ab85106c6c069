# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a Postgres server lets nobody in, told apart from what it and libpq say.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from . import _secrets
from ._check import FAIL, UNKNOWN, Outcome
from ._errors import OpsError
from ._postgres import Source, Target


class Refused(OpsError):
    """Why there is no connection, told apart.

    Args:
        kind: what the reason is about (``password``, ``no_tls``, ``full``, …).
        status: ``fail`` when the server or the resolver said no, ``unknown`` when nobody answered.
    """

    def __init__(self, kind: str, problem: str, remedy: str, status: str = FAIL) -> None:
        super().__init__(problem, remedy)
        self.kind = kind
        self.status = status

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.status, self.problem, self.remedy)


class _Sign(t.NamedTuple):
    """One reason: the words by which libpq or a server tells it, and ours for it."""

    kind: str
    words: str
    problem: str
    remedy: str
    status: str = FAIL


_CREDENTIALS = (
    "Correct {variable} in the env file: the provider's dashboard shows user and database, and resets passwords."
)
_AWAY = "See the provider's status page, and whether a firewall is between: nc -vz {host} {port}"
_SLOTS = (
    "End what holds connections (idle ones in pg_stat_activity), use the pooler, or raise the limit at the provider."
)

# The first that fits counts.
_SIGNS = (
    _Sign(
        "silent",
        r"Temporary failure in name resolution",
        "the resolver does not answer for {host}",
        "Look at the host's resolver: getent hosts {host}",
        UNKNOWN,
    ),
    _Sign(
        "unresolved",
        r"could not translate host name",
        "the name {host} does not resolve",
        "Correct the host in {variable}, or its DNS record: getent hosts {host}",
    ),
    _Sign(
        "refused",
        r"Connection refused",
        "nothing listens at {place}",
        "Start the database at the provider, or correct host and port in {variable}.",
    ),
    _Sign(
        "silent",
        r"timeout expired|timed out|No route to host",
        "{place} does not answer",
        _AWAY,
        UNKNOWN,
    ),
    _Sign(
        "no_way",
        r"Network is unreachable|Cannot assign requested address",
        "there is no way to {place} from here (network is unreachable)",
        "See getent ahosts {host}: a name with IPv6 addresses alone needs IPv6 here, or the provider's pooler or IPv4.",
    ),
    _Sign(
        "silent",
        r"the database system is|server closed the connection|Connection reset",
        "{place} takes no connections at the moment ({said})",
        _AWAY,
        UNKNOWN,
    ),
    _Sign(
        "no_tls",
        r"server does not support SSL",
        "{place} speaks no TLS, and without it no password is sent",
        "Switch TLS on at the provider.",
    ),
    _Sign(
        "certificate",
        r"root certificate file",
        "sslmode={sslmode} has no CA certificate to verify {host} with",
        "{proof}",
    ),
    _Sign(
        "certificate",
        r"does not match host name",
        "the certificate of {place} is for another name",
        "Correct the host in {variable}: it must be one of the certificate's names.",
    ),
    _Sign(
        "certificate",
        r"certificate verify failed",
        "the certificate of {place} is not trusted",
        "{proof}",
    ),
    _Sign(
        "protocol",
        r"invalid response to SSL negotiation|SSL error|expected authentication request",
        "{place} does not answer as Postgres does ({said})",
        "Correct host and port in {variable}.",
    ),
    _Sign(
        "full",
        r"connection slots|too many clients|too many connections|[Mm]ax client|no more connections allowed",
        "{place} has no connection left for {user} ({said})",
        _SLOTS,
    ),
    _Sign(
        "options",
        r"unsupported startup parameter",
        "{place} does not take the startup options that the application sends ({said})",
        "Let the pooler ignore them (PgBouncer: ignore_startup_parameters = options).",
    ),
    _Sign(
        "not_admitted",
        r"no pg_hba\.conf entry",
        "{place} does not admit {user} to {database} from this address ({said})",
        "Admit this host's address at the provider (network restrictions), and check user and database in {variable}.",
    ),
    _Sign("password", r"no password supplied", "{place} asks {user} for a password, and none is set", _CREDENTIALS),
    _Sign(
        "password",
        r"password authentication failed|SASL authentication failed|[Ww]rong password",
        "{place} does not accept the password of {user}",
        _CREDENTIALS,
    ),
    _Sign("user", r"Tenant or user not found|role \".*\" does not exist", "{place} knows no user {user}", _CREDENTIALS),
    _Sign("database", r"database \".*\" does not exist", "{place} has no database {database}", _CREDENTIALS),
    _Sign(
        "no_right",
        r"permission denied for database|is not permitted to log in",
        "{user} may not connect to {database} at {place}",
        "Grant it as the database's owner: GRANT CONNECT ON DATABASE … TO …, ALTER ROLE … LOGIN",
    ),
)
_OTHER = _Sign("other", "", "{place} refuses {user} ({said})", _CREDENTIALS)


def refusal(text: str, target: Target, *sources: Source) -> Refused:
    """Read why there is no connection from what libpq or the server said, which names no password.

    A name may have several addresses, tried one after another: the answer of one that answered counts.
    """
    tries = re.split(r"(?=connection to server (?:at|on) )", text.strip())
    signs = [(next((sign for sign in _SIGNS if re.search(sign.words, one)), _OTHER), one) for one in tries if one]
    sign, text = next((pair for pair in reversed(signs) if pair[0].status == FAIL), (signs or [(_OTHER, text)])[-1])
    words = {
        "host": target.host,
        "port": target.port,
        "place": target.place,
        "user": target.user,
        "database": target.database,
        "sslmode": target.sslmode,
        "variable": " and ".join(source.variable for source in sources),
        "proof": next((source.proof for source in sources), ""),
        "said": _said(text, target),
    }
    return Refused(sign.kind, sign.problem.format(**words), sign.remedy.format(**words), sign.status)


def _said(text: str, target: Target) -> str:
    """Return the reason itself: the last line that libpq's own preamble leaves, without a hint or a password."""
    first = text.strip().splitlines()[0] if text.strip() else "no reason is given"
    return _secrets.redact(re.split(r"failed: |FATAL: +|ERROR: +", first)[-1].strip(), {target.get("password")})
