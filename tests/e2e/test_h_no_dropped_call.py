# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment and a rollback under load lose no request and cut no call. Benchmarks time them; here nothing is timed."""

from __future__ import annotations

import typing as t

import pytest
from demo_stack import DEMO, Played, Stack, run
from load import Load

# The version before, the one that serves afterwards, and the playbook.
DEPLOY_OLDER = ("1.3.0", "1.2.0", "deploy")
ROLL_BACK = ("1.2.0", "1.3.0", "rollback")


def under_load(stack: Stack, version: str, name: str) -> tuple[Played, dict[str, t.Any]]:
    with Load(DEMO, version) as load:
        load.steady().mark()
        played = stack.play(name, "-e", f"commit={stack.commit(f'v{version}')}", "-e", "reason=test")
        load.wait_served(10)
    return played, load.report()


@pytest.mark.soak
def test_load_sees_a_proxy_that_is_gone_for_a_second(deployed: Stack) -> None:
    """The judge of the other tests is seen red first: by requests and calls that a restart of nginx cuts."""
    with Load(DEMO, "1.3.0") as load:
        load.steady().mark()
        run("docker", "restart", "prosaasil-nginx-1")
        load.wait_served(30)
    found = load.report()
    assert found["failed"] > 0 and found["failures"][0]["reason"], found
    assert found["calls"]["cut"] == found["calls"]["lasting"] == 5
    assert found["longest_gap"] > 0.2


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [pytest.param(*DEPLOY_OLDER, id="deploy"), pytest.param(*ROLL_BACK, id="rollback", marks=pytest.mark.soak)],
)
def test_no_request_is_lost_and_no_call_is_cut(deployed: Stack, before: str, after: str, name: str) -> None:
    assert deployed.served() == before
    played, found = under_load(deployed, after, name)
    assert played.code == 0
    assert found["late"] == 0, "the load itself fell behind: this machine is too busy to judge"
    assert found["failures"] == []
    assert found["calls"]["problems"] == {}
    # A call that began before the switch ends where it began; by then the new version serves everything.
    assert found["calls"]["carried_by"] == {before: 5}
    assert found["served_from"] is not None
    assert all(set(route["answers"]) == {before, after} for route in found["routes"].values())
    assert deployed.served() == after
    assert deployed.redis("SCARD", "calls:active") == "0"
