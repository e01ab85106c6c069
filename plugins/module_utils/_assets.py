# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a web page names to be loaded with it, and whether all of it is there.

A frontend that serves its index for every path answers 200 for a missing script, too: the type tells.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

from ._check import FAIL, PASS, Outcome
from ._errors import OpsError
from ._http import Answer

MOST = 60  # files of one page; what is beyond is counted and not asked for
LARGEST = 32 << 20  # bytes of one file
AT_ONCE = 8
NAMED = 5  # faults that evidence names

SCRIPT, STYLE, IMAGE, OTHER = "script", "style", "image", "file"
# A browser runs no script and applies no style of another type.
FITTING: dict[str, tuple[str, ...]] = {
    SCRIPT: (
        *("text/javascript", "application/javascript", "application/x-javascript"),
        *("text/ecmascript", "application/ecmascript"),
    ),
    STYLE: ("text/css",),
}
_BY_RELATION = {
    "stylesheet": STYLE,
    "modulepreload": SCRIPT,
    "icon": IMAGE,
    "apple-touch-icon": IMAGE,
    "manifest": OTHER,
}
_BY_PURPOSE = {"script": SCRIPT, "style": STYLE, "image": IMAGE}  # of a preload


class Asset(t.NamedTuple):
    """One file that a page names."""

    url: str
    kind: str

    @property
    def path(self) -> str:
        return urllib.parse.urlsplit(self.url).path


class _Names(HTMLParser):
    """Collects what a browser would fetch for a page, as it is written."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.base = ""
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "base":
            self.base = self.base or given.get("href", "")
        elif tag == "script":
            self._add(given.get("src", ""), SCRIPT)
        elif tag == "img":
            self._add(given.get("src", ""), IMAGE)
        elif tag == "link":
            self._add(given.get("href", ""), _kind_of_link(given))

    def _add(self, url: str, kind: str) -> None:
        if url.strip() and kind:
            self.found.append((url.strip(), kind))


def _kind_of_link(given: Mapping[str, str]) -> str:
    relations = given.get("rel", "").lower().split()
    if "preload" in relations:
        return _BY_PURPOSE.get(given.get("as", "").lower(), OTHER)
    return next((_BY_RELATION[one] for one in relations if one in _BY_RELATION), "")


def named(page: str, url: str) -> tuple[list[Asset], int]:
    """Return the files of the same site that a page names, each once, and how many it names of other sites."""
    names = _Names()
    names.feed(page)
    base = urllib.parse.urljoin(url, names.base)
    own: dict[str, Asset] = {}
    foreign = set()
    for written, kind in names.found:
        absolute = urllib.parse.urldefrag(urllib.parse.urljoin(base, written)).url
        parts = urllib.parse.urlsplit(absolute)
        if parts.scheme not in ("http", "https"):
            continue
        if same_site(absolute, url):
            own.setdefault(absolute, Asset(absolute, kind))
        else:
            foreign.add(absolute)
    return list(own.values()), len(foreign)


def same_site(one: str, other: str) -> bool:
    return urllib.parse.urlsplit(one).hostname == urllib.parse.urlsplit(other).hostname


def objection(asset: Asset, answer: Answer) -> str:
    """Return what speaks against the answer to one file; empty when it will do."""
    kind = answer.content_type
    if answer.status != 200:
        return f"{asset.path} answered {answer.status}"
    if kind == "text/html":
        return f"{asset.path} is a web page in place of a {asset.kind}: it is missing, and the index is served instead"
    if asset.kind in FITTING and kind not in FITTING[asset.kind]:
        return f"{asset.path} is {kind or 'of no type'} instead of {FITTING[asset.kind][0]}"
    return "" if answer.body else f"{asset.path} is empty"


def look(page: Answer, url: str, fetch: Callable[[str], Answer], remedy: str) -> Outcome:
    """Fetch all that a page names, side by side, and judge it."""
    assets, foreign = named(page.text, url)
    if not assets:
        return Outcome(FAIL, f"{url} names no file of its own: it is not the page of an application", remedy)
    asked = assets[:MOST]
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        found = list(pool.map(lambda asset: _ask(asset, fetch), asked))
    faults = [fault for fault, _size in found if fault]
    if faults:
        more = f", and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        said = f"{len(faults)} of {len(asked)} files that {url} names do not load: {', '.join(faults[:NAMED])}{more}"
        return Outcome(FAIL, said, f"Page and files are not of one build: build and deploy it again. {remedy}")
    kinds = Counter(asset.kind for asset in asked)
    told = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in kinds.items())
    beyond = f"; not asked for: {len(assets) - MOST} more" if len(assets) > MOST else ""
    elsewhere = f"; not asked for: {foreign} of other sites" if foreign else ""
    size = sum(size for _fault, size in found)
    return Outcome(PASS, f"all {len(asked)} files that {url} names load ({told}, {size:,} bytes){beyond}{elsewhere}")


def _ask(asset: Asset, fetch: Callable[[str], Answer]) -> tuple[str, int]:
    try:
        answer = fetch(asset.url)
    except OpsError as error:
        return error.problem.rstrip("."), 0
    return objection(asset, answer), len(answer.body)
