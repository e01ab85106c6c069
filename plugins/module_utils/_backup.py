# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making one backup of everything that a rebuilt host would miss, and judging what was made.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import signal
import socket
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import _archive, _backup_judge, _backup_parts, _codec, _dump_file, _journal, _store, _volumes
from ._backup_judge import AGAIN, Limits
from ._backup_parts import Database, Key, Sources, Volume
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome, Report, timed
from ._compose import Compose, Execute, explain
from ._errors import OpsError
from ._object_store import Store as Bucket
from ._periods import Keep
from ._shelf import BUCKET, DATABASE, FILE, VOLUME, Backup, Part, Shelf, new_id, to_prune

Look = t.Callable[[], Outcome]
_WORKERS = 4


@dataclass(frozen=True)
class Wanted:
    """What a backup must hold, and what is expected of it.

    Attributes:
        files: that must be there, relative to the project's directory or absolute.
        mounted: whether the single files that services mount are taken, too.
        buckets: connection and prefix by name; the list of their objects is kept.
    """

    volumes: tuple[Volume, ...] = ()
    files: tuple[str, ...] = ()
    mounted: bool = False
    databases: tuple[Database, ...] = ()
    buckets: Mapping[str, tuple[Callable[[], Bucket], str]] | None = None
    keys: tuple[Key, ...] = ()
    keep: Keep = Keep()
    limits: Limits = Limits()


class Doer(t.NamedTuple):
    """What is done with each kind of part; each answers the check of it."""

    volume: Callable[[Volume], Outcome]
    database: Callable[[Database], Outcome]
    bucket: Callable[[str], Outcome]
    files: Callable[[], Outcome]
    key: Callable[[Key], Outcome]


def make(wanted: Wanted, sources: Sources, shelf: Shelf, run: str, release: Mapping[str, str]) -> Report:
    """Make one backup, judge it, and let go of older ones. A backup that lacks something is not kept."""
    execute = sources.execute
    model = Compose(sources.project, execute).model()
    engine = _engine_check(execute)
    if _bad([engine]):
        return Report([engine], _facts(shelf, None))
    with _signals_raise(), shelf.locked():
        _clear_up(shelf, execute)
        before, _unreadable = shelf.backups()
        with shelf.draft(after=before[0] if before else None) as (backup_id, draft):
            made = Backup(backup_id, sources.project.name, socket.gethostname(), run, _journal.now(), release=dict(release))
            checks = _check_all(wanted, _taking(wanted, sources, model, draft, made))
            if _bad(checks):
                return Report([_not_kept(check) for check in checks], _facts(shelf, None, (), made.downtime))
            made.ended = _journal.now()
            shelf.publish(draft, made)
        checks.append(_size_check(made, before, wanted))
        # The older ones may be all that is left of what is missing now.
        shrunk = checks[-1].status in (WARN, FAIL)
        pruned = [] if shrunk else [old.id for old in to_prune([made, *before], wanted.keep)]
        for old in pruned:
            shelf.remove(old)
    facts = _facts(shelf, made, pruned, made.downtime)
    return Report(checks, facts, changed=True, diff=_diff(shelf, before, made.id, pruned))


def foretell(wanted: Wanted, sources: Sources, shelf: Shelf) -> Report:
    """Say what :func:`make` would do, and do nothing."""
    model = Compose(sources.project, sources.execute).model()
    engine = _engine_check(sources.execute)
    if _bad([engine]):
        return Report([engine], _facts(shelf, None))

    def files() -> Outcome:
        names = _file_names(wanted, sources, model)
        _backup_parts.read_files(sources.project.directory, names)
        return Outcome(SKIP, f"would be copied: {', '.join(names)}")

    doer = Doer(
        volume=lambda one: _if_there(
            one, model, sources.execute, lambda _name, directory: Outcome(SKIP, f"would be packed from {directory}")
        ),
        database=lambda one: Outcome(SKIP, f"would be dumped: {one.source.title}"),
        bucket=lambda name: Outcome(SKIP, "would be listed"),
        files=files,
        key=lambda one: _key(one, sources, model),
    )
    checks = _check_all(wanted, doer)
    if _bad(checks):
        return Report(checks, _facts(shelf, None))
    before, _unreadable = shelf.backups()
    coming = Backup(new_id(before[0] if before else None), sources.project.name)
    pruned = [old.id for old in to_prune([coming, *before], wanted.keep)]
    return Report(checks, _facts(shelf, None, pruned), changed=True, diff=_diff(shelf, before, coming.id, pruned))


def judge(wanted: Wanted, sources: Sources, shelf: Shelf, quick: bool = False) -> Report:
    """Say how good the newest backup is, by reading it to its end, or (``quick``) by its manifest alone."""
    found = shelf.backups()
    backups = found[0]
    newest = backups[0] if backups else None
    age = _backup_judge.newest(found, wanted.limits)
    if quick:
        return Report([age], _facts(shelf, newest))
    if newest is None:
        missing = Outcome(FAIL, "no backup holds it", AGAIN)
        nothing = Doer(*((lambda *_one: missing) for _name in Doer._fields))
        return Report([age, *_check_all(wanted, nothing)], _facts(shelf, None))
    checks = _check_all(wanted, _reading(newest, shelf.path(newest.id), wanted, sources))
    return Report([age, *checks, _size_check(newest, backups[1:], wanted)], _facts(shelf, newest))


def whole(part: Part, directory: Path, tools: t.Any = None) -> str:
    """Read a part to its end; return what is wrong with it, or nothing."""
    path, codec = directory / part.file, _codec.CODECS[part.codec]
    if part.kind == VOLUME:
        content = _archive.read_back(path, codec)
        sums, members = content.sums, content.members
    elif part.kind == DATABASE and tools is not None:
        sums, members = _dump_file.read_back(path, codec, tools)
    else:
        with _codec.reading(path, codec) as stream:
            sums, members = stream.sums(), part.members
    return "" if part.is_made_of(sums) and members == part.members else f"{path} is not what its manifest says"


def _taking(wanted: Wanted, sources: Sources, model: Mapping[str, t.Any], draft: Path, made: Backup) -> Doer:
    buckets = wanted.buckets or {}
    return Doer(
        volume=lambda one: _if_there(
            one, model, sources.execute, partial(_backup_parts.volume, sources, draft, made, one)
        ),
        database=lambda one: _backup_parts.database(sources, draft, made, one),
        bucket=lambda name: _backup_parts.bucket(sources, draft, made, name, buckets[name][0](), buckets[name][1]),
        files=lambda: _backup_parts.files(sources, draft, made, _file_names(wanted, sources, model)),
        key=lambda one: _key(one, sources, model),
    )


def _reading(newest: Backup, directory: Path, wanted: Wanted, sources: Sources) -> Doer:
    def stored(kind: str, name: str, required: bool) -> Outcome:
        part = newest.part(kind, name)
        if part is None:
            said = f"{newest.id} does not hold it"
            return Outcome(FAIL, said, AGAIN) if required else Outcome(SKIP, said)
        wrong = whole(part, directory, sources.tools)
        return Outcome(FAIL, wrong, AGAIN) if wrong else _backup_judge.part(part, required)

    def files() -> Outcome:
        problems = [name for name in wanted.files if newest.part(FILE, name) is None]
        problems += [part.name for part in newest.parts if part.kind == FILE and not _is_whole(part, directory)]
        if problems:
            return Outcome(FAIL, f"{newest.id} does not hold, or not unchanged: {', '.join(sorted(set(problems)))}", AGAIN)
        return Outcome(PASS, f"whole in {newest.id}: {', '.join(part.name for part in newest.parts if part.kind == FILE)}")

    model = Compose(sources.project, sources.execute).model()
    return Doer(
        volume=lambda one: stored(VOLUME, one.name, one.required),
        database=lambda one: stored(DATABASE, one.name, one.required),
        bucket=lambda name: stored(BUCKET, name, True),
        files=files,
        key=lambda one: _key(one, sources, model),
    )


def _check_all(wanted: Wanted, doer: Doer) -> list[Check]:
    """Have every part done: what waits for a server beside what waits for the disk."""
    servers: list[tuple[str, str, Look]] = [
        (f"backup.database.{one.name}", f"The database {one.name} is dumped", partial(doer.database, one))
        for one in wanted.databases
    ]
    servers += [
        (f"backup.bucket.{name}", f"The objects of {name} are listed", partial(doer.bucket, name))
        for name in wanted.buckets or ()
    ]
    here: list[tuple[str, str, Look]] = [
        (f"backup.volume.{one.name}", f"The volume {one.name} is backed up", partial(doer.volume, one))
        for one in wanted.volumes
    ]
    if wanted.files or wanted.mounted:
        here.append(("backup.files", "The files beside the volumes are backed up", doer.files))
    here += [
        (f"backup.key.{one.variable.lower()}", f"The key of {one.volume} is kept beside it", partial(doer.key, one))
        for one in wanted.keys
    ]
    with ThreadPoolExecutor(_WORKERS) as threads:
        asked = [threads.submit(timed, check, title, (), look) for check, title, look in servers]
        checks = [timed(check, title, (), look) for check, title, look in here]
        return [*checks, *(one.result() for one in asked)]


def _file_names(wanted: Wanted, sources: Sources, model: Mapping[str, t.Any]) -> list[str]:
    more = _backup_parts.mounted(model, sources.project) if wanted.mounted else []
    return list(dict.fromkeys([*wanted.files, *more]))


def _clear_up(shelf: Shelf, execute: Execute) -> None:
    """Put right what a killed run has left: containers that are still held, drafts."""
    for leftover in shelf.leftovers():
        note = _store.read_json(leftover / _backup_parts.STOPPED_NOTE)
        if note:
            _volumes.let_go(execute, note["how"], note["containers"])
        shelf.discard(leftover)


def _engine_check(execute: Execute) -> Check:
    """Ask once, so that an engine that is away is one sentence and not one for each volume."""

    def look() -> Outcome:
        rc, out, err = execute(["docker", "version", "--format", "{{.Server.Version}}"])
        if rc:
            raise explain("docker version", err, "")
        return Outcome(PASS, out.strip())

    return timed("backup.engine", "The Docker engine answers", (), look)


def _size_check(newest: Backup, earlier: Sequence[Backup], wanted: Wanted) -> Check:
    def look() -> Outcome:
        if not earlier:
            return Outcome(SKIP, "no earlier backup to compare with")
        return _backup_judge.sizes(newest, earlier[0], wanted.limits)

    return timed("backup.size", "Nothing is strikingly smaller than before", (), look)


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


def _key(key: Key, sources: Sources, model: Mapping[str, t.Any]) -> Outcome:
    try:
        _name, directory = _volumes.locate(key.volume, model, sources.execute)
    except _volumes.Absent as error:
        return Outcome(SKIP, error.problem)
    return _backup_parts.key(sources, key, directory)


def _is_whole(part: Part, directory: Path) -> bool:
    try:
        return not whole(part, directory)
    except OpsError:
        return False


def _facts(
    shelf: Shelf, backup: Backup | None, pruned: Sequence[str] = (), downtime: Mapping[str, float] | None = None
) -> dict[str, t.Any]:
    told = ("kind", "name", "file", "bytes", "raw_bytes", "sha256", "members", "policy", "seconds")
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
    """Let a closed connection or a stopped job unwind as an exception does: services go on, drafts go."""

    def leave(number: int, _frame: object) -> t.NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
