# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a part of the tests gives back, and the one way in which a part runs another program."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many tests passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


PASSED = Counts(passed=1)
FAILED = Counts(failed=1)


@dataclasses.dataclass(frozen=True)
class Finished:
    """A program that has ended, or was ended at its time limit (code None)."""

    code: int | None
    output: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.code == 0


def run(
    command: list[str], *, cwd: Path, seconds: float, env: dict[str, str] | None = None, show: bool = False
) -> Finished:
    """Run a program without input; past its time limit, end it with everything that it has started."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=seconds)[0]
        code: int | None = process.returncode
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        code = None
        output = f"{output or ''}\nended at its time limit of {seconds:.0f} s"
        if show:
            say(output)
    return Finished(code, output or "", time.monotonic() - started)


def say(text: str) -> None:
    """Print at once, so that a log shows where a run stands."""
    print(text, flush=True)


def report(name: str, ok: bool, seconds: float, output: str = "") -> Counts:
    """Print the line of one test, with its output when it failed, and count it."""
    say(f"{'ok    ' if ok else 'FAILED'} {name} ({seconds:.1f} s)")
    if not ok:
        sys.stdout.write("".join(f"    {line}\n" for line in output.strip().splitlines()))
        sys.stdout.flush()
    return PASSED if ok else FAILED
