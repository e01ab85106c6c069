# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a container that is not as the files would make it; tests/integration has it on a real engine."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _drift
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Compose, Project
from ansible_collections.prosaas.ops.plugins.module_utils._drift import Files
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container
from ansible_collections.prosaas.ops.plugins.module_utils._env_views import Running

MODEL = {
    "name": "shop",
    "services": {
        "api": {"environment": {"A": "1", "B": "2"}, "command": ["serve", "$$HOME"]},
        "job": {"image": "job:1", "depends_on": {"api": {}}},
    },
}
MADE = {"image": "shop-api", "command": ["serve", "$HOME"], "entrypoint": ["init"]}


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (Running("api", {"A": "1", "B": "3"}, {}, MADE), ["B"]),
        (Running("api", {"A": "1", "B": "2"}, {}, {**MADE, "image": "shop-api:by-hand"}), ["its image"]),
        (Running("api", {}, {}, {**MADE, "command": ["other"]}), ["A, B", "its command"]),
        (Running("api", {"A": "1", "B": "2"}, {}, MADE), ["something else than its variables, image and command"]),
        (None, ["what, is not known while it does not run"]),
    ],
)
def test_what_differs_is_named_without_a_value(container: Running | None, said: list[str]) -> None:
    assert _drift.differences(MODEL, "api", container) == said


def test_many_variables_are_told_shortly() -> None:
    model = {"name": "shop", "services": {"api": {"environment": {f"V{n:02}": "1" for n in range(10)}}}}
    assert _drift.differences(model, "api", Running("api", {}, {}, MADE)) == [
        "V00, V01, V02, V03, V04, V05, V06, V07 and 2 more variables"
    ]


@pytest.mark.parametrize(
    ("different", "files", "status", "said"),
    [
        (["A"], Files(), "warn", "no finished release is on record, and the files say otherwise: A"),
        (["A"], Files(True, ("A",)), "warn", "edited since the last release, and not running yet: A"),
        (["A", "its command"], Files(True), "fail", "the files are as released, but it runs with other settings: A; its"),
    ],
)
def test_an_edit_that_waits_for_its_deployment_warns_and_a_hand_at_work_fails(
    different: list[str], files: Files, status: str, said: str
) -> None:
    outcome = _drift.judge(different, files)
    assert (outcome.status, said in outcome.evidence, bool(outcome.remedy)) == (status, True, True)


def container(service: str, config_hash: str) -> Container:
    return Container("c", f"shop-{service}-1", "shop", service, config_hash=config_hash)


@pytest.mark.parametrize(
    ("hashes", "alone", "stale", "made_alone"),
    [
        ("api h1\njob h2\n", "", set(), set()),
        ("api h1\njob new\n", "", {"job"}, set()),
        ("api new\njob h2\n", "", {"api"}, set()),  # the dry run names job as well, since it depends on api
        ("api h1\njob new\n", "api h1\njob h2\n", set(), {"job"}),  # by "up --no-deps job"
        ("", "", {"api", "job"}, set()),  # this Compose does not tell them: the dry run alone counts
    ],
)
def test_hashes_tell_and_the_dry_run_has_the_last_word(
    hashes: str, alone: str, stale: set[str], made_alone: set[str], tmp_path: Path
) -> None:
    def execute(argv: t.Sequence[str], **options: t.Any) -> tuple[int, str, str]:
        if "--hash" in argv:  # the model holds secrets: it is never written to a file
            said = hashes if json.loads(options["data"])["services"]["job"]["depends_on"] else alone
            return (0 if said else 1), said, ""
        assert "--dry-run" in argv
        return 0, "", " DRY-RUN MODE -  Container shop-api-1  Recreate\n DRY-RUN MODE -  Container shop-job-1  Recreate\n"

    compose = Compose(Project("shop", tmp_path, ()), execute)
    found = _drift.drifted(compose, MODEL, [container("api", "h1"), container("job", "h2")])
    assert found == (stale, made_alone)


def test_what_was_brought_up_with_some_of_its_dependencies_alone_is_told_as_that(tmp_path: Path) -> None:
    """``up --no-deps api job`` keeps that job depends on api, and leaves out the database."""
    model = {**MODEL, "services": {"job": {"image": "job:1", "depends_on": {"api": {}, "database": {}}}}}

    def execute(argv: t.Sequence[str], **options: t.Any) -> tuple[int, str, str]:
        if "--hash" in argv:
            return 0, f"job {'+'.join(json.loads(options['data'])['services']['job']['depends_on'])}\n", ""
        return 0, "", " DRY-RUN MODE -  Container shop-job-1  Recreate\n"

    made = Container("c", "shop-job-1", "shop", "job", config_hash="api", depends_on=("api",))
    assert _drift.drifted(Compose(Project("shop", tmp_path, ()), execute), model, [made]) == (set(), {"job"})
