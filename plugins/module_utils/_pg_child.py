# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of Postgres as a process: its streams, its last words, and its end whatever happens.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import collections
import re
import subprocess
import threading
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from . import _secrets
from ._errors import OpsError, Unreachable

BLOCK = 1 << 20
_LINES = 40  # of what a program says that are kept
_ENDS = 10  # seconds that a program has to end by itself
_TOLD = re.compile(r"(?:ERROR|FATAL|PANIC|error): +(.*)")
_SERVER = re.compile(r"Error message from server: (?:ERROR|FATAL)?:? *(.*)")
_AWAY = re.compile(
    r"server closed the connection|terminating connection|could not (?:connect|receive|send)"
    r"|Connection (?:refused|reset|timed)|connection to server .* failed|no connection to the server"
    r"|the database system is"
    r"|SSL (?:SYSCALL|connection)|PQ(?:getCopyData|getResult)\(\) failed",
    re.IGNORECASE,
)


class Child:
    """A started program."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], hidden: Iterable[str]) -> None:
        self.name = name
        self.process = process
        self._hidden = [value for value in hidden if value]
        self._said: collections.deque[str] = collections.deque(maxlen=_LINES)
        self._first: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def stdin(self) -> t.BinaryIO:
        return t.cast("t.BinaryIO", self.process.stdin)

    @property
    def stdout(self) -> t.BinaryIO:
        return t.cast("t.BinaryIO", self.process.stdout)

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the end; return the exit code."""
        code = self.process.wait(seconds)
        self._listener.join()
        return code

    def said(self) -> list[str]:
        """Return the lines that the program said on its standard error: errors first, then the last others."""
        return [_secrets.redact(line, self._hidden) for line in [*self._first, *self._said]]

    def error(self, doing: str, remedy: str = "") -> OpsError:
        """Return why the program failed: what it said first, or the server through it; a server away is its own kind."""
        lines = self.said()
        said = next((found[1] for found in map(_TOLD.search, lines) if found), lines[-1] if lines else "")
        server = next((found[1] for found in map(_SERVER.search, lines) if found and found[1] not in said), "")
        why = "; ".join(filter(None, (said.strip().rstrip("."), server.strip().rstrip(".")))) or "it said nothing"
        if any(_AWAY.search(line) for line in lines):
            away = remedy or "See whether the server runs and can be reached, then start again."
            return Unreachable(f"{doing} failed, the server went away ({why}).", away)
        return OpsError(f"{doing} failed: {why}.", remedy)

    def end(self) -> None:
        """End the program by force if it has not ended, and close its streams."""
        if self.process.poll() is None:
            self.process.terminate()
            if self.process.stdout:
                self.process.stdout.close()  # a command line of the engine that waits to write there would not end
            try:
                self.process.wait(_ENDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                if stream:
                    stream.close()
            except OSError:  # what was left to be written has no reader any more
                pass
        self._listener.join(1)
        if self.process.stderr and not self._listener.is_alive():  # else something that it had started holds it open
            self.process.stderr.close()

    def _listen(self) -> None:
        for line in t.cast("t.BinaryIO", self.process.stderr):
            text = line.decode(errors="replace").strip()
            if text and len(self._first) < _LINES and (_TOLD.search(text) or _SERVER.search(text)):
                self._first.append(text)
            elif text:
                self._said.append(text)


@contextmanager
def child(
    name: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    hidden: Iterable[str],
    stdin: t.Any = subprocess.DEVNULL,
    stdout: t.Any = subprocess.DEVNULL,
) -> Iterator[Child]:
    """Start a program; however the block is left, the program has ended then."""
    try:
        process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=dict(environment))
    except FileNotFoundError:
        raise OpsError(f"The program {argv[0]} is not on this host.") from None
    started = Child(name, process, hidden)
    try:
        yield started
    finally:
        started.end()


def pump(source: t.BinaryIO, *sinks: t.BinaryIO) -> None:
    """Copy to the end of the source; a sink whose reader has gone is left out. Then close the sinks.

    It returns early when nobody reads any more, and leaves the rest of the source unread.
    """
    open_sinks = list(sinks)
    try:
        for block in iter(lambda: source.read(BLOCK), b""):
            for sink in list(open_sinks):
                try:
                    sink.write(block)
                except BrokenPipeError:
                    open_sinks.remove(sink)
            if not open_sinks:
                return
    finally:
        for sink in sinks:
            try:
                sink.close()
            except BrokenPipeError:
                pass


class Feed:
    """A stream that is copied to programs by a thread, so that what they say can be read meanwhile."""

    def __init__(self, source: t.BinaryIO, *sinks: t.BinaryIO) -> None:
        self._source, self._sinks = source, sinks
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until the stream was read to its end, which its own checksums may need; what it raised is raised."""
        self._thread.join()
        if self._failed is None:
            while self._source.read(BLOCK):
                pass
            return
        raise self._failed

    def failed(self) -> BaseException | None:
        """Return what reading the stream has raised so far."""
        return self._failed

    def stop(self) -> None:
        """Wait for the thread, whose sinks have no reader; it may still hang in a source that gives nothing."""
        self._thread.join(_ENDS)

    def _run(self) -> None:
        try:
            pump(self._source, *self._sinks)
        except BaseException as error:  # handed to the thread that waits
            self._failed = error
