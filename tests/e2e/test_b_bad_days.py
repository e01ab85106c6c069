# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days before the switch: nothing was touched, the message names cause and remedy, the lock is free, the next run works."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from belongings import BEFORE_RELEASES, SERVER, mountpoint, rows
from demo_stack import PROJECT, Stack, run
from deploy_faults import Running, completes_again, image_gone, is_as_it_was, release_of, said, says_why

# The bad day, what the operator reads of its cause, and of the way out.
BEFORE = {
    "build_fails": (r"docker compose build failed.*forgotten\.txt", r"The whole log: \S+"),
    "migration_fails": (r'The migration failed \(exit code 1\).*type "migration_fails" does not exist', "deploy again"),
    "migration_skipped": ("exit code 0 without saying that it migrated", "Another migration may hold its lock"),
}


@pytest.mark.parametrize(
    "fault", ["build_fails", "migration_fails", pytest.param("migration_skipped", marks=pytest.mark.soak)]
)
def test_before_the_switch_nothing_is_touched(deployed: Stack, fault: str) -> None:
    before = deployed.ids()
    done = deployed.play("deploy", "-e", f"commit=bad/{fault}")
    record = says_why(deployed, done, *BEFORE[fault])
    assert record["outcome"] == "failed"
    assert "Nothing was switched" in done.output
    assert deployed.ids() == before, "id and StartedAt of every container"
    is_as_it_was(deployed)
    if fault == "migration_fails":
        kept = kept_with_a_database()
        dump = next(part for part in kept["parts"] if (part["kind"], part["name"]) == ("database", "main"))
        assert dump["rows"]["public.schema_migrations"], "a dump of the application's database"
        assert f"restore.yml -e restore_backup_dir={BEFORE_RELEASES} -e backup={kept['id']}" in said(done)


def kept_with_a_database() -> dict[str, t.Any]:
    """Return the newest backup of before a release that has migrations."""
    found = [json.loads((one / "manifest.json").read_text()) for one in sorted(BEFORE_RELEASES.glob("2*"), reverse=True)]
    return next(one for one in found if "database" in {part["kind"] for part in one["parts"]})


def test_what_was_kept_before_its_migrations_comes_back(deployed: Stack) -> None:
    """All of it, on the host that it is of, with the release that served: every service is stopped meanwhile, and runs again."""
    kept, spoilt = kept_with_a_database()["id"], mountpoint("whatsapp_auth") / "spoilt"
    spoilt.touch()
    run(*SERVER, "-d", "prosaas", "-c", "CREATE TABLE spoilt (id int); ALTER TABLE spoilt OWNER TO prosaas")
    where = ["-e", f"restore_backup_dir={BEFORE_RELEASES}", "-e", f"backup={kept}"]
    done = deployed.play("restore", *where, "-e", "restore_overwrite=true")
    assert done.code == 0, done.output
    assert "spoilt" not in rows("prosaas") and not spoilt.exists()
    is_as_it_was(deployed)


def test_a_database_that_cannot_be_dumped_ends_it_before_its_migrations(deployed: Stack) -> None:
    """A table that somebody else made in the application's database: its own user may not read it."""
    before, there = deployed.ids(), set(BEFORE_RELEASES.iterdir())
    run(*SERVER, "-d", "prosaas", "-c", "CREATE TABLE of_somebody_else (id int)")
    try:
        done = deployed.play("deploy", "--skip-tags", "preflight", "-e", "commit=bad/migration_fails")
    finally:
        run(*SERVER, "-d", "prosaas", "-c", "DROP TABLE of_somebody_else")
    record = says_why(deployed, done, "permission denied for table of_somebody_else", "pg_read_all_data")
    assert "release_migrate" not in {step["step"] for step in record["steps"]}
    assert "Nothing was switched" in done.output and "restore.yml" not in done.output
    assert (deployed.ids(), set(BEFORE_RELEASES.iterdir())) == (before, there), "no half backup either"
    is_as_it_was(deployed)


@pytest.mark.soak  # here what comes back does it, and test_k what fails later
def test_and_the_next_deployment_has_nothing_to_do(deployed: Stack) -> None:
    before = deployed.ids()
    completes_again(deployed)
    assert deployed.record()["outcome"] == "unchanged"
    assert deployed.ids() == before


# What is asked for, and what the operator reads of cause and remedy.
REFUSED = {
    "unknown": (["-e", "commit=no-such-branch"], "no-such-branch is no branch, tag or commit of origin", "branch -r"),
    "unknown id": (["-e", "commit=deadbeef"], "has no commit deadbeef", "log --oneline"),
    "a number": (["-e", '{"commit": 1234567}'], "commit=1234567 arrived as a number", "Quote it"),
    "an id that JSON turns into infinity": (["-e", '{"commit": 12e4567}'], "commit=inf arrived as a number", "Quote it"),
    "a command": (["-e", '{"commit": "; rm -rf /"}'], "'; rm -rf /' is no branch, tag or commit id", "Give a name"),
    "an option": (["-e", "commit=--upload-pack=touch"], "is no branch, tag or commit id", "Give a name"),
}


@pytest.mark.parametrize(
    "name", [one if one in ("unknown", "a number", "a command") else pytest.param(one, marks=pytest.mark.soak) for one in REFUSED]
)
def test_a_commit_that_cannot_be_meant_is_refused(deployed: Stack, name: str) -> None:
    options, cause, remedy = REFUSED[name]
    before = deployed.ids()
    done = deployed.play("deploy", "--skip-tags", "preflight", *options)
    assert says_why(deployed, done, cause, remedy)["outcome"] == "failed"
    assert deployed.ids() == before
    assert not deployed.locked()


@pytest.mark.parametrize("content", ["commit: 1234567\n", json.dumps({"commit": 40200000, "reason": "asked by a form"})])
def test_a_number_in_a_file_of_variables_or_from_a_survey_is_refused(deployed: Stack, tmp_path: Path, content: str) -> None:
    """AWX hands the answers of a survey over as a file of JSON."""
    path = tmp_path / "vars.yml"
    path.write_text(content)
    done = deployed.play("deploy", "--skip-tags", "preflight", "-e", f"@{path}")
    says_why(deployed, done, r"commit=\d+ arrived as a number", "Quote it")
    assert not deployed.locked()


def test_an_ambiguous_commit_and_one_of_no_branch_are_refused(deployed: Stack) -> None:
    """Two commits whose ids begin alike, as a big repository has them; the second one was never pushed."""
    older = deployed.commit("v1.2.0")
    with commit_like(older[:4]) as twin:
        done = deployed.play("deploy", "--skip-tags", "preflight", "-e", json.dumps({"commit": older[:4]}))
        says_why(deployed, done, f"{older[:4]} is ambiguous: .*{older[:12]}", "Give more digits")
        done = deployed.play("deploy", "--skip-tags", "preflight", "-e", json.dumps({"commit": twin}))
        says_why(deployed, done, f"{twin[:12]} is on no branch and no tag of origin", "Push it first")
    is_as_it_was(deployed)


@contextlib.contextmanager
def commit_like(beginning: str) -> Iterator[str]:
    """Put a commit into the project directory whose id begins as given; nothing leads to it."""
    git = ["git", "-C", str(PROJECT)]
    lines = run(*git, "cat-file", "commit", "HEAD")
    for number in itertools.count():
        content = f"{lines}{number}\n".encode()
        twin = hashlib.sha1(b"commit %d\0" % len(content) + content).hexdigest()
        if twin.startswith(beginning):
            break
    assert run(*git, "hash-object", "-w", "-t", "commit", "--stdin", input=content.decode()).strip() == twin
    try:
        yield twin
    finally:
        (PROJECT / ".git/objects" / twin[:2] / twin[2:]).unlink()


def test_local_changes_are_refused_and_kept(deployed: Stack) -> None:
    path = PROJECT / "VERSION"
    before = path.read_text()
    path.write_text("precious\n")
    try:
        done = deployed.play("deploy", "-e", "commit=v1.1.0")
        says_why(deployed, done, r"VERSION", "stash")
        assert path.read_text() == "precious\n"
    finally:
        path.write_text(before)
    is_as_it_was(deployed)


def test_a_rollback_whose_image_is_gone_is_refused(deployed: Stack, tmp_path: Path) -> None:
    older, before = deployed.commit("v1.2.0"), deployed.ids()
    with image_gone(release_of(older)["images"]["frontend"]["id"], tmp_path):
        done = deployed.play("rollback", "-e", f"commit={older}", "-e", "reason=test")
        says_why(deployed, done, "images of frontend are gone", f"deploy.yml -e commit={older[:12]}")
        assert deployed.ids() == before
        is_as_it_was(deployed)
    assert deployed.play("rollback", "--check", "-e", f"commit={older}").code == 0, "and with it, it is possible again"


def test_a_rollback_names_what_was_edited_in_the_environment_since(deployed: Stack) -> None:
    with deployed.env_line("MAX_ACTIVE_CALLS", "11"):
        done = deployed.play("rollback", "--check", "-e", "commit=v1.2.0")
    assert done.code == 0
    assert "MAX_ACTIVE_CALLS" in done.output
    assert "SECRET_KEY" not in done.output, "what is the same is not named"


def test_what_ansible_would_drop_of_a_reason_is_not_dropped(deployed: Stack) -> None:
    before = deployed.record()["run"]
    done = deployed.play("rollback", "-e", "reason=calls were silent")
    assert done.code != 0 and "belongs to no variable: were silent." in done.output and "reason='two words'" in done.output
    assert deployed.record()["run"] == before and not deployed.locked()


@pytest.mark.soak
def test_two_deployments_at_once_do_not_meet(deployed: Stack, tmp_path: Path) -> None:
    """The second one is told who holds the host; the first one goes on."""
    first = Running(tmp_path / "first.log")
    first.until(deployed.locked)
    second = deployed.play("deploy")
    ended = first.end()
    assert ended.code == 0, ended.output
    assert second.code != 0
    assert "This host is locked: demo on" in second.output and f"process {first.process.pid}" in second.output
    assert "prosaas_break_lease=" in second.output
    is_as_it_was(deployed)
