# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's object stores and Cloudflare's API behave as the real ones, and a client sees each of their faults."""

from __future__ import annotations

import subprocess
import time
import typing as t
import uuid

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

REQUESTS = 10  # seconds


def s3_client(cloud: t.Any, face: str, pair: str = "", **changes: t.Any) -> t.Any:
    settings = {
        "endpoint_url": cloud.urls[face],
        "region_name": "auto",
        "verify": str(cloud.ca),
        "aws_access_key_id": cloud.secret(f"{pair or face}_access_key_id"),
        "aws_secret_access_key": cloud.secret(f"{pair or face}_secret_access_key"),
        "config": Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"max_attempts": 0},
            connect_timeout=3,
            read_timeout=changes.pop("read_timeout", REQUESTS),
        ),
    }
    return boto3.client("s3", **{**settings, **changes})


def refusal(call: t.Callable[..., t.Any], **arguments: t.Any) -> tuple[int, str]:
    """Status and code of an S3 call that is refused."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def api(cloud: t.Any, method: str, path: str, token: str | None = None, **options: t.Any) -> requests.Response:
    """One call of the Cloudflare API about the bucket; a path with a leading slash is taken from the API's root."""
    bucket = f"/accounts/{cloud.account}/r2/buckets/{cloud.bucket}/"
    url = cloud.api + (path if path.startswith("/") else bucket + path).rstrip("/")
    headers = {"Authorization": f"Bearer {cloud.secret('cloudflare_api_token') if token is None else token}"}
    return requests.request(method, url, headers=headers, verify=str(cloud.ca), timeout=REQUESTS, **options)


@pytest.fixture()
def key() -> str:
    """A key of its own for each test, with what must be escaped: a lock rule keeps objects from being written twice."""
    return f"tests/{uuid.uuid4()} ü+&.txt"


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_objects_are_kept(cloud: t.Any, face: str, key: str) -> None:
    client = s3_client(cloud, face)
    place = {"Bucket": cloud.bucket, "Key": key}
    client.head_bucket(Bucket=cloud.bucket)
    client.put_object(**place, Body=b"content", ContentType="text/plain")
    assert client.head_object(**place)["ContentLength"] == 7
    assert client.get_object(**place)["Body"].read() == b"content"
    assert key in [found["Key"] for found in client.list_objects_v2(Bucket=cloud.bucket, Prefix=key)["Contents"]]


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_objects_survive_a_restart(cloud: t.Any, face: str, key: str) -> None:
    client = s3_client(cloud, face)
    client.put_object(Bucket=cloud.bucket, Key=key, Body=b"content")
    subprocess.run(["docker", "restart", f"prosaas-cloud-{face}-1"], check=True, capture_output=True, timeout=60)
    cloud.run("up")
    assert client.get_object(Bucket=cloud.bucket, Key=key)["Body"].read() == b"content"


@pytest.mark.parametrize(
    ("face", "changes", "expected"),
    [
        ("s3", {"aws_access_key_id": "0" * 32}, (403, "InvalidAccessKeyId")),
        ("s3", {"aws_secret_access_key": "wrong"}, (403, "SignatureDoesNotMatch")),
        ("r2", {"aws_access_key_id": "0" * 32}, (401, "Unauthorized")),
        ("r2", {"aws_access_key_id": "0" * 20}, (400, "InvalidArgument")),
        ("r2", {"aws_secret_access_key": "wrong"}, (403, "SignatureDoesNotMatch")),
        ("r2", {"region_name": "eu-west-1"}, (400, "InvalidRegionName")),
    ],
)
def test_wrong_credentials_are_refused(cloud: t.Any, face: str, changes: t.Any, expected: t.Any) -> None:
    assert refusal(s3_client(cloud, face, **changes).list_objects_v2, Bucket=cloud.bucket) == expected


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_another_bucket_does_not_exist(cloud: t.Any, face: str) -> None:
    client = s3_client(cloud, face)
    assert refusal(client.head_bucket, Bucket="another-bucket")[0] == 404
    assert refusal(client.list_objects_v2, Bucket="another-bucket") == (404, "NoSuchBucket")


@pytest.mark.parametrize(("face", "unsigned"), [("s3", (403, "AccessDenied")), ("r2", (400, "InvalidArgument"))])
def test_presigned_urls_and_nothing_less(cloud: t.Any, face: str, unsigned: t.Any, key: str) -> None:
    client = s3_client(cloud, face)
    place = {"Bucket": cloud.bucket, "Key": key}
    client.put_object(**place, Body=b"content")

    def get(url: str) -> requests.Response:
        return requests.get(url, verify=str(cloud.ca), timeout=REQUESTS)

    url = client.generate_presigned_url("get_object", Params=place, ExpiresIn=900)
    assert get(url).content == b"content"
    assert "SignatureDoesNotMatch" in get(url.replace("Expires=900", "Expires=901")).text
    status, code = unsigned
    anonymous = get(url.partition("?")[0])
    assert anonymous.status_code == status and f"<Code>{code}</Code>" in anonymous.text
    short = client.generate_presigned_url("get_object", Params=place, ExpiresIn=1)
    time.sleep(2.1)
    assert get(short).status_code == {"s3": 403, "r2": 400}[face]


def test_s3_is_versioned(cloud: t.Any, key: str) -> None:
    client = s3_client(cloud, "s3")
    assert client.get_bucket_versioning(Bucket=cloud.bucket)["Status"] == "Enabled"
    for body in (b"one", b"two"):
        client.put_object(Bucket=cloud.bucket, Key=key, Body=body)
    client.delete_object(Bucket=cloud.bucket, Key=key)
    found = client.list_object_versions(Bucket=cloud.bucket, Prefix=key)
    assert len(found["Versions"]) == 2 and len(found["DeleteMarkers"]) == 1


@pytest.mark.parametrize(
    "operation", ["get_bucket_versioning", "list_object_versions", "get_object_lock_configuration", "get_bucket_acl"]
)
def test_r2_has_no_such_call(cloud: t.Any, operation: str) -> None:
    with cloud.flavour("as_found"):
        client = s3_client(cloud, "r2")
        assert refusal(getattr(client, operation), Bucket=cloud.bucket) == (501, "NotImplemented")
        enabled = {"Status": "Enabled"}
        put = client.put_bucket_versioning
        assert refusal(put, Bucket=cloud.bucket, VersioningConfiguration=enabled) == (501, "NotImplemented")


def test_r2_lock_rule_protects_objects(cloud: t.Any, key: str) -> None:
    client = s3_client(cloud, "r2")
    place = {"Bucket": cloud.bucket, "Key": key}
    locked = (409, "ObjectLockedByBucketPolicy")
    with cloud.flavour("as_found"):
        client.put_object(**place, Body=b"content")
        assert refusal(client.put_object, **place, Body=b"other") == locked
        assert refusal(client.delete_object, **place) == locked
        errors = client.delete_objects(Bucket=cloud.bucket, Delete={"Objects": [{"Key": key}]})["Errors"]
        assert [(error["Key"], error["Code"]) for error in errors] == [(key, locked[1])]
        with cloud.fault("r2-no-lock"):
            client.delete_object(**place)
        assert refusal(client.get_object, **place) == (404, "NoSuchKey")


def test_r2_as_the_checklist_believes(cloud: t.Any) -> None:
    client = s3_client(cloud, "r2")
    with cloud.flavour("checklist"):
        assert client.get_bucket_versioning(Bucket=cloud.bucket)["Status"] == "Enabled"
        assert api(cloud, "GET", "lock").json()["result"] == {"rules": []}
        with cloud.fault("r2-unsupported"):
            assert refusal(client.get_bucket_versioning, Bucket=cloud.bucket) == (501, "NotImplemented")


def test_r2_key_for_objects_only(cloud: t.Any, key: str) -> None:
    client = s3_client(cloud, "r2", pair="r2_objects")
    client.head_bucket(Bucket=cloud.bucket)
    client.put_object(Bucket=cloud.bucket, Key=key, Body=b"content")
    denied = (403, "AccessDenied")
    assert refusal(client.get_bucket_versioning, Bucket=cloud.bucket) == denied
    assert refusal(client.get_bucket_cors, Bucket=cloud.bucket) == denied
    assert refusal(client.list_buckets) == denied
    assert refusal(client.create_bucket, Bucket="another-bucket") == denied


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_versioning_faults_are_states_of_the_bucket(cloud: t.Any, face: str) -> None:
    client = s3_client(cloud, face)
    with cloud.flavour("checklist"):
        with cloud.fault(f"{face}-versioning-suspended"):
            assert client.get_bucket_versioning(Bucket=cloud.bucket)["Status"] == "Suspended"
            # A real state: who enables versioning has enabled it, fault or not.
            client.put_bucket_versioning(Bucket=cloud.bucket, VersioningConfiguration={"Status": "Enabled"})
            assert client.get_bucket_versioning(Bucket=cloud.bucket)["Status"] == "Enabled"
        with cloud.fault(f"{face}-versioning-off"):
            assert "Status" not in client.get_bucket_versioning(Bucket=cloud.bucket)
        assert client.get_bucket_versioning(Bucket=cloud.bucket)["Status"] == "Enabled"


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_store_faults(cloud: t.Any, face: str) -> None:
    client = s3_client(cloud, face)
    with cloud.fault(f"{face}-deny"):
        assert refusal(client.list_objects_v2, Bucket=cloud.bucket) == (403, "AccessDenied")
    with cloud.fault(f"{face}-slow", "3"):
        with pytest.raises(ReadTimeoutError):
            s3_client(cloud, face, read_timeout=1).head_bucket(Bucket=cloud.bucket)
    with cloud.fault(f"{face}-down"):
        with pytest.raises((EndpointConnectionError, ConnectTimeoutError)):
            client.head_bucket(Bucket=cloud.bucket)
    client.head_bucket(Bucket=cloud.bucket)


def test_s3_without_versioning_calls(cloud: t.Any) -> None:
    client = s3_client(cloud, "s3")
    with cloud.fault("s3-unsupported"):
        assert refusal(client.get_bucket_versioning, Bucket=cloud.bucket) == (501, "NotImplemented")


# --- the Cloudflare API


def test_api_envelope_and_errors(cloud: t.Any) -> None:
    found = api(cloud, "GET", "").json()
    assert found["success"] is True and found["errors"] == [] and found["messages"] == []
    assert found["result"]["name"] == cloud.bucket
    assert api(cloud, "GET", "/user/tokens/verify").json()["result"]["status"] == "active"

    def error(answer: requests.Response) -> tuple[int, int]:
        body = answer.json()
        assert body["success"] is False and body["result"] is None
        return answer.status_code, body["errors"][0]["code"]

    assert error(api(cloud, "GET", "lock", token="wrong")) == (403, 10000)
    assert error(api(cloud, "GET", "lock", token="")) == (400, 9106)
    assert error(api(cloud, "GET", f"/accounts/{cloud.account}/r2/buckets/another/lock")) == (404, 10006)
    assert error(api(cloud, "GET", "no-such-thing")) == (404, 7003)
    assert error(api(cloud, "PUT", "lock", json={"rules": [{"id": "x"}]})) == (400, 10040)
    with cloud.fault("r2-token-denied"):
        assert error(api(cloud, "GET", "lock")) == (403, 10000)


def test_api_lock_rules(cloud: t.Any, key: str) -> None:
    client = s3_client(cloud, "r2")
    with cloud.flavour("as_found"):
        before = api(cloud, "GET", "lock").json()["result"]["rules"]
        assert [(rule["prefix"], rule["enabled"], rule["condition"]["type"]) for rule in before] == [("", True, "Age")]
        try:
            elsewhere = {"id": "x", "enabled": True, "prefix": "elsewhere/", "condition": {"type": "Indefinite"}}
            assert api(cloud, "PUT", "lock", json={"rules": [elsewhere]}).json()["result"] == {}
            client.put_object(Bucket=cloud.bucket, Key=key, Body=b"content")
            client.delete_object(Bucket=cloud.bucket, Key=key)
            assert api(cloud, "GET", "lock").json()["result"]["rules"] == [elsewhere]
        finally:
            api(cloud, "PUT", "lock", json={"rules": before})


def test_api_cors_is_what_s3_shows(cloud: t.Any) -> None:
    client = s3_client(cloud, "r2")
    before = api(cloud, "GET", "cors").json()["result"]["rules"]
    assert [rule["allowed"] for rule in before] == [{"methods": ["GET"], "origins": ["https://prosaas.test"]}]
    allowed = {"methods": ["GET"], "origins": ["https://elsewhere.test"], "headers": ["x-requested-by"]}
    rule = {"id": "frontend", "allowed": allowed, "exposeHeaders": ["ETag"], "maxAgeSeconds": 3600}
    try:
        assert api(cloud, "PUT", "cors", json={"rules": [rule]}).json()["success"]
        assert api(cloud, "GET", "cors").json()["result"]["rules"] == [rule]
        shown = client.get_bucket_cors(Bucket=cloud.bucket)["CORSRules"][0]
        assert shown["AllowedOrigins"] == ["https://elsewhere.test"] and shown["MaxAgeSeconds"] == 3600
        assert api(cloud, "DELETE", "cors").json()["success"]
        assert refusal(client.get_bucket_cors, Bucket=cloud.bucket) == (404, "NoSuchCORSConfiguration")
        assert api(cloud, "GET", "cors").json()["errors"][0]["code"] == 10059
    finally:
        assert api(cloud, "PUT", "cors", json={"rules": before}).json()["success"]


def from_page(cloud: t.Any, face: str, verb: str, origin: str, method: str = "", **more: t.Any) -> requests.Response:
    """What a browser sends for a page of this origin."""
    headers = {"Origin": origin, **({"Access-Control-Request-Method": method} if method else {}), **more}
    url = f"{cloud.urls[face]}/{cloud.bucket}/preflight"
    return requests.request(verb, url, headers=headers, verify=str(cloud.ca), timeout=REQUESTS)


@pytest.mark.parametrize(("face", "good", "bad"), [("s3", 200, "AccessForbidden"), ("r2", 204, "CORS not configured")])
def test_a_preflight_is_answered_by_the_cors_rules(cloud: t.Any, face: str, good: int, bad: str) -> None:
    site = "https://prosaas.test"
    answer = from_page(cloud, face, "OPTIONS", site, "GET")
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (good, site)
    assert answer.headers["Access-Control-Allow-Methods"] == "GET"
    header = {"Access-Control-Request-Headers": "x-other"}
    for refused in (
        from_page(cloud, face, "OPTIONS", site, "PUT"),
        from_page(cloud, face, "OPTIONS", "https://elsewhere.test", "GET"),
        from_page(cloud, face, "OPTIONS", site, "GET", **header),
    ):
        assert refused.status_code == 403 and bad in refused.text
        assert "Access-Control-Allow-Origin" not in refused.headers
    assert from_page(cloud, face, "OPTIONS", site).status_code == 400


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_a_page_may_read_a_presigned_address_by_the_same_rules(cloud: t.Any, face: str, key: str) -> None:
    client = s3_client(cloud, face)
    client.put_object(Bucket=cloud.bucket, Key=key, Body=b"content")
    url = client.generate_presigned_url("get_object", Params={"Bucket": cloud.bucket, "Key": key}, ExpiresIn=900)
    for origin, let_in in (("https://prosaas.test", True), ("https://elsewhere.test", False)):
        answer = requests.get(url, headers={"Origin": origin}, verify=str(cloud.ca), timeout=REQUESTS)
        assert answer.content == b"content"
        assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is let_in


def test_cors_faults(cloud: t.Any) -> None:
    with cloud.fault("r2-cors-open"):
        answer = from_page(cloud, "r2", "OPTIONS", "https://elsewhere.test", "PUT")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    with cloud.fault("r2-no-cors"):
        assert from_page(cloud, "r2", "OPTIONS", "https://prosaas.test", "GET").status_code == 403
    assert from_page(cloud, "r2", "OPTIONS", "https://prosaas.test", "GET").status_code == 204


def test_a_key_that_may_not_write(cloud: t.Any, key: str) -> None:
    client = s3_client(cloud, "r2")
    place = {"Bucket": cloud.bucket, "Key": key}
    with cloud.fault("r2-read-only"):
        client.head_bucket(Bucket=cloud.bucket)
        for call, more in (
            (client.put_object, {"Body": b""}),
            (client.delete_object, {}),
            (client.create_multipart_upload, {}),
        ):
            assert refusal(call, **place, **more) == (403, "AccessDenied")
        assert refusal(client.get_object, **place) == (404, "NoSuchKey")


def test_a_token_that_may_only_read(cloud: t.Any) -> None:
    with cloud.fault("r2-token-read-only"):
        rules = api(cloud, "GET", "lock").json()["result"]["rules"]
        assert api(cloud, "PUT", "lock", json={"rules": rules}).json()["errors"][0]["code"] == 10000


@pytest.mark.parametrize("face", ["s3", "r2"])
def test_an_upload_that_is_aborted_leaves_nothing(cloud: t.Any, face: str, key: str) -> None:
    """Under a lock rule, too: it makes no object that could be locked."""
    client, place = s3_client(cloud, face), {"Bucket": cloud.bucket, "Key": key}
    with cloud.flavour("as_found"):
        upload = {**place, "UploadId": client.create_multipart_upload(**place)["UploadId"]}
        client.upload_part(**upload, PartNumber=1, Body=b"content")
        client.abort_multipart_upload(**upload)
        assert refusal(client.get_object, **place) == (404, "NoSuchKey")
        assert "Uploads" not in client.list_multipart_uploads(Bucket=cloud.bucket, Prefix=key)
        client.delete_object(**place)  # what is not there is deleted like anything


def test_versions_can_be_deleted_for_good(cloud: t.Any, key: str) -> None:
    with cloud.flavour("checklist"):
        for face in ("s3", "r2"):
            client, place = s3_client(cloud, face), {"Bucket": cloud.bucket, "Key": key}
            client.put_object(**place, Body=b"content")
            client.delete_object(**place)
            found = client.list_object_versions(Bucket=cloud.bucket, Prefix=key)
            for one in found["Versions"] + found["DeleteMarkers"]:
                client.delete_object(**place, VersionId=one["VersionId"])
            gone = client.list_object_versions(Bucket=cloud.bucket, Prefix=key)
            assert "Versions" not in gone and "DeleteMarkers" not in gone


def test_api_lifecycle(cloud: t.Any) -> None:
    before = api(cloud, "GET", "lifecycle").json()["result"]["rules"]
    assert before[0]["abortMultipartUploadsTransition"]["condition"] == {"type": "Age", "maxAge": 604800}
    assert api(cloud, "PUT", "lifecycle", json={"rules": []}).json()["success"]
    assert api(cloud, "GET", "lifecycle").json()["result"]["rules"] == []
    api(cloud, "PUT", "lifecycle", json={"rules": before})


def test_a_public_bucket_is_public(cloud: t.Any, key: str) -> None:
    s3_client(cloud, "r2").put_object(Bucket=cloud.bucket, Key=key, Body=b"content", ContentType="text/plain")
    managed = api(cloud, "GET", "domains/managed").json()["result"]
    assert managed["enabled"] is False
    url = f"https://{managed['domain']}/{requests.utils.quote(key)}"
    assert requests.get(url, verify=str(cloud.ca), timeout=REQUESTS).status_code == 400
    with cloud.fault("r2-public"):
        assert api(cloud, "GET", "domains/managed").json()["result"]["enabled"] is True
        assert requests.get(url, verify=str(cloud.ca), timeout=REQUESTS).content == b"content"
        unsigned = requests.get(f"{cloud.urls['r2']}/{cloud.bucket}/{key}", verify=str(cloud.ca), timeout=REQUESTS)
        assert unsigned.status_code == 400


def test_api_custom_domains(cloud: t.Any) -> None:
    domain = {"domain": "files.prosaas.test", "enabled": True, "zoneId": "36ca64a6d92827b8a6b90be344bb1bfd"}
    assert api(cloud, "GET", "domains/custom").json()["result"] == {"domains": []}
    assert api(cloud, "POST", "domains/custom", json=domain).json()["success"]
    found = api(cloud, "GET", "domains/custom").json()["result"]["domains"]
    assert [(one["domain"], one["enabled"]) for one in found] == [("files.prosaas.test", True)]
    path = "domains/custom/files.prosaas.test"
    assert api(cloud, "PUT", path, json={"enabled": False}).json()["success"]
    assert api(cloud, "GET", path).json()["result"]["enabled"] is False
    assert api(cloud, "DELETE", path).json()["success"]
    assert api(cloud, "GET", path).status_code == 404
