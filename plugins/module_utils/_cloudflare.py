# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cloudflare's own API knows of an R2 bucket and the S3 interface does not: lock rules and public domains.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import json
import re
import typing as t
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ._errors import OpsError, Unreachable
from ._http import Answer, Client

DAY = 86400.0
READ, WRITE = "Workers R2 Storage: Read", "Workers R2 Storage: Edit"  # a token's permissions, in the dashboard's words
_NO_CORS = 10059


@dataclass(frozen=True)
class LockRule:
    """A bucket lock rule: objects under the prefix can be neither overwritten nor deleted for some time.

    Attributes:
        days: how long an object written now stays locked; infinite for an indefinite rule.
    """

    id: str
    prefix: str
    enabled: bool
    days: float

    def covers(self, prefix: str, min_days: float) -> bool:
        return self.enabled and prefix.startswith(self.prefix) and self.days >= min_days

    def touches(self, prefix: str) -> bool:
        """Say whether it locks anything at all under the prefix."""
        return self.enabled and self.days > 0 and overlap(self.prefix, prefix)


def overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def lock_rule(rule: t.Mapping[str, t.Any], now: datetime.datetime) -> LockRule:
    """Read one rule as the API gives it; a condition of an unknown type locks nothing, as far as can be known."""
    condition = rule.get("condition") or {}
    kind = condition.get("type")
    days = 0.0
    if kind == "Indefinite":
        days = float("inf")
    elif kind == "Age":
        days = float(condition.get("maxAgeSeconds", 0)) / DAY
    elif kind == "Date":
        until = datetime.datetime.fromisoformat(str(condition.get("date")).replace("Z", "+00:00"))
        until = until if until.tzinfo else until.replace(tzinfo=datetime.timezone.utc)
        days = max(0.0, (until - now).total_seconds() / DAY)
    return LockRule(str(rule.get("id", "")), str(rule.get("prefix") or ""), bool(rule.get("enabled")), days)


def uncovered(rules: Iterable[LockRule], prefixes: Iterable[str], min_days: float) -> list[str]:
    """Return the prefixes that no rule locks for long enough; an empty prefix is the whole bucket."""
    known = list(rules)
    return [prefix for prefix in prefixes if not any(rule.covers(prefix, min_days) for rule in known)]


def read_rules(rules: Iterable[t.Mapping[str, t.Any]]) -> list[LockRule]:
    now = datetime.datetime.now(datetime.timezone.utc)
    return [lock_rule(rule, now) for rule in rules]


def jurisdiction(endpoint: str) -> str:
    """Return where the bucket's data must stay (``eu``), as its endpoint tells; the API wants to be told, too."""
    found = re.match(r"https://[0-9a-f]{32}\.(eu|fedramp)\.", endpoint)
    return found[1] if found else ""


@dataclass(frozen=True)
class Bucket:
    """One R2 bucket, seen through Cloudflare's REST API."""

    http: Client
    api: str
    account: str
    name: str
    token: str
    jurisdiction: str = ""

    def lock_rules(self) -> list[LockRule]:
        return read_rules(self.raw_lock_rules())

    def raw_lock_rules(self) -> list[dict[str, t.Any]]:
        return self._get("lock").get("rules") or []

    def put_lock_rules(self, rules: Sequence[t.Mapping[str, t.Any]]) -> None:
        """Set all rules at once; the API has no way to add one."""
        result(self._send("lock", "PUT", {"rules": list(rules)}), "lock", WRITE)

    def cors_rules(self) -> list[dict[str, t.Any]]:
        answer = self._send("cors")
        return [] if _says(answer, _NO_CORS) else result(answer, "cors").get("rules") or []

    def public_domains(self) -> list[str]:
        """Return the domains under which anybody can read the bucket: its r2.dev name and the enabled custom ones."""
        managed = self._get("domains/managed")
        custom = self._get("domains/custom").get("domains") or []
        return [str(domain.get("domain")) for domain in [managed, *custom] if domain.get("enabled")]

    def _get(self, part: str) -> dict[str, t.Any]:
        return result(self._send(part), part)

    def _send(self, part: str, method: str = "GET", body: t.Mapping[str, t.Any] | None = None) -> Answer:
        path = "/".join(urllib.parse.quote(name, safe="") for name in (self.account, "r2", "buckets", self.name))
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.jurisdiction:
            headers["cf-r2-jurisdiction"] = self.jurisdiction
        sent = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            sent = json.dumps(body).encode()
        return self.http.send(f"{self.api.rstrip('/')}/accounts/{path}/{part}", method, headers, sent)


def _says(answer: Answer, code: int) -> bool:
    try:
        return any(error.get("code") == code for error in answer.json().get("errors") or [])
    except (ValueError, AttributeError):
        return False


def result(answer: Answer, part: str, permission: str = READ) -> dict[str, t.Any]:
    """Return what is in Cloudflare's envelope; whatever says nothing of the bucket is ``Unreachable``."""
    try:
        envelope = answer.json()
        said = "; ".join(f"{error.get('code')} {error.get('message')}" for error in envelope.get("errors") or [])
        succeeded = answer.status == 200 and envelope.get("success") is True
        found = envelope.get("result") or {}
    except (ValueError, AttributeError):
        raise Unreachable(
            f"Cloudflare's API answered {answer.status} and no JSON to {part}.", "Correct cloudflare_api."
        ) from None
    if succeeded and isinstance(found, dict):
        return found
    if answer.status in (401, 403):
        refused: type[OpsError] = OpsError if permission == WRITE else Unreachable
        to_do = f"to change {part}" if permission == WRITE else f"for {part}"
        raise refused(
            f"Cloudflare's API refused the token {to_do} ({answer.status} {said}).",
            f"Give a token with the permission {permission}.",
        )
    if answer.status == 404:
        raise OpsError(
            f"Cloudflare's API knows no such bucket in this account ({said}).", "Correct the account id or the bucket."
        )
    raise Unreachable(f"Cloudflare's API answered {answer.status} to {part} ({said}).", "Try again later.")
