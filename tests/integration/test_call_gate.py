# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""call_gate on the stand-in's own calls service and a real Redis: calls of every kind, admission closed, killed, lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import callers
import pytest
from ansible_collections.prosaas import ops
from ansible_collections.prosaas.ops.plugins.module_utils import _admission, _calls, _gate, _jobs
from ansible_collections.prosaas.ops.plugins.module_utils._capacity import Store
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from callers import LIMIT, containers, hang_up, is_taken, members, redis, stream, until
from tiny import Stack, ansible, module, stack, status

COLLECTIONS = Path(next(iter(ops.__path__))).parents[2]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack("gate", tmp_path_factory.mktemp("gate"), callers.SERVICES, up=False) as project:
        project.compose("up", "-d", "--wait")
        yield project


@pytest.fixture()
def project(running: Stack) -> Iterator[Stack]:
    redis(running, "FLUSHALL")
    yield running


def calls(project: Stack, **more: t.Any) -> dict[str, t.Any]:
    endpoint = "http://calls:5050/health/details"
    return {"service": "calls", "port": 5050, "endpoint_url": endpoint, "limit_default": LIMIT, **more}


def options(project: Stack, **more: t.Any) -> dict[str, t.Any]:
    return {"project": project.name, "state_dir": str(project.directory / "state"), "calls": calls(project, **more)}


def counted(project: Stack, **more: t.Any) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", module("call_gate", **options(project, **more))["calls"])


def slots_of(project: Stack) -> dict[str, t.Any]:
    """Return what capacity_check is given."""
    endpoint = {"endpoint_url": "http://calls:5050/health/details", "endpoint_service": "calls"}
    return {"project": project.name, "limit_default": LIMIT, **endpoint}


def gate(project: Stack, **more: t.Any) -> _gate.Gate:
    """Make a gate as a module would, its defaults included."""
    spec = _gate.GATE_OPTIONS["calls"]["options"]
    given = {name: option["default"] for name, option in spec.items() if "default" in option}
    return _gate.of({"project": project.name, "calls": {**given, **calls(project, **more)}}, {}, "run-1")


def test_every_kind_of_call_is_counted(project: Stack) -> None:
    [container] = containers(project)
    assert counted(project)["live"] == 0
    assert is_taken(container, "CA1")
    begun = counted(project)  # between webhook and stream: the slot alone
    assert (begun["live"], begun["slots"], sum(begun["streams"].values())) == (1, 1, 0)
    with stream(container, "CA1"), stream(container, "outbound"):
        seen = counted(project)
        assert (seen["live"], seen["slots"], list(seen["streams"].values())) == (2, 1, [2])
        assert list(seen["endpoints"].values()) == [1], "it does not know of the outbound call"
    over = until(lambda: counted(project)["live"] == 0 and counted(project), 10)
    assert over["told"] == "0 calls (0 streams, 0 slots)"


def test_short_requests_are_no_calls(project: Stack) -> None:
    [container] = containers(project)
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                callers.ring(container, "CAx", "/webhook/call_status", CallStatus="completed")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert [counted(project)["live"] for _number in range(3)] == [0, 0, 0]
    finally:
        stop.set()
        thread.join()


def test_all_containers_of_the_service_count(project: Stack) -> None:
    project.compose("up", "-d", "--no-recreate", "--wait", "--scale", "calls=2")
    try:
        one, two = containers(project)
        with stream(one, "CA1"), stream(two, "CA2"):
            seen = counted(project)
        assert sorted(seen["streams"].values()) == [1, 1]
        assert len(seen["endpoints"]) == 2
    finally:
        project.compose("up", "-d", "--no-recreate", "--wait", "--scale", "calls=1")


def test_leaked_slots_are_told_from_live_ones(project: Stack) -> None:
    [container] = containers(project)
    redis(project, "SADD", "calls:active", "CAgone", "CAold", "CAyoung")
    redis(project, "SETEX", "calls:active:CAold", str(7200 - 90), "1")
    redis(project, "SETEX", "calls:active:CAyoung", str(7200 - 30), "1")
    seen = counted(project)
    assert (seen["live"], seen["without_key"], seen["without_stream"]) == (1, ["CAgone"], ["CAold"])
    with stream(container, "CAany"):  # any old slot may be that of this stream
        seen = counted(project)
        assert (seen["live"], seen["without_stream"]) == (2, [])


def test_what_cannot_be_read_is_never_none(project: Stack) -> None:
    [container] = containers(project)
    assert counted(project, endpoint_url="http://calls:5050/nothing")["live"] is None
    subprocess.run(["docker", "pause", container], check=True, capture_output=True)
    try:
        deaf = counted(project)
    finally:
        subprocess.run(["docker", "unpause", container], check=True, capture_output=True)
    assert (deaf["live"], deaf["known"]) == (None, False)
    subprocess.run(["docker", "stop", "-t", "0", project.container("redis")], check=True, capture_output=True)
    try:
        seen = module("call_gate", **options(project))
        with pytest.raises(OpsError, match="admission cannot be closed"):
            with _gate.silence(gate(project, deadline=0), print):
                pass
    finally:
        project.compose("up", "-d", "--wait")
    assert seen["calls"]["live"] is None
    assert "the number of calls is not known" in seen["msg"]


def test_an_application_with_another_redis_is_found_out(project: Stack) -> None:
    redis(project, "-n", "1", "SADD", "calls:active", "CA1")
    seen = counted(project, redis_db=1)
    assert seen["live"] is None
    assert "it says 0 active, Redis 1" in seen["told"]


def test_the_gate_waits_keeps_callers_out_and_opens(project: Stack) -> None:
    [container] = containers(project)
    assert is_taken(container, "CA1")
    said: list[str] = []
    threading.Timer(3, hang_up, (container, "CA1")).start()
    with _gate.silence(gate(project), said.append) as passed:
        assert (passed.live, passed.seconds > 2) == (0, True)
        assert not is_taken(container, "CA2")
        assert len(members(project)) == LIMIT
        inside = counted(project)
        assert (inside["live"], inside["slots"], inside["closed_by"]) == (0, 0, "run-1")
        seen = module("capacity_check", **slots_of(project))
        assert status(seen)["capacity.admission"] == "warn"
        assert {status(seen)[f"capacity.{name}"] for name in ("leaked", "endpoint", "free")} == {"pass"}
        assert seen["slots"] == 0
    assert said[0].startswith("waiting for 1 call (0 streams, 1 slot), ")
    assert members(project) == []
    assert is_taken(container, "CA3")


def test_the_deadline_aborts_or_goes_on(project: Stack) -> None:
    [container] = containers(project)
    with stream(container, "outbound"):
        refused = module("call_gate", **options(project, deadline=2), hold=0)
        assert refused["failed"]
        assert (
            "still on the line: 1 call (1 stream, 0 slots). Nothing was touched. Run it again at a quieter"
            in refused["msg"]
        )
        assert is_taken(container, "CA1"), "admission is open again"
        hang_up(container, "CA1")
        gone_on = module("call_gate", **options(project, deadline=2, policy="proceed"), hold=0)
        assert gone_on["passed"]["calls"]["live"] == 1
        assert "1 cut" in gone_on["passed"]["calls"]["told"]
    assert members(project) == []


def test_ansible_waits_for_nothing_that_stays(project: Stack) -> None:
    begun = time.monotonic()
    seen = ansible("call_gate", **options(project), hold=0)
    assert (seen["changed"], seen["passed"]["calls"]["live"]) == (True, 0)
    assert time.monotonic() - begun < _admission.LIFE
    assert (members(project), keepers()) == ([], [])


def test_check_mode_closes_nothing(project: Stack) -> None:
    seen = module("call_gate", check=True, **options(project), hold=600)
    assert (seen["changed"], seen["calls"]["live"]) == (False, 0)


def keepers() -> list[str]:
    """Return the processes that watch over members of a holder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b'given["sweep"]' in path.read_bytes():
                found.append(path.parent.name)
    return found


def holding(project: Stack) -> subprocess.Popen[bytes]:
    """Start the module as its own process, and return once it keeps callers out."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**options(project), "hold": 300}}
    process = subprocess.Popen(
        [sys.executable, "-m", "ansible_collections.prosaas.ops.plugins.modules.call_gate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(COLLECTIONS), os.environ.get("PYTHONPATH", "")])},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(arguments).encode())
    process.stdin.close()
    until(lambda: len(members(project)) == LIMIT, 20)
    return process


@pytest.mark.soak
def test_admission_opens_after_kill_9(project: Stack) -> None:
    [container] = containers(project)
    process = holding(project)
    assert not is_taken(container, "CA1")
    time.sleep(12)  # it was renewed in between
    assert int(redis(project, "TTL", f"calls:active:{members(project)[0]}")) > 18
    process.kill()
    begun = time.monotonic()
    # Nobody waits for the keeper: it holds none of the files of the one that was killed.
    assert process.stdout is not None and process.stdout.read() == b""
    process.wait()
    assert time.monotonic() - begun < 5
    until(lambda: not members(project), 45)
    until(lambda: not keepers(), 5)
    assert is_taken(container, "CA2")


def test_admission_opens_at_once_after_sigterm(project: Stack) -> None:
    process = holding(project)
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert members(project) == []
    assert redis(project, "DBSIZE") == "0"


def test_the_next_run_opens_what_nobody_keeps(project: Stack) -> None:
    for name in _admission.members("run-0", LIMIT):
        redis(project, "SADD", "calls:active", name)
    given = slots_of(project)
    seen = module("capacity_check", **given)
    assert (status(seen)["capacity.admission"], status(seen)["capacity.leaked"]) == ("fail", "pass")
    assert "run-0, which is gone" in seen["msg"]
    told = module("capacity_check", check=True, **given, release_leaked=True)
    assert (told["changed"], len(members(project))) == (True, LIMIT)
    with _gate.silence(gate(project), print):
        assert sorted(members(project)) == _admission.members("run-1", LIMIT)
    for name in _admission.members("run-0", LIMIT):
        redis(project, "SADD", "calls:active", name)
    assert module("capacity_check", **given, release_leaked=True)["changed"]
    assert members(project) == []


def test_a_redis_that_is_replaced_is_closed_again(project: Stack) -> None:
    [container] = containers(project)
    with _gate.silence(gate(project), print) as passed:
        project.compose("up", "-d", "--wait", "--force-recreate", "--no-deps", "redis")
        assert members(project) == []
        passed.renew()
        assert len(members(project)) == LIMIT
        until(lambda: callers.ring(container, "CA1")[0] == 200, 10)
        assert not is_taken(container, "CA1")
        assert passed.admission is not None and passed.admission.lapsed == 1
    assert members(project) == []
    assert is_taken(container, "CA1")


def test_draining_and_a_quiet_moment(project: Stack) -> None:
    [container] = containers(project)
    counter = gate(project, joining_seconds=60).counter
    assert counter is not None

    def open_there() -> int:
        [one] = _calls.running(Engine.connect(), project.name, "calls")
        return _calls.streams(one, 5050)

    assert is_taken(container, "CA1")
    assert not _calls.quiet_moment(counter, 2), "its stream is still to come"
    with stream(container, "CA1"):
        assert open_there() == 1
        assert _calls.quiet_moment(counter, 5)
    assert until(lambda: open_there() == 0, 10)


def test_started_jobs_are_found(project: Stack) -> None:
    redis(project, "SADD", "rq:queues", "rq:queue:high", "rq:queue:low")
    redis(project, "ZADD", "rq:wip:high", "1", "job-1:execution-1")
    redis(project, "ZADD", "rq:wip:low", "1", "job-2")
    connect = gate(project).connect
    assert connect is not None
    store: Store = connect()
    assert store.ask(_jobs.started) == {"high/job-1", "low/job-2"}
