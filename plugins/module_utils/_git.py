# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's git checkout on the host: which commit is meant, is it there, is the tree clean.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from . import _secrets
from ._compose import Execute
from ._errors import OpsError, Unreachable

# What a branch, tag or id may look like. Narrower than git's own rule: no leading dash, no "..", no white space.
_NAME = re.compile(r"(?![-./])(?!.*(\.\.|//|@\{|\.lock$|/$))[A-Za-z0-9._/+-]{1,200}")
_HEX = re.compile(r"[0-9a-f]{4,40}")

_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "LC_ALL": "C"}


def commit_name(value: t.Any) -> str:
    """Return what the operator asked for as a checked string; anything that is no plain name is refused.

    A number is refused too: JSON and surveys turn the id ``12e4567`` into infinity.
    """
    if isinstance(value, (int, float)):
        raise OpsError(f"commit={value} arrived as a number.", f"Quote it: -e '{{\"commit\": \"{value}\"}}'")
    name = str(value).strip()
    if not _NAME.fullmatch(name):
        raise OpsError(f"commit={name!r} is no branch, tag or commit id.", "Give a name such as main, v1.2.0 or 1a2b3c4d.")
    return name


def last_line(printed: str) -> str:
    """Return the last line of what a command printed, masked."""
    lines = _secrets.redact(printed).strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


def is_id(name: str) -> bool:
    """Whether a name may be a full or short commit id."""
    return bool(_HEX.fullmatch(name))


class Git:
    """Runs git in one checkout."""

    def __init__(self, directory: Path, execute: Execute, remote: str = "origin") -> None:
        self.directory = directory
        self.remote = remote
        self._execute = execute
        if not (directory / ".git").exists():
            raise OpsError(f"{directory} is no git checkout.", f"git clone <the application's repository> {directory}")

    def try_run(self, *arguments: str) -> tuple[int, str, str]:
        # The checkout may belong to another user than the one that Ansible becomes.
        argv = ["git", "-c", f"safe.directory={self.directory}", "-C", str(self.directory), *arguments]
        rc, out, err = self._execute(argv, environ_update=_ENVIRONMENT)
        return rc, out, err

    def run(self, *arguments: str) -> str:
        rc, out, err = self.try_run(*arguments)
        if rc:
            raise OpsError(f"git {arguments[0]} failed in {self.directory}: {last_line(err or out)}")
        return out.strip()

    def fetch(self) -> None:
        """Get the branches and tags of the remote."""
        self._ask_remote("fetch", "--quiet", "--prune", "--tags", self.remote)

    def behind(self) -> list[str]:
        """Return the branches of the remote whose tip is not what was last fetched; fetches nothing."""
        tips = self._ask_remote("ls-remote", "--quiet", "--heads", self.remote).splitlines()
        heads = [line.split("\trefs/heads/", 1) for line in tips]
        return sorted(name for tip, name in heads if self._commit(f"refs/remotes/{self.remote}/{name}") != tip)

    def _ask_remote(self, *arguments: str) -> str:
        rc, out, err = self.try_run(*arguments)
        if rc:
            raise Unreachable(
                f"The remote {self.remote} of {self.directory} does not answer: {last_line(err)}",
                f"Try: git -C {self.directory} fetch {self.remote}",
            )
        return out

    def head(self) -> str:
        return self.run("rev-parse", "HEAD")

    def subject(self, commit: str) -> str:
        return self.run("log", "-1", "--format=%s", commit)

    def resolve(self, name: str) -> str:
        """Return the full id of a branch of the remote, a tag, or a full or short id that a branch or tag reaches."""
        name = commit_name(name)
        for candidate in (f"refs/remotes/{self.remote}/{name}", f"refs/tags/{name}"):
            found = self._commit(candidate)
            if found:
                return found
        if not is_id(name):
            raise OpsError(
                f"{name} is no branch, tag or commit of {self.remote}.", f"See: git -C {self.directory} branch -r"
            )
        rc, out, err = self.try_run("rev-parse", f"--disambiguate={name}")
        commits = [found for found in (self._commit(line) for line in out.split()) if found] if rc == 0 else []
        if not commits:
            raise OpsError(f"{self.directory} has no commit {name}.", f"See: git -C {self.directory} log --oneline -20 --all")
        if len(set(commits)) > 1:
            listed = ", ".join(sorted(found[:12] for found in set(commits)))
            raise OpsError(f"{name} is ambiguous: {listed}.", "Give more digits.")
        if not self.run("for-each-ref", "--count=1", "--contains", commits[0], f"refs/remotes/{self.remote}", "refs/tags"):
            raise OpsError(f"{commits[0][:12]} is on no branch and no tag of {self.remote}.", "Push it first.")
        return commits[0]

    def _commit(self, revision: str) -> str:
        rc, out, _err = self.try_run("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        return out.strip() if rc == 0 else ""

    def changed_files(self) -> list[str]:
        """Return the tracked files that differ from HEAD."""
        out = self.run("status", "--porcelain", "--untracked-files=no")
        return [line[2:].strip() for line in out.splitlines()]

    def add_worktree(self, path: Path, commit: str) -> None:
        """Check a commit out beside the project directory, which stays as it is."""
        self.remove_worktree(path)
        self.run("worktree", "add", "--quiet", "--detach", str(path), commit)

    def remove_worktree(self, path: Path) -> None:
        self.try_run("worktree", "remove", "--force", str(path))
        self.run("worktree", "prune")

    def checkout(self, commit: str) -> None:
        """Move the project directory to a commit; local changes to tracked files are never overwritten."""
        dirty = self.changed_files()
        if dirty:
            raise OpsError(
                f"{self.directory} has uncommitted changes: {', '.join(dirty[:10])}.",
                f"Keep them with: git -C {self.directory} stash",
            )
        self.run("checkout", "--quiet", "--detach", commit)
