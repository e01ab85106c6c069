# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold after every fault of a deployment, and the means to see it: the stack, the edge, a run to be killed."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import typing as t
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from demo_stack import DEMO, PROJECT, ROOT, SHORT, Played, Stack, run

COMPOSE = ["docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.prod.yml"]
ONE_SHOTS = {"migrate", "indexer", "backfill"}
DOMAIN = "prosaas.test"
# What `up --dry-run` says of a container that it would create, replace, stop or remove.
DOING = re.compile(r"\b(Creating|Recreate\w*|Removing|Removed|Stopping|Stopped|Killing|Pulling|Building)\b")
LEASE = DEMO / "state/lease.json"


# -- the stack ---------------------------------------------------------------------------------------------------------
def is_as_it_was(stack: Stack, version: str = "1.3.0") -> None:
    """Served, free to work on, of one release; ``ps``, ``logs`` and ``up`` mean what they meant."""
    assert stack.served() == version
    assert not stack.locked()
    assert steered() == set(), "the proxy looks its upstreams up by itself again"
    is_one_release(containers())
    logged = run(*COMPOSE, "logs", "--no-color", "--tail", "1", cwd=PROJECT)
    names = set(re.findall(r"^(?:prosaasil-)?(\S+) +\|", re.sub(r"\x1b\[\d*[A-Z]", "", logged), re.MULTILINE))
    assert names <= {f"{service}-1" for service in services()}, f"of the one container of a service each: {names}"
    assert {"nginx-1", "prosaas-api-1", "prosaas-calls-1", "worker-1"} <= names
    assert to_be_done() == []


def services() -> list[str]:
    return run(*COMPOSE, "config", "--services", cwd=PROJECT).split()


def containers() -> list[dict[str, t.Any]]:
    """Everything that ``docker compose ps -a`` shows."""
    return [json.loads(line) for line in run(*COMPOSE, "ps", "-a", "--format", "json", cwd=PROJECT).splitlines()]


def is_one_release(found: list[dict[str, t.Any]]) -> None:
    """Each service has one container, under the name that Compose gives it, of the image that the release says."""
    assert sorted(c["Name"] for c in found) == sorted(f"prosaasil-{service}-1" for service in services())
    for container in found:
        state = (container["State"], container["ExitCode"])
        assert state == (("exited", 0) if container["Service"] in ONE_SHOTS else ("running", 0)), container["Name"]
    current = json.loads((DEMO / "state/current.json").read_text())
    release = json.loads((DEMO / "state/releases" / current["release"] / "release.json").read_text())
    images = {service: image for service, (_id, _started, image) in Stack().ids().items()}
    assert images == {service: image["id"] for service, image in release["images"].items()}


def to_be_done() -> list[str]:
    """Return what the operator's own ``up`` would create, recreate or remove."""
    up = [*COMPOSE, "up", "-d", "--no-build", "--dry-run"]
    done = subprocess.run(up, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0 and len(lines) > 12, done.stderr
    return [line.strip() for line in lines if DOING.search(line)]


def steered() -> set[str]:
    """Return the services whose address the hosts file of the proxy names."""
    hosts = run("docker", "exec", "prosaasil-nginx-1", "cat", "/etc/hosts")
    return {name for line in hosts.splitlines() for name in line.split()[1:]} & set(services())


# -- what a failed deployment says -------------------------------------------------------------------------------------
def says_why(stack: Stack, done: Played, cause: str, remedy: str) -> dict[str, t.Any]:
    """The operator and the record read the same: the cause and the remedy, nothing of our own insides."""
    assert done.code != 0
    assert "Traceback" not in done.output
    record = stack.record()
    assert record["playbook"] in ("deploy", "rollback")
    for wanted in (cause, remedy):
        assert re.search(wanted, record["msg"]), f"{wanted!r} is not in the record's message: {record['msg']}"
        assert re.search(wanted, said(done)), f"{wanted!r} is not in the last message"
    return record


def said(done: Played) -> str:
    """Return the failures that a run printed, line breaks and quotes of the printing aside."""
    return re.sub(r"\s+", " ", done.output[done.output.find("fatal: ") :].replace("''", "'"))


def completes_again(stack: Stack, *options: str, version: str = "1.3.0") -> None:
    """A deployment of a good commit ends well, whatever happened before; what it leaves is one release."""
    done = stack.play("deploy", *options)
    assert done.code == 0
    assert stack.record()["outcome"] in ("verified", "unchanged")
    is_as_it_was(stack, version)


# -- the public edge, asked all the time -------------------------------------------------------------------------------
class Edge:
    """Asks the public edge four times a second, on a new connection each time; remembers what answered."""

    def __init__(self) -> None:
        self.answers: list[tuple[float, str]] = []  # time and version; no version: no good answer
        self._context = ssl.create_default_context(cafile=str(DEMO / "ca/ca.crt"))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Edge:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._done.wait(0.25):
            self.answers.append((time.monotonic(), self._version()))

    def _version(self) -> str:
        connection = http.client.HTTPSConnection(DOMAIN, timeout=3, context=self._context)
        try:
            connection.request("GET", "/")
            found = re.search(rb"\d+\.\d+\.\d+", connection.getresponse().read())
            return found.group().decode() if found else ""
        except OSError:
            return ""
        except http.client.HTTPException:
            return ""
        finally:
            connection.close()

    def versions(self) -> set[str]:
        return {version for _at, version in self.answers} - {""}

    def longest_gap(self, since: float = 0.0) -> float:
        """Return the longest time without a good answer; until now, if there was none after it."""
        assert self.answers, "the edge was asked"
        good = [at for at, version in self.answers if version and at >= since]
        edges = [max(since, self.answers[0][0]), *good, self.answers[-1][0]]
        return max(later - earlier for earlier, later in zip(edges, edges[1:]))


# -- a run in the background -------------------------------------------------------------------------------------------
class Running:
    """A playbook that runs as a process of its own, to be met or killed while it works."""

    def __init__(self, log: Path, *options: str, name: str = "deploy", inventory: str | Path = "inventories/demo") -> None:
        argv = [str(ROOT / ".venv/bin/ansible-playbook"), f"playbooks/{name}.yml", "-i", str(inventory)]
        argv += ["-e", json.dumps(SHORT), *options]
        shown = {"ANSIBLE_STDOUT_CALLBACK": "default", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "COLUMNS": "1000"}
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**os.environ, **shown},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until(self, ready: Callable[[], bool], seconds: float = 240) -> None:
        """Wait for a moment of the run; a run that ends before it is a failure."""
        deadline = time.monotonic() + seconds
        while not ready():
            assert self.process.poll() is None, f"it ended too early: {self.output()[-3000:]}"
            assert time.monotonic() < deadline, f"the moment did not come: {self.output()[-3000:]}"
            time.sleep(0.03)

    def until_done(self, step: str) -> None:
        """Wait until the journal of this run has a step, which begins the next one."""
        self.until(lambda: step in steps_of(self.process.pid))

    def kill(self, everything: bool) -> None:
        """SIGKILL: the controller alone, as when memory runs out, or also all that it started, as when the host dies."""
        victims = [self.process.pid, *(descendants(self.process.pid) if everything else [])]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def end(self, seconds: float = 600) -> Played:
        code = self.process.wait(timeout=seconds)
        return Played(code, self.output())

    def output(self) -> str:
        return self.log.read_text(errors="replace")


def steps_of(pid: int) -> list[str]:
    """Return the steps that the run of a controller's process has done so far."""
    try:
        holder = json.loads(LEASE.read_text())
        journal = DEMO / "state/runs" / holder["run"] / "journal.jsonl"
        lines = journal.read_text(errors="replace").splitlines() if holder["pid"] == pid else []
    except (FileNotFoundError, ValueError):  # not begun, or just being written
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line)["step"])
    return found


def descendants(pid: int) -> list[int]:
    """Return all processes that a process has started, and those have."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            stat = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(stat[1]), []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


# -- faults of the host ------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def image_gone(image: str, scratch: Path) -> Iterator[None]:
    """Somebody pruned an image; it comes back with the id that it had."""
    archive = scratch / "image.tar"
    names = run("docker", "image", "inspect", "--format", "{{join .RepoTags \" \"}}", image).split()
    run("docker", "save", "-o", archive, *names)
    run("docker", "image", "rm", "-f", *names)
    try:
        yield
    finally:
        run("docker", "load", "-q", "-i", archive)


def release_of(commit: str) -> Mapping[str, t.Any]:
    """Return the newest verified release of a commit on the host."""
    found = [json.loads(path.read_text()) for path in sorted((DEMO / "state/releases").glob("*/release.json"))]
    return t.cast("Mapping[str, t.Any]", [one for one in found if one["commit"] == commit and one["verified"]][-1])
