# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pages' scripts may use a bucket: what a browser's preflight comes to, and what the CORS rules say.

A preflight carries no credentials, so it can be asked for where the key may not read the rules.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

from . import _object_store
from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._cloudflare import Bucket
from ._errors import OpsError, Unreachable
from ._http import Answer, Client
from ._object_store import Store

STRANGER = "https://stranger.invalid"  # a name that nobody can have
READING = ("GET",)
WRITING = ("PUT", "POST", "DELETE")
_NO_RULES = "NoSuchCORSConfiguration"
_NO_PREFLIGHTS = (405, 501)

Asked = tuple[str, str]  # an origin and a method


class Rule(t.NamedTuple):
    """One CORS rule: pages of these origins (with ``*`` for anything) may use these methods."""

    origins: Sequence[str]
    methods: Sequence[str]

    def lets(self, origin: str, method: str) -> bool:
        return method in self.methods and any(fnmatchcase(origin, pattern) for pattern in self.origins)


class Wanted(t.NamedTuple):
    """Which pages must get in, and with what: an origin is ``https://host``."""

    origins: Sequence[str] = ()
    methods: Sequence[str] = READING

    @property
    def asked(self) -> list[Asked]:
        return [(origin, method) for origin in self.origins for method in self.methods]


def rules(client: t.Any, bucket: str, cloudflare: Bucket | None) -> list[Rule] | None:
    """Return the rules as the S3 interface or Cloudflare's API tells them, or ``None`` where neither does."""
    answered = _object_store.ask(lambda: client.get_bucket_cors(Bucket=bucket).get("CORSRules"))
    if answered.ok:
        return [Rule(rule.get("AllowedOrigins", []), rule.get("AllowedMethods", [])) for rule in answered.detail or []]
    if answered.code == _NO_RULES:
        return []
    if cloudflare is None:
        return None
    try:
        found = [rule.get("allowed") or {} for rule in cloudflare.cors_rules()]
    except OpsError:
        return None
    return [Rule(allowed.get("origins") or [], allowed.get("methods") or []) for allowed in found]


def preflights(http: Client, store: Store, asked: Iterable[Asked]) -> dict[Asked, bool | None]:
    """Ask, as a browser does before a page's request, whether the page may; ``None`` where the store does not say."""
    url = _object_store.address(store, "preflight")
    each = list(dict.fromkeys(asked))

    def ask(one: Asked) -> bool | None:
        origin, method = one
        headers = {"Origin": origin, "Access-Control-Request-Method": method}
        try:
            return allowed(http.send(url, "OPTIONS", headers), origin, method)
        except Unreachable:
            return None

    with ThreadPoolExecutor(max_workers=len(each)) as pool:
        return dict(zip(each, pool.map(ask, each)))


def allowed(answer: Answer, origin: str, method: str) -> bool | None:
    if answer.status >= 500 or answer.status in _NO_PREFLIGHTS:
        return None
    methods = [one.strip() for one in answer.headers.get("access-control-allow-methods", "").split(",")]
    let_in = answer.headers.get("access-control-allow-origin") in (origin, "*")
    return answer.status < 300 and let_in and (method in methods or "*" in methods)


def strangers() -> list[Asked]:
    return [(STRANGER, method) for method in (*READING, *WRITING)]


def judge(
    wanted: Wanted, seen: Mapping[Asked, bool | None], known: Sequence[Rule] | None, store: Store | None
) -> Outcome:
    """Judge which pages get in: the wanted ones must, those of any origin must not.

    Args:
        seen: what preflights came to; what a browser gets counts for more than what a rule says.
        known: the rules, or ``None`` where they could not be read.
        store: where the rules are to be set by command; ``None`` where Cloudflare's dashboard does it.
    """

    def lets(one: Asked) -> bool | None:
        if seen.get(one) is None:
            return None if known is None else any(rule.lets(*one) for rule in known)
        return seen[one]

    def is_open(method: str) -> bool:
        return bool(lets((STRANGER, method))) or any(rule.lets(STRANGER, method) for rule in known or [])

    open_to_all = [method for method in (*READING, *WRITING) if is_open(method)]
    writing = [method for method in open_to_all if method in WRITING]
    shut_out = [one for one in wanted.asked if lets(one) is False]
    remedy = _fix(wanted, store) if wanted.origins else "Remove the CORS rules that let * in."
    if writing:
        return Outcome(FAIL, f"a page of any origin may {_and(open_to_all)} (a CORS rule with *)", remedy)
    if shut_out:
        named = "; ".join(f"{method} from {origin}" for origin, method in shut_out)
        return Outcome(FAIL, f"browsers do not let the pages that need it use the bucket: {named} is refused", remedy)
    unclear = [one for one in (*wanted.asked, *strangers()) if lets(one) is None]
    if unclear:
        return Outcome(
            UNKNOWN,
            "the store answers no preflight and does not show its CORS rules",
            "Give a Cloudflare API token, or allow s3:GetBucketCORS to the access key.",
        )
    if open_to_all:
        return Outcome(WARN, f"a page of any origin may {_and(open_to_all)} (a CORS rule with *)", remedy)
    return Outcome(PASS, _told(wanted, known))


def _fix(wanted: Wanted, store: Store | None) -> str:
    rules = [{"AllowedOrigins": list(wanted.origins), "AllowedMethods": list(wanted.methods)}]
    if store is None:
        return f"Cloudflare dashboard: R2, the bucket, Settings, CORS policy: {json.dumps(rules)}"
    return (
        f"aws --endpoint-url {store.endpoint} s3api put-bucket-cors --bucket {store.bucket} "
        f"--cors-configuration '{json.dumps({'CORSRules': rules})}'"
    )


def _told(wanted: Wanted, known: Sequence[Rule] | None) -> str:
    others = sorted({origin for rule in known or [] for origin in rule.origins} - set(wanted.origins))
    also = f"; rules also let {_and(others)} in" if others else ""
    if not wanted.origins:
        return f"no page needs it, and a page of any other origin is refused{also}"
    return f"pages of {_and(wanted.origins)} may {_and(wanted.methods)}, those of any other origin are refused{also}"


def _and(words: Sequence[str]) -> str:
    return " and ".join(words)
