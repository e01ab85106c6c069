# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commit that is asked for, against a real remote; nothing of the checkout changes."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, Outcome
from ansible_collections.prosaas.ops.plugins.module_utils._code_commit import (
    Asked,
    Beside,
    bare_url,
    beside,
    judge_remote,
)
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable


@pytest.fixture
def ask(world: t.Any, repository: Beside) -> t.Callable[..., Outcome]:
    def ask(name: t.Any, *branches: str) -> Outcome:
        return Asked(world.checkout, repository, name, branches or ("main",)).look(world.first)

    return ask


def test_tip_that_is_checked_out(world: t.Any, ask: t.Callable[..., Outcome]) -> None:
    found = ask("main")
    assert found.status == PASS
    assert found.evidence.startswith(f"{world.first[:12]} (a change, 2")
    assert found.evidence.endswith("is on main of origin; checked out")


def test_newer_commits_are_found_and_told_and_nothing_on_the_host_changes(
    world: t.Any, ask: t.Callable[..., Outcome], repository: Beside
) -> None:
    second = world.commit({"file": "2\n"}, message="second")
    third = world.commit({"file": "3\n"}, message="x" * 100 + "\x1b[31m")
    world.git(world.work, "tag", "-a", "v2", "-m", "release", second)
    world.push("main", "v2")
    before = world.everything()
    assert "2 commits to come" in ask("main").evidence
    for name in (second, second[:8], "v2"):
        assert ask(name).evidence.startswith(f"{second[:12]} (second, "), name
        assert "1 commit to come" in ask(name).evidence
    assert "…" in ask(third).evidence and "\x1b" not in ask(third).evidence
    assert world.everything() == before
    assert repository.has(second, third)


def test_commit_of_another_branch_fails_and_can_be_allowed(world: t.Any, ask: t.Callable[..., Outcome]) -> None:
    hot = world.commit({"file": "hot\n"}, branch="hotfix/calls")
    world.push("hotfix/calls")
    for name in ("hotfix/calls", hot, hot[:10]):
        found = ask(name)
        assert (found.status, "is not on main of origin" in found.evidence) == (FAIL, True), name
        assert "Merge it into main" in found.remedy
        assert "is on hotfix/calls of origin" in ask(name, "main", "hotfix/*").evidence


def test_way_back_and_aside(world: t.Any, repository: Beside) -> None:
    second = world.commit({"file": "2\n"})
    world.push()
    world.git(world.host, "pull", "--quiet")
    assert repository.way(second, world.first) == "1 commit back from what is checked out"
    world.git(world.work, "checkout", "--quiet", world.first)
    other = world.commit({"file": "other\n"}, branch="other")
    world.git(world.host, "fetch", "--quiet", str(world.work), "other")
    assert repository.way(second, other) == "1 commit to come, and 1 commit of what is checked out not in it"


def test_what_the_remote_lost_is_not_found_though_the_checkout_has_it(
    world: t.Any, ask: t.Callable[..., Outcome]
) -> None:
    """Somebody has pushed main back: what was fetched before is no commit of main any more."""
    second = world.commit({"file": "2\n"})
    world.push()
    world.git(world.host, "pull", "--quiet")
    world.git(world.work, "reset", "--quiet", "--hard", world.first)
    world.push()
    found = ask(second)
    assert (found.status, "is not on main of origin" in found.evidence) == (FAIL, True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-branch", "no-such-branch is no branch, tag or commit of origin"),
        ("deadbeef", "deadbeef is no branch, tag or commit of origin"),
        (1234567, "Quote it"),
        ("--upload-pack=touch x", "is no branch, tag or commit id"),
    ],
)
def test_what_cannot_be_meant_is_refused(ask: t.Callable[..., Outcome], name: t.Any, said: str) -> None:
    with pytest.raises(OpsError, match=said):
        ask(name)


def test_branch_that_may_be_deployed_is_missing(ask: t.Callable[..., Outcome]) -> None:
    with pytest.raises(OpsError, match="origin has no branch production or release/"):
        ask("main", "production", "release/*")


def test_remote_that_is_away_is_unknown_and_says_why(world: t.Any, ask: t.Callable[..., Outcome]) -> None:
    world.forge.rename(world.forge.with_name("gone"))
    with pytest.raises(Unreachable, match="does not answer: '.*forge.git' does not appear to be a git repository"):
        ask("main")


def test_part_of_the_history_alone_does_not_tell_the_branch(world: t.Any) -> None:
    world.commit({"file": "2\n"})
    world.push()
    world.git(world.host, "fetch", "--quiet", "--depth=1")
    (world.host / ".git/shallow").write_text(world.git(world.host, "rev-parse", "origin/main") + "\n")
    with (
        beside(world.checkout) as repository,
        pytest.raises(Unreachable, match="only a part of the history") as caught,
    ):
        Asked(world.checkout, repository, world.first, ["main"]).look(world.first)
    assert "--unshallow" in caught.value.remedy


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("remote.origin.url", "https://deploy:hunter22hunter@forge.example.test/a.git", "remote.origin.url"),
        ("remote.old.pushurl", "https://hunter22hunter22hunter@forge.example.test/a.git", "remote.old.pushurl"),
        ("http.https://forge.example.test/.extraheader", "AUTHORIZATION: basic hunter22", "extraheader"),
        ("url.https://u:hunter22@forge.example.test/.insteadOf", "forge:", "url.https://forge.example.test/.insteadOf"),
    ],
)
def test_password_in_the_settings_fails_and_is_not_told(world: t.Any, setting: str, value: str, told: str) -> None:
    world.git(world.host, "config", setting, value)
    found = judge_remote(world.checkout, "")
    assert found.status == FAIL
    assert told in found.evidence and "hunter22" not in str(found)


def test_remote_that_is_another_one_and_none(world: t.Any) -> None:
    assert judge_remote(world.checkout, str(world.forge)).status == PASS
    wrong = judge_remote(world.checkout, "git@forge.example.test:app.git")
    assert (wrong.status, wrong.remedy.endswith("git@forge.example.test:app.git")) == (FAIL, True)
    world.git(world.host, "remote", "remove", "origin")
    assert "has no remote origin" in judge_remote(world.checkout, "").evidence


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("/srv/b.git", "/srv/b.git"),
        ("ssh://git@example.test:22/a", "ssh://example.test:22/a"),
        ("https://u:p@example.test/a?token=x", "https://example.test/a"),
        ("https//u:p@example.test/a", "https//example.test/a"),
        ("https://[u:p@x/a", "an address that cannot be read"),
        ("/srv/\x1b[2J", "/srv/\\x1b[2J"),
    ],
)
def test_address_is_told_without_what_is_private(url: str, bare: str) -> None:
    assert bare_url(url) == bare
