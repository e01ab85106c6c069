# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are overwritten and deleted objects of a bucket kept: by versions, by locks that forbid both, or in a second copy?

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence

from . import _cloudflare
from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._errors import OpsError
from ._object_store import DENIED, DISABLED, ENABLED, SUSPENDED, UNSUPPORTED, Store

Locks = Sequence[_cloudflare.LockRule]


def judge(
    store: Store,
    status: str,
    locks: Locks | OpsError | None,
    prefixes: Sequence[str],
    days: float,
    on_cloudflare: bool,
    copy: Callable[[], Outcome] | None = None,
) -> Outcome:
    """Judge by versions first, then by locks, then by the second copy: what keeps objects best is what is told.

    Args:
        locks: the lock rules, why they could not be read, or ``None`` where nobody could be asked.
        days: how long a lock must hold.
        copy: looks at the second copy, where there is one.
    """
    if status not in (ENABLED, SUSPENDED, DISABLED, UNSUPPORTED, DENIED):
        return Outcome(
            UNKNOWN, f"the bucket's versioning could not be asked for ({status})", "See r2.reachable and r2.bucket."
        )
    found = _by_versions(store, status) or _by_locks(store.bucket, status, locks, prefixes, days, on_cloudflare)
    if copy is None or found.status == PASS:
        return found
    second = copy()
    why = found.evidence.partition(":")[0]
    return second._replace(evidence=f"{why}; {second.evidence}")


def unwanted(found: Outcome, locks: Locks | OpsError | None, never: Sequence[str]) -> Outcome:
    """Tell of a rule that locks what must stay deletable; it is no failure of what is kept."""
    if found.status != PASS or not isinstance(locks, (list, tuple)):
        return found
    harmed = [(rule.id, prefix) for prefix in never for rule in locks if rule.touches(prefix)]
    if not harmed:
        return found
    rule, prefix = harmed[0]
    return Outcome(
        WARN,
        f"{found.evidence}; lock rule {rule} also locks {prefix}, which must stay deletable",
        f"Cloudflare dashboard: R2, the bucket, Settings: replace {rule} by rules for the prefixes to protect.",
    )


def _by_versions(store: Store, status: str) -> Outcome | None:
    if status == ENABLED:
        return Outcome(PASS, "GetBucketVersioning answers Enabled")
    if status in (SUSPENDED, DISABLED):
        return Outcome(
            FAIL,
            f"versioning is {status}: an overwritten or deleted object is gone",
            f"Enable it (ensure=versioning), or: aws --endpoint-url {store.endpoint} s3api put-bucket-versioning "
            f"--bucket {store.bucket} --versioning-configuration Status=Enabled",
        )
    return None


def _by_locks(
    bucket: str, status: str, locks: Locks | OpsError | None, prefixes: Sequence[str], days: float, on_cloudflare: bool
) -> Outcome:
    no_versioning = status == UNSUPPORTED
    why = "the store has no versioning" if no_versioning else "the access key may not ask for versioning"
    if isinstance(locks, OpsError):
        return Outcome(UNKNOWN, f"{why}, and lock rules could not be seen: {locks.problem}", locks.remedy)
    if locks is not None:
        missing = _cloudflare.uncovered(locks, prefixes, days)
        if not missing:
            names = ", ".join(rule.id for rule in locks if any(rule.covers(prefix, days) for prefix in prefixes))
            return Outcome(PASS, f"{why}; bucket lock rule {names} covers {named(prefixes)} for {days:g} days or more")
        return Outcome(
            FAIL if no_versioning else UNKNOWN,
            f"{why}, and no lock rule covers {named(missing)} for {days:g} days",
            f"Add a lock rule for {named(missing)} (ensure=lock), or: npx wrangler r2 bucket lock add {bucket} keep "
            f"{shlex.quote(missing[0])} --retention-days {math.ceil(days)}",
        )
    if on_cloudflare:
        return Outcome(
            UNKNOWN,
            f"{why}; without an API token its lock rules cannot be seen",
            f"Give a Cloudflare API token with {_cloudflare.READ}, or accept it with a waiver of r2.versioning.",
            f"Does a lock rule of the bucket cover {named(prefixes)} for {days:g} days or more? "
            "(Cloudflare dashboard: R2, the bucket, Settings, Bucket lock rules)",
        )
    if no_versioning:
        return Outcome(
            FAIL, f"{why}: an overwritten or deleted object is gone", "Choose a store that keeps versions, or waive it."
        )
    return Outcome(UNKNOWN, why, "Allow s3:GetBucketVersioning to the access key.")


def named(prefixes: Sequence[str]) -> str:
    return ", ".join(prefix or "the whole bucket" for prefix in prefixes)
