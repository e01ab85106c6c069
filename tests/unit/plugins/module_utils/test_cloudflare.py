# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cloudflare's API says of a bucket: lock rules, public domains, and answers that say nothing."""

from __future__ import annotations

import datetime
import json
import typing as t

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _cloudflare
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc)


def rule(condition: dict[str, t.Any] | None, prefix: str = "", enabled: bool = True) -> _cloudflare.LockRule:
    return _cloudflare.lock_rule({"id": "r", "enabled": enabled, "prefix": prefix, "condition": condition}, NOW)


@pytest.mark.parametrize(
    ("condition", "days"),
    [
        ({"type": "Indefinite"}, float("inf")),
        ({"type": "Age", "maxAgeSeconds": 86400 * 30}, 30),
        ({"type": "Date", "date": "2026-12-02T00:00:00Z"}, 10),
        ({"type": "Date", "date": "2026-12-02"}, 10),
        ({"type": "Date", "date": "2020-01-01T00:00:00Z"}, 0),
        ({"type": "Tomorrow"}, 0),
        (None, 0),
    ],
)
def test_how_long_a_rule_locks(condition: dict[str, t.Any] | None, days: float) -> None:
    assert rule(condition).days == days


@pytest.mark.parametrize(
    ("locked", "enabled", "wanted", "covered"),
    [
        ("", True, "", True),
        ("", True, "calls/", True),
        ("calls/", True, "calls/2026/", True),
        ("calls/", True, "", False),
        ("calls/", True, "call", False),
        ("", False, "", False),
    ],
)
def test_a_rule_covers_what_begins_with_its_prefix(locked: str, enabled: bool, wanted: str, covered: bool) -> None:
    rules = [rule({"type": "Indefinite"}, locked, enabled)]
    assert _cloudflare.uncovered(rules, [wanted], 30) == ([] if covered else [wanted])


def test_a_rule_that_ends_too_soon_does_not_cover() -> None:
    rules = [rule({"type": "Age", "maxAgeSeconds": 86400 * 29})]
    assert _cloudflare.uncovered(rules, [""], 30) == [""]
    assert _cloudflare.uncovered(rules, [""], 29) == []


def answer(
    status: int, success: bool = False, result: t.Any = None, errors: t.Sequence[dict[str, t.Any]] = ()
) -> Answer:
    body = {"success": success, "errors": list(errors), "messages": [], "result": result}
    return Answer(status, {"content-type": "application/json"}, json.dumps(body).encode())


def test_a_result_is_taken_out_of_its_envelope() -> None:
    assert _cloudflare.result(answer(200, True, {"rules": []}), "lock") == {"rules": []}
    assert _cloudflare.result(answer(200, True, None), "lock") == {}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_says_nothing_of_the_bucket(status: int) -> None:
    refused = answer(status, errors=[{"code": 10000, "message": "Authentication error"}])
    with pytest.raises(Unreachable, match="refused the token for lock .*10000 Authentication error"):
        _cloudflare.result(refused, "lock")


def test_an_unknown_bucket_is_an_error_of_ours() -> None:
    with pytest.raises(OpsError, match="no such bucket") as raised:
        _cloudflare.result(
            answer(404, errors=[{"code": 10006, "message": "The specified bucket does not exist."}]), "lock"
        )
    assert not isinstance(raised.value, Unreachable)


@pytest.mark.parametrize(
    "strange",
    [answer(200, False), answer(500), answer(200, True, ["x"]), Answer(200, {}, b"<html>"), Answer(502, {}, b"[]")],
)
def test_any_other_answer_says_nothing(strange: Answer) -> None:
    with pytest.raises(Unreachable):
        _cloudflare.result(strange, "lock")


def test_a_refused_change_is_an_error_that_names_the_permission() -> None:
    refused = answer(403, errors=[{"code": 10000, "message": "Authentication error"}])
    with pytest.raises(OpsError, match="refused the token to change lock") as raised:
        _cloudflare.result(refused, "lock", _cloudflare.WRITE)
    assert not isinstance(raised.value, Unreachable)
    assert raised.value.remedy == "Give a token with the permission Workers R2 Storage: Edit."


@pytest.mark.parametrize(
    ("endpoint", "where"),
    [
        (f"https://{'a' * 32}.eu.r2.cloudflarestorage.com", "eu"),
        (f"https://{'a' * 32}.fedramp.r2.cloudflarestorage.com", "fedramp"),
        (f"https://{'a' * 32}.r2.cloudflarestorage.com", ""),
        ("https://s3.eu.example.org", ""),
    ],
)
def test_the_jurisdiction_is_told_by_the_endpoint(endpoint: str, where: str) -> None:
    assert _cloudflare.jurisdiction(endpoint) == where


class Recorder:
    """Stands where the HTTP client does and keeps what was sent."""

    def __init__(self, reply: Answer) -> None:
        self.reply, self.sent = reply, t.cast("list[tuple[t.Any, ...]]", [])

    def send(self, *sent: t.Any) -> Answer:
        self.sent.append(sent)
        return self.reply


def bucket(reply: Answer, jurisdiction: str = "") -> tuple[_cloudflare.Bucket, Recorder]:
    http = Recorder(reply)
    return _cloudflare.Bucket(t.cast("t.Any", http), "https://api.test/v4/", "acc", "b", "tok", jurisdiction), http


def test_rules_are_put_whole_and_as_they_were_read() -> None:
    rules = [{"id": "x", "enabled": True, "prefix": "p/", "condition": {"type": "Indefinite"}, "of_tomorrow": 1}]
    told, http = bucket(answer(200, True, {"rules": rules}), "eu")
    assert told.raw_lock_rules() == rules
    told.put_lock_rules(rules)
    url, method, headers, body = http.sent[-1]
    assert (url, method) == ("https://api.test/v4/accounts/acc/r2/buckets/b/lock", "PUT")
    assert headers["cf-r2-jurisdiction"] == "eu"
    assert json.loads(body) == {"rules": rules}


def test_no_cors_rules_are_no_missing_bucket() -> None:
    absent = answer(404, errors=[{"code": 10059, "message": "The CORS configuration does not exist."}])
    assert bucket(absent)[0].cors_rules() == []
    with pytest.raises(OpsError, match="no such bucket"):
        bucket(answer(404, errors=[{"code": 10006, "message": "no"}]))[0].cors_rules()
