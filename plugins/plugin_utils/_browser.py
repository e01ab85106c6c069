# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens a page as a person would, and notes what they would see: the page, its form, failed requests, the console.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import ssl
import time
import typing as t
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

from ._devtools import BrowserError, Chromium, Late

CALM = 0.5  # seconds without a request, after which a page is taken to be complete
SETTLE = 5.0  # seconds after the page's load event that its scripts get to show the form
MOST = 20  # failed requests and lines of the console that are kept
LONGEST = 300  # characters of one
STARTED = 15.0  # seconds for the browser to begin
CONNECTED = 5.0

# What a browser notes of a request that failed is known from the request.
OF_REQUESTS = "network"
ABORTED = "net::ERR_ABORTED"  # the page itself changed its mind

_LOOK = """(() => {
  const one = document.querySelector(%s);
  if (!one) return "absent";
  const box = one.getBoundingClientRect();
  const seen = one.checkVisibility({opacityProperty: true, visibilityProperty: true});
  return seen && box.width > 0 && box.height > 0 ? "visible" : "hidden";
})()"""


def find(programs: Sequence[str]) -> str:
    """Return the path of the first of these programs that is here; empty when none is."""
    return next(filter(None, map(shutil.which, programs)), "")


def trusted_key(url: str, address: str, authority: str) -> str:
    """Return the hash of the key that a server proves to have, by a certificate that this authority vouches for.

    The browser knows no private authority. It is told this one key, which has been verified here for name, dates and
    chain; any other is refused as ever.

    Args:
        authority: CA certificates in PEM form, trusted besides the system's.
    """
    # Ansible's vault needs this package on every controller; a sanity test imports without it.
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    parts = urllib.parse.urlsplit(url)
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority)
    with socket.create_connection((address or parts.hostname, parts.port or 443), timeout=CONNECTED) as raw:
        with context.wrap_socket(raw, server_hostname=parts.hostname) as connection:
            shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    key = shown.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode("ascii")


def options_for(url: str, address: str, key: str) -> list[str]:
    """Return the browser's options: the address to go to under the page's name, and the one key to take."""
    options = []
    if address:
        at = f"[{address}]" if ":" in address else address
        options.append(f"--host-resolver-rules=MAP {urllib.parse.urlsplit(url).hostname} {at}")
    if key:
        options.append(f"--ignore-certificate-errors-spki-list={key}")
    return options


def open_page(
    program: str, page: Mapping[str, t.Any], authority: str, seconds: float, screenshot: Path | None
) -> dict[str, t.Any]:
    """Open one page and return what was seen, in the words of ``module_utils/_page.py``.

    Args:
        page: url, address and selector.
        authority: CA certificates in PEM form; empty to trust whom the browser trusts.
        seconds: within which it must have loaded.
        screenshot: file to write a picture of it into.
    """
    url, address = page["url"], page["address"]
    key = ""
    if authority and url.startswith("https:"):
        try:
            key = trusted_key(url, address, authority)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "no reason given"
            return {"error": f"its certificate is not valid: {reason}"}
        except OSError as error:
            return {"error": f"no connection ({error.strerror or error})"}
    started = time.monotonic()
    with Chromium(program, options_for(url, address, key), started + STARTED + seconds + SETTLE) as browser:
        session = _new_tab(browser)
        visit = Visit(browser, session, page, time.monotonic() + seconds)
        seen = visit.seen()
        if screenshot is not None and not seen.get("error"):
            seen["screenshot"] = _picture(browser, session, screenshot)
        return seen


def _new_tab(browser: Chromium) -> str:
    tab = browser.command("Target.createTarget", url="about:blank")["targetId"]
    session = browser.command("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        browser.command(f"{domain}.enable", session)
    return str(session)


def _picture(browser: Chromium, session: str, path: Path) -> str:
    data = browser.command("Page.captureScreenshot", session, format="png")["data"]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(data))
    return path.name


class Visit:
    """One page in one tab, from its address to its rest."""

    def __init__(self, browser: Chromium, session: str, page: Mapping[str, t.Any], deadline: float) -> None:
        self._browser, self._session, self._page, self._deadline = browser, session, page, deadline
        self._read = 0
        self._open: dict[str, str] = {}  # URL by the id of a request without an end
        self._statuses: dict[str, int] = {}
        self._failed: dict[str, dict[str, t.Any]] = {}
        self._console: list[dict[str, str]] = []
        self._requests = self._status = 0
        self._loader = ""
        self._loaded = False
        self._changed = time.monotonic()

    def seen(self) -> dict[str, t.Any]:
        start = time.monotonic()
        try:
            went = self._browser.command("Page.navigate", self._session, self._deadline, url=self._page["url"])
            if went.get("errorText"):
                return {"error": went["errorText"]}
            self._loader = went.get("loaderId", "")
            error = self._load()
        except Late:
            error = "it did not answer in time"
        took = round(time.monotonic() - start, 2)
        if error:
            return {"error": error, "status": self._status}
        form = self._settle() if self._status < 400 else "absent"
        return {
            **{"status": self._status, "title": self._evaluate("document.title")[:LONGEST], "seconds": took},
            **{"form": form, "requests": self._requests, "failed": list(self._failed.values())[:MOST]},
            "console": self._console[:MOST],
        }

    def _load(self) -> str:
        """Wait for the load event; return what is missing when it does not come."""
        while not self._loaded:
            left = self._deadline - time.monotonic()
            if left <= 0:
                waiting = ", ".join(sorted(map(_short, self._open.values()))[:3])
                return "it did not finish loading in time" + (f", it waits for {waiting}" if waiting else "")
            self._browser.wait(left)
            self._take_in()
        return ""

    def _settle(self) -> str:
        """Wait until the form is there and nothing is under way any more, but not for ever."""
        until = time.monotonic() + SETTLE
        while True:
            form = str(self._evaluate(_LOOK % json.dumps(self._page["selector"])) or "absent")
            calm = not self._open and time.monotonic() - self._changed > CALM
            if (form == "visible" and calm) or time.monotonic() > until:
                return form
            self._browser.wait(0.1)
            self._take_in()

    def _evaluate(self, expression: str) -> t.Any:
        found = self._browser.command("Runtime.evaluate", self._session, expression=expression, returnByValue=True)
        self._take_in()
        return found.get("result", {}).get("value", "")

    def _take_in(self) -> None:
        new, self._read = self._browser.events[self._read :], len(self._browser.events)
        for event in new:
            handle = _HANDLERS.get(event["method"])
            if handle and event.get("sessionId") == self._session:
                handle(self, event["params"])

    def _on_load(self, _params: Mapping[str, t.Any]) -> None:
        self._loaded = True

    def _on_request(self, params: Mapping[str, t.Any]) -> None:
        if not params["request"]["url"].startswith(("http:", "https:")):
            return
        self._requests += "redirectResponse" not in params
        self._open[params["requestId"]] = params["request"]["url"]
        self._changed = time.monotonic()

    def _on_response(self, params: Mapping[str, t.Any]) -> None:
        response = params["response"]
        if params.get("type") == "Document" and params.get("loaderId") == self._loader and not self._status:
            self._status = response["status"]
        elif response["status"] >= 400:
            self._fail(params["requestId"], response["url"], response["status"], "")

    def _on_end(self, params: Mapping[str, t.Any]) -> None:
        self._open.pop(params["requestId"], None)
        self._changed = time.monotonic()

    def _on_failure(self, params: Mapping[str, t.Any]) -> None:
        request = params["requestId"]
        url, status = self._open.get(request, ""), self._statuses.get(request, 0)
        self._on_end(params)
        if url and status >= 400:
            self._fail(request, url, status, "")
        elif url and not params.get("canceled") and params["errorText"] != ABORTED:
            self._fail(request, url, 0, params.get("blockedReason") or params["errorText"])

    def _on_status(self, params: Mapping[str, t.Any]) -> None:
        """Note what was answered: of a style or script that is refused for its type nothing else is told."""
        self._statuses[params["requestId"]] = params["statusCode"]

    def _fail(self, request: str, url: str, status: int, error: str) -> None:
        self._failed.setdefault(request, {"url": _without_query(url)[:LONGEST], "status": status, "error": error})

    def _on_exception(self, params: Mapping[str, t.Any]) -> None:
        details = params["exceptionDetails"]
        thrown = details.get("exception", {})
        text = thrown.get("description") or str(thrown.get("value", "")) or details.get("text", "")
        self._note("exception", text)

    def _on_console(self, params: Mapping[str, t.Any]) -> None:
        if params["type"] in ("error", "assert"):
            said = (str(one.get("value", one.get("description", ""))) for one in params["args"])
            self._note("error", " ".join(said))

    def _on_log(self, params: Mapping[str, t.Any]) -> None:
        entry = params["entry"]
        if entry["level"] == "error" and entry["source"] != OF_REQUESTS:
            self._note(entry["source"], entry["text"])

    def _note(self, kind: str, text: str) -> None:
        first = (text.strip().splitlines() or ["without a text"])[0]
        self._console.append({"kind": kind, "text": first[:LONGEST]})


def _without_query(url: str) -> str:
    """Return what may be written down: a query may hold a token."""
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(url)._replace(query="", fragment=""))


def _short(url: str) -> str:
    return urllib.parse.urlsplit(url).path[:80]


_HANDLERS: dict[str, t.Callable[[Visit, Mapping[str, t.Any]], None]] = {
    "Page.loadEventFired": Visit._on_load,
    "Network.requestWillBeSent": Visit._on_request,
    "Network.responseReceived": Visit._on_response,
    "Network.responseReceivedExtraInfo": Visit._on_status,
    "Network.loadingFinished": Visit._on_end,
    "Network.loadingFailed": Visit._on_failure,
    "Runtime.exceptionThrown": Visit._on_exception,
    "Runtime.consoleAPICalled": Visit._on_console,
    "Log.entryAdded": Visit._on_log,
}

__all__ = ["BrowserError", "find", "open_page"]
