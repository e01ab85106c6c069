# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""release_watch on a real engine with a real nginx: green, and red by a fault of the containers each time."""

from __future__ import annotations

import datetime
import json
import subprocess
import threading
import time
import typing as t
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import Stack, check, module, stack, status

NGINX = """
worker_processes 1;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events {}
http {
    access_log /dev/stdout;
    server { listen 8080; location / { proxy_pass http://web:8000; } }
}
"""
# Answers the number that it is asked for, and says aloud what it is told to.
WEB = """
import http.server
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path[1:4])); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *words): pass
print("[2026-01-01 00:00:00] INFO     [boot] here", flush=True)
print("[2026-01-01 00:00:00] INFO     [boot] CRITICAL: benign", flush=True)
http.server.ThreadingHTTPServer(("", 8000), Web).serve_forever()
"""
PASSWORD = "correct-horse-battery"
CHECK = {"test": ["CMD", "test", "!", "-e", "/tmp/ill"], "interval": "1s", "timeout": "1s", "retries": 1}
SERVICES: dict[str, t.Any] = {
    "migrate": {"command": ["true"], "restart": "no"},
    "web": {
        "command": ["python3", "-c", WEB],
        "environment": {"APP_PASSWORD": PASSWORD},
        "healthcheck": CHECK,
        "restart": "unless-stopped",
    },
    "proxy": {
        "command": ["nginx", "-c", "/conf/nginx.conf", "-g", "daemon off;"],
        "volumes": ["./:/conf:ro"],
        "depends_on": {"web": {"condition": "service_healthy"}},
    },
}
OPTIONS: dict[str, t.Any] = {
    "proxy_service": "proxy",
    "window": 3,
    "least_requests": 10,
    "access_ignored": ['"prosaas\\.ops"$'],
    "forbidden": {
        "*": ["^\\[[^]]+\\] CRITICAL\\s+\\["],
        "pro*": ["\\[(emerg|alert)\\] ", "connect\\(\\) failed"],
    },
}


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture()
def project(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "nginx.conf").write_text(NGINX)
    with stack("watch", tmp_path, SERVICES) as running:
        yield running


def running(project: Stack) -> list[tuple[str, str]]:
    found = json.loads(docker("inspect", *(project.container(name) for name in SERVICES)))
    return [(one["Id"], one["State"]["StartedAt"]) for one in found]


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def watch(project: Stack, **options: t.Any) -> dict[str, t.Any]:
    return module("release_watch", **{**project.options, **OPTIONS, **options})


def ask(project: Stack, path: str, times: int = 1, agent: str = "") -> None:
    """Send requests through the proxy as a client does; without an agent, Python's own."""
    found = json.loads(docker("inspect", project.container("proxy")))[0]["NetworkSettings"]["Networks"]
    address = next(iter(found.values()))["IPAddress"]
    for _time in range(times):
        headers = {"User-Agent": agent} if agent else {}
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://{address}:8080/{path}", headers=headers), timeout=5)
        except urllib.error.HTTPError:
            pass


def say(project: Stack, service: str, line: str) -> None:
    """Print a line as the container's first process does."""
    docker("exec", project.container(service), "sh", "-c", 'echo "$1" >/proc/1/fd/1', "sh", line)


def test_green_counts_what_the_proxy_answered_and_touches_nothing(project: Stack) -> None:
    before = running(project)
    ask(project, "200", 15)
    ask(project, "404")
    ask(project, "500", 20, agent="prosaas.ops")  # a probe of ours does not count
    seen = watch(project)
    assert status(seen) == {"watch.restarts": "pass", "watch.errors": "pass", "watch.lines": "pass"}
    assert (seen["requests"], seen["errors"]) == (16, 0)
    assert not seen["changed"]
    assert 3 <= seen["watched"] < 6
    assert before == running(project)


def test_requests_during_the_watch_count_and_an_error_rate_ends_it(project: Stack) -> None:
    client = threading.Timer(2, ask, [project, "502?token=hidden", 30])
    client.start()
    seen = watch(project, window=60)
    client.join()
    errors = check(seen, "watch.errors")
    assert errors["status"] == "fail"
    assert "GET /502" in errors["evidence"] and "hidden" not in str(seen)
    assert "logs --tail 100 proxy" in errors["remedy"]
    assert seen["watched"] < 30, "the end of the window was not waited for"


def test_few_requests_only_warn_and_a_few_errors_of_many_pass(project: Stack) -> None:
    ask(project, "500")
    assert check(watch(project, window=1), "watch.errors")["status"] == "warn"
    ask(project, "200", 150)
    seen = check(watch(project, window=1), "watch.errors")
    assert seen["status"] == "pass"
    assert "1 of 151 requests" in seen["evidence"]


def test_answers_before_the_switch_ended_do_not_count(project: Stack) -> None:
    ask(project, "500", 30)
    time.sleep(0.1)
    seen = watch(project, window=1, served=now())
    assert (check(seen, "watch.errors")["status"], seen["requests"]) == ("pass", 0)
    assert "too few" in check(seen, "watch.errors")["evidence"]


def test_an_upstream_that_is_gone_shows_in_lines_and_in_restarts(project: Stack) -> None:
    ended = now()
    docker("stop", "-t", "0", project.container("web"))
    ask(project, "200")
    seen = watch(project, window=60, served=ended)
    assert check(seen, "watch.lines")["status"] == "fail"
    assert "connect() failed" in check(seen, "watch.lines")["evidence"]
    assert seen["watched"] < 10


def test_a_death_ends_the_watch_and_shows_the_last_words(project: Stack) -> None:
    say(project, "web", f"dsn=postgres://u:{PASSWORD}@db/x")
    killer = threading.Timer(2, docker, ["kill", project.container("web")])
    killer.start()
    seen = watch(project, window=60)
    killer.join()
    restarts = check(seen, "watch.restarts")
    assert restarts["status"] == "fail"
    assert "web: died" in restarts["evidence"] and "dsn=" in restarts["evidence"]
    assert PASSWORD not in str(seen)
    assert seen["watched"] < 30


def test_a_service_that_falls_ill_fails(project: Stack) -> None:
    docker("exec", project.container("web"), "touch", "/tmp/ill")
    time.sleep(3)
    seen = watch(project, window=60)
    assert check(seen, "watch.restarts")["status"] == "fail"
    assert "unhealthy" in check(seen, "watch.restarts")["evidence"]
    assert seen["watched"] < 20


def test_a_critical_line_of_a_new_container_fails_also_one_from_its_start(project: Stack) -> None:
    began = now()
    say(project, "web", "[2026-01-01 00:00:00] CRITICAL [boot] before the switch")
    assert check(watch(project, window=1, since=began, served=now()), "watch.lines")["status"] == "pass"
    project.compose("up", "-d", "--force-recreate", "--no-deps", "web")
    say(project, "web", f"[2026-01-01 00:00:00] CRITICAL [boot] it burns {PASSWORD}")
    seen = watch(project, window=60, since=began, served=now())
    lines = check(seen, "watch.lines")
    assert lines["status"] == "fail"
    assert lines["evidence"].startswith("web (1): [2026-01-01 00:00:00] CRITICAL [boot] it burns")
    assert PASSWORD not in str(seen)
    assert seen["watched"] < 5


def test_superseded_containers_are_left_out(project: Stack) -> None:
    began = now()
    old = docker("ps", "-q", "--no-trunc", "--filter", f"id={project.container('web')}").strip()
    project.compose("up", "-d", "--no-recreate", "--scale", "web=2", "web")
    say_old = ["exec", old, "sh", "-c", 'echo "[x] CRITICAL [y] its own affair" >/proc/1/fd/1']
    docker(*say_old)
    state = project.directory / "state"
    state.mkdir(exist_ok=True)
    (state / "superseded.json").write_text(json.dumps({"containers": [{"id": old, "service": "web", "why": "call"}]}))
    killer = threading.Timer(1, docker, ["rm", "-f", old])
    killer.start()
    seen = watch(project, since=began, served=began)
    killer.join()
    assert seen["verdict"] == "pass", seen["msg"]


def test_a_wrong_pattern_is_unknown_and_a_slip_in_it_an_error(project: Stack) -> None:
    ask(project, "200", 20)
    seen = watch(project, window=1, access_line="^never (?P<status>5)")
    assert check(seen, "watch.errors")["status"] == "unknown"
    for slip in ({"access_line": "no group"}, {"forbidden": {"*": ["("]}}, {"forbidden": {"*": "text"}}, {"since": "now"}):
        seen = watch(project, window=1, **slip)
        assert seen["failed"] and "Traceback" not in str(seen), slip


def test_switched_off_it_skips(project: Stack) -> None:
    assert set(status(watch(project, window=0)).values()) == {"skip"}
