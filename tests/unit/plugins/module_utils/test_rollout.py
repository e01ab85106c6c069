# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout decides: which containers stay, in which order, what the proxy's hosts file says, what a plain start would do."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _settle, _steering, _successors, _switch
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Compose, Project
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._rollout import Brought, told
from ansible_collections.prosaas.ops.plugins.module_utils._ways import Way, ways_of


def container(number: int, **given: t.Any) -> Container:
    base = {"id": f"{number:064d}", "name": f"shop-web-{number}", "project": "shop", "service": "web", "number": number}
    return Container(**{**base, "status": "running", "config_hash": "a", "image": "sha256:1", **given})


MADE = container(9, status="created")


@pytest.mark.parametrize(
    ("there", "chosen", "others"),
    [
        ([], [9], []),
        ([container(1)], [1], []),
        ([container(1, config_hash="b")], [9], [1]),
        ([container(1, image="sha256:2")], [9], [1]),
        ([container(1, image="sha256:2"), container(2)], [2], [1]),
        ([container(1, status="exited"), container(2)], [2], [1]),
        ([container(1), container(2)], [2], [1]),
        ([container(1, status="exited"), container(2, config_hash="b")], [1], [2]),
    ],
)
def test_what_is_as_it_should_be_stays_before_anything_new(
    there: list[Container], chosen: list[int], others: list[int]
) -> None:
    move = _successors.decide("web", there, [MADE], 1)
    assert [one.number for one in move.chosen] == chosen
    assert [one.number for one in move.others] == others


def test_several_of_a_service_are_counted() -> None:
    move = _successors.decide("web", [container(1), container(2, image="old")], [MADE, container(10, status="created")], 2)
    assert [one.number for one in move.chosen] == [1, 9]


@pytest.mark.parametrize(
    ("finite", "status", "code", "done"),
    [(False, "running", 0, True), (False, "exited", 0, False), (True, "exited", 0, True), (True, "exited", 1, False)],
)
def test_when_nothing_is_left_to_do(finite: bool, status: str, code: int, done: bool) -> None:
    move = _successors.decide("web", [container(1, status=status, exit_code=code)], [MADE], 1, finite)
    assert move.done is done


MODEL = {
    "services": {
        "nginx": {"depends_on": {"api": {}, "front": {}}},
        "api": {"depends_on": {"redis": {}, "migrate": {}}},
        "front": {},
        "redis": {},
        "migrate": {},
        "worker": {"depends_on": {"api": {}}},
    }
}


def test_each_comes_after_what_it_needs() -> None:
    order = _successors.in_order(MODEL)
    assert sorted(order) == sorted(MODEL["services"])
    for name, service in MODEL["services"].items():
        for needed in service.get("depends_on", {}):  # type: ignore[attr-defined]
            assert order.index(needed) < order.index(name)
    assert _successors.in_order({"services": {"a": {"depends_on": {"b": {}}}, "b": {"depends_on": {"a": {}}}}})


def test_what_is_needed_directly_or_not() -> None:
    assert _successors.needed_by(MODEL, ["nginx"]) == {"api", "front", "redis", "migrate"}


def test_a_volume_without_a_name_binds_a_service_that_depends_on_others() -> None:
    containers = [container(1, service=name, anonymous_volumes=("/data",)) for name in ("redis", "api")]
    assert _switch.bound_to_others(MODEL, containers, ["redis", "api"]) == ["api"]
    assert _switch.bound_to_others(MODEL, containers, ["redis"]) == []
    assert _switch.bound_to_others(MODEL, [container(1, service="api")], ["api"]) == []


PROXY = container(5, service="nginx", addresses={"net": "10.0.0.5"})


def test_every_name_of_a_service_leads_to_the_new_one() -> None:
    new = container(2, addresses={"net": "10.0.0.2"}, aliases={"net": ("shop-web-2", "web", "backend", "0" * 12)})
    assert _steering.lines_for([new], PROXY) == ["10.0.0.2 backend web # prosaas.ops\n"]


def test_a_service_in_another_network_cannot_be_led_to() -> None:
    with pytest.raises(OpsError, match="shares no network"):
        _steering.lines_for([container(2, addresses={"other": "10.1.0.2"})], PROXY)


def test_lines_of_ours_are_replaced_and_everything_else_stays() -> None:
    hosts = "127.0.0.1 localhost\n10.0.0.5 abc"
    once = _steering.with_lines(hosts, ["10.0.0.2 web # prosaas.ops\n"])
    assert once == "127.0.0.1 localhost\n10.0.0.5 abc\n10.0.0.2 web # prosaas.ops\n"
    assert _steering.with_lines(once, ["10.0.0.3 web # prosaas.ops\n"]).count("prosaas.ops") == 1
    assert _steering.with_lines(once, []) == hosts + "\n"


def test_the_hosts_file_stays_the_file_that_is_mounted(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    inode = path.stat().st_ino
    _steering._write_in_place(str(path), ["10.0.0.2 web # prosaas.ops\n"])
    assert path.read_text() == "127.0.0.1 localhost\n10.0.0.2 web # prosaas.ops\n"
    _steering._write_in_place(str(path), [])
    assert (path.read_text(), path.stat().st_ino) == ("127.0.0.1 localhost\n", inode)


def test_a_hosts_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="hosts file of the proxy cannot be written"):
        _steering._write_in_place(str(tmp_path / "none"), [])


def test_the_first_complaint_of_a_proxy_is_told() -> None:
    printed = "nginx: [warn] old\nnginx: [emerg] unknown directive \"srever\" in /etc/nginx/nginx.conf:3\nnginx: test failed\n"
    assert "unknown directive" in str(_steering.refused(printed))
    assert "printed nothing" in str(_steering.refused(""))


@pytest.mark.parametrize(
    "wrong",
    [{"besides": True}, {"beside": 1}, {"drain": "60"}, {"drain": True}, {"undrained": "never"}, "beside", {"stop": None}],
)
def test_a_slip_in_a_way_is_said(wrong: t.Any) -> None:
    with pytest.raises(OpsError, match="service web is switched is not understood"):
        ways_of({"web": wrong})


def test_what_is_not_named_is_replaced_in_place() -> None:
    assert ways_of({"web": {"beside": True}})["other"] == Way()


# As Compose 2.26.1 prints it.
DRY_RUN = """\
 DRY-RUN MODE -  Container shop-redis-1  Running
 DRY-RUN MODE -  Container shop-migrate-1  Created
 DRY-RUN MODE -  Container shop-migrate-1  Starting
 DRY-RUN MODE -  Container shop-migrate-1  Started
 DRY-RUN MODE -  Container shop-redis-1  Waiting
 DRY-RUN MODE -  Container shop-redis-1  Healthy
"""


def would_change(tmp_path: Path, printed: str) -> list[str]:
    (tmp_path / "c.yml").touch()
    project = Project("shop", tmp_path, ("c.yml",))
    return _settle.would_change(Compose(project, lambda *_a, **_k: (0, "", printed)), {"migrate"})


def test_one_shots_start_again_with_every_plain_start(tmp_path: Path) -> None:
    assert would_change(tmp_path, DRY_RUN) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Container shop-web-1  Recreate", ["recreate shop-web-1"]),
        ("Container shop-web-1  Creating", ["creating shop-web-1"]),
        ("Container shop-web-2  Stopping", ["stopping shop-web-2"]),
        ("Container shop-old-1  Removing", ["removing shop-old-1"]),
        ("Container shop-web-1  Starting", ["starting shop-web-1"]),
    ],
)
def test_what_a_plain_start_would_do_is_found(tmp_path: Path, line: str, found: list[str]) -> None:
    assert would_change(tmp_path, f"{DRY_RUN} DRY-RUN MODE -  {line}\n") == found


def test_what_was_done_is_told_with_what_it_cost() -> None:
    done = Brought()
    done.note("api", "beside", 9.0)
    done.note("worker", "replaced", 3.0, gap=1.25, cut=["default/4711"])
    done.note("calls", "beside", 9.0)
    assert told(done) == "beside: api, calls; replaced: worker (away for 1.2 s; cut: default/4711)"
    assert told(Brought()) == "nothing changed"


def test_what_is_kept_is_a_remark_and_what_a_plain_start_would_change_a_failure() -> None:
    kept = _settle.Settled(kept=[{"service": "calls", "name": "shop-calls-1", "open": 2}])
    assert _settle.drained(kept).status == "warn"
    assert _settle.plain_start(["removing shop-calls-1"], kept).status == "warn"
    assert _settle.plain_start(["recreate shop-web-1"], _settle.Settled()).status == "fail"
    assert _settle.plain_start([], _settle.Settled()).status == "pass"
    cut = _settle.Settled(ended=[{"service": "calls", "name": "shop-calls-1", "open": 1}])
    assert _settle.drained(cut).status == "warn"
