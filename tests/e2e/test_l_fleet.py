# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts over SSH: the first alone, the rest when it is verified, nothing more after a failure.

The application is another one than the demo's: data alone makes the roles serve it. The tests build on each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from demo_stack import Played, Stack
from fleet import NAMES, Fleet
from fleet import fleet as start

OTHERS = NAMES[1:]

pytestmark = pytest.mark.soak  # hosts with engines of their own take minutes


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with start(tmp_path_factory.mktemp("fleet")) as running:
        yield running


def deploy(stack: Stack, fleet: Fleet, commit: str, unreachable: str = "") -> Played:
    options = ["--skip-tags", "preflight", "-e", f"commit={fleet.origin.commits[commit]}"]
    return stack.play("deploy", *options, short=False, inventory=fleet.inventory(unreachable))


def untouched(fleet: Fleet) -> dict[str, object]:
    """What a run must leave alone on the hosts that it never came to: containers, images, records."""
    return {
        name: (
            fleet.hosts[name].containers(),
            set(fleet.hosts[name].inside("docker", "images", "-q", "--no-trunc").split()),
            len(fleet.records(name)),
        )
        for name in OTHERS
    }


def test_a_good_commit_goes_through_all_hosts_the_first_one_alone(fleet: Fleet, stack: Stack) -> None:
    done = deploy(stack, fleet, "good")
    assert done.code == 0
    assert {name: fleet.served(name) for name in NAMES} == dict.fromkeys(NAMES, "good")
    canary, *others = (fleet.records(name)[-1] for name in NAMES)
    assert [record["outcome"] for record in (canary, *others)] == ["verified"] * 3
    assert all(record["started"] >= canary["finished"] for record in others), "the first one was verified before"
    assert max(record["started"] for record in others) < min(record["finished"] for record in others), "the rest side by side"


def test_a_canary_that_is_taken_back_ends_it(fleet: Fleet, stack: Stack) -> None:
    before = untouched(fleet)
    done = deploy(stack, fleet, "bad")
    assert done.code != 0
    assert "Taken back" in done.output
    assert fleet.records("canary")[-1]["outcome"] == "taken_back"
    assert fleet.served("canary") == "good"
    assert untouched(fleet) == before


def test_a_canary_that_fails_before_anything_is_built_ends_it(fleet: Fleet, stack: Stack) -> None:
    before = untouched(fleet)
    fleet.origin.commits["unknown"] = "0" * 40
    done = deploy(stack, fleet, "unknown")
    assert done.code != 0
    assert fleet.records("canary")[-1]["outcome"] == "failed"
    assert untouched(fleet) == before


def test_a_canary_that_cannot_be_reached_ends_it(fleet: Fleet, stack: Stack) -> None:
    before = untouched(fleet)
    done = deploy(stack, fleet, "bad", unreachable="canary")
    assert done.code != 0
    assert "canary cannot be reached, nothing was changed there" in done.output
    assert untouched(fleet) == before


def test_a_failure_in_a_later_batch_ends_it_and_leaves_no_host_in_the_middle(fleet: Fleet, stack: Stack) -> None:
    """The second host is held by somebody's lock while the first one works; the third is a batch of its own."""
    texts = dict.fromkeys(("run", "owner", "controller", "boot_id", "playbook", "taken"), "somebody")
    held = json.dumps({**texts, "pid": 1, "process_started": 1})
    before = fleet.hosts["third"].containers(), len(fleet.records("third"))
    lease = "/var/lib/prosaas/lease.json"
    fleet.hosts["second"].inside("sh", "-c", f"echo '{held}' >{lease}")
    try:
        options = ["--skip-tags", "preflight", "-e", f"commit={fleet.origin.commits['good']}", "-e", '{"prosaas_serial": [2, 1]}']
        done = stack.play("deploy", *options, short=False, inventory=fleet.inventory())
    finally:
        fleet.hosts["second"].inside("rm", lease)
    assert done.code != 0
    assert fleet.records("canary")[-1]["outcome"] == "unchanged"
    assert "Nothing was begun here, since second failed before" in done.output
    assert (fleet.hosts["third"].containers(), len(fleet.records("third"))) == before
    assert fleet.hosts["canary"].inside("ls", lease, check=False) == ""
