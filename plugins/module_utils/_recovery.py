# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a backup back to a host: checked before anything changes, undone as a whole, settled when it is proven.

What is under way is in ``recovery.json`` below the state directory, so that a run that was killed can be gone on with or
undone.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import shutil
import typing as t
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from . import _backup, _backup_judge, _engine, _journal, _store, _volumes
from ._calls import Calls
from ._check import FAIL, PASS, SKIP, Check, Outcome, Report, timed
from ._compose import Compose, Execute, Project, explain
from ._errors import OpsError
from ._recovery_parts import ORDER, PIECES, Piece, Place, VolumePiece
from ._shelf import DATABASE, FILE, VOLUME, Backup, Part, Shelf

_ALL = "*"


@dataclass
class Recovery:
    """A restore that is under way, or waits to be settled or undone.

    Attributes:
        id: of it.
        backup: that is brought back.
        told: the backup, as people read it.
        parts: the manifest's parts that are to be back, in order: the backup itself may be gone when they are let go of.
        back: labels of those that are (``volume n8n_data``).
        stopped: services that were stopped for it.
    """

    id: str
    backup: str
    began: str = ""
    told: dict[str, t.Any] = field(default_factory=dict)
    parts: list[dict[str, t.Any]] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """What is to be restored.

    Attributes:
        backup: id; the newest when empty.
        parts: patterns of ``kind:name``.
        overwrite: whether what is there may be replaced.
        stops: services that must not run meanwhile, besides those that mount a restored volume.
        calls: counts live calls; ``None`` where nobody asks.
        stop_timeout: seconds that a container gets to stop.
    """

    backup: str = ""
    parts: Sequence[str] = (_ALL,)
    overwrite: bool = False
    stops: Sequence[str] = ()
    calls: Callable[[], Calls] | None = None
    stop_timeout: int = 30


class Ledger:
    """The one restore of a host that is not settled yet, and what it has kept."""

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / "recovery"
        self._path = self.directory / "recovery.json"

    def read(self) -> Recovery | None:
        content = _store.read_json(self._path)
        return None if content is None else Recovery(**content)

    def write(self, recovery: Recovery) -> None:
        _store.write_json(self._path, asdict(recovery))

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def listed(shelf: Shelf) -> Report:
    """Say which backups there are, newest first; their content is not read."""
    backups, unreadable = shelf.backups()
    rows = [_told(backup) for backup in backups]
    said = "\n".join(row["told"] for row in rows) or f"There is no backup in {shelf.directory}."
    if unreadable:
        said += f"\nLeft out, their manifests cannot be read: {', '.join(unreadable)}"
    return Report(facts={"backups": rows, "msg": said})


def pick(shelf: Shelf, asked: Asked) -> tuple[Backup, list[Part]]:
    """Return the backup and the parts that are asked for; none of either is an error that lists what there is."""
    backups, _unreadable = shelf.backups()
    found = next((one for one in backups if asked.backup in ("", one.id)), None)
    if found is None:
        there = ", ".join(one.id for one in backups[:10]) or "none"
        raise OpsError(f"There is no backup {asked.backup} in {shelf.directory}.".replace("  ", " "), f"There are: {there}.")
    parts = [part for part in found.parts if any(fnmatch.fnmatchcase(_key(part), one) for one in asked.parts)]
    unmatched = [one for one in asked.parts if not any(fnmatch.fnmatchcase(_key(part), one) for part in found.parts)]
    if unmatched or not parts:
        held = ", ".join(_key(part) for part in found.parts)
        raise OpsError(f"{found.id} does not hold {', '.join(unmatched) or 'anything'}.", f"It holds: {held}.")
    return found, sorted(parts, key=lambda part: ORDER.index(part.kind))


def restore(asked: Asked, shelf: Shelf, place: Place, ledger: Ledger, dry: bool, say: Callable[[str], None]) -> Report:
    """Bring parts of a backup back; nothing is touched unless all of them are whole and may be replaced."""
    backup, parts = pick(shelf, asked)
    open_one = ledger.read()
    if open_one and open_one.backup != backup.id:
        raise OpsError(
            f"The restore of {open_one.backup} is neither settled nor undone.",
            "Undo it (restore_state=undone) or settle it (restore_state=settled) first.",
        )
    recovery = open_one or Recovery(_journal.stamp(), backup.id, _journal.now())
    place = replace(
        place,
        stored=shelf.path(backup.id),
        kept=ledger.directory,
        id=recovery.id,
        env_file=_env_file(place, shelf.path(backup.id), parts),
    )
    pieces = [PIECES[part.kind](part, place) for part in parts]
    checks = [_whole(piece, place, say) for piece in pieces]
    facts = {"backup": _told(backup), "restore": recovery.id, "stopped": []}
    if any(check.status == FAIL for check in checks):
        return Report([_untouched(check) for check in checks], facts)
    replaced = {piece.part.label: piece.there() for piece in pieces if piece.part.label not in recovery.back}
    facts["replaces"] = [what for what in replaced.values() if what]
    if facts["replaces"] and not asked.overwrite:
        raise OpsError(
            f"It would replace {'; '.join(facts['replaces'])}.",
            "What is there is kept until the new is proven. If that is meant: -e restore_overwrite=true",
            replaces=facts["replaces"],
        )
    if dry:
        return Report([_foretold(piece.part, replaced) for piece in pieces], facts, changed=True)
    # A second run may ask for other parts: those of the first are to be settled or undone all the same.
    asked_before = [one for one in recovery.parts if not any(Part(**one).label == piece.part.label for piece in pieces)]
    recovery.parts = sorted(
        [*asked_before, *(asdict(piece.part) for piece in pieces)], key=lambda one: ORDER.index(one["kind"])
    )
    recovery.told = _told(backup)
    return _put_all(asked, pieces, place, ledger, recovery, facts, say)


def _put_all(
    asked: Asked,
    pieces: Sequence[Piece],
    place: Place,
    ledger: Ledger,
    recovery: Recovery,
    facts: dict[str, t.Any],
    say: Callable[[str], None],
) -> Report:
    _refuse_live_calls(asked, pieces)
    ledger.write(recovery)
    checks: list[Check] = []
    stopped = False
    for number, piece in enumerate(pieces):
        if piece.part.kind in (VOLUME, DATABASE) and not stopped:  # the files are back by now
            recovery.stopped = sorted({*recovery.stopped, *_stop(asked, pieces, place, say)})
            stopped = True
            ledger.write(recovery)
        say(f"restoring {piece.part.label} ({number + 1} of {len(pieces)})")
        new = piece.part.label not in recovery.back
        check = timed(_id(piece.part), _title(piece.part), (), partial(_put, piece, asked.overwrite or not new))
        checks.append(check)
        if check.status != PASS:
            check.evidence += ". What was restored before stays, what was there is kept"
            check.remedy += " Go on with the same command, or undo it: -e restore_state=undone"
            checks += [_untouched(Check(_id(one.part), _title(one.part), SKIP)) for one in pieces[number + 1 :]]
            break
        if new:
            recovery.back.append(piece.part.label)
        ledger.write(recovery)
    facts["stopped"] = recovery.stopped
    return Report(checks, facts, changed=True, diff=_diff(recovery))


def _put(piece: Piece, overwrite: bool) -> Outcome:
    """Bring a part back. On a host without settings it is known only now what is there."""
    what = "" if overwrite else piece.there()
    if what:
        return Outcome(FAIL, f"It would replace {what}", "If that is meant: -e restore_overwrite=true")
    return Outcome(PASS, piece.put())


def undo(asked: Asked, shelf: Shelf, place: Place, ledger: Ledger, dry: bool, say: Callable[[str], None]) -> Report:
    """Put back all that was there before the restore, what uses it stopped."""
    return _finish(asked, shelf, place, ledger, dry, "undone", lambda piece: piece.undo(), say, reverse=True)


def settle(asked: Asked, shelf: Shelf, place: Place, ledger: Ledger, dry: bool, say: Callable[[str], None]) -> Report:
    """Let go of what was there before the restore: there is no way back after that."""
    return _finish(asked, shelf, place, ledger, dry, "settled", lambda piece: piece.settle(), say)


def _finish(
    asked: Asked,
    shelf: Shelf,
    place: Place,
    ledger: Ledger,
    dry: bool,
    how: str,
    do: Callable[[Piece], None],
    say: Callable[[str], None],
    reverse: bool = False,
) -> Report:
    recovery = ledger.read()
    if recovery is None:
        return Report(facts={"msg": "No restore waits to be settled or undone.", "stopped": []})
    place = replace(place, stored=shelf.path(recovery.backup), kept=ledger.directory, id=recovery.id)
    pieces = [PIECES[part.kind](part, place) for part in (Part(**one) for one in recovery.parts)]
    names = ", ".join(piece.part.label for piece in pieces)
    facts: dict[str, t.Any] = {"backup": recovery.told, "restore": recovery.id, "stopped": recovery.stopped}
    if dry:
        return Report(facts={**facts, "msg": f"{how}: {names}"}, changed=True)
    if reverse:
        facts["stopped"] = sorted({*facts["stopped"], *_stop(asked, pieces, place, say)})
    # Files last on the way back: they say where the databases are.
    for piece in reversed(pieces) if reverse else pieces:
        say(f"{piece.part.label}: {how}")
        do(piece)
    ledger.close()
    return Report(facts={**facts, "msg": f"The restore of {recovery.backup} is {how}: {names}."}, changed=True)


def _env_file(place: Place, stored: Path, parts: Sequence[Part]) -> Path:
    """Return the environment file that will be there: the databases are asked before it is."""
    for part in parts:
        if part.kind == FILE and place.project.directory / part.name == place.env_file:
            return stored / part.file
    return place.env_file


def _whole(piece: Piece, place: Place, say: Callable[[str], None]) -> Check:
    part = piece.part
    say(f"checking {part.label}")

    def look() -> Outcome:
        try:
            wrong = _backup.whole(part, place.stored, place.tools)
        except OpsError as error:
            wrong = error.problem
        if wrong:
            return Outcome(FAIL, wrong, "Take another backup: -e backup=ID (-e restore_state=listed names them).")
        return Outcome(PASS, f"{part.file}: {_backup_judge.size(part.bytes)}, as its manifest says")

    return timed(_id(part), _title(part), (), look)


def _refuse_live_calls(asked: Asked, pieces: Sequence[Piece]) -> None:
    if asked.calls is None or not any(piece.part.kind in (VOLUME, DATABASE) for piece in pieces):
        return
    calls = asked.calls()
    # An application that does not run has no calls to lose.
    if calls.known and calls.live:
        raise OpsError(
            f"Services would be stopped, but {calls.told}.", "Wait for their end, or restore with -e '{\"restore_calls\": {}}'"
        )


def _stop(asked: Asked, pieces: Sequence[Piece], place: Place, say: Callable[[str], None]) -> list[str]:
    """Stop what uses the parts; return the services that ran."""
    users: dict[str, str] = {}
    for piece in pieces:
        if isinstance(piece, VolumePiece):
            users.update(_volumes.running(place.execute, f"volume={piece.name()}"))
    if any(piece.part.kind == DATABASE for piece in pieces):
        running = _volumes.running(place.execute, f"label={_engine.PROJECT}={place.project.name}")
        users.update({one: service for one, service in running.items() if not asked.stops or service in asked.stops})
    services = sorted(set(users.values()))
    if users:
        say(f"stopping {', '.join(services)}")
        rc, _out, err = place.execute(["docker", "stop", "-t", str(asked.stop_timeout), *users])
        if rc:
            raise explain("docker stop", err, "")
    return services


def model_of(project: Project, execute: Execute) -> dict[str, t.Any]:
    """Return the Compose model; with no volumes and no services as long as its files or ``.env`` are not there."""
    if not all((project.directory / name).is_file() for name in (*project.files, ".env")):
        return {"services": {}, "volumes": {}}
    return Compose(project, execute).model()


def _key(part: Part) -> str:
    return f"{part.kind}:{part.name}"


def _id(part: Part) -> str:
    return f"restore.{part.kind}.{part.name}" if part.kind != "file" else f"restore.file.{part.name.lstrip('/')}"


def _title(part: Part) -> str:
    return f"The {part.label} is back"


def _untouched(check: Check) -> Check:
    if check.status in (PASS, SKIP):
        check.status, check.remedy = SKIP, ""
        check.evidence = (check.evidence + "; " if check.evidence else "") + "not touched"
    return check


def _foretold(part: Part, replaced: dict[str, str]) -> Check:
    what = replaced.get(part.label)
    said = f"would replace {what}" if what else "would be brought back"
    return Check(_id(part), _title(part), SKIP, said)


def _told(backup: Backup) -> dict[str, t.Any]:
    parts: list[dict[str, t.Any]] = [
        {"part": _key(part), "bytes": part.bytes, "members": part.members, "rows": sum(part.rows.values())}
        for part in backup.parts
    ]
    total = _backup_judge.size(sum(part.bytes for part in backup.parts))
    of = f" of release {backup.release['id']}" if backup.release.get("id") else ""
    held = ", ".join(one["part"] for one in parts)
    return {
        "id": backup.id,
        "host": backup.host,
        "release": backup.release,
        "parts": parts,
        "told": f"{backup.id} from {backup.host or 'an unknown host'}{of}, {total}: {held}",
    }


def _diff(recovery: Recovery) -> list[dict[str, str]]:
    after = "".join(f"{label} of {recovery.backup}\n" for label in recovery.back)
    return [{"before": "", "after": after, "before_header": "restored", "after_header": "restored"}]
