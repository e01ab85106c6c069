# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller is killed with -9 in the middle: the site is served, and the next run ends on one release.

The moments are drawn; a test prints its seed, and ``KILLED_SEED=SEED`` draws the same again.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from demo_stack import Played, Stack
from deploy_faults import Edge, Running, is_as_it_was

OUTAGE_SECONDS = 10.0
RELEASED = {"main": "1.3.0", "v1.1.0": "1.1.0", "v1.2.0": "1.2.0"}
# A moment begins when a step is in the journal; up to so many seconds later the kill comes.
MOMENTS = {
    "build": ("release_plan", 3.0),
    "migrate": ("release_build", 1.5),
    "switch": ("release_migrate", 25.0),
    "verify": ("release_switch", 6.0),
    "settle": ("release_keep", 3.0),
}
SEED = int(os.environ.get("KILLED_SEED") or random.randrange(1 << 32))


def until_free(stack: Stack, *options: str) -> Played:
    """Run it until the host is free: a module of the killed run may still be at work there, and says so."""
    deadline = time.monotonic() + 180
    while True:
        done = stack.play("deploy", *options)
        busy = "This host is locked" in done.output and "still working on this host" in done.output
        if not busy or time.monotonic() > deadline:
            return done
        time.sleep(2)


def kill_and_go_on(stack: Stack, log: Path, draw: random.Random, moment: str, killed: str, then: str, everything: bool) -> None:
    """Kill a deployment of ``killed`` at a moment, then deploy ``then``."""
    step, span = MOMENTS[moment]
    before = stack.served()
    with Edge() as edge:
        run = Running(log, "--skip-tags", "preflight", "-e", f"commit={killed}", "-e", "deploy_watch_window=4")
        run.until_done(step)
        time.sleep(draw.uniform(0.0, span))
        if run.process.poll() is not None:  # it was quicker than the moment
            print(f"it had ended: {run.output()[-500:]}")
        run.kill(everything)
        at = time.monotonic()
        done = until_free(stack, "--skip-tags", "preflight", "-e", f"commit={then}", "-e", "deploy_watch_window=4")
    assert done.code == 0, done.output[-4000:]
    assert stack.record()["outcome"] in ("verified", "unchanged")
    # Alone, the controller takes nothing with it; what it had begun on the host goes on and ends.
    if not everything:
        assert edge.longest_gap() < OUTAGE_SECONDS
    assert edge.answers[-1][1] == RELEASED[then] and edge.answers[-1][0] > at
    assert edge.versions() <= {before, RELEASED[killed], RELEASED[then]}
    is_as_it_was(stack, RELEASED[then])


@pytest.mark.soak
def test_killed_while_it_builds(deployed: Stack, tmp_path: Path) -> None:
    """The next run of the same commit begins again, and finishes."""
    print(f"seed {SEED}")
    kill_and_go_on(deployed, tmp_path / "log", random.Random(SEED), "build", "v1.1.0", "v1.1.0", everything=False)


def test_the_host_dies_while_it_switches(deployed: Stack, tmp_path: Path) -> None:
    """All that the run had started dies with it, half of the containers are new: the next run finishes."""
    print(f"seed {SEED}")
    other = "v1.2.0" if deployed.served() == RELEASED["main"] else "main"
    kill_and_go_on(deployed, tmp_path / "log", random.Random(SEED), "switch", other, other, everything=True)


@pytest.mark.soak
def test_killed_while_it_verifies(deployed: Stack, tmp_path: Path) -> None:
    """The next run goes back to the commit that served before."""
    print(f"seed {SEED}")
    kill_and_go_on(deployed, tmp_path / "log", random.Random(SEED), "verify", "v1.2.0", "main", everything=False)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(12))
def test_killed_at_any_moment(deployed: Stack, tmp_path: Path, number: int) -> None:
    seed = SEED + number
    print(f"seed {seed}")
    draw = random.Random(seed)
    moment, everything = draw.choice(sorted(MOMENTS)), draw.random() < 0.5
    serving = deployed.served()
    killed = draw.choice([name for name in sorted(RELEASED) if RELEASED[name] != serving])
    then = draw.choice([killed, "main"])
    print(f"{moment} of {killed} ({'all of it' if everything else 'the controller'}), then {then}")
    kill_and_go_on(deployed, tmp_path / "log", draw, moment, killed, then, everything)


@pytest.mark.soak
def test_it_ends_on_the_newest_release(deployed: Stack) -> None:
    assert deployed.play("deploy").code == 0
    is_as_it_was(deployed)
