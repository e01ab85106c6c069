# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the pages in a browser of the controller, and hands what was seen to the module, which judges it."""

from __future__ import annotations

import ipaddress
import shlex
import time
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _page
from ansible_collections.prosaas.ops.plugins.plugin_utils import _browser
from ansible_collections.prosaas.ops.plugins.plugin_utils._follow import FollowedAction, machine_reads

NEEDED = {"name", "url", "selector"}
FIRST_PAUSE, LAST_PAUSE = 1.0, 5.0


class ActionModule(FollowedAction):
    """Runs the module of the same name with what a browser saw, and follows its progress."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        pages = self._task.args.get("pages")
        if _are_pages(pages):  # of what is not, the module says so
            started = time.monotonic()
            deadline = float(self._task.args.get("deadline") or 0)
            seen = self._visit(pages, (task_vars or {}).get("inventory_hostname", "host"), started + deadline)
            left = max(0.0, deadline - (time.monotonic() - started))
            self._task.args = {**self._task.args, "seen": seen, "deadline": left}
        return super().run(tmp, task_vars)

    def _visit(self, pages: Sequence[Mapping[str, t.Any]], host: str, deadline: float) -> dict[str, t.Any]:
        """Return what was seen of each page, or why nobody looked."""
        browser = self._task.args.get("browser") or {}
        programs = browser.get("programs") or _page.PROGRAMS
        program = _browser.find(programs)
        if not program:
            return {"why": f"none of {', '.join(programs)} is on the controller"}
        try:
            return {"pages": {page["name"]: self._until_good(program, page, host, deadline) for page in pages}}
        except _Elsewhere as error:
            return {"why": str(error)}
        except Exception as error:  # whatever it is, it says nothing of the page
            known = isinstance(error, _browser.BrowserError)
            return {"why": f"the browser of the controller does not work: {error if known else type(error).__name__}"}

    def _until_good(self, program: str, page: Mapping[str, t.Any], host: str, deadline: float) -> dict[str, t.Any]:
        """Open it again, with growing pauses, until nothing is wrong with it or the time is up: services warm up."""
        given = {"address": "", **page}
        if self._connection.transport != "local" and _is_loopback(given["address"]):
            raise _Elsewhere(f"{given['address']} is the host's own address, which the controller cannot reach")
        authority, pause = self._authority(), FIRST_PAUSE
        seconds = float((self._task.args.get("browser") or {}).get("seconds") or _page.SECONDS)
        judged = _page.page_of(given)
        while True:
            seen = _browser.open_page(program, given, authority, seconds, self._screenshot(given["name"], host))
            left = deadline - time.monotonic()
            if left <= 0 or _page.good(judged, _page.seen_of(seen)):
                return seen
            if not machine_reads():
                self._display.display(f"{host}: {given['url']} is not well in a browser yet")
            time.sleep(min(pause, left))
            pause = min(pause * 2, LAST_PAUSE)

    def _authority(self) -> str:
        """Return the private authority's certificates, which are on the host."""
        path = self._task.args.get("ca_path")
        if not path:
            return ""
        return str(self._low_level_execute_command(f"cat {shlex.quote(str(path))}")["stdout"])

    def _screenshot(self, page: str, host: str) -> Path | None:
        """Return the file for a picture, beside the run's record; none where no record is written."""
        run, records = self._task.args.get("run"), self._task.args.get("records_dir")
        if not run or not records or self._task.check_mode:
            return None
        return Path(records) / host / f"{run}-page-{page}.png"


def _are_pages(given: object) -> t.TypeGuard[list[dict[str, t.Any]]]:
    return (
        isinstance(given, list) and bool(given) and all(isinstance(one, dict) and NEEDED <= one.keys() for one in given)
    )


class _Elsewhere(Exception):
    """The controller has no way to where the page is."""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
