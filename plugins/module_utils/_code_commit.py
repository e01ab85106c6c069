# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commit that is asked for: is it at the remote, on a branch that production may run from, and how far away?

The checkout stays as it is. What it does not have yet is fetched into a bare repository beside it, in a temporary
directory, which borrows the objects of the checkout and is gone afterwards.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
import shutil
import tempfile
import typing as t
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ._check import FAIL, PASS, Outcome
from ._errors import OpsError, Unreachable
from ._git import HEADS, TAGS, Git, Repository, ambiguous, commit_name, is_id, last_line, shown

_SUBJECT = 60  # characters of a commit's message that are shown
_TOKEN = 20  # a user name in a URL that is this long is a token
# Where git keeps addresses and headers that may hold a password, by the name of the setting.
_ADDRESS = re.compile(r"remote\.(?P<remote>.*)\.(?:push)?url")
_REWRITE = re.compile(r"url\.(?P<url>.*)\.(?:push)?insteadof", re.IGNORECASE)
_HEADER = re.compile(r"http\..*extraheader", re.IGNORECASE)


class Beside(Repository):
    """A bare repository that has the objects of a checkout and, once they are fetched, newer ones of its remote."""

    def __init__(self, checkout: Git, directory: Path) -> None:
        super().__init__(directory, checkout.execute)
        self._checkout = checkout
        kind = checkout.run("rev-parse", "--show-object-format")
        self.run("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", ".")
        objects = self._of_checkout("objects")
        (directory / "objects/info").mkdir(parents=True, exist_ok=True)
        (directory / "objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8", errors="surrogateescape")
        shallow = self._of_checkout("shallow")
        self.is_shallow = shallow.exists()
        if self.is_shallow:
            shutil.copyfile(shallow, directory / "shallow")

    def _of_checkout(self, part: str) -> Path:
        return (self._checkout.directory / self._checkout.run("rev-parse", "--git-path", part)).resolve()

    def fetch(self, refs: Sequence[str]) -> None:
        """Get what the given branches and tags of the remote have and the checkout has not; no ref is moved."""
        quiet = ["--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head", "--refmap=", "--no-recurse-submodules"]
        here = {"GIT_OBJECT_DIRECTORY": str(self.directory / "objects")}
        command = ["-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", *quiet]
        self._checkout.ask_remote(*command, self._checkout.remote, *refs, environment=here)

    def has(self, older: str, newer: str) -> bool:
        """Whether a commit is another one, or in its history."""
        rc, _out, err = self.try_run("merge-base", "--is-ancestor", older, newer)
        if rc > 1:
            raise Unreachable(f"git merge-base failed: {last_line(err)}", f"Try: git -C {self._checkout.directory} fsck")
        return rc == 0

    def told(self, commit: str) -> str:
        """Return id, beginning of the message, and day of a commit."""
        day, _space, subject = self.run("log", "-1", "--format=%cs %s", commit).partition(" ")
        short = shown(subject if len(subject) <= _SUBJECT else subject[: _SUBJECT - 1] + "…")
        return f"{commit[:12]} ({short}, {day})"

    def way(self, here: str, there: str) -> str:
        """Return how one gets from what is checked out to a commit."""
        if here == there:
            return "checked out"
        left, right = map(int, self.run("rev-list", "--left-right", "--count", f"{here}...{there}").split())
        if not left:
            return f"{counted(right)} to come"
        if not right:
            return f"{counted(left)} back from what is checked out"
        return f"{counted(right)} to come, and {counted(left)} of what is checked out not in it"


def counted(number: int, what: str = "commit") -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@contextlib.contextmanager
def beside(checkout: Git) -> Iterator[Beside]:
    with tempfile.TemporaryDirectory(prefix="code-check-") as directory:
        yield Beside(checkout, Path(directory))


class Asked:
    """What is asked for; ``commit`` is its full id, empty until it was found."""

    def __init__(self, checkout: Git, repository: Beside, name: t.Any, branches: Sequence[str]) -> None:
        self.commit = ""
        self._checkout = checkout
        self._repository = repository
        self._name = name
        self._branches = branches

    def look(self, head: str) -> Outcome:
        """Find it, and judge whether it may be deployed."""
        tips = self._checkout.tips()
        allowed = self._allowed({ref[len(HEADS) :]: tip for ref, tip in tips.items() if ref.startswith(HEADS)})
        remote = self._checkout.remote
        if not allowed:
            wanted = " or ".join(self._branches)
            raise OpsError(f"{remote} has no branch {wanted}.", f"See: git -C {self._checkout.directory} ls-remote --heads {remote}")
        name = commit_name(self._name)
        named = {ref: tips[ref] for ref in (HEADS + name, TAGS + name) if ref in tips}
        self._fetch({**{HEADS + branch: tip for branch, tip in allowed.items()}, **named})
        commit = self.commit = self._found(name, named) or self._elsewhere(name, tips)
        on = [branch for branch, tip in allowed.items() if self._repository.has(commit, tip)]
        told = self._repository.told(commit)
        if not on and self._repository.is_shallow:
            raise Unreachable(
                f"{told}: the checkout has only a part of the history, so its branch cannot be told.",
                f"git -C {self._checkout.directory} fetch --unshallow {remote}",
            )
        if not on:
            return Outcome(
                FAIL,
                f"{told} is not on {' or '.join(self._branches)} of {remote}",
                f"Merge it into {self._branches[0]} and push, or add its branch to those that may be deployed.",
            )
        return Outcome(PASS, f"{told} is on {shown(on[0])} of {remote}; {self._repository.way(head, commit)}")

    def _allowed(self, tips: Mapping[str, str]) -> dict[str, str]:
        """Return the branches that may be deployed from, those of the first pattern first."""
        return {
            name: tip for pattern in self._branches for name, tip in tips.items() if fnmatch.fnmatchcase(name, pattern)
        }

    def _fetch(self, wanted: Mapping[str, str]) -> None:
        missing = [ref for ref, tip in wanted.items() if not self._repository.commit_id(tip)]
        if missing:
            self._repository.fetch(missing)

    def _found(self, name: str, named: Mapping[str, str]) -> str:
        """Return the full id, empty when it is not here. As in a deployment a branch goes before a tag, and both before an id."""
        for tip in named.values():
            commit = self._repository.commit_id(tip)
            if commit:
                return commit
        commits = self._repository.commits_like(name) if is_id(name) else []
        if len(commits) > 1:
            raise ambiguous(name, commits)
        return commits[0] if commits else ""

    def _elsewhere(self, name: str, tips: Mapping[str, str]) -> str:
        """Return the full id of a commit that only another branch or tag of the remote can have."""
        if is_id(name):
            self._fetch(tips)
        commit = self._found(name, {})
        if not commit:
            remote = self._checkout.remote
            raise OpsError(
                f"{shown(name)} is no branch, tag or commit of {remote}.",
                f"Push it, or see: git -C {self._checkout.directory} ls-remote {remote}",
            )
        return commit


def judge_remote(checkout: Git, wanted: str) -> Outcome:
    """Judge whether the remote is the right one, and whether a password stands in the settings of the checkout."""
    rc, listed, _err = checkout.try_run("config", "--local", "--null", "--list")
    settings = [entry.partition("\n")[::2] for entry in listed.split("\0") if entry] if rc == 0 else []
    found = sorted({name for name, value in settings if _holds_password(name, value)})
    if found:
        address = _ADDRESS.fullmatch(found[0])
        return Outcome(
            FAIL,
            f"a password stands in .git/config: {', '.join(map(_without_password, found))}",
            "Revoke it where it was made, and use a deploy key (ssh) or a credential helper: "
            f"git -C {checkout.directory} remote set-url {shown(address['remote']) if address else checkout.remote} …",
        )
    rc, url, _err = checkout.try_run("remote", "get-url", checkout.remote)
    if rc:
        return Outcome(
            FAIL,
            f"the checkout has no remote {checkout.remote}",
            f"git -C {checkout.directory} remote add {checkout.remote} …",
        )
    url = url.strip()
    if wanted and url != wanted:
        return Outcome(
            FAIL,
            f"{checkout.remote} is {bare_url(url)}",
            f"git -C {checkout.directory} remote set-url {checkout.remote} {bare_url(wanted)}",
        )
    return Outcome(PASS, f"{checkout.remote} is {bare_url(url)}")


def _holds_password(name: str, value: str) -> bool:
    rewrite = _REWRITE.fullmatch(name)
    if rewrite:
        return _password_in(rewrite["url"])
    if _ADDRESS.fullmatch(name):
        return _password_in(value)
    return bool(_HEADER.fullmatch(name) and value)


def _password_in(url: str) -> bool:
    parts = _split(url)
    user = parts.username or "" if parts else ""
    return bool(parts and (parts.password or (parts.scheme.startswith("http") and len(user) >= _TOKEN)))


def _without_password(name: str) -> str:
    """Return the name of a setting; that of a rewritten address is an address itself."""
    rewrite = _REWRITE.fullmatch(name)
    return f"url.{bare_url(rewrite['url'])}.insteadOf" if rewrite else shown(name)


def bare_url(url: str) -> str:
    """Return an address without user, password and query."""
    parts = _split(url)
    if not parts:
        return "an address that cannot be read"
    if not parts.netloc:  # a path, the short form of ssh, or a slip of the hand
        return shown(re.sub(r"[^/@]*:[^/@]*@", "", url))
    return shown(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def _split(url: str) -> urllib.parse.SplitResult | None:
    try:
        return urllib.parse.urlsplit(url)
    except ValueError:
        return None


def listed(names: Iterable[str], most: int = 10) -> str:
    """Return some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more
