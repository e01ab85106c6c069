# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _certificate, _host
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Project
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container, Port
from ansible_collections.prosaas.ops.plugins.module_utils._host import Listener, Wanted

HERE = Project("shop", Path("/srv/shop"), ())
DAY = 86400


@pytest.mark.parametrize(
    ("found", "least", "status"),
    [
        ("20.10.24+dfsg1", "20.10", "pass"),
        ("v2.26.1-4", "2.21.0", "pass"),
        ("2.9.0", "2.21.0", "fail"),
        ("1.29.2", "2", "fail"),
        ("29.0.1", "20.10", "pass"),
    ],
)
def test_versions(found: str, least: str, status: str) -> None:
    assert _host.judge_version("Compose", found, least, "").status == status


def container(**changes: t.Any) -> Container:
    known = {"id": "c", "name": "shop-edge-1", "project": "shop", "service": "edge", "status": "running"}
    return Container(**{**known, "ports": frozenset({Port("0.0.0.0", 80, 80, "tcp")}), **changes})


@pytest.mark.parametrize(
    ("host_ip", "containers", "listening", "status", "words"),
    [
        ("0.0.0.0", [], [], "pass", "free: 80/tcp"),
        ("0.0.0.0", [container()], [Listener("tcp", "0.0.0.0", 80, "docker-proxy")], "pass", "ours: 80/tcp"),
        ("0.0.0.0", [container(project="other", name="o-1")], [], "fail", "held by container o-1"),
        ("0.0.0.0", [container(status="exited")], [], "pass", "free"),
        ("0.0.0.0", [], [Listener("tcp", "127.0.0.1", 80, "apache2 (process 7)")], "fail", "apache2 (process 7)"),
        ("127.0.0.1", [], [Listener("tcp", "::", 80, "apache2 (process 7)")], "fail", "apache2"),
        ("127.0.0.1", [], [Listener("tcp", "127.0.0.53", 80, "resolver")], "pass", "free"),
        ("0.0.0.0", [], [Listener("udp", "0.0.0.0", 80, "game")], "pass", "free"),
    ],
)
def test_ports(host_ip: str, containers: list[Container], listening: list[Listener], status: str, words: str) -> None:
    outcome = _host.judge_ports([Wanted("edge", host_ip, 80, 80, "tcp")], containers, "shop", listening)
    assert (outcome.status, words in outcome.evidence) == (status, True), outcome


def test_listeners_are_read_from_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    head = "sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode\n"
    rows = (
        "0: 0100007F:0050 00000000:0000 0A 0:0 0:0 0 0 0 111 1\n1: 0100007F:0051 0100007F:9999 01 0:0 0:0 0 0 0 222 1\n"
    )
    (tmp_path / "net" / "tcp").write_text(head + rows, encoding="ascii")
    six = "0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 333 1\n"
    (tmp_path / "net" / "tcp6").write_text(head + six, encoding="ascii")
    process = tmp_path / "42"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("apache2\n", encoding="ascii")
    (process / "fd" / "3").symlink_to("socket:[111]")
    wanted = [Wanted("edge", "0.0.0.0", 80, 81, "tcp"), Wanted("edge", "0.0.0.0", 443, 443, "tcp")]
    assert _host.listeners(wanted, tmp_path) == [
        Listener("tcp", "127.0.0.1", 80, "apache2 (process 42)"),
        Listener("tcp", "::", 443, "a program that only root can name"),
    ]


def test_networks_and_volumes() -> None:
    model = {
        "networks": {"default": {"name": "shop_default"}, "out": {"name": "shop-net", "external": True}},
        "volumes": {"data": {"name": "shop_data"}, "auth": {"name": "shop_auth"}},
    }
    assert _host.judge_networks(model, {}).status == "warn"
    assert _host.judge_networks(model, {"shop-net": {"Driver": "bridge"}}).evidence == "shop-net (bridge) exists"
    there = {"shop_data": {"CreatedAt": "2026-01-02T03:04:05Z"}}
    assert _host.judge_volumes(model, there).evidence == "kept: shop_data (since 2026-01-02); new: shop_auth"
    model["volumes"]["auth"]["external"] = True
    assert _host.judge_volumes(model, there).status == "fail"


def test_memory_and_room() -> None:
    assert _host.memory_available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n") == 2 << 20
    assert _host.judge_room("here", 5 << 30, 10 << 30, "make room").evidence == "5.0 GiB free here, 10.0 GiB are wanted"
    assert _host.judge_room("here", 10 << 30, 10 << 30, "").status == "pass"


def test_project_of_another_directory() -> None:
    other = container(working_dir="/srv/old")
    assert _host.judge_project(HERE, [container(working_dir="/srv/shop/")]).status == "pass"
    assert "/srv/old" in _host.judge_project(HERE, [other]).evidence
    assert _host.judge_project(HERE, [container(project="b", working_dir="/srv/old")]).status == "pass"


def test_files(tmp_path: Path) -> None:
    assert _host.judge_file("", "/etc/x").status == "skip"
    assert _host.judge_file(str(tmp_path)).status == "fail"
    assert _host.judge_file(str(tmp_path / "none")).status == "fail"
    (tmp_path / "full").write_text("x", encoding="ascii")
    (tmp_path / "empty").touch()
    assert _host.judge_file(str(tmp_path / "full")).status == "pass"
    assert _host.judge_file(str(tmp_path / "empty")).status == "fail"


@pytest.mark.parametrize(
    ("lifetime", "left", "status"),
    [
        (365, 90, "pass"),
        (365, 89, "fail"),
        (101, 89, "fail"),
        (90, 89, "pass"),
        (90, 31, "pass"),
        (90, 29, "warn"),
        (90, 6, "fail"),
        (15, 6, "fail"),
        (365, -1, "fail"),
        (365, 366, "fail"),  # not valid yet
    ],
)
def test_days(lifetime: int, left: int, status: str) -> None:
    end = 1_000_000_000.0
    outcome = _certificate.judge_days(end - lifetime * DAY, end, end - left * DAY, 90, 100)
    assert outcome.status == status, outcome


@pytest.mark.parametrize(
    ("owner", "mode", "status"),
    [
        (0, 0o600, "pass"),
        (0, 0o400, "pass"),
        (1000, 0o600, "fail"),
        (0, 0o044, "fail"),
        (1000, 0o644, "warn"),
        (0, 0o640, "warn"),
    ],
)
def test_key_permissions(owner: int, mode: int, status: str) -> None:
    assert _certificate.judge_key(Path("/srv/site.key"), owner, mode, reader=0).status == status
