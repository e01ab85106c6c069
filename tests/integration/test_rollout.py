# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout on a real engine, under load: nothing is lost, what cannot come up changes nothing, nothing of it stays."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _health, _settle, _sockets, _steering, _successors
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Compose, Project, one_shots
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container, Engine
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._rollout import Brought, Site, bring
from ansible_collections.prosaas.ops.plugins.module_utils._ways import Ways, ways_of
from tiny import Stack, stack

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).parent / "web"
PORT = 20994
WAYS = ways_of({"web": {"beside": True, "port": 8000, "drain": 60}, "worker": {"stop": 1}, "nginx": {"stop": 5}})
CHECK = {"test": ["CMD", "curl", "-fsS", "http://localhost:8000/health"], "interval": "30s", "retries": 3}
CONF = ("-c", "/app/nginx.conf")
PROXY = _steering.Proxy("nginx", test=("nginx", "-t", *CONF), reload=("nginx", "-s", "reload", *CONF))


def services(version: str = "1", **changed: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    base: dict[str, dict[str, t.Any]] = {
        "store": {"command": ["sh", "-c", "date +%N > /data/first; exec sleep infinity"], "volumes": ["/data"]},
        "migrate": {"command": ["true"], "restart": "no", "environment": {"VERSION": version}},
        "web": {
            "command": ["python3", "/app/web.py"],
            "volumes": [f"{FILES}:/app:ro"],
            "environment": {"VERSION": version},
            "healthcheck": CHECK,
            "restart": "unless-stopped",
            "networks": {"default": {"aliases": ["backend"]}},
            "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
        },
        "worker": {
            "command": ["sleep", "infinity"],
            "environment": {"VERSION": version},
            "restart": "unless-stopped",
            "depends_on": {"store": {"condition": "service_started"}},
        },
        "nginx": {
            "command": ["nginx", "-c", "/app/nginx.conf"],
            "volumes": [f"{FILES}:/app:ro"],
            "ports": [f"127.0.0.1:{PORT}:80"],
            "stop_signal": "SIGQUIT",
            "depends_on": {"web": {"condition": "service_started"}},
        },
    }
    return {name: {**service, **changed.get(name, {})} for name, service in base.items()}


class Load:
    """Requests without a pause and without a retry, half of them on kept connections; counts what was not answered well."""

    def __init__(self) -> None:
        self.versions: list[str] = []
        self.failed: list[str] = []
        self._over = threading.Event()

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._run, args=(keep,)) for keep in (False, True)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, keep: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
        idle = False
        while not self._over.is_set():
            try:
                connection.request("POST", "/", body=b"x" * 1000)
                answer = connection.getresponse()
                body = answer.read().decode()
                self.versions.append(body) if answer.status == 200 else self.failed.append(f"{answer.status} {body}")
                idle = keep
            except (OSError, http.client.HTTPException) as error:
                # The proxy may close a connection that is idle; that is no answer lost.
                if not (idle and isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError))):
                    self.failed.append(repr(error))
                idle = False
                connection.close()
            if not keep:
                connection.close()
            time.sleep(0.01)


class World:
    """A tiny stack, and how it is brought to what its file says."""

    def __init__(self, project: Stack) -> None:
        self.stack = project
        self.engine = Engine.connect()
        self.compose = Compose(Project(project.name, project.directory, ("docker-compose.yml",)), execute)
        self.superseded: list[dict[str, str]] = []
        self.said: list[str] = []

    def bring(self, new: dict[str, t.Any], ways: Ways = WAYS, prove: t.Any = None, **limits: t.Any) -> Brought:
        self.stack.write(new)
        model = self.compose.model()
        expected = {one.service: one for one in _health.expectations(model, {})}
        limit = _health.Limits(**{"deadline": 15, "window": 0, **limits})
        site = Site(self.engine, self.compose, model, ways, PROXY, expected, limit, say=self.said.append)
        if prove:
            site.prove = prove

        def supersede(old: t.Sequence[Container]) -> None:
            self.superseded = [{"id": one.id, "service": one.service} for one in old]

        return bring(site, _successors.moves(self.engine, self.compose, model), supersede)

    def settle(self, ways: Ways = WAYS) -> _settle.Settled:
        def opened(one: Container, port: int) -> int:
            return len(_sockets.established(one.pid, port))

        def keep(old: t.Sequence[Container]) -> None:
            ids = {one.id for one in old}
            self.superseded = [row for row in self.superseded if row["id"] in ids]

        name = self.stack.name
        return _settle.settle(self.engine, name, ways, PROXY, self.superseded, opened, self.said.append, keep)

    def ids(self) -> dict[str, list[str]]:
        found = _successors.by_service(self.engine.containers(self.stack.name))
        return {service: [one.id for one in containers] for service, containers in found.items()}

    def first(self, service: str) -> Container:
        return self.engine.containers(self.stack.name, service)[0]

    def is_tidy(self) -> None:
        """What the operator's own commands say is what they would say after a plain start."""
        assert _settle.would_change(self.compose, one_shots(self.compose.model())) == []
        names = sorted(one.name for one in self.engine.containers(self.stack.name))
        assert names == sorted(f"{self.stack.name}-{service}-1" for service in services())
        assert not _steering.steered(self.first("nginx"))
        before = self.started()
        self.stack.compose("up", "-d", "--no-build")
        assert self.started() == before

    def started(self) -> dict[str, tuple[str, float]]:
        found = self.engine.containers(self.stack.name)
        return {one.service: (one.id, one.started_at) for one in found if one.service != "migrate"}


def execute(argv: t.Sequence[str], **options: t.Any) -> tuple[int, str, str]:
    done = subprocess.run(argv, capture_output=True, text=True, cwd=options.get("cwd"), check=False)
    return done.returncode, done.stdout, done.stderr


def get(path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.fixture(params=["installed", pytest.param("sid", marks=pytest.mark.soak)])
def compose_version(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The Compose of this machine; in the soak the newest that can be had, too."""
    suite: str = request.param
    if suite != "installed":
        fetch = [str(ROOT / "tests/lib/compose_of"), suite]
        fetched = subprocess.run(fetch, capture_output=True, text=True, timeout=600, check=False)
        if fetched.returncode == 3:
            pytest.skip(fetched.stderr.strip().splitlines()[-1])
        assert fetched.returncode == 0, fetched.stderr
        plugins = tmp_path / "docker/cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(fetched.stdout.strip())
        monkeypatch.setenv("DOCKER_CONFIG", str(plugins.parent))
    return suite


@pytest.fixture()
def world(tmp_path: Path, compose_version: str) -> Iterator[World]:
    with stack("rollout", tmp_path, services()) as project:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if get("/")[0] == 200:
                    break
            time.sleep(0.1)
        yield World(project)


def test_nothing_is_lost_and_nothing_of_it_stays(world: World) -> None:
    before = world.ids()
    with Load() as load:
        time.sleep(0.5)
        done = world.bring(services("2"))
        time.sleep(0.5)
        assert get("/")[1] == "2", "the old one gets no new request"
        between = world.ids()
        settled = world.settle()
        time.sleep(0.5)
    assert load.failed == []
    assert set(load.versions) == {"1", "2"}
    assert load.versions[-1] == "2"
    assert {(step["service"], step["how"]) for step in done.steps} == {
        *(("web", "beside"), ("worker", "replaced"), ("migrate", "ran")),
    }
    assert before["web"][0] in between["web"] and len(between["web"]) == 2, "the old one waits"
    assert [row["service"] for row in settled.ended] == ["web"]
    after = world.ids()
    assert (after["store"], after["nginx"]) == (before["store"], before["nginx"])
    assert not set(after["web"] + after["worker"] + after["migrate"]) & set(sum(before.values(), []))
    world.is_tidy()


def test_a_second_time_there_is_nothing_to_do(world: World) -> None:
    before = world.started()
    done = world.bring(services())
    assert (done.steps, world.settle().ended, world.started()) == ([], [], before)
    world.is_tidy()


def test_what_was_begun_on_the_old_one_ends_there(world: World) -> None:
    streams: list[str] = []
    thread = threading.Thread(target=lambda: streams.append(get("/stream?6")[1]))
    thread.start()
    time.sleep(0.5)
    world.bring(services("2"))
    assert not streams, "it goes on"
    settled = world.settle()
    thread.join()
    assert streams[0].split() == ["1"] * 60, "whole, and all of it from where it began"
    assert settled.ended[0]["open"] == 0
    assert any(text.startswith("draining web (1 open)") for text in world.said)
    world.is_tidy()


def test_what_does_not_end_is_kept_or_cut_as_the_policy_says(world: World) -> None:
    streams: list[str] = []

    def hold() -> None:
        with contextlib.suppress(http.client.HTTPException, OSError):
            streams.append(get("/stream?30")[1])

    thread = threading.Thread(target=hold)
    thread.start()
    time.sleep(0.5)
    world.bring(services("2"))
    kept = world.settle(ways_of({"web": {"beside": True, "port": 8000, "drain": 1, "undrained": "keep"}}))
    assert [row["open"] for row in kept.kept] == [1]
    assert _settle.drained(kept).status == "warn"
    assert len(world.ids()["web"]) == 2
    assert get("/")[1] == "2", "new requests go past what is kept"
    cut = world.settle(ways_of({"web": {"beside": True, "port": 8000, "drain": 1, "stop": 1}}))
    thread.join()
    assert [row["open"] for row in cut.ended] == [1]
    world.is_tidy()


@pytest.mark.parametrize("broken", ["start", "health"])
def test_what_does_not_come_up_beside_changes_nothing(world: World, broken: str) -> None:
    before = world.ids()
    with Load() as load:
        with pytest.raises(OpsError, match="web did not come up within 3 s|web came up and died") as error:
            world.bring(services("2", web={"environment": {"VERSION": "2", "BROKEN": broken}}), deadline=3)
        world.bring(services("1"))
    if broken == "start":
        assert "no, not today" in error.value.remedy
    assert load.failed == [] and set(load.versions) == {"1"}
    assert world.ids() == before
    world.is_tidy()


def test_what_is_healthy_and_does_not_work_gets_no_request(world: World) -> None:
    before = world.ids()

    def prove(one: Container) -> None:
        raise OpsError(f"{one.service} does not work")

    with Load() as load:
        with pytest.raises(OpsError, match="web does not work"):
            world.bring(services("2", web={"environment": {"VERSION": "2"}}), prove=prove)
        world.bring(services("1"))
    assert load.failed == [] and set(load.versions) == {"1"}
    assert world.ids() == before


def test_the_old_one_goes_on_where_a_replacement_does_not_come_up(world: World) -> None:
    before = world.started()["worker"]
    with pytest.raises(OpsError, match="worker did not come up"):
        world.bring(services("1", worker={"command": ["false"], "restart": "no", "labels": {"as": "service"}, "scale": 1}))
    after = world.started()
    assert after["worker"][0] == before[0] or world.engine.inspect(before[0]).running  # type: ignore[union-attr]
    world.bring(services("1"))
    assert world.started()["worker"][0] == before[0]
    world.is_tidy()


def test_a_volume_without_a_name_is_handed_on(world: World) -> None:
    first = subprocess.run(
        ["docker", "exec", world.first("store").id, "cat", "/data/first"], capture_output=True, text=True, check=True
    ).stdout
    keep = {"command": ["sh", "-c", "test -s /data/first && exec sleep infinity"], "environment": {"VERSION": "2"}}
    done = world.bring(services("1", store=keep))
    assert [(step["service"], step["how"]) for step in done.steps] == [("store", "replaced")]
    now = subprocess.run(
        ["docker", "exec", world.first("store").id, "cat", "/data/first"], capture_output=True, text=True, check=True
    ).stdout
    assert now == first
    world.settle()
    world.is_tidy()


def test_a_changed_proxy_leads_past_the_old_ones_too_and_its_gap_is_told(world: World) -> None:
    done = world.bring(services("2", nginx={"environment": {"VERSION": "2"}}))
    gap = next(step["gap"] for step in done.steps if step["service"] == "nginx")
    assert 0 < gap < 10
    assert {get("/")[1] for _try in range(10)} == {"2"}
    world.settle()
    world.is_tidy()


@pytest.mark.soak
def test_after_a_kill_it_goes_on_from_what_it_finds(world: World) -> None:
    """Killed after the containers were made; and again after requests were led past the old one."""
    world.stack.write(services("2"))
    _successors.moves(world.engine, world.compose, world.compose.model())
    assert len(world.ids()["web"]) == 2
    with Load() as load:
        world.bring(services("2"))
        world.superseded = []
        world.bring(services("2"))
        again = world.bring(services("1"))
        assert get("/")[1] == "1"
        assert "web" in {step["service"] for step in again.steps}
        world.bring(services("2"))
        world.settle()
    assert load.failed == []
    world.is_tidy()


def test_a_service_that_is_gone_goes(world: World) -> None:
    new = services("1")
    del new["worker"]
    world.stack.write(new)
    model = world.compose.model()
    found = _successors.moves(world.engine, world.compose, model, retired={"worker"})
    assert [len(found["worker"].others), len(found["worker"].chosen)] == [1, 0]
    untouched = _successors.moves(world.engine, world.compose, model)
    assert "worker" not in untouched, "a profile may have brought it"


def test_a_bad_configuration_never_reaches_the_proxy(world: World) -> None:
    nginx = world.first("nginx")
    with pytest.raises(OpsError, match="refuses its configuration: .*emerg"):
        _steering.reload(world.engine, _steering.Proxy("nginx", test=("nginx", "-t", "-c", "/app/web.py")), nginx)
    assert get("/")[0] == 200
    assert os.path.exists(nginx.hosts_path)
