# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, tree, mode and warnings of a real checkout, and all checks together."""

from __future__ import annotations

import os
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _code
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, WARN, Outcome
from ansible_collections.prosaas.ops.plugins.module_utils._code_secrets import Scan
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Compose, Project
from ansible_collections.prosaas.ops.plugins.module_utils._errors import Unreachable

WARNED = 'time="2026-11-25T00:00:00Z" level=warning msg="{}"\n'
UNSET = r"The \"{}\" variable is not set. Defaulting to a blank string."


def test_file_as_committed_passes(world: t.Any) -> None:
    assert _code.judge_compose_file(world.checkout, "file", world.first).status == PASS


def changed(path: Path) -> None:
    path.write_text("2\n")


def line_ends(path: Path) -> None:
    path.write_bytes(b"1\r\n")


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("how", "said"), [(changed, "was changed after"), (line_ends, "was changed after"), (Path.unlink, "is not there"), (linked, "is a link")]
)
def test_file_that_differs_in_any_byte_fails_whatever_git_was_told(
    world: t.Any, how: t.Callable[[Path], None], said: str
) -> None:
    world.git(world.host, "config", "core.autocrlf", "input")
    world.git(world.host, "update-index", "--assume-unchanged", "file")
    how(world.host / "file")
    found = _code.judge_compose_file(world.checkout, "file", world.first)
    assert (found.status, said in found.evidence) == (FAIL, True)
    assert "checkout HEAD -- file" in found.remedy


def test_file_that_is_not_in_the_commit_fails(world: t.Any, tmp_path: Path) -> None:
    (world.host / "new.yml").write_text("services: {}\n")
    (tmp_path / "outside.yml").write_text("services: {}\n")
    for name in ("new.yml", str(tmp_path / "outside.yml")):
        assert "is not part of" in _code.judge_compose_file(world.checkout, name, world.first).evidence


def test_clean_tree_passes_and_its_index_is_not_written(world: t.Any) -> None:
    os.utime(world.host / "file", (1, 1))  # git would note the new time in its index
    before = world.everything()
    assert _code.judge_tree(world.checkout, "fail").status == PASS
    assert world.everything() == before


def test_changed_staged_and_deleted_files_fail(world: t.Any) -> None:
    (world.host / "file").unlink()
    (world.host / "new\nname\x1b").write_text("x")
    world.git(world.host, "add", "new\nname\x1b")
    found = _code.judge_tree(world.checkout, "ignore")
    assert (found.status, found.evidence) == (FAIL, r"changed since the checkout: file, new\nname\x1b")


def test_changed_files_that_will_be_stashed_are_named_and_do_not_fail(world: t.Any) -> None:
    (world.host / "file").write_text("by hand\n")
    found = _code.judge_tree(world.checkout, "fail", "stash")
    assert found.status == WARN and found.evidence == "changed since the checkout, will be stashed at the switch: file"
    world.git(world.host, "update-index", "--assume-unchanged", ".gitignore")
    assert _code.judge_tree(world.checkout, "fail", "stash").status == FAIL, "a stash would not see all of it"


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_file_at_which_git_does_not_look_fails(world: t.Any, flag: str) -> None:
    world.git(world.host, "update-index", flag, "file")
    found = _code.judge_tree(world.checkout, "warn")
    assert (found.status, found.evidence) == (FAIL, "git was told not to look at file")


@pytest.mark.parametrize(("untracked", "status"), [("ignore", PASS), ("warn", WARN), ("fail", FAIL)])
def test_untracked_files_count_as_the_data_says(world: t.Any, untracked: str, status: str) -> None:
    for number in range(12):
        (world.host / f"left-{number:02}").write_text("x")
    (world.host / ".env").write_text("ignored")
    found = _code.judge_tree(world.checkout, untracked)
    assert found.status == status
    assert "left-09 and 2 more" in found.evidence and ".env" not in found.evidence


def compose(world: t.Any, text: str, env: str, printed: str, code: int = 0) -> Compose:
    (world.host / "compose.yml").write_text(text)
    (world.host / ".env").write_text(env)
    return Compose(Project("app", world.host, ("compose.yml",)), lambda *_argv, **_options: (code, "", printed))


def test_variable_that_nobody_sets_fails_by_name_once(world: t.Any) -> None:
    printed = WARNED.format(UNSET.format("JWT_SECRET")) * 3 + WARNED.format(UNSET.format("PLAIN"))
    found = _code.judge_config(compose(world, "x: ${JWT_SECRET}\ny: $PLAIN\n", "A=1\n", printed), ".env")
    assert found == Outcome(
        FAIL,
        "empty for want of a value: JWT_SECRET, PLAIN",
        f"Set JWT_SECRET in {world.host}/.env, or give it a default in the Compose file: ${{JWT_SECRET:-}}",
    )


def test_piece_of_a_secret_is_not_told_but_its_line_is(world: t.Any) -> None:
    printed = WARNED.format(UNSET.format("halfOfIt"))
    found = _code.judge_config(compose(world, "x: ${A}\n", "A=1\nTOKEN=ab$halfOfIt\n", printed), ".env")
    assert (found.status, found.evidence) == (FAIL, ".env:2 has an unescaped $, so a part of its value is gone")
    assert "halfOfIt" not in str(found)


def test_other_warnings_fail_without_what_they_quote_from_elsewhere(world: t.Any) -> None:
    obsolete = WARNED.format("/x/compose.yml: the attribute `version` is obsolete")
    strange = WARNED.format(r"bad value \"pass\" for \"web\" near hunter22hunter22")
    found = _code.judge_config(compose(world, "web: 1\n", "A=hunter22hunter22\n", obsolete + strange), ".env")
    assert found.status == FAIL
    assert found.evidence.endswith('the attribute `version` is obsolete; bad value "…" for "web" near ********')


def test_clean_configuration_passes_and_no_docker_is_unknown(world: t.Any) -> None:
    assert _code.judge_config(compose(world, "x: 1\n", "A=1\n", "level=info\n"), ".env").status == PASS
    with pytest.raises(Unreachable):
        away = compose(world, "x: 1\n", "A=1\n", "Cannot connect to the Docker daemon", code=1)
        _code.judge_config(away, ".env")


def test_mode_and_owner(world: t.Any) -> None:
    found = _code.judge_mode(world.host)
    assert found.status == PASS
    (world.host / "dir").mkdir()
    (world.host / "dir/all\n").write_text("x")
    (world.host / "dir/all\n").chmod(0o666)
    (world.host / "link").symlink_to("/dev/null")
    found = _code.judge_mode(world.host)
    assert (found.status, found.evidence) == (FAIL, r"everybody can write: dir/all\n")
    assert found.remedy == f"chmod -R o-w {world.host}"


def test_directory_that_everybody_can_replace_fails(world: t.Any) -> None:
    world.host.parent.chmod(0o777)
    found = _code.judge_mode(world.host)
    assert (found.status, "can replace" in found.evidence) == (FAIL, True)
    world.host.parent.chmod(0o1777)  # as /tmp: only the owner can
    assert _code.judge_mode(world.host).status == PASS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_a_stranger_fails(world: t.Any) -> None:
    os.chown(world.host / "file", 12345, -1)
    found = _code.judge_mode(world.host)
    assert (found.status, found.evidence.endswith(": file")) == (FAIL, True)


def test_all_of_it_is_green_and_the_host_stays_as_it_is(world: t.Any, tmp_path: Path) -> None:
    head = world.commit({"compose.yml": "x: 1\n"})
    world.push()
    (world.host / ".env").write_text("AUTH_TOKEN=0123456789abcdef0123456789abcdef\n")
    world.git(world.host, "pull", "--quiet")
    before = world.everything()

    def execute(argv: list[str], **options: t.Any) -> tuple[int, str, str]:
        return (0, "", "") if argv[0] == "docker" else world.execute(argv, **options)

    world.checkout.execute = execute
    want = _code.Want(
        commit="main",
        branches=["main"],
        remote_url="",
        env_file=".env",
        secret_variables=["*TOKEN"],
        private_files=[".env"],
        untracked="fail",
        local_changes="refuse",
        scan=Scan(Path(sys.prefix)),
        windows=[],
        freezes=[],
        zone="UTC",
        freeze_file=tmp_path / "freeze",
    )
    report = _code.inspect(world.checkout, Compose(Project("app", world.host, ("compose.yml",)), execute), want)
    assert {check.id: check.status for check in report.checks if check.status != PASS} == {}
    assert [check.id for check in report.checks] == [
        "code.compose.compose",
        *("code.commit", "code.config", "code.tree", "code.ignored", "code.history", "code.remote", "code.mode"),
        *("code.window", "code.secrets", "code.secret_scan"),
    ]
    assert report.facts == {"commit": head, "head": head}
    assert report.secrets == {"0123456789abcdef0123456789abcdef"}
    assert world.everything() == before
