# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bucket's CORS, locks, probe and second copy are judged by, from answers as values."""

from __future__ import annotations

import datetime
import random
import typing as t

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import (
    _bucket_change,
    _bucket_copy,
    _bucket_cors,
    _bucket_probe,
    _bucket_versions,
    _cloudflare,
)
from ansible_collections.prosaas.ops.plugins.module_utils._bucket_cors import STRANGER, Rule, Wanted
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer
from ansible_collections.prosaas.ops.plugins.module_utils._object_store import Answered, Store

SITE = "https://site.test"
WANTED = Wanted([SITE], ["GET"])
READ_RULE = Rule([SITE], ["GET"])
CLOSED = {(SITE, "GET"): True, **dict.fromkeys(_bucket_cors.strangers(), False)}
SILENT: dict[tuple[str, str], bool | None] = dict.fromkeys(CLOSED)


@pytest.mark.parametrize(
    ("wanted", "seen", "rules", "status", "said"),
    [
        (WANTED, CLOSED, [READ_RULE], PASS, "pages of https://site.test may GET"),
        (WANTED, CLOSED, None, PASS, "those of any other origin are refused"),
        (WANTED, CLOSED, [READ_RULE, Rule(["http://localhost:3000"], ["GET"])], PASS, "also let http://localhost:3000"),
        (WANTED, {**CLOSED, (SITE, "GET"): False}, [READ_RULE], FAIL, "GET from https://site.test is refused"),
        (WANTED, {**CLOSED, (STRANGER, "GET"): True}, None, WARN, "a page of any origin may GET"),
        (WANTED, {**CLOSED, (STRANGER, "PUT"): True}, None, FAIL, "a page of any origin may PUT"),
        (WANTED, CLOSED, [READ_RULE, Rule(["*"], ["PUT", "DELETE"])], FAIL, "may PUT and DELETE"),
        (WANTED, CLOSED, [READ_RULE, Rule(["https://*"], ["GET"])], WARN, "may GET"),
        (WANTED, SILENT, [READ_RULE], PASS, "may GET"),
        (WANTED, SILENT, [Rule(["https://*.test"], ["GET"])], PASS, "may GET"),
        (WANTED, SILENT, [], FAIL, "is refused"),
        (WANTED, SILENT, None, UNKNOWN, "answers no preflight"),
        (WANTED, {**CLOSED, (STRANGER, "POST"): None}, None, UNKNOWN, "answers no preflight"),
        (Wanted(), CLOSED, [], PASS, "no page needs it"),
        (Wanted(), {**CLOSED, (STRANGER, "GET"): True}, None, WARN, "may GET"),
    ],
)
def test_wanted_pages_get_in_and_strangers_do_not(
    wanted: Wanted, seen: t.Any, rules: t.Any, status: str, said: str
) -> None:
    outcome = _bucket_cors.judge(wanted, seen, rules, None)
    assert (outcome.status, bool(outcome.remedy)) == (status, status != PASS)
    assert said in outcome.evidence


def test_the_remedy_holds_the_rule_to_set() -> None:
    refused = {**CLOSED, (SITE, "GET"): False}
    policy = '[{"AllowedOrigins": ["https://site.test"], "AllowedMethods": ["GET"]}]'
    in_dashboard, by_command = (_bucket_cors.judge(WANTED, refused, [], store).remedy for store in (None, PLACE))
    assert in_dashboard.endswith(f"Settings, CORS policy: {policy}")
    assert by_command == (
        "aws --endpoint-url https://copy.test s3api put-bucket-cors --bucket second "
        f"--cors-configuration '{{\"CORSRules\": {policy}}}'"
    )


@pytest.mark.parametrize(
    ("status", "origin", "methods", "expected"),
    [
        (204, SITE, "GET", True),
        (200, "*", "PUT, GET", True),
        (200, SITE, "*", True),
        (200, SITE, "PUT", False),
        (200, "https://other.test", "GET", False),
        (200, "", "", False),
        (403, "", "", False),
        (403, "*", "GET", False),
        (404, "", "", False),
        (501, "", "", None),
        (405, "", "", None),
        (500, SITE, "GET", None),
    ],
)
def test_a_preflight_allows_by_its_headers_alone(status: int, origin: str, methods: str, expected: bool | None) -> None:
    headers = {"access-control-allow-origin": origin, "access-control-allow-methods": methods}
    assert _bucket_cors.allowed(Answer(status, headers), SITE, "GET") is expected


# --- lock rules of our own, beside those of others


def rule(name: str, prefix: str | None, days: float, enabled: bool = True, **more: t.Any) -> dict[str, t.Any]:
    condition = {"type": "Age", "maxAgeSeconds": int(days * 86400)}
    where = {} if prefix is None else {"prefix": prefix}
    return {"id": name, "enabled": enabled, **where, "condition": condition, **more}


def lock(*prefixes: str, never: t.Sequence[str] = ()) -> _bucket_change.Lock:
    return _bucket_change.Lock(prefixes or ("",), 30, never, "keep")


def test_only_what_no_rule_covers_gets_one() -> None:
    theirs = [rule("theirs", "calls/", 365), rule("short", "files/", 1)]
    after = _bucket_change.with_locks(theirs, lock("calls/2026/", "files/"))
    assert after[:2] == theirs
    assert after[2:] == [rule("keep files/", "files/", 30)]


def test_a_rule_of_our_own_that_is_off_or_too_short_is_brought_up_to_date() -> None:
    for outdated in (rule("keep", "", 7), rule("keep", None, 30, enabled=False)):
        assert _bucket_change.with_locks([outdated, rule("x", "x/", 1)], lock()) == [
            rule("keep", "", 30),
            rule("x", "x/", 1),
        ]


def test_a_rule_of_another_with_our_id_is_no_rule_of_ours() -> None:
    with pytest.raises(OpsError, match="another lock rule with the id keep"):
        _bucket_change.with_locks([rule("keep", "logs/", 3650)], lock())


@pytest.mark.parametrize(("prefix", "never"), [("", "locks/"), ("locks/", "locks/"), ("repo/", "repo/locks/")])
def test_what_must_stay_deletable_is_never_locked(prefix: str, never: str) -> None:
    with pytest.raises(OpsError, match=f"would also lock {never}"):
        _bucket_change.with_locks([], lock(prefix, never=[never]))
    assert _bucket_change.with_locks([], lock("data/", never=[never])) == [rule("keep data/", "data/", 30)]


@pytest.mark.parametrize("seed", range(200))
def test_no_rule_of_others_is_ever_lost_and_a_second_time_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    prefixes = ["", "a/", "a/b/", "c/"]
    theirs = [
        rule(
            f"theirs-{n}", chance.choice([None, *prefixes]), chance.choice([1, 29, 30, 99]), chance.random() < 0.7, n=n
        )
        for n in range(chance.randint(0, 5))
    ]
    wanted = lock(*chance.sample(prefixes, chance.randint(1, 4)))
    after = _bucket_change.with_locks(theirs, wanted)
    assert [one for one in after if one in theirs] == theirs
    assert _cloudflare.uncovered(_cloudflare.read_rules(after), wanted.prefixes, 30) == []
    assert _bucket_change.with_locks(after, wanted) == after


class Api:
    """Lock rules of a bucket, and somebody else who changes them in the same second."""

    def __init__(self, rules: list[dict[str, t.Any]], meanwhile: t.Callable[[list[t.Any]], list[t.Any]]) -> None:
        self.rules, self.meanwhile = rules, meanwhile

    def raw_lock_rules(self) -> list[dict[str, t.Any]]:
        return list(self.rules)

    def put_lock_rules(self, rules: t.Sequence[dict[str, t.Any]]) -> None:
        self.rules = self.meanwhile(list(rules))


def ensured(api: Api | None, dry: bool = False) -> _bucket_change.Change:
    return _bucket_change.ensure("lock", None, "b", t.cast("t.Any", api), lock(), dry)


def test_a_change_tells_all_rules_before_and_after() -> None:
    theirs = rule("theirs", "calls/", 365)
    api = Api([theirs], lambda rules: rules)
    planned = ensured(api, dry=True)
    assert api.rules == [theirs] and planned.changed
    assert planned.outcome is not None and planned.outcome.status == UNKNOWN
    done = ensured(api)
    assert api.rules == [theirs, rule("keep", "", 30)]
    assert (done.changed, done.outcome, done.diff) == (True, None, planned.diff)
    assert '"theirs"' in done.diff[0]["before"] and '"keep"' not in done.diff[0]["before"]
    assert ensured(api) == _bucket_change.Change()


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [(lambda rules: rules[1:], "the rule theirs is gone"), (lambda rules: rules[:1], "the new rule is not there")],
)
def test_rules_that_somebody_else_changed_meanwhile_are_told(meanwhile: t.Any, said: str) -> None:
    change = ensured(Api([rule("theirs", "calls/", 365)], meanwhile))
    assert change.outcome is not None and change.outcome.status == FAIL
    assert said in change.outcome.evidence


def test_without_a_token_no_lock_rule_is_set() -> None:
    change = ensured(None)
    assert change.outcome is not None and "Workers R2 Storage: Edit" in change.outcome.remedy


def test_a_rule_that_locks_what_must_stay_deletable_is_told() -> None:
    locks = [_cloudflare.LockRule("all", "", True, 30), _cloudflare.LockRule("off", "locks/", False, 30)]
    kept = Outcome(PASS, "locked")
    assert _bucket_versions.unwanted(kept, locks, ["locks/"]).status == WARN
    assert _bucket_versions.unwanted(kept, locks[1:], ["locks/"]) == kept
    assert _bucket_versions.unwanted(kept, None, ["locks/"]) == kept


# --- the probe


@pytest.mark.parametrize(
    ("locks", "on_cloudflare", "keeps"),
    [
        ([], True, False),
        ([_cloudflare.LockRule("all", "", True, 30)], True, True),
        ([_cloudflare.LockRule("in it", "probe/x/", True, 30)], True, True),
        ([_cloudflare.LockRule("elsewhere", "calls/", True, 30)], True, False),
        ([_cloudflare.LockRule("off", "", False, 30)], True, False),
        ([_cloudflare.LockRule("over", "", True, 0)], True, False),
        (None, True, True),
        (Unreachable("the token is refused"), True, True),
        (None, False, False),
    ],
)
def test_no_object_is_put_where_a_lock_would_or_might_keep_it(locks: t.Any, on_cloudflare: bool, keeps: bool) -> None:
    assert bool(_bucket_probe.keeper("probe/", locks, on_cloudflare)) == keeps


# --- the second copy

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)
PLACE = Store("https://copy.test", "auto", "second", "k", "s")
MD5, OTHER = "a" * 32, "b" * 32


def entry(key: str, hours: float) -> _bucket_copy.Entry:
    return _bucket_copy.Entry(key, 1, MD5, NOW - datetime.timedelta(hours=hours))


def test_the_newest_that_must_have_been_copied_by_now_are_looked_for() -> None:
    entries = [entry("old", 90), entry("fresh", 1), entry("due", 48), entry("older", 60)]
    copy = _bucket_copy.Copy(PLACE, max_age=48, sample=2)
    assert [one.key for one in _bucket_copy.newest(entries, copy, NOW)] == ["due", "older"]


@pytest.mark.parametrize(
    ("size", "etag", "same"),
    [(1, MD5, True), (1, OTHER, False), (2, MD5, False), (1, f"{OTHER}-2", True), (1, "", True)],
)
def test_a_copy_is_the_same_by_size_and_by_a_checksum_that_can_be_compared(size: int, etag: str, same: bool) -> None:
    assert _bucket_copy.same(entry("x", 1), size, etag) is same


@pytest.mark.parametrize(
    ("status", "copied", "expected", "said"),
    [
        (
            "unsupported",
            PASS,
            PASS,
            "the store has no versioning, and no lock rule covers the whole bucket for 30 days; so",
        ),
        ("disabled", PASS, PASS, "versioning is disabled; so"),
        ("disabled", FAIL, FAIL, "versioning is disabled; so"),
        ("enabled", FAIL, PASS, "Enabled"),
        ("unreachable", PASS, UNKNOWN, "could not be asked"),
    ],
)
def test_a_second_copy_stands_in_where_nothing_better_keeps_objects(
    status: str, copied: str, expected: str, said: str
) -> None:
    outcome = _bucket_versions.judge(PLACE, status, [], [""], 30, True, lambda: Outcome(copied, "so", "do"))
    assert outcome.status == expected
    assert said in outcome.evidence


def test_a_refusal_says_status_and_code_once() -> None:
    assert [Answered(404, "404").said, Answered(403, "AccessDenied").said] == ["404", "403 AccessDenied"]
