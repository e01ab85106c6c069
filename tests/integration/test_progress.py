# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress that a person can watch, by the real ansible-playbook: lines while a module works, and its result untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from tiny import COLLECTIONS, stack

RUN = "20261122T200000Z-deploy-0001"

# A module of three lines of progress, and the action plugin that a module of the collection has.
MODULE = """
from __future__ import annotations

import time

from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._module import run_module


def work(call):
    call.hide({"correct-horse-battery"})
    for number in (1, 2, 3):
        call.progress(f"step {number} of 3, correct-horse-battery")
        time.sleep(0 if call.check_mode else call.params["pause"])
    if call.params["fails"]:
        raise OpsError("It broke.", "Mend it.", log=["the last line"])
    return Report(facts={"made": 3}, changed=True, diff={"before": "a", "after": "b"})


run_module({"pause": {"type": "float", "default": 1.2}, "fails": {"type": "bool", "default": False}}, work)
"""
ACTION = """
from ansible_collections.prosaas.ops.plugins.plugin_utils._follow import FollowedAction


class ActionModule(FollowedAction):
    pass
"""


class Playbook:
    """A playbook of one task, run by the real ansible-playbook."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        for name, text in (("library/slow.py", MODULE), ("action_plugins/slow.py", ACTION)):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")

    def play(
        self, *arguments: str, action: str = "slow", callback: str = "default", **options: t.Any
    ) -> tuple[list[tuple[float, str]], dict[str, t.Any]]:
        """Run it; return each line of output with the seconds at which it came, and the task's result."""
        task = {action: {"state_dir": str(self.state), **options}, "register": "done", "ignore_errors": True}
        keep = {"copy": {"content": "{{ done | to_json }}", "dest": str(self.directory / "result.json")}}
        plays = [{"hosts": "all", "gather_facts": False, "tasks": [task, {**keep, "check_mode": False, "diff": False}]}]
        (self.directory / "play.yml").write_text(json.dumps(plays), encoding="utf-8")
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local"]
        argv += ["-e", f"ansible_python_interpreter={sys.executable}", *arguments, "play.yml"]
        paths = os.pathsep.join([str(COLLECTIONS), os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")])
        settings = {"ANSIBLE_COLLECTIONS_PATH": paths, "ANSIBLE_STDOUT_CALLBACK": callback}
        began = time.monotonic()
        with subprocess.Popen(
            argv, cwd=self.directory, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = [(time.monotonic() - began, line.rstrip("\n")) for line in process.stdout]
        assert process.returncode == 0, lines
        return lines, json.loads((self.directory / "result.json").read_text(encoding="utf-8"))


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


def at(lines: list[tuple[float, str]], text: str) -> float:
    """Return when the first line that begins with a text came."""
    return next(seconds for seconds, line in lines if line.startswith(text))


def shown(lines: list[tuple[float, str]]) -> list[str]:
    return [line for _seconds, line in lines if line.startswith("localhost: ")]


def lasting(result: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in result.items() if key != "seconds"}


def test_lines_come_while_the_module_works_and_the_result_is_the_same(playbook: Playbook) -> None:
    lines, result = playbook.play(run=RUN)
    assert shown(lines) == [f"localhost: step {number} of 3, ********" for number in (1, 2, 3)]
    end = at(lines, "changed: [localhost]")
    assert end - at(lines, "localhost: step 1") > 2, "the first line came long before the end"
    assert end - at(lines, "localhost: step 2") > 1
    again, second = playbook.play(run=RUN)
    assert shown(again) == shown(lines), "lines of an earlier step are not shown again"
    unfollowed, plain = playbook.play(pause=0)
    assert shown(unfollowed) == []
    assert lasting(result) == lasting(second) == lasting(plain)
    assert (plain["made"], plain["changed"], plain["diff"]) == (3, True, {"before": "a", "after": "b"})


def test_a_failure_is_the_same(playbook: Playbook) -> None:
    lines, result = playbook.play(run=RUN, fails=True, pause=0.5)
    assert shown(lines)[0] == "localhost: step 1 of 3, ********"
    _lines, plain = playbook.play(fails=True, pause=0)
    assert lasting(result) == lasting(plain)
    assert (result["failed"], result["msg"], result["log"]) == (True, "It broke. Mend it.", ["the last line"])


def test_check_mode_says_nothing_and_writes_nothing(playbook: Playbook) -> None:
    lines, result = playbook.play("--check", "--diff", run=RUN)
    assert (shown(lines), result["changed"]) == ([], True)
    assert not (playbook.state / "runs").exists()


def test_output_that_a_program_reads_stays_whole(playbook: Playbook) -> None:
    lines, _result = playbook.play(run=RUN, pause=0.5, callback="ansible.posix.json")
    printed = json.loads("\n".join(line for _seconds, line in lines))
    assert printed["plays"][0]["tasks"][0]["hosts"]["localhost"]["made"] == 3


def test_a_stack_says_what_it_waits_for_while_it_becomes_healthy(playbook: Playbook) -> None:
    health = {"test": ["CMD", "test", "-f", "/tmp/ok"], "interval": "1s", "timeout": "1s", "retries": 60}
    late = {"command": ["sh", "-c", "sleep 4; touch /tmp/ok; sleep 600"], "healthcheck": health}
    services = {"late": late, "steady": {"command": ["sleep", "600"]}}
    with stack("progress", playbook.directory, services) as project:
        lines, result = playbook.play(
            action="prosaas.ops.compose_health", **{**project.options, "run": RUN, "window": 3}
        )
    waits = at(lines, "localhost: 1/2 healthy, waiting for late")
    watches = at(lines, "localhost: 2/2 healthy, watching that they stay so for 3 s")
    assert waits < watches < at(lines, "ok: [localhost]") - 1
    assert result["verdict"] == "pass"
