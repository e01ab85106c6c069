# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there a second copy of a bucket, and does it have what is newest?

Only asked for where neither versions nor locks keep objects. Nothing is written to either bucket.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import functools
import typing as t
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import _object_store
from ._check import FAIL, PASS, WARN, Outcome
from ._errors import OpsError, Unreachable
from ._object_store import Answered, Store

PAGES = 10  # of 1000 objects: a listing is in the order of names, so the newest are known after all of it
_PLAIN_ETAG = 32  # the content's MD5; that of an upload in parts also depends on how it was cut


@dataclass(frozen=True)
class Copy:
    """Where the second copy is, and how good it must be.

    Attributes:
        store: the bucket that holds it, with a key that may read it.
        prefix: what stands there before the names of the first bucket.
        max_age: hours within which an object must have been copied.
        sample: how many of the newest objects are looked for.
    """

    store: Store
    prefix: str = ""
    max_age: float = 48
    sample: int = 50

    @property
    def place(self) -> str:
        return _object_store.address(self.store)


class Entry(t.NamedTuple):
    """One object as a listing tells it."""

    key: str
    size: int
    etag: str
    modified: datetime.datetime


def newest(entries: Iterable[Entry], copy: Copy, now: datetime.datetime) -> list[Entry]:
    """Return the newest objects that must have been copied by now."""
    due = now - datetime.timedelta(hours=copy.max_age)
    old_enough = [one for one in entries if one.modified <= due]
    return sorted(old_enough, key=lambda one: one.modified, reverse=True)[: copy.sample]


def same(one: Entry, size: int, etag: str) -> bool:
    plain = len(one.etag) == len(etag) == _PLAIN_ETAG
    return one.size == size and (one.etag == etag or not plain)


def judge(client: t.Any, bucket: str, prefixes: Sequence[str], skip: str | None, copy: Copy, there: t.Any) -> Outcome:
    """Compare the newest objects with the second copy.

    Args:
        skip: prefix of objects that nobody needs (the probe's own).
        there: a client for the second copy.
    """
    answered = _object_store.ask(lambda: there.head_bucket(Bucket=copy.store.bucket))
    if not answered.ok:
        raise _unreadable(copy, answered)
    entries, whole = listed(client, bucket, prefixes)
    needed = [one for one in entries if skip is None or not one.key.startswith(skip)]
    due = newest(needed, copy, datetime.datetime.now(datetime.timezone.utc))
    if not due:
        return Outcome(
            WARN,
            f"the second copy at {copy.place} answers, and no object is older than {copy.max_age:g} h yet",
            "Look again when there is one.",
        )
    with ThreadPoolExecutor(max_workers=8) as pool:
        missing = [one for one, fine in zip(due, pool.map(lambda one: _is_there(there, copy, one), due)) if not fine]
    among = "" if whole else f" among the first {PAGES * 1000}"
    told = f"{len(due)} newest objects{among} that are older than {copy.max_age:g} h"
    if missing:
        oldest = min(one.modified for one in missing)
        return Outcome(
            FAIL,
            f"the second copy at {copy.place} lacks {len(missing)} of the {told}, "
            f"the oldest from {oldest:%Y-%m-%d %H:%M} UTC",
            "Look at the log of the job that copies, and run it.",
        )
    return Outcome(PASS, f"the second copy at {copy.place} has the {told}, with the same size and checksum")


def listed(client: t.Any, bucket: str, prefixes: Sequence[str]) -> tuple[list[Entry], bool]:
    """List what is under the prefixes; the second value is false where there was more than we read."""
    found: list[Entry] = []
    whole = True
    for prefix in prefixes:
        token: dict[str, str] = {}
        for _page in range(PAGES):
            ask = functools.partial(client.list_objects_v2, Bucket=bucket, Prefix=prefix, **token)
            answered = _object_store.ask(ask)
            if not answered.ok:
                raise Unreachable(f"The objects of {bucket} cannot be listed ({answered.said}).", "See r2.bucket.")
            found += [_entry(row) for row in answered.detail.get("Contents", [])]
            if not answered.detail.get("IsTruncated"):
                break
            token = {"ContinuationToken": answered.detail["NextContinuationToken"]}
        else:
            whole = False
    return found, whole


def _entry(row: dict[str, t.Any]) -> Entry:
    return Entry(row["Key"], int(row["Size"]), str(row.get("ETag", "")).strip('"'), row["LastModified"])


def _is_there(there: t.Any, copy: Copy, one: Entry) -> bool:
    answered = _object_store.ask(lambda: there.head_object(Bucket=copy.store.bucket, Key=copy.prefix + one.key))
    if answered.ok:
        return same(one, int(answered.detail["ContentLength"]), str(answered.detail.get("ETag", "")).strip('"'))
    if answered.status == 404:
        return False
    raise _unreadable(copy, answered)


def _unreadable(copy: Copy, answered: Answered) -> OpsError:
    if answered.status >= 500:
        return Unreachable(f"The second copy at {copy.place} answers {answered.said}.", "Try again later.")
    return OpsError(
        f"The second copy at {copy.place} cannot be read ({answered.said}).",
        "Correct its bucket's name and its keys; the key must be allowed to list and read.",
    )
