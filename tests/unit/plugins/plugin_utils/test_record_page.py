# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record as a page and as JUnit XML: all of it is there, in its order, and what a log said stays text."""

from __future__ import annotations

import html.parser
import json
import typing as t
from pathlib import Path

import jsonschema
import junitparser
import pytest
from ansible_collections.prosaas.ops.plugins.plugin_utils import _record_junit, _record_page

from .records import CHECKLIST, HOSTILE, SCHEMA, check, record


class Page(html.parser.HTMLParser):
    """The tags, the ids and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def ids(self, tag: str) -> list[str | None]:
        return [attributes["id"] for name, attributes in self.tags if name == tag and "id" in attributes]


def test_the_record_fits_its_published_schema(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    made = record(tmp_path)
    jsonschema.validate(made, SCHEMA)
    for name in ("schema", "run", "outcome"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in made.items() if key != name}, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({key: value for key, value in made.items() if key != "boxes"}, SCHEMA)


def test_every_box_is_on_the_page_in_the_order_of_the_checklist(tmp_path: Path) -> None:
    page = Page(_record_page.render(record(tmp_path)))
    assert page.ids("details") == [box["id"] for box in CHECKLIST]
    assert len(CHECKLIST) == 161
    for box in CHECKLIST:
        assert box["meaning"] in page.text


def test_outcome_and_failures_come_first(tmp_path: Path) -> None:
    text = Page(_record_page.render(record(tmp_path))).text
    places = [text.index(word) for word in ("Failed", "161 boxes", "What failed", "The title of logs.api.errors")]
    places += [text.index(word) for word in ("To look at", "Timeline", "What people stand for", "The checklist", "Beyond the")]
    assert places == sorted(places)
    failed = text[text.index("What failed") : text.index("To look at")]
    assert "Next: Look at it" in failed and "dns.caa" in failed
    assert "webhook.forwarded" not in failed, "what was waived did not fail it"


def test_what_a_log_said_stays_text(tmp_path: Path) -> None:
    page = Page(_record_page.render(record(tmp_path)))
    assert not [tag for tag, attributes in page.tags if tag in ("script", "img", "b") and attributes]
    assert "script" not in {tag for tag, unused in page.tags}
    assert HOSTILE.splitlines()[0] in page.text and "<img src=x onerror=alert(1)>" in page.text
    assert not [name for unused, attributes in page.tags for name in attributes if name.startswith("on")]


def test_nothing_is_asked_of_a_network(tmp_path: Path) -> None:
    page = Page(_record_page.render(record(tmp_path)))
    assert not [value for unused, attributes in page.tags for name, value in attributes.items() if name in ("src", "srcset")]
    assert {attributes["href"] for unused, attributes in page.tags if "href" in attributes} == {"#checklist"}
    assert "url(" not in _record_page.render(record(tmp_path / "other"))


@pytest.mark.parametrize("outcome", SCHEMA["properties"]["outcome"]["enum"])
def test_every_outcome_has_its_words(tmp_path: Path, outcome: str) -> None:
    label, tone = _record_page.OUTCOMES[outcome]
    assert (tone == "bad") == (outcome in _record_junit.BAD_ENDS)
    assert f"<h1>{label}</h1>" in _record_page.render(record(tmp_path, outcome))


def unreachable() -> dict[str, t.Any]:
    text = {"playbook": "deploy", "operator": "dana", "project": "app", "controller": "laptop", "host": "web1"}
    begun = {"schema": 2, "run": "20261128T000000Z-deploy-unreachable", "asked": {}, "started": "2026-11-28T00:00:00Z"}
    return {**begun, **text, "outcome": "failed", "msg": "web1 cannot be reached"}


def test_a_host_that_could_not_be_reached_has_a_short_page() -> None:
    jsonschema.validate(unreachable(), SCHEMA)
    page = Page(_record_page.render(unreachable()))
    assert "web1 cannot be reached" in page.text and "The checklist" not in page.ids("h2")
    assert junitparser.JUnitXml.fromstring(_record_junit.render(unreachable()).encode()).failures == 1


def cases(made: dict[str, t.Any]) -> dict[str, list[str]]:
    parsed = junitparser.JUnitXml.fromstring(_record_junit.render(made).encode())
    return {case.name: [type(found).__name__ for found in case.result] for suite in parsed for case in suite}


def test_junit_says_of_each_check_what_the_verdict_says(tmp_path: Path) -> None:
    assert cases(record(tmp_path)) == {
        "env.secret_key": [],
        "logs.api.errors": ["Failure"],
        "dns.caa": ["Error"],
        "call.answer_makes_sense": ["Skipped"],
        "webhook.forwarded": ["Skipped"],
        "release.rehearsed": [],
        "endpoint.extra": ["Skipped"],
        "pages.login": ["Skipped"],
        "outcome": ["Failure"],
    }


def test_junit_counts_are_right_and_a_good_run_is_green(tmp_path: Path) -> None:
    bad = junitparser.JUnitXml.fromstring(_record_junit.render(record(tmp_path / "bad")).encode())
    assert (bad.tests, bad.failures, bad.errors) == (9, 2, 1)
    good = record(tmp_path / "good", "verified", check("env.secret_key", "pass", [15]))
    assert cases(good) == {"env.secret_key": [], "outcome": []}


def test_a_page_of_a_record_read_back_from_its_file_is_the_same(tmp_path: Path) -> None:
    made = record(tmp_path)
    read = json.loads(next((tmp_path / "records").glob("*.json")).read_text(encoding="utf-8"))
    assert _record_page.render(read) == _record_page.render(made)
