# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door in front of moto: faults, signatures, permissions, and what R2 does not have."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from bucket import Store, wanted_state
from cloudflare import Api
from cors import preflight
from signature import Refused, authenticate
from werkzeug.wrappers import Request, Response

Wsgi = Callable[..., Iterable[bytes]]

# Subresources and the names of their operations: what R2 lacks of a bucket, what it has, what it lacks of an object.
NOT_IN_R2 = {
    "accelerate": "BucketAccelerateConfiguration",
    "acl": "BucketAcl",
    "analytics": "BucketAnalyticsConfiguration",
    "inventory": "BucketInventoryConfiguration",
    "logging": "BucketLogging",
    "metrics": "BucketMetricsConfiguration",
    "notification": "BucketNotificationConfiguration",
    "object-lock": "ObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "PublicAccessBlock",
    "replication": "BucketReplication",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "versions": "ObjectVersions",
    "website": "BucketWebsite",
}
IN_R2 = {"cors": "BucketCors", "lifecycle": "BucketLifecycleConfiguration", "encryption": "BucketEncryption"}
NOT_IN_R2_OF_OBJECTS = {
    "acl": "ObjectAcl",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
    "torrent": "ObjectTorrent",
    "versionId": "ObjectVersion",
}
VERSION_CALLS = {"versioning", "versions", "object-lock"}
VERSION_CALLS_OF_OBJECTS = {"versionId"}
VERBS = {"GET": "Get", "HEAD": "Head", "PUT": "Put", "DELETE": "Delete", "POST": "Post"}
DENIED = (403, "AccessDenied", "Access Denied")
LOCKED = (409, "ObjectLockedByBucketPolicy", "The object is locked by the bucket policy.")


@dataclass(frozen=True)
class Key:
    secret: str
    objects_only: bool = False  # R2's "Object Read & Write": no bucket is made, configured or listed with it


@dataclass(frozen=True)
class Call:
    """An S3 request, as far as the door must understand it."""

    method: str
    bucket: str
    key: str
    subresources: frozenset[str]

    @classmethod
    def of(cls, request: Request) -> Call:
        bucket, _slash, key = request.path.lstrip("/").partition("/")
        return cls(request.method, bucket, key, frozenset(request.args))

    def operation_not_in_r2(self) -> str | None:
        table = NOT_IN_R2_OF_OBJECTS if self.key else NOT_IN_R2
        for name in sorted(self.subresources & table.keys()):
            return ("List" if name == "versions" else VERBS[self.method]) + table[name]
        return None

    def configures_buckets(self) -> bool:
        if self.key:
            return False
        configured = self.subresources & (NOT_IN_R2.keys() | IN_R2.keys())
        return not self.bucket or bool(configured) or self.method in ("PUT", "DELETE")

    def overwrites_or_deletes(self) -> bool:
        started_upload = self.method == "PUT" and "partNumber" in self.subresources
        finished_upload = self.method == "POST" and "uploadId" in self.subresources
        aborted_upload = self.method == "DELETE" and "uploadId" in self.subresources
        replaced = self.method in ("PUT", "DELETE") and not started_upload and not aborted_upload
        return bool(self.key) and (replaced or finished_upload)


class Gate:
    def __init__(
        self, face: str, store: Store, keys: dict[str, Key], control: Path, moto: Wsgi, api: Api | None = None
    ) -> None:
        self.face, self.store, self.keys, self.control, self.moto, self.api = face, store, keys, control, moto, api
        self.uploads = (0, 0)  # while they break: since when, and how many came

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        faults = self.faults()
        self.store.bring_to(wanted_state(self.face, self.flavour(), faults))
        if "slow" in faults:
            time.sleep(float((self.control / f"{self.face}-slow").read_text(encoding="ascii")))
        answer = self.broken(request) if "breaks" in faults else None
        answer = answer or self.answer(request, faults)
        if answer is not None:
            request.get_data()  # a client still sends its body: closing on it would hide the answer from it
            return answer(environ, start_response)
        return self.pass_on(request, environ, start_response)

    def broken(self, request: Request) -> Response | None:
        """500 to every upload, once so many have passed since the fault was turned on."""
        if request.method not in ("PUT", "POST"):
            return None
        control = self.control / f"{self.face}-breaks"
        since = control.stat().st_mtime_ns
        self.uploads = (since, self.uploads[1] + 1 if self.uploads[0] == since else 1)
        if self.uploads[1] <= int(control.read_text(encoding="ascii")):
            return None
        return error_response(Refused(500, "InternalError", "We encountered an internal error."), with_body=True)

    def faults(self) -> set[str]:
        prefix = self.face + "-"
        return {path.name[len(prefix) :] for path in self.control.glob(prefix + "*")}

    def flavour(self) -> str:
        return (self.control / "flavour").read_text(encoding="ascii").strip()

    def answer(self, request: Request, faults: set[str]) -> Response | None:
        """The door's own answer, or None when moto is to give it."""
        if self.api is not None and request.host == "api.cloudflare.test":
            return self.api(request, faults)
        try:
            if self.api is not None and request.host in self.api.public_hosts():
                return self.public_object(request)
            if request.method == "OPTIONS":
                return preflight(request, self.face, self.store)
            self.check(request, faults)
            if self.face == "r2" and request.method == "POST" and "delete" in request.args:
                return self.delete_objects(request)
        except Refused as refused:
            return error_response(refused, with_body=request.method != "HEAD")
        return None

    def check(self, request: Request, faults: set[str]) -> None:
        secrets = {name: key.secret for name, key in self.keys.items()}
        access_key = authenticate(request, secrets, self.face, datetime.now(timezone.utc))
        call = Call.of(request)
        if "deny" in faults or (self.keys[access_key].objects_only and call.configures_buckets()):
            raise Refused(*DENIED)
        if "read-only" in faults and call.key and call.method not in ("GET", "HEAD"):
            raise Refused(*DENIED)
        if call.bucket and call.bucket not in self.store.backend.buckets and call.method != "PUT":
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        self.check_supported(request, call, faults)
        if call.overwrites_or_deletes() and self.store.is_locked(call.key):
            raise Refused(*LOCKED)

    def check_supported(self, request: Request, call: Call, faults: set[str]) -> None:
        operation = call.operation_not_in_r2()
        version_calls = VERSION_CALLS_OF_OBJECTS if call.key else VERSION_CALLS
        is_version_call = bool(call.subresources & version_calls)
        missing = self.face == "r2" and not (is_version_call and self.flavour() == "checklist")
        if operation and (missing or (is_version_call and "unsupported" in faults)):
            raise Refused(501, "NotImplemented", f"{operation} not implemented")
        for name, value in request.headers:
            if self.face == "r2" and name.lower().startswith("x-amz-object-lock-"):
                raise Refused(501, "NotImplemented", f"Header '{name.lower()}' with value '{value}' not implemented")

    def delete_objects(self, request: Request) -> Response:
        """DeleteObjects names each key that a lock rule holds, and deletes the others."""
        tree = ElementTree.fromstring(request.get_data())
        keys = [element.text or "" for element in tree.iter() if element.tag.endswith("}Key") or element.tag == "Key"]
        with self.store.lock:
            locked = {key for key in keys if self.store.is_locked(key)}
            free = [{"Key": key} for key in keys if key not in locked]
            self.store.backend.delete_objects(self.store.name, free, False)
            self.store.changed.set()
        rows = [
            f"<Error><Key>{escape(key)}</Key><Code>{LOCKED[1]}</Code><Message>{LOCKED[2]}</Message></Error>"
            if key in locked
            else f"<Deleted><Key>{escape(key)}</Key></Deleted>"
            for key in keys
        ]
        namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        return xml_response(200, f'<DeleteResult xmlns="{namespace}">{"".join(rows)}</DeleteResult>')

    def public_object(self, request: Request) -> Response:
        """What anyone may read at a public address of the bucket: its objects, and no list."""
        found = self.store.bucket.keys.get(request.path[1:])
        if request.method not in ("GET", "HEAD") or found is None:
            return Response("Not Found", 404)
        return Response(found.value, 200, {"ETag": found.etag}, content_type=found.metadata.get("Content-Type"))

    def pass_on(self, request: Request, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if request.method in ("GET", "HEAD"):
            return self.moto(environ, start_response)
        # The body was perhaps read for its hash; moto reads it again.
        environ["wsgi.input"] = io.BytesIO(request.get_data())
        with self.store.lock:
            answer = list(self.moto(environ, start_response))
        self.store.changed.set()
        return answer


def xml_response(status: int, body: str) -> Response:
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{body}', status, content_type="application/xml")


def error_response(refused: Refused, with_body: bool) -> Response:
    body = f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
    return xml_response(refused.status, body) if with_body else Response(status=refused.status)
