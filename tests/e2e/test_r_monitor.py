# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitor on the stack: each trouble is caused for real, told once, and its end is told once; quiet runs write nothing."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from canary import hits as shown
from canary import needles, secrets
from demo_stack import DEMO, PROJECT, Played, Stack, run
from faults import cloud
from faults.tls import issue, kept
from prometheus_client.parser import text_string_to_metric_families
from receivers import Received, mailbox, webhook
from verify_faults import container, open_sessions, stopped
from verify_faults.background import ASIDE, CREDENTIALS, no_backups
from verify_faults.capacity import members

STATE = DEMO / "state/seen/monitor.json"
WINDOW = 45  # seconds of log, in place of a quarter of an hour
STALE = """
import logging, threading, time
from server import logs
from server.db import db
logs.configure()
try:
    db.execute("SELECT pg_sleep(60) /* monitor */")
except Exception as error:
    logging.getLogger("server.jobs").error("job %s failed: %s", 4711, error)
"""
# A canary in a log: what the application must not do, and yet may.
CANARY = """
import logging, os
from server import logs
logs.configure()
for number in range(3):
    logging.getLogger("server.jobs").error("job %s failed with %s", number, os.environ["INTERNAL_SECRET"])
"""
QUERY = "query LIKE '%* monitor *%' AND pid <> pg_backend_pid()"
SITE = "https://prosaas.test"
NO_KEY = "SECRET_KEY= timeout 4 uvicorn asgi:app --port 5999"

# What each trouble is called; more may come of the same cause, such as the queries of those that want the database.
TROUBLES = {
    "slots stuck": "capacity.leaked",
    "pool exhaustion": "database.app.room",
    "stale pool connections": "logs.prosaas-api.stale",
    "repeated errors": "logs.prosaas-api.repeated",
    "SECRET_KEY errors": "logs.prosaas-api.secret_key",
    "CSRF errors": "logs.prosaas-api.csrf",
    "WhatsApp disconnections": "logs.baileys.disconnected",
    "a QR code shown again": "logs.baileys.qr",
    "a session that is lost": "sessions.connected",
    "certificate days": "endpoint.health.certificate",
    "backup age": "backup.newest",
    "disk": "disk.small",
    "restarts": "compose.n8n.restarts",
}


class Monitor:
    """Runs of the playbook with receivers of their own, and what they left."""

    def __init__(self, stack: Stack, scratch: Path, hook: Received, mails: Received | None = None) -> None:
        self.stack, self.hook, self.mails = stack, hook, mails
        self.small, self.textfiles = scratch / "small", scratch / "textfiles"
        for directory in (self.small, self.textfiles):
            directory.mkdir()
        self.settings: dict[str, t.Any] = {
            "monitor_window": WINDOW,
            "monitor_calm": 0,
            "monitor_textfile_dir": str(self.textfiles),
            "monitor_disks": {"state": str(DEMO / "state"), "small": str(self.small)},
            "prosaas_notify_webhook": f"http://127.0.0.1:{hook.port}/",
        }
        if mails:
            to = {"to": ["ops@prosaas.test"], "host": "127.0.0.1", "port": mails.port, "secure": "never"}
            self.settings["prosaas_notify_mail"] = to

    def look(self, *options: str) -> Played:
        return self.stack.play("monitor", "-e", json.dumps(self.settings), *options, short=False)

    def told(self) -> list[str]:
        """The lines of the only notice since the last question; none when there was none."""
        notices = list(self.hook.got)
        self.hook.got.clear()
        assert len(notices) <= 1, notices
        return notices[0]["msg"].splitlines() if notices else []

    @property
    def metrics(self) -> str:
        (path,) = self.textfiles.iterdir()
        return path.read_text()

    def value(self, name: str, **labels: str) -> float:
        (found,) = (
            sample.value
            for family in text_string_to_metric_families(self.metrics)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
        return found


def checks(lines: list[str], over: bool) -> list[str]:
    words = [line.split(None, 1) for line in lines]
    return [rest.partition(": ")[0] for status, rest in words if (status == "over") == over]


def in_the_log(service: str, command: str, *options: str) -> subprocess.Popen[bytes]:
    """Run a program in a container that prints to its log, as its own processes do."""
    shell = f"exec {command} >/proc/1/fd/1 2>&1"
    return subprocess.Popen(["docker", "exec", *options, container(service), "sh", "-c", shell])


def python(code: str) -> subprocess.Popen[bytes]:
    return in_the_log("prosaas-api", 'python3 -c "$CODE"', "-e", f"CODE={code}")


def psql(statement: str) -> str:
    server = ["docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1", "psql", "-qtAX", "-d", "prosaas"]
    return run(*server, "-c", statement).strip()


@contextlib.contextmanager
def used_up_database() -> Iterator[None]:
    """A query is under way when the last connection is taken, and then its own is cut."""
    query = python(STALE)
    wait_for(lambda: psql(f"SELECT count(*) FROM pg_stat_activity WHERE {QUERY}") == "1")
    with cloud("db-full"):
        assert psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {QUERY}") == "t"
        query.wait(10)
        yield


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Lines that the application prints by itself: at requests without their token, and at a start without its key."""
    programs = [python(CANARY), in_the_log("prosaas-api", f"env {NO_KEY}")]
    for number in range(3):
        answer = requests.post(f"{SITE}/api/leads", json={"n": number}, verify=str(DEMO / "ca/ca.crt"), timeout=10)
        assert answer.status_code == 403
    for program in programs:
        program.wait(30)
    yield


def wait_for(met: t.Callable[[], bool]) -> None:
    for _try in range(200):
        if met():
            return
        time.sleep(0.1)
    raise AssertionError("it has not come to that within 20 s")


@contextlib.contextmanager
def whatsapp_lost() -> Iterator[None]:
    """The phone ends the session; somebody asks for it, and a QR code is shown again."""
    run("docker", "exec", container("baileys"), "mv", CREDENTIALS, ASIDE)
    ask = 'curl -fsS -H "X-Internal-Secret: $INTERNAL_SECRET" http://baileys:3300/whatsapp/business_1/status'
    run("docker", "exec", container("prosaas-api"), "sh", "-c", ask)
    open_sessions()
    try:
        yield
    finally:
        run("docker", "exec", container("baileys"), "mv", ASIDE, CREDENTIALS)
        # What waits for a QR code does not look at the credentials again.
        run("docker", "restart", "-t", "1", container("baileys"))
        open_sessions()


@contextlib.contextmanager
def short_certificate() -> Iterator[None]:
    try:
        with kept():
            issue("rsa:2048", "sha256", days=5)
            run("docker", "exec", container("nginx"), "nginx", "-s", "reload")
            yield
    finally:
        run("docker", "exec", container("nginx"), "nginx", "-s", "reload")


@contextlib.contextmanager
def full_disk(directory: Path) -> Iterator[None]:
    (directory / "filler").write_bytes(b"\0" * 3_900_000)
    try:
        yield
    finally:
        (directory / "filler").unlink()


@contextlib.contextmanager
def killed(service: str) -> Iterator[None]:
    """Kill what a container runs; its restart policy starts it again."""
    there = container(service)
    before = run("docker", "inspect", "-f", "{{.RestartCount}}", there)
    run("kill", "-9", run("docker", "inspect", "-f", "{{.State.Pid}}", there).strip())
    wait_for(lambda: run("docker", "inspect", "-f", "{{.RestartCount}}", there) != before)
    yield


def new_log(service: str) -> None:
    """Start a container again: to verify, what it said before is no fault of this start."""
    there = container(service)
    run("docker", "restart", "-t", "2", there)
    wait_for(lambda: run("docker", "inspect", "-f", "{{.State.Health.Status}}", there).strip() == "healthy")
    run("docker", "exec", container("nginx"), "nginx", "-s", "reload")


def written() -> dict[str, int]:
    """When each file of the state was written, but for those of the lease and of other runs."""
    return {str(path): path.stat().st_mtime_ns for path in (DEMO / "state/seen").rglob("*") if path.is_file()}


@pytest.fixture
def monitor(deployed: Stack, tmp_path: Path) -> Iterator[Monitor]:
    """A monitor that has seen the stack once; a small disk of its own is a file system in memory."""
    if not list((DEMO / "state/backups").glob("2*")):
        assert deployed.play("backup").code == 0
    open_sessions()
    STATE.unlink(missing_ok=True)
    with webhook() as hook, mailbox() as mails:
        made = Monitor(deployed, tmp_path, hook, mails)
        run("mount", "-t", "tmpfs", "-o", "size=4m", "none", made.small)
        try:
            yield made
        finally:
            run("umount", made.small)
            STATE.unlink(missing_ok=True)
            new_log("prosaas-api")


def test_each_trouble_is_told_once_and_its_end_once(monitor: Monitor) -> None:
    monitor.look()  # what others have logged just now is known from here on
    known = checks(monitor.told(), over=False)
    assert all(check.startswith("logs.") for check in known), known

    with contextlib.ExitStack() as causes:
        for cause in (
            *(lambda: killed("n8n"), short_certificate, no_backups, lambda: members("CAmonitor")),
            *(lambda: full_disk(monitor.small), used_up_database, whatsapp_lost, errors),
        ):
            causes.enter_context(cause())
        caused = time.time()
        bad = monitor.look("-vv")
        lines = monitor.told()
        assert bad.code == 2 and bad.stats["changed"] == 0
        begun = checks(lines, over=False)
        assert set(TROUBLES.values()) <= set(begun), f"not told: {set(TROUBLES.values()) - set(begun)}"
        # Two kinds of repeated errors may be two troubles of one check, the same one never.
        assert len(lines) == len(set(lines)) and checks(lines, over=True) == []
        assert re.search(r"csrf: new: .*CSRF token missing or incorrect.*\(3 in ", "\n".join(lines))
        before = written()
        assert monitor.value("prosaas_check_status", check="capacity.leaked") == 3
        assert monitor.value("prosaas_call_slots", state="leaked") == 1
        assert monitor.value("prosaas_log_lines", check="logs.prosaas-api.csrf") == 3
        assert monitor.value("prosaas_disk_free_bytes", disk="small") < 400_000
        # The canary: nothing of it in what leaves the host, in the state or in the output.
        runs = needles({name: value for name, value in secrets().items() if name == "INTERNAL_SECRET"})
        kept_and_sent = {
            "notice": "\n".join(lines),
            "mail": monitor.mails.got[0].get_body(("plain",)).get_content() if monitor.mails else "",
            "metrics": monitor.metrics,
            "state": STATE.read_text(),
            "output": bad.output,
        }
        assert "job # failed with ********" in kept_and_sent["notice"]
        assert shown(kept_and_sent.items(), runs) == []

        again = monitor.look()
        assert again.code == 2
        news = monitor.told()
        assert set(checks(news, over=False)) & set(TROUBLES.values()) == set(), news

    time.sleep(max(0, caused + WINDOW - time.time()))
    good = monitor.look()
    ended = monitor.told()
    assert good.code == 0, good.output[-3000:]
    assert checks(ended, over=False) == []
    # What was seen for a moment may have been over at the second look already.
    over = [line for line in news + ended if line.startswith("over ")]
    assert set(TROUBLES.values()) <= set(checks(over, over=True))
    assert len(over) == len(set(over))

    before = written()
    last = monitor.look()
    assert (last.code, last.stats["changed"], monitor.told()) == (0, 0, [])
    assert written() == before


@pytest.mark.soak
def test_ten_quiet_runs_write_nothing(monitor: Monitor) -> None:
    time.sleep(WINDOW)
    assert monitor.look().code == 0
    before, records = written(), sorted((DEMO / "records/demo").iterdir())
    for _look in range(10):
        done = monitor.look()
        assert (done.code, done.stats["changed"]) == (0, 0)
    assert (written(), monitor.told()) == (before, [])
    assert sorted((DEMO / "records/demo").iterdir()) == records and not monitor.stack.locked()


@pytest.mark.soak
def test_what_was_told_to_nobody_is_told_at_the_next_run(monitor: Monitor) -> None:
    time.sleep(WINDOW)
    del monitor.settings["prosaas_notify_mail"]
    with members("CAmonitor"):
        monitor.hook.status = 500
        assert "Operators were not told" in monitor.look().output
        monitor.hook.got.clear()
        monitor.hook.status = 200
        monitor.look()
        assert checks(monitor.told(), over=False) == ["capacity.leaked"]
        monitor.look()
        assert monitor.told() == []
    monitor.look()
    assert checks(monitor.told(), over=True) == ["capacity.leaked"]


@pytest.mark.soak
def test_check_mode_tells_and_keeps_nothing(monitor: Monitor) -> None:
    time.sleep(WINDOW)
    with members("CAmonitor"):
        done = monitor.look("--check")
    assert done.code == 2 and "capacity.leaked" in done.output
    assert (monitor.told(), STATE.exists(), list(monitor.textfiles.iterdir())) == ([], False, [])


@pytest.mark.soak
def test_what_cannot_be_known_is_told_as_that_and_ends_nothing(monitor: Monitor) -> None:
    time.sleep(WINDOW)
    with members("CAmonitor"):
        monitor.look()
        assert checks(monitor.told(), over=False) == ["capacity.leaked"]
        with stopped("baileys"), stopped("redis"):
            monitor.look()
            lines = monitor.told()
        assert any("sessions.connected: cannot be known: none of baileys" in line for line in lines)
        # The slots are not known because of Redis, which is told.
        assert "capacity.redis" in checks(lines, over=False) and "capacity.leaked" not in checks(lines, over=False)
        assert checks(lines, over=True) == []
    monitor.look()
    over = checks(monitor.told(), over=True)
    assert {"capacity.leaked", "capacity.redis", "sessions.connected"} <= set(over) and len(over) == len(set(over))


@pytest.mark.soak
def test_a_deployment_that_goes_on_is_no_trouble(monitor: Monitor) -> None:
    lease = DEMO / "state/lease.json"
    holder = {"run": "20261128T120000Z-deploy-0000", "owner": "demo", "controller": "here", "boot_id": "", "pid": 1}
    lease.write_text(
        json.dumps({**holder, "process_started": 0, "playbook": "deploy", "taken": "2026-11-28T12:00:00Z"})
    )
    try:
        with members("CAmonitor"):
            assert monitor.look().code == 0
    finally:
        lease.unlink()
    assert monitor.told() == [] and PROJECT.is_dir()
