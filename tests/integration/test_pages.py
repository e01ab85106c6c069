# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""endpoint_check on a site of its own: what pages name, the certificate, and the page in a real browser."""

from __future__ import annotations

import json
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.plugin_utils import _browser
from site_of_pages import FILES, HTML, NAME, PAGE, SCRIPT, Site, none_left, site
from tiny import ansible, check, module, status

ALL = ("opens", "form", "requests", "console")
GREEN = {f"page.login.{name}": "pass" for name in ALL}


@pytest.fixture(name="told")
def _told(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as told:
        yield told


def endpoint(told: Site, **more: t.Any) -> dict[str, t.Any]:
    return {"id": "endpoint.page", "title": "The page", "url": told.url, "any_of": [{"content_type": HTML}], **more}


def asked(told: Site, tmp_path: Path, **more: t.Any) -> dict[str, t.Any]:
    known = {"address": "127.0.0.1", "ca_path": told.ca, "state_dir": str(tmp_path / "state")}
    return module("endpoint_check", endpoints=[endpoint(told, assets=True, certificate_days=14)], **{**known, **more})


def page(told: Site) -> dict[str, t.Any]:
    me = {"path": "/api/me", "status": [401]}
    return {"name": "login", "url": told.url, "address": "127.0.0.1", "selector": "#word", "expected": [me]}


def opened(told: Site, tmp_path: Path, **more: t.Any) -> dict[str, t.Any]:
    """Open the page as a playbook does: the action plugin, the browser, the module."""
    known = {"ca_path": told.ca, "state_dir": str(tmp_path / "state"), "run": "a-run", "records_dir": str(tmp_path / "records")}
    return ansible("endpoint_check", endpoints=[], pages=[page(told)], **{**known, **more})


def visit(told: Site, seconds: float = 10, authority: str | None = None) -> dict[str, t.Any]:
    """Open the page by the browser alone."""
    pem = Path(told.ca).read_text(encoding="ascii") if authority is None else authority
    return _browser.open_page(_browser.find(["chromium-headless-shell", "chromium"]), page(told), pem, seconds, None)


def test_a_good_page_names_files_that_load_and_has_a_certificate_that_lasts(told: Site, tmp_path: Path) -> None:
    result = asked(told, tmp_path)
    names = ("endpoint.page", "endpoint.page.assets", "endpoint.page.certificate")
    assert status(result) == dict.fromkeys(names, "pass")
    assert "all 2 files" in check(result, names[1])["evidence"] and "90 of 90 days" in check(result, names[2])["evidence"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "/app.js answered 404"),
        ((200, HTML, PAGE), "/app.js is a web page in place of a script"),
        ((200, "text/plain", "1"), "/app.js is text/plain instead of text/javascript"),
    ],
)
def test_a_file_that_is_missing_is_named(told: Site, tmp_path: Path, answer: t.Any, said: str) -> None:
    told.files["/app.js"] = answer or (404, HTML, "")
    result = asked(told, tmp_path)
    assert status(result)["endpoint.page"] == "pass"
    assert status(result)["endpoint.page.assets"] == "fail"
    assert said in check(result, "endpoint.page.assets")["evidence"]


def test_files_that_arrive_within_the_deadline_and_large_ones_are_fine(told: Site, tmp_path: Path) -> None:
    told.files["/app.js"] = (404, HTML, "")
    told.turns = (4, {"/app.js": (200, SCRIPT, "1;" * (1 << 20))})
    result = asked(told, tmp_path, deadline=10)
    assert status(result)["endpoint.page.assets"] == "pass"
    assert "(try 2)" in check(result, "endpoint.page.assets")["evidence"]


def test_what_does_not_answer_is_red_once_and_unknown_for_what_rests_on_it(told: Site, tmp_path: Path) -> None:
    told.files["/"] = (502, HTML, "")
    seen = status(asked(told, tmp_path))
    assert seen == {"endpoint.page": "fail", "endpoint.page.assets": "unknown", "endpoint.page.certificate": "pass"}


def test_a_certificate_that_nobody_trusts_is_red_and_one_that_ends_soon_is_told(tmp_path: Path) -> None:
    with site(tmp_path, days=5) as told:
        assert status(asked(told, tmp_path))["endpoint.page.certificate"] == "warn"
        result = asked(told, tmp_path, ca_path=None)
    assert status(result)["endpoint.page.certificate"] == "fail"
    assert "is not valid" in check(result, "endpoint.page.certificate")["evidence"]


def test_nothing_listens(told: Site, tmp_path: Path) -> None:
    gone = Site(port=1, ca=told.ca)
    seen = status(asked(gone, tmp_path))
    assert seen == {"endpoint.page": "fail", "endpoint.page.assets": "unknown", "endpoint.page.certificate": "unknown"}


def test_a_good_page_is_opened_pictured_and_recorded(told: Site, tmp_path: Path) -> None:
    result = opened(told, tmp_path)
    assert status(result) == GREEN, result
    picture = tmp_path / "records/localhost/a-run-page-login.png"
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_mode & 0o777 == 0o600
    assert picture.name in check(result, "page.login.opens")["evidence"]
    assert "as expected /api/me answered 401" in check(result, "page.login.requests")["evidence"]
    journal = (tmp_path / "state/runs/a-run/journal.jsonl").read_text(encoding="utf-8")
    assert {one["id"] for one in json.loads(journal)["checks"]} == set(GREEN)
    assert none_left()


def test_a_page_that_is_well_within_the_deadline_is_green(told: Site, tmp_path: Path) -> None:
    told.files["/"] = (502, HTML, "Bad Gateway")
    told.turns = (2, dict(FILES))
    assert status(opened(told, tmp_path, deadline=20)) == GREEN
    assert told.visits == 2


def test_without_a_browser_a_person_is_asked(told: Site, tmp_path: Path) -> None:
    result = opened(told, tmp_path, browser={"programs": ["no-such-browser"]}, advisory=["page.*.person"])
    assert not result.get("failed")
    assert status(result) == {**dict.fromkeys(GREEN, "skip"), "page.login.person": "unknown"}
    assert check(result, "page.login.person")["question"]
    assert "none of no-such-browser is on the controller" in check(result, "page.login.opens")["evidence"]


def test_a_browser_that_does_not_start_says_nothing_of_the_page(told: Site, tmp_path: Path) -> None:
    result = opened(told, tmp_path, browser={"programs": ["false"]}, advisory=["page.*.person"])
    assert status(result)["page.login.opens"] == "skip"
    assert "the browser of the controller does not work" in check(result, "page.login.opens")["evidence"]
    assert none_left()


def test_what_is_wrong_with_a_page_is_seen(told: Site) -> None:
    told.files["/app.js"] = (200, SCRIPT, "fetch('/api/more?token=secret'); console.error('oh', 1); missing.thing()")
    told.files["/"] = (200, HTML, PAGE.replace("<form>", '<form style="visibility: hidden"><img src="/gone.png">'))
    told.files["/app.css"] = (404, HTML, "")
    told.files["/api/more"] = (500, HTML, "")
    seen = visit(told)
    assert (seen["status"], seen["title"], seen["form"]) == (200, "A site", "hidden")
    assert {(one["url"].rpartition("/")[2], one["status"]) for one in seen["failed"]} == {
        ("more", 500),
        ("gone.png", 404),
        ("app.css", 404),
    }
    said = {one["kind"]: one["text"] for one in seen["console"]}
    assert said.keys() == {"error", "exception", "security"}
    assert said["error"] == "oh 1" and "missing is not defined" in said["exception"] and "app.css" in said["security"]
    assert "secret" not in json.dumps(seen)


def test_a_form_that_a_script_makes_late_is_waited_for(told: Site) -> None:
    make = "setTimeout(() => { document.body.innerHTML = '<input id=\"word\">' }, 1000)"
    told.files["/"] = (200, HTML, PAGE.replace('<input id="word" type="password">', ""))
    told.files["/app.js"] = (200, SCRIPT, make)
    assert visit(told)["form"] == "visible"


def test_a_page_that_does_not_load_is_given_up_and_says_what_it_waits_for(told: Site) -> None:
    told.slow = "/app.css"
    start = time.monotonic()
    assert visit(told, seconds=2)["error"] == "it did not finish loading in time, it waits for /app.css"
    assert time.monotonic() - start < 12
    assert none_left()


def test_the_page_itself_does_not_answer(told: Site) -> None:
    told.slow = "/"
    start = time.monotonic()
    assert visit(told, seconds=2)["error"] == "it did not answer in time"
    assert time.monotonic() - start < 12


def test_a_key_is_taken_by_its_authority_alone(told: Site, tmp_path: Path) -> None:
    assert visit(told, authority="")["error"] == "net::ERR_CERT_AUTHORITY_INVALID"
    (tmp_path / "other").mkdir()
    with site(tmp_path / "other") as other:
        foreign = Path(other.ca).read_text(encoding="ascii")
        assert visit(told, authority=foreign)["error"].startswith("its certificate is not valid: ")


def test_the_name_must_be_the_certificates(told: Site) -> None:
    given = {**page(told), "url": told.url.replace(NAME, "other.test")}
    pem = Path(told.ca).read_text(encoding="ascii")
    seen = _browser.open_page("/bin/false", given, pem, 5, None)
    assert "Hostname mismatch" in seen["error"]


def test_nothing_listens_for_the_browser(told: Site) -> None:
    told.port = 1
    assert "no connection" in visit(told)["error"]
