# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment file beside what Compose makes of it, and beside what the containers have; names alone are said."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _env_views, _release, _secrets
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, SKIP, UNKNOWN, WARN
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Project
from ansible_collections.prosaas.ops.plugins.module_utils._env_rules import Environment
from ansible_collections.prosaas.ops.plugins.module_utils._env_views import Host, Running
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable

NAMES = {"api": {"A": "1", "B": "x$$y", "FREE": None}, "job": {"A": "1"}, "bare": None}
MODEL = {"services": {name: {"environment": environment} for name, environment in NAMES.items()}}
API = Running("api", {"A": "1", "B": "x$y", "PATH": "/bin", "https_proxy": "p", "FREE": "any"}, {"PATH": "/bin"})


def test_what_compose_hands_over_instead_is_found() -> None:
    variables = _dotenv.read("A=1\nB='a$b'\nC=3\n")
    environments = {"web": {"A": "2", "B": "a$$b", "X": "1"}, "job": {"A": "2", "C": None}, "none": None}
    model = {"services": {name: {"environment": environment} for name, environment in environments.items()}}
    assert _env_views.overridden(variables, model) == {"A": ["job", "web"], "C": ["job"]}


def test_a_variable_that_reaches_nobody_is_told_from_one_that_is_only_filled_in() -> None:
    texts = ["x: ${USED:-y}", "z: $PLAIN"]
    names = ["A", "USED", "PLAIN", "IDLE", "COMPOSE_PROJECT_NAME", "DOCKER_HOST"]
    assert _env_views.unused(names, MODEL, texts) == ["IDLE"]


@pytest.mark.parametrize(
    ("written", "overrides", "status", "said"),
    [
        ("A=1\n", (), PASS, "all of it"),
        ("A=2\n", ("A",), PASS, "meant to differ: A (in api, job)"),
        ("A=2\n", (), FAIL, "another value: A (in api, job)"),
        ("B=2\n", (), WARN, "another value: B (in api)"),
        ("IGNORED=2\n", (), WARN, "another value: IGNORED (in api)"),
        ("IDLE=2\nA=1\n", (), WARN, "no Compose file names them: IDLE"),
    ],
)
def test_what_is_judged_and_does_not_run_fails(
    written: str, overrides: tuple[str, ...], status: str, said: str, tmp_path: Path
) -> None:
    env = Environment({"A": {}, "IGNORED": {"ignored": "so"}}, variables=_dotenv.read(written))
    model = json.loads(json.dumps(MODEL))
    model["services"]["api"]["environment"]["IGNORED"] = "1"
    host = Host(Project("shop", tmp_path, ()), lambda *_argv, **_options: (0, "", ""), tmp_path, overrides)
    outcome = _env_views.judge_given(env, env.variables, host, model)
    assert outcome.status == status and said in outcome.evidence
    assert bool(outcome.remedy) == (status in (FAIL, WARN))


def test_what_the_containers_have_is_compared_by_name() -> None:
    assert _env_views.differences(MODEL, [API]) == {}
    stale = Running("job", {"A": "0", "GONE": "1", "PATH": "/opt"}, {"PATH": "/bin"})
    found = _env_views.differences(MODEL, [API, stale, Running("elsewhere", {"A": "9"}, {})])
    assert found == {"A": ["job"], "GONE": ["job"], "PATH": ["job"]}
    assert _env_views.differences(MODEL, [Running("job", {}, {})]) == {"A": ["job"]}
    # Nobody can tell what came from an image that is gone.
    assert _env_views.differences(MODEL, [Running("job", {"A": "1", "PATH": "/bin"}, None)]) == {}


@pytest.mark.parametrize(
    ("different", "changed", "status", "said"),
    [
        ({}, [], PASS, "2 services run with it"),
        ({"A": ["api"], "B": ["api", "job"]}, ["X"], WARN, "A (in api); B (in every service)"),
        ({"A": ["job"]}, None, WARN, "no finished release is on record"),
        ({"A": ["job"]}, [], FAIL, "the file is as released"),
        ({f"A{n}": ["job"] for n in range(40)}, [], FAIL, "A10, A11 and 28 more (in job)"),
    ],
)
def test_an_edit_before_a_deployment_warns_and_what_somebody_started_by_hand_fails(
    different: _env_views.Names, changed: list[str] | None, status: str, said: str
) -> None:
    outcome = _env_views.judge_running(different, [API, Running("job", {}, {})], changed, "UP")
    assert outcome.status == status and said in outcome.evidence
    assert bool(outcome.remedy) == (status != PASS)
    assert _env_views.judge_running({}, [], [], "UP").status == SKIP


def test_what_was_edited_is_known_by_the_fingerprints_of_the_release(tmp_path: Path) -> None:
    assert _env_views.edited(tmp_path, {"A": "1"}) is None
    config = _release.Config.of(_secrets.host_key(tmp_path), "", {"A": "1", "B": "2", "C": "3"}, {})
    release = _release.Release("20260101T000000Z-abc", "abc", "", "", {}, vars(config))
    store = _release.Store(tmp_path)
    store.put(release)
    store.set_current(release)
    assert _env_views.edited(tmp_path, {"A": "1", "B": "2", "C": "3"}) == []
    assert _env_views.edited(tmp_path, {"A": "1", "B": "0", "D": "4"}) == ["B", "C", "D"]
    store.begin_switch(None, release)
    assert _env_views.edited(tmp_path, {}) is None, "a switch that did not end may have started nothing"


def test_a_state_directory_that_cannot_be_read_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_store: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_release.Store, "current", denied)
    with pytest.raises(Unreachable, match="become"):
        _env_views.edited(tmp_path, {})


class Engine:
    """Answers as the docker command does."""

    def __init__(self, **answers: tuple[int, str, str]) -> None:
        self.answers = answers

    def __call__(self, argv: t.Sequence[str], **_options: t.Any) -> tuple[int, str, str]:
        return self.answers[argv[1]]


def container(service: str, created: str, **values: str) -> dict[str, t.Any]:
    environment = [f"{name}={value}" for name, value in values.items()]
    labels = {"com.docker.compose.service": service}
    made = {"Image": f"shop-{service}", "Cmd": ["serve"], "Labels": labels, "Env": [*environment, "BARE"]}
    return {"Created": created, "Image": f"sha:{service}", "Config": made}


def test_the_newest_container_of_a_service_counts() -> None:
    containers = [
        container("job", "2026-01-02", A="2"),
        container("job", "2026-01-01", A="1"),
        container("api", "2026"),
    ]
    images = [{"Id": "sha:job", "Config": {"Env": None}}]
    engine = Engine(
        ps=(0, "1 2 3", ""),
        container=(0, json.dumps(containers), ""),
        image=(1, json.dumps(images), "Error: No such image: sha:api"),
    )
    found = _env_views.running(engine, "shop")
    assert [(one.service, one.values, one.image) for one in found] == [("api", {}, None), ("job", {"A": "2"}, {})]
    assert found[0].made_with == {"image": "shop-api", "command": ["serve"], "entrypoint": None}
    assert _env_views.running(Engine(ps=(0, "\n", "")), "shop") == []


AWAY = (1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")


@pytest.mark.parametrize(
    ("answers", "statuses"),
    [
        ({"compose": (0, json.dumps(MODEL), ""), "ps": AWAY}, (PASS, UNKNOWN)),
        ({"compose": (1, "", 'service "db" has neither an image nor a build')}, (UNKNOWN, UNKNOWN)),
        ({"compose": (0, json.dumps(MODEL), ""), "ps": (0, "", "")}, (PASS, SKIP)),
    ],
)
def test_without_an_answer_nothing_is_said(
    answers: dict[str, tuple[int, str, str]], statuses: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "compose.yml").write_text("services: {}\n", encoding="utf-8")
    (tmp_path / ".env").write_text("A=1\n", encoding="utf-8")
    variables = _dotenv.read("A=1\n")
    host = Host(Project("shop", tmp_path, ("compose.yml",)), Engine(**answers), tmp_path)
    found = list(_env_views.checks(Environment(variables=variables), variables, host, ()))
    assert tuple(check.status for check in found) == statuses
    assert all(check.evidence for check in found)


def test_an_engine_without_a_command_is_no_answer(tmp_path: Path) -> None:
    def absent(*_argv: t.Any, **_options: t.Any) -> tuple[int, str, str]:
        raise OpsError("docker is not installed on this host.", "Install docker, or put it in PATH.")

    (tmp_path / "compose.yml").write_text("services: {}\n", encoding="utf-8")
    host = Host(Project("shop", tmp_path, ("compose.yml",)), absent, tmp_path)
    found = list(_env_views.checks(Environment(), {}, host, ()))
    assert [check.status for check in found] == [UNKNOWN, UNKNOWN]
    assert all("Install docker" in check.remedy for check in found)
