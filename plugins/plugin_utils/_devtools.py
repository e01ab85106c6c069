# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Chromium without a window, spoken to over two pipes: nothing listens on a port, and only the standard library is used.

The browser reads commands from its descriptor 3 and writes to 4, JSON that ends in a zero byte. It is the leader of a
session of its own, so that nothing of it is left when it is ended.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import select
import shutil
import signal
import tempfile
import time
import typing as t
from collections.abc import Sequence
from pathlib import Path

GRACE = 3.0  # seconds to end by itself
HIGHER = 10  # descriptors of ours stay clear of those that the browser expects
CHUNK = 1 << 16

QUIET = (
    *("--headless", "--no-first-run", "--no-default-browser-check", "--no-proxy-server", "--mute-audio"),
    *("--hide-scrollbars", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-domain-reliability"),
    *("--disable-breakpad", "--disable-crash-reporter", "--password-store=basic", "--window-size=1280,800"),
    "--disable-features=OptimizationHints,MediaRouter,Translate,DialMediaRouteProvider",
)


class BrowserError(Exception):
    """The browser itself does not do what it is there for; nothing is known of any page."""


class Late(BrowserError):
    """The time is up."""


class Chromium:
    """One browser with a profile of its own, gone with it.

    Args:
        program: path of the executable.
        options: command line options besides the usual ones.
        deadline: monotonic time after which nothing is waited for.
    """

    def __init__(self, program: str, options: Sequence[str], deadline: float) -> None:
        self._program, self._options, self._deadline = program, options, deadline
        self._number, self._unread = 0, b""
        self.events: list[dict[str, t.Any]] = []

    def __enter__(self) -> Chromium:
        self._home = Path(tempfile.mkdtemp(prefix="prosaas-ops-browser-"))
        theirs_in, self._to = _pipe()
        self._from, theirs_out = _pipe()
        # Root may not use the sandbox, which is for browsing the open web; here one known page is opened.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        argv = [self._program, *QUIET, *sandbox, f"--user-data-dir={self._home}", "--remote-debugging-pipe"]
        argv += [*self._options, "about:blank"]
        log = str(self._home / "stderr")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT, 0o600),
            (os.POSIX_SPAWN_DUP2, theirs_in, 3),
            (os.POSIX_SPAWN_DUP2, theirs_out, 4),
        ]
        environment = {"HOME": str(self._home), "LANG": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath)}
        try:
            self._pid = os.posix_spawn(self._program, argv, environment, file_actions=actions, setsid=True)
        except (OSError, NotImplementedError) as error:
            self._forget()
            raise BrowserError(f"{self._program} cannot be run ({getattr(error, 'strerror', None) or error})") from None
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(BrowserError):
            self._write({"id": 0, "method": "Browser.close"})
        until = time.monotonic() + GRACE
        while not self._ended() and time.monotonic() < until:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._forget()

    def command(self, method: str, session: str = "", until: float = math.inf, **params: t.Any) -> dict[str, t.Any]:
        """Send one command and return its result; what happens meanwhile goes to :attr:`events`.

        Args:
            until: monotonic time at which its answer is given up.
        """
        self._number += 1
        number = self._number
        self._write({"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})})
        while True:
            message = self._read(min(self._deadline, until))
            if message is None:
                raise Late(f"it did not answer {method} in time")
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error'].get('message', 'refused')}")
                return t.cast("dict[str, t.Any]", message.get("result") or {})

    def wait(self, seconds: float) -> None:
        """Take in what happens for some time, and no longer than to the first event."""
        self._read(min(self._deadline, time.monotonic() + seconds))

    def said(self) -> str:
        """Return the last line that the browser wrote about itself."""
        try:
            lines = (self._home / "stderr").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1][:300] if lines else "it said nothing"

    def _write(self, message: dict[str, t.Any]) -> None:
        left = json.dumps(message).encode() + b"\0"
        try:
            while left:
                left = left[os.write(self._to, left) :]
        except OSError:
            raise BrowserError(f"{self._program} ended: {self.said()}") from None

    def _read(self, until: float) -> dict[str, t.Any] | None:
        """Return the next message, and keep it when it is an event; None when there is none until then."""
        while b"\0" not in self._unread:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                return None
            chunk = os.read(self._from, CHUNK)
            if not chunk:
                raise BrowserError(f"{self._program} ended: {self.said()}")
            self._unread += chunk
        line, _zero, self._unread = self._unread.partition(b"\0")
        message: dict[str, t.Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def _ended(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True

    def _forget(self) -> None:
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._home, ignore_errors=True)


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends have numbers that no child expects; neither is inherited."""
    ends = os.pipe()
    higher = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, HIGHER) for end in ends]
    for end in ends:
        os.close(end)
    return higher[0], higher[1]
