# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking what a backup holds, one part at a time: volumes, databases, the list of a bucket, files.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import typing as t
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from . import _archive, _backup_judge, _dotenv, _dump_file, _inventory, _sqlite, _store, _volumes
from ._calls import Calls
from ._check import FAIL, PASS, SKIP, Outcome, stopwatch
from ._codec import Codec
from ._compose import Execute, Project
from ._errors import OpsError
from ._object_store import Store as Bucket
from ._pg_tools import Tools
from ._postgres import Source
from ._postgres_connect import Manner
from ._shelf import BUCKET, DATABASE, FILE, VOLUME, Backup, Part
from ._volumes import PAUSE, STOP, Hold

SNAPSHOT, LIVE = "snapshot", "live"
POLICIES = (PAUSE, STOP, SNAPSHOT, LIVE)
KEYS: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "no_log": False,  # names of variables and fields, no keys
    "options": {name: {"type": "str", "required": True} for name in ("volume", "file", "field", "variable")},
}
FAIL_THEN, LIVE_THEN, HOLD_THEN = "fail", "live", "hold"
STOPPED_NOTE = "held.json"  # in a draft: the containers that must go on, should this process be killed
_CALM = 1.0  # seconds between two looks at the calls
_MOUNTED_LIMIT = 1 << 20  # bytes; a mounted file that is larger is data, and no setting


@dataclass(frozen=True)
class Volume:
    """A volume and how a copy of one moment is made of it.

    Attributes:
        name: in the Compose model.
        policy: ``pause`` or ``stop`` the services, ``snapshot`` (SQLite's own copy of the databases), ``live``.
        services: that write to it.
        databases: SQLite files in it, for ``snapshot``.
        tries: how often a copy in which something changed is made again.
    """

    name: str
    required: bool = False
    policy: str = LIVE
    services: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    tries: int = 3


@dataclass(frozen=True)
class Database:
    """A database and what of it is dumped."""

    name: str
    source: Source
    required: bool = True
    schemas: tuple[str, ...] = ("public",)
    counts: bool = True

    @classmethod
    def of(cls, name: str, given: Mapping[str, t.Any]) -> Database:
        """Build it from settings: a connection as :class:`Source` has it, and ``required``, ``schemas``, ``counts``."""
        rest = {key: value for key, value in given.items() if key not in ("required", "schemas", "counts")}
        schemas = tuple(given.get("schemas") or ("public",))
        return cls(name, Source.of(name, rest), bool(given.get("required", True)), schemas, bool(given.get("counts", True)))


@dataclass(frozen=True)
class Key:
    """A key without which a volume is worth nothing: in a JSON file there, and in a variable of ``.env``."""

    volume: str
    file: str
    field: str
    variable: str

    def there(self, directory: Path) -> str | None:
        """Return the key that is in the volume at that directory; what cannot be read raises as it does."""
        found = json.loads((directory / self.file).read_text(encoding="utf-8")).get(self.field)
        return t.cast("str | None", found)


@dataclass(frozen=True)
class Quiet:
    """What is asked before a service is held.

    Attributes:
        calls: counts live calls.
        deadline: seconds that are waited for their end.
        then: what is done after that: ``fail``, copy ``live``, or ``hold`` all the same.
    """

    calls: Callable[[], Calls]
    deadline: float = 60
    then: str = LIVE_THEN


@dataclass(frozen=True)
class Sources:
    """Where everything comes from, and how it is asked."""

    project: Project
    execute: Execute
    codec: Codec
    env_file: Path
    quiet: Quiet | None = None
    stop_timeout: int = 30
    tools: Tools | None = None
    manner: Manner = Manner()
    say: Callable[[str], None] = lambda text: None


def volume(sources: Sources, draft: Path, made: Backup, wanted: Volume, name: str, directory: Path) -> Outcome:
    """Pack a volume; ``name`` and ``directory`` are its engine's."""
    hold, remark = _hold(sources, wanted)
    sources.say(f"packing {wanted.name}")
    target = draft / f"{wanted.name}_{made.id}.tar{sources.codec.suffix}"
    with stopwatch() as seconds:
        for _try in range(wanted.tries if not hold.how else 1):
            packed = _pack(sources, draft, made, wanted, hold, directory, target)
            if not packed.changed:
                break
        content = _archive.publish(packed)
    part = Part(
        **_stored(VOLUME, wanted.name, name, target, sources.codec, content.sums),
        members=content.members,
        policy=hold.how or (SNAPSHOT if wanted.policy == SNAPSHOT else LIVE),
        changed=packed.changed,
        out=content.out,
        seconds=seconds(),
    )
    made.parts.append(part)
    outcome = _backup_judge.part(part, wanted.required)
    held = [f"; {one}: {hold.how} for {made.downtime[one]:.1f} s" for one in wanted.services if one in made.downtime]
    return outcome._replace(evidence="".join([outcome.evidence, *held, remark]))


def _pack(
    sources: Sources, draft: Path, made: Backup, wanted: Volume, hold: Hold, directory: Path, target: Path
) -> _archive.Packed:
    services = wanted.services if hold.how else ()
    note = draft / STOPPED_NOTE
    with tempfile.TemporaryDirectory(dir=draft, prefix=".sqlite-") as beside:
        copies = Path(beside)
        leave = _sqlite.copy_all(directory, wanted.databases, copies) if wanted.policy == SNAPSHOT else []
        with _volumes.held(sources.execute, made.project, services, hold, note, made.downtime):
            return _archive.pack(directory, target, sources.codec, leave, copies if leave else None)


def _hold(sources: Sources, wanted: Volume) -> tuple[Hold, str]:
    """Return how a volume's writers are held, and what to say where calls stand against it."""
    if wanted.policy not in (PAUSE, STOP) or not wanted.services:
        return Hold(), ""
    hold = Hold(wanted.policy, sources.stop_timeout)
    quiet = sources.quiet
    if quiet is None or quiet.then == HOLD_THEN:
        return hold, ""
    deadline = time.monotonic() + quiet.deadline
    while not (calls := quiet.calls()).silent:
        if time.monotonic() >= deadline:
            services = ", ".join(wanted.services)
            if quiet.then == FAIL_THEN:
                raise OpsError(
                    f"{services} would be held for a copy of {wanted.name}, but {calls.told}.",
                    "Back up at a quieter time, or let it be copied live (backup_calls_then: live).",
                )
            return Hold(), f"; {services} not held, since {calls.told}"
        sources.say(f"waiting with {wanted.name}: {calls.told}")
        time.sleep(_CALM)
    return hold, ""


def database(sources: Sources, draft: Path, made: Backup, wanted: Database) -> Outcome:
    """Dump a database, and let pg_restore read the dump to its end."""
    if sources.tools is None:
        raise OpsError("Where pg_dump comes from is not set.", "Set programs.")
    values = _dotenv.values(sources.env_file)
    target = wanted.source.target(values)
    sources.say(f"dumping {wanted.name}")
    path = draft / f"{wanted.name}_{made.id}.dump{sources.codec.suffix}"
    with stopwatch() as seconds:
        dumped = _dump_file.into(
            target, sources.tools, sources.manner, path, sources.codec, schemas=wanted.schemas, counts=wanted.counts
        )
    part = Part(
        **_stored(DATABASE, wanted.name, f"{target.place}/{target.database}", path, sources.codec, dumped.sums),
        members=dumped.entries,
        rows=dumped.counts.rows if dumped.counts else {},
        about={**dumped.facts, "counts": dumped.counts._asdict() if dumped.counts else None},
        seconds=seconds(),
    )
    made.parts.append(part)
    return _backup_judge.part(part, wanted.required)


def bucket(sources: Sources, draft: Path, made: Backup, name: str, store: Bucket, prefix: str) -> Outcome:
    """List a bucket: what a restore of the database refers to."""
    sources.say(f"listing the bucket {store.bucket}")
    path = draft / f"{name}_{made.id}.jsonl{sources.codec.suffix}"
    with stopwatch() as seconds:
        listed = _inventory.write(store, prefix, path, sources.codec)
    part = Part(
        **_stored(BUCKET, name, store.bucket, path, sources.codec, listed.sums),
        members=listed.objects,
        about={"bytes": listed.total_bytes, "prefix": prefix},
        seconds=seconds(),
    )
    made.parts.append(part)
    return Outcome(PASS, f"{part.file}: {listed.objects} objects of {_backup_judge.size(listed.total_bytes)}")


def files(sources: Sources, draft: Path, made: Backup, names: Iterable[str]) -> Outcome:
    """Copy files; each must be there."""
    read = read_files(sources.project.directory, names)
    for name, (content, status) in read.items():
        kept = PurePath("files", name.lstrip("/"))
        digest = hashlib.sha256(content).hexdigest()
        with stopwatch() as seconds:
            _store.write_whole(draft / kept, content)
            part = Part(
                kind=FILE,
                name=name,
                source=str(sources.project.directory / name),
                file=str(kept),
                bytes=len(content),
                sha256=digest,
                raw_bytes=len(content),
                raw_sha256=digest,
                seconds=seconds(),
                mode=f"{status.st_mode & 0o7777:04o}",
                owner=f"{status.st_uid}:{status.st_gid}",
            )
        made.parts.append(part)
    return Outcome(PASS, f"copied: {', '.join(read)}")


def read_files(base: Path, names: Iterable[str]) -> dict[str, tuple[bytes, os.stat_result]]:
    read, problems = {}, []
    for name in names:
        path = base / name
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


def mounted(model: Mapping[str, t.Any], project: Project) -> list[str]:
    """Return the single files of this host that services mount, such as a service account's key."""
    found = set()
    for service in model["services"].values():
        for mount in service.get("volumes") or ():
            source = Path(str(mount.get("source") or ""))
            if mount.get("type") == "bind" and source.is_file() and source.stat().st_size <= _MOUNTED_LIMIT:
                inside = source.is_relative_to(project.directory)
                found.add(str(source.relative_to(project.directory) if inside else source))
    return sorted(found)


def key(sources: Sources, wanted: Key, directory: Path) -> Outcome:
    """Compare a key that a volume was written with to the one that is kept beside it; neither is shown."""
    try:
        there = wanted.there(directory)
    except FileNotFoundError:
        return Outcome(SKIP, f"{wanted.volume} has no {wanted.file}")
    except (OSError, ValueError, AttributeError) as error:
        raise OpsError(f"{wanted.file} in {wanted.volume} cannot be read ({type(error).__name__}).") from None
    given = _dotenv.values(sources.env_file).get(wanted.variable, "")
    if not there:
        return Outcome(SKIP, f"{wanted.file} in {wanted.volume} has no {wanted.field}")
    if not given:
        return Outcome(
            FAIL,
            f"{wanted.variable} is not set: the key is in {wanted.volume} alone, and lost with it",
            f"Set {wanted.variable} to {wanted.field} of {wanted.file} in the volume {wanted.volume}.",
        )
    if given != there:
        return Outcome(
            FAIL,
            f"{wanted.variable} is not the key that {wanted.volume} was written with: what is in it cannot be read",
            f"Put back the {wanted.variable} of before; {wanted.field} of {wanted.file} in the volume has it.",
        )
    return Outcome(PASS, f"{wanted.variable} is the key of {wanted.volume}")


def _stored(kind: str, name: str, source: str, path: Path, codec: Codec, sums: t.Any) -> dict[str, t.Any]:
    return {"kind": kind, "name": name, "source": source, "file": path.name, "codec": codec.name, **sums._asdict()}
