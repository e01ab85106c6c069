# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Troubles from one look to the next: which are new, which go on, which are over. Nothing here looks at anything.

A trouble is a check that is not well, or a kind of log lines that counts. What could not be known is a trouble of its own,
and ends none: only a look that knows better does.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from ._check import FAIL, UNKNOWN, WARN, standing
from ._journal import time_of

Row = Mapping[str, t.Any]
KNOWN_KINDS = 500  # kinds of log lines that are remembered; those that were not seen for longest go first
_SEE = re.compile(r"See ([\w.-]*\w)")
_SHOWN = 300  # characters of evidence
_NEW = "new: "  # before what a kind says that was never seen
_OF_MODULES = ("run.", "runtime.")  # checks that are there only as long as a module cannot do its work


@dataclass(frozen=True)
class Trouble:
    """Something that is not well.

    Attributes:
        id: of the check; for a kind of log lines with its fingerprint behind, for what is not known with ``unknown``.
        said: what was seen when it was new.
        since: when it was first seen, UTC, to the second.
        told: whether people were told that it began.
        gone: since when it is not seen any more; empty as long as it is.
        over: whether it counts as over, and only waits for people to be told so.
    """

    id: str
    check: str
    status: str
    said: str
    remedy: str = ""
    since: str = ""
    told: bool = False
    gone: str = ""
    over: bool = False


@dataclass(frozen=True)
class Look:
    """What one look comes to.

    Attributes:
        new: troubles that nobody was told of so far.
        over: troubles that are over, and nobody was told so. Some may have come and gone without a word.
        still: the others, which go on.
    """

    new: Sequence[Trouble]
    over: Sequence[Trouble]
    still: Sequence[Trouble]

    @property
    def troubles(self) -> list[Trouble]:
        return [*self.new, *self.still]

    @property
    def kept(self) -> list[Trouble]:
        """What the next look has to know of."""
        return [*self.troubles, *self.over]


def fingerprint(check: str, kind: str) -> str:
    """Return 12 hex digits that are the same for all lines of a kind."""
    return hashlib.sha256(f"{check}\n{kind}".encode("utf-8", "replace")).hexdigest()[:12]


def found(
    rows: Sequence[dict[str, t.Any]], kinds: Iterable[Row], known: Mapping[str, Row], minutes: float
) -> list[Trouble]:
    """Return what is not well now.

    Args:
        rows: the checks, judged: what is waived or advisory is none.
        kinds: kinds of log lines that count. They stand for the checks that they count against.
        known: kinds that were seen before, by their fingerprint.
        minutes: how far back the logs were looked at.
    """
    bad = {row["id"]: row for status in (FAIL, UNKNOWN, WARN) for row in standing(rows, status)}
    troubles: dict[str, Trouble] = {}
    for kind in kinds:
        check = kind["check"]
        if check in bad:
            mark = fingerprint(check, kind["kind"])
            said = f"{_acquaintance(known.get(mark))}{kind['kind']} ({kind['count']} in {minutes:.3g} min)"
            troubles[f"{check} {mark}"] = Trouble(f"{check} {mark}", check, kind["status"], said, bad[check]["remedy"])
    told = {one.check for one in troubles.values()}
    for check, row in bad.items():
        if check not in told and not _of_another(row, bad):
            unknown = row["status"] == UNKNOWN
            said = row["evidence"].partition("\n")[0][:_SHOWN]
            said = f"cannot be known: {said}" if unknown else said
            id_ = f"{check} unknown" if unknown else check
            troubles[id_] = Trouble(id_, check, row["status"], said, row["remedy"])
    return list(troubles.values())


def _of_another(row: Row, bad: t.Collection[str]) -> bool:
    """Whether something is unknown only because of another trouble, which is told: its remedy is to see that one."""
    see = _SEE.match(row["remedy"])
    return row["status"] == UNKNOWN and see is not None and see[1] in bad


def _acquaintance(before: Row | None) -> str:
    if before is None:
        return _NEW
    return f"known since {before['first'][:10]}, this is time {before['times'] + 1}: "


def compare(
    before: Sequence[Trouble],
    now: Sequence[Trouble],
    rows: Sequence[Row],
    at: str,
    calm_minutes: float,
    held: bool = False,
) -> Look:
    """Tell what is new, what goes on and what is over.

    Args:
        before: the troubles of the look before.
        now: what is not well now, as :func:`found` has it.
        rows: all checks of this look.
        at: when it is.
        calm_minutes: for how long a trouble must not be seen before it is over, so that one that comes and goes is one.
        held: whether somebody changes the host now. A trouble that begins meanwhile is seen again at the next look.
    """
    seen = {one.id: one for one in now}
    looked = _Looked(rows)
    new: list[Trouble] = []
    over: list[Trouble] = []
    still: list[Trouble] = []
    for was in before:
        if was.id in seen:
            # What is back before anybody was told that it was over has never been away.
            one = replace(was, gone="", over=False, status=seen[was.id].status)
        elif was.over or not looked.better(was):
            one = was
        else:
            gone = was.gone or at
            one = replace(was, gone=gone, over=_minutes(gone, at) >= calm_minutes)
        (over if one.over else still if one.told else new).append(one)
    known = {one.id for one in before}
    if not held:
        new += [replace(one, since=at) for one in now if one.id not in known]
    return Look(new, over, still)


class _Looked:
    """What the checks of a look know."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._status = {row["id"]: row["status"] for row in rows}
        self._subjects = {_subject(row["id"]) for row in rows if row["status"] != UNKNOWN}

    def better(self, was: Trouble) -> bool:
        """Whether a trouble that is not seen is known to be away: its check is known, or is no check any more."""
        status = self._status.get(was.check)
        if status is not None:
            return status != UNKNOWN
        return _subject(was.check) in self._subjects or was.check.startswith(_OF_MODULES)


def _subject(check: str) -> str:
    """Return what a check is about: when that could be looked at, a check that is missing is none any more."""
    return check.partition(".")[0]


def _minutes(since: str, until: str) -> float:
    return (time_of(until) - time_of(since)).total_seconds() / 60


def told(troubles: Sequence[Trouble], ids: Iterable[str]) -> list[Trouble]:
    """Return the troubles after people were told of some: those that are over are forgotten then."""
    done = set(ids)
    return [replace(one, told=one.told or one.id in done) for one in troubles if not (one.over and one.id in done)]


def acquainted(known: Mapping[str, Row], kinds: Iterable[Row], begun: Iterable[str], day: str) -> dict[str, Row]:
    """Return the kinds of log lines that are known after a look; ``begun`` are the ids of the troubles that began."""
    begun = set(begun)
    after = dict(known)
    for kind in kinds:
        mark = fingerprint(kind["check"], kind["kind"])
        if f"{kind['check']} {mark}" in begun:
            first, times = (known[mark]["first"], known[mark]["times"]) if mark in known else (day, 0)
            after.pop(mark, None)  # so that the newest stand last
            after[mark] = {"check": kind["check"], "kind": kind["kind"], "first": first, "times": times + 1}
    return dict(list(after.items())[-KNOWN_KINDS:])


def said(look: Look, at: str) -> list[str]:
    """Return a line for each trouble that people are to be told of."""
    begun = [f"{one.status:<8} {_named(one)}{f' -> {one.remedy}' if one.remedy else ''}" for one in look.new]
    ended = [replace(one, said=one.said.removeprefix(_NEW)) for one in look.over]
    return begun + [f"over     {_named(one)}; it lasted {_span(one.since, one.gone or at)}" for one in ended]


def _named(one: Trouble) -> str:
    return f"{one.check}: {one.said.rstrip('.')}"


def _span(since: str, until: str) -> str:
    minutes = _minutes(since, until)
    for size, unit in ((1440, "d"), (60, "h")):
        if minutes >= 2 * size:
            return f"{minutes / size:.0f} {unit}"
    return f"{minutes:.0f} min"


def summary(look: Look) -> str:
    """Return what whoever reads the run is told: all that goes on, the new first, a line each."""
    going = look.troubles
    if not going:
        return f"All is well{f', {_count(len(look.over))} over' if look.over else ''}."
    head = f"{_count(len(going))}{f', {len(look.new)} new' if look.new else ''}."
    return "\n".join([head, *map(_at_length, going)])


def _at_length(one: Trouble) -> str:
    when = f"since {one.since}" + (f", not seen since {one.gone}" if one.gone else "")
    return f"{one.status:<8} {_named(one)} ({when})" + (f" -> {one.remedy.rstrip('.')}" if one.remedy else "")


def _count(number: int) -> str:
    return f"{number} {'trouble' if number == 1 else 'troubles'}"


def read(content: Sequence[Mapping[str, t.Any]]) -> list[Trouble]:
    """Read the troubles as they were kept; a newer version may have kept more of them."""
    names = Trouble.__dataclass_fields__
    return [Trouble(**{key: value for key, value in one.items() if key in names}) for one in content]


def kept(troubles: Iterable[Trouble]) -> list[dict[str, t.Any]]:
    return [asdict(one) for one in troubles]
