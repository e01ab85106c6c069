# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a bucket, from the bytes that a store answers: the real boto3 against small S3 servers."""

from __future__ import annotations

import contextlib
import http.server
import threading
import typing as t
from collections.abc import Iterator, Mapping

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _bucket, _bucket_versions, _cloudflare, _object_store
from ansible_collections.prosaas.ops.plugins.module_utils._bucket import Want
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client

Reply = tuple[int, str]

S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
HEAD_OK: Reply = (200, "")
LISTING: Reply = (
    200,
    f'<ListBucketResult xmlns="{S3}"><Name>b</Name><Contents><Key>Versioning.pdf</Key></Contents></ListBucketResult>',
)
DENIED: Reply = (403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
UNKNOWN_KEY: Reply = (403, "<Error><Code>InvalidAccessKeyId</Code></Error>")
NO_BUCKET: Reply = (404, "<Error><Code>NoSuchBucket</Code></Error>")
NOT_IMPLEMENTED: Reply = (
    501,
    "<Error><Code>NotImplemented</Code><Message>GetBucketVersioning not implemented</Message></Error>",
)
BROKEN: Reply = (500, "<Error><Code>InternalError</Code></Error>")
LOCKED = [_cloudflare.LockRule("keep", "", True, float("inf"))]


def versioned(status: str) -> Reply:
    return (
        200,
        f'<VersioningConfiguration xmlns="{S3}">{status and f"<Status>{status}</Status>"}</VersioningConfiguration>',
    )


@contextlib.contextmanager
def store(replies: Mapping[str, Reply], unsigned: int = 403) -> Iterator[_object_store.Store]:
    """Serve a bucket: ``head``, ``list`` and ``versioning`` to whoever signs, one status to whoever does not."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("versioning" if "versioning" in self.path else "list")

        def do_HEAD(self) -> None:
            self._answer("head")

        def _answer(self, call: str) -> None:
            status, body = replies[call] if "Authorization" in self.headers else (unsigned, "")
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body.encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield _object_store.Store(f"http://127.0.0.1:{server.server_port}", "auto", "b", "k" * 32, "s" * 64)
        server.shutdown()


def inspected(
    replies: Mapping[str, Reply], unsigned: int = 403, on_cloudflare: bool = False
) -> dict[str, tuple[str, str]]:
    good = {"head": HEAD_OK, "list": LISTING, "versioning": versioned("Enabled")}
    with store({**good, **replies}, unsigned) as at:
        report = _bucket.Look(at, Client(), None, on_cloudflare, Want(), False).report()
    seen = {check.id: (check.status, check.evidence) for check in report.checks}
    return {**seen, "versioning": (report.facts["versioning"], "")}


@pytest.mark.parametrize(
    ("reply", "said", "status"),
    [
        (versioned("Enabled"), "enabled", PASS),
        (versioned("Suspended"), "suspended", FAIL),
        (versioned(""), "disabled", FAIL),
        (NOT_IMPLEMENTED, "unsupported", FAIL),
        (
            (200, "<GetBucketVersioningResponse><Status>Enabled</Status></GetBucketVersioningResponse>"),
            "enabled",
            PASS,
        ),  # moto
        ((200, ""), "unsupported", FAIL),
        (LISTING, "unsupported", FAIL),  # a store that overlooks "?versioning" and lists
        (DENIED, "denied", UNKNOWN),
        (NO_BUCKET, "missing", UNKNOWN),
        (BROKEN, "unreachable", UNKNOWN),
    ],
)
def test_versioning_is_what_the_control_call_came_to(reply: Reply, said: str, status: str) -> None:
    seen = inspected({"versioning": reply})
    assert (seen["versioning"][0], seen["r2.versioning"][0]) == (said, status)
    assert seen["r2.reachable"][0] == seen["r2.bucket"][0] == seen["r2.private"][0] == PASS


@pytest.mark.parametrize(
    ("replies", "reachable", "bucket", "said"),
    [
        ({"head": (404, ""), "list": NO_BUCKET}, PASS, FAIL, "there is no bucket b"),
        ({"head": (403, ""), "list": UNKNOWN_KEY}, FAIL, UNKNOWN, "InvalidAccessKeyId"),
        ({"head": (403, ""), "list": DENIED}, PASS, FAIL, "may not use b"),
        ({"head": (403, "")}, PASS, FAIL, "can be listed, but HeadBucket answers 403"),
        ({"list": DENIED}, PASS, PASS, "answers 200"),
        ({"head": (500, ""), "list": BROKEN}, UNKNOWN, UNKNOWN, "500 InternalError"),
    ],
)
def test_access_is_told_from_existence(replies: Mapping[str, Reply], reachable: str, bucket: str, said: str) -> None:
    seen = inspected(replies)
    assert (seen["r2.reachable"][0], seen["r2.bucket"][0]) == (reachable, bucket)
    assert said in seen["r2.bucket"][1]


@pytest.mark.parametrize(
    ("unsigned", "status"), [(400, PASS), (401, PASS), (403, PASS), (200, FAIL), (404, UNKNOWN), (503, UNKNOWN)]
)
def test_unsigned_requests_must_be_refused(unsigned: int, status: str) -> None:
    assert inspected({}, unsigned)["r2.private"][0] == status


def test_on_cloudflare_refused_unsigned_requests_are_half_the_proof() -> None:
    assert inspected({}, on_cloudflare=True)["r2.private"][0] == UNKNOWN


def test_nobody_answering_is_unknown_everywhere() -> None:
    with store({}) as gone:
        pass
    report = _bucket.Look(gone, Client(), None, False, Want(), False).report()
    assert {check.status for check in report.checks} == {UNKNOWN}
    assert report.facts["versioning"] == "unreachable"


def test_a_bucket_name_that_cannot_be_is_an_error() -> None:
    with store({}) as at:
        client = _object_store.connect(at, True)
        with pytest.raises(OpsError, match="bucket") as raised:
            _object_store.ask(lambda: client.head_bucket(Bucket="no/bucket name"))
    assert not isinstance(raised.value, Unreachable)


HERE = _object_store.Store("https://store.test", "auto", "b", "k", "s")
REFUSED = Unreachable("the token is refused.", "give another")


@pytest.mark.parametrize(
    ("status", "locks", "on_cloudflare", "expected"),
    [
        ("enabled", None, True, PASS),
        ("disabled", LOCKED, True, FAIL),
        ("unsupported", LOCKED, True, PASS),
        ("unsupported", [], True, FAIL),
        ("unsupported", None, True, UNKNOWN),
        ("unsupported", REFUSED, True, UNKNOWN),
        ("unsupported", None, False, FAIL),
        ("denied", LOCKED, True, PASS),
        ("denied", [], True, UNKNOWN),
        ("denied", None, False, UNKNOWN),
        ("unreachable", LOCKED, True, UNKNOWN),
    ],
)
def test_lock_rules_stand_in_for_versioning_only_where_there_is_none(
    status: str, locks: t.Any, on_cloudflare: bool, expected: str
) -> None:
    outcome = _bucket_versions.judge(HERE, status, locks, [""], 30, on_cloudflare)
    assert outcome.status == expected
    assert bool(outcome.remedy) == (expected != PASS)
    nobody_can_know = status == "unsupported" and locks is None and on_cloudflare
    assert bool(outcome.question) == nobody_can_know


def test_the_prefix_without_a_rule_is_named() -> None:
    locks = [_cloudflare.LockRule("calls", "calls/", True, 365)]
    outcome = _bucket_versions.judge(HERE, "unsupported", locks, ["calls/", "files/"], 30, True)
    assert outcome.status == FAIL
    assert "no lock rule covers files/ for 30 days" in outcome.evidence
    assert outcome.remedy.endswith("npx wrangler r2 bucket lock add b keep files/ --retention-days 30")


@pytest.mark.parametrize(
    ("domains", "status"), [(["pub-1.r2.dev"], FAIL), ([], PASS), (None, UNKNOWN), (REFUSED, UNKNOWN)]
)
def test_public_domains_open_a_bucket_that_refuses_unsigned_requests(domains: t.Any, status: str) -> None:
    outcome = _bucket.judge_private({"listing": 403, "object": 403}, domains, True)
    assert outcome.status == status
    assert bool(outcome.question) == (domains is None), "what a token could tell is no matter of opinion"


def test_the_joined_ca_file_is_gone_afterwards(tmp_path: t.Any) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text("-----BEGIN CERTIFICATE-----", encoding="ascii")
    with _object_store.trusted(str(ca)) as path:
        assert isinstance(path, str)
        with open(path, encoding="ascii") as joined:
            assert joined.read().endswith("\n-----BEGIN CERTIFICATE-----")
    with pytest.raises(FileNotFoundError):
        open(t.cast(str, path), encoding="ascii")
    with _object_store.trusted("") as usual:
        assert usual is True
