# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page names, and whether the answers to it will do."""

from __future__ import annotations

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _assets
from ansible_collections.prosaas.ops.plugins.module_utils._assets import Asset, look, named, objection
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS
from ansible_collections.prosaas.ops.plugins.module_utils._errors import Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer

URL = "https://app.test/"
# As the application's own page: a base, an icon, a manifest, a font of another site, a module.
PAGE = """<!doctype html><html><head><base href="/">
<link rel="manifest" href="/manifest.json"><link rel="apple-touch-icon" href="/icons/icon.svg">
<link rel="icon" type="image/svg+xml" href="/icons/icon.svg"><link rel="preconnect" href="https://fonts.test">
<link href="https://fonts.test/css2?family=Heebo&amp;display=swap" rel="stylesheet">
<script type="module" crossorigin src="assets/index-4f2a.js"></script><script>let inline = 1</script>
<link rel="modulepreload" href="/assets/vendor.js"><LINK REL="StyleSheet" HREF="/assets/index.css#top">
<link rel="preload" as="font" href="/assets/a.woff2"><img src="data:image/gif;base64,R0"><img src=" /logo.png ">
</head><body></body></html>"""


def answer(kind: str, status: int = 200, body: bytes = b"x") -> Answer:
    return Answer(status, {"content-type": kind}, body)


def test_what_a_page_names() -> None:
    assets, foreign = named(PAGE, URL)
    assert [(asset.path, asset.kind) for asset in assets] == [
        ("/manifest.json", "file"),
        ("/icons/icon.svg", "image"),
        ("/assets/index-4f2a.js", "script"),
        ("/assets/vendor.js", "script"),
        ("/assets/index.css", "style"),
        ("/assets/a.woff2", "file"),
        ("/logo.png", "image"),
    ]
    assert foreign == 1


@pytest.mark.parametrize(
    ("page", "url", "expected"),
    [
        ('<script src="a.js">', "https://app.test/deep/page", "https://app.test/deep/a.js"),
        ('<base href="/other/"><script src="a.js">', "https://app.test/deep/page", "https://app.test/other/a.js"),
        ('<script src="//APP.test/a.js">', URL, "https://APP.test/a.js"),
        ('<script src="/a.js?v=1&amp;w=2">', URL, "https://app.test/a.js?v=1&w=2"),
    ],
)
def test_where_it_is(page: str, url: str, expected: str) -> None:
    assert [asset.url for asset in named(page, url)[0]] == [expected]


@pytest.mark.parametrize("page", ["", "<script>1</script>", '<a href="/x">', '<link rel="canonical" href="/x">', "<script src>"])
def test_a_page_that_names_nothing(page: str) -> None:
    assert named(page, URL) == ([], 0)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("script", answer("text/javascript; charset=utf-8"), ""),
        ("script", answer("application/javascript"), ""),
        ("script", answer("text/plain"), "/a is text/plain instead of text/javascript"),
        ("script", answer(""), "/a is of no type instead of text/javascript"),
        ("script", answer("text/html"), "/a is a web page in place of a script: it is missing, and the index is served instead"),
        ("style", answer("text/css"), ""),
        ("style", answer("text/javascript"), "/a is text/javascript instead of text/css"),
        ("image", answer("application/octet-stream"), ""),
        ("file", answer("text/html"), "/a is a web page in place of a file: it is missing, and the index is served instead"),
        ("image", answer("image/png", 404), "/a answered 404"),
        ("style", answer("text/css", 301), "/a answered 301"),
        ("script", answer("text/javascript", body=b""), "/a is empty"),
    ],
)
def test_an_answer(kind: str, given: Answer, said: str) -> None:
    assert objection(Asset("https://app.test/a", kind), given) == said


def served(url: str) -> Answer:
    kinds = {".js": "text/javascript", "css": "text/css", "son": "application/json"}
    return answer(kinds.get(url[-3:], "image/png"))


def test_a_page_with_all_that_it_names() -> None:
    outcome = look(answer("text/html", body=PAGE.encode()), URL, served, "")
    assert outcome.status == PASS
    assert outcome.evidence == (
        "all 7 files that https://app.test/ names load (2 files, 2 images, 2 scripts, 1 style, 7 bytes);"
        " not asked for: 1 of other sites"
    )


def test_what_is_missing_is_named_and_no_answer_is_missing_too() -> None:
    def fetch(url: str) -> Answer:
        if url.endswith(".js"):
            return answer("text/html")
        if url.endswith(".css"):
            raise Unreachable("https://app.test/assets/index.css did not answer within 10 s.")
        return served(url)

    outcome = look(answer("text/html", body=PAGE.encode()), URL, fetch, "Look at it.")
    assert outcome.status == FAIL
    assert outcome.evidence.startswith("3 of 7 files that https://app.test/ names do not load: /assets/index-4f2a.js is")
    assert "index.css did not answer within 10 s" in outcome.evidence
    assert outcome.remedy.endswith("Look at it.")


def test_a_page_without_files_proves_nothing() -> None:
    assert look(answer("text/html", body=b"<p>Welcome to nginx!"), URL, served, "").status == FAIL


def test_too_many_are_told() -> None:
    page = "".join(f'<script src="/{number}.js"></script>' for number in range(_assets.MOST + 2)).encode()
    asked: list[str] = []

    def fetch(url: str) -> Answer:
        asked.append(url)
        return served(url)

    outcome = look(answer("text/html", body=page), URL, fetch, "")
    assert outcome.status == PASS and outcome.evidence.endswith("; not asked for: 2 more")
    assert len(asked) == _assets.MOST
