# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May the application's key write, read and delete? Found out by doing it, without leaving anything behind.

Where nothing keeps it, an object of a few bytes is put, read back, compared and deleted. Where a lock rule would keep
it for weeks, an upload is begun, gets its bytes and is aborted: that needs the same permission and makes no object.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import functools
import typing as t
import uuid
from collections.abc import Callable, Sequence

from . import _object_store
from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._cloudflare import LockRule
from ._errors import OpsError
from ._object_store import ENABLED, SUSPENDED, Answered

LOCKED = "ObjectLockedByBucketPolicy"
_ABSENT = (404, "NoSuchKey")
_EMPTY = "InvalidRange"
_LEFT = datetime.timedelta(minutes=10)  # another run may be in the middle of its own probe


class _Refused(Exception):
    def __init__(self, step: str, answered: Answered) -> None:
        super().__init__(step)
        self.step, self.answered = step, answered


def keeper(prefix: str, locks: Sequence[LockRule] | OpsError | None, on_cloudflare: bool) -> str:
    """Say what would keep a probe object from being deleted, or might; empty where nothing does."""
    if isinstance(locks, (list, tuple)):
        touching = [rule.id for rule in locks if rule.touches(prefix)]
        return f"the lock rule {touching[0]} would keep it" if touching else ""
    return "a lock rule, which cannot be seen, might keep it" if on_cloudflare else ""


def judge(client: t.Any, bucket: str, prefix: str, kept_by: str, versioning: str, first_key: str) -> Outcome:
    """Do what the application does, with its key.

    Args:
        kept_by: why no object may be put (:func:`keeper`); empty where one may.
        versioning: what the bucket's versioning is; old versions of the probe are deleted, too.
        first_key: an object that is there, to be read where none is put.
    """
    key = f"{prefix}{uuid.uuid4().hex}"
    body = f"prosaas.ops {key}".encode()
    try:
        if kept_by:
            _sweep_uploads(client, bucket, prefix)
            _begin_and_abort(client, bucket, key, body)
            _read_one(client, bucket, key, first_key)
            _delete_absent(client, bucket, key)
            told = f"the key may write, read and delete: an upload was begun and aborted, and no object put ({kept_by})"
        else:
            _sweep(client, bucket, prefix)
            if not _round_trip(client, bucket, key, body):
                return Outcome(FAIL, "what was read back is not what was put", "Look at the provider's status page.")
            told = f"an object under {prefix} was put, read back the same and deleted"
    except _Refused as refused:
        return _refusal(refused.step, refused.answered, key)
    stays = _forget(client, bucket, prefix) if versioning in (ENABLED, SUSPENDED) else 0
    left = f"; {stays} old versions of probes stay, since the key may not delete versions" if stays else ""
    return Outcome(PASS, told + left)


def _refusal(step: str, answered: Answered, key: str) -> Outcome:
    if answered.status >= 500:
        return Outcome(UNKNOWN, f"the store answers {answered.said} to {step}", "Look at the provider's status page.")
    if answered.code == LOCKED:
        return Outcome(
            WARN,
            f"the key may write and read, but a lock rule keeps the probe object {key}",
            "Give an API token, so that lock rules are seen and no probe object is put under one.",
        )
    return Outcome(
        FAIL,
        f"the application's access key may not {step}: {answered.said}",
        "Give it read and write on this bucket (R2: Object Read & Write), and put it into the env file.",
    )


def _must(step: str, call: Callable[[], t.Any], *also: str) -> Answered:
    """Do one step; a code in ``also`` is as good as none."""
    answered = _object_store.ask(call)
    if not answered.ok and answered.code not in also:
        raise _Refused(step, answered)
    return answered


def _round_trip(client: t.Any, bucket: str, key: str, body: bytes) -> bool:
    place = {"Bucket": bucket, "Key": key}
    _must("put an object", lambda: client.put_object(**place, Body=body, ContentType="text/plain"))
    try:
        read = _must("read an object", lambda: _content(client, place))
    finally:
        deleted = _object_store.ask(lambda: client.delete_object(**place))
    if not deleted.ok:
        raise _Refused("delete an object", deleted)
    return bool(read.detail == body)


def _content(client: t.Any, place: t.Mapping[str, str]) -> bytes:
    read: bytes = client.get_object(**place)["Body"].read()
    return read


def _begin_and_abort(client: t.Any, bucket: str, key: str, body: bytes) -> None:
    place = {"Bucket": bucket, "Key": key}
    begun = _must("put an object", lambda: client.create_multipart_upload(**place)["UploadId"])
    upload = {**place, "UploadId": begun.detail}
    try:
        _must("put an object", lambda: client.upload_part(**upload, PartNumber=1, Body=body))
    finally:
        aborted = _object_store.ask(lambda: client.abort_multipart_upload(**upload))
    if not aborted.ok:
        raise _Refused("abort an upload", aborted)


def _read_one(client: t.Any, bucket: str, absent: str, first_key: str) -> None:
    place = {"Bucket": bucket, "Key": first_key or absent}
    expected = _EMPTY if first_key else "NoSuchKey"
    _must("read an object", lambda: _content(client, {**place, "Range": "bytes=0-0"}), expected)


def _delete_absent(client: t.Any, bucket: str, absent: str) -> None:
    """Stores answer the deletion of what is not there like any other, to a key that may."""
    _must("delete an object", lambda: client.delete_object(Bucket=bucket, Key=absent), LOCKED)


def _is_left(modified: datetime.datetime) -> bool:
    return datetime.datetime.now(datetime.timezone.utc) - modified > _LEFT


def _sweep(client: t.Any, bucket: str, prefix: str) -> None:
    """Delete what interrupted runs left; whether that is possible, the probe itself will tell."""
    listed = _object_store.ask(lambda: client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents"))
    for found in listed.detail or [] if listed.ok else []:
        if _is_left(found["LastModified"]):
            _object_store.ask(functools.partial(client.delete_object, Bucket=bucket, Key=found["Key"]))


def _sweep_uploads(client: t.Any, bucket: str, prefix: str) -> None:
    listed = _object_store.ask(lambda: client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads"))
    for found in listed.detail or [] if listed.ok else []:
        if _is_left(found["Initiated"]):
            upload = {"Bucket": bucket, "Key": found["Key"], "UploadId": found["UploadId"]}
            _object_store.ask(functools.partial(client.abort_multipart_upload, **upload))


def _forget(client: t.Any, bucket: str, prefix: str) -> int:
    """Delete the old versions of all probes, where the key may; return how many stay."""
    listed = _object_store.ask(lambda: client.list_object_versions(Bucket=bucket, Prefix=prefix))
    if not listed.ok:
        return 2  # of this run: the object and its delete marker
    stays = 0
    for found in [*listed.detail.get("Versions", []), *listed.detail.get("DeleteMarkers", [])]:
        place = {"Bucket": bucket, "Key": found["Key"], "VersionId": found["VersionId"]}
        stays += not _object_store.ask(functools.partial(client.delete_object, **place)).ok
    return stays
