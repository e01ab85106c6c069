# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What answers of outside services mean, and what of them is told."""

from __future__ import annotations

import base64
import time
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.prosaas.ops.plugins.module_utils import _api_check, _api_query
from ansible_collections.prosaas.ops.plugins.module_utils._api import Known, Refusal, Request, Said, Unset, ask
from ansible_collections.prosaas.ops.plugins.module_utils._api_check import Expectation, Probe, judge
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ansible_collections.prosaas.ops.plugins.module_utils._condition import Condition
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer
from ansible_collections.prosaas.ops.plugins.modules import api_check

from .service import Service, said

SECRETS = {"KEY": "sk-verysecretkey", "SID": "AC00112233445566", "TOKEN": "tok/en+with=signs"}
ENV = {**SECRETS, "NUMBER": "+15005550006", "EMPTY": ""}


@pytest.fixture(name="known")
def _known(tmp_path: Path) -> Known:
    env = tmp_path / "env"
    env.write_text("".join(f"{name}='{value}'\n" for name, value in ENV.items()), encoding="utf-8")
    return Known(str(env), {"project": "a b/c", "names": ["x*"], "KEY": "another", "MODEL": "m`1", "blank": ""}, "a/b")


def test_a_url_is_quoted_and_told_without_query_and_values(known: Known) -> None:
    url, where = known.url("https://api.test/{SID}/{project}/{+commit}/{commit}.json?n={NUMBER}&m={MODEL}")
    assert url == "https://api.test/AC00112233445566/a%20b%2Fc/a/b/a%2Fb.json?n=%2B15005550006&m=m%601"
    assert where == "https://api.test/{SID}/a%20b%2Fc/a/b/a%2Fb.json"
    assert known.sent == {ENV["SID"], ENV["NUMBER"]}


def test_the_file_comes_before_what_is_given(known: Known) -> None:
    assert (known.value("KEY"), known.value("MODEL")) == (SECRETS["KEY"], "m`1")


@pytest.mark.parametrize(
    ("name", "problem"),
    [("EMPTY", "EMPTY is not set in"), ("NEVER", "NEVER is not set in"), ("blank", "blank is not given")],
)
def test_what_was_not_given_is_named(known: Known, name: str, problem: str) -> None:
    with pytest.raises(Unset, match=problem):
        known.value(name)


@pytest.mark.parametrize("commit", [12e4, 7, "--upload-pack=x", "a..b"])
def test_a_commit_is_a_name(commit: t.Any) -> None:
    with pytest.raises(OpsError, match="commit="):
        Known("", {}, commit).url("https://api.test/{commit}")


def test_values_stand_in_expressions_as_literals(known: Known) -> None:
    found = _api_query.search(known.query("[?id == {MODEL}].{id: id} | [0]"), [{"id": "m`1"}])
    assert found == {"id": "m`1"}
    assert _api_query.search(known.query("[?like(@, {names})]"), ["xy", "yx"]) == ["xy"]


@pytest.mark.parametrize(
    ("query", "content", "days"),
    [
        ("days_since(@)", "2026-11-20T00:00:00.123456789Z", True),
        ("days_since(@)", "2026-11-20 00:00:00", True),
        ("days_since(@)", "yesterday", None),
        ("days_since(@)", None, None),
        ("days(@)", None, None),
        ('like(@, `["*"]`)', None, False),
    ],
)
def test_functions_take_what_is_not_there(query: str, content: t.Any, days: t.Any) -> None:
    found = _api_query.search(query, content)
    assert found > 1 if days is True else found == days


def test_ages_and_durations() -> None:
    assert _api_query.search("days_since(@)", time.time() - 86400 * 2) == pytest.approx(2, abs=0.01)
    assert _api_query.search("days_since(@)", "2000-01-01T02:00:00+02:00") == pytest.approx(
        (time.time() - 946684800) / 86400, abs=0.01
    )
    assert _api_query.search("days(@)", 604800) == 7


def test_an_answer_of_another_shape_is_unknown_and_a_wrong_expression_a_mistake() -> None:
    with pytest.raises(Unreachable, match="not the shape"):
        _api_query.search("length(@)", None)
    for wrong in ("a[", "nothing(@)", "days()"):
        with pytest.raises(OpsError, match="no JMESPath expression") as raised:
            _api_query.search(wrong, {})
        assert not isinstance(raised.value, Unreachable)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "nothing"),
        ("", "nothing"),
        (True, "yes"),
        (7, "7"),
        (0.8765, "0.9"),
        (["a", "b"], "a, b"),
        ({"a": 1}, '{"a": 1}'),
        ("https://user:secret@host.test/a/b?token=secret#secret", "https://host.test/a/b?…"),
        ("https://secret@host.test/", "https://host.test/"),
        ("http://[secret", "a URL that cannot be read"),
        ("x" * 200, "x" * 119 + "…"),
    ],
)
def test_a_value_is_told_short_and_without_credentials(found: t.Any, text: str) -> None:
    assert _api_query.told(found) == text


def send(known: Known, request: Request, answer: Answer | OpsError) -> tuple[Said, dict[str, str]]:
    http = Service({"https://": answer})
    came = ask(request, known, http)
    asked = http.asked  # type: ignore[attr-defined]
    return came, asked[0][1] if asked else {}


def test_keys_are_sent_as_the_service_wants_them(known: Known, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("fromfile\n", encoding="utf-8")
    url = "https://api.test/"
    for request, header in (
        (Request("r", url, bearer="KEY"), f"Bearer {SECRETS['KEY']}"),
        (Request("r", url, bearer_file=str(token)), "Bearer fromfile"),
        (
            Request("r", url, basic=("SID", "TOKEN")),
            "Basic " + base64.b64encode(f"{SECRETS['SID']}:{SECRETS['TOKEN']}".encode()).decode(),
        ),
    ):
        came, headers = send(known, request, said({}))
        assert (came.wrong, headers["Authorization"], headers["User-Agent"]) == (None, header, "prosaas.ops")
    _came, headers = send(known, Request("r", url, secret_headers={"X-Key": "KEY"}, headers={"A": "b"}), said({}))
    assert (headers["X-Key"], headers["A"], "Authorization" in headers) == (SECRETS["KEY"], "b", False)
    assert {SECRETS["KEY"], SECRETS["SID"], SECRETS["TOKEN"], "fromfile"} == known.sent


def test_without_a_key_nobody_is_asked_unless_anybody_may(known: Known, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n", encoding="utf-8")
    for options in ({"bearer": "EMPTY"}, {"bearer_file": ""}, {"bearer_file": str(empty)}, {"basic": ("SID", "NEVER")}):
        request = Request("r", "https://api.test/", **options)  # type: ignore[arg-type]
        came, headers = send(known, request, said({}))
        assert (came.asked, headers) == (False, {})
        assert (
            came.wrong and came.wrong.status == UNKNOWN and came.wrong.evidence.startswith("api.test was not asked: ")
        )
        came, headers = send(known, Request(**{**vars(request), "anonymous": True}), said({}))
        assert (came.asked, came.wrong, "Authorization" in headers) == (True, None, False)
    came, _headers = send(known, Request("r", "https://api.test/", bearer_file=str(tmp_path / "gone")), said({}))
    assert came.wrong and (came.asked, came.wrong.status) == (True, FAIL)


def test_a_key_with_a_line_break_is_refused_and_not_shown(tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text('KEY="sk-first\nlineoftwo"\n', encoding="utf-8")
    came, headers = send(Known(str(env), {}), Request("r", "https://api.test/", bearer="KEY"), said({}))
    assert came.wrong and came.wrong.status == FAIL and "KEY holds a character" in came.wrong.evidence
    assert headers == {} and "lineoftwo" not in str(came)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (said({"error": {"code": "invalid"}}, 401), FAIL, "does not accept KEY (401 invalid)"),
        (said({}, 403), FAIL, "does not accept KEY (403)"),
        (said({}, 404), FAIL, "does not exist, or not for this key (404)"),
        (said({"error": {"code": "quota"}}, 429), FAIL, "429 quota: it is used up"),
        (said({"error": {"code": "rate"}}, 429), UNKNOWN, "asked too often"),
        (said({}, 503), UNKNOWN, "in trouble (503)"),
        (Answer(502, {}, b"<html>Bad gateway"), UNKNOWN, "in trouble (502)"),
        (said({}, 302), UNKNOWN, "answered 302 instead of 200"),
        (Answer(200, {}, b"<html>Sign in"), UNKNOWN, "no JSON"),
        (said({"total": 9}), UNKNOWN, "one page of several"),
        (Unreachable("Nothing listens at https://api.test/AC00112233445566/x."), UNKNOWN, "https://api.test/{SID}/x"),
        (
            OpsError("The certificate of https://api.test/AC00112233445566/x is wrong."),
            FAIL,
            "https://api.test/{SID}/x",
        ),
    ],
)
def test_what_keeps_an_answer_away(known: Known, answer: Answer | OpsError, status: str, words: str) -> None:
    quota = Refusal((429,), "it is used up", when="error.code == 'quota'", remedy="Pay.")
    request = Request(
        "r", "https://api.test/{SID}/x?q={NUMBER}", bearer="KEY", reason="error.code", whole="total == `1`",
        refusals=[quota],
    )  # fmt: skip
    came, _headers = send(known, request, answer)
    assert came.wrong and came.wrong.status == status and words in came.wrong.evidence, came
    assert came.content is None and not any(value in str(came) for value in (*SECRETS.values(), ENV["NUMBER"]))


FINE = Said("https://api.test/a", {"items": [{"id": 1, "n": 5}, {"id": 2, "n": 5}]}, seconds=0.2)
REFUSED = Said("https://api.test/a", wrong=Outcome(FAIL, "refused", "Correct it."))
UNASKED = Said("https://api.test/a", wrong=Outcome(UNKNOWN, "not asked: K is not set", "Set K."), asked=False)
PROBE = Probe(
    "a.b",
    "A",
    requests=["one"],
    of="one.items[?id == `1`] | [0]",
    absent=Expectation(Condition("@"), "there is none", FAIL, "Make one."),
    expect=[
        Expectation(Condition("n", at_least=5), "only {found}", WARN, "Add."),
        Expectation(Condition("n", at_most=9), "too many"),
    ],
    tell={"number": "n"},
)


def judged(known: Known, answer: Said, earlier: dict[str, str] | None = None, **changes: t.Any) -> Outcome:
    return judge(Probe(**{**vars(PROBE), **changes}), {"one": answer}, earlier or {}, known)


def number(count: t.Any) -> Said:
    return Said("https://api.test/a", {"items": [{"id": 1, "n": count}]}, seconds=0.2)


def test_what_is_as_it_should_be_passes_with_what_may_be_told(known: Known) -> None:
    assert judged(known, FINE) == Outcome(PASS, "api.test: number 5, 0.2 s")


def test_all_that_is_wrong_is_told_and_the_worst_decides(known: Known) -> None:
    assert judged(known, number(4)) == Outcome(WARN, "api.test: only 4", "Add.")
    assert judged(known, number(10), remedy="Look.") == Outcome(FAIL, "api.test: too many", "Look.")
    both = judged(known, number("x"), remedy="Look.")
    assert both == Outcome(FAIL, "api.test: only x; too many", "Look.")


def test_no_subject_is_what_the_data_says(known: Known) -> None:
    nothing = Said("https://api.test/a", {"items": []})
    assert judged(known, nothing) == Outcome(FAIL, "api.test: there is none", "Make one.")
    assert judged(known, nothing, absent=None).status == UNKNOWN


def test_what_rests_on_another_check_refers_to_it(known: Known) -> None:
    nothing = Said("https://api.test/a", {"items": []})
    for answer in (nothing, REFUSED, UNASKED):
        outcome = judged(known, answer, {"a.a": FAIL}, see="a.a")
        assert outcome == Outcome(UNKNOWN, "rests on a.a, which did not pass", "See a.a.")
    assert judged(known, REFUSED, {"a.a": PASS}, see="a.a") == REFUSED.wrong
    assert judged(known, nothing, {"a.a": WARN}, see="a.a").evidence == "api.test: there is none"
    assert judged(known, FINE, {"a.a": FAIL}, see="a.a").status == PASS, "it has an answer of its own"


def test_only_what_nobody_was_asked_is_a_question_to_a_person(known: Known) -> None:
    asked = judged(known, UNASKED, question="Is it so?", remedy="Give a token, or attest it.", see="a.a")
    assert asked == Outcome(UNKNOWN, "not asked: K is not set", "Give a token, or attest it.", "Is it so?")
    assert judged(known, REFUSED, question="Is it so?").question == ""
    alone = judge(Probe("a", "A", question="Is it so?", remedy="Attest it."), {}, {}, known)
    assert (alone.status, alone.question) == (UNKNOWN, "Is it so?")
    assert judged(known, UNASKED) == UNASKED.wrong


def test_probes_must_fit_their_requests(known: Known) -> None:
    with pytest.raises(OpsError, match=r"a\.b rests on the request one, which is none"):
        _api_check.inspect([], [PROBE], known, Service({}))
    with pytest.raises(OpsError, match="Two requests have the name x"):
        _api_check.inspect([Request("x", ""), Request("x", "")], [], known, Service({}))


def test_an_expectation_needs_exactly_one_test() -> None:
    for tests in ({}, {"equals": 1, "at_least": 1}):
        expect = [{"query": "a", "say": "b", **tests}]
        given = {"probes": [{"checks": [{"id": "a", "title": "a", "expect": expect}]}]}
        assert ArgumentSpecValidator(api_check.OPTIONS).validate(given).error_messages
