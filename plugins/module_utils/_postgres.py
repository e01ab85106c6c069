# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to Postgres as data: which variables hold their settings, and where those lead to.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ._errors import OpsError

PARTS = {"host": "host", "port": "port", "name": "dbname", "user": "user", "password": "password"}
PART_DEFAULTS = {"port": "5432"}
TLS_PARTS = ("ssl", "verify", "ca")
TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")
VERIFYING = ("verify-ca", "verify-full")
_DRIVER = re.compile(r"^(postgres(?:ql)?)\+\w+://")  # as SQLAlchemy writes it
_HOST = re.compile(r"[A-Za-z0-9_.,:/%-]*")
_KEYS = {"title", "url", "or", "migrates", "tables", "free", "options", *PARTS, *TLS_PARTS}


@dataclass(frozen=True)
class Source:
    """A connection as data: variables of the env file, never their values.

    Attributes:
        urls: variables with a URL; the first one that is set counts.
        parts: variables by purpose, where there is no URL: ``PARTS``, and whether TLS is asked for (``ssl``), whether
            the certificate is verified unless it says no (``verify``), and with which authority's (``ca``).
        options: what the application sends as startup options, which not every pooler takes.
        migrates: whether it must have the right to change the schema.
        tables: patterns of the tables that it must be able to change.
        free: connections that must be free.
    """

    name: str
    title: str
    urls: Sequence[str] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    options: str = ""
    migrates: bool = False
    tables: Sequence[str] = ("*",)
    free: int = 5

    @classmethod
    def of(cls, name: str, given: Mapping[str, t.Any]) -> Source:
        unknown = sorted(given.keys() - _KEYS)
        if unknown or not ("url" in given) ^ ("host" in given):
            why = f"does not know {', '.join(unknown)}" if unknown else "needs either url or host"
            raise OpsError(f"Connection {name} {why}.", "See the option connections of postgres_check.")
        return cls(
            name=name,
            title=given.get("title") or name,
            urls=[given["url"], *(given.get("or") or [])] if "url" in given else [],
            parts={part: given[part] for part in (*PARTS, *TLS_PARTS) if part in given} if "host" in given else {},
            options=given.get("options") or "",
            migrates=bool(given.get("migrates")),
            tables=given.get("tables") or ["*"],
            free=int(given.get("free", 5)),
        )

    @property
    def variables(self) -> list[str]:
        return [*self.urls, *self.parts.values()]

    @property
    def variable(self) -> str:
        """The variable that a person edits to lead it elsewhere."""
        return self.urls[0] if self.urls else self.parts["host"]

    @property
    def proof(self) -> str:
        """How the certificate of the server can be trusted, or goes unverified."""
        if self.urls:
            how = f"Give sslrootcert in {self.variable} the provider's CA certificate, or sslmode=require"
        else:
            how = f"Set {self.parts.get('ca')} to the provider's CA certificate, or {self.parts.get('verify')}=false"
        return f"{how} to go without that proof."

    def target(self, values: Mapping[str, str]) -> Target:
        """Return where it leads to; what is missing or cannot be read is an error that shows no value."""
        params = self._of_url(values) if self.urls else self._of_parts(values)
        if self.options:
            params["options"] = " ".join(filter(None, (params.get("options"), self.options)))
        target = Target(tuple(sorted(params.items())))
        # A special character in the password makes a host or a database out of a piece of it: show nothing of that.
        if not _HOST.fullmatch(target.host) or not target.port.isdigit() or "@" in target.database:
            raise self._unreadable()
        return target

    def _of_url(self, values: Mapping[str, str]) -> dict[str, str]:
        import psycopg2
        import psycopg2.extensions

        url = next((values[name] for name in self.urls if values.get(name)), "")
        if not url:
            raise OpsError(f"{' and '.join(self.urls)} not set in the env file", f"Set {self.urls[0]} there.")
        try:
            params = psycopg2.extensions.parse_dsn(_DRIVER.sub(r"\1://", url))
        except psycopg2.ProgrammingError:  # its text repeats the URL
            raise self._unreadable() from None
        params.pop("service", None)
        return t.cast("dict[str, str]", params)

    def _of_parts(self, values: Mapping[str, str]) -> dict[str, str]:
        found = {PARTS[part]: values.get(name, "") for part, name in self.parts.items() if part in PARTS}
        for part, value in PART_DEFAULTS.items():
            found[part] = found.get(part) or value
        missing = [name for part, name in self.parts.items() if part in PARTS and not found[PARTS[part]]]
        if missing:
            raise OpsError(f"{', '.join(missing)} not set in the env file", "Set them there.")
        return {**found, **self._tls_of_parts(values)}

    def _tls_of_parts(self, values: Mapping[str, str]) -> dict[str, str]:
        said = {part: values.get(self.parts.get(part, ""), "") for part in TLS_PARTS}
        lax = said["verify"].lower() in FALSE
        if not (said["ssl"].lower() in TRUE or said["ca"] or lax):
            return {"sslmode": "disable"}
        # A certificate as text cannot be handed to libpq without a file.
        if lax or "verify" not in self.parts or "BEGIN CERT" in said["ca"]:
            return {"sslmode": "require"}
        return {"sslmode": "verify-full", "sslrootcert": said["ca"] or "system"}

    def _unreadable(self) -> OpsError:
        return OpsError(
            f"{self.variable} is no URL that libpq can read",
            "Write special characters of the password as %XX, and leave out parameters that libpq does not know.",
        )


@dataclass(frozen=True)
class Target:
    """Where a connection leads to, as parameters of libpq. Two that lead to the same place are equal."""

    params: tuple[tuple[str, str], ...] = field(repr=False)

    def get(self, name: str) -> str:
        return dict(self.params).get(name, "")

    @property
    def host(self) -> str:
        return self.get("host") or self.get("hostaddr")

    @property
    def port(self) -> str:
        return self.get("port") or "5432"

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def database(self) -> str:
        return self.get("dbname") or self.user

    @property
    def user(self) -> str:
        return self.get("user")

    @property
    def sslmode(self) -> str:
        """As it is written, empty when it is not."""
        return self.get("sslmode")
