# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows on the controller what a module says while it works on the host.

The module runs as it would without this, in the same process and over the same connection; its result is not touched.
Beside it a thread reads the progress file of the run (``module_utils/_progress.py``) over a copy of the connection and
shows each new line. Whatever goes wrong there costs lines and nothing else.

Why not ``async``: its wrapper needs files on the host, kills the module at a time limit, leaves its result behind when
the controller dies, and each look at it is a module of its own (a quarter of a second of processor time, where this
costs a ``tail``).

What happens when something is lost:

- The controller is killed: as without this. The module goes on or ends with its connection, and while it goes on it
  holds the host's work lock.
- The connection is lost: the task ends as unreachable, as soon as ssh knows. The regular reads make that certain, also
  where a firewall drops silently: what is not acknowledged ends a connection, what is only awaited does not. A module
  that changes something ignores the hang-up and goes on to its end.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextvars
import copy
import json
import shlex
import threading
import typing as t
from collections.abc import Callable

from ansible import constants as C
from ansible.plugins.action.normal import ActionModule as Normal

STATE_DIR = "/var/lib/prosaas"  # the modules' own default
FIRST_LOOK = 1.0  # seconds; what is over by then needs no progress
SLOWEST_LOOK = 3.0  # after a while without news
PATIENCE = 5.0  # seconds for a last look once the module has ended
MARK = "progress.jsonl:"  # what a login shell prints comes before it


def look_command(path: str, known: int) -> str:
    """Return the command that prints the lines after the first ``known`` ones; a missing file has none."""
    return f"echo {MARK}; tail -n +{known + 1} {shlex.quote(path)} 2>/dev/null || true"


def count_command(path: str) -> str:
    return f"echo {MARK}; wc -l 2>/dev/null < {shlex.quote(path)} || true"


def after_mark(printed: str) -> str:
    """Return what a command printed itself; over a terminal its lines end in CR LF."""
    return printed.replace("\r\n", "\n").rpartition(f"{MARK}\n")[2]


def counted(printed: str) -> int:
    words = after_mark(printed).split()
    return int(words[0]) if words and words[0].isdigit() else 0


def new_texts(printed: str) -> tuple[list[str], int]:
    """Return what was said and how many whole lines there were; a line that is still being written counts next time."""
    lines = after_mark(printed).split("\n")[:-1]
    texts = []
    for line in lines:
        try:
            text = json.loads(line)["text"]
        except (ValueError, LookupError, TypeError):
            continue
        texts.append("".join(char if char.isprintable() else "?" for char in str(text)))
    return texts, len(lines)


class Follower:
    """Reads the progress file again and again in a thread until told to stop.

    Args:
        execute: runs a shell command on the host and returns what it printed.
        show: shows one line.
        path: of the progress file on the host.
    """

    def __init__(self, execute: Callable[[str], str], show: Callable[[str], None], path: str) -> None:
        self._execute, self._show, self._path = execute, show, path
        self._known = 0
        self._over = threading.Event()
        context = contextvars.copy_context()  # Ansible keeps what it knows of the task there
        self._thread = threading.Thread(target=context.run, args=(self._follow,), daemon=True)

    def __enter__(self) -> Follower:
        try:
            self._known = counted(self._execute(count_command(self._path)))
        except Exception:  # the module itself will say what is wrong with the host
            return self
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE)

    def _follow(self) -> None:
        pause, looked = FIRST_LOOK, False
        while not self._over.wait(pause):
            pause = FIRST_LOOK if self._look() else min(pause * 1.2, SLOWEST_LOOK)
            looked = True
        if looked:
            self._look()

    def _look(self) -> int:
        try:
            texts, lines = new_texts(self._execute(look_command(self._path, self._known)))
            self._known += lines
            for text in texts:
                self._show(text)
            return lines
        except Exception:  # lines are lost, and nothing else
            return 0


class FollowedAction(Normal):
    """Runs the module of the same name as Ansible itself would, and shows its progress meanwhile."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        run = str(self._task.args.get("run") or "")
        if not run or self._task.check_mode or self._task.no_log or self._task.async_val or machine_reads():
            return t.cast("dict[str, t.Any]", super().run(tmp, variables))
        host = variables.get("inventory_hostname", "")
        path = f"{self._task.args.get('state_dir') or STATE_DIR}/runs/{run}/progress.jsonl"

        def show(text: str) -> None:
            self._display.display(f"{host}: {text}")

        with Follower(self._second_connection(), show, path):
            return t.cast("dict[str, t.Any]", super().run(tmp, variables))

    def _second_connection(self) -> Callable[[str], str]:
        """Return a way to run commands beside the module, as the same user.

        The copies keep all settings. What a connection and its become plugin note for one command (the prompt to wait
        for, the word that says that it was passed) they note for themselves; ssh shares its one connection.
        """
        other = copy.copy(self)
        other._connection = copy.copy(self._connection)
        if getattr(self._connection, "become", None):
            other._connection.become = copy.copy(self._connection.become)

        def execute(command: str) -> str:
            return str(other._low_level_execute_command(command)["stdout"])

        return execute


def machine_reads() -> bool:
    """Whether what is printed is to be JSON as a whole."""
    return "json" in str(C.DEFAULT_STDOUT_CALLBACK)
