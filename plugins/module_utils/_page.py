# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a browser saw of a page, judged: did it open, is its form there, did all load, did its scripts run.

The browser runs on the controller (``plugins/plugin_utils/_browser.py``); what it saw comes here as plain data.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import typing as t
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ._assets import same_site
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome

NAMED = 3  # faults that evidence names
SHOWN = 120  # characters of a line of the console
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SECONDS = 20.0  # for one page to load

PAGES: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "name": {"type": "str", "required": True},
        "title": {"type": "str", "default": "The page"},
        "url": {"type": "str", "required": True},
        "address": {"type": "str", "default": ""},
        "selector": {"type": "str", "required": True},
        "expected": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": {"type": "str", "required": True},
                "status": {"type": "list", "elements": "int", "required": True},
            },
        },
        "console_allowed": {"type": "list", "elements": "str", "default": []},
        "remedy": {"type": "str", "default": "Open it in a browser and look at its console."},
    },
}


@dataclass(frozen=True)
class Page:
    """A page that people open.

    Attributes:
        selector: CSS selector of what must be there to be seen.
        expected: statuses of 400 and more that requests for a path (a pattern, as in a shell) may have.
        console_allowed: patterns of texts in the console that are no errors.
    """

    name: str
    url: str
    selector: str
    title: str = "The page"
    expected: Sequence[Mapping[str, t.Any]] = ()
    console_allowed: Sequence[str] = ()
    remedy: str = ""


@dataclass(frozen=True)
class Seen:
    """What a browser saw.

    Attributes:
        error: why it did not open, in the browser's words; empty when an answer came and the page finished loading.
        status: of the page itself.
        form: V(visible), V(hidden) or V(absent).
        requests: how many were made.
        failed: ``{url, status, error}`` of those that were refused, not found or not answered.
        console: ``{kind, text}`` of exceptions and errors.
        screenshot: name of the file beside the record.
    """

    error: str = ""
    status: int = 0
    title: str = ""
    seconds: float = 0.0
    form: str = "absent"
    requests: int = 0
    failed: Sequence[Mapping[str, t.Any]] = field(default_factory=list)
    console: Sequence[Mapping[str, t.Any]] = field(default_factory=list)
    screenshot: str = ""

    @property
    def opened(self) -> bool:
        return not self.error and 200 <= self.status < 400


def page_of(given: Mapping[str, t.Any]) -> Page:
    return Page(**{name: given[name] for name in Page.__dataclass_fields__ if name in given})


def seen_of(given: Mapping[str, t.Any]) -> Seen:
    return Seen(**{name: given[name] for name in Seen.__dataclass_fields__ if name in given})


def judge_opens(page: Page, seen: Seen) -> Outcome:
    if seen.error:
        return Outcome(FAIL, f"{page.url} does not open in a browser: {seen.error}", page.remedy)
    if not seen.opened:
        return Outcome(FAIL, f"{page.url} answered {seen.status} to a browser", page.remedy)
    shot = f", screenshot {seen.screenshot}" if seen.screenshot else ""
    return Outcome(PASS, f"{page.url}: {seen.status}, titled {seen.title!r}, loaded in {seen.seconds:g} s{shot}")


def judge_form(page: Page, seen: Seen) -> Outcome:
    if seen.form == "visible":
        return Outcome(PASS, f"{page.selector} is there and can be seen")
    said = "is there and cannot be seen" if seen.form == "hidden" else "is not there"
    shot = f" (screenshot {seen.screenshot})" if seen.screenshot else ""
    return Outcome(FAIL, f"{page.selector} {said} on {page.url}{shot}", page.remedy)


def judge_requests(page: Page, seen: Seen) -> Outcome:
    """Judge what the page asked for; another site that does not answer is that site's fault."""
    unexpected = [one for one in seen.failed if not _expected(page, one)]
    own = [one for one in unexpected if same_site(one["url"], page.url)]
    if own:
        said = f"{len(own)} of {seen.requests} requests failed: {_named([_told(one) for one in own])}"
        return Outcome(FAIL, said, page.remedy)
    if unexpected:
        sites = sorted({str(urllib.parse.urlsplit(one["url"]).hostname) for one in unexpected})
        said = f"other sites did not answer the page: {_named(sites)}"
        return Outcome(WARN, said, "Look whether the controller may reach them, and whether the page needs them.")
    known = f"; as expected {_named([_told(one) for one in seen.failed])}" if seen.failed else ""
    return Outcome(PASS, f"{seen.requests} requests, none failed{known}")


def _expected(page: Page, one: Mapping[str, t.Any]) -> bool:
    path = urllib.parse.urlsplit(one["url"]).path
    return any(fnmatch.fnmatchcase(path, e["path"]) and one["status"] in e["status"] for e in page.expected)


def _told(one: Mapping[str, t.Any]) -> str:
    path = urllib.parse.urlsplit(one["url"]).path
    return f"{path} answered {one['status']}" if one["status"] else f"{path} ({one['error']})"


def judge_console(page: Page, seen: Seen) -> Outcome:
    allowed = page.console_allowed
    errors = [one for one in seen.console if not any(fnmatch.fnmatchcase(one["text"], f"*{a}*") for a in allowed)]
    if errors:
        said = _named([f"{one['kind']}: {_shortened(one['text'])}" for one in errors])
        return Outcome(FAIL, f"{len(errors)} in the console of {page.url}: {said}", page.remedy)
    known = f"; {len(seen.console)} allowed" if seen.console else ""
    return Outcome(PASS, f"no exception and no error in the console{known}")


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _named(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return "; ".join(texts[:NAMED]) + more


JUDGES: dict[str, tuple[str, Callable[[Page, Seen], Outcome]]] = {
    "opens": ("opens in a browser", judge_opens),
    "form": ("shows its form", judge_form),
    "requests": ("gets all that it asks for", judge_requests),
    "console": ("runs without an error", judge_console),
}


def good(page: Page, seen: Seen) -> bool:
    """Whether nothing is wrong with it, so that it need not be opened again."""
    return seen.opened and all(judge(page, seen).status != FAIL for _title, judge in JUDGES.values())


def checks(page: Page, seen: Seen | None, why: str) -> list[Check]:
    """Return the checks of one page.

    Args:
        seen: None where no browser opened it.
        why: and the reason for that. Then nothing is claimed, and a person is asked.
    """
    if seen is None:
        skipped = [Outcome(SKIP, why)] * len(JUDGES)
        return [*_checks(page, skipped, 0.0), _by_a_person(page, why)]
    outcomes = [judge_opens(page, seen)]
    for _name, (_title, judge) in list(JUDGES.items())[1:]:
        missing = Outcome(UNKNOWN, f"the page did not open: see page.{page.name}.opens", "Mend that first.")
        outcomes.append(judge(page, seen) if seen.opened else missing)
    return _checks(page, outcomes, seen.seconds)


def _checks(page: Page, outcomes: Sequence[Outcome], seconds: float) -> list[Check]:
    return [
        Check(
            f"page.{page.name}.{name}", f"{page.title} {title}", *outcome, seconds=seconds if name == "opens" else 0.0
        )
        for (name, (title, _judge)), outcome in zip(JUDGES.items(), outcomes)
    ]


def _by_a_person(page: Page, why: str) -> Check:
    return Check(
        f"page.{page.name}.person",
        f"{page.title} was looked at by a person",
        UNKNOWN,
        f"no browser opened {page.url}: {why}",
        f"Install Chromium on the controller, or open {page.url} yourself and look at its console.",
        f"Does {page.url} open, with {page.selector} to be seen, nothing missing and no error in the console?",
    )
