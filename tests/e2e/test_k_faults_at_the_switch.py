# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commits that turn out bad at the switch or after it: the release that served before serves, or serves again."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
from demo_stack import DEMO, PROJECT, Stack, run
from deploy_faults import Edge, completes_again, is_as_it_was, says_why

OUTAGE_SECONDS = 10.0  # more than a proxy that is replaced in place needs, and is taken back
SHORT_OF_PATIENCE = {"verify_health_deadline": 25, "deploy_start_deadline": 20, "deploy_watch_window": 22}
OPTIONS = ["--skip-tags", "preflight", "-e", json.dumps(SHORT_OF_PATIENCE)]

# The bad day, what the operator reads of its cause and of the way out, and how it ends.
REFUSED = "failed"  # nothing was touched
TAKEN_BACK = "taken_back"
AT_THE_SWITCH: dict[str, tuple[str, str, str]] = {
    "nginx_broken": (r'unknown directive "server_tokns"', r"nginx\.conf:17", REFUSED),
    "never_healthy": (r"prosaas-calls did not come up within \d+ s", r"log|words", TAKEN_BACK),
    # Its web services are healthy; what a health check does not show, other questions do.
    "dead_flask": (r"prosaas-api|prosaas-calls|scheduler|endpoint\.api_health", r"Flask|dead_flask|logs|words", TAKEN_BACK),
    "dies_later": (r"prosaas-calls", r"restart|log", TAKEN_BACK),
    "critical_logs": (r"CRITICAL|watch\.lines|bad day: critical_logs", r"log", TAKEN_BACK),
}


# Each takes a minute and a half: these meet what the others meet, too.
LONG = ("never_healthy", "dies_later", "critical_logs")


@pytest.mark.parametrize(
    "fault", [pytest.param(one, marks=pytest.mark.soak) if one in LONG else one for one in AT_THE_SWITCH]
)
def test_it_ends_on_the_release_that_served_before(deployed: Stack, fault: str) -> None:
    cause, remedy, outcome = AT_THE_SWITCH[fault]
    before = deployed.ids()
    with Edge() as edge:
        done = deployed.play("deploy", "-e", f"commit=bad/{fault}", *OPTIONS)
    record = says_why(deployed, done, cause, remedy)
    assert record["outcome"] == outcome
    if outcome == REFUSED:
        assert "Nothing was switched" in done.output
        assert deployed.ids() == before, "id and StartedAt of every container"
    else:
        assert "Taken back: release" in done.output
    assert edge.longest_gap() < OUTAGE_SECONDS
    assert edge.versions() == {"1.3.0"}
    is_as_it_was(deployed)
    assert run("git", "-C", PROJECT, "rev-parse", "HEAD").strip() == deployed.commit("main")


def test_and_a_good_commit_can_be_deployed(deployed: Stack) -> None:
    before = deployed.ids()
    completes_again(deployed)
    assert deployed.ids() == before, "what was taken back is complete: there was nothing to do"


@pytest.mark.soak
def test_taking_back_keeps_what_was_edited_by_hand_since(deployed: Stack) -> None:
    """The environment file was edited, and the next commit is bad: the old release serves, with what was edited."""
    with deployed.env_line("MAX_ACTIVE_CALLS", "12"):
        done = deployed.play("deploy", "-e", "commit=bad/webhook_unchecked", *OPTIONS)
        record = says_why(deployed, done, r"webhook\.unsigned", "TWILIO|signature|Twilio")
        assert record["outcome"] == TAKEN_BACK
        assert "MAX_ACTIVE_CALLS=12" in (PROJECT / ".env").read_text()
        is_as_it_was(deployed)
        assert "MAX_ACTIVE_CALLS=12" in run("docker", "exec", "prosaasil-prosaas-calls-1", "env")
    completes_again(deployed)  # with the file as it was, which is a release of its own
    assert "MAX_ACTIVE_CALLS=15" in run("docker", "exec", "prosaasil-prosaas-calls-1", "env")


@contextlib.contextmanager
def without_memory() -> t.Iterator[None]:
    """What the collection remembers of this host is away, as on a host where it has never been."""
    state, aside, names = DEMO / "state", DEMO / "state.aside", ("current.json", "releases")
    aside.mkdir()
    for name in names:
        (state / name).rename(aside / name)
    try:
        yield
    finally:
        for name in names:
            run("rm", "-rf", state / name)
            (aside / name).rename(state / name)
        aside.rmdir()


@pytest.mark.soak
def test_the_first_deployment_over_a_stack_started_by_hand_is_taken_back_too(deployed: Stack) -> None:
    """What runs before the collection comes is kept as a release."""
    with without_memory():
        done = deployed.play("deploy", "-e", "commit=bad/webhook_unchecked", *OPTIONS)
        record = says_why(deployed, done, r"webhook\.unsigned", "TWILIO|signature|Twilio")
        assert (record["outcome"], record["release_before"]) == (TAKEN_BACK, None)
        assert record["release_after"]["commit"] == deployed.commit("main")
        is_as_it_was(deployed)
    completes_again(deployed)
