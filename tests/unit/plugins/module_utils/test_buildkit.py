# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a build, from what real builds printed.

``builds/`` has the output of three services, two of which share their Dockerfile: built anew, all of it in the cache, and
one that fails, by Compose 2.26.1 and 2.40.3 on engine 20.10.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._buildkit import SILENCE, Steps, shortened

BUILDS = Path(__file__).with_name("builds")
IMAGES = {service: f"opsrec-{service}" for service in ("api", "web", "worker")}


def followed(name: str) -> tuple[list[str], Steps]:
    """Read a recorded build, a line each tenth of a second."""
    steps = Steps(IMAGES, 0.0)
    lines = (BUILDS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [text for at, line in enumerate(lines) for text in steps.line(line, at / 10)], steps


def test_services_are_counted_as_they_begin_and_told_when_their_image_is_named() -> None:
    texts, steps = followed("fresh")
    assert texts[:3] == ["building 1 of 3: api", "building 2 of 3: web", "building 3 of 3: worker"]
    assert texts[3:] == ["built web in 7 s", "built worker in 7 s", "built api in 8 s"]
    assert steps.failure is None


def test_what_was_in_the_cache_is_said_to_be_cached() -> None:
    assert followed("cached")[0][3:] == ["cached api", "cached worker", "cached web"]


def test_a_service_whose_last_step_was_worked_on_under_another_name_is_not_said_to_be_cached() -> None:
    texts, _steps = followed("failed")
    assert "built api in 6 s" in texts, "its first steps were cached, the last ones shown as those of worker"


@pytest.mark.parametrize("name", ["failed", "failed-2.40"])
def test_the_failure_is_that_of_its_service_with_its_step_and_its_own_last_lines(name: str) -> None:
    failure = followed(name)[1].failure
    assert failure is not None
    assert (failure.service, failure.reason) == ("web", "exit code: 3")
    assert failure.step.startswith('step 3/3 (RUN echo "bundling"; ')
    assert {line.partition(" ")[2] for line in failure.lines} == {
        "bundling",
        "cannot resolve module x",
        "second line of the cause",
    }
    assert not any("compiled" in line for line in failure.lines), "worker printed that"


@pytest.mark.parametrize(
    "consequence",
    [
        'process "make" did not complete: context canceled',
        "rpc error: code = Unavailable desc = transport is closing",
    ],
)
def test_only_the_first_error_counts_and_what_was_cancelled_for_it_does_not(consequence: str) -> None:
    steps = Steps(IMAGES, 0.0)
    for line in (
        "#4 [api 2/3] RUN make",
        "#5 [web 2/2] COPY forgotten.txt .",
        f"#4 ERROR: {consequence}",
        '#5 ERROR: failed to compute cache key: "/forgotten.txt": not found',
        "#4 ERROR: exit code: 2",
    ):
        steps.line(line, 0.0)
    assert steps.failure is not None
    assert steps.failure.service == "web"
    assert steps.failure.reason == 'failed to compute cache key: "/forgotten.txt": not found'


def test_a_long_silence_says_what_is_being_worked_on() -> None:
    steps = Steps(IMAGES, 0.0)
    steps.line("#4 [api 2/3] RUN pip install", 1.0)
    steps.line("#5 [web 2/2] COPY . .", 1.0)
    steps.line("#5 DONE 0.1s", 1.1)
    assert steps.silence(1.0 + SILENCE - 0.1) == []
    assert steps.silence(31.0) == ["still building api, step 2/3 (RUN pip install), for 30 s"]
    assert steps.silence(32.0) == [], "it is not said again at once"


def test_an_image_with_a_registry_and_a_tag_is_that_of_its_service() -> None:
    steps = Steps({"api": "registry.test:5000/shop/api:1a2b3c"}, 0.0)
    steps.line("#4 [api 2/2] COPY . .", 0.0)
    assert steps.line("#9 naming to registry.test:5000/shop/api:1a2b3c 0.0s done", 3.0) == ["built api in 3 s"]


def test_a_long_command_is_cut() -> None:
    assert shortened("x" * 500) == "x" * 100 + "…"
