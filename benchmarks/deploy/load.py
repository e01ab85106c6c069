# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steady load of the benchmark and of the end-to-end test: requests at a fixed rate, and phone calls that last.

``with Load(demo) as load:`` runs it in a thread of its own. Requests are sent when they are due, whether or not the
earlier ones were answered; none is ever repeated. ``python load.py SECONDS`` shows what it sees of a demo at rest.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
import time
import typing as t
from pathlib import Path

import calls
import report as reports
from report import Seen
from wire import Answer, Connection, Idle, Lost, Site

RATE = 50
PATIENCE = 20.0  # seconds for a whole answer
LATE_SECONDS = 0.25  # a request sent later than this after it was due is the fault of the load itself
CALLS = 5
LIFE_AFTER_SECONDS = 5.0  # how long calls last beyond the moment in which the new version holds
HOST = "prosaas.test"


class Route(t.NamedTuple):
    """One way through the proxy, and what a good answer is."""

    name: str
    method: str
    path: str
    status: int
    end: bytes
    form: dict[str, str] | None = None
    signed: bool = False


# Half of them go to the frontend and the API, half to the calls or with a body; the export is a second long.
ROUTES = (
    Route("page", "GET", "/", 200, b"</html>\n"),
    Route("asset", "GET", "/assets/app.js", 200, b""),
    Route("api health", "GET", "/api/health", 200, b"}"),
    Route("api login", "POST", "/api/auth/login", 401, b"}", form={"email": "nobody@prosaas.test", "password": "none"}),
    Route("api export", "GET", "/api/leads/export", 200, b"new\n"),
    Route("calls preview", "GET", "/webhook/incoming_call_preview", 200, b"</Response>"),
    Route("calls status", "POST", "/webhook/call_status", 204, b"", form={"CallStatus": "ringing"}, signed=True),
    Route("calls unsigned", "POST", "/webhook/incoming_call", 403, b"server.</p>\n", form={"CallSid": "CA0"}),
)


class Load:
    """The load, from ``with`` to its end; ``report()`` then has the numbers.

    version: the one that is about to serve; calls hang up some seconds after every route has come to it.
    """

    def __init__(self, demo: Path, version: str = "", rate: int = RATE, lasting: int = CALLS) -> None:
        self.version, self.rate, self.lasting = version, rate, lasting
        self.seen: list[Seen] = []
        self.calls: list[reports.Call] = []
        self.late = 0
        self.latest = 0.0
        self.marked = 0.0
        self.end = 0.0
        self.site = Site(HOST, str(demo / "ca/ca.crt"))
        self._line = calls.Line(self.site, demo / "prosaasil/.env")
        self._requests = [self._prepare(route) for route in ROUTES]
        self._idle: list[Connection] = []
        self._began = 0.0
        self._stop = threading.Event()
        self._talking = threading.Event()
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    # What the user of it calls, from another thread.

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE + 10)
        if self._broken:
            raise RuntimeError("the load broke down; its numbers mean nothing") from self._broken

    def steady(self, seconds: float = 3.0) -> Load:
        """Wait until everything answers and every call talks; say so when it does not."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            began = self.now()
            time.sleep(seconds)
            recent = [one for one in self.seen if one.sent >= began]
            if self._talking.is_set() and recent and not any(one.problem for one in recent):
                return self
        raise RuntimeError(f"the demo is not steady under the load: {reports.failures(self.seen)[-3:]}, {self.calls}")

    def mark(self) -> None:
        """What is measured begins now: numbers count from here."""
        self.marked = self.now()

    def served(self) -> float | None:
        """Return the seconds from the mark until every route served the version for good, or None."""
        moment = reports.served_from(list(self.seen), self.version, self.marked, self.now())
        return None if moment is None else moment - self.marked

    def wait_served(self, seconds: float) -> float | None:
        deadline = time.monotonic() + seconds
        while self.served() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        return self.served()

    def now(self) -> float:
        return time.monotonic() - self._began if self._began else 0.0

    def report(self) -> dict[str, t.Any]:
        """Return the numbers from the mark to the end."""
        seen = [one for one in self.seen if one.sent >= self.marked]
        end = self.end or self.now()
        moment = reports.served_from(seen, self.version, self.marked, end) if self.version else None
        return {
            "seconds": round(end - self.marked, 1),
            "requests": len(seen),
            "kept": sum(one.kept for one in seen),
            "failed": sum(bool(one.problem) for one in seen),
            "idle_closed": sum(one.idle for one in seen),
            "longest_gap": round(reports.longest_gap(self.seen, self.marked, end), 3),
            "slowest": reports.slowest(seen),
            "served_from": None if moment is None else round(moment - self.marked, 1),
            "late": self.late,
            "latest": round(self.latest, 3),
            "calls": reports.calls(self.calls),
            "routes": reports.by_route(self.seen, self.marked, end),
            "failures": reports.failures(seen),
        }

    # What runs in the thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told by __exit__, in the thread that asked
            self._broken = error

    async def _serve(self) -> None:
        self._began = time.monotonic()
        ended = asyncio.Event()
        callers = [asyncio.create_task(self._call(ended)) for _caller in range(self.lasting)]
        short = asyncio.create_task(self._short_calls()) if self.lasting else None
        watch = asyncio.create_task(self._watch(ended))
        pending = await self._send_all()
        self.end = self.now()
        ended.set()
        await asyncio.gather(watch, *callers, *([short] if short else []), *pending)
        for connection in self._idle:
            connection.close()

    async def _send_all(self) -> set[asyncio.Task[None]]:
        pending: set[asyncio.Task[None]] = set()
        begin = time.monotonic()
        for number in itertools.count():
            due = begin + number / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self._stop.is_set():
                return pending
            behind = time.monotonic() - due
            self.latest = max(self.latest, behind)
            self.late += behind > LATE_SECONDS
            # Every route is asked both ways in turn.
            task = asyncio.create_task(self._ask(number % len(ROUTES), (number + number // len(ROUTES)) % 2 == 0))
            pending.add(task)
            task.add_done_callback(pending.discard)
        raise AssertionError("the numbers never end")

    def _prepare(self, route: Route) -> dict[bool, bytes]:
        """Return the request as bytes, for a kept connection and for a new one."""
        headers, body = self._line.form(route.path, route.form or {}, route.signed) if route.form else ({}, b"")
        both = ((True, "keep-alive"), (False, "close"))
        return {
            kept: self.site.request(route.method, route.path, {**headers, "Connection": word}, body)
            for kept, word in both
        }

    async def _ask(self, which: int, kept: bool) -> None:
        route, request = ROUTES[which], self._requests[which][kept]
        sent, problem, idle, release = self.now(), "", False, ""
        try:
            answer = await asyncio.wait_for(self._answer(request, kept), PATIENCE)
            problem, release = judge(route, answer), answer.headers.get("x-release", "")
        except Idle:
            idle = True
        except Lost as error:
            problem = str(error)
        except asyncio.TimeoutError:
            problem = f"no whole answer in {PATIENCE:.0f} s"
        self.seen.append(Seen(route.name, sent, self.now(), problem, idle, kept, release))

    async def _answer(self, request: bytes, kept: bool) -> Answer:
        connection = (self._kept() if kept else None) or await self.site.connect()
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if kept and not connection.closed:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self) -> Connection | None:
        """Return the connection that was used last, if one is still open."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            connection.close()
        return None

    async def _call(self, ended: asyncio.Event) -> None:
        self.calls.append(await self._line.call(ended, lasting=True, talking=self._one_more_talks))

    def _one_more_talks(self) -> None:
        self.lasting -= 1
        if not self.lasting:
            self._talking.set()

    async def _short_calls(self) -> None:
        """Calls that begin and end all the time, switch or not."""
        while not self._stop.is_set():
            ended = asyncio.Event()
            asyncio.get_running_loop().call_later(calls.SHORT_SECONDS, ended.set)
            self.calls.append(await self._line.call(ended, lasting=False))
            await asyncio.sleep(calls.SHORT_SECONDS)

    async def _watch(self, ended: asyncio.Event) -> None:
        """Let the lasting calls hang up some time after the new version holds: nobody calls for ever."""
        while not ended.is_set():
            await asyncio.sleep(1)
            if self.version and self.marked and self.served() is not None:
                await asyncio.sleep(LIFE_AFTER_SECONDS)
                ended.set()


def judge(route: Route, answer: Answer) -> str:
    """Return what is wrong with the answer; empty when nothing is. That it is complete, the wire has seen."""
    if answer.status != route.status:
        return f"status {answer.status}"
    return "" if answer.body.endswith(route.end) else "another body"


def main(seconds: float) -> None:
    with Load(Path(__file__).resolve().parents[2] / ".demo") as load:
        load.steady().mark()
        time.sleep(seconds)
    found = load.report()
    print(json.dumps(found, indent=2))
    print(reports.sentence(found))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
