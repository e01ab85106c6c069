# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a progress file with a real shell: new lines once, whole lines only, and no harm when it cannot be read."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._progress import Progress
from ansible_collections.prosaas.ops.plugins.plugin_utils import _follow
from ansible_collections.prosaas.ops.plugins.plugin_utils._follow import (
    Follower,
    count_command,
    counted,
    look_command,
    new_texts,
)


def shell(command: str) -> str:
    """Run a command as a login shell that greets would."""
    argv = ["sh", "-c", f"echo welcome; {command}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_follow, "FIRST_LOOK", 0.05)
    monkeypatch.setattr(_follow, "SLOWEST_LOOK", 0.05)


def wait_for(shown: list[str], count: int) -> None:
    deadline = time.monotonic() + 10
    while len(shown) < count and time.monotonic() < deadline:
        time.sleep(0.02)


def test_lines_are_counted_and_read_from_there(tmp_path: Path) -> None:
    path = tmp_path / "it's here.jsonl"
    assert counted(shell(count_command(str(path)))) == 0
    assert new_texts(shell(look_command(str(path), 0))) == ([], 0)
    for text in ("one", "two", "three"):
        Progress(path).say(text)
    assert counted(shell(count_command(str(path)))) == 3
    assert new_texts(shell(look_command(str(path), 2))) == (["three"], 1)


def test_a_line_that_is_still_being_written_is_left_for_the_next_look() -> None:
    assert new_texts('progress.jsonl:\n{"text": "one"}\n{"tex') == (["one"], 1)


def test_lines_that_are_no_progress_are_passed_over_and_counted() -> None:
    assert new_texts('progress.jsonl:\n{"text": "one"}\n{"tex{"at": 1}\n7\n{"text": "two"}\n') == (["one", "two"], 4)


def test_lines_from_a_terminal_are_the_same() -> None:
    assert new_texts('hello\r\nprogress.jsonl:\r\n{"text": "one"}\r\n') == (["one"], 1)


def test_what_would_move_the_cursor_is_not_shown() -> None:
    assert new_texts('progress.jsonl:\n{"text": "a\\u001b[2Jb\\udce9"}\n') == (["a?[2Jb?"], 1)


def test_new_lines_are_shown_once_and_those_of_earlier_steps_not_at_all(tmp_path: Path, quick: None) -> None:
    path, shown = tmp_path / "progress.jsonl", list[str]()
    Progress(path).say("of the step before")
    with Follower(shell, shown.append, str(path)):
        Progress(path).say("first")
        wait_for(shown, 1)
        Progress(path).say("second")
        wait_for(shown, 2)
        assert shown == ["first", "second"], "while the work goes on"
        Progress(path).say("last words")
    assert shown == ["first", "second", "last words"]


def test_what_ends_before_the_first_look_is_not_looked_at(tmp_path: Path) -> None:
    looks, shown = list[str](), list[str]()

    def counting(command: str) -> str:
        looks.append(command)
        return shell(command)

    began = time.monotonic()
    with Follower(counting, shown.append, str(tmp_path / "progress.jsonl")):
        Progress(tmp_path / "progress.jsonl").say("quick")
    assert (shown, len(looks)) == ([], 1)
    assert time.monotonic() - began < 0.5


def test_a_host_that_cannot_be_read_costs_the_lines_alone(tmp_path: Path, quick: None) -> None:
    path, shown, away = tmp_path / "progress.jsonl", list[str](), True

    def sometimes(command: str) -> str:
        if away and command.startswith("echo progress.jsonl:; tail"):
            raise ConnectionError("gone")
        return shell(command)

    with Follower(sometimes, shown.append, str(path)):
        Progress(path).say("one")
        time.sleep(0.2)
        assert shown == []
        away = False
        wait_for(shown, 1)
    assert shown == ["one"], "a lost look is made up for by the next one"

    def never(command: str) -> str:
        raise ConnectionError("gone")

    with Follower(never, shown.append, str(path)):
        pass
