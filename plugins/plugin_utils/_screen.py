# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where lines are shown: a terminal, on which the step that runs stands until it ends, or anything else.

The step that runs is drawn on the last line of a terminal, with no newline and no escape sequence, and taken away again
for what follows. Where something else is said meanwhile (progress of a module, a warning, a diff, a question to the
operator), the step becomes a line of its own before it: on a terminal, and everywhere else.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import shutil
import sys
import typing as t
from collections.abc import Sequence

from ansible import constants as C
from ansible.utils.display import Display
from ansible_collections.prosaas.ops.plugins.plugin_utils._live import HEADING, Line, cells, clipped, wrapped


def is_terminal() -> bool:
    """Whether somebody watches a terminal. AWX gives its jobs one, and keeps what they write there as a log."""
    dumb = os.environ.get("TERM", "") in ("", "dumb")
    return sys.stdout.isatty() and not dumb and "AWX_ISOLATED_DATA_DIR" not in os.environ


class Screen:
    """Shows lines, and notices what others show.

    Args:
        display: Ansible's; there is one in a process.
        color: the colour of a tone, by Ansible's name. Ansible has the last word, by its settings.
        progress: turns what others say into what is shown of it.
    """

    def __init__(
        self, display: Display, color: t.Callable[[str], str | None], progress: t.Callable[[str], str]
    ) -> None:
        self._display, self._color, self._progress = display, color, progress
        self._terminal = self._draws = self._colors = False
        self._width = 0
        self._phase = self._phase_shown = ""
        self._waiting: Line | None = None  # the step that runs, as long as it is no line of its own
        self._drawn = 0  # columns

    def open(self, draws: bool, width: int) -> None:
        """Begin to notice what others show.

        Args:
            draws: whether to draw the step that runs, where there is a terminal.
            width: columns, for what is no terminal, too; 0 for the terminal's own.
        """
        self._terminal, self._width = is_terminal(), width
        self._draws = draws and self._terminal
        self._colors = self._terminal or bool(C.ANSIBLE_FORCE_COLOR)
        self._pid, self._show = os.getpid(), self._display.display
        # Workers and Ansible's own parts all say what they say by this method; the class is left as it is.
        self._display.display = self._others

    def close(self) -> None:
        self.rest()
        self._display.__dict__.pop("display", None)

    def phase(self, name: str) -> None:
        """Name the phase of what comes next; one in which nothing is shown is not shown. Empty for none."""
        self._phase = name

    def begin(self, line: Line) -> None:
        """Take a step that runs from now on."""
        with self._display._lock:
            self._erase()
            self._waiting = line
            if self._draws:
                phase = f" ({self._phase})" if self._phase != self._phase_shown and self._phase else ""
                self._drawn = cells(text := clipped(line.text + phase, self.width() - 1))
                sys.stdout.write(text)
                sys.stdout.flush()

    def announce(self) -> None:
        """Make the step that runs a line of its own."""
        with self._display._lock:
            self._erase()
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                self._write([waiting])

    def rest(self) -> None:
        """Forget the step that runs."""
        with self._display._lock:
            self._erase()
            self._waiting = None

    def say(self, lines: Sequence[Line], stderr: bool = False) -> None:
        with self._display._lock:
            self.rest()
            self._write(lines, stderr)

    def width(self) -> int:
        """Return how wide lines may be; 0 for any width."""
        return self._width or (shutil.get_terminal_size().columns if self._terminal else 0)

    def _write(self, lines: Sequence[Line], stderr: bool = False) -> None:
        if self._phase != self._phase_shown:
            self._phase_shown = self._phase
            lines = [Line(f" {self._phase}", HEADING), *lines] if self._phase else lines
        for line in lines:
            color = self._color(line.tone) if self._colors else None
            self._show(wrapped(line, self.width()), color=color, stderr=stderr)

    def _erase(self) -> None:
        if self._drawn:
            sys.stdout.write(f"\r{' ' * self._drawn}\r")
            sys.stdout.flush()
            self._drawn = 0

    def _others(self, msg: str, *args: t.Any, **given: t.Any) -> None:
        if os.getpid() != self._pid or given.get("log_only"):
            self._show(msg, *args, **given)  # a worker hands it to this process; the lock may be held by nobody there
            return
        with self._display._lock:
            self.announce()
            self._show(self._progress(msg), *args, **given)
