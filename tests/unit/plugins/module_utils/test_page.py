# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a browser saw of a page, judged."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _page
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, SKIP, UNKNOWN, WARN
from ansible_collections.prosaas.ops.plugins.module_utils._page import Page, Seen, checks, good

PAGE = Page(
    name="login",
    url="https://app.test/",
    selector="#login",
    title="The login page",
    expected=[{"path": "/api/auth/me", "status": [401]}],
    console_allowed=["ResizeObserver loop"],
    remedy="Look at the frontend.",
)
FINE: dict[str, t.Any] = {"status": 200, "title": "App", "seconds": 0.4, "form": "visible", "requests": 4}
ME = {"url": "https://app.test/api/auth/me", "status": 401, "error": ""}


def judged(**seen: t.Any) -> dict[str, str]:
    return {check.id.rpartition(".")[2]: check.status for check in checks(PAGE, Seen(**{**FINE, **seen}), "")}


def evidence(name: str, **seen: t.Any) -> str:
    found = checks(PAGE, Seen(**{**FINE, **seen}), "")
    return next(check.evidence for check in found if check.id == f"page.login.{name}")


ALL = dict.fromkeys(("opens", "form", "requests", "console"), PASS)


@pytest.mark.parametrize(
    ("seen", "turned"),
    [
        ({}, {}),
        ({"failed": [ME]}, {}),
        ({"failed": [{**ME, "status": 500}]}, {"requests": FAIL}),
        ({"failed": [{**ME, "url": "https://app.test/api/auth/me/2"}]}, {"requests": FAIL}),
        ({"failed": [{"url": "https://app.test/a.js", "status": 0, "error": "net::ERR_FAILED"}]}, {"requests": FAIL}),
        ({"failed": [{"url": "https://fonts.test/a", "status": 0, "error": "net::ERR_FAILED"}]}, {"requests": WARN}),
        ({"console": [{"kind": "exception", "text": "TypeError: x"}]}, {"console": FAIL}),
        ({"console": [{"kind": "error", "text": "the ResizeObserver loop again"}]}, {}),
        ({"form": "hidden"}, {"form": FAIL}),
        ({"form": "absent"}, {"form": FAIL}),
        ({"status": 502}, {"opens": FAIL, **dict.fromkeys(("form", "requests", "console"), UNKNOWN)}),
        ({"error": "net::ERR_X"}, {"opens": FAIL, **dict.fromkeys(("form", "requests", "console"), UNKNOWN)}),
        ({"status": 0}, {"opens": FAIL, **dict.fromkeys(("form", "requests", "console"), UNKNOWN)}),
    ],
)
def test_what_was_seen(seen: dict[str, t.Any], turned: dict[str, str]) -> None:
    assert judged(**seen) == {**ALL, **turned}
    assert good(PAGE, Seen(**{**FINE, **seen})) == (FAIL not in turned.values())


def test_evidence_names_what_was_seen() -> None:
    assert evidence("opens", screenshot="x-page-login.png") == (
        "https://app.test/: 200, titled 'App', loaded in 0.4 s, screenshot x-page-login.png"
    )
    assert evidence("requests", failed=[ME]) == "4 requests, none failed; as expected /api/auth/me answered 401"
    gone = [{"url": f"https://app.test/{name}.js", "status": 404, "error": ""} for name in "abcde"]
    assert evidence("requests", failed=gone, requests=9) == (
        "5 of 9 requests failed: /a.js answered 404; /b.js answered 404; /c.js answered 404 and 2 more"
    )
    said = [{"kind": "exception", "text": "TypeError: x is undefined"}]
    assert evidence("console", console=said).endswith("exception: TypeError: x is undefined")


def test_whatever_is_red_says_what_to_do() -> None:
    bad = Seen(status=200, failed=[{**ME, "status": 500}], console=[{"kind": "error", "text": "x"}])
    for seen in (bad, Seen(error="net::ERR_CONNECTION_REFUSED")):
        for check in checks(PAGE, seen, ""):
            assert bool(check.remedy) == (check.status != PASS), check


def test_without_a_browser_nothing_is_claimed_and_a_person_is_asked() -> None:
    found = {check.id: check for check in checks(PAGE, None, "none of chromium is on the controller")}
    person = found.pop("page.login.person")
    assert {check.status for check in found.values()} == {SKIP} and len(found) == 4
    assert person.status == UNKNOWN
    assert person.question.startswith("Does https://app.test/ open") and "on the controller" in person.evidence


def test_what_the_action_hands_over_is_read_with_defaults() -> None:
    given = {"name": "login", "url": "https://app.test/", "address": "203.0.113.7", "selector": "#login"}
    assert _page.page_of(given) == Page("login", "https://app.test/", "#login")
    assert _page.seen_of({"error": "x", "more": 1}) == Seen(error="x")
