# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain of a host's records: each carries the hash of the one before it. Finds what does not fit; reads no disk.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import typing as t
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from . import _signature
from ._journal import time_of

# What a file is. The first three of these are as they should be.
OK, ATTEMPT, BEFORE = "ok", "attempt", "before the chain"
CHANGED, REMOVED, INSERTED, REORDERED = "changed", "removed", "inserted", "reordered"
UNREADABLE, NO_RECORD, UNPROVEN = "unreadable", "not a record", "unproven"
FIRST_SCHEMA, LAST_SCHEMA = 2, 2  # older ones have no chain that could be proven; newer ones are not known here
ALONE = "-unreachable"  # ends the id of an attempt that the controller alone could write down
HEAD = "head.json"
_SLACK = datetime.timedelta(seconds=60)  # runs may end side by side, and clocks are set


@dataclass(frozen=True)
class File:
    """One file of a host, as it was read.

    Attributes:
        name: its name without ``.json``; that is the run's id.
        sha256: of its bytes.
        kind: ``ok`` when it is a link of the chain, as far as it tells itself.
        why: what is wrong with it, when it is unreadable or no record.
    """

    name: str
    sha256: str
    kind: str = OK
    why: str = ""
    run: str = ""
    started: datetime.datetime = datetime.datetime.min
    finished: datetime.datetime = datetime.datetime.min
    previous: str | None = None
    previous_run: str | None = None


class Head(t.NamedTuple):
    """The newest record that the controller has copied."""

    run: str
    sha256: str
    at: str = ""


class Finding(t.NamedTuple):
    """What does not fit: the run, how (``changed``, ``removed``, …), what was seen, and the runs that share its fate."""

    run: str
    kind: str
    evidence: str
    others: tuple[str, ...] = ()


class Chain(t.NamedTuple):
    """What was found out.

    Attributes:
        findings: what does not fit, by the run.
        path: the links, newest first.
        cut: names of the links that no follower's hash proves: the newest, and the last before something that does not fit.
        after_head: links that are newer than the head.
    """

    findings: dict[str, Finding]
    path: list[File]
    cut: set[str]
    after_head: list[File]


def parse(name: str, data: bytes) -> File:
    """Read one file; what is no record is returned as what it is."""
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        return File(name, sha256, UNREADABLE, f"it is no JSON: {error}")
    try:
        return _record(name, sha256, said)
    except (KeyError, TypeError, ValueError) as error:
        return File(name, sha256, NO_RECORD, f"it is JSON and not a record: {_missed(error)}")


def _missed(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _record(name: str, sha256: str, said: t.Any) -> File:
    if not isinstance(said, dict):
        raise TypeError(f"it is a {type(said).__name__}, not an object")
    schema, run = said["schema"], said["run"]
    if not isinstance(schema, int) or not isinstance(run, str):
        raise TypeError("schema is no number, or run no text")
    if schema > LAST_SCHEMA:
        return File(name, sha256, UNREADABLE, f"it is of schema {schema}: newer than this collection, which must be updated", run)
    started = time_of(said["started"])
    if "previous" not in said and run.endswith(ALONE):
        return File(name, sha256, ATTEMPT, run=run, started=started, finished=started)
    finished = time_of(said["finished"])
    if schema < FIRST_SCHEMA:
        return File(name, sha256, BEFORE, run=run, started=started, finished=finished)
    previous, previous_run = said["previous"], said["previous_run"]
    if not all(one is None or isinstance(one, str) for one in (previous, previous_run)):
        raise TypeError("previous or previous_run is no text")
    return File(name, sha256, OK, "", run, started, finished, previous, previous_run)


def head_of(data: bytes) -> Head:
    """Read ``head.json``; a damaged one is a ``ValueError``."""
    try:
        said = json.loads(data)
        head = Head(said["run"], said["sha256"], said["at"])
    except (KeyError, TypeError, RecursionError):
        raise ValueError("it is no object with run, sha256 and at") from None
    if not all(isinstance(one, str) for one in head):
        raise ValueError("run, sha256 and at must be texts")
    return head


def look(files: Sequence[File], head: Head | None, signed: Mapping[str, str]) -> Chain:
    """Follow the chain from its newest link to its first one, and name all that does not fit.

    Args:
        files: every file of the host but the head.
        signed: what each file's signature is worth, by the file's name: a state of :mod:`_signature`.
    """
    return _Look(files, head, signed).done()


class _Look:
    """One walk along the links of a host: from the newest back, since each vouches for the one before it."""

    def __init__(self, files: Sequence[File], head: Head | None, signed: Mapping[str, str]) -> None:
        self.head, self.signed = head, signed
        self.named = {file.name: file for file in files}
        # Of two files with the same bytes the one counts whose name is its run's.
        links = [file for file in files if file.kind == OK]
        links.sort(key=lambda file: (file.name == file.run, file.finished, file.name))
        self.hashed = {file.sha256: file for file in links}
        self.followers: dict[str, list[File]] = {}
        for file in links:
            before = self.hashed.get(file.previous or "")
            if before:
                self.followers.setdefault(before.name, []).append(file)
        self.ends = sorted((file for file in links if file.name not in self.followers), key=_age)
        self.seen: set[str] = set()
        self.found = Chain({}, [], set(), [])

    def done(self) -> Chain:
        for file in self.named.values():
            if file.kind in (UNREADABLE, NO_RECORD):
                self._say(file.name, file.kind, file.why)
        self._walk()
        self._left_over()
        self._signatures()
        self._order()
        self._out_of_time()
        return self.found

    def _say(self, run: str, kind: str, evidence: str, others: Iterable[str] = ()) -> None:
        """Name what does not fit; each run has one fault, the first that is found."""
        self.found.findings.setdefault(run, Finding(run, kind, evidence, tuple(others)))

    def _walk(self) -> None:
        file, proven = self._newest(), False
        while file:
            self.seen.add(file.name)
            self.found.path.append(file)
            if not proven:
                self.found.cut.add(file.name)
            lies = self._lies(file, proven or self._is_head(file))
            before, proven = self._back(file, lies)
            if before is None and (lies or file.previous is not None):
                before = self._last_end(file)
            file = before

    def _newest(self) -> File | None:
        """Return the link to begin with: the one that the head names, or what follows that."""
        if not self.head:
            return self.ends[-1] if self.ends else None
        known = self.hashed.get(self.head.sha256)
        if known:
            return self._after(known)
        named = self.named.get(self.head.run)
        if named:
            self._say(named.name, CHANGED, f"its hash is not the one that {HEAD} carries")
        else:
            self._say(self.head.run, REMOVED, f"{HEAD} names it as the newest, and it is not here")
        return named if named and named.kind == OK else self.ends[-1] if self.ends else None

    def _after(self, known: File) -> File:
        while known.name in self.followers:
            known = max(self.followers[known.name], key=_age)
            self.found.after_head.append(known)
            if self.signed.get(known.name) != _signature.GOOD:
                self._say(known.name, INSERTED, f"it is newer than what {HEAD} names, and nobody who may has signed it")
        return known

    def _is_head(self, file: File) -> bool:
        return bool(self.head) and file.sha256 == t.cast("Head", self.head).sha256

    def _lies(self, file: File, vouched: bool) -> bool:
        """Whether what a link says of the one before it counts for nothing, because it was changed itself."""
        finding = self.found.findings.get(file.name)
        changed = finding is not None and finding.kind == CHANGED
        return changed or (not vouched and self.signed.get(file.name) == _signature.BAD)

    def _back(self, file: File, lies: bool) -> tuple[File | None, bool]:
        """Return the link before this one, and whether it is the very bytes that this one means."""
        if file.previous is None:
            return None, False
        before = self.hashed.get(file.previous)
        if before and before.name not in self.seen:
            return before, True
        named = self.named.get(file.previous_run or "")
        if named and named.name not in self.followers:
            self._accuse(named, file, lies)
        elif named is None and not lies:
            self._say(file.previous_run or f"before-{file.name}", REMOVED, f"{file.name} carries its hash, and it is not here")
        return (named, False) if named and named.kind == OK and named.name not in self.seen else (None, False)

    def _accuse(self, named: File, file: File, lies: bool) -> None:
        if not lies or self.signed.get(named.name) == _signature.BAD:
            self._say(named.name, CHANGED, f"its hash is not the one that {file.name} carries")
        elif self.signed.get(named.name) not in (_signature.GOOD, _signature.FITS):
            self._say(named.name, UNPROVEN, f"{file.name} carries another hash for it, and was changed itself")

    def _last_end(self, follower: File) -> File | None:
        """Return where the chain goes on behind a gap: the last end that is not newer."""
        return next((end for end in reversed(self.ends) if end.name not in self.seen and end.finished <= follower.finished), None)

    def _left_over(self) -> None:
        """Name the ends that are not on the way, each with those that lead to it and to nothing else."""
        path = {file.name for file in self.found.path}
        for end in reversed(self.ends):
            others: list[str] = []
            file: File | None = end
            while file and file.name not in self.seen:
                self.seen.add(file.name)
                others.append(file.name)
                file = self.hashed.get(file.previous or "")
            if others:
                self._say(end.name, INSERTED, self._why_left_over(others, file, path), others[1:])

    def _why_left_over(self, others: Sequence[str], before: File | None, path: Collection[str]) -> str:
        if len(others) > 1:
            return f"a chain of {len(others)} records, from {others[-1]} on, ends with it, and nothing points to it"
        if before and before.name in path:
            other = next((file.name for file in self.followers[before.name] if file.name in path), HEAD)
            return f"it follows {before.name}, as {other} does, and nothing points to it"
        return "nothing points to it"

    def _signatures(self) -> None:
        """Name what has a signature that does not fit; where the record is proven, it is the signature that was changed."""
        proven = {file.name for file in self.found.path} - self.found.cut
        for name in self.named:
            if self.signed.get(name) == _signature.BAD:
                whole = "; the record is what its follower carries, so the signature was changed"
                self._say(name, CHANGED, "its signature does not fit" + (whole if name in proven else ""))

    def _order(self) -> None:
        for file in self.found.path:
            if file.run != file.name:
                self._say(file.name, REORDERED, f"the file holds the run {file.run}: it was renamed")
            elif file.finished < file.started - _SLACK or not _begins_with_its_time(file):
                self._say(file.name, REORDERED, f"its id, its start ({file.started}) and its end ({file.finished}) do not agree")
        for newer, older in zip(self.found.path, self.found.path[1:]):
            if newer.finished < older.finished - _SLACK:
                said = f"it ended at {newer.finished}, and follows {older.name}, which ended at {older.finished}"
                self._say(newer.name, REORDERED, said)

    def _out_of_time(self) -> None:
        """A record of the time before there was a chain has no place after its first link."""
        first = min((file.finished for file in self.found.path), default=datetime.datetime.max)
        for file in self.named.values():
            if file.kind == BEFORE and file.started > first:
                self._say(file.name, INSERTED, "it is of schema 1, which proves nothing, and newer than the first link of the chain")


def _age(file: File) -> tuple[datetime.datetime, str]:
    return file.finished, file.name


def _begins_with_its_time(file: File) -> bool:
    """Whether a run's id begins with the time at which it started."""
    try:
        said = datetime.datetime.strptime(file.run.partition("-")[0], "%Y%m%dT%H%M%SZ")
    except ValueError:
        return False
    return abs(said - file.started) <= _SLACK
