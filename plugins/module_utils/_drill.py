# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore into scratch places, counted against the manifest and torn down: the proof that a backup restores.

Nothing that is started has a network, so a restored session can connect to nobody; production is not touched.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import _archive, _backup, _codec, _dotenv, _journal, _pg_counts, _pg_scratch, _sqlite, _store, _volumes
from ._backup_parts import Key
from ._check import FAIL, PASS, SKIP, WARN, Check, Outcome, Report, stopwatch, timed
from ._compose import Execute, explain
from ._errors import Unreachable
from ._pg_counts import Counts
from ._shelf import BUCKET, DATABASE, FILE, VOLUME, Backup, Part

_KEPT = 50  # drills that the history holds
_SHOWN = 5
_AGAIN = "Back up again, then drill again; until then older backups are the safer ones."


@dataclass(frozen=True)
class Plan:
    """What a drill needs besides the backup.

    Attributes:
        stored: directory of the backup.
        image: image with a Postgres server, by its name on the engine.
        keys: that must fit the volumes.
        env_name: name of the environment file among the backup's files.
        max_seconds: how long a restore may take; 0: as long as it wants.
    """

    stored: Path
    execute: Execute
    image: str = ""
    keys: Sequence[Key] = ()
    env_name: str = ".env"
    max_seconds: float = 0
    say: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Drilled:
    """One drill of the history: when, of which backup, how many seconds, and whether all of it was good."""

    at: str
    backup: str
    seconds: float
    good: bool


class History:
    """The drills of a host, newest last."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "drills.json"

    def read(self) -> list[Drilled]:
        return [Drilled(**row) for row in _store.read_json(self._path) or []]

    def add(self, drilled: Drilled) -> None:
        _store.write_json(self._path, [vars(one) for one in [*self.read(), drilled][-_KEPT:]])


def drill(backup: Backup, plan: Plan, history: History) -> Report:
    """Restore every part of a backup into a scratch place, compare it, and take the place away again."""
    leftovers = clear(plan.execute)
    checks: list[Check] = []
    with stopwatch() as seconds:
        for part in backup.parts:
            look = _LOOKS[part.kind]
            plan.say(f"restoring {part.label}")
            checks.append(timed(f"drill.{part.kind}.{part.name.lstrip('/')}", _title(part), (), partial(look, backup, part, plan)))
    took = seconds()
    good = all(check.status in (PASS, WARN, SKIP) for check in checks)
    before = history.read()
    history.add(Drilled(_journal.now(), backup.id, took, good))
    checks.append(timed("drill.seconds", "The restore is quick enough", (), lambda: judge_seconds(took, before, plan.max_seconds)))
    facts = {"backup": backup.id, "seconds_restored": took, "cleared": leftovers}
    return Report(checks, facts, changed=True, noted={"seconds_restored": took})


def judge_seconds(took: float, before: Sequence[Drilled], max_seconds: float) -> Outcome:
    """Judge the measured recovery time beside the earlier ones."""
    earlier = ", ".join(f"{one.seconds:.0f}" for one in before[-_SHOWN:] if one.good)
    said = f"{took:.1f} s" + (f" (before: {earlier})" if earlier else " (the first one)")
    if max_seconds and took > max_seconds:
        return Outcome(FAIL, f"{said}; {max_seconds:g} s at most are wanted", "Look which part takes the time.")
    return Outcome(PASS, said)


def clear(execute: Execute) -> list[str]:
    """Remove what a killed drill has left: containers and volumes with our label."""
    found = _pg_scratch.clear()
    rc, out, err = execute(["docker", "volume", "ls", "-q", "--filter", f"label={_pg_scratch.LABEL}"])
    if rc:
        raise explain("docker volume ls", err, "")
    for name in out.split():
        _remove(execute, name)
        found.append(name)
    return found


def _volume(backup: Backup, part: Part, plan: Plan) -> Outcome:
    codec, path = _codec.CODECS[part.codec], plan.stored / part.file
    wrong = _backup.whole(part, plan.stored)
    if wrong:
        return Outcome(FAIL, wrong, _AGAIN)
    with _scratch_volume(plan.execute, f"prosaas-drill-{backup.id}-{part.name}") as directory:
        _archive.extract(path, codec, directory)
        odd = _archive.differences(path, codec, directory)
        if odd:
            return Outcome(FAIL, f"restored, {part.name} differs from its archive: {odd[0]}", _AGAIN)
        databases = [found for found in sorted(directory.rglob("*")) if found.is_file() and _sqlite.is_database(found)]
        damaged = [f"{one.relative_to(directory)}: {why}" for one in databases if (why := _sqlite.problem(one))]
        if damaged:
            return Outcome(FAIL, f"SQLite finds databases of {part.name} damaged: {damaged[0]}", f"{_AGAIN} Policy: pause.")
        for key in plan.keys:
            if key.volume == part.name and not _fits(backup, key, directory, plan):
                said = f"{key.variable} of this backup is not the key that {part.name} was written with"
                return Outcome(FAIL, said, "Put the right key into .env, then back up again.")
    whole = f", {len(databases)} SQLite databases whole" if databases else ""
    return Outcome(PASS, f"{part.members} members restored, all equal{whole}")


def _database(backup: Backup, part: Part, plan: Plan) -> Outcome:
    if not plan.image:
        raise Unreachable("There is no image with a Postgres server to restore into", "Set drill_image, as in postgres:17.")
    codec = _codec.CODECS[part.codec]
    with _pg_scratch.scratch(plan.image, backup.id, part.about) as server:
        with _codec.reading(plan.stored / part.file, codec) as stream:
            notes = server.restore(t.cast("t.BinaryIO", stream))
            if not part.is_made_of(stream.sums()):
                return Outcome(FAIL, f"{part.file} is not what its manifest says", _AGAIN)
        said = "restored; its rows were not counted when it was made"
        if part.about.get("counts"):
            said = _pg_counts.equal(Counts.of(part.about["counts"]), server.counts(), _AGAIN)
        if notes:
            return Outcome(WARN, f"{said}; {'; '.join(notes)}", "Give drill_image an image that has them.")
        return Outcome(PASS, f"{said}, in Postgres {server.major}")


def _file(backup: Backup, part: Part, plan: Plan) -> Outcome:
    wrong = _backup.whole(part, plan.stored)
    return Outcome(FAIL, wrong, _AGAIN) if wrong else Outcome(PASS, f"{part.bytes} bytes, unchanged")


def _bucket(backup: Backup, part: Part, plan: Plan) -> Outcome:
    wrong = _backup.whole(part, plan.stored)
    return Outcome(FAIL, wrong, _AGAIN) if wrong else Outcome(PASS, f"the list of {part.members} objects is readable")


_LOOKS: dict[str, Callable[[Backup, Part, Plan], Outcome]] = {
    VOLUME: _volume,
    DATABASE: _database,
    FILE: _file,
    BUCKET: _bucket,
}


def _fits(backup: Backup, key: Key, directory: Path, plan: Plan) -> bool:
    """Whether the key of a restored volume is the one in the environment file of the same backup."""
    try:
        there = key.there(directory)
    except (OSError, ValueError, AttributeError):
        return True  # nothing there was written with a key
    part = backup.part(FILE, plan.env_name)
    values = _dotenv.values(plan.stored / part.file) if part else {}
    return not there or values.get(key.variable) == there


def _title(part: Part) -> str:
    return f"The {part.label} restores"


@contextmanager
def _scratch_volume(execute: Execute, name: str) -> Iterator[Path]:
    _volumes.make(name, {_pg_scratch.LABEL: "true"}, execute)
    try:
        yield _volumes.locate(name, {"volumes": {name: {"name": name}}}, execute)[1]
    finally:
        _remove(execute, name)


def _remove(execute: Execute, name: str) -> None:
    rc, _out, err = execute(["docker", "volume", "rm", name])
    if rc and "no such volume" not in err.lower():
        raise explain("docker volume rm", err, f"By hand: docker volume rm {name}")
