# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that start by themselves: by a timer, by cron, and as AWX runs them; refused, reported, and taken away again."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from awx_job import launch
from controller import HOME, STATE, Controller, controller
from demo_stack import Stack
from receivers import webhook

TOKEN = "c4n4ry-0f-the-schedule"
SLOW = """\
- name: Take a while
  hosts: prosaas
  gather_facts: false
  tasks:
    - name: Wait
      ansible.builtin.pause:
        seconds: 300
"""
# Calls are counted by what processes of the host say, and the controller of these tests does not see them.
BACKUP = {
    **{"name": "backup", "playbook": "prosaas.ops.backup", "at": "*:*"},
    "extra_vars": {"prosaas_backup_calls": {}},
}
# A host that nobody can reach: its playbook never begins, so nobody is told by it.
AWAY = {
    **{"name": "away", "playbook": "prosaas.ops.backup", "at": "*:*"},
    "extra_vars": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("schedule")
    (directory / "slow.yml").write_text(SLOW)
    return directory


@pytest.fixture(scope="module")
def one(deployed: Stack, scratch: Path) -> Iterator[Controller]:
    with controller(scratch) as made:
        yield made


def jobs(*wanted: dict[str, t.Any], port: int = 0, **settings: t.Any) -> dict[str, t.Any]:
    address = f"http://127.0.0.1:{port}/{TOKEN}" if port else ""
    return {"schedule_jobs": list(wanted), "prosaas_notify_webhook": address, **settings}


def begins(output: str, kind: str, name: str) -> bool:
    return re.search(rf"{name} \({kind}\): next \w+ 20\S+ \d\d:\d\d", output) is not None


def test_check_mode_tells_and_makes_nothing(one: Controller) -> None:
    before = one.entries()
    foretold = one.play(jobs(BACKUP, AWAY, port=1), "--check", "--diff")
    assert foretold.code == 0 and foretold.stats["changed"] >= 3
    assert "OnCalendar=*-*-* *:*:00" in foretold.output and "(not shown, changed)" in foretold.output
    assert TOKEN not in foretold.output.replace(f"/{TOKEN}", "", 0).split("TASK", 1)[1]
    assert one.entries() == before and one.inside("ls", "-A", str(STATE), check=False) == ""


def test_a_timer_runs_a_backup(one: Controller, deployed: Stack) -> None:
    done = one.play(jobs(BACKUP, schedule_kind="systemd"))
    assert done.code == 0 and begins(done.output, "systemd", "backup")
    assert one.wait_for("backup", 240, state="ended")["outcome"] == "passed", one.outputs("backup")
    record = deployed.record()
    assert (record["playbook"], record["outcome"]) == ("backup", "backed_up")
    assert "Starting prosaas.demo.backup.service" in one.inside("journalctl", "-q", "-u", "prosaas.demo.backup.service")


def test_a_second_play_changes_nothing_and_says_how_the_last_run_ended(one: Controller) -> None:
    again = one.play(jobs(BACKUP, schedule_kind="systemd"))
    assert (again.code, again.stats["changed"]) == (0, 0)
    said = re.sub(r"\s+", " ", again.output)
    assert re.search(
        r"backup \(systemd\): next [^;]*; last (passed, begun 20\S+, [\d.]+ s, exit code 0|begun 20\S+, not ended)",
        said,
    )


def test_overlap_is_refused_and_a_killed_run_reported(one: Controller, scratch: Path) -> None:
    slow = {"name": "slow", "playbook": str(scratch / "slow.yml"), "at": "00:00"}
    unit = "prosaas.demo.slow.service"
    with webhook() as hook:
        assert one.play(jobs(slow, port=hook.port, schedule_kind="systemd")).code == 0
        assert "prosaas.demo.backup" not in one.entries(), "what is no longer wanted is taken away"
        one.inside("systemctl", "start", "--no-block", unit)
        one.wait_for("slow", 90, state="running")
        early = one.play({"schedule_state": "absent"})
        assert one.play(jobs(slow, port=hook.port, schedule_kind="systemd")).code == 0
        refused = one.run_now("slow")
        one.inside("systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit)
        one.wait_for("slow", 90, outcome="lost")
        one.inside("systemctl", "start", "--no-block", unit)
        one.wait_for("slow", 90, state="running")
        one.inside("systemctl", "stop", unit)
        one.wait_for("slow", 90, outcome="killed")
    assert early.code == 0 and "A run still goes on of slow" in re.sub(r"\s+", " ", early.output)
    assert refused.returncode == 75 and "still goes on" in refused.stderr
    assert [told["outcome"] for told in hook.got] == ["overlap", "lost", "killed"]
    assert {told["path"] for told in hook.got} == {f"/{TOKEN}"}


@pytest.mark.soak
def test_cron_runs_a_backup_and_what_no_playbook_tells_is_reported(one: Controller, deployed: Stack) -> None:
    with webhook() as hook:
        done = one.play(jobs(BACKUP, AWAY, port=hook.port, schedule_kind="cron"))
        assert done.code == 0 and begins(done.output, "cron", "backup") and begins(done.output, "cron", "away")
        assert "prosaas.demo." not in one.entries(), "the timers are gone"
        assert one.inside("crontab", "-l").count("* * * * * ") == 2
        away = one.wait_for("away", 240, state="ended")
        backup = one.wait_for("backup", 240, state="ended")
    assert (away["outcome"], away["code"]) == ("unreachable", 4), one.outputs("away")
    assert backup["outcome"] == "passed", one.outputs("backup")
    assert deployed.record()["outcome"] == "backed_up"
    assert {(told["job"], told["outcome"], told["event"]) for told in hook.got} == {("away", "unreachable", "failure")}
    modes = one.inside(
        "sh", "-c", f"stat -c %a {HOME} {HOME}/notify.json {HOME}/jobs/*.json {HOME}/output/backup/2*.log"
    )
    assert set(modes.split()) == {"700", "600"}
    assert TOKEN not in one.outputs("away") + one.outputs("backup")


def test_what_cannot_start_is_not_scheduled(one: Controller) -> None:
    typo = {"name": "typo", "playbook": "prosaas.ops.back_up", "at": "03:40"}
    done = one.play(jobs(typo, schedule_kind="cron"))
    assert done.code == 2
    assert "typo of demo cannot start: " in done.output and "Traceback" not in done.output
    assert "typo" not in one.entries()


def test_all_of_it_is_taken_away_again(one: Controller) -> None:
    foretold = one.play({"schedule_state": "absent"}, "--check")
    gone = one.play({"schedule_state": "absent"})
    assert (foretold.code, gone.code) == (0, 0) and foretold.stats["changed"] == gone.stats["changed"] > 0
    assert "prosaas" not in one.entries()
    assert one.inside("ls", "-A", str(HOME.parent)) == ""
    assert one.play({"schedule_state": "absent"}).stats["changed"] == 0


@pytest.mark.soak
def test_a_job_of_awx_in_check_mode(deployed: Stack, tmp_path: Path) -> None:
    with webhook() as hook:
        secrets = {"webhook": f"http://127.0.0.1:{hook.port}/{TOKEN}"}
        job = launch(tmp_path, "ProSaaS backup", {}, secrets, check=True)
    assert job.code == 0, job.output[-3000:]
    assert hook.got == []
    assert TOKEN not in job.output + job.kept()


@pytest.mark.soak
def test_a_job_of_awx_backs_up_and_keeps_no_secret(deployed: Stack, tmp_path: Path) -> None:
    with webhook() as hook:
        secrets = {"webhook": f"http://127.0.0.1:{hook.port}/{TOKEN}"}
        job = launch(tmp_path, "ProSaaS backup", {"backup_state": "present"}, secrets)
    assert job.code == 0, job.output[-3000:]
    assert [(told["event"], told["path"]) for told in hook.got] == [("start", f"/{TOKEN}"), ("success", f"/{TOKEN}")]
    record = deployed.record()
    assert (record["playbook"], record["outcome"], record["operator"]) == ("backup", "backed_up", "alice")
    kept = job.kept()
    assert "prosaas.ops.backup" in kept, "there is something to look through"
    assert TOKEN not in job.output + kept
