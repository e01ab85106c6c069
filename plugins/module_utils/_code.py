# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's code and configuration on its host: as committed, clean, private, and the right commit to deploy.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path, PurePosixPath

from . import _code_commit, _code_secrets, _code_window, _dotenv, _secrets
from ._check import FAIL, PASS, WARN, Check, Outcome, Report, timed
from ._code_commit import listed
from ._code_secrets import Known, Scan
from ._compose import Compose
from ._errors import OpsError, Unreachable
from ._git import Git, shown

_WARNING = re.compile(r'level=warning msg="(?P<text>(?:[^"\\]|\\.)*)"')
_UNSET = re.compile(r'The "(?P<name>.*)" variable is not set\b.*')
_QUOTED = re.compile(r'"([^"]*)"')
_LONGEST = 200  # characters of a warning that are shown
Look = tuple[str, str, Callable[[], Outcome]]  # id, title, and what looks
_OBJECTS = ("objects", "lfs")  # in .git: many files, each named after its content


@dataclass(frozen=True)
class Want:
    """What the caller wants to be sure of.

    Attributes:
        commit: branch, tag or id that is to be deployed.
        branches: patterns of the branches that it may be on.
        remote_url: what the address of the remote must be; empty for any.
        env_file: file with the variables of the application.
        secret_variables: patterns of those that are secrets.
        private_files: files that must never be in git.
        untracked: what files make that git neither tracks nor ignores.
        local_changes: ``refuse``, or ``stash`` when they are put aside at the switch.
        scan: how the secret scanner is run.
        windows, freezes, zone, freeze_file: when a change is allowed.
    """

    commit: t.Any
    branches: Sequence[str]
    remote_url: str
    env_file: str
    secret_variables: Sequence[str]
    private_files: Sequence[str]
    untracked: str
    local_changes: str
    scan: Scan
    windows: Sequence[Mapping[str, t.Any]]
    freezes: Sequence[Mapping[str, t.Any]]
    zone: str
    freeze_file: Path


def inspect(checkout: Git, compose: Compose, want: Want) -> Report:
    """Run all checks, those that wait for programs side by side."""
    head = checkout.head()
    known = Known.of(checkout.directory / want.env_file, want.secret_variables)
    with _code_commit.beside(checkout) as repository, ThreadPoolExecutor(max_workers=6) as pool:
        asked = _code_commit.Asked(checkout, repository, want.commit, want.branches)
        first: list[Look] = [
            *_compose_looks(checkout, compose.project.files, head),
            ("code.commit", "The commit is at the remote, on a branch that may be deployed", partial(asked.look, head)),
            ("code.config", "Compose reads its files without a warning", partial(judge_config, compose, want.env_file)),
            ("code.tree", "Nothing is uncommitted", partial(judge_tree, checkout, want.untracked, want.local_changes)),
            (
                "code.ignored",
                "git ignores what is private",
                partial(_code_secrets.judge_ignored, checkout, want.private_files),
            ),
            (
                "code.history",
                "Nothing private was ever committed",
                partial(_code_secrets.judge_history, checkout, want.private_files, repository.is_shallow),
            ),
            (
                "code.remote",
                "The remote is the right one, and holds no password",
                partial(_code_commit.judge_remote, checkout, want.remote_url),
            ),
            ("code.mode", "Nobody else can change the code", partial(judge_mode, checkout.directory)),
            ("code.window", "Changes are allowed now", partial(_judge_window, want)),
        ]
        checks = _side_by_side(pool, first)
        tree = asked.commit or head
        execute = checkout.execute
        then: list[Look] = [
            (
                "code.secrets",
                "No secret of the application is in its code",
                partial(_code_secrets.judge_values, repository, tree, known),
            ),
            (
                "code.secret_scan",
                "A scanner finds no secret in the code",
                partial(_code_secrets.judge_scan, repository, execute, tree, want.scan),
            ),
        ]
        checks += _side_by_side(pool, then)
    return Report(checks=checks, facts={"commit": asked.commit, "head": head}, secrets=set(known.names))


def _side_by_side(pool: ThreadPoolExecutor, looks: Sequence[Look]) -> list[Check]:
    started = [pool.submit(timed, check_id, title, (), look) for check_id, title, look in looks]
    return [one.result() for one in started]


def _judge_window(want: Want) -> Outcome:
    calendar = _code_window.calendar(want.windows, want.freezes, want.zone, want.freeze_file)
    return _code_window.judge(calendar, datetime.now(timezone.utc))


def _compose_looks(checkout: Git, files: Sequence[str], head: str) -> Iterator[Look]:
    for name in files:
        # docker-compose.prod.yml is code.compose.docker-compose.prod
        stem = str(PurePosixPath(name).with_suffix("")).strip("/").replace("/", ".")
        check_id = f"code.compose.{stem}".lower()
        yield check_id, f"{name} is as committed", partial(judge_compose_file, checkout, name, head)


def judge_compose_file(checkout: Git, name: str, head: str) -> Outcome:
    """Compare a file byte for byte with the commit that is checked out, whatever git was told not to look at."""
    path = checkout.directory / name
    restore = f"git -C {checkout.directory} checkout HEAD -- {name}"
    if path.is_symlink() or not path.is_file():
        return Outcome(FAIL, f"{path} is {'a link' if path.is_symlink() else 'not there'}", f"Restore it: {restore}")
    inside = os.path.relpath(path, checkout.directory)
    committed = checkout.blob(head, inside)
    if not committed:
        return Outcome(
            FAIL,
            f"{path} is not part of {head[:12]}, so nothing tells what it should be",
            "Commit it to the application, or take it out of the list of Compose files.",
        )
    if checkout.blob_of(inside) == committed:
        return Outcome(PASS, f"byte for byte that of {head[:12]}")
    return Outcome(
        FAIL,
        f"{inside} was changed after {head[:12]} was checked out",
        f"Look: git -C {checkout.directory} diff HEAD -- {name}; then commit it to the application, or restore it: {restore}",
    )


def judge_tree(checkout: Git, untracked: str, local_changes: str = "refuse") -> Outcome:
    changed, new = checkout.status()
    hidden = checkout.hidden_files()
    if changed and local_changes == "stash" and not hidden:
        see = f"To see them: git -C {checkout.directory} diff"
        return Outcome(WARN, f"changed since the checkout, will be stashed at the switch: {listed(changed)}", see)
    if changed:
        keep = f"git -C {checkout.directory} stash"
        return Outcome(FAIL, f"changed since the checkout: {listed(changed)}", f"Keep or drop the changes: {keep}")
    if hidden:
        again = f"git -C {checkout.directory} update-index --no-assume-unchanged --no-skip-worktree -- {shown(hidden[0])}"
        return Outcome(FAIL, f"git was told not to look at {listed(hidden)}", f"Have it look again: {again}")
    if new and untracked != "ignore":
        return Outcome(
            FAIL if untracked == "fail" else WARN,
            f"neither tracked nor ignored: {listed(new)}",
            f"Remove them (git -C {checkout.directory} clean -n lists them), or add them to .gitignore.",
        )
    return Outcome(PASS, "no tracked file differs from its commit" + (f"; besides: {listed(new)}" if new else ""))


def judge_config(compose: Compose, env_file: str) -> Outcome:
    """Take the warnings of Compose seriously, without repeating what they quote of the environment file."""
    try:
        _out, printed = compose.run("config", "--quiet", remedy="Correct the file that is named.")
    except Unreachable:
        raise
    except OpsError as error:
        if "is not installed" in error.problem:
            raise Unreachable(error.problem, error.remedy) from None
        raise
    paths = [compose.project.directory / name for name in compose.project.files]
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)
    seen = dict.fromkeys(match["text"].replace('\\"', '"') for match in _WARNING.finditer(printed))
    if not seen:
        return Outcome(PASS, "no warning")
    return _judge_warnings(seen, text, compose.project.directory / env_file)


def _judge_warnings(seen: Sequence[str] | Mapping[str, None], text: str, env_path: Path) -> Outcome:
    names = [match["name"] for match in map(_UNSET.fullmatch, seen) if match]
    unset = sorted(name for name in names if re.search(rf"\$\{{?{re.escape(name)}\b", text))
    others = [_unquoted(one, text, env_path) for one in seen if not _UNSET.fullmatch(one)]
    told, remedies = [], []
    if unset:
        told.append(f"empty for want of a value: {listed(unset)}")
        remedies.append(f"Set {unset[0]} in {env_path}, or give it a default in the Compose file: ${{{unset[0]}:-}}")
    if len(names) > len(unset):
        # What follows the $ is a part of a value, perhaps of a password.
        told.append(f"{_place(env_path)} has an unescaped $, so a part of its value is gone")
        remedies.append("Put the value in single quotes, or write $$ for a $")
    if others:
        told += others
        remedies.append("Correct the Compose file")
    return Outcome(FAIL, "; ".join(told), "; ".join(remedies))


def _place(env_path: Path) -> str:
    try:
        variables = _dotenv.read(env_path.read_bytes().decode("utf-8", "surrogateescape")).values()
    except (OSError, OpsError):
        return str(env_path)
    lines = [line for variable in variables for line, what in variable.surprises if what == _dotenv.UNSET]
    return ", ".join(f"{env_path.name}:{line}" for line in sorted(set(lines))) or str(env_path)


def _unquoted(warning: str, text: str, env_path: Path) -> str:
    """Return a warning without what it quotes from elsewhere than the Compose files, and without values."""
    known = _QUOTED.sub(lambda match: match[0] if match[1] in text else '"…"', warning)
    try:
        values = list(_dotenv.values(env_path).values())
    except OpsError:
        values = []
    return shown(_secrets.redact(known, values))[:_LONGEST]


def judge_mode(directory: Path) -> Outcome:
    """Judge whether other users of the host can change what root will build and start."""
    above = [path for path in directory.resolve().parents if _replaceable(path)]
    if above:
        return Outcome(
            FAIL, f"everybody can replace {above[0]} or what is in it", f"chmod o-w {above[0]}, or move the application"
        )
    owner = directory.stat().st_uid
    loose, foreign = [], []
    for path, status in _walk(directory):
        inside = os.path.relpath(path, directory)
        if status.st_mode & stat.S_IWOTH:
            loose.append(inside)
        if status.st_uid not in (0, os.geteuid(), owner):
            foreign.append(inside)
    if loose:
        return Outcome(FAIL, f"everybody can write: {listed(loose, 5)}", f"chmod -R o-w {directory}")
    if foreign:
        return Outcome(
            FAIL,
            f"belongs to neither root nor the owner of {directory}: {listed(foreign, 5)}",
            f"chown -R --reference={directory} {directory}",
        )
    mode = stat.S_IMODE(directory.stat().st_mode)
    return Outcome(PASS, f"{directory} belongs to user {owner}, mode {mode:04o}; nothing in it can be written by everybody")


def _replaceable(path: Path) -> bool:
    mode = path.stat().st_mode
    return bool(mode & stat.S_IWOTH and not mode & stat.S_ISVTX)


def _walk(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything in a checkout but links, and but the objects that git names after their content."""
    yield str(directory), directory.stat()
    waiting = [str(directory)]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            raise Unreachable(
                f"{shown(here)} cannot be looked into ({error.strerror}).", "Run the task with become."
            ) from None
        for entry in entries:
            if entry.is_symlink():
                continue
            yield entry.path, entry.stat(follow_symlinks=False)
            inside = entry.name in _OBJECTS and os.path.basename(here) == ".git"
            if entry.is_dir(follow_symlinks=False) and not inside:
                waiting.append(entry.path)
