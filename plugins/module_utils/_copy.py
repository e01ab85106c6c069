# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of backups in other places: made, checked, let go, brought back.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from . import _restic
from ._backup_judge import size
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome, Report, stopwatch, timed
from ._codec import Codec
from ._copy_place import RESTIC, Copy, Place, to_forget
from ._errors import OpsError, Unreachable
from ._periods import Keep
from ._shelf import Backup, Shelf

_SLACK_HOURS = 0.25  # by which clocks differ
_GATES = ("private", "reached")
_COPIED = "The backup is in that place"
_NOT_YET = "Run it without --check."


@dataclass(frozen=True)
class Spot:
    """A place, and what is wanted of it.

    Attributes:
        percent: of its data that is read back by a check.
        init: whether a place that is not laid out yet is made ready.
        accepted: whether somebody has accepted that the copies there are not encrypted.
    """

    name: str
    place: Place
    keep: Keep = Keep()
    max_age_hours: float = 25
    percent: float = 5
    init: bool = False
    accepted: bool = False


class _Visit:
    """One place: its checks one after the other, and what is told of it. After one that did not pass no more is done."""

    def __init__(self, spot: Spot) -> None:
        self.spot, self.place = spot, spot.place
        self.checks: list[Check] = []
        self.changed = self.leftovers = False
        self.before: list[Copy] = []
        self.copies: list[Copy] = []
        self.facts: dict[str, t.Any] = {}

    def do(self, what: str, title: str, look: Callable[[], Outcome], after: Sequence[str] = ()) -> Check:
        """Look, unless a check before this one (of those named, or any) did not pass."""
        bad = [check.id for check in self.checks if check.status in (FAIL, UNKNOWN)]
        broken = next((one for one in bad if not after or one.rpartition(".")[2] in after), "")
        outcome = Outcome(SKIP, f"not looked at, since {broken} did not pass")
        check = timed(f"copy.{self.spot.name}.{what}", title, (), (lambda: outcome) if broken else look)
        self.checks.append(check)
        return check

    def reached(self, dry: bool = False, make: bool = False) -> None:
        def look() -> Outcome:
            try:
                said = self.place.reach()
            except _restic.Absent as error:
                if not (make and self.spot.init):
                    raise
                if dry:
                    return Outcome(UNKNOWN, f"{error.problem.rstrip('.')}; it would be made (check mode)", _NOT_YET)
                self.place.lay_out()
                self.changed = True
                said = f"made; {self.place.reach()}"
            self.before = self.copies = self.place.copies()
            return Outcome(PASS, f"{said}, {len(self.copies)} copies there")

        if self.place.kind != RESTIC:
            self.do("private", "Nobody else reads what is copied", self._private)
        self.do("reached", "The place for copies can be used", look)

    def _private(self) -> Outcome:
        if self.spot.accepted:
            return Outcome(PASS, "copies are not encrypted, and that is accepted (unencrypted: accepted)")
        return Outcome(
            FAIL,
            f"copies at {self.place.address} are not encrypted, and they hold .env and keys",
            "Use a place of the kind restic, or set unencrypted: accepted there if nobody else can read it.",
        )

    def locks(self, clear: bool) -> Outcome:
        return self.place.locks(clear) or Outcome(SKIP, "this kind of place has no locks")

    def told(self, seconds: float) -> dict[str, t.Any]:
        ids = [copy.id for copy in self.copies]
        known = {"place": self.spot.name, "kind": self.place.kind, "newest": ids[0] if ids else "", "backups": ids}
        return {**known, "seconds": seconds, **self.facts}

    def diff(self) -> dict[str, str]:
        header = f"copies at {self.place.address}"
        texts = ("".join(f"{copy.id}\n" for copy in copies) for copies in (self.before, self.copies))
        return {**dict(zip(("before", "after"), texts)), "before_header": header, "after_header": header}


def present(shelf: Shelf, spots: Iterable[Spot], backup_id: str, dry: bool) -> Report:
    """Copy a backup, the newest one without an id, to every place; let go of older copies once all is whole there."""
    if dry and not backup_id and not shelf.backups()[0]:  # a real run makes the first one just before
        said = Outcome(SKIP, "the backup that is made first would be copied")
        return Report([Check(f"copy.{spot.name}.copied", _COPIED, *said) for spot in spots], {"copies": []}, changed=True)
    backup = _here(shelf, backup_id)
    report = Report(facts={"copies": []})
    for spot in spots:
        with stopwatch() as seconds:
            visit = _Visit(spot)
            visit.facts.update(backup=backup.id, sent=[], reused=[], bytes_added=0, pruned=[])
            visit.reached(dry, make=True)
            _foretell(visit, backup) if dry else _copy(visit, shelf, backup)
        _add(report, visit, visit.told(seconds()))
    return report


def checked(spots: Iterable[Spot]) -> Report:
    """Judge what is in every place: its newest copy, whether all is whole, and whether locks are left."""
    report = Report(facts={"copies": []})
    for spot in spots:
        with stopwatch() as seconds:
            visit = _Visit(spot)
            visit.reached()
            visit.do("newest", "The newest copy is recent", partial(_age, visit), _GATES)
            visit.do("whole", "The copies are whole", partial(_whole, visit), _GATES)
            visit.do("lock", "No lock is left", partial(visit.locks, False), _GATES)
        _add(report, visit, visit.told(seconds()))
    return report


def listed(spots: Iterable[Spot]) -> Report:
    """Tell which copies there are."""
    report = Report(facts={"copies": []})
    for spot in spots:
        with stopwatch() as seconds:
            visit = _Visit(spot)
            visit.reached()
        _add(report, visit, visit.told(seconds()))
    return report


def fetched(shelf: Shelf, spots: Iterable[Spot], backup_id: str, codec: Codec, dry: bool) -> Report:
    """Bring a backup, the newest copy without an id, back to this host. One place that has it is enough."""
    if backup_id and backup_id in [one.id for one in shelf.backups()[0]]:
        there = Outcome(PASS, f"{backup_id} is in {shelf.directory} already")
        checks = [timed("copy.fetched", "The backup is on this host", (), lambda: there)]
        return Report(checks, _brought(shelf, backup_id, ""))
    visits = [_Visit(spot) for spot in spots]
    for visit in visits:
        visit.reached()
    wanted = backup_id or max((copy.id for visit in visits for copy in visit.copies), default="")
    source = next((visit for visit in visits if wanted in [copy.id for copy in visit.copies]), None)
    checks = [check for visit in visits for check in visit.checks]
    if source is None:
        checks.append(timed("copy.fetched", "The backup is on this host", (), lambda: _nowhere(visits, wanted)))
        return Report(checks, _brought(shelf, "", ""))
    for check in checks:
        if check.status in (FAIL, UNKNOWN):  # what another place has is good enough
            check.status, check.evidence = WARN, f"{check.evidence}; fetched from {source.spot.name}"
    already = wanted in [one.id for one in shelf.backups()[0]]
    look = _would_fetch if dry and not already else _fetch
    checks.append(timed("copy.fetched", "The backup is on this host", (), lambda: look(shelf, source, wanted, codec)))
    good = checks[-1].status == PASS or dry
    facts = _brought(shelf, wanted if good else "", source.spot.name)
    return Report(checks, facts, changed=good and not already)


def _here(shelf: Shelf, backup_id: str) -> Backup:
    found, _unreadable = shelf.backups()
    backup = next((one for one in found if backup_id in ("", one.id)), None)
    if backup is None:
        what = f"no backup {backup_id}" if backup_id else "no backup"
        raise OpsError(
            f"There is {what} in {shelf.directory} to copy.", "Make one: ansible-playbook prosaas.ops.backup"
        )
    return backup


def _copy(visit: _Visit, shelf: Shelf, backup: Backup) -> None:
    lock = visit.do("lock", "No lock is left", lambda: visit.locks(True))
    copied = visit.do("copied", _COPIED, lambda: _put(visit, shelf, backup))
    gone = to_forget(visit.copies, visit.spot.keep)
    tidy = copied.status == PASS and not gone and not visit.changed and not visit.leftovers
    unchanged = Outcome(SKIP, "nothing was copied, and nothing is to be let go of")
    visit.do("whole", "The copies are whole", lambda: unchanged if tidy else _whole(visit))
    visit.do("pruned", "Older copies are let go of", lambda: unchanged if tidy else _prune(visit, gone))
    if lock.status in (PASS, WARN) and not tidy and not any(check.status == UNKNOWN for check in visit.checks):
        visit.checks.remove(lock)  # what this run has left counts
        visit.checks.append(timed(lock.id, lock.title, (), lambda: visit.locks(True)))


def _put(visit: _Visit, shelf: Shelf, backup: Backup) -> Outcome:
    if backup.id in [copy.id for copy in visit.copies]:
        visit.leftovers = visit.place.leftovers()
        return Outcome(PASS, f"{backup.id} was there already")
    visit.changed = True
    sent = visit.place.put(shelf.path(backup.id), backup)
    visit.copies = visit.place.copies()
    if backup.id not in [copy.id for copy in visit.copies]:
        raise OpsError(f"{backup.id} was sent to {visit.place.address} and is not there.", "Run this again.")
    visit.facts.update(sent=sent.sent, reused=sent.reused, bytes_added=sent.bytes)
    unchanged = f", {len(sent.reused)} unchanged since an earlier copy" if sent.reused else ""
    return Outcome(PASS, f"{backup.id}: {len(sent.sent)} parts sent{unchanged}, {size(sent.bytes)} added")


def _whole(visit: _Visit) -> Outcome:
    if not visit.copies:
        return Outcome(FAIL, "there is no copy to check", "Copy a backup first.")
    return Outcome(PASS, visit.place.whole(visit.copies[0].id, visit.spot.percent))


def _prune(visit: _Visit, gone: Sequence[str]) -> Outcome:
    try:
        visit.place.remove(gone)
    except _restic.Locked as error:
        return Outcome(WARN, f"older copies stay for now: {error.problem}", error.remedy)
    visit.copies = [copy for copy in visit.copies if copy.id not in gone]
    visit.facts["pruned"] = list(gone)
    visit.changed = True
    return Outcome(PASS, f"{len(visit.copies)} kept" + (f", let go of {', '.join(gone)}" if gone else ""))


def _foretell(visit: _Visit, backup: Backup) -> None:
    def look() -> Outcome:
        if backup.id in [copy.id for copy in visit.copies]:
            return Outcome(PASS, f"{backup.id} is there")
        visit.copies = [Copy(backup.id, backup.consistent()), *visit.copies]
        visit.changed = True
        return Outcome(UNKNOWN, f"{backup.id} would be copied (check mode)", _NOT_YET)

    if visit.checks[-1].status in (PASS, UNKNOWN):
        visit.checks.append(timed(f"copy.{visit.spot.name}.copied", _COPIED, (), look))
    gone = to_forget(visit.copies, visit.spot.keep)
    visit.copies = [copy for copy in visit.copies if copy.id not in gone]
    visit.facts["pruned"] = gone
    visit.changed = visit.changed or bool(gone)


def _age(visit: _Visit) -> Outcome:
    again = "Run the backup playbook, and look why the last run did not copy."
    if not visit.copies:
        return Outcome(FAIL, "there is no copy", again)
    newest, limit = visit.copies[0], visit.spot.max_age_hours
    hours = (datetime.datetime.now(datetime.timezone.utc) - newest.time()).total_seconds() / 3600
    if hours < -_SLACK_HOURS:
        return Outcome(
            UNKNOWN, f"{newest.id} is {-hours:.1f} h ahead of this host's clock", "Set the clock of this host."
        )
    said = f"{newest.id}, {hours:.1f} h ago"
    return Outcome(PASS, said) if hours <= limit else Outcome(FAIL, f"{said}; {limit:g} h at most are wanted", again)


def _would_fetch(shelf: Shelf, visit: _Visit, backup_id: str, codec: Codec) -> Outcome:
    said = f"{backup_id} would be fetched from {visit.spot.name} to {shelf.directory}, compressed with {codec.name}"
    return Outcome(UNKNOWN, f"{said} (check mode)", _NOT_YET)


def _fetch(shelf: Shelf, visit: _Visit, backup_id: str, codec: Codec) -> Outcome:
    with shelf.locked(), stopwatch() as seconds:
        if backup_id in [one.id for one in shelf.backups()[0]]:
            return Outcome(PASS, f"{backup_id} is in {shelf.directory} already")
        for left in shelf.leftovers():
            if backup_id in left.name:  # of a fetch that was killed; a backup being made has a new id
                shelf.discard(left)
        with shelf.draft(backup_id) as (_id, draft):
            backup = visit.place.fetch(backup_id, draft, codec)
            shelf.publish(draft, backup)
    total = sum(part.bytes for part in backup.parts)
    told = f"{len(backup.parts)} parts, {size(total)}, each as its manifest says"
    return Outcome(PASS, f"{backup_id} from {visit.spot.name} in {seconds():.1f} s: {told}")


def _nowhere(visits: Sequence[_Visit], wanted: str) -> Outcome:
    away = [check for visit in visits for check in visit.checks if check.status in (FAIL, UNKNOWN)]
    what = f"no copy of {wanted}" if wanted else "no copy"
    if away:
        raise Unreachable(f"there is {what} in the places that could be asked", f"See {away[0].id}.")
    return Outcome(
        FAIL, f"there is {what} in {', '.join(visit.spot.name for visit in visits) or 'any place'}", "state: listed"
    )


def _brought(shelf: Shelf, backup_id: str, place: str) -> dict[str, t.Any]:
    return {"backup": backup_id, "place": place, "path": str(shelf.path(backup_id)) if backup_id else ""}


def _add(report: Report, visit: _Visit, told: dict[str, t.Any]) -> None:
    report.checks += visit.checks
    report.facts["copies"].append(told)
    report.changed = report.changed or visit.changed
    if visit.before != visit.copies:
        report.diff.append(visit.diff())
