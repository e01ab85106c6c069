# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backing up a project's volumes and files, and judging what was backed up.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import signal
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

from . import _archive, _journal, _store, _volumes
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome, Report, stopwatch, timed
from ._compose import Compose, Execute, Project, explain
from ._errors import OpsError
from ._shelf import FILE, VOLUME, Backup, Part, Shelf, new_id, to_prune

LIVE, STOPPED = "live", "stopped"
_AGAIN = "Run the backup playbook."
_STOPPED_NOTE = "stopped.json"  # in a draft: the containers to start again, should this process be killed


@dataclass(frozen=True)
class Volume:
    """A volume by its name in the Compose model, and the services to stop for a copy of one moment."""

    name: str
    required: bool = False
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What a backup must hold, how it is taken, and what is expected of it."""

    project: Project
    volumes: tuple[Volume, ...] = ()
    files: tuple[str, ...] = ()
    consistency: str = LIVE
    stop_timeout: int = 30
    keep: int = 7
    max_age_hours: float = 25
    max_drop_percent: int = 20


def make(wanted: Wanted, shelf: Shelf, execute: Execute, run: str) -> Report:
    """Make one backup, judge it, and let go of the oldest ones. A backup that lacks something is not kept."""
    model = Compose(wanted.project, execute).model()
    engine = _engine_check(execute)
    if _bad([engine]):
        return Report([engine], _facts(shelf, None))
    with _signals_raise(), shelf.locked():
        for leftover in shelf.leftovers():
            _volumes.start(execute, _store.read_json(leftover / _STOPPED_NOTE) or [])
            shelf.discard(leftover)
        before, _unreadable = shelf.backups()
        with shelf.draft() as (backup_id, draft):
            made = Backup(backup_id, wanted.project.name, run, _journal.now(), consistency=wanted.consistency)
            checks = _check_all(
                wanted,
                lambda volume: _if_there(volume, model, execute, partial(_take, wanted, execute, draft, made, volume)),
                lambda: _copy_files(wanted, draft, made),
            )
            if _bad(checks):
                return Report([_not_kept(check) for check in checks], _facts(shelf, None, (), made.downtime))
            made.ended = _journal.now()
            shelf.publish(draft, made)
        checks.append(_size_check(made, before, wanted))
        # The older ones may be all that is left of what is missing now.
        shrunk = checks[-1].status == WARN
        pruned = [] if shrunk else [old.id for old in to_prune([made, *before], wanted.keep)]
        for old in pruned:
            shelf.remove(old)
    facts = _facts(shelf, made, pruned, made.downtime)
    return Report(checks, facts, changed=True, diff=_diff(shelf, before, made.id, pruned))


def foretell(wanted: Wanted, shelf: Shelf, execute: Execute) -> Report:
    """Say what :func:`make` would do, and do nothing."""
    model = Compose(wanted.project, execute).model()
    engine = _engine_check(execute)
    if _bad([engine]):
        return Report([engine], _facts(shelf, None))

    def files() -> Outcome:
        _read_files(wanted)
        return Outcome(SKIP, f"would be copied: {', '.join(wanted.files)}")

    def from_there(_name: str, directory: Path) -> Outcome:
        return Outcome(SKIP, f"would be packed from {directory}")

    checks = _check_all(wanted, lambda volume: _if_there(volume, model, execute, from_there), files)
    if _bad(checks):
        return Report(checks, _facts(shelf, None))
    before, _unreadable = shelf.backups()
    coming = Backup(new_id(), wanted.project.name)
    pruned = [old.id for old in to_prune([coming, *before], wanted.keep)]
    return Report(checks, _facts(shelf, None, pruned), changed=True, diff=_diff(shelf, before, coming.id, pruned))


def judge(wanted: Wanted, shelf: Shelf) -> Report:
    """Say how good the newest backup is, by reading it to its end."""
    backups, unreadable = shelf.backups()
    newest = backups[0] if backups else None
    now = datetime.datetime.now(datetime.timezone.utc)
    age = timed("backup.newest", "The newest backup is recent", (), lambda: judge_age(newest, now, wanted, unreadable))
    if newest is None:
        missing = Outcome(FAIL, "no backup holds it", _AGAIN)
        return Report([age, *_check_all(wanted, lambda _volume: missing, lambda: missing)], _facts(shelf, None))
    directory = shelf.path(newest.id)
    checks = _check_all(
        wanted,
        lambda volume: _stored_volume(newest, directory, volume),
        lambda: _stored_files(newest, directory, wanted.files),
    )
    return Report([age, *checks, _size_check(newest, backups[1:], wanted)], _facts(shelf, newest))


def judge_part(part: Part, required: bool) -> Outcome:
    """Judge one archive by what is written down about it."""
    if part.members <= 1:
        look = f"Look into the volume: ls -la $(docker volume inspect -f '{{{{.Mountpoint}}}}' {part.source})"
        return Outcome(FAIL if required else WARN, f"{part.file}: the volume is empty", look)
    said = f"{part.file}: {size(part.bytes)}, {part.members} members"
    if part.changed:
        return Outcome(
            WARN,
            f"{said}; {len(part.changed)} of them changed while they were read (manifest.json names them)",
            f"Back up at a quieter time, or with the services stopped (consistency: {STOPPED}).",
        )
    return Outcome(PASS, f"{said}, readable to its end")


def judge_age(newest: Backup | None, now: datetime.datetime, wanted: Wanted, unreadable: Sequence[str] = ()) -> Outcome:
    """Judge when the newest backup was begun."""
    beside = f"; left out, their manifests cannot be read: {', '.join(unreadable)}" if unreadable else ""
    if newest is None:
        return Outcome(FAIL, f"there is none{beside}", _AGAIN)
    hours = (now - newest.time()).total_seconds() / 3600
    said = f"{newest.id}, {hours:.1f} h ago{beside}"
    if hours > wanted.max_age_hours:
        return Outcome(FAIL, f"{said}; {wanted.max_age_hours:g} h at most are wanted", _AGAIN)
    if unreadable:
        return Outcome(WARN, said, "Look at those directories, then remove them.")
    return Outcome(PASS, said)


def judge_size(newest: Backup, previous: Backup, max_drop_percent: int) -> Outcome:
    """Judge whether an archive is strikingly smaller than the one before."""
    pairs = []
    for part in newest.parts:
        old = previous.part(VOLUME, part.name)
        if part.kind == VOLUME and old is not None:
            pairs.append((part, old))
    said = ", ".join(f"{part.name} {size(part.bytes)} (before: {size(old.bytes)})" for part, old in pairs)
    if any(part.bytes * 100 < old.bytes * (100 - max_drop_percent) for part, old in pairs):
        remedy = f"Look for what is missing: compare the output of tar -tzf for {previous.id} and {newest.id}."
        return Outcome(WARN, said, remedy)
    return Outcome(PASS, said) if pairs else Outcome(SKIP, f"{previous.id} holds none of these volumes")


def size(number: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _engine_check(execute: Execute) -> Check:
    """Ask once, so that an engine that is away is one sentence and not one for each volume."""

    def look() -> Outcome:
        rc, out, err = execute(["docker", "version", "--format", "{{.Server.Version}}"])
        if rc:
            raise explain("docker version", err, "")
        return Outcome(PASS, out.strip())

    return timed("backup.engine", "The Docker engine answers", (), look)


def _check_all(wanted: Wanted, volume: Callable[[Volume], Outcome], files: Callable[[], Outcome]) -> list[Check]:
    checks = [
        timed(f"backup.volume.{each.name}", f"The volume {each.name} is backed up", (), partial(volume, each))
        for each in wanted.volumes
    ]
    if wanted.files:
        checks.append(timed("backup.files", "The files beside the volumes are backed up", (), files))
    return checks


def _size_check(newest: Backup, earlier: Sequence[Backup], wanted: Wanted) -> Check:
    def look() -> Outcome:
        if not earlier:
            return Outcome(SKIP, "no earlier backup to compare with")
        return judge_size(newest, earlier[0], wanted.max_drop_percent)

    return timed("backup.size", "No archive is strikingly smaller than before", (), look)


def _bad(checks: Sequence[Check]) -> bool:
    return any(check.status in (FAIL, UNKNOWN) for check in checks)


def _not_kept(check: Check) -> Check:
    if check.status in (PASS, WARN):
        check.status, check.remedy = SKIP, ""
        check.evidence += "; not kept, since the backup is not complete"
    return check


def _if_there(
    volume: Volume, model: Mapping[str, t.Any], execute: Execute, act: Callable[[str, Path], Outcome]
) -> Outcome:
    try:
        name, directory = _volumes.locate(volume.name, model, execute)
    except _volumes.Absent as error:
        if volume.required:
            raise
        return Outcome(SKIP, error.problem)
    return act(name, directory)


def _take(
    wanted: Wanted, execute: Execute, draft: Path, made: Backup, volume: Volume, name: str, directory: Path
) -> Outcome:
    services = volume.stop if wanted.consistency == STOPPED else ()
    note = draft / _STOPPED_NOTE
    with stopwatch() as seconds:
        with _volumes.stopped(execute, made.project, services, wanted.stop_timeout, note, made.downtime):
            packed = _archive.pack(directory, draft / f"{volume.name}_{made.id}.tar.gz")
        content = _archive.publish(packed)
        part = Part(
            kind=VOLUME,
            name=volume.name,
            source=name,
            file=packed.target.name,
            bytes=content.bytes,
            sha256=content.sha256,
            members=content.members,
            seconds=seconds(),
            changed=packed.changed,
        )
    made.parts.append(part)
    outcome = judge_part(part, volume.required)
    pauses = [f"; {name} was stopped for {made.downtime[name]:.1f} s" for name in services if name in made.downtime]
    return outcome._replace(evidence="".join([outcome.evidence, *pauses]))


def _copy_files(wanted: Wanted, draft: Path, made: Backup) -> Outcome:
    for name, (content, status) in _read_files(wanted).items():
        kept = PurePath("files", name.lstrip("/"))
        with stopwatch() as seconds:
            _store.write_whole(draft / kept, content)
            part = Part(
                kind=FILE,
                name=name,
                source=str(wanted.project.directory / name),
                file=str(kept),
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                seconds=seconds(),
                mode=f"{status.st_mode & 0o7777:04o}",
                owner=f"{status.st_uid}:{status.st_gid}",
            )
        made.parts.append(part)
    return Outcome(PASS, f"copied: {', '.join(wanted.files)}")


def _read_files(wanted: Wanted) -> dict[str, tuple[bytes, os.stat_result]]:
    read, problems = {}, []
    for name in wanted.files:
        path = wanted.project.directory / name
        if ".." in PurePath(name).parts:
            problems.append(f"{name} leads out of its directory")
            continue
        try:
            read[name] = path.read_bytes(), path.stat()
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
    if problems:
        raise OpsError("; ".join(problems), "Put the file there, or take it out of the list of files.")
    return read


def _stored_volume(backup: Backup, directory: Path, volume: Volume) -> Outcome:
    part = backup.part(VOLUME, volume.name)
    if part is None:
        said = f"{backup.id} does not hold it"
        return Outcome(FAIL, said, _AGAIN) if volume.required else Outcome(SKIP, said)
    if _archive.read_back(directory / part.file) != (part.bytes, part.sha256, part.members):
        return Outcome(FAIL, f"{directory / part.file} is not what its manifest says", _AGAIN)
    return judge_part(part, volume.required)


def _stored_files(backup: Backup, directory: Path, files: Sequence[str]) -> Outcome:
    problems = []
    for name in files:
        part = backup.part(FILE, name)
        try:
            whole = part and hashlib.sha256((directory / part.file).read_bytes()).hexdigest() == part.sha256
        except OSError:
            whole = False
        if not whole:
            problems.append(name)
    if problems:
        return Outcome(FAIL, f"{backup.id} does not hold, or not unchanged: {', '.join(problems)}", _AGAIN)
    return Outcome(PASS, f"whole in {backup.id}: {', '.join(files)}")


def _facts(
    shelf: Shelf, backup: Backup | None, pruned: Sequence[str] = (), downtime: Mapping[str, float] | None = None
) -> dict[str, t.Any]:
    told = ("kind", "name", "file", "bytes", "sha256", "members", "seconds")
    return {
        "backup": backup.id if backup else "",
        "path": str(shelf.path(backup.id)) if backup else "",
        "parts": [{key: getattr(part, key) for key in told} for part in backup.parts] if backup else [],
        "downtime": dict(downtime or {}),
        "pruned": list(pruned),
    }


def _diff(shelf: Shelf, before: Sequence[Backup], made: str, pruned: Sequence[str]) -> list[dict[str, str]]:
    old = [backup.id for backup in before]
    new = [made, *(each for each in old if each not in pruned)]
    header = f"backups in {shelf.directory}"
    texts = ("".join(f"{each}\n" for each in ids) for ids in (old, new))
    return [dict(zip(("before", "after"), texts), before_header=header, after_header=header)]


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let a closed connection or a stopped job unwind as an exception does: services start again, drafts go."""

    def leave(number: int, _frame: object) -> t.NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
