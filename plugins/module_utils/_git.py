# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's git checkout on the host: which commit is meant, is it there, is the tree clean.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Mapping
from pathlib import Path

from . import _secrets
from ._compose import Execute
from ._errors import OpsError, Unreachable

# What a branch, tag or id may look like. Narrower than git's own rule: no leading dash, no "..", no white space.
_NAME = re.compile(r"(?![-./])(?!.*(\.\.|//|@\{|\.lock$|/$))[A-Za-z0-9._/+-]{1,200}")
_HEX = re.compile(r"[0-9a-f]{4,40}")

# Nobody is there to answer a prompt; a look at the status does not rewrite the index of the checkout.
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
_SSH = "{ssh} -o BatchMode=yes -o ConnectTimeout=10"
_STALLED = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30")

HEADS, TAGS = "refs/heads/", "refs/tags/"


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


def _first_reason(printed: str) -> str:
    """Return the first line that says why; what follows is advice that git gives with every failure."""
    lines = [line.strip() for line in _secrets.redact(printed).splitlines()]
    reasons = [line for line in lines if line and not line.lower().startswith("warning:")]
    return reasons[0].removeprefix("fatal: ") if reasons else "it printed nothing"


def ambiguous(name: str, commits: t.Iterable[str]) -> OpsError:
    return OpsError(f"{name} is ambiguous: {', '.join(found[:12] for found in commits)}.", "Give more digits.")


def is_id(name: str) -> bool:
    """Whether a name may be a full or short commit id."""
    return bool(_HEX.fullmatch(name))


def shown(name: str) -> str:
    """Return a name from a repository as it can be printed: what is no visible character is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in name)


class Repository:
    """Runs git in one repository."""

    def __init__(self, directory: Path, execute: Execute) -> None:
        self.directory = directory
        self.execute = execute

    def try_run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, data: str | None = None
    ) -> tuple[int, str, str]:
        # The checkout may belong to another user than the one that Ansible becomes.
        safe = ["-c", f"safe.directory={self.directory}", "-c", "core.fsmonitor=false"]
        argv = ["git", *safe, "-C", str(self.directory), *arguments]
        environment = {**_ENVIRONMENT, **(environment or {})}
        rc, out, err = self.execute(argv, environ_update=environment, data=data, expand_user_and_vars=False)
        return rc, out, err

    def run(self, *arguments: str) -> str:
        rc, out, err = self.try_run(*arguments)
        if rc:
            raise OpsError(f"git {arguments[0]} failed in {self.directory}: {last_line(err or out)}")
        return out.strip()

    def commit_id(self, revision: str) -> str:
        """Return the full id of the commit that a revision names, empty when there is none."""
        rc, out, _err = self.try_run("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        return out.strip() if rc == 0 else ""

    def commits_like(self, name: str) -> list[str]:
        """Return the full ids of the commits whose id begins with a name."""
        rc, out, _err = self.try_run("rev-parse", f"--disambiguate={name}")
        return sorted({found for found in map(self.commit_id, out.split()) if found}) if rc == 0 else []


class Git(Repository):
    """Runs git in one checkout."""

    def __init__(self, directory: Path, execute: Execute, remote: str = "origin") -> None:
        super().__init__(directory, execute)
        self.remote = remote
        if not (directory / ".git").exists():
            raise OpsError(f"{directory} is no git checkout.", f"git clone <the application's repository> {directory}")

    def fetch(self) -> None:
        """Get the branches and tags of the remote."""
        self.ask_remote("fetch", "--no-progress", "--prune", "--tags", self.remote)

    def tips(self) -> dict[str, str]:
        """Return the commit of every branch and tag of the remote by its full name; fetches nothing."""
        listed = self.ask_remote("ls-remote", "--quiet", self.remote, f"{HEADS}*", f"{TAGS}*")
        # A tag with a message has two lines; the second, NAME^{}, is the commit.
        pairs = [line.split("\t", 1) for line in listed.split("\n") if "\t" in line]
        return {name[:-3] if name.endswith("^{}") else name: tip for tip, name in pairs}

    def behind(self) -> list[str]:
        """Return the branches of the remote whose tip is not what was last fetched; fetches nothing."""
        heads = {name[len(HEADS) :]: tip for name, tip in self.tips().items() if name.startswith(HEADS)}
        return sorted(name for name, tip in heads.items() if self.commit_id(f"refs/remotes/{self.remote}/{name}") != tip)

    def ask_remote(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command that talks to the remote, with the ssh that the checkout is set to use, but never asking."""
        _rc, ssh, _err = self.try_run("config", "--get", "core.sshCommand")
        ssh = ssh.strip() or os.environ.get("GIT_SSH_COMMAND") or "ssh"
        environment = {"GIT_SSH_COMMAND": _SSH.format(ssh=ssh), **(environment or {})}
        rc, out, err = self.try_run(*_STALLED, *arguments, environment=environment)
        moved = re.findall(r"^ ! \[rejected\] +(\S+)", err, re.MULTILINE)
        if moved:
            raise OpsError(
                f"Tags have moved at {self.remote} to other commits than {self.directory} has: {', '.join(moved[:10])}.",
                f"Find out who moved them and why, then: git -C {self.directory} fetch --tags --force {self.remote}",
            )
        if rc:
            raise Unreachable(
                f"The remote {self.remote} of {self.directory} does not answer: {_first_reason(err)}",
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
            found = self.commit_id(candidate)
            if found:
                return found
        if not is_id(name):
            raise OpsError(
                f"{name} is no branch, tag or commit of {self.remote}.", f"See: git -C {self.directory} branch -r"
            )
        commits = self.commits_like(name)
        if not commits:
            raise OpsError(f"{self.directory} has no commit {name}.", f"See: git -C {self.directory} log --oneline -20 --all")
        if len(commits) > 1:
            raise ambiguous(name, commits)
        if not self.run("for-each-ref", "--count=1", "--contains", commits[0], f"refs/remotes/{self.remote}", "refs/tags"):
            raise OpsError(f"{commits[0][:12]} is on no branch and no tag of {self.remote}.", "Push it first.")
        return commits[0]

    def status(self) -> tuple[list[str], list[str]]:
        """Return the tracked files that differ from HEAD, and what is neither tracked nor ignored."""
        rc, out, err = self.try_run("status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal")
        if rc:
            raise OpsError(f"git status failed in {self.directory}: {last_line(err)}")
        entries = [(entry[:2], entry[3:]) for entry in out.split("\0") if entry]
        return [name for how, name in entries if how != "??"], [name for how, name in entries if how == "??"]

    def hidden_files(self) -> list[str]:
        """Return the tracked files at which git was told not to look (assume-unchanged, skip-worktree)."""
        rc, out, _err = self.try_run("ls-files", "-v", "-z")
        entries = [(entry[:1], entry[2:]) for entry in out.split("\0") if entry] if rc == 0 else []
        return [name for how, name in entries if how.islower() or how == "S"]

    def blob(self, commit: str, name: str) -> str:
        """Return the id of a file's content in a commit, empty when it is no file there."""
        rc, out, _err = self.try_run("ls-tree", "-z", commit, "--", name)
        how, _tab, _name = out.rstrip("\0").partition("\t")
        return how.split()[2] if rc == 0 and how.startswith("100") else ""

    def blob_of(self, name: str) -> str:
        """Return the id that a file's content has as it stands in the checkout."""
        return self.run("hash-object", "--no-filters", "--", name)

    def changed_files(self) -> list[str]:
        """Return the tracked files that differ from HEAD, as they can be printed."""
        return [shown(name) for name in self.status()[0]]

    def add_worktree(self, path: Path, commit: str) -> None:
        """Check a commit out beside the project directory, which stays as it is."""
        self.remove_worktree(path)
        self.run("worktree", "add", "--quiet", "--detach", str(path), commit)

    def remove_worktree(self, path: Path) -> None:
        self.try_run("worktree", "remove", "--force", str(path))
        self.run("worktree", "prune")

    def contains(self, newer: str, older: str) -> bool:
        """Whether a commit has another one in its history; not when one of them is gone."""
        return self.try_run("merge-base", "--is-ancestor", older, newer)[0] == 0

    def history(self, older: str, newer: str, most: int) -> tuple[int, list[str]]:
        """Return how many commits lead from one commit to another, and the newest of them as ``ID SUBJECT``."""
        count = int(self.run("rev-list", "--count", f"{older}..{newer}"))
        listed = self.run("log", f"--max-count={most}", "--format=%h %s", f"{older}..{newer}") if count else ""
        return count, [shown(line) for line in listed.split("\n") if line]

    def files_between(self, older: str, newer: str, *patterns: str) -> list[str]:
        """Return the files that differ between two commits, all or those that match a pattern (``**`` crosses folders)."""
        paths = [f":(top,glob){pattern}" for pattern in patterns]
        rc, out, err = self.try_run("diff", "--name-only", "--no-renames", "-z", older, newer, "--", *paths)
        if rc:
            raise OpsError(f"git diff failed in {self.directory}: {last_line(err)}")
        return [name for name in out.split("\0") if name]

    def stash(self, message: str) -> str:
        """Put local changes to tracked files aside; return the command that brings them back, empty when there are none.

        The command names the commit of the stash: its place in the list moves with every later one.
        """
        if not self.status()[0]:
            return ""
        people = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        rc, out, err = self.try_run(
            "stash", "push", "--quiet", "--message", message, environment=dict.fromkeys(people, "prosaas.ops")
        )
        if rc:
            raise OpsError(f"git stash failed in {self.directory}: {last_line(err or out)}")
        return f"git -C {self.directory} stash apply {self.run('rev-parse', 'refs/stash')[:12]}"

    def checkout(self, commit: str) -> None:
        """Move the project directory to a commit; local changes to tracked files are never overwritten."""
        dirty = self.changed_files()
        if dirty:
            raise OpsError(
                f"{self.directory} has uncommitted changes: {', '.join(dirty[:10])}.",
                f"Keep them with: git -C {self.directory} stash",
            )
        self.run("checkout", "--quiet", "--detach", commit)
