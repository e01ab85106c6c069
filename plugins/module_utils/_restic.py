# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program restic: run with its secrets in the environment alone, never for longer than it makes progress.

Written for restic 0.12 and later. Releases before 0.17 end with code 1 whatever the reason, so their words are read.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ._codec import BLOCK
from ._errors import OpsError, Unreachable

_PARTING = 15  # seconds that it gets to take its locks away after it was interrupted
_LOCK_PAUSE = 3.0
_KEPT = 200  # of what it says, the last lines


class Absent(OpsError):
    """There is no repository at the address, as far as its store can be believed."""


class Locked(OpsError):
    """Somebody else works in the repository."""


@dataclass(frozen=True)
class Limits:
    """How long is waited, in seconds.

    Attributes:
        patience: for the store to answer, and for data to move on.
        total: for one command that tells no progress (check, prune).
        lock: for somebody else's lock to go.
    """

    patience: float = 300
    total: float = 7200
    lock: float = 300


class Source(t.Protocol):
    """What is sent: a stream, and a word at its end on whether it was what it should be (else an error)."""

    def read(self, size: int = -1) -> bytes: ...


Ended = t.Callable[[], None]

_CODES = {10: "absent", 12: "password"}
# In this order: an access key that "does not exist" is no repository that does not.
_SIGNS = (
    ("password", r"wrong password or no key found|an empty password is not"),
    ("kept", r"Remove\(<|RemoveObject|locked by the bucket policy|unable to remove"),
    ("locked", r"already locked"),
    ("denied", r"Access ?Denied|Access Key Id|AccessKeyId|signature we calculated|SignatureDoesNotMatch|TimeTooSkewed"),
    ("denied", r"Access Denied|403 Forbidden|\b401\b|Unauthorized|permission denied|no credentials found"),
    ("certificate", r"x509:|certificate signed by unknown"),
    ("away", r"connection (refused|reset)|no such host|i/o timeout|[Tt]imeout|unreachable|no route to host|\bEOF\b"),
    ("away", r"server misbehaving|context deadline|InternalError|internal error|SlowDown|\b50[0-9]\b|broken pipe"),
    ("absent", r"unable to open config file.*(does not exist|no such file|not found)|repository does not exist"),
    ("full", r"no space left|QuotaExceeded|EntityTooLarge"),
    ("locked", r"unable to create lock"),
)


def reason(code: int, said: Sequence[str]) -> str:
    """Return why it failed, as one of the words above, or empty for any other reason."""
    if code in _CODES:
        return _CODES[code]
    text = "\n".join(said)
    return next((word for word, pattern in _SIGNS if re.search(pattern, text)), "locked" if code == 11 else "")


def telling(said: Sequence[str]) -> str:
    """Return the line that says most: its last complaint, without what is only repeated around it."""
    lines = [line.strip() for line in said if line.strip() and not line.startswith(("Is there a repo", "using temp"))]
    fatal = [line.partition("Fatal: ")[2] for line in lines if "Fatal: " in line]
    tried = [line for line in lines if "returned error, retrying" in line]
    best = (fatal or tried or lines or ["it said nothing"])[-1]
    best = re.sub(
        r"^.*returned error, retrying after [^:]*: |^(repository does not exist: )?unable to open config file: ",
        "",
        best,
    )
    return re.sub(r"\s+", " ", re.sub(r"\?[^\s\"]*", "", best))[:200].rstrip(".: ")


def refusal(code: int, said: Sequence[str], place: str) -> OpsError:
    """Turn how it ended into what an operator can act on."""
    word, why = reason(code, said), telling(said)
    if word == "password":
        return OpsError(
            f"The password does not open the restic repository {place}.",
            "Give the one that it was made with: password_file, or password from the vault.",
        )
    if word == "absent":
        return Absent(f"There is no restic repository at {place} ({why}).", "Correct address, or set init: true once.")
    if word == "locked":
        return Locked(
            f"The restic repository {place} is locked ({why}).", "Wait for whoever works there: restic list locks."
        )
    if word == "kept":
        return OpsError(
            f"{place} does not let restic delete objects ({why}).",
            "Let the key delete objects, and no lock or retention rule of the bucket cover locks/, nor hold the rest for "
            "longer than keep does.",
        )
    if word == "denied":
        return OpsError(f"{place} refuses the access key ({why}).", "Correct the credentials of the place.")
    if word == "certificate":
        return OpsError(f"The certificate of {place} is not valid ({why}).", "Correct address, or give ca_path.")
    if word == "away":
        return Unreachable(f"{place} does not answer as it should ({why}).", "Look at its address, DNS and firewall.")
    if word == "full":
        return OpsError(f"There is no room left at {place} ({why}).", "Make room there, or keep fewer backups.")
    return OpsError(f"restic failed at {place}: {why}.", "Look at the repository: restic check.")


def messages(text: str) -> list[dict[str, t.Any]]:
    """Return the JSON objects among the lines of its output; releases before 0.17 mix them with words."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            one = json.loads(line)
            if isinstance(one, dict):
                found.append(one)
    return found


class Restic:
    """One repository and how it is spoken to.

    Args:
        place: what it is called in messages, without a password.
        variables: of its environment: repository, password, keys.
        arguments: that every command gets; never a secret.
    """

    def __init__(
        self, place: str, variables: Mapping[str, str], arguments: Sequence[str] = (), limits: Limits = Limits()
    ) -> None:
        self.place, self.limits = place, limits
        self._arguments = tuple(arguments)
        # Nothing of the surroundings decides where a backup goes, or with which password.
        own = {name: value for name, value in os.environ.items() if not name.startswith(("RESTIC_", "AWS_"))}
        self._environment = {**own, "LC_ALL": "C", "RESTIC_PROGRESS_FPS": "0.2", **variables}

    def say(self, *command: str, within: float = 0, source: t.BinaryIO | None = None) -> str:
        """Run a command, wait for whoever holds a lock, and return what it printed."""
        return self._patiently(lambda: self._once(command, within or self.limits.patience, source))

    def send(self, command: Sequence[str], opened: t.Callable[[], t.ContextManager[tuple[Source, Ended]]]) -> str:
        """Give it a stream; only one that was good to its end is ended for it, and so becomes a snapshot."""

        def once() -> str:
            with self._running(command, self.limits.patience, subprocess.PIPE) as run, opened() as (source, ended):
                printed = _Drain(run.stdout)
                whole = run.feed(source)
                if whole:
                    ended()  # raises where the stream was not what it should be: nothing is ended then
                    run.stdin.close()
                run.wait()
                if not whole:
                    raise refusal(1, [*run.said.lines, "it ended before all was sent"], self.place)
                return printed.text()

        return self._patiently(once)

    @contextlib.contextmanager
    def stream(self, *command: str) -> Iterator[t.BinaryIO]:
        """Yield what a command prints, as a stream; one that did not end well is an error at the end."""
        with self._running(command, self.limits.patience) as run:
            yield t.cast("t.BinaryIO", _Beating(run))
            run.wait()

    def unlock(self) -> None:
        """Take away locks of processes that are dead; restic leaves those of living ones alone."""
        self._once(("unlock",), self.limits.patience)

    def _patiently(self, once: t.Callable[[], str]) -> str:
        deadline = time.monotonic() + self.limits.lock
        while True:
            try:
                return once()
            except Locked:
                if time.monotonic() >= deadline:
                    raise
                self.unlock()
                time.sleep(_LOCK_PAUSE)

    def _once(self, command: Sequence[str], within: float, source: t.BinaryIO | None = None) -> str:
        with self._running(command, within, source or subprocess.DEVNULL) as run:
            text = run.stdout.read().decode(errors="replace")
            run.wait()
            return text

    @contextlib.contextmanager
    def _running(self, command: Sequence[str], within: float, stdin: t.Any = subprocess.DEVNULL) -> Iterator[_Run]:
        if shutil.which("restic", path=self._environment.get("PATH")) is None:
            raise OpsError("The program restic is not on this host.", "apt-get install restic")
        argv = ["restic", *command, *self._arguments]
        program = subprocess.Popen(
            argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self._environment
        )
        run = _Run(program, within, self.place)
        try:
            yield run
        finally:
            run.end()


class _Run:
    """A running restic, interrupted when nothing has moved for too long."""

    def __init__(self, program: subprocess.Popen[bytes], within: float, place: str) -> None:
        self._program, self._within, self._place = program, within, place
        self.said = _Drain(t.cast("t.BinaryIO", program.stderr))
        self._moved, self._stalled = time.monotonic(), False
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def stdin(self) -> t.BinaryIO:
        return t.cast("t.BinaryIO", self._program.stdin)

    @property
    def stdout(self) -> t.BinaryIO:
        return t.cast("t.BinaryIO", self._program.stdout)

    def beat(self) -> None:
        self._moved = time.monotonic()

    def feed(self, source: Source) -> bool:
        """Give it all of a stream; false when it ended before."""
        try:
            while block := source.read(BLOCK):
                self.stdin.write(block)
                self.beat()
            self.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def wait(self) -> None:
        code = self._program.wait()
        self._over.set()
        said = self.said.text().splitlines()
        if self._stalled and reason(code, said) != "kept":
            why = f" ({telling(said)})" if said else ""
            raise Unreachable(
                f"{self._place} did not answer within {self._within:g} s{why}.", "Look at its address and network."
            )
        if code:
            raise refusal(code, said, self._place)

    def end(self) -> None:
        """Leave nothing running, whatever happened; an interrupted one takes its lock away and makes no snapshot."""
        if self._program.poll() is None:
            self._interrupt()
        self._over.set()
        for stream in (self._program.stdin, self._program.stdout, self._program.stderr):
            with contextlib.suppress(OSError, AttributeError):
                t.cast("t.BinaryIO", stream).close()

    def _interrupt(self) -> None:
        self._program.send_signal(signal.SIGINT)
        try:
            self._program.wait(_PARTING)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()

    def _watch(self) -> None:
        while not self._over.wait(min(1.0, self._within / 4)):
            if time.monotonic() - self._moved > self._within and self._program.poll() is None:
                self._stalled = True
                self._interrupt()
                return


class _Drain:
    """Reads a stream to its end in a thread, and keeps its last lines."""

    def __init__(self, stream: t.BinaryIO) -> None:
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: t.BinaryIO) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                del self.lines[:-_KEPT]

    def text(self) -> str:
        self._thread.join()
        return "\n".join(self.lines)


class _Beating:
    """What a run prints; every block that arrives is progress."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def read(self, size: int = -1) -> bytes:
        data = self._run.stdout.read(size)
        self._run.beat()
        return data
