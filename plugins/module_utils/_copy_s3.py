# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of backups as plain objects of a bucket.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from . import _copy_place, _inventory, _object_store
from ._copy_plain import Plain
from ._errors import OpsError, Unreachable
from ._object_store import Answered, Store
from ._shelf import MANIFEST

_BATCH = 1000  # objects that one call deletes


def parsed(address: str) -> tuple[str, str, str]:
    """Take ``https://host/bucket/prefix`` apart: endpoint, bucket, and prefix with a slash at its end."""
    url = urllib.parse.urlsplit(address.removeprefix("s3:"))
    bucket, _slash, prefix = url.path.lstrip("/").partition("/")
    if url.scheme not in ("http", "https") or not url.netloc or not bucket:
        raise OpsError(f"{address} is no address of a bucket.", "Write it as https://host/bucket/prefix.")
    return f"{url.scheme}://{url.netloc}", bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


class Objects(Plain):
    """A bucket, or what is below a prefix of it.

    Args:
        store: where the bucket is, and with which key.
        verify: what :func:`_object_store.trusted` yields.
    """

    kind = _copy_place.S3

    def __init__(
        self, store: Store, prefix: str, verify: bool | str, project: str, state: Path, say: Callable[[str], None]
    ) -> None:
        super().__init__(f"{_object_store.address(store)}/{prefix}", project, state, say)
        self._bucket, self._prefix = store.bucket, prefix
        self._client = _object_store.connect(store, verify)

    def reach(self) -> str:
        self._must(lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1))
        return f"{self.address} can be listed"

    def sizes(self, backup_id: str = "") -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for page in _inventory.pages(self._client, self._bucket, self._prefix + backup_id):
            for row in page:
                one, _slash, name = row["Key"][len(self._prefix) :].partition("/")
                if _copy_place.is_id(one):
                    found.setdefault(one, {})[name] = int(row["Size"])
        return found

    def send(self, source: Path, backup_id: str, name: str) -> None:
        key = f"{self._prefix}{backup_id}/{name}"
        self._must(lambda: self._client.upload_file(str(source), self._bucket, key))

    def bring(self, backup_id: str, name: str, target: Path) -> None:
        key = f"{self._prefix}{backup_id}/{name}"
        self._must(lambda: self._client.download_file(self._bucket, key, str(target)))

    def delete(self, backup_id: str) -> None:
        names = sorted(self.sizes(backup_id).get(backup_id, {}), key=lambda name: name != MANIFEST)
        keys = [{"Key": f"{self._prefix}{backup_id}/{name}"} for name in names]
        for batch in ([keys[:1]] if keys else []) + [keys[at : at + _BATCH] for at in range(1, len(keys), _BATCH)]:
            given = {"Objects": batch, "Quiet": True}
            answered = self._must(lambda given=given: self._client.delete_objects(Bucket=self._bucket, Delete=given))  # type: ignore[misc]
            failed = (answered.detail or {}).get("Errors") or []
            if failed:
                raise OpsError(
                    f"{self.address} does not delete {failed[0].get('Key')} ({failed[0].get('Code')}).",
                    "Let the key delete objects; a lock rule must not hold them for longer than keep does.",
                )

    def _must(self, call: Callable[[], t.Any]) -> Answered:
        answered = _asked(call)
        if answered.ok:
            return answered
        if answered.status >= 500:
            raise Unreachable(f"{self.address} answers {answered.said}.", "Try again later.")
        raise OpsError(
            f"{self.address} refuses this ({answered.said}).",
            "Correct the address and the credentials of the place; its key must list, read, write and delete.",
        )


def _asked(call: Callable[[], t.Any]) -> Answered:
    from boto3.exceptions import S3UploadFailedError

    try:
        return _object_store.ask(call)
    except S3UploadFailedError as error:  # hides what the store answered behind a sentence
        found = error.__context__ or error
    return _object_store.ask(lambda: _raise(found))


def _raise(error: BaseException) -> t.NoReturn:
    raise error
