# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a bucket's objects as a compressed file: one JSON object a line, in the order of keys.

Buckets hold millions of objects, so a page of the listing is all that is in memory.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import functools
import io
import json
import typing as t
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import _codec, _object_store
from ._codec import Codec, Sums
from ._errors import OpsError, Unreachable
from ._object_store import Answered, Store

_TRIES = 3  # for a page that the store did not give: 5xx, or no answer
Row = t.Mapping[str, t.Any]


class Inventory(t.NamedTuple):
    """What was listed: the file, how many objects, and their bytes."""

    sums: Sums
    objects: int
    total_bytes: int


def write(store: Store, prefix: str, path: Path, codec: Codec) -> Inventory:
    """List what is below a prefix into a file; a listing that did not come to its end is an error, and no file."""
    with _object_store.trusted(store.ca_path) as verify:
        client = _object_store.connect(store, verify)
        listing = Listing(pages(client, store.bucket, prefix))
        try:
            sums = _codec.write(t.cast("t.BinaryIO", io.BufferedReader(listing, _codec.BLOCK)), path, codec)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return Inventory(sums, listing.objects, listing.total_bytes)


def line(row: Row) -> bytes:
    """Return one object as a line; the same object makes the same line."""
    modified = row["LastModified"].astimezone(datetime.timezone.utc)
    told = {
        "key": row["Key"],
        "size": int(row["Size"]),
        "etag": str(row.get("ETag", "")).strip('"'),
        "modified": modified.isoformat(timespec="milliseconds"),
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


def pages(client: t.Any, bucket: str, prefix: str) -> Iterator[list[Row]]:
    """Yield the objects below a prefix, a page at a time, as the store orders them: by key."""
    token: dict[str, str] = {}
    while True:
        answered = _page(functools.partial(client.list_objects_v2, Bucket=bucket, Prefix=prefix, **token))
        if not answered.ok:
            raise _refused(bucket, answered)
        yield answered.detail.get("Contents") or []
        if not answered.detail.get("IsTruncated"):
            return
        token = {"ContinuationToken": answered.detail["NextContinuationToken"]}


def _page(ask: t.Callable[[], t.Any]) -> Answered:
    for _try in range(_TRIES - 1):
        try:
            answered = _object_store.ask(ask)
        except Unreachable:
            continue
        if answered.status < 500:
            return answered
    return _object_store.ask(ask)


def _refused(bucket: str, answered: Answered) -> OpsError:
    if answered.status >= 500:
        return Unreachable(f"The listing of {bucket} broke off ({answered.said}).", "Run this again.")
    return OpsError(
        f"The objects of {bucket} cannot be listed ({answered.said}).",
        "Correct the bucket's name and keys in the env file; the key must be allowed to list.",
    )


class Listing(io.RawIOBase):
    """Pages of objects as a stream of lines, made as it is read; counts what has passed."""

    def __init__(self, source: Iterable[list[Row]]) -> None:
        self._source = iter(source)
        self._left = memoryview(b"")
        self.objects = self.total_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: t.Any) -> int:
        while not self._left:
            page = next(self._source, None)
            if page is None:
                return 0
            self._left = memoryview(b"".join(self._noted(row) for row in page))
        size = min(len(target), len(self._left))
        target[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def _noted(self, row: Row) -> bytes:
        self.objects += 1
        self.total_bytes += int(row["Size"])
        return line(row)
