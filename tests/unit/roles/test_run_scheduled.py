# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wrapper that cron and systemd start, with small programs in the place of ansible-playbook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from receivers import Received, mailbox, webhook

WRAPPER = Path(__file__).resolve().parents[3] / "roles/schedule/files/run_scheduled.py"
RECAP = "PLAY RECAP ****\n"
TOKEN = "c4n4ry-0f-the-webhook"
EVERYTHING = ["failed", "unreachable", "not_started", "overlap", "timeout", "killed", "lost"]


class Job:
    """A job in a directory, whose program is a line of Python."""

    def __init__(self, directory: Path, program: str, **settings: t.Any) -> None:
        self.directory, self.file, self.folder = directory, directory / "job.json", directory / "output/backup"
        content: dict[str, t.Any] = {"label": "prod", "name": "backup", "project": "prosaasil"}
        content.update({"playbook": "prosaas.ops.backup", "argv": [sys.executable, "-c", program]})
        content.update(
            {"directory": str(directory), "environment": {"PATH": "/usr/bin:/bin"}, "timeout": 60, "keep": 3}
        )
        content.update({"output": str(self.folder), "notify": str(directory / "notify.json"), "report": EVERYTHING})
        self.file.write_text(json.dumps({**content, **settings}))

    def tell(self, hook: Received | None = None, mails: Received | None = None) -> None:
        content: dict[str, t.Any] = {"webhook": "", "webhook_ca_path": "", "mail": {}, "timeout": 3}
        if hook:
            content["webhook"] = f"http://127.0.0.1:{hook.port}/{TOKEN}"
        if mails:
            content["mail"] = {"to": ["a@prosaas.test", "b@prosaas.test"], "host": "127.0.0.1", "port": mails.port}
        (self.directory / "notify.json").write_text(json.dumps(content))

    def start(self, *options: str) -> subprocess.Popen[str]:
        argv = [sys.executable, str(WRAPPER), *options, str(self.file)]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *options: str) -> tuple[int, str, str]:
        started = self.start(*options)
        out, err = started.communicate(timeout=60)
        assert "Traceback" not in err
        return started.returncode, out, err

    def outputs(self) -> list[str]:
        return [path.read_text() for path in sorted(self.folder.glob("*.log"))]

    def status(self) -> dict[str, t.Any]:
        status: dict[str, t.Any] = json.loads((self.folder / "status.json").read_text())
        return status

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 20
        while not any(text in output for output in self.outputs()):
            assert time.monotonic() < deadline, self.outputs()
            time.sleep(0.05)


def test_a_run_that_ends_well_says_nothing_and_is_kept(tmp_path: Path) -> None:
    program = (
        "import os, sys; print('HOME' in os.environ, os.isatty(0), sys.stdin.read() == '', os.getsid(0) == os.getpid())"
    )
    job = Job(tmp_path, program)
    with webhook() as hook:
        job.tell(hook)
        assert job.run() == (0, "", "")
    assert hook.got == []
    (output,) = job.outputs()
    assert output.startswith("False False True True\n-- backup of prod ended well after ")
    (path,) = job.folder.glob("*.log")
    assert (path.stat().st_mode & 0o777, job.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert (job.status()["outcome"], job.status()["code"]) == ("passed", 0)


@pytest.mark.parametrize(
    ("program", "outcome", "code"),
    [
        (f"print({RECAP!r}); raise SystemExit(2)", "failed", 2),
        (f"print({RECAP!r}); raise SystemExit(4)", "unreachable", 4),
        ("print('ERROR! no such playbook'); raise SystemExit(4)", "not_started", 4),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed", 137),
    ],
)
def test_a_failure_is_reported_both_ways(tmp_path: Path, program: str, outcome: str, code: int) -> None:
    job = Job(tmp_path, program)
    with webhook() as hook, mailbox() as mails:
        job.tell(hook, mails)
        ended, out, err = job.run()
    assert (ended, out, job.status()["outcome"]) == (code, "", outcome)
    assert err.startswith("Scheduled backup of prod on controller ") and err.count("\n") == 1
    (told,) = hook.got
    wanted = {"path": f"/{TOKEN}", "event": "failure", "outcome": outcome, "code": code, "project": "prosaasil"}
    assert {key: told[key] for key in wanted} == wanted
    assert told["text"] == err.strip() and told["output"] in told["text"]
    (letter,) = mails.got
    assert letter["Subject"] == f"prosaasil: scheduled backup: {outcome}"
    assert letter["To"] == "a@prosaas.test, b@prosaas.test" and told["output"] in letter.get_content()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    job = Job(tmp_path, "", argv=["/nowhere/ansible-playbook"])
    code, _out, err = job.run()
    assert code == 69 and "No such file or directory: /nowhere/ansible-playbook" in err
    assert job.run("--try")[0] == 69


def test_what_is_not_to_be_reported_is_not(tmp_path: Path) -> None:
    job = Job(tmp_path, f"print({RECAP!r}); raise SystemExit(2)", report=["overlap"])
    with webhook() as hook:
        job.tell(hook)
        assert job.run()[0] == 2
    assert hook.got == []


def test_an_end_that_is_not_repeated_is_reported_once_until_it_was_well(tmp_path: Path) -> None:
    mood = tmp_path / "mood"
    program = f"print({RECAP!r}); raise SystemExit(int(open({str(mood)!r}).read()))"
    job = Job(tmp_path, program, repeat=False)
    with webhook() as hook:
        job.tell(hook)
        for code in (2, 2, 4, 0, 2):
            mood.write_text(str(code))
            assert job.run()[0] == code
    assert [told["outcome"] for told in hook.got] == ["failed", "unreachable", "failed"]


def test_a_second_run_at_the_same_time_is_refused_and_reported(tmp_path: Path) -> None:
    job = Job(tmp_path, "import time; print('begun', flush=True); time.sleep(3)")
    with webhook() as hook:
        job.tell(hook)
        first = job.start()
        job.wait_for("begun")
        code, _out, err = job.run()
        assert first.wait(20) == 0
    assert code == 75 and f"process {first.pid}) still goes on" in err
    assert [told["outcome"] for told in hook.got] == ["overlap"]
    assert any("was refused" in output for output in job.outputs())
    assert job.status()["outcome"] == "passed", "the refused run is not the last run"


def test_a_run_out_of_time_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    program = (
        "import subprocess; print(subprocess.Popen(['sleep', '300']).pid, flush=True); import time; time.sleep(300)"
    )
    job = Job(tmp_path, program, timeout=1)
    with webhook() as hook:
        job.tell(hook)
        code, _out, _err = job.run()
    assert (code, [told["outcome"] for told in hook.got]) == (124, ["timeout"])
    assert not alive(int(job.outputs()[0].split()[0]))


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_one_that_is_told_to_end_ends_its_run_and_reports(tmp_path: Path) -> None:
    job = Job(tmp_path, "import os, time; print('begun', os.getpid(), flush=True); time.sleep(300)")
    with webhook() as hook:
        job.tell(hook)
        started = job.start()
        job.wait_for("begun")
        started.terminate()
        assert started.wait(20) == 128 + signal.SIGTERM
    assert [told["outcome"] for told in hook.got] == ["killed"]
    assert not alive(int(job.outputs()[0].split()[1]))


def test_one_that_was_killed_is_reported_once_by_what_comes_next(tmp_path: Path) -> None:
    job = Job(tmp_path, "import os, time; print('begun', os.getpid(), flush=True); time.sleep(300)")
    with webhook() as hook:
        job.tell(hook)
        started = job.start()
        job.wait_for("begun")
        started.kill()
        started.wait(20)
        child = int(job.outputs()[0].split()[1])
        assert job.run("--ended")[0] == 0
        assert hook.got == [], "its run goes on, and holds the lock"
        assert job.run()[0] == 75
        os.kill(child, signal.SIGKILL)
        while alive(child):
            time.sleep(0.05)
        assert [job.run("--ended")[0], job.run("--ended")[0]] == [0, 0]
    assert [told["outcome"] for told in hook.got] == ["overlap", "lost"]
    assert job.status()["outcome"] == "lost"


def test_outputs_are_kept_by_number_and_refused_runs_push_out_none(tmp_path: Path) -> None:
    job = Job(tmp_path, "print('whole')")
    job.folder.mkdir(parents=True)
    for number in range(5):
        (job.folder / f"20260101T00000{number}Z.log").write_text("old")
        (job.folder / f"20260101T00000{number}Z-refused.log").write_text("refused")
    assert job.run()[0] == 0
    assert sorted(output.split("\n")[0] for output in job.outputs()) == ["old", "old", *["refused"] * 5, "whole"]


def test_receivers_that_take_nothing_are_written_down_without_their_address(tmp_path: Path) -> None:
    job = Job(tmp_path, "raise SystemExit(1)")
    with webhook() as hook:
        hook.status = 500
        job.tell(hook, Received(1))
        code, _out, err = job.run()
    (output,) = job.outputs()
    assert code == 1
    assert "-- the webhook took nothing (it answered 500)" in output
    assert "-- the mail server took nothing (Connection refused)" in output
    assert TOKEN not in output + err


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_job_file(tmp_path: Path, text: str) -> None:
    job = Job(tmp_path, "")
    job.file.write_text(text)
    code, _out, err = job.run()
    assert code == 78 and "run the playbook schedule again" in err


def test_a_try_runs_nothing_and_wants_a_host(tmp_path: Path) -> None:
    job = Job(tmp_path, "import sys; print(sys.argv[1:], '\\n      prosaas-1')")
    code, out, _err = job.run("--try")
    assert (code, "--list-hosts" in out, job.outputs()) == (0, True, [])
    assert Job(tmp_path, "print('    hosts (0):')").run("--try")[0] == 69
