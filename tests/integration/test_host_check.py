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
from tiny import LABELS, Stack, ansible, check, module, stack, status

TARGET = "/etc/credentials.json"
PORT = 20997
TLS = {"certificate": "site.crt", "key": "site.key", "names": ["site.test", "n8n.site.test"]}


def services(directory: Path) -> dict[str, t.Any]:
    mount = {"type": "bind", "source": str(directory / "credentials.json"), "target": TARGET, "read_only": True}
    return {
        "edge": {
            "command": ["sleep", "infinity"],
            "ports": [f"127.0.0.1:{PORT}:80"],
            "volumes": [mount, "data:/data"],
        },
    }


def certificate(directory: Path, days: int = 365, names: str = "DNS:site.test,DNS:*.site.test") -> None:
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    request += ["-keyout", "site.key", "-out", "site.crt", "-days", str(days), "-subj", "/CN=site.test"]
    subprocess.run([*request, "-addext", f"subjectAltName={names}"], cwd=directory, check=True, capture_output=True)
    (directory / "site.key").chmod(0o600)


@pytest.fixture()
def project(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "credentials.json").write_text("{}", encoding="utf-8")
    certificate(tmp_path)
    volumes = {"data": {"labels": LABELS}}
    with stack("host", tmp_path, services(tmp_path), up=False, volumes=volumes) as ready:
        yield ready


def given(project: Stack) -> dict[str, t.Any]:
    files = {"credentials": {"target": TARGET}}
    return {**project.options, "disk_least": 1 << 20, "files": files, "tls": {**TLS, "reader": os.getuid()}}


def host(project: Stack, **options: t.Any) -> dict[str, t.Any]:
    return module("host_check", **{**given(project), **options})


def test_green_before_and_after_the_start(project: Stack) -> None:
    before = host(project, items={"tls.days": [91]})
    assert before["verdict"] == "pass", before["msg"]
    assert check(before, "host.ports")["evidence"] == f"free: {PORT}/tcp"
    assert check(before, "host.volumes")["evidence"] == f"new: {project.name}_data"
    assert check(before, "tls.days")["item"] == [91]
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
    assert network["status"] == "warn"
    assert "docker network create opstest-missing" in network["remedy"]


def test_certificate_faults(project: Stack) -> None:
    certificate(project.directory, days=60)
    assert status(host(project))["tls.days"] == "pass", "a short-lived one with all its days left"
    certificate(project.directory, days=30, names="DNS:site.test")
    seen = host(project, tls={**TLS, "reader": os.getuid(), "short_lived": 20})
    assert (status(seen)["tls.days"], status(seen)["tls.names"]) == ("fail", "fail")
    assert "n8n.site.test" in check(seen, "tls.names")["evidence"]

    own_key = (project.directory / "site.key").read_bytes()
    certificate(project.directory)
    (project.directory / "site.key").write_bytes(own_key)
    assert status(host(project))["tls.match"] == "fail"
    certificate(project.directory)
    assert status(host(project, tls={**TLS, "reader": os.getuid() + 1}))["tls.files"] == "fail"
    (project.directory / "site.crt").unlink()
    seen = host(project)
    assert {name: state for name, state in status(seen).items() if name.startswith("tls.")} == {
        "tls.files": "fail",
        "tls.match": "unknown",
        "tls.names": "unknown",
        "tls.days": "unknown",
    }


def test_broken_model_and_engine_away(project: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = host(project, compose_files=["docker-compose.yml", "none.yml"])
    assert status(seen)["host.model"] == "fail"
    assert status(seen)["host.ports"] == "unknown"
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    seen = host(project)
    engine = check(seen, "host.engine")
    assert engine["status"] == "unknown"
    assert engine["evidence"] == "The Docker engine does not answer on this host."
    assert engine["remedy"] == "Start it: systemctl start docker"
    assert status(seen)["host.compose"] == "pass"
    assert status(seen)["host.network"] == "unknown"
