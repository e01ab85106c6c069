# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an S3 store answers when it is asked about a bucket.

Existence and versioning are asked for with control calls alone (HeadBucket, ListObjectsV2, GetBucketVersioning), so
that a missing permission, an interface that does not exist and a network that is down are never taken for "versioning
is off". A version id in the answer to a PUT is never looked at: stores return one without keeping versions.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import typing as t
import urllib.parse
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ._credentials import Credentials
from ._errors import OpsError, Unreachable
from ._http import Client

ENABLED, SUSPENDED, DISABLED = "enabled", "suspended", "disabled"
UNSUPPORTED, DENIED, MISSING, UNREACHABLE = "unsupported", "denied", "missing", "unreachable"

KEYS_UNKNOWN = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidArgument",
    "Unauthorized",
    "RequestTimeTooSkewed",
)
CONNECT_SECONDS, READ_SECONDS = 4, 10
_NO_SUCH_CALL = ("NotImplemented", "MethodNotAllowed", "XNotImplemented")


@dataclass(frozen=True)
class Store:
    """How the application reaches its bucket; boto3 is set as the application sets it."""

    endpoint: str
    region: str
    bucket: str
    access_key_id: str
    secret_access_key: str
    ca_path: str = ""

    @property
    def secrets(self) -> set[str]:
        return {self.access_key_id, self.secret_access_key}


def store_of(
    known: Credentials, endpoint: str = "", template: str = "", region: str = "auto", ca_path: str = ""
) -> Store:
    """Return the store that credentials lead to: at the endpoint given, the one that they name, or by its template."""
    where = endpoint or known.get("endpoint")
    return Store(
        endpoint=where or template.replace("{account}", known.need("account")),
        region=region,
        bucket=known.need("bucket"),
        access_key_id=known.need("access_key_id"),
        secret_access_key=known.need("secret_access_key"),
        ca_path=ca_path,
    )


class Answered(t.NamedTuple):
    """What one S3 call came to: an HTTP status and an error code; ``ok`` when there was none."""

    status: int
    code: str = ""
    detail: t.Any = ""

    @property
    def ok(self) -> bool:
        return not self.code

    @property
    def said(self) -> str:
        """Status and code, once where they are the same."""
        return str(self.status) if self.code == str(self.status) else f"{self.status} {self.code}".strip()


def ask(call: t.Callable[[], t.Any]) -> Answered:
    """Make one S3 call; no answer at all is ``Unreachable``, a certificate that is not valid an error."""
    from botocore import exceptions as boto

    try:
        return Answered(200, "", call() or "")
    except boto.ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return Answered(status, str(error.response.get("Error", {}).get("Code") or status))
    except boto.SSLError as error:
        raise OpsError(
            f"The certificate of the object store is not valid ({_reason(error)}).",
            "Correct the endpoint, or give ca_path.",
        ) from None
    except (boto.ParamValidationError, ValueError) as error:
        raise OpsError(
            f"The object store cannot be asked ({_reason(error)}).", "Correct endpoint and bucket name."
        ) from None
    except boto.BotoCoreError as error:
        raise Unreachable(
            f"The object store cannot be asked ({_reason(error)}).", "Look at endpoint, DNS and firewall."
        ) from None


def _reason(error: Exception) -> str:
    """Return the innermost reason of a botocore error, without what it repeats: URL, pool, the connection's address."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ConnectTimeoutError):
        return f"no connection within {CONNECT_SECONDS} s"
    if isinstance(error, boto.ReadTimeoutError):
        return f"no answer within {READ_SECONDS} s"
    inner: t.Any = getattr(error, "kwargs", {}).get("error", error)
    inner = getattr(inner, "reason", None) or inner
    return " ".join(re.sub(r"(<[^>]*>|\w+\(host=[^)]*\)):? ?", "", str(inner)).split())[-160:]


@contextlib.contextmanager
def trusted(ca_path: str) -> Iterator[bool | str]:
    """Yield what boto3 takes as ``verify``: the public CAs, joined with the given file for as long as it is used."""
    if not ca_path:
        yield True
        return
    from botocore.httpsession import where

    try:
        joined = Path(where()).read_bytes() + b"\n" + Path(ca_path).read_bytes()
    except OSError as error:
        raise OpsError(f"The CA file {ca_path} cannot be read ({error.strerror}).", "Correct ca_path.") from None
    descriptor, path = tempfile.mkstemp(prefix="prosaas-ca.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(joined)
        yield path
    finally:
        os.unlink(path)


def connect(store: Store, verify: bool | str) -> t.Any:
    """Return a boto3 client with the application's settings, but with short waits and one retry."""
    import boto3
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 2, "mode": "standard"},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
    )
    try:
        return boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            region_name=store.region,
            aws_access_key_id=store.access_key_id,
            aws_secret_access_key=store.secret_access_key,
            verify=verify,
            config=config,
        )
    except ValueError:  # its text holds what stands in the place of the endpoint: perhaps a secret
        raise OpsError("The object store's endpoint is no URL.", "Write it as https://host.") from None


def versioning(client: t.Any, bucket: str) -> str:
    """Return what GetBucketVersioning says; a 200 alone says nothing."""
    seen: list[bytes] = []

    def keep(http_response: t.Any, **_rest: t.Any) -> None:
        seen.append(http_response.content)

    client.meta.events.register("after-call.s3.GetBucketVersioning", keep)
    answered = ask(lambda: client.get_bucket_versioning(Bucket=bucket).get("Status"))
    if answered.ok:
        root = re.search(rb"<([A-Za-z]\w*)", (seen or [b""])[-1])
        # A store that does not know the subresource may answer with a listing, which would read as "off".
        if root is None or b"Versioning" not in root[1]:
            return UNSUPPORTED
        return {"Enabled": ENABLED, "Suspended": SUSPENDED}.get(answered.detail, DISABLED)
    if answered.status == 501 or answered.code in _NO_SUCH_CALL:
        return UNSUPPORTED
    if answered.status == 404:
        return MISSING
    if answered.status in (400, 401, 403):
        return DENIED
    return UNREACHABLE


@dataclass(frozen=True)
class Access:
    """What the two calls that tell a bucket's existence came to."""

    head: Answered
    listed: Answered

    @property
    def judged(self) -> Answered:
        """The telling one: a HEAD has no body, so its error has no code of its own."""
        return self.head if self.head.ok else self.listed


def access(client: t.Any, bucket: str) -> Access:
    def first_key() -> str:
        contents = client.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents") or [{}]
        return str(contents[0].get("Key", ""))

    return Access(ask(lambda: client.head_bucket(Bucket=bucket)), ask(first_key))


def unsigned(http: Client, store: Store, key: str) -> dict[str, int]:
    """Ask for the listing and for one object without credentials; return the status of each."""
    return {
        "listing": http.send(f"{address(store)}?list-type=2&max-keys=0").status,
        "object": http.send(address(store, key or uuid.uuid4().hex), "HEAD").status,
    }


def address(store: Store, key: str = "") -> str:
    """Return the URL of the bucket, or of one object in it."""
    base = f"{store.endpoint.rstrip('/')}/{urllib.parse.quote(store.bucket)}"
    return f"{base}/{urllib.parse.quote(key)}" if key else base
