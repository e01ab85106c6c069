# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of a bucket: is it there, is it private, are overwritten and deleted objects kept?

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import _cloudflare, _object_store
from ._check import FAIL, PASS, UNKNOWN, WARN, Check, Outcome, Report, timed
from ._errors import OpsError, Unreachable
from ._http import Client
from ._object_store import DENIED, DISABLED, ENABLED, SUSPENDED, UNREACHABLE, UNSUPPORTED, Access, Store

REFUSED_UNSIGNED = (400, 401, 403)  # R2 answers 400 to a request without any credentials
_KEYS_UNKNOWN = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidArgument",
    "Unauthorized",
    "RequestTimeTooSkewed",
)


@dataclass(frozen=True)
class Want:
    """What the operator wants to be sure of.

    Attributes:
        prefixes: parts of the bucket that must be protected; an empty prefix is the whole bucket.
        lock_days: how long a lock rule must hold to stand in for versioning.
    """

    prefixes: Sequence[str] = ("",)
    lock_days: float = 30


def judge_reachable(seen: Access, endpoint: str) -> Outcome:
    answered = seen.judged
    if answered.code in _KEYS_UNKNOWN:
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
    if seen.listed.status >= 500 or seen.listed.code in _KEYS_UNKNOWN:
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
            WARN, f"unsigned requests are refused ({told}), public domains not seen: {domains.problem}", domains.remedy
        )
    if domains is None:
        return Outcome(
            WARN,
            f"unsigned requests are refused ({told}); r2.dev and custom domains cannot be seen without an API token",
            "Give a Cloudflare API token with Workers R2 Storage: Read, or look in the dashboard.",
        )
    return Outcome(PASS, f"unsigned requests are refused ({told}), no r2.dev or custom domain is enabled")


def judge_versioning(
    status: str,
    locks: Sequence[_cloudflare.LockRule] | OpsError | None,
    want: Want,
    on_cloudflare: bool,
) -> Outcome:
    """Judge whether overwritten and deleted objects can be had back, by versions or because locks forbid both."""
    if status == ENABLED:
        return Outcome(PASS, "GetBucketVersioning answers Enabled")
    if status in (SUSPENDED, DISABLED):
        return Outcome(
            FAIL,
            f"versioning is {status}: an overwritten or deleted object is gone",
            "Enable it: aws s3api put-bucket-versioning --versioning-configuration Status=Enabled --bucket …",
        )
    if status not in (UNSUPPORTED, DENIED):
        return Outcome(
            UNKNOWN, f"the bucket's versioning could not be asked for ({status})", "See r2.reachable and r2.bucket."
        )
    why = "the store has no versioning" if status == UNSUPPORTED else "the access key may not ask for versioning"
    return _judge_locks(why, locks, want, status == UNSUPPORTED, on_cloudflare)


def _judge_locks(
    why: str,
    locks: Sequence[_cloudflare.LockRule] | OpsError | None,
    want: Want,
    no_versioning: bool,
    on_cloudflare: bool,
) -> Outcome:
    if isinstance(locks, OpsError):
        return Outcome(UNKNOWN, f"{why}, and lock rules could not be seen: {locks.problem}", locks.remedy)
    if locks is not None:
        missing = _cloudflare.uncovered(locks, want.prefixes, want.lock_days)
        if not missing:
            names = ", ".join(rule.id for rule in locks if any(rule.covers(p, want.lock_days) for p in want.prefixes))
            return Outcome(
                PASS,
                f"{why}; bucket lock rule {names} covers {_named(want.prefixes)} for {want.lock_days:g} days or more",
            )
        remedy = (
            f"Add a lock rule for {_named(missing)}, {want.lock_days:g} days or more: npx wrangler r2 bucket lock add …"
        )
        return Outcome(
            FAIL if no_versioning else UNKNOWN,
            f"{why}, and no lock rule covers {_named(missing)} for {want.lock_days:g} days",
            remedy,
        )
    if on_cloudflare:
        remedy = (
            "Give a Cloudflare API token with Workers R2 Storage: Read, or accept it with a waiver of r2.versioning."
        )
        return Outcome(UNKNOWN, f"{why}; without an API token its lock rules cannot be seen", remedy)
    if no_versioning:
        return Outcome(
            FAIL, f"{why}: an overwritten or deleted object is gone", "Choose a store that keeps versions, or waive it."
        )
    return Outcome(UNKNOWN, why, "Allow s3:GetBucketVersioning to the access key.")


def _named(prefixes: Sequence[str]) -> str:
    return ", ".join(prefix or "the whole bucket" for prefix in prefixes)


def inspect(
    store: Store, http: Client, cloudflare: _cloudflare.Bucket | None, on_cloudflare: bool, want: Want
) -> Report:
    """Ask everything side by side, then judge."""
    with _object_store.trusted(store.ca_path) as verify, ThreadPoolExecutor(max_workers=5) as pool:
        client = _object_store.connect(store, verify)
        reached = pool.submit(_object_store.access, client, store.bucket)
        version = pool.submit(_object_store.versioning, client, store.bucket)
        locks = pool.submit(lambda: cloudflare and cloudflare.lock_rules())
        domains = pool.submit(lambda: cloudflare and cloudflare.public_domains())

        def private() -> Outcome:
            found = reached.result().listed
            statuses = _object_store.unsigned(http, store, str(found.detail) if found.ok else "")
            return judge_private(statuses, _settled(domains.result), on_cloudflare)

        looks: list[tuple[str, str, t.Callable[[], Outcome]]] = [
            ("r2.reachable", "The object store answers", lambda: judge_reachable(reached.result(), store.endpoint)),
            ("r2.bucket", "The bucket is there", lambda: judge_bucket(reached.result(), store.bucket)),
            ("r2.private", "The bucket is private", private),
            (
                "r2.versioning",
                "Overwritten and deleted objects are kept",
                lambda: judge_versioning(version.result(), _settled(locks.result), want, on_cloudflare),
            ),
        ]
        checks: list[Check] = [timed(name, title, (), look) for name, title, look in looks]
        status = _settled(version.result)
    return Report(
        checks=checks,
        facts={"versioning": UNREACHABLE if isinstance(status, OpsError) else status, "bucket": store.bucket},
        secrets={store.secret_access_key, store.access_key_id},
    )


def _settled(result: t.Callable[[], t.Any]) -> t.Any:
    """Return what a call came to, or the error that the operator must know as a value."""
    try:
        return result()
    except OpsError as error:
        return error
