# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled jobs as files: what each runs, and the lines by which cron or systemd starts it.

A job is a JSON file that ``run_scheduled.py`` (roles/schedule/files) reads: arguments and environment are lists there, so
no shell reads a setting. The line in a crontab or a unit names three paths and nothing else.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import re
import shlex
import shutil
import typing as t
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import _store, _times
from ._errors import OpsError

CRON, SYSTEMD = "cron", "systemd"
KINDS = (CRON, SYSTEMD)
REPORTS = ("failed", "unreachable", "not_started", "overlap", "timeout", "killed", "lost")
# So that a name is a file's, a unit's and a crontab comment's without quoting.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
# Cron gives a job almost no environment, systemd another one: each job brings the whole of its own.
_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_CRON_DAEMONS = {"cron", "crond", "anacron", "fcron", "cronie", "dcron", "bcron"}


@dataclass(frozen=True)
class Place:
    """Where the files of one set of schedules are on the controller."""

    directory: Path

    @property
    def wrapper(self) -> Path:
        return self.directory / "run_scheduled.py"

    @property
    def notify(self) -> Path:
        return self.directory / "notify.json"

    def job(self, name: str) -> Path:
        return self.directory / "jobs" / f"{name}.json"

    def variables(self, name: str) -> Path:
        return self.directory / "vars" / f"{name}.json"

    def output(self, name: str) -> Path:
        return self.directory / "output" / name

    def written(self) -> list[str]:
        """Return the names of the jobs whose files are there."""
        return [path.stem for path in sorted((self.directory / "jobs").glob("*.json")) if named(path.stem)]


def named(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def checked(label: str, jobs: Sequence[dict[str, t.Any]]) -> dict[str, _times.Times]:
    """Return when each job runs; a setting that cannot be is an error that names job and setting."""
    for name in (label, *(job["name"] for job in jobs)):
        if not named(name):
            raise OpsError(
                f"{name!r} cannot name a schedule.",
                "Use up to 40 small letters, digits, _ and -, a letter or digit first.",
            )
    names = [job["name"] for job in jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OpsError(f"Two jobs are called {twice[0]}.", "Give each a name of its own.")
    times = {}
    for job in jobs:
        if job["timeout"] < 1:
            raise OpsError(f"Job {job['name']}: timeout is {job['timeout']}.", "Give it a minute or more.")
        try:
            times[job["name"]] = _times.parsed(job["at"], job["days"], job["days_of_month"])
        except OpsError as error:
            raise OpsError(f"Job {job['name']}: {error.problem}", error.remedy) from None
    return times


def document(place: Place, job: dict[str, t.Any], params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the file of one job: all that the wrapper must know."""
    words = [params["ansible_playbook"], job["playbook"]]
    words += [word for inventory in params["inventory"] for word in ("--inventory", inventory)]
    words += ["--vault-password-file", params["vault_password_file"]] if params["vault_password_file"] else []
    words += [word for file in job["extra_vars_files"] for word in ("--extra-vars", f"@{file}")]
    words += ["--extra-vars", f"@{place.variables(job['name'])}"] if job["extra_vars"] else []
    words += ["--limit", job["limit"]] if job["limit"] else []
    words += job["arguments"]
    for setting in ("ansible_playbook", "directory", "home", "python", "working_directory"):
        if not os.path.isabs(params[setting]):
            raise OpsError(f"{setting} is {params[setting]!r}, which is no whole path.", "Begin it with a slash.")
    for word in (*words, params["directory"], params["python"]):
        if not word or re.search(r"[\x00-\x1f\x7f]", word):
            raise OpsError(f"Job {job['name']}: {word!r} is empty or has a control character.", "Write it without.")
    return {
        "label": params["label"],
        "name": job["name"],
        "project": params["project"],
        "playbook": job["playbook"],
        "argv": words,
        "directory": params["working_directory"],
        "environment": environment(params),
        "timeout": job["timeout"] * 60,
        "keep": params["keep"],
        "output": str(place.output(job["name"])),
        "notify": str(place.notify),
        "report": list(params["report"]),
        "repeat": job["repeat"],
    }


def environment(params: dict[str, t.Any]) -> dict[str, str]:
    """Return the whole environment of a job."""
    path = dict.fromkeys((os.path.dirname(params["ansible_playbook"]), *_PATH))
    basis = {
        "PATH": ":".join(path),
        "HOME": params["home"],
        "USER": params["user"],
        "LOGNAME": params["user"],
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",  # Ansible starts in no other than a UTF-8 locale
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_STDOUT_CALLBACK": "default",  # the wrapper looks for its recap
        "PYTHONUNBUFFERED": "1",  # so that the output says how far a killed run came
    }
    if params["ansible_config"]:
        basis["ANSIBLE_CONFIG"] = params["ansible_config"]
    return {**basis, **{name: str(value) for name, value in params["environment"].items()}}


def notices(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the file with who is told, which holds secrets; empty when nobody is."""
    mail = {key: value for key, value in (params["mail"] or {}).items() if value not in (None, "", [])}
    if not params["webhook"] and not mail:
        return {}
    if mail and not mail.get("to"):
        raise OpsError("A mail server is given and nobody to write to.", "Set to, a list of addresses.")
    return {
        "webhook": params["webhook"],
        "webhook_ca_path": params["webhook_ca_path"],
        "mail": mail,
        "timeout": params["notify_timeout"],
    }


def for_cron(words: Iterable[str]) -> str:
    """Quote words for the shell of a crontab's line, where a bare percent sign is the end of the line."""
    return " ".join(shlex.quote(word) for word in words).replace("%", r"\%")


def for_systemd(words: Sequence[str]) -> str:
    """Quote words for ``ExecStart=``: no specifier and no variable of systemd's is replaced in them."""
    quoted = [re.sub(r'(["\\])', r"\\\1", word).replace("%", "%%") for word in words]
    # The program itself is taken as it stands; in what follows a variable would be put in.
    return " ".join(f'"{word}"' for word in [quoted[0], *(word.replace("$", "$$") for word in quoted[1:])])


def described(place: Place, name: str, times: _times.Times, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return how cron or systemd starts a job, when it runs next, and how its last run ended."""
    words = [params["python"], str(place.wrapper), str(place.job(name))]
    upcoming = times.next_after(datetime.datetime.now()).astimezone()
    return {
        "name": name,
        "unit": f"prosaas.{params['label']}.{name}",  # no name has a dot, so no two sets share a unit
        "entry": f"prosaas.ops {params['label']} {name}",
        "cron": times.cron(),
        "command": for_cron(words),
        "calendar": times.calendar(),
        "start": for_systemd(words),
        "ended": for_systemd([*words[:2], "--ended", words[2]]),
        "try": [*words[:2], "--try", words[2]],
        "next": upcoming.strftime("%a %Y-%m-%d %H:%M %Z"),
        "last": last_run(place, name),
    }


def last_run(place: Place, name: str) -> str:
    """Return one sentence on the last run; empty before the first."""
    try:
        status = _store.read_json(place.output(name) / "status.json")
    except OpsError:
        return "not known: its status file is damaged"
    if not isinstance(status, dict):
        return ""
    if status.get("state") == "running":
        return f"begun {status.get('started')}, not ended"
    return f"{status.get('outcome')}, begun {status.get('started')}, {status.get('seconds')} s, exit code {status.get('code')}"


def wanted(place: Place, jobs: Sequence[dict[str, t.Any]], params: dict[str, t.Any]) -> dict[Path, dict[str, t.Any]]:
    """Return every file that is to be there, with its content."""
    files: dict[Path, dict[str, t.Any]] = {}
    for job in jobs:
        files[place.job(job["name"])] = document(place, job, params)
        if job["extra_vars"]:
            files[place.variables(job["name"])] = job["extra_vars"]
    told = notices(params)
    return {**files, place.notify: told} if told else files


def settle(place: Place, files: dict[Path, dict[str, t.Any]], check_mode: bool) -> list[dict[str, str]]:
    """Write what differs and take away variables and receivers that are gone; return the differences.

    The job files of jobs that are gone stay until the caller has taken away what starts them.
    """
    diff = []
    for path, content in files.items():
        before, after = _text(path), json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        if before != after:
            diff.append(_difference(place, path, before, after))
            if not check_mode:
                _store.write_whole(path, after.encode())
        elif path.stat().st_mode & 0o777 != 0o600:
            diff.append(_difference(place, path, "another mode\n", "mode 0600\n"))
            if not check_mode:
                path.chmod(0o600)
    for path in [*sorted((place.directory / "vars").glob("*.json")), place.notify]:
        if path.exists() and path not in files:
            diff.append(_difference(place, path, _text(path), ""))
            if not check_mode:
                path.unlink()
    return diff


def _difference(place: Place, path: Path, before: str, after: str) -> dict[str, str]:
    """Describe a change; of receivers and variables, in which a secret may stand, only that there was one."""
    if path == place.notify or path.parent == place.directory / "vars":
        before, after = ("(not shown)\n" if before else ""), ("(not shown, changed)\n" if after else "")
    return {"before_header": str(path), "after_header": str(path), "before": before, "after": after}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def leaving(found: Installed, place: Place, names: Iterable[str], kind: str | None) -> list[dict[str, t.Any]]:
    """Return what is to be taken away: of jobs that are gone, and what starts a job that something else starts now.

    ``kind`` is ``None`` when all of it goes. A job that runs keeps its files until the next time.
    """
    wanted = set() if kind is None else set(names)
    gone = []
    for name in sorted({*found.cron, *found.systemd, *place.written()}):
        kinds = [each for each, there in ((CRON, found.cron), (SYSTEMD, found.systemd)) if name in there]
        whole = name not in wanted
        if whole or set(kinds) - {kind}:
            going = [each for each in kinds if whole or each != kind]
            gone.append({"name": name, "kinds": going, "whole": whole, "busy": busy(place, name)})
    return gone


@dataclass(frozen=True)
class Installed:
    """Names of the jobs of one set that cron and systemd start now, whatever this module knows of them."""

    cron: frozenset[str]
    systemd: frozenset[str]


def installed(label: str, crontab: str, unit_dir: Path) -> Installed:
    """Look into the user's crontab (its text) and the directory of the units."""
    lines = re.findall(rf"^#Ansible: prosaas\.ops {re.escape(label)} (\S+)$", crontab, re.MULTILINE)
    units = [path.name.split(".") for path in unit_dir.glob(f"prosaas.{label}.*.*")]
    jobs = [words[2] for words in units if len(words) == 4 and words[3] in ("service", "timer")]
    return Installed(frozenset(filter(named, lines)), frozenset(filter(named, jobs)))


def busy(place: Place, name: str) -> bool:
    """Whether a run of that job goes on: it holds the lock."""
    try:
        with (place.output(name) / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def starter(kind: str, user: str) -> str:
    """Make sure that something here can start jobs; return what is to be looked at, in a sentence, or nothing."""
    if kind == SYSTEMD:
        if not Path("/run/systemd/system").is_dir():
            raise OpsError("systemd does not run on this controller.", "Use -e schedule_kind=cron.")
        if os.geteuid() != 0 and not Path("/var/lib/systemd/linger", user).exists():
            return f"The timers of {user} run only while {user} is logged in; to have them always: loginctl enable-linger {user}"
        return ""
    if shutil.which("crontab") is None:
        raise OpsError("crontab is not installed on this controller.", "Install cron (apt-get install cron).")
    if not _running(_CRON_DAEMONS):
        return "No cron daemon runs on this controller, so nothing will start: systemctl enable --now cron"
    return ""


def _running(names: set[str]) -> bool:
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text(encoding="utf-8", errors="replace").strip() in names:
                return True
        except OSError:
            continue  # it has ended meanwhile
    return False
