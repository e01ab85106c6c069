# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""host_check on this machine: green, and red by a fault of the machine each time."""

from __future__ import annotations

import os
import socket
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _host_limits
from conftest import Cloud
from tiny import IMAGE, LABELS, Stack, ansible, check, module, stack, status

TARGET = "/etc/credentials.json"
PORT = 20995
FLAGS = ("--label", "ops.prosaas.demo=true")


def services(directory: Path) -> dict[str, t.Any]:
    mount = {"type": "bind", "source": str(directory / "credentials.json"), "target": TARGET, "read_only": True}
    return {
        "edge": {
            "command": ["sleep", "infinity"],
            "ports": [f"127.0.0.1:{PORT}:80"],
            "volumes": [mount, "data:/data"],
        },
    }


@pytest.fixture()
def project(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "credentials.json").write_text("{}", encoding="utf-8")
    volumes = {"data": {"labels": LABELS}}
    with stack("host", tmp_path, services(tmp_path), up=False, volumes=volumes) as ready:
        yield ready


def given(project: Stack) -> dict[str, t.Any]:
    files = {"credentials": {"target": TARGET}}
    return {**project.options, "disk_least": 1 << 20, "state_least": 1 << 20, "files": files}


def host(project: Stack, **options: t.Any) -> dict[str, t.Any]:
    return module("host_check", **{**given(project), **options})


def test_green_before_and_after_the_start(project: Stack) -> None:
    before = host(project, items={"host.volumes": [112]}, volumes={"data": "it starts without data"})
    assert before["verdict"] == "pass", before["msg"]
    assert check(before, "host.ports")["evidence"] == f"free: {PORT}/tcp"
    assert check(before, "host.volumes")["evidence"] == f"new: {project.name}_data (it starts without data)"
    assert check(before, "host.volumes")["item"] == [112]
    assert "the images of the last build" not in check(before, "host.disk")["evidence"]
    assert not before["changed"]
    project.compose("up", "-d")
    after = ansible("host_check", **given(project))
    assert after["verdict"] == "pass", after["msg"]
    assert check(after, "host.ports")["evidence"] == f"ours: {PORT}/tcp"
    assert check(after, "host.volumes")["evidence"].startswith(f"kept: {project.name}_data")
    assert check(after, "host.project")["evidence"].startswith("1 containers, all of")


def test_port_held_by_a_program_and_by_another_project(
    project: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        listener.listen()
        seen = host(project)
    ports = check(seen, "host.ports")
    assert ports["status"] == "fail"
    assert f"(process {os.getpid()})" in ports["evidence"]

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = {"squatter": {"command": ["sleep", "infinity"], "ports": [f"127.0.0.1:{PORT}:80"]}}
    with stack("squat", elsewhere, other) as squatter:
        seen = host(project)
    assert f"held by container {squatter.name}-squatter-1" in check(seen, "host.ports")["evidence"]


def test_the_same_name_from_another_directory(project: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    twin = Stack(project.name, tmp_path_factory.mktemp("twin"), {"edge": {"command": ["sleep", "infinity"]}})
    twin.name = project.name
    twin.compose("up", "-d")
    seen = host(project)
    assert status(seen)["host.project"] == "fail"
    assert str(twin.directory) in check(seen, "host.project")["evidence"]


def test_a_directory_in_place_of_a_mounted_file(project: Stack) -> None:
    (project.directory / "credentials.json").unlink()
    assert status(host(project))["host.files.credentials"] == "fail"
    (project.directory / "credentials.json").mkdir()
    seen = check(host(project), "host.files.credentials")
    assert seen["status"] == "fail"
    assert "is a directory" in seen["evidence"]
    assert "rmdir" in seen["remedy"]


def test_room_versions_and_networks(project: Stack) -> None:
    model = services(project.directory)
    model["edge"]["networks"] = ["default", "outside"]
    external = {"default": {"labels": LABELS}, "outside": {"external": True, "name": "opstest-missing"}}
    project.write(model, volumes={"data": {"labels": LABELS}}, networks=external)
    seen = host(project, disk_least=1 << 60, memory_least=1 << 60, engine_least="99", compose_least="99")
    for check_id in ("host.disk", "host.memory", "host.engine", "host.compose"):
        assert check(seen, check_id)["status"] == "fail", check_id
    network = check(seen, "host.network")
    assert network["status"] == "fail"
    assert "docker network create opstest-missing" in network["remedy"]
    made = check(host(project, networks_made=["opstest-missing"]), "host.network")
    assert (made["status"], "a deployment creates it" in made["evidence"]) == ("warn", True)


def test_networks_volumes_and_names_of_others(project: Stack) -> None:
    name = f"opstest-internal-{os.getpid()}"
    model = services(project.directory)
    model["edge"]["networks"] = ["outside"]
    project.write(model, volumes={"data": {"name": name}}, networks={"outside": {"external": True, "name": name}})
    stranger = ["--label", "com.docker.compose.project=stranger", "--label", "ops.prosaas.demo=true"]
    try:
        run("network", "create", "--internal", *stranger, name)
        run("volume", "create", *stranger, name)
        run("create", "--name", f"{project.name}-edge-1", *stranger, IMAGE, "true")
        seen = host(project)
    finally:
        run("rm", "-f", f"{project.name}-edge-1")
        run("volume", "rm", name)
        run("network", "rm", name)
    assert "is internal" in check(seen, "host.network")["evidence"]
    assert check(seen, "host.volumes")["evidence"] == f"{name} is of project stranger"
    assert check(seen, "host.project")["evidence"] == f"container {project.name}-edge-1 is of project stranger"
    assert {status(seen)[f"host.{one}"] for one in ("network", "volumes", "project")} == {"fail"}


def run(*command: str, must: bool = True) -> str:
    done = subprocess.run(["docker", *command], capture_output=True, text=True, timeout=60, check=False)
    assert not must or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_volume_that_is_gone_where_the_project_has_run(project: Stack) -> None:
    project.compose("up", "-d")
    project.write(services(project.directory), volumes={"data": {"labels": LABELS, "name": f"{project.name}_other"}})
    seen = check(host(project), "host.volumes")
    assert seen["status"] == "warn"
    assert "yet the project has run here before" in seen["evidence"]


def test_what_is_predicted_of_limits_is_what_the_engine_does(project: Stack) -> None:
    limits = _host_limits.of_engine(Path("/proc"))
    most = limits.files if limits.any_value else min(limits.files, limits.hard["nofile"])
    for value, good in ((most, True), (most + 1, False)):
        model = services(project.directory)
        model["edge"]["ulimits"] = {"nofile": value}
        project.write(model, volumes={"data": {"labels": LABELS}})
        seen = check(host(project), "host.ulimits")
        said = run("run", "--rm", *FLAGS, "--ulimit", f"nofile={value}:{value}", IMAGE, "true", must=False)
        assert (seen["status"] == "pass", "rlimit" not in said) == (good, good), (seen, said)


def test_a_file_that_a_service_may_not_read(project: Stack) -> None:
    model = services(project.directory)
    model["edge"]["user"] = "4711:4711"
    project.write(model, volumes={"data": {"labels": LABELS}})
    (project.directory / "credentials.json").chmod(0o600)
    seen = check(host(project), "host.files.credentials")
    assert seen["status"] == "fail"
    assert "edge cannot read it: user 4711 may not read" in seen["evidence"]
    subprocess.run(seen["remedy"], shell=True, check=True)
    mended = check(host(project), "host.files.credentials")
    assert mended["evidence"].endswith("edge may read it"), mended


def test_clock_against_a_source(project: Stack, cloud: Cloud) -> None:
    sources = {"clock_sources": [f"{cloud.api}", cloud.urls["s3"]], "ca_path": str(cloud.ca)}
    assert status(host(project, **sources))["host.clock"] == "pass"
    with cloud.fault("r2-clock"):
        both = check(host(project, **sources), "host.clock")
        assert (both["status"], "s3.prosaas.test agrees with this host" in both["evidence"]) == ("warn", True)
        alone = check(host(project, **{**sources, "clock_sources": [cloud.api]}), "host.clock")
        assert (alone["status"], "7200 s behind" in alone["evidence"]) == ("fail", True)
    assert status(host(project, clock_sources=["https://127.0.0.1:1/"]))["host.clock"] == "unknown"


def test_broken_model_and_engine_away(project: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = host(project, compose_files=["docker-compose.yml", "none.yml"])
    assert status(seen)["host.model"] == "fail"
    assert status(seen)["host.ports"] == "unknown"
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    seen = host(project)
    engine = check(seen, "host.engine")
    assert engine["status"] == "fail"
    assert engine["evidence"] == "The Docker engine does not answer on this host."
    assert engine["remedy"] == "Start it: systemctl start docker"
    assert status(seen)["host.compose"] == "pass"
    assert status(seen)["host.network"] == "unknown"
