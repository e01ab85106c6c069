# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""log_check on the real engine: what counts, since when, and what cannot be known."""

from __future__ import annotations

import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import Stack, ansible, check, module, stack, status

PRINTS = "echo 'ready to serve'; echo \"[x] CRITICAL [y] lost $$\" >&2; exec sleep 1000"
# Before the file is there it ends well, afterwards it says something else: a container that is started twice.
TWICE = "if [ -e /once ]; then echo second run; else touch /once; echo 'FATAL of the first run'; fi; exec sleep 1000"
LATE = "echo begins; sleep 3; echo 'ready to serve'; exec sleep 1000"
MANY = "for n in $(seq 400); do printf '\\033[31mERROR\\033[0m: call %s failed\\n' $n; done; echo ready; exec sleep 1000"
PROXY = 'while true; do sleep 1; echo \'"POST /webhook" 403 "prosaas.ops"\'; done'

SERVICES: dict[str, t.Any] = {
    "bad": {"command": ["sh", "-c", PRINTS], "environment": {"DB_PASSWORD": "wolpertinger-7", "MODE": "1"}},
    "twice": {"command": ["sh", "-c", TWICE]},
    "late": {"command": ["sh", "-c", LATE]},
    "many": {"command": ["sh", "-c", MANY]},
    "leaky": {"command": ["sh", "-c", "echo url is x://u:$$DB_PASSWORD@h; echo $$DB_PASSWORD FATAL; exec sleep 1000"]},
    "mute": {"command": ["sleep", "1000"], "logging": {"driver": "none"}},
    "done": {"command": ["sh", "-c", "echo all done"], "restart": "no"},
    "pair": {"command": ["sh", "-c", "echo ready to serve; sleep 1000 & exec sleep 1000"], "scale": 2},
    "terminal": {"command": ["sh", "-c", "echo ready to serve; echo FATAL; exec sleep 1000"], "tty": True},
}
SERVICES["leaky"]["environment"] = SERVICES["bad"]["environment"]

READY = {"required": [["never this", "ready to serve"]]}
LEVELS = {"simple": {"line": r"^\[x\] (?P<level>[A-Z]+) |^(?P<other>ERROR):", "fail": ["CRITICAL"]}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack("logs", tmp_path_factory.mktemp("logs"), SERVICES) as made:
        yield made


def look(project: Stack, rules: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
    state = str(project.directory / "state")
    return module("log_check", project=project.name, rules=rules, state_dir=state, gather=True, **options)


def test_by_the_real_ansible_a_failure_names_the_line_and_how_to_see_it(project: Stack) -> None:
    rules = {"bad": {"started": READY, "errors": {"levels": True, "remedy": "Mend it"}}}
    state = str(project.directory / "state")
    result = ansible("log_check", project=project.name, rules=rules, levels=LEVELS, state_dir=state)
    assert result["failed"] and not result["changed"]
    assert status(result) == {"logs.bad.started": "pass", "logs.bad.errors": "fail"}
    errors = check(result, "logs.bad.errors")
    assert "[x] CRITICAL [y] lost" in errors["evidence"]
    see = errors["remedy"].removeprefix("Mend it; ")
    shown = subprocess.run(["sh", "-c", see], capture_output=True, text=True, check=True).stdout
    assert shown.count("CRITICAL") == 1


def test_lines_of_before_a_restart_do_not_count_though_the_log_has_them(project: Stack) -> None:
    rules = {"twice": {"started": {"required": ["second run"]}, "errors": {"forbidden": ["FATAL"]}}}
    assert status(look(project, rules, deadline=0)) == {"logs.twice.started": "fail", "logs.twice.errors": "fail"}
    project.compose("restart", "-t", "0", "twice")
    assert "FATAL" in project.compose("logs", "twice")
    assert status(look(project, rules)) == {"logs.twice.started": "pass", "logs.twice.errors": "pass"}


def test_a_line_that_is_still_to_come_is_waited_for(project: Stack) -> None:
    project.compose("restart", "-t", "0", "late")
    assert status(look(project, {"late": {"started": READY}}, deadline=0)) == {"logs.late.started": "fail"}
    began = time.monotonic()
    result = look(project, {"late": {"started": READY}}, deadline=20)
    assert status(result) == {"logs.late.started": "pass"}
    assert time.monotonic() - began < 6


def test_what_cannot_come_any_more_is_not_waited_for(project: Stack) -> None:
    rules = {
        "bad": {"started": {"required": ["never"]}, "errors": {"forbidden": ["CRITICAL"]}},
        "done": {"done": {"required": ["never"]}},
    }
    began = time.monotonic()
    result = look(project, rules, deadline=600)
    assert set(status(result).values()) == {"fail"}
    assert time.monotonic() - began < 3
    assert "its last line: all done" in check(result, "logs.done.done")["evidence"]
    assert "exit code 0" in check(result, "logs.done.done")["evidence"]


def test_repeats_in_colour_are_one_finding(project: Stack) -> None:
    result = look(project, {"many": {"errors": {"forbidden": ["ERROR: call * failed"]}}})
    evidence = check(result, "logs.many.errors")["evidence"]
    assert evidence.count("\n") == 0 and "400 times" in evidence and "\x1b" not in evidence


def test_secrets_of_the_environment_are_masked(project: Stack) -> None:
    result = look(project, {"leaky": {"errors": {"forbidden": ["FATAL", "url is"]}}})
    evidence = check(result, "logs.leaky.errors")["evidence"]
    assert "FATAL" in evidence and "url is" in evidence
    assert "wolpertinger" not in str(result)


def test_what_cannot_be_read_or_is_not_there_is_unknown(project: Stack) -> None:
    result = look(project, {"mute": {"started": READY}, "absent": {"started": READY}, "absent-*": {"started": READY}})
    assert status(result) == {"logs.mute.started": "unknown", "logs.absent.started": "unknown"}
    assert "does not support reading" in check(result, "logs.mute.started")["evidence"]
    assert check(result, "logs.absent.started")["remedy"] == "See compose.absent.state"


def test_every_replica_must_have_said_it_and_processes_are_counted(project: Stack) -> None:
    rules = {
        "pair": {
            "started": READY,
            "workers": {"processes": {"texts": ["sleep 1000"], "most": 1}},
            "two": {"processes": {"texts": ["sleep 1000"], "most": 3}},
            "none": {"processes": {"texts": ["uvicorn"], "most": 1}},
        }
    }
    result = look(project, rules)
    found = {"started": "pass", "workers": "fail", "two": "pass", "none": "unknown"}
    assert status(result) == {f"logs.pair.{name}": one for name, one in found.items()}
    assert "in 2 containers" in check(result, "logs.pair.started")["evidence"]


def test_a_rule_holds_by_the_containers_own_variables(project: Stack) -> None:
    rules = {"bad": {"on": {"when": {"MODE": [1, 2]}, **READY}, "off": {"when": {"MODE": "0"}, **READY}}}
    assert status(look(project, rules)) == {"logs.bad.on": "pass", "logs.bad.off": "skip"}


def test_a_terminal_is_read_as_well(project: Stack) -> None:
    rules = {"terminal": {"started": READY, "errors": {"forbidden": ["FATAL"]}}}
    assert status(look(project, rules)) == {"logs.terminal.started": "pass", "logs.terminal.errors": "fail"}


def test_rules_are_relaxed_and_known_lines_added_without_copying(project: Stack) -> None:
    rules = {"bad": {"errors": {"levels": True}}, "done": {"done": {"required": ["never"]}}}
    kept = look(project, rules, levels=LEVELS, rules_extra={"done": None}, known_extra={"b*": ["[y] lost"]})
    assert status(kept) == {"logs.bad.errors": "pass"}
    assert "1 known line left out" in check(kept, "logs.bad.errors")["evidence"]


def test_a_start_is_remembered_when_the_log_has_lost_it(tmp_path: Path) -> None:
    """A log driver with a limit: unknown for one who has never looked, a pass for one who has."""
    chatty = "echo ready to serve; while true; do echo $(seq 300); done"
    limited = {"driver": "json-file", "options": {"max-size": "20k", "max-file": "1"}}
    quiet = "sleep 4; " + chatty.partition("; ")[2]
    services = {"chatty": {"command": ["sh", "-c", f"echo ready to serve; {quiet}"], "logging": limited}}
    rules = {"chatty": {"started": READY}}
    with stack("lost", tmp_path, services) as project:
        assert status(look(project, rules, remember=True)) == {"logs.chatty.started": "pass"}
        time.sleep(6)
        import ansible_collections.prosaas.ops.plugins.module_utils._log_check as domain

        before, domain.GONE = domain.GONE, 2.0  # a minute in the field
        try:
            assert "seen at" in check(look(project, rules), "logs.chatty.started")["evidence"]
            (project.directory / "state/seen/logs.json").unlink()
            lost = check(look(project, rules), "logs.chatty.started")
        finally:
            domain.GONE = before
    assert lost["status"] == "unknown" and "is gone" in lost["evidence"]


def test_check_mode_remembers_nothing(project: Stack) -> None:
    state = project.directory / "checked"
    module("log_check", check=True, project=project.name, rules={"bad": {"s": READY}}, state_dir=str(state), remember=True)
    assert not state.exists()


def test_lines_of_our_own_requests_are_known_by_the_proxys_log(tmp_path: Path) -> None:
    says = "sleep 1; while true; do sleep 1; echo '[x] ERROR [y] unsigned'; done"
    services = {"proxy": {"command": ["sh", "-c", PROXY]}, "app": {"command": ["sh", "-c", says]}}
    levels = {"simple": {**LEVELS["simple"], "warn": ["ERROR"]}}
    probes = {"service": "proxy", "text": '/webhook*"prosaas.ops"', "causes": {"app": ["unsigned"]}}
    with stack("asked", tmp_path, services) as project:
        time.sleep(5)
        rules = {"app": {"errors": {"levels": True}}}
        assert status(look(project, rules, levels=levels, probes=probes)) == {"logs.app.errors": "pass"}
        assert status(look(project, rules, levels=levels)) == {"logs.app.errors": "warn"}
        probes["text"] = "somebody else"
        assert status(look(project, rules, levels=levels, probes=probes)) == {"logs.app.errors": "warn"}


def test_without_an_engine_it_is_unknown(project: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert look(project, {"bad": {"s": READY}})["verdict"] == "unknown"
