# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cloudflare's own API tells of an R2 bucket and the S3 interface does not: lock rules and public domains.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import typing as t
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass

from ._errors import OpsError, Unreachable
from ._http import Answer, Client

DAY = 86400.0


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


@dataclass(frozen=True)
class Bucket:
    """One R2 bucket, seen through Cloudflare's REST API."""

    http: Client
    api: str
    account: str
    name: str
    token: str

    def lock_rules(self) -> list[LockRule]:
        now = datetime.datetime.now(datetime.timezone.utc)
        return [lock_rule(rule, now) for rule in self._get("lock").get("rules") or []]

    def public_domains(self) -> list[str]:
        """Return the domains under which anybody can read the bucket: its r2.dev name and the enabled custom ones."""
        managed = self._get("domains/managed")
        custom = self._get("domains/custom").get("domains") or []
        return [str(domain.get("domain")) for domain in [managed, *custom] if domain.get("enabled")]

    def _get(self, part: str) -> dict[str, t.Any]:
        path = "/".join(urllib.parse.quote(name, safe="") for name in (self.account, "r2", "buckets", self.name))
        url = f"{self.api.rstrip('/')}/accounts/{path}/{part}"
        return result(self.http.send(url, headers={"Authorization": f"Bearer {self.token}"}), part)


def result(answer: Answer, part: str) -> dict[str, t.Any]:
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
        raise Unreachable(
            f"Cloudflare's API refused the token for {part} ({answer.status} {said}).",
            "Give a token with the permission Workers R2 Storage: Read.",
        )
    if answer.status == 404:
        raise OpsError(
            f"Cloudflare's API knows no such bucket in this account ({said}).", "Correct the account id or the bucket."
        )
    raise Unreachable(f"Cloudflare's API answered {answer.status} to {part} ({said}).", "Try again later.")
