# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in a real repository: found wherever they are, told by place, never by value."""

from __future__ import annotations

import secrets
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS
from ansible_collections.prosaas.ops.plugins.module_utils._code_commit import Beside
from ansible_collections.prosaas.ops.plugins.module_utils._code_secrets import (
    Known,
    Scan,
    judge_history,
    judge_ignored,
    judge_scan,
    judge_values,
)
from ansible_collections.prosaas.ops.plugins.module_utils._errors import Unreachable

SECRETS = ["*SECRET", "*PASSWORD", "*TOKEN", "*KEY", "*DATABASE_URL*"]
RULE = {
    "id": "test.hex",
    "name": "A hexadecimal token",
    "pattern": r"(?i)token\s*=\s*([0-9a-f]{32})\b",
    "min_entropy": 2.5,
    "confidence": "medium",
}
SCAN = Scan(Path(sys.prefix), [RULE])


def known(path: Path, **variables: str) -> Known:
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")
    return Known.of(path, SECRETS)


def test_ignored_file_passes_with_the_rule_that_does_it(world: t.Any) -> None:
    (world.host / ".env").write_text("A=1\n")
    found = judge_ignored(world.checkout, [".env"])
    assert (found.status, found.evidence) == (PASS, ".env by .gitignore:1")


@pytest.mark.parametrize("rules", ["", "*.log\n", ".env\n!.env\n"])
def test_file_that_no_rule_ignores_fails(world: t.Any, rules: str) -> None:
    (world.host / ".gitignore").write_text(rules)
    found = judge_ignored(world.checkout, [".env"])
    assert (found.status, found.evidence) == (FAIL, "nothing tells git to ignore .env")


def test_file_that_git_tracks_fails_though_a_rule_ignores_it(world: t.Any) -> None:
    (world.host / ".env").write_text("A=1\n")
    world.git(world.host, "add", "--force", ".env")
    found = judge_ignored(world.checkout, [".env", "tls.key"])
    assert (found.status, found.evidence) == (FAIL, "git tracks .env")
    assert "rm --cached -- .env" in found.remedy


@pytest.mark.parametrize("how", ["removed", "merged away", "another branch", "stashed"])
def test_file_that_was_ever_committed_is_found(world: t.Any, how: str) -> None:
    if how == "stashed":
        (world.host / ".env").write_text("A=1\n")
        world.git(world.host, "stash", "push", "--quiet", "--all")
    else:
        world.commit({".env": "A=1\n"}, branch="side" if how != "removed" else "main")
        if how != "another branch":
            world.git(world.work, "rm", "--quiet", "--cached", ".env")
            world.git(world.work, "commit", "--quiet", "--message", "remove it")
        if how == "merged away":
            world.git(world.work, "checkout", "--quiet", "main")
            world.commit({"file": "2\n"})
            world.git(world.work, "merge", "--quiet", "--no-edit", "side")
        world.push("main", *(["side"] if how == "another branch" else []))
        world.git(world.host, "fetch", "--quiet")
    found = judge_history(world.checkout, ["tls.key", ".env"], False)
    assert (found.status, found.evidence.startswith(".env was committed: ")) == (FAIL, True)
    assert "git filter-repo --invert-paths --path .env" in found.remedy


def test_clean_history_passes_and_a_part_of_it_is_unknown(world: t.Any) -> None:
    assert judge_history(world.checkout, [".env"], False).status == PASS
    with pytest.raises(Unreachable, match="only a part of the history"):
        judge_history(world.checkout, [".env"], True)


@pytest.mark.parametrize("name", ["notes.txt", "a b/ünï.py", "two\nlines\x1b", "-f"])
def test_value_in_a_file_is_told_by_variable_and_place(
    world: t.Any, repository: Beside, tmp_path: Path, name: str
) -> None:
    token = secrets.token_hex(16)
    tree = world.commit({name: f"\n\nuse {token} to try\n"})
    world.push()
    world.git(world.host, "pull", "--quiet")
    found = judge_values(repository, tree, known(tmp_path / "env", AUTH_TOKEN=token, PUBLIC="use "))
    assert found.status == FAIL
    assert "AUTH_TOKEN in " in found.evidence and ":3" in found.evidence
    assert token not in str(found) and found.evidence.isprintable()
    assert not any(token in " ".join(command) for command in world.commands), "git gets it on its stdin"


@pytest.mark.parametrize("form", ["{}", "postgres://u:{}@db.example.test/x", "binary \0 {}"])
def test_password_of_an_address_is_found_by_itself(world: t.Any, repository: Beside, tmp_path: Path, form: str) -> None:
    password = "p+" + secrets.token_urlsafe(16)
    tree = world.commit({"file": form.format(password) + "\n"})
    world.push()
    world.git(world.host, "pull", "--quiet")
    url = f"postgresql://u:{password.replace('+', '%2B')}@db.example.test:5432/app"
    found = judge_values(repository, tree, known(tmp_path / "env", DATABASE_URL=url))
    assert (found.status, "DATABASE_URL in file:1" in found.evidence) == (FAIL, True)
    assert password not in str(found)


def test_short_values_frames_of_keys_and_what_is_no_secret_are_not_looked_for(tmp_path: Path) -> None:
    frame = "-----BEGIN PRIVATE KEY-----"
    path = tmp_path / "env"
    found = known(path, DB_PASSWORD="postgres", HOST="www.example.test", SIGNING_KEY=f'"{frame}\nMIIEvAIBADANBgkq\n"')
    assert found.names == {"MIIEvAIBADANBgkq": "SIGNING_KEY"}


def test_no_secret_in_the_tree_passes_and_no_file_with_secrets_is_unknown(
    world: t.Any, repository: Beside, tmp_path: Path
) -> None:
    mine = known(tmp_path / "env", AUTH_TOKEN=secrets.token_hex(16), API_KEY=secrets.token_hex(16))
    assert judge_values(repository, world.first, mine).evidence == f"none of 2 secrets stands in a file of {world.first[:12]}"
    assert judge_values(repository, world.first, known(tmp_path / "env", HOST="x")).status == PASS
    with pytest.raises(Unreachable, match="No secrets to look for"):
        judge_values(repository, world.first, Known.of(tmp_path / "none", SECRETS))


def test_scanner_finds_by_its_own_rules_and_by_ours_and_tells_no_secret(world: t.Any, repository: Beside) -> None:
    github, token = "ghp_" + secrets.token_hex(18), secrets.token_hex(16)
    tree = world.commit({"a.py": f"x = '{github}'\n", "b/c.txt": f"\ntoken={token}\n", "d.txt": "token=changeme\n"})
    world.push()
    world.git(world.host, "pull", "--quiet")
    found = judge_scan(repository, world.execute, tree, SCAN)
    assert found.status == FAIL
    assert "a.py:1 github-pat" in found.evidence and "b/c.txt:2 hex" in found.evidence
    assert "d.txt" not in found.evidence
    assert github not in str(found) and token not in str(found)
    assert not any({github, token} & set(command) for command in world.commands)
    allowed = judge_scan(repository, world.execute, tree, Scan(SCAN.runtime, [RULE], ["a.py", "b/*"]))
    assert (allowed.status, "(2 findings allowed)" in allowed.evidence) == (PASS, True)


def test_line_can_be_marked_as_no_secret_and_history_is_looked_at_on_request(world: t.Any, repository: Beside) -> None:
    token = secrets.token_hex(16)
    world.commit({"a.txt": f"token={token}\n"})
    tree = world.commit({"a.txt": f"token={token}  # kingfisher:ignore\n"})
    world.push()
    world.git(world.host, "pull", "--quiet")
    assert judge_scan(repository, world.execute, tree, SCAN).status == PASS
    found = judge_scan(repository, world.execute, tree, Scan(SCAN.runtime, [RULE], history=True))
    assert (found.status, "in the history of" in found.evidence, "a.txt:1" in found.evidence) == (FAIL, True, True)


def test_scanner_that_is_missing_or_breaks_is_unknown(world: t.Any, repository: Beside, tmp_path: Path) -> None:
    program = tmp_path / "runtime/bin/kingfisher"
    program.parent.mkdir(parents=True)
    for text in ("#!/bin/sh\nexit 0\n", "#!/bin/sh\necho '{\"findings\": [{}]}'; exit 200\n", "#!/bin/sh\nexit 3\n"):
        program.write_text(text)
        program.chmod(0o755)
        with pytest.raises(Unreachable, match="The secret scanner ended with"):
            judge_scan(repository, world.execute, world.first, Scan(tmp_path / "runtime"))


def test_no_scanner_says_what_prepares_it(
    world: t.Any, repository: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreachable, match="is not on this host"):
        judge_scan(repository, world.execute, world.first, Scan(tmp_path / "none"))
