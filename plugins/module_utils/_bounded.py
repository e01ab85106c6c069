# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that may hang, and may print without end: each gets so many seconds, and only the end of it is kept.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import collections
import contextlib
import os
import selectors
import signal
import subprocess
import time
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

from ._errors import OpsError, Unreachable

_BLOCK = 1 << 16
_WORDS = 4  # so many of a command say which one it is


class _End:
    """The last bytes of a stream."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size, self.is_cut = limit, 0, False
        self._blocks: collections.deque[bytes] = collections.deque()

    def add(self, block: bytes) -> None:
        self._blocks.append(block)
        self._size += len(block)
        while self._size - len(self._blocks[0]) > self._limit:
            self._size -= len(self._blocks.popleft())
            self.is_cut = True

    def text(self) -> str:
        """Return it from the beginning of a line on: half of a secret would not be known."""
        data = b"".join(self._blocks)
        if self.is_cut:
            data = data.partition(b"\n")[2]
        return data.decode("utf-8", "surrogateescape")


class Ran(t.NamedTuple):
    """What a program printed; ``is_cut`` when that was more than is kept."""

    code: int
    out: str
    err: str
    is_cut: bool


@dataclass(frozen=True)
class Programs:
    """Runs programs.

    Attributes:
        seconds: how long each may take.
        limit: how many bytes of each are kept.
    """

    seconds: float
    limit: int

    def run(self, argv: Sequence[str], merged: bool = False, cwd: str | None = None, data: str = "") -> Ran:
        """Run a program; one that does not end in time is ended, with its children.

        Args:
            merged: whether both of its streams are one, in the order of printing.
            data: what it reads; no more than a pipe takes at once (64 KiB).
        """
        told = " ".join(argv[:_WORDS])
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if data else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise OpsError(
                f"{argv[0]} cannot be started here ({error.strerror}).", f"Look for it: which {argv[0]}"
            ) from None
        with process:
            out, err = _End(self.limit), _End(self.limit)
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError), process.stdin as stream:  # it did not want it
                    stream.write(data.encode("utf-8", "surrogateescape"))
            try:
                if not self._read(process, out, err):
                    raise subprocess.TimeoutExpired(told, self.seconds)
                code = process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(OSError):  # it has just ended
                    os.killpg(process.pid, signal.SIGKILL)
                raise Unreachable(f"{told} did not end within {self.seconds:g} s.", f"Try it by hand: {told}") from None
        return Ran(code, out.text(), err.text(), out.is_cut)

    def _read(self, process: subprocess.Popen[bytes], out: _End, err: _End) -> bool:
        """Read until both streams end; return whether they did so in time."""
        deadline = time.monotonic() + self.seconds
        with selectors.DefaultSelector() as waiting:
            for stream, end in ((process.stdout, out), (process.stderr, err)):
                if stream is not None:
                    waiting.register(stream, selectors.EVENT_READ, end)
            while waiting.get_map():
                ready = waiting.select(max(deadline - time.monotonic(), 0))
                if not ready:
                    return False
                for key, _events in ready:
                    block = os.read(key.fd, _BLOCK)
                    if block:
                        key.data.add(block)
                    else:
                        waiting.unregister(key.fileobj)
        return True

    def execute(self, argv: Sequence[str], **options: t.Any) -> tuple[int, str, str]:
        """Run a program for those who expect what AnsibleModule's ``run_command`` returns."""
        ran = self.run(argv, cwd=options.get("cwd"), data=options.get("data") or "")
        if ran.is_cut:
            raise OpsError(f"{' '.join(argv[:_WORDS])} printed more than {self.limit} bytes.", "Raise the limit.")
        return ran.code, ran.out, ran.err
