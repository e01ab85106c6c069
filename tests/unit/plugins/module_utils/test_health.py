# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _health, _health_report, _ports
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Project
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container, Event, Port
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._health import (
    Answer,
    Expectation,
    Judgement,
    Limits,
    Sighting,
)

MODEL: dict[str, t.Any] = {
    "services": {
        "migrate": {"restart": "no"},
        "index": {"restart": "on-failure"},
        "api": {
            "healthcheck": {"test": ["CMD", "true"]},
            "depends_on": {"index": {"condition": "service_completed_successfully"}},
            "environment": {"API_KEY": "k-123456789", "MODE": "production", "DSN": "postgres://u:p%40ssw0rd@db/x"},
        },
        "cache": {"healthcheck": {"test": ["CMD", "true"], "disable": True}},
        "mail": {"healthcheck": {"test": ["NONE"]}, "deploy": {"replicas": 2}},
        "quiet": {"healthcheck": {"test": ["CMD", "true"], "disable": True}},
        "chat": {"healthcheck": {"test": ["CMD", "true"]}},
    }
}
NOW = 10_000.0
PROJECT = Project("shop", Path("/srv/shop"), ("a.yml", "b.yml"))


def container(service: str = "api", **changes: t.Any) -> Container:
    known = {"id": "c1", "name": f"shop-{service}-1", "project": "shop", "service": service, "status": "running"}
    return Container(**{**known, "restart_policy": "unless-stopped", "started_at": NOW - 60, **changes})


def sighting(*containers: Container, good_at: float | None = NOW - 30, **changes: t.Any) -> Sighting:
    states = {one.service: Judgement(good_at is not None, False, "") for one in containers}
    return Sighting(list(containers), states, began=NOW - 40, ended=NOW, good_at=good_at, **changes)


def death(at: float, code: int = 1, service: str = "api") -> Event:
    return Event(at, "c1", service, "die", code)


def test_expectations_come_from_the_model_and_policies_win() -> None:
    policies = {"chat": {"probe": {"port": 3300}}, "cache": {"expect": "running"}, "unknown": {"expect": "running"}}
    expected = {one.service: one for one in _health.expectations(MODEL, policies)}
    assert {name: one.how for name, one in expected.items()} == {
        "migrate": "exited",
        "index": "exited",
        "api": "healthy",
        "cache": "running",
        "mail": "up",
        "quiet": "up",
        "chat": "healthy",
    }
    assert expected["mail"].count == 2
    assert expected["chat"].probe == _health.Probe(3300, "/", 200)
    asked = _health.expectations(MODEL, {"chat": {"probe": {"port": 1, "from": "api"}}})
    assert [one.probe for one in asked if one.probe] == [_health.Probe(1, asker="api")]
    with pytest.raises(OpsError, match="cannot be asked from nobody: the model has no such service"):
        _health.expectations(MODEL, {"chat": {"probe": {"port": 1, "from": "nobody"}}})
    with pytest.raises(OpsError, match="'well'"):
        _health.expectations(MODEL, {"api": {"expect": "well"}})


@pytest.mark.parametrize(
    "policy",
    [
        "running",
        {"expects": "running"},
        {"probe": {"prot": 80}},
        {"probe": {"path": "/"}},
        {"probe": {"port": "80"}},
        {"probe": {"port": 80, "asker": "web"}},
        {"probe": {"port": 80, "from": 1}},
    ],
)
def test_a_policy_with_a_slip_is_an_error(policy: t.Any) -> None:
    with pytest.raises(OpsError, match="policy of service api"):
        _health.expectations(MODEL, {"api": policy})


@pytest.mark.parametrize(
    ("how", "seen", "good", "certain", "said"),
    [
        ("healthy", {"health": "healthy"}, True, False, "running, health: healthy"),
        ("healthy", {"health": "starting"}, False, False, "running, health: starting"),
        ("healthy", {"health": "unhealthy"}, False, False, "running, health: unhealthy"),
        ("healthy", {}, False, True, "running without the health check that it must have"),
        ("up", {}, True, False, "running; it has no health check"),
        ("up", {"health": "unhealthy"}, False, False, "running, health: unhealthy"),
        ("running", {"health": "unhealthy"}, True, False, "running"),
        ("up", {"status": "exited", "exit_code": 137, "oom_killed": True}, False, True, "exited (137), out of memory"),
        ("up", {"status": "restarting", "exit_code": 3}, False, False, "restarting, last exit code 3"),
        ("up", {"status": "created"}, False, False, "created, but not started"),
        ("up", {"status": "paused"}, False, False, "paused"),
        ("up", {"status": "dead"}, False, True, "dead"),
        ("exited", {"status": "exited"}, True, False, "exited (0)"),
        ("exited", {"status": "exited", "exit_code": 1, "restart_policy": "no"}, False, True, "exited (1)"),
        ("exited", {"status": "exited", "exit_code": 1, "restart_policy": "on-failure"}, False, False, "exited (1)"),
        ("exited", {}, False, False, "still running"),
    ],
)
def test_state(how: str, seen: dict[str, t.Any], good: bool, certain: bool, said: str) -> None:
    assert _health.judge_state(Expectation("api", how), [container(**seen)]) == (good, certain, said)


def test_state_of_none_too_few_and_several() -> None:
    assert _health.judge_state(Expectation("api"), []) == (False, True, "has no container")
    assert _health.judge_state(Expectation("api", count=0), []) == (True, False, "scaled to 0")
    few = _health.judge_state(Expectation("api", count=2), [container()])
    assert few == (False, True, "1 of 2 containers exist")
    pair = [container(name="a", health="healthy"), container(name="b", health="starting")]
    both = _health.judge_state(Expectation("api", "healthy"), pair)
    assert both == (False, False, "a: running, health: healthy; b: running, health: starting")


def test_a_probe_takes_the_place_of_the_health_check() -> None:
    expected = Expectation("chat", "healthy", probe=_health.Probe(3300))
    sick = container("chat", health="unhealthy")
    good = _health.judge_state(expected, [sick], {"c1": Answer(True, "GET :3300/ answers 200")})
    assert good.good
    assert "unhealthy, which is not asked" in good.said
    well = container("chat", health="healthy")
    assert not _health.judge_state(expected, [well], {"c1": Answer(False, "GET :3300/ answers 500")}).good
    assert not _health.judge_state(expected, [well], {}).good


@pytest.mark.parametrize(
    ("seen", "status", "words"),
    [
        (sighting(container()), "pass", "up for 60 s"),
        (sighting(container(restart_count=3, started_at=NOW - 7200)), "pass", "up for 2 h, restarted 3 times before"),
        (sighting(container(restart_count=1)), "warn", "restarted once before it came up"),
        (sighting(container(), deaths=[death(NOW - 35)]), "warn", "died once while starting (exit codes 1)"),
        (
            sighting(container(), deaths=[death(NOW - 10, 137)]),
            "fail",
            "died 20 s after everything was good (exit code 137)",
        ),
        (sighting(container(oom_killed=True, exit_code=137)), "fail", "out of memory (exit code 137, restarted 0 times)"),
        (sighting(container(), kills=[death(NOW - 35)]), "fail", "out of memory"),
        (sighting(container(status="restarting"), good_at=None, deaths=[death(NOW - 1)] * 5), "fail", "died 5 times"),
        # The engine waits longer each time, so that the last start may be long ago.
        (
            sighting(
                container(status="restarting", restart_count=6, exit_code=3, created_at=NOW - 70, started_at=NOW - 60),
                good_at=None,
            ),
            "fail",
            "restart loop: restarted 6 times (last exit code 3)",
        ),
        (sighting(container(started_at=NOW - 3), good_at=None), "unknown", "up for 3 s only, 10 s are wanted"),
        (sighting(container(status="created"), good_at=None), "unknown", "does not run"),
        (sighting(good_at=None), "unknown", "does not run"),
    ],
)
def test_restarts(seen: Sighting, status: str, words: str) -> None:
    outcome = _health.judge_restarts(Expectation("api"), seen, Limits())
    assert (outcome.status, words in outcome.evidence) == (status, True), outcome


@pytest.mark.parametrize(
    ("restarts", "created", "started", "status"),
    [
        (5, NOW - 400, NOW - 60, "fail"),  # every 68 s so far, up for 60 s: it may well die again
        (5, NOW - 400, NOW - 100, "fail"),  # longer than before, but not yet twice as long
        (5, NOW - 70, NOW - 60, "warn"),  # every 2 s so far, up for 60 s: the loop is over
        (5, NOW - 90_000, NOW - 60, "fail"),
        (5, NOW - 90_000, NOW - 600, "pass"),
    ],
)
def test_a_slow_restart_loop_is_seen_in_one_look(restarts: int, created: float, started: float, status: str) -> None:
    seen = sighting(container(restart_count=restarts, created_at=created, started_at=started))
    assert _health.judge_restarts(Expectation("api"), seen, Limits()).status == status


def test_images() -> None:
    new, old = container(name="new", image="sha256:aaa"), container(name="old", image="sha256:bbb")
    assert _health.judge_image([new], "aaa").status == "pass"
    assert _health.judge_image([old, new], "sha256:aaa").status == "warn"
    assert _health.judge_image([new, old], "sha256:aaa").status == "fail"
    assert _health.judge_image([], "sha256:aaa").status == "unknown"


def test_ports() -> None:
    wanted = ({"target": 80, "published": "8080-8081", "protocol": "tcp"},)
    edge = Expectation("edge", ports=wanted)
    published = container("edge", ports=frozenset({Port("0.0.0.0", 8081, 80, "tcp"), Port("::", 8081, 80, "tcp")}))
    assert _ports.judge_ports([edge], [published]).status == "pass"
    assert "8080-8081->80 is not published" in _ports.judge_ports([edge], [container("edge")]).evidence
    extra = container("api", ports=frozenset({Port("0.0.0.0", 5432, 5432, "tcp")}))
    assert (
        "5432->5432/tcp is published and not in the model"
        in _ports.judge_ports([Expectation("api")], [extra]).evidence
    )


@pytest.mark.parametrize(
    ("wanted", "bound", "said"),
    [
        ({}, "127.0.0.1", "edge 443->443 is not published at every address, but at 127.0.0.1"),
        ({"host_ip": "127.0.0.1"}, "0.0.0.0", "edge 443->443 is not published at 127.0.0.1, but at 0.0.0.0"),
        ({"host_ip": "127.0.0.1"}, "127.0.0.1", ""),
        ({"host_ip": "0.0.0.0"}, "0.0.0.0", ""),
    ],
)
def test_a_port_that_is_bound_to_another_address_is_seen(wanted: dict[str, str], bound: str, said: str) -> None:
    edge = Expectation("edge", ports=({"target": 443, "published": "443", **wanted},))
    outcome = _ports.judge_ports([edge], [container("edge", ports=frozenset({Port(bound, 443, 443, "tcp")}))])
    assert (outcome.status == "fail", said in outcome.evidence) == (bool(said), True)


def test_a_published_port_behind_which_nothing_listens_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ports = frozenset({Port("0.0.0.0", 443, port, "tcp"), Port("0.0.0.0", 80, 9, "tcp"), Port("::", 53, 53, "udp")})
        edge = container("edge", ports=ports, addresses={"net": "127.0.0.1"})
        unheard = _ports.silent([edge, container("edge", status="exited", ports=ports), container("other")])
    assert unheard == {("c1", 9)}
    expected = Expectation("edge", ports=({"target": port, "published": "443"}, {"target": 9, "published": "80"}))
    outcome = _ports.judge_ports([expected], [edge], unheard)
    assert "edge 80->9 is published, but nothing listens on 9 in the container" in outcome.evidence
    assert f"->{port} " not in outcome.evidence


def test_orphans() -> None:
    running, done = container("old"), container("old", status="exited")
    assert _health.judge_orphans([Expectation("api")], [container()]).status == "pass"
    assert _health.judge_orphans([Expectation("api")], [running]).status == "fail"
    assert _health.judge_orphans([Expectation("api")], [done]).status == "warn"
    looping = container("old", status="restarting")
    assert _health.judge_orphans([Expectation("api")], [looping]).status == "fail"


def test_a_service_that_was_not_waited_for_is_unknown_and_the_cause_is_named() -> None:
    seen = sighting(
        container("api", health="starting"), container("migrate", status="exited", exit_code=1), good_at=None
    )
    seen.states = {
        "api": Judgement(False, False, "running, health: starting"),
        "migrate": Judgement(False, True, "exited (1)"),
    }
    expected = [Expectation("api", "healthy"), Expectation("migrate", "exited")]
    asked: list[str] = []

    def tail(one: Container) -> list[str]:
        asked.append(one.service)
        return ["first", "no such table"]

    found = {check.id: check for check in _health_report.checks(PROJECT, expected, seen, Limits(), _health_report.Looked(), tail)}
    assert found["compose.api.state"].status == "unknown"
    assert "because of migrate" in found["compose.api.state"].evidence
    assert found["compose.migrate.state"].evidence == "exited (1)\nfirst\nno such table"
    remedy = "cd /srv/shop && docker compose -f a.yml -f b.yml logs --tail 100 migrate"
    assert found["compose.migrate.state"].remedy == remedy
    assert "compose.migrate.restarts" not in found
    assert asked == ["migrate"], "only the log of what failed is read"


def test_what_is_ill_because_of_another_says_so_and_what_hangs_may_be_started_again() -> None:
    api, redis = container("api", health="unhealthy", depends_on=("redis",)), container("redis", health="unhealthy")
    seen = sighting(api, redis, good_at=None)
    seen.states = dict.fromkeys(("api", "redis"), Judgement(False, False, "running, health: unhealthy"))
    expected = [Expectation("api", "healthy"), Expectation("redis", "healthy")]

    def remedies() -> dict[str, str]:
        found = _health_report.checks(PROJECT, expected, seen, Limits(), _health_report.Looked(), lambda _one: [])
        return {check.id: check.remedy for check in found}

    said = remedies()
    assert said["compose.api.state"].startswith(
        "See compose.redis.state first, which it depends on; then: cd /srv/shop"
    )
    assert said["compose.redis.state"].endswith("docker compose -f a.yml -f b.yml restart redis")
    seen.states["redis"] = Judgement(True, False, "running, health: healthy")
    assert remedies()["compose.api.state"].endswith("docker compose -f a.yml -f b.yml restart api")


def test_what_the_health_check_printed_is_told_shortly_and_masked() -> None:
    sick = container(health="unhealthy", health_code=22, health_failures=3, health_output="curl: (22)\n k-123456789" * 40)
    (said,) = _health_report.health_words(sick, ["k-123456789"])
    assert said.startswith("health check: exit code 22, 3 times in a row: ")
    assert len(said) < 360 and "k-123456789" not in said and "\n" not in said
    silent = container(health="starting", health_code=1, health_failures=1)
    assert _health_report.health_words(silent, []) == ["health check: exit code 1: it prints nothing"]
    assert _health_report.health_words(container(health="healthy", health_output="ok"), []) == []


def test_a_service_that_could_not_be_asked_is_unknown() -> None:
    chat = Expectation("chat", probe=_health.Probe(3300, asker="api"))
    seen = sighting(container("chat"), container(status="exited"), good_at=None)
    seen.states["chat"] = Judgement(False, False, "running, GET :3300/: api, from which it is asked, does not run")
    found = _health_report.checks(PROJECT, [chat], seen, Limits(), _health_report.Looked(), lambda _one: [])[0]
    assert (found.status, found.remedy) == ("unknown", "See compose.api.state")
    seen.containers[0] = container("chat", status="exited")
    found = _health_report.checks(PROJECT, [chat], seen, Limits(), _health_report.Looked(), lambda _one: [])[0]
    assert found.status == "fail", "it does not run itself"


def test_secret_values() -> None:
    found = _health_report.secret_values(MODEL, ["*_key"])
    assert found == {"k-123456789", "p%40ssw0rd", "p@ssw0rd"}
