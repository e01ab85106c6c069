# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _host, _host_clock, _host_limits, _host_room
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Project
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container, Port
from ansible_collections.prosaas.ops.plugins.module_utils._errors import Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._host import Listener, Wanted

HERE = Project("shop", Path("/srv/shop"), ())


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


MODEL: dict[str, t.Any] = {
    "services": {"edge": {}},
    "networks": {"default": {"name": "shop_default"}, "out": {"name": "shop-net", "external": True}},
    "volumes": {"data": {"name": "shop_data"}, "auth": {"name": "shop_auth"}},
}
BRIDGE = {"Driver": "bridge", "Id": "0123456789abcdef", "IPAM": {"Config": [{"Subnet": "172.20.0.0/16"}]}}
THERE = {"shop_data": {"CreatedAt": "2026-01-02T03:04:05Z"}}


@pytest.mark.parametrize(
    ("present", "made", "status", "words"),
    [
        ({}, ["shop-net"], "warn", "a deployment creates it"),
        ({}, [], "fail", "no deployment makes it"),
        ({"shop-net": BRIDGE}, [], "pass", "shop-net (bridge) exists"),
        ({"shop-net": {**BRIDGE, "Internal": True}}, [], "fail", "is internal"),
        ({"shop-net": {**BRIDGE, "Driver": "null"}}, [], "fail", "driver null"),
        ({"shop-net": {**BRIDGE, "Scope": "swarm"}}, [], "fail", "not attachable"),
        ({"shop-net": {**BRIDGE, "Scope": "swarm", "Attachable": True}}, [], "pass", "exists"),
    ],
)
def test_networks(present: dict[str, t.Any], made: list[str], status: str, words: str) -> None:
    outcome = _host.judge_networks(MODEL, present, made, [])
    assert (outcome.status, words in outcome.evidence) == (status, True), outcome


def test_a_network_that_takes_addresses_of_others(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    rows = (
        "eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0",  # the default route says nothing
        "br-0123456789ab 000014AC 00000000 0001 0 0 0 0000FFFF 0 0 0",  # the network's own
        "tun0 000514AC 00000000 0001 0 0 0 00FFFFFF 0 0 0",
    )
    (tmp_path / "net/route").write_text("Iface Destination Gateway\n" + "\n".join(rows) + "\n", encoding="ascii")
    routes = _host.routes(tmp_path)
    assert [(route.device, str(route.to)) for route in routes] == [
        ("br-0123456789ab", "172.20.0.0/16"),
        ("tun0", "172.20.5.0/24"),
    ]
    outcome = _host.judge_networks(MODEL, {"shop-net": BRIDGE}, [], routes)
    assert outcome.status == "warn"
    assert "172.20.0.0/16, which the host reaches over tun0 (172.20.5.0/24)" in outcome.evidence
    assert _host.judge_networks(MODEL, {"shop-net": BRIDGE}, [], routes[:1]).status == "pass"


def test_volumes() -> None:
    meanings = {"auth": "pair anew"}
    first = _host.judge_volumes(MODEL, THERE, "shop", meanings, ran_before=False)
    assert first == ("pass", "kept: shop_data (since 2026-01-02); new: shop_auth (pair anew)", "", "")
    assert _host.judge_volumes(MODEL, THERE, "shop", meanings, ran_before=True).status == "warn"
    stranger = {"shop_data": {**THERE["shop_data"], "Labels": {"com.docker.compose.project": "other"}}}
    foreign = _host.judge_volumes(MODEL, stranger, "shop", {}, ran_before=False)
    assert (foreign.status, foreign.evidence) == ("fail", "shop_data is of project other")
    external = {**MODEL, "volumes": {"auth": {"name": "shop_auth", "external": True}}}
    assert _host.judge_volumes(external, THERE, "shop", {}, ran_before=False).status == "fail"
    assert _host.judge_volumes({"services": {}}, {}, "shop", {}, ran_before=True).status == "pass"


def test_another_compose_than_the_one_that_made_the_containers() -> None:
    assert _host.judge_compose("2.26.1-4", "2.21.0", ["2.26.1", ""]).status == "pass"
    newer = _host.judge_compose("2.40.3", "2.21.0", ["2.26.1", "2.9.0", "2.40.3"])
    assert newer.status == "warn"
    assert "made by 2.9.0, 2.26.1: a plain up would make all of them anew" in newer.evidence
    assert _host.judge_compose("2.9.0", "2.21.0", []).status == "fail"


def test_memory_and_disk(tmp_path: Path) -> None:
    assert _host_room.memory_available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n") == 2 << 20
    assert (
        _host_room.judge_memory(1 << 30, 2 << 30, "").evidence == "1.0 GiB of memory are available, 2.0 GiB are wanted"
    )
    images = _host_room.Place("images", tmp_path, 1, "prune")
    shared = _host_room.judge_disk([images, images._replace(what="releases", least=2)], "nothing was built here yet")
    assert shared.status == "pass"
    assert "(images and releases); nothing was built here yet" in shared.evidence
    full = _host_room.judge_disk([images, images._replace(least=1 << 60)], "")
    assert (full.status, full.remedy) == ("fail", "Make room: prune")
    assert _host_room.existing(tmp_path / "not/yet") == tmp_path


def test_layers_that_images_share_count_once() -> None:
    base, one, other = (1, "FROM", 100), (2, "COPY a", 10), (2, "COPY b", 1)
    assert _host_room.built({"a": {base, one}, "b": {base, other}}) == 111
    assert _host_room.built({}) == 0


@pytest.mark.parametrize(
    ("driver", "files", "left"),
    [
        ("cgroupfs", {"docker/memory.max": "max"}, None),
        ("cgroupfs", {"docker/memory.max": "900", "docker/memory.current": "500"}, 500),
        ("systemd", {"system.slice/memory.max": "900", "system.slice/memory.current": "2000"}, 0),
        ("cgroupfs", {"memory/docker/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("cgroupfs", {"memory/docker/memory.limit_in_bytes": "900", "memory/docker/memory.usage_in_bytes": "500"}, 500),
        ("cgroupfs", {}, None),
    ],
)
def test_the_limit_of_all_containers(tmp_path: Path, driver: str, files: dict[str, str], left: int | None) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n", encoding="ascii")
        (path.parent / "memory.stat").write_text("inactive_file 100\ntotal_inactive_file 100\n", encoding="ascii")
    found = _host_room.memory_of_containers(driver, tmp_path)
    assert (found[0] if found else None) == left


def process(proc: Path, number: int, name: str, parent: int, files: str = "20000", capable: bool = False) -> None:
    folder = proc / str(number)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns/pid").symlink_to("pid:[1]")
    (folder / "comm").write_text(name + "\n", encoding="ascii")
    effective = "000001ffffffffff" if capable else "000001fffeffffff"
    (folder / "status").write_text(f"PPid:\t{parent}\nCapEff:\t{effective}\n", encoding="ascii")
    limits = f"Limit Soft Hard Units\nMax open files            1024                 {files}                files\n"
    (folder / "limits").write_text(limits + "Max processes  unlimited  unlimited  processes\n", encoding="ascii")


@pytest.fixture()
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to("pid:[1]")
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/nr_open").write_text("1048576\n", encoding="ascii")
    process(tmp_path, 7, "dockerd", 1)
    return tmp_path


def asked(value: t.Any, name: str = "nofile") -> dict[tuple[str, int], list[str]]:
    return _host_limits.wanted({"services": {"edge": {"ulimits": {name: value}}}})


@pytest.mark.parametrize(
    ("value", "capable", "status"),
    [
        (20000, False, "pass"),
        (20001, False, "fail"),
        ({"soft": 1024, "hard": 65535}, False, "fail"),
        ({"soft": 1024, "hard": 65535}, True, "pass"),
        (1048577, True, "fail"),  # the kernel's ceiling, whoever asks
        (-1, True, "fail"),
    ],
)
def test_limits_that_the_engine_refuses(proc: Path, value: t.Any, capable: bool, status: str) -> None:
    process(proc, 8, "containerd", 7, capable=capable)
    assert _host_limits.judge(asked(value), _host_limits.of_engine(proc)).status == status


def test_a_limit_of_another_kind_and_none(proc: Path) -> None:
    process(proc, 8, "containerd", 1)
    limits = _host_limits.of_engine(proc)
    assert _host_limits.judge(asked(-1, "nproc"), limits).status == "pass"
    assert _host_limits.judge(_host_limits.wanted({"services": {"edge": {}}}), limits).status == "pass"


def test_which_containerd_is_the_engines(proc: Path) -> None:
    process(proc, 8, "containerd", 1, files="1")
    process(proc, 9, "containerd", 7, files="2")
    assert _host_limits.of_engine(proc).hard["nofile"] == 2, "the child of dockerd"
    (proc / "9/status").write_text("PPid:\t1\n", encoding="ascii")
    with pytest.raises(Unreachable, match="2 processes"):
        _host_limits.of_engine(proc)
    (proc / "9/ns/pid").unlink()
    (proc / "9/ns/pid").symlink_to("pid:[2]")
    assert _host_limits.of_engine(proc).hard["nofile"] == 1, "one in a container does not count"


def reading(ahead: float, source: str = "a.test", error: str = "") -> _host_clock.Reading:
    return _host_clock.Reading(source, ahead, error)


@pytest.mark.parametrize(
    ("readings", "status", "words"),
    [
        ([reading(0.4)], "pass", "within 1 s of a.test, kept by no time service"),
        ([reading(-7200)], "fail", "a.test is 7200 s behind it"),
        ([reading(7200), reading(7201, "b.test")], "fail", "b.test is 7201 s ahead of it"),
        ([reading(7200), reading(1, "b.test")], "warn", "while b.test agrees with this host"),
        ([reading(1), reading(0, "b.test", "gone")], "pass", "within 1 s of a.test"),
        ([], "skip", "no source"),
    ],
)
def test_clock(readings: list[_host_clock.Reading], status: str, words: str) -> None:
    outcome = _host_clock.judge(readings, 60, kept=False)
    assert (outcome.status, words in outcome.evidence) == (status, True), outcome
    assert isinstance(_host_clock.kept(), bool)


def test_nobody_to_ask_for_the_time() -> None:
    with pytest.raises(Unreachable, match="gone"):
        _host_clock.judge([reading(0, error="gone")], 60, kept=True)


def test_names_that_others_hold() -> None:
    def judge(*containers: Container, networks: dict[str, t.Any] | None = None) -> t.Any:
        return _host.judge_project(HERE, MODEL, containers, networks or {})

    assert judge(container(working_dir="/srv/shop/")).status == "pass"
    old = judge(container(working_dir="/srv/old"))
    assert (old.status, "came from /srv/old" in old.evidence) == ("fail", True)
    assert "docker rm shop-edge-1" in old.remedy
    assert judge(container(project="b", name="b-1", working_dir="/srv/old")).status == "pass"
    assert "container shop-edge-1 is of project b" in judge(container(project="b")).evidence
    assert "of no project" in judge(container(project="")).evidence
    own = {"shop_default": {"Labels": {"com.docker.compose.project": "shop"}}}
    assert judge(networks=own).status == "pass"
    assert "network shop_default is of no project" in judge(networks={"shop_default": {}}).evidence


def test_files(tmp_path: Path) -> None:
    assert _host.judge_file("", "/etc/x").status == "skip"
    assert _host.judge_file(str(tmp_path)).status == "fail"
    assert _host.judge_file(str(tmp_path / "none")).status == "fail"
    (tmp_path / "full").write_text("x", encoding="ascii")
    (tmp_path / "empty").touch()
    assert _host.judge_file(str(tmp_path / "full")).status == "pass"
    assert _host.judge_file(str(tmp_path / "empty")).status == "fail"


def test_a_socket_with_nobody_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    variables = {"DOCKER_HOST": f"unix://{path}"}
    assert _host.nobody_listens(variables)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert _host.nobody_listens(variables), "it refuses"
        listener.listen()
        assert not _host.nobody_listens(variables)
    assert not _host.nobody_listens({"DOCKER_HOST": "tcp://127.0.0.1:1"})
