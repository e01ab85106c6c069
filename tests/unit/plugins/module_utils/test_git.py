# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator may ask for, against real git repositories."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._git import Git, commit_name


def execute(argv: list[str], environ_update: dict[str, str] | None = None, **_: t.Any) -> tuple[int, str, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **(environ_update or {})})
    return done.returncode, done.stdout, done.stderr


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.test"]
    return subprocess.run(
        ["git", "-C", str(directory), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Git, Path, list[str]]:
    """A forge with two commits and a tag, and a clone of it."""
    work, forge, clone = tmp_path / "work", tmp_path / "forge.git", tmp_path / "clone"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    commits = []
    for number in (1, 2):
        (work / "file").write_text(f"{number}\n")
        git(work, "add", ".")
        git(work, "commit", "-q", "-m", f"change {number}")
        commits.append(git(work, "rev-parse", "HEAD"))
    git(work, "tag", "v1", commits[0])
    git(tmp_path, "clone", "-q", "--bare", str(work), str(forge))
    git(tmp_path, "clone", "-q", str(forge), str(clone))
    git(work, "remote", "add", "forge", str(forge))
    return Git(clone, execute), work, commits


def test_branch_tag_full_and_short_id_resolve_to_one_commit(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, _work, (first, second) = repository
    assert checkout.resolve("main") == second
    assert checkout.resolve("v1") == first
    assert checkout.resolve(second) == second
    assert checkout.resolve(first[:8]) == first


def test_new_commit_is_seen_before_it_is_fetched_and_resolved_after(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, work, _commits = repository
    assert checkout.behind() == []
    (work / "file").write_text("3\n")
    git(work, "commit", "-qam", "change 3")
    git(work, "push", "-q", "forge", "main")
    assert checkout.behind() == ["main"]
    checkout.fetch()
    assert checkout.resolve("main") == git(work, "rev-parse", "HEAD")


@pytest.mark.parametrize("value", [1234567, 12e4567, 0.5, True])
def test_number_is_refused_with_the_remedy(value: t.Any) -> None:
    with pytest.raises(OpsError, match="Quote it"):
        commit_name(value)


@pytest.mark.parametrize(
    "value",
    ["; rm -rf /", "--upload-pack=touch x", "-x", "a b", "$(id)", "main@{1}", "../../x", "a..b", "", "a\nb", "x" * 201, ".git"],
)
def test_hostile_name_is_refused(value: str) -> None:
    with pytest.raises(OpsError, match="no branch, tag or commit id"):
        commit_name(value)


def test_unknown_names_are_refused(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, _work, _commits = repository
    with pytest.raises(OpsError, match="is no branch, tag or commit"):
        checkout.resolve("no-such-branch")
    with pytest.raises(OpsError, match="has no commit deadbeef"):
        checkout.resolve("deadbeef")


def test_local_commit_that_no_branch_of_the_remote_has_is_refused(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, _work, _commits = repository
    (checkout.directory / "file").write_text("local\n")
    git(checkout.directory, "commit", "-qam", "only here")
    with pytest.raises(OpsError, match="on no branch and no tag"):
        checkout.resolve(git(checkout.directory, "rev-parse", "HEAD"))


def test_local_changes_are_never_overwritten(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, _work, (first, _second) = repository
    (checkout.directory / "file").write_text("precious\n")
    assert checkout.changed_files() == ["file"]
    with pytest.raises(OpsError, match="uncommitted changes: file"):
        checkout.checkout(first)
    assert (checkout.directory / "file").read_text() == "precious\n"


def test_worktree_leaves_the_project_directory_alone(repository: tuple[Git, Path, list[str]], tmp_path: Path) -> None:
    checkout, _work, (first, second) = repository
    checkout.add_worktree(tmp_path / "tree", first)
    checkout.add_worktree(tmp_path / "tree", first)  # what a killed run left is replaced
    assert (tmp_path / "tree" / "file").read_text() == "1\n"
    assert checkout.head() == second
    checkout.remove_worktree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_remote_that_does_not_answer_is_unreachable(repository: tuple[Git, Path, list[str]], tmp_path: Path) -> None:
    checkout, _work, _commits = repository
    git(checkout.directory, "remote", "set-url", "origin", str(tmp_path / "gone.git"))
    with pytest.raises(Unreachable, match="does not answer"):
        checkout.fetch()


def test_reason_is_told_and_not_the_advice_that_git_adds(repository: tuple[Git, Path, list[str]], tmp_path: Path) -> None:
    checkout, _work, _commits = repository
    git(checkout.directory, "remote", "set-url", "origin", str(tmp_path / "gone.git"))
    with pytest.raises(Unreachable, match="does not answer: '.*gone.git' does not appear to be a git repository"):
        checkout.tips()


def test_ssh_that_the_checkout_is_set_to_use_is_used_and_never_asks(
    repository: tuple[Git, Path, list[str]], tmp_path: Path
) -> None:
    checkout, _work, _commits = repository
    program, log = tmp_path / "ssh", tmp_path / "log"
    program.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexit 255\n')
    program.chmod(0o755)
    git(checkout.directory, "config", "core.sshCommand", f"{program} -i /etc/deploy.key")
    git(checkout.directory, "remote", "set-url", "origin", "ssh://git@forge.example.test/app.git")
    with pytest.raises(Unreachable):
        checkout.tips()
    assert log.read_text().startswith("-i /etc/deploy.key -o BatchMode=yes -o ConnectTimeout=10 ")


def test_tips_are_commits_whatever_kind_of_tag_names_them(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, work, (first, second) = repository
    git(work, "tag", "-a", "v2", "-m", "release", second)
    git(work, "push", "-q", "forge", "v2")
    assert checkout.tips() == {"refs/heads/main": second, "refs/tags/v1": first, "refs/tags/v2": second}


def test_changed_files_of_any_name_are_told_on_one_line(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, _work, _commits = repository
    name = "two\nlines \x1b[31m \u202e"
    (checkout.directory / name).write_text("x")
    assert checkout.status() == ([], [name])
    git(checkout.directory, "add", name)
    git(checkout.directory, "mv", "file", "moved ü")
    assert checkout.changed_files() == ["file", "moved ü", r"two\nlines \x1b[31m \u202e"]


def test_a_moved_tag_is_named_and_not_taken_for_a_remote_that_is_away(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, work, (first, second) = repository
    git(work, "tag", "--force", "v1", second)
    git(work, "push", "-q", "--force", "forge", "v1")
    with pytest.raises(OpsError, match="moved at origin .*: v1") as refused:
        checkout.fetch()
    assert not isinstance(refused.value, Unreachable)
    assert "fetch --tags --force origin" in refused.value.remedy
    assert checkout.resolve("v1") == first, "nothing of ours was replaced"


def test_directory_without_git_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="no git checkout.*git clone"):
        Git(tmp_path, execute)


def test_local_changes_are_put_aside_and_the_command_brings_them_back(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, _work, (first, second) = repository
    assert checkout.stash("nothing to keep") == ""
    (checkout.directory / "file").write_text("by hand\n")
    (checkout.directory / "untracked").write_text("stays\n")
    command = checkout.stash("deploy 20261122T210501Z-deploy-5f1e")
    assert checkout.changed_files() == [] and (checkout.directory / "untracked").exists()
    assert "20261122T210501Z-deploy-5f1e" in git(checkout.directory, "stash", "list")
    checkout.checkout(second)
    (checkout.directory / "file").write_text("by hand again\n")
    checkout.stash("another one, which moves the first in the list")
    assert execute(command.split())[0] == 0
    assert (checkout.directory / "file").read_text() == "by hand\n"


def test_history_and_files_between_two_commits(repository: tuple[Git, Path, list[str]]) -> None:
    checkout, work, (first, second) = repository
    (work / "server/migrations").mkdir(parents=True)
    (work / "server/migrations/001.sql").write_text("x\n")
    (work / "file").write_text("3\n")
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "change 3")
    git(work, "push", "-q", "forge", "main")
    checkout.fetch()
    third = git(work, "rev-parse", "HEAD")
    count, lines = checkout.history(first, third, 1)
    assert count == 2 and len(lines) == 1 and lines[0].endswith(" change 3")
    assert checkout.history(third, first, 20) == (0, [])
    assert checkout.files_between(first, third) == ["file", "server/migrations/001.sql"]
    assert checkout.files_between(first, third, "server/migrations/**", "nowhere/*") == ["server/migrations/001.sql"]
