# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a record in a real browser: from disk, by keyboard, on a phone, light and dark, with hostile log lines."""

from __future__ import annotations

import json
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _boxes, _journal, _run
from ansible_collections.prosaas.ops.plugins.module_utils._page import PROGRAMS
from ansible_collections.prosaas.ops.plugins.plugin_utils import _browser, _record_page
from ansible_collections.prosaas.ops.plugins.plugin_utils._devtools import Chromium

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
FIRST = "pre.env.security.production"
FAILED = "pre.env.security.secret_key"
CONTRAST = 4.5  # what WCAG 2 AA asks of text
# The contrast of every badge, of what is soft and of the heading, by the colours that the browser really uses.
CONTRASTS = """(() => {
  const light = color => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map(Number).map(one => one / 255)
      .map(one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = one => {
    for (; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (!color.startsWith("rgba(0, 0, 0, 0")) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return Math.min(...[...document.querySelectorAll(".badge, .soft, small, h1, h3, .said, dt")].map(one => {
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
})()"""


class Tab:
    """One tab, asked in JavaScript and moved by keys."""

    def __init__(self, browser: Chromium) -> None:
        self._browser = browser
        self._session = _browser._new_tab(browser)

    def ask(self, expression: str) -> t.Any:
        found = self._browser.command("Runtime.evaluate", self._session, expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def do(self, method: str, **params: t.Any) -> dict[str, t.Any]:
        return self._browser.command(method, self._session, **params)

    def open(self, path: Path) -> None:
        self.do("Page.navigate", url=path.as_uri())
        until = time.monotonic() + 10
        while self.ask("document.readyState") != "complete" and time.monotonic() < until:
            self._browser.wait(0.1)

    def press(self, key: str, code: int, text: str = "") -> None:
        one = {"key": key, "code": key if len(key) > 1 else "Space", "windowsVirtualKeyCode": code}
        self.do("Input.dispatchKeyEvent", type="keyDown", text=text, **one)
        self.do("Input.dispatchKeyEvent", type="keyUp", **one)

    def events(self, name: str) -> list[dict[str, t.Any]]:
        return [event["params"] for event in self._browser.events if event["method"] == name]


@pytest.fixture(name="tab")
def _tab() -> Iterator[Tab]:
    program = _browser.find(PROGRAMS)
    assert program, "tests/run installs a browser"
    with Chromium(program, [], time.monotonic() + 60) as browser:
        yield Tab(browser)


@pytest.fixture(name="page", scope="module")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("state")
    asked = {"playbook": "deploy", "operator": HOSTILE, "project": "app", "asked": {"commit": HOSTILE}}
    controller = {"host": "laptop", "boot_id": "b", "pid": 1, "process_started": 2}
    run = _run.begin(state, {**asked, "controller": controller}, True, "", check_mode=False)["run"]
    fixed = {"title": "A title", "remedy": HOSTILE, "question": "", "seconds": 0.1, "required": True, "waiver": None}
    rows = [
        {**fixed, "id": "env.production", "status": "pass", "evidence": "line 7", "item": [14], "attestation": None},
        {**fixed, "id": "env.secret_key", "status": "fail", "evidence": f"{HOSTILE}\n{'long' * 200}", "item": [15], "attestation": None},
    ]
    _journal.append(state, run, {"step": "x", "item": [], "status": "failed", "msg": HOSTILE, "seconds": 1.0, "checks": rows})
    checklist = yaml.safe_load((ROOT / "roles/prosaas/files/checklist.yml").read_text(encoding="utf-8"))["boxes"]
    unused, written = _run.end(state, run, "failed", HOSTILE, 30, _boxes.Asked(checklist))
    path = state / "record.html"
    path.write_text(_record_page.render(json.loads(written.read_text(encoding="utf-8"))), encoding="utf-8")
    return path


def test_it_opens_from_disk_asks_nothing_else_and_runs_nothing(tab: Tab, page: Path) -> None:
    tab.open(page)
    assert tab.ask("document.title") == "app on " + tab.ask("document.title").partition(" on ")[2]
    assert "owned" not in tab.ask("document.title")
    assert [event["request"]["url"] for event in tab.events("Network.requestWillBeSent")] == [page.as_uri()]
    assert not tab.events("Runtime.exceptionThrown") and not tab.events("Log.entryAdded")
    assert not tab.events("Runtime.consoleAPICalled")
    assert tab.ask("document.querySelectorAll('script, img').length") == 0
    assert HOSTILE in tab.ask("document.body.textContent")


def test_evidence_opens_by_keyboard(tab: Tab, page: Path) -> None:
    tab.open(page)
    inside = f"document.getElementById('{FIRST}')"
    for _unused in range(6):  # the link to the checklist, the filter, the first box
        tab.press("Tab", 9)
        if tab.ask(f"document.activeElement === {inside}.querySelector('summary')"):
            break
    assert tab.ask("document.activeElement.parentElement.id") == FIRST
    assert not tab.ask(f"{inside}.open")
    tab.press("Enter", 13, "\r")
    assert tab.ask(f"{inside}.open")
    assert tab.ask(f"{inside}.querySelector('.evidence').checkVisibility()")
    node = tab.do("Runtime.evaluate", expression=f"{inside}.querySelector('summary')")["result"]["objectId"]
    (seen, *_rest) = tab.do("Accessibility.getPartialAXTree", objectId=node, fetchRelatives=False)["nodes"]
    assert "pass" in seen["name"]["value"] and "production" in seen["name"]["value"], "a screen reader says status and box"
    assert {one["name"]: one["value"]["value"] for one in seen["properties"]}["expanded"] is True


def test_what_is_settled_can_be_put_aside(tab: Tab, page: Path) -> None:
    tab.open(page)
    shown = "[...document.querySelectorAll('details')].filter(one => one.checkVisibility()).map(one => one.id)"
    assert len(tab.ask(shown)) == 161
    tab.ask("document.getElementById('only').focus()")
    tab.press(" ", 32, " ")
    left = tab.ask(shown)
    assert FIRST not in left and FAILED in left and len(left) == 160


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_is_readable_on_a_phone_and_a_desktop_light_and_dark(tab: Tab, page: Path, width: int, scheme: str) -> None:
    tab.do("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 800)
    tab.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.open(page)
    tab.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert tab.ask("document.documentElement.scrollWidth") <= width
    ground = tab.ask("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert tab.ask(CONTRASTS) >= CONTRAST


def test_printed_it_shows_the_evidence_that_is_folded(tab: Tab, page: Path) -> None:
    tab.open(page)
    tab.do("Emulation.setEmulatedMedia", media="print")
    assert tab.ask(f"document.querySelector('#{FAILED}'.replaceAll('.', '\\\\.') + ' .inside').checkVisibility()")
