# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sent this S3 request? AWS Signature Version 4, in the header or presigned, checked with botocore's own signer."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request

ALGORITHM = "AWS4-HMAC-SHA256"
TIMESTAMP = "%Y%m%dT%H%M%SZ"
ALLOWED_SKEW = timedelta(minutes=15)
R2_REGIONS = ("wnam", "enam", "weur", "eeur", "apac", "oc", "auto")
R2_REGION_ALIASES = ("", "us-east-1")


class Refused(Exception):
    """An answer of the S3 API that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Claim:
    """What a request says of itself, before anything is believed."""

    access_key: str
    region: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    lifetime: timedelta | None  # of a presigned URL; None for a signature in the header

    @property
    def signed_at(self) -> datetime:
        return datetime.strptime(self.timestamp, TIMESTAMP).replace(tzinfo=timezone.utc)


# The same refusals in the words of AWS and of R2, which differ even in the status.
AWS = {
    "missing": (403, "AccessDenied", "Access Denied"),
    "unknown": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "expired": (403, "AccessDenied", "Request has expired"),
}
R2 = {
    "missing": (400, "InvalidArgument", "Authorization"),
    "unknown": (401, "Unauthorized", "Unauthorized"),
    "expired": (400, "ExpiredRequest", "Request has expired"),
}
MALFORMED = (400, "AuthorizationHeaderMalformed", "The authorization header is malformed.")
SKEWED = (403, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
MISMATCH = (
    403,
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided. "
    "Check your secret access key and signing method.",
)
WRONG_BODY = (
    400,
    "XAmzContentSHA256Mismatch",
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
)


def read_claim(headers: Headers, query: str) -> Claim | None:
    """The claim of a request, or None when it makes none. Raises ValueError for one that can not be read."""
    if headers.get("Authorization", "").startswith(ALGORITHM + " "):
        fields = dict(re.findall(r"(\w+)=([^,\s]+)", headers["Authorization"]))
        timestamp, lifetime = headers.get("X-Amz-Date", ""), None
    elif "X-Amz-Signature=" in query:
        given = {name: values[0] for name, values in parse_qs(query).items()}
        fields = {name: given.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature")}
        timestamp, lifetime = given.get("X-Amz-Date", ""), timedelta(seconds=int(given.get("X-Amz-Expires", "")))
    else:
        return None
    access_key, _day, region, _service, _end = fields.get("Credential", "").rsplit("/", 4)
    claim = Claim(
        access_key, region, timestamp, tuple(fields["SignedHeaders"].split(";")), fields["Signature"], lifetime
    )
    _time = claim.signed_at  # a timestamp that is none is as malformed as the rest
    return claim


def without_signature(query: str) -> str:
    return "&".join(pair for pair in query.split("&") if not pair.startswith("X-Amz-Signature="))


def expected_signature(claim: Claim, secret: str, method: str, url: str, headers: Headers) -> str:
    signer_class = S3SigV4Auth if claim.lifetime is None else S3SigV4QueryAuth
    signer = signer_class(Credentials(claim.access_key, secret), "s3", claim.region)
    signed = {name: headers[name] for name in claim.signed_headers if name in headers}
    request = AWSRequest(method=method, url=url, headers=signed)
    request.context["timestamp"] = claim.timestamp
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


def authenticate(request: Request, secrets: Mapping[str, str], face: str, now: datetime) -> str:
    """The access key that signed the request; raises Refused when there is none to believe."""
    words = R2 if face == "r2" else AWS
    parts = urlsplit(request.environ["RAW_URI"])
    try:
        claim = read_claim(request.headers, parts.query)
    except (KeyError, ValueError) as error:
        raise Refused(*MALFORMED) from error
    if claim is None:
        raise Refused(*words["missing"])
    if face == "r2":
        check_r2_shape(claim)
    if claim.access_key not in secrets:
        raise Refused(*words["unknown"])
    check_time(claim, now, words["expired"])
    if claim.lifetime is None and "X-Amz-Content-SHA256" not in request.headers:
        raise Refused(*MALFORMED)
    url = f"{request.scheme}://{request.host}{parts.path}?{without_signature(parts.query)}"
    signature = expected_signature(claim, secrets[claim.access_key], request.method, url, request.headers)
    if not hmac.compare_digest(signature, claim.signature):
        raise Refused(*MISMATCH)
    if claim.lifetime is None:
        check_body(request)
    return claim.access_key


def check_r2_shape(claim: Claim) -> None:
    if len(claim.access_key) != 32:
        message = f"Credential access key has length {len(claim.access_key)}, should be 32"
        raise Refused(400, "InvalidArgument", message)
    if claim.region not in R2_REGIONS + R2_REGION_ALIASES:
        message = f"The region name '{claim.region}' is not valid. Must be one of: {', '.join(R2_REGIONS)}"
        raise Refused(400, "InvalidRegionName", message)


def check_time(claim: Claim, now: datetime, expired: tuple[int, str, str]) -> None:
    if claim.lifetime is not None and now > claim.signed_at + claim.lifetime:
        raise Refused(*expired)
    if now < claim.signed_at - ALLOWED_SKEW or (claim.lifetime is None and now > claim.signed_at + ALLOWED_SKEW):
        raise Refused(*SKEWED)


def check_body(request: Request) -> None:
    """A signature covers the body by its hash, unless the client says that it does not."""
    claimed = request.headers["X-Amz-Content-SHA256"]
    if re.fullmatch("[0-9a-f]{64}", claimed) and hashlib.sha256(request.get_data()).hexdigest() != claimed:
        raise Refused(*WRONG_BODY)
