# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times in the words of cron and of systemd, job files, and what is taken away."""

from __future__ import annotations

import datetime
import fcntl
import json
import re
import shlex
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _schedule, _times
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

# A Saturday.
NOW = datetime.datetime(2026, 11, 28, 3, 40)
TIMES: list[tuple[str, list[str], list[int], str, str, str]] = [
    ("03:41", [], [], "41 3 * * *", "*-*-* 03:41:00", "2026-11-28 03:41"),
    ("03:40", [], [], "40 3 * * *", "*-*-* 03:40:00", "2026-11-29 03:40"),
    ("*:*", [], [], "* * * * *", "*-*-* *:*:00", "2026-11-28 03:41"),
    ("*:*/5", [], [], "*/5 * * * *", "*-*-* *:00/5:00", "2026-11-28 03:45"),
    ("04:*/30", [], [], "*/30 4 * * *", "*-*-* 04:00/30:00", "2026-11-28 04:00"),
    ("*:15", [], [], "15 * * * *", "*-*-* *:15:00", "2026-11-28 04:15"),
    ("23:*", ["sunday"], [], "* 23 * * 0", "Sun *-*-* 23:*:00", "2026-11-29 23:00"),
    ("00:00", ["saturday", "monday"], [], "0 0 * * 1,6", "Mon,Sat *-*-* 00:00:00", "2026-11-30 00:00"),
    ("04:40", [], [31, 1], "40 4 1,31 * *", "*-*-01,31 04:40:00", "2026-12-01 04:40"),
    ("04:40", [], [31], "40 4 31 * *", "*-*-31 04:40:00", "2026-12-31 04:40"),
    ("04:40", [], [30], "40 4 30 * *", "*-*-30 04:40:00", "2026-11-30 04:40"),
]


@pytest.mark.parametrize(("at", "days", "monthdays", "cron", "calendar", "upcoming"), TIMES)
def test_times(at: str, days: list[str], monthdays: list[int], cron: str, calendar: str, upcoming: str) -> None:
    times = _times.parsed(at, days, monthdays)
    assert " ".join(times.cron()[field] for field in ("minute", "hour", "day", "month", "weekday")) == cron
    assert times.calendar() == calendar
    assert times.next_after(NOW).isoformat(" ", "minutes") == upcoming


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd judges its own calendars")
@pytest.mark.parametrize(("at", "days", "monthdays", "cron", "calendar", "upcoming"), TIMES)
def test_systemd_reads_the_same_time(
    at: str, days: list[str], monthdays: list[int], cron: str, calendar: str, upcoming: str
) -> None:
    argv = ["systemd-analyze", "calendar", "--base-time", f"{NOW.isoformat(' ')} UTC", calendar]
    environment = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    said = subprocess.run(argv, capture_output=True, text=True, env=environment, check=True).stdout
    found = re.search(r"Next elapse: \w+ (\S+ \d\d:\d\d):00 UTC", said)
    assert found and found[1] == upcoming, said


def test_every_day_of_the_month_has_a_next_time() -> None:
    for day in range(1, 32):
        for month in range(1, 13):
            now = datetime.datetime(2027, month, 28, 12)
            assert _times.parsed("12:00", [], [day]).next_after(now).day == day


@pytest.mark.parametrize(
    ("at", "days", "monthdays", "said"),
    [
        ("750", [], [], "no time of a day"),  # YAML's reading of 12:30
        ("24:00", [], [], "no time of a day"),
        ("3:40", [], [], "no time of a day"),
        ("03:40\n", [], [], "no time of a day"),
        ("*:*/7", [], [], "do not divide the hour"),
        ("03:40", ["sun"], [], "no day of the week"),
        ("03:40", [], [32], "no month has"),
        ("03:40", ["sunday"], [1], "both set"),
    ],
)
def test_impossible_times(at: str, days: list[str], monthdays: list[int], said: str) -> None:
    with pytest.raises(OpsError, match=said):
        _times.parsed(at, days, monthdays)


def job(**settings: t.Any) -> dict[str, t.Any]:
    basis: dict[str, t.Any] = {"name": "backup", "playbook": "prosaas.ops.backup", "at": "03:40", "days": []}
    basis.update({"days_of_month": [], "extra_vars": {}, "extra_vars_files": [], "limit": "", "arguments": []})
    return {**basis, "timeout": 120, "repeat": True, **settings}


def params(directory: Path, **settings: t.Any) -> dict[str, t.Any]:
    basis: dict[str, t.Any] = {"label": "prod", "kind": "cron", "python": "/opt/a b/python", "project": "prosaasil"}
    basis.update({"ansible_playbook": "/opt/a b/ansible-playbook", "ansible_config": "", "working_directory": "/srv"})
    basis.update({"inventory": ["/srv/prod"], "vault_password_file": "", "environment": {}, "user": "ops"})
    basis.update({"home": "/home/ops", "keep": 30, "report": ["failed"], "webhook": "", "webhook_ca_path": ""})
    return {**basis, "mail": None, "notify_timeout": 10, "directory": str(directory), **settings}


def test_a_job_is_a_list_of_words_and_a_whole_environment(tmp_path: Path) -> None:
    place = _schedule.Place(tmp_path)
    odd = "a; touch /tmp/x $(id) %h"
    wanted = job(extra_vars={"drill": True}, extra_vars_files=["/srv/v.yml"], limit=odd, arguments=["--check"])
    made = _schedule.document(place, wanted, params(tmp_path, vault_password_file="/srv/.vault", environment={"N": 1}))
    assert made["argv"] == [
        *("/opt/a b/ansible-playbook", "prosaas.ops.backup", "--inventory", "/srv/prod"),
        *("--vault-password-file", "/srv/.vault", "--extra-vars", "@/srv/v.yml"),
        *("--extra-vars", f"@{tmp_path}/vars/backup.json", "--limit", odd, "--check"),
    ]
    assert made["environment"]["PATH"].startswith("/opt/a b:/usr/local/sbin:")
    assert (made["environment"]["HOME"], made["environment"]["N"], made["timeout"]) == ("/home/ops", "1", 7200)


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([job(name="Backup")], "cannot name"),
        ([job(name="a/../b")], "cannot name"),
        ([job(), job()], "Two jobs are called backup"),
        ([job(timeout=0)], "timeout is 0"),
        ([job(at="1200")], "Job backup: at is '1200'"),
    ],
)
def test_impossible_jobs(jobs: list[dict[str, t.Any]], said: str) -> None:
    with pytest.raises(OpsError, match=re.escape(said)):
        _schedule.checked("prod", jobs)


@pytest.mark.parametrize("word", ["", "two\nlines"])
def test_words_that_no_line_can_hold(tmp_path: Path, word: str) -> None:
    with pytest.raises(OpsError, match="is empty or has a control character"):
        _schedule.document(_schedule.Place(tmp_path), job(arguments=[word]), params(tmp_path))


def test_a_crontab_line_is_the_words_again() -> None:
    words = ["/opt/a b/python", "100%", "it's $HOME", "#;`id`"]
    line = _schedule.for_cron(words)
    assert "%" not in line.replace(r"\%", "")
    assert shlex.split(line.replace(r"\%", "%")) == words


def test_words_for_systemd() -> None:
    assert _schedule.for_systemd(["/a $b/p%", 'x"y\\', "$HOME %h"]) == r'"/a $b/p%%" "x\"y\\" "$$HOME %%h"'


def test_files_are_private_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    place, jobs = _schedule.Place(tmp_path / "set"), [job(extra_vars={"token": "s3cret-variable"})]
    settings = params(tmp_path, webhook="https://hooks.test/s3cret-hook")
    files = _schedule.wanted(place, jobs, settings)
    foretold = _schedule.settle(place, files, True)
    assert not place.directory.exists()
    assert _schedule.settle(place, files, False) == foretold
    assert [Path(one["after_header"]).name for one in foretold] == ["backup.json", "backup.json", "notify.json"]
    assert "s3cret" not in str(foretold)
    assert place.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert json.loads(place.notify.read_text())["webhook"] == "https://hooks.test/s3cret-hook"
    assert _schedule.settle(place, files, False) == []
    place.notify.chmod(0o644)
    assert len(_schedule.settle(place, files, True)) == 1
    assert len(_schedule.settle(place, files, False)) == 1 and place.notify.stat().st_mode & 0o777 == 0o600


def test_variables_and_receivers_that_are_gone_go(tmp_path: Path) -> None:
    place = _schedule.Place(tmp_path)
    settings = params(tmp_path, webhook="https://hooks.test/s3cret-hook")
    _schedule.settle(place, _schedule.wanted(place, [job(extra_vars={"a": 1})], settings), False)
    rest = _schedule.wanted(place, [job()], params(tmp_path))
    assert len(_schedule.settle(place, rest, True)) == 3 and place.notify.exists()
    assert len(_schedule.settle(place, rest, False)) == 3
    assert sorted(path.name for path in tmp_path.rglob("*.json")) == ["backup.json"]


def test_mail_without_anybody_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="nobody to write to"):
        _schedule.notices(params(tmp_path, mail={"host": "mail.test", "to": []}))


CRONTAB = (
    "#Ansible: prosaas.ops prod old\n0 0 * * * x\n#Ansible: prosaas.ops prod backup\n#Ansible: prosaas.ops other x\n"
)


def found(tmp_path: Path) -> _schedule.Installed:
    for name in (
        "prosaas.prod.backup.timer",
        "prosaas.prod.backup.service",
        "prosaas.prod-2.drill.timer",
        "ssh.service",
    ):
        (tmp_path / name).touch()
    return _schedule.installed("prod", CRONTAB, tmp_path)


def test_what_starts_jobs_now_is_looked_at(tmp_path: Path) -> None:
    there = found(tmp_path)
    assert (there.cron, there.systemd) == ({"old", "backup"}, {"backup"})


def test_what_is_gone_or_started_by_something_else_goes(tmp_path: Path) -> None:
    place = _schedule.Place(tmp_path / "set")
    _schedule.settle(place, _schedule.wanted(place, [job(name="fileless-entry")], params(tmp_path)), False)
    there = found(tmp_path)
    for name in ("backup", "old"):
        place.output(name).mkdir(parents=True)
        (place.output(name) / "lock").touch()
    running = (place.output("old") / "lock").open("rb")
    fcntl.flock(running, fcntl.LOCK_EX)
    assert _schedule.leaving(there, place, ["backup"], "systemd") == [
        {"name": "backup", "kinds": ["cron"], "whole": False, "busy": False},
        {"name": "fileless-entry", "kinds": [], "whole": True, "busy": False},
        {"name": "old", "kinds": ["cron"], "whole": True, "busy": True},
    ]
    assert (
        _schedule.leaving(
            _schedule.Installed(frozenset({"backup"}), frozenset()), place, ["backup", "fileless-entry"], "cron"
        )
        == []
    )
    everything = _schedule.leaving(there, place, [], None)
    assert [(one["name"], one["kinds"]) for one in everything] == [
        ("backup", ["cron", "systemd"]),
        ("fileless-entry", []),
        ("old", ["cron"]),
    ]
