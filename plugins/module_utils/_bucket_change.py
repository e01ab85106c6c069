# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a bucket keep what is overwritten or deleted: versioning where the store has it, a lock rule where it has not.

The API sets all lock rules at once. So all are read, ours is added, and it is made sure afterwards that none of the
others is gone. Two who change rules in the same second can still undo each other's work, and nothing prevents that.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import _cloudflare, _object_store
from ._check import UNKNOWN, Outcome
from ._errors import OpsError, Unreachable
from ._object_store import DENIED, DISABLED, ENABLED, SUSPENDED, UNSUPPORTED

NONE, VERSIONING, LOCK = "none", "versioning", "lock"
Rules = list[dict[str, t.Any]]


@dataclass
class Change:
    """What was changed, or would be.

    Attributes:
        outcome: what stands for the check of versioning: why the change failed, or that check mode did not make it.
    """

    changed: bool = False
    diff: list[dict[str, str]] = field(default_factory=list)
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Lock:
    """What is to be locked.

    Attributes:
        never: prefixes in which something must stay deletable.
        rule: id of our rules; that of a prefix has the prefix behind it.
    """

    prefixes: Sequence[str]
    days: float
    never: Sequence[str]
    rule: str

    def named(self, prefix: str) -> str:
        return f"{self.rule} {prefix}".strip()

    def made(self, prefix: str) -> dict[str, t.Any]:
        condition = {"type": "Age", "maxAgeSeconds": int(self.days * _cloudflare.DAY)}
        return {"id": self.named(prefix), "enabled": True, "prefix": prefix, "condition": condition}


def with_locks(rules: Rules, lock: Lock) -> Rules:
    """Return the rules with what is missing: a rule of our own is brought up to date, the others stay as they are."""
    missing = _cloudflare.uncovered(_cloudflare.read_rules(rules), lock.prefixes, lock.days)
    for prefix in missing:
        harmed = [one for one in lock.never if _cloudflare.overlap(prefix, one)]
        if harmed:
            raise OpsError(
                f"A lock rule for {prefix or 'the whole bucket'} would also lock {harmed[0]}, "
                "which must stay deletable.",
                "Name the prefixes to protect instead, without that one.",
            )
    ours = {lock.named(prefix): lock.made(prefix) for prefix in missing}
    for rule in rules:
        mine = ours.get(str(rule.get("id")))
        if mine and (rule.get("prefix") or "") != mine["prefix"]:
            raise OpsError(f"There is another lock rule with the id {mine['id']}.", "Choose another lock_rule.")
    replaced = [ours.pop(str(rule.get("id")), rule) for rule in rules]
    return replaced + list(ours.values())


def ensure(
    what: str, client: t.Any, bucket: str, cloudflare: _cloudflare.Bucket | None, lock: Lock, dry: bool
) -> Change:
    """Bring the bucket to what is asked for; what stands in the way becomes the outcome."""
    try:
        if what == VERSIONING:
            return _versioning(client, bucket, dry)
        return _lock(bucket, cloudflare, lock, dry) if what == LOCK else Change()
    except OpsError as error:
        status = UNKNOWN if isinstance(error, Unreachable) else "fail"
        return Change(outcome=Outcome(status, error.problem, error.remedy))


def _versioning(client: t.Any, bucket: str, dry: bool) -> Change:
    status = _object_store.versioning(client, bucket)
    if status == ENABLED:
        return Change()
    if status == UNSUPPORTED:
        raise OpsError("Versioning cannot be enabled: the store has none.", "Ask for a lock rule instead: ensure=lock.")
    if status == DENIED:
        raise OpsError(
            "Versioning cannot be enabled: the access key may not even ask for it.",
            "Allow s3:GetBucketVersioning and s3:PutBucketVersioning to it, or enable it in the provider's console.",
        )
    if status not in (DISABLED, SUSPENDED):
        raise Unreachable(f"Versioning cannot be enabled: the bucket is {status}.", "See r2.reachable and r2.bucket.")
    change = _planned(f"versioning of {bucket}", f"{status}\n", f"{ENABLED}\n", "versioning would be enabled", dry)
    if dry:
        return change
    enabled = {"Status": "Enabled"}
    answered = _object_store.ask(lambda: client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled))
    if not answered.ok:
        raise OpsError(
            f"Versioning cannot be enabled: {answered.said}.",
            "Allow s3:PutBucketVersioning to the access key, or enable it in the provider's console.",
        )
    return change


def _lock(bucket: str, cloudflare: _cloudflare.Bucket | None, lock: Lock, dry: bool) -> Change:
    if cloudflare is None:
        raise OpsError(
            "A lock rule cannot be set without an API token.",
            f"Give a Cloudflare API token with the permission {_cloudflare.WRITE}.",
        )
    before = cloudflare.raw_lock_rules()
    after = with_locks(before, lock)
    if after == before:
        return Change()
    added = ", ".join(str(rule["id"]) for rule in after if rule not in before)
    if not dry:
        before, after = _set(cloudflare, lock)
    return _planned(f"lock rules of {bucket}", _shown(before), _shown(after), f"lock rule {added} would be set", dry)


def _set(cloudflare: _cloudflare.Bucket, lock: Lock) -> tuple[Rules, Rules]:
    before = cloudflare.raw_lock_rules()  # as late as possible: others may set rules, too
    after = with_locks(before, lock)
    cloudflare.put_lock_rules(after)
    seen = cloudflare.raw_lock_rules()
    lost = [str(rule.get("id")) for rule in before if rule in after and rule not in seen]
    if lost or with_locks(seen, lock) != seen:
        what = f"the rule {lost[0]} is gone" if lost else "the new rule is not there"
        raise OpsError(
            f"The lock rules were set, and then {what}: somebody else changed them at the same time.",
            "Look at the lock rules in the Cloudflare dashboard (R2, the bucket, Settings), and run this again.",
        )
    return before, seen


def _planned(header: str, before: str, after: str, said: str, dry: bool) -> Change:
    diff = {"before_header": header, "before": before, "after_header": header, "after": after}
    outcome = Outcome(UNKNOWN, f"{said} (check mode)", "Run it without --check.") if dry else None
    return Change(True, [diff], outcome)


def _shown(rules: Rules) -> str:
    return json.dumps(rules, indent=2, sort_keys=True) + "\n"
