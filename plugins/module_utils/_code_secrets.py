# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret in the repository: private files ignored and never committed, no value of ours, and nothing a scanner finds.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import tempfile
import typing as t
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import _dotenv, _secrets
from ._check import FAIL, PASS, Outcome
from ._code_commit import Beside, counted, listed
from ._compose import Execute
from ._errors import OpsError, Unreachable
from ._git import Git, last_line, shown

# Shorter values are words: they stand everywhere.
LEAST = 12
_KNOWN = "since every clone has it"
_OUT = f"Replace it where it was made, {_KNOWN}, and take it out of the file."
_RULE = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?!!)")  # a rule that begins with ! makes git not ignore a path
_HIT = re.compile(r"(?P<file>[^\0]+)\0(?P<line>\d+)\0(?P<value>[^\n]*)\n")
_CLEAN, _FOUND = 0, 200  # how the scanner ends when it has done its work


def judge_ignored(checkout: Git, private: Sequence[str]) -> Outcome:
    """Judge whether git would leave private files alone, whatever is added."""
    rc, tracked, _err = checkout.try_run("ls-files", "-z", "--", *map(_exactly, private))
    inside = [name for name in tracked.split("\0") if name]
    if rc == 0 and inside:
        untrack = f"git -C {checkout.directory} rm --cached -- {inside[0]}"
        return Outcome(FAIL, f"git tracks {listed(inside)}", f"Replace every secret in it, {_KNOWN}. Then: {untrack}, and commit that.")
    rules = {name: _rule(checkout, name) for name in private}
    bare = [name for name, rule in rules.items() if not rule]
    if bare:
        return Outcome(
            FAIL,
            f"nothing tells git to ignore {listed(bare)}",
            f"Add {bare[0]} to .gitignore of the application, and commit that.",
        )
    return Outcome(PASS, ", ".join(f"{shown(name)} by {rule}" for name, rule in rules.items()))


def _exactly(name: str) -> str:
    return f":(top,literal){name}"


def _rule(checkout: Git, name: str) -> str:
    """Return the file and line of the rule that makes git ignore a path, empty when none does."""
    rc, out, _err = checkout.try_run("check-ignore", "--verbose", "--", name)
    match = _RULE.match(out) if rc == 0 else None
    return f"{shown(match['file'])}:{match['line']}" if match else ""


def judge_history(checkout: Git, private: Sequence[str], is_shallow: bool) -> Outcome:
    """Judge whether a private file was ever committed, on any branch and however it was removed again."""
    found = {name: commits for name, commits in ((name, _commits_of(checkout, name)) for name in private) if commits}
    if found:
        told = "; ".join(f"{shown(name)} was committed: {listed(commits, 3)}" for name, commits in found.items())
        remove = "git filter-repo --invert-paths " + " ".join(f"--path {shown(name)}" for name in found)
        return Outcome(
            FAIL, told, f"Replace every secret in it, {_KNOWN}. Then take it out of the history everywhere: {remove}"
        )
    if is_shallow:
        raise Unreachable(
            "The checkout has only a part of the history.", f"git -C {checkout.directory} fetch --unshallow"
        )
    return Outcome(PASS, f"no commit of any branch has {listed(private)}")


def _commits_of(checkout: Git, name: str) -> list[str]:
    rc, out, err = checkout.try_run("log", "--all", "--full-history", "--format=%h of %cs", "-z", "--", _exactly(name))
    if rc:
        raise Unreachable(f"git log failed: {last_line(err)}", f"Try: git -C {checkout.directory} fsck")
    return [commit for commit in out.split("\0") if commit]


@dataclass(frozen=True)
class Known:
    """The secrets that the application runs with: variable by what it looks like in a file."""

    names: Mapping[str, str]
    problem: str = ""

    @classmethod
    def of(cls, path: Path, patterns: Sequence[str]) -> Known:
        """Read those variables of an environment file whose name a pattern fits."""
        try:
            values = _dotenv.values(path)
        except OpsError as error:
            return cls({}, error.problem)
        fit = {name for name in values if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)}
        return cls({form: name for name in sorted(fit) for form in _forms(values[name])})


def _forms(value: str) -> Iterator[str]:
    """Yield what would give a value away: itself, line by line, and the password of an address."""
    try:
        password = urllib.parse.urlsplit(value).password or ""
    except ValueError:
        password = ""
    lines = [line.strip() for line in value.splitlines()]
    for part in (*lines, password, urllib.parse.unquote(password)):
        if part.startswith("-----"):  # the frame of a key, the same in all of them
            continue
        yield from (form for form in _secrets.worth_hiding([part]) if len(form) >= LEAST)


def judge_values(repository: Beside, tree: str, known: Known) -> Outcome:
    """Look for the secrets that the application runs with in the files of a commit; git gets them on its stdin."""
    if known.problem:
        raise Unreachable(f"No secrets to look for: {known.problem}", "See env.file.")
    hits = _grep(repository, tree, known.names) if known.names else {}
    if hits:
        told = [f"{name} in {listed(places, 2)}" for name, places in hits.items()]
        return Outcome(FAIL, f"secrets of the environment file stand in {tree[:12]}: {listed(told, 5)}", _OUT)
    number = len(set(known.names.values()))
    return Outcome(PASS, f"none of {counted(number, 'secret')} stands in a file of {tree[:12]}")


def _grep(repository: Beside, tree: str, names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the places, by variable, at which a value stands in a file of a commit."""
    command = ["grep", "-z", "-n", "-a", "-o", "--no-color", "--full-name", "-F", "-f", "-", tree]
    rc, out, err = repository.try_run(*command, data="\n".join(names))
    if rc > 1:
        raise Unreachable(f"git grep failed: {_secrets.redact(last_line(err), names)}", "Try: git fsck")
    places: dict[str, list[str]] = {}
    for hit in _HIT.finditer(out):
        places.setdefault(names.get(hit["value"], "a secret"), []).append(f"{hit['file'][len(tree) + 1 :]}:{hit['line']}")
    return dict(sorted(places.items()))


@dataclass(frozen=True)
class Scan:
    """How the scanner is run.

    Attributes:
        runtime: virtual environment that has it; else it is looked for in the path.
        rules: rules besides its own, as data of the caller.
        allowed: patterns of files in which a finding is none.
        history: whether to look at all commits, and not only at the files of the last.
    """

    runtime: Path
    rules: Sequence[Mapping[str, t.Any]] = ()
    allowed: Sequence[str] = ()
    history: bool = False


def judge_scan(repository: Beside, execute: Execute, tree: str, scan: Scan) -> Outcome:
    """Have a scanner look at the files of a commit. It is told to contact nobody, and to keep findings to itself."""
    program = shutil.which("kingfisher", path=str(scan.runtime / "bin")) or shutil.which("kingfisher")
    if not program:
        raise Unreachable(
            "The secret scanner kingfisher is not on this host.",
            f"Run the preflight playbook once without --check; it prepares it in {scan.runtime}",
        )
    found = _findings(program, repository, execute, tree, scan)
    allowed = [one for one in found if any(fnmatch.fnmatchcase(one[0], pattern) for pattern in scan.allowed)]
    real = [one for one in found if one not in allowed]
    where = "the history" if scan.history else "the files"
    besides = f" ({counted(len(allowed), 'finding')} allowed)" if allowed else ""
    if real:
        told = [f"{path}:{line} {kind}" for path, line, kind in real]
        return Outcome(
            FAIL,
            f"in {where} of {tree[:12]}: {listed(told, 5)}{besides}",
            f"{_OUT} What is no secret: end its line with a comment kingfisher:ignore, or allow its file (scan_allow).",
        )
    return Outcome(PASS, f"kingfisher found nothing in {where} of {tree[:12]}{besides}")


def _findings(
    program: str, repository: Beside, execute: Execute, tree: str, scan: Scan
) -> list[tuple[str, int, str]]:
    """Run the scanner; return file, line and kind of what it found."""
    quiet = ["--no-validate", "--no-update-check", "--quiet", "--redact", "--format", "json"]
    cache = scan.runtime / "cache"
    keep = ["--rule-cache-dir", str(cache)] if scan.runtime.is_dir() else ["--no-rule-cache"]
    history = "full" if scan.history else "none"
    with tempfile.TemporaryDirectory(prefix="code-check-") as directory:
        rules = Path(directory) / "rules.yml"
        rules.write_text(json.dumps({"rules": list(scan.rules)}), encoding="utf-8")  # JSON is YAML
        more = ["--rules-path", str(rules)] if scan.rules else []
        what = [str(repository.directory), "--git-history", history, "--branch", tree]
        rc, out, err = execute(
            [program, "scan", *what, *quiet, *keep, *more], expand_user_and_vars=False, cwd=directory
        )
    try:
        answer = json.loads(out)
        findings = [_finding(one) for one in answer["findings"]]
    except (ValueError, LookupError, TypeError):
        answer = None
    if answer is None or rc not in (_CLEAN, _FOUND):
        raise Unreachable(
            f"The secret scanner ended with {rc}: {shown(last_line(err))}", f"Try: {program} scan --help"
        )
    return sorted(set(findings))


def _finding(one: Mapping[str, t.Any]) -> tuple[str, int, str]:
    found = one["finding"]
    path = found.get("git_metadata", {}).get("file", {}).get("path") or found["path"]
    return str(path), int(found["line"]), str(one["rule"]["id"]).rpartition(".")[2].rpartition("/")[2]
