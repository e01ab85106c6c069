# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of a bucket: is it there, is it private, does it keep objects, may our key and our pages use it?

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from . import _bucket_change, _bucket_copy, _bucket_cors, _bucket_probe, _bucket_versions, _cloudflare, _object_store
from ._bucket_copy import Copy
from ._check import FAIL, PASS, SKIP, UNKNOWN, Check, Outcome, Report, timed
from ._errors import OpsError, Unreachable
from ._http import Client
from ._object_store import KEYS_UNKNOWN, UNREACHABLE, Access, Answered, Store

REFUSED_UNSIGNED = (400, 401, 403)  # R2 answers 400 to a request without any credentials


@dataclass(frozen=True)
class Want:
    """What the operator wants to be sure of.

    Attributes:
        prefixes: parts of the bucket that must be protected; an empty prefix is the whole bucket.
        lock_days: how long a lock rule must hold to stand in for versioning.
        never: prefixes that no lock rule may touch.
        copy: a second copy that stands in where neither versions nor locks keep objects.
        cors: which pages must be able to use the bucket.
        probe: prefix for a probe with the application's key; ``None`` for no probe.
        ensure: what to change first (:mod:`_bucket_change`).
        lock_rule: id of the lock rule that is set then.
    """

    prefixes: Sequence[str] = ("",)
    lock_days: float = 30
    never: Sequence[str] = ()
    copy: Copy | None = None
    cors: _bucket_cors.Wanted = _bucket_cors.Wanted()
    probe: str | None = None
    ensure: str = _bucket_change.NONE
    lock_rule: str = "prosaas-ops-keep"


def judge_reachable(seen: Access, endpoint: str) -> Outcome:
    answered = seen.judged
    if answered.code in KEYS_UNKNOWN:
        return Outcome(
            FAIL,
            f"{endpoint} does not accept the access key ({answered.code})",
            "Correct the key pair in the env file.",
        )
    if answered.status >= 500:
        raise Unreachable(
            f"{endpoint} answers {answered.status} {answered.code}.", "Look at the provider's status page."
        )
    return Outcome(PASS, f"{endpoint} answers over verified TLS and knows the access key")


def judge_bucket(seen: Access, bucket: str) -> Outcome:
    if seen.head.ok:
        return Outcome(PASS, f"HeadBucket of {bucket} answers 200")
    if seen.listed.ok:
        return Outcome(
            FAIL,
            f"{bucket} can be listed, but HeadBucket answers {seen.head.status}: an application that begins with it "
            "would stop",
            "Give the access key a permission that includes HeadBucket.",
        )
    if seen.listed.status == 404:
        return Outcome(FAIL, f"there is no bucket {bucket}", "Create it, or correct its name in the env file.")
    if seen.listed.status >= 500 or seen.listed.code in KEYS_UNKNOWN:
        return Outcome(UNKNOWN, f"the store answers {seen.listed.status} {seen.listed.code}", "See r2.reachable.")
    return Outcome(
        FAIL,
        f"the access key may not use {bucket}: HeadBucket answers {seen.head.status}, ListObjects {seen.listed.code}",
        "Give the access key read and write on this bucket, or correct the bucket's name.",
    )


def judge_private(
    statuses: Mapping[str, int], domains: Sequence[str] | OpsError | None, on_cloudflare: bool
) -> Outcome:
    """Judge who can read without credentials.

    Args:
        domains: public domains as Cloudflare tells them, why it did not, or ``None`` when it could not be asked.
        on_cloudflare: whether public domains are a way in at all.
    """
    told = ", ".join(f"{what} {status}" for what, status in statuses.items())
    opened = [what for what, status in statuses.items() if status < 300]
    if opened:
        return Outcome(
            FAIL,
            f"anybody can read the bucket's {' and '.join(opened)} without credentials",
            "Take the public access away.",
        )
    if isinstance(domains, list) and domains:
        remedy = "Cloudflare dashboard: R2, the bucket, Settings: disable public access on these domains."
        return Outcome(FAIL, f"the bucket is published as {', '.join(domains)}", remedy)
    unclear = [what for what, status in statuses.items() if status not in REFUSED_UNSIGNED]
    if unclear:
        return Outcome(UNKNOWN, f"unsigned requests are neither served nor refused ({told})", "Try again later.")
    if not on_cloudflare:
        return Outcome(PASS, f"unsigned requests are refused ({told})")
    if isinstance(domains, OpsError):
        return Outcome(
            UNKNOWN,
            f"unsigned requests are refused ({told}), public domains not seen: {domains.problem}",
            domains.remedy,
        )
    if domains is None:
        return Outcome(
            UNKNOWN,
            f"unsigned requests are refused ({told}); r2.dev and custom domains cannot be seen without an API token",
            f"Give a Cloudflare API token with {_cloudflare.READ}, or look in the dashboard and attest it.",
            "Is public access to the bucket off, for its r2.dev address and for custom domains? "
            "(Cloudflare dashboard: R2, the bucket, Settings)",
        )
    return Outcome(PASS, f"unsigned requests are refused ({told}), no r2.dev or custom domain is enabled")


class Look:
    """One look at one bucket: everything is asked side by side, and judged when all that it needs has answered.

    Args:
        cloudflare: its own API; ``None`` without a token.
        on_cloudflare: whether lock rules and public domains exist at all.
        dry: check mode: nothing may be written.
    """

    def __init__(
        self,
        store: Store,
        http: Client,
        cloudflare: _cloudflare.Bucket | None,
        on_cloudflare: bool,
        want: Want,
        dry: bool,
    ) -> None:
        self._store, self._http, self._cloudflare = store, http, cloudflare
        self._on_cloudflare, self._want, self._dry = on_cloudflare, want, dry

    def report(self) -> Report:
        with _object_store.trusted(self._store.ca_path) as verify, ThreadPoolExecutor(max_workers=8) as pool:
            self._verify = verify
            self._client = client = _object_store.connect(self._store, verify)
            changed = _bucket_change.ensure(
                self._want.ensure, client, self._store.bucket, self._cloudflare, self._lock, self._dry
            )
            cloudflare = self._cloudflare
            self._reached = pool.submit(_object_store.access, client, self._store.bucket)
            self._version = pool.submit(_object_store.versioning, client, self._store.bucket)
            self._locks = pool.submit(lambda: cloudflare and cloudflare.lock_rules())
            self._domains = pool.submit(lambda: cloudflare and cloudflare.public_domains())
            checks = self._checks(changed)
            status = _settled(self._version)
        copied = self._want.copy
        return Report(
            checks=checks,
            facts={
                "versioning": UNREACHABLE if isinstance(status, OpsError) else status,
                "bucket": self._store.bucket,
            },
            secrets={secret for one in (self._store, copied and copied.store) if one for secret in one.secrets},
            changed=changed.changed,
            diff=changed.diff,
        )

    def _checks(self, changed: _bucket_change.Change) -> list[Check]:
        looks: list[tuple[str, str, Callable[[], Outcome]]] = [
            (
                "r2.reachable",
                "The object store answers",
                lambda: judge_reachable(self._reached.result(), self._store.endpoint),
            ),
            ("r2.bucket", "The bucket is there", lambda: judge_bucket(self._reached.result(), self._store.bucket)),
            ("r2.private", "The bucket is private", self._private),
            ("r2.cors", "The right pages may use the bucket, and no others", self._cors),
            (
                "r2.versioning",
                "Overwritten and deleted objects are kept",
                lambda: changed.outcome or self._kept(),
            ),
        ]
        if self._want.probe is not None:
            looks.append(("r2.objects", "The application's key may write, read and delete", self._objects))
        with ThreadPoolExecutor(max_workers=len(looks)) as pool:
            return list(pool.map(lambda look: timed(look[0], look[1], (), look[2]), looks))

    @property
    def _lock(self) -> _bucket_change.Lock:
        want = self._want
        return _bucket_change.Lock(want.prefixes, want.lock_days, want.never, want.lock_rule)

    def _private(self) -> Outcome:
        found = self._reached.result().listed
        statuses = _object_store.unsigned(self._http, self._store, str(found.detail) if found.ok else "")
        return judge_private(statuses, _settled(self._domains), self._on_cloudflare)

    def _cors(self) -> Outcome:
        wanted = self._want.cors
        rules = _bucket_cors.rules(self._client, self._store.bucket, self._cloudflare)
        answered = self._reached.result().judged
        if answered.status == 404 or answered.status >= 500:
            return _unasked(answered)
        seen = _bucket_cors.preflights(self._http, self._store, [*wanted.asked, *_bucket_cors.strangers()])
        return _bucket_cors.judge(wanted, seen, rules, None if self._on_cloudflare else self._store)

    def _kept(self) -> Outcome:
        want, locks = self._want, _settled(self._locks)
        copy = self._copied if want.copy else None
        found = _bucket_versions.judge(
            self._store, self._version.result(), locks, want.prefixes, want.lock_days, self._on_cloudflare, copy
        )
        return _bucket_versions.unwanted(found, locks, want.never)

    def _copied(self) -> Outcome:
        copy = t.cast("Copy", self._want.copy)
        there = _object_store.connect(copy.store, self._verify)
        return _bucket_copy.judge(self._client, self._store.bucket, self._want.prefixes, self._want.probe, copy, there)

    def _objects(self) -> Outcome:
        prefix = str(self._want.probe)
        if self._dry:
            return Outcome(SKIP, "check mode writes no probe object")
        listed = self._reached.result().listed
        answered = self._reached.result().judged
        if answered.status == 404 or answered.status >= 500 or answered.code in KEYS_UNKNOWN:
            return _unasked(answered)
        kept_by = _bucket_probe.keeper(prefix, _settled(self._locks), self._on_cloudflare)
        status, key = self._version.result(), str(listed.detail) if listed.ok else ""
        return _bucket_probe.judge(self._client, self._store.bucket, prefix, kept_by, status, key)


def _unasked(answered: Answered) -> Outcome:
    return Outcome(UNKNOWN, f"the store answers {answered.said}", "See r2.reachable and r2.bucket.")


def _settled(asked: Future[t.Any]) -> t.Any:
    """Return what a call came to, or the error that the operator must know as a value."""
    try:
        return asked.result()
    except OpsError as error:
        return error
