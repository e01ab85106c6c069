# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of backups in a restic repository: encrypted, and what is there already is not sent again.

Every part is a snapshot of its own, made of its uncompressed stream. The manifest is the last snapshot, and its tags
name those of the parts: only a copy whose manifest and parts are all there counts. Snapshots are never rewritten. A part
that has not changed since an earlier copy is not even read: the new manifest names the snapshot that is there.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import re
import socket
import tarfile
import typing as t
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import _codec, _copy_place, _restic, _store
from ._check import FAIL, PASS, WARN, Outcome
from ._codec import CODECS, Codec
from ._copy_place import Copy, Sent, damaged, raw_sum
from ._errors import OpsError
from ._restic import Restic
from ._shelf import FILE, MANIFEST, Backup, Part

OURS, MANIFESTS, CHANGED = "prosaas", "manifest", "changed"
_BACKUP, _HOLDS, _PART, _RAW = "backup=", "holds=", "part=", "raw="
_FILES = "files"
_LEFT_AFTER = datetime.timedelta(hours=24)  # no copy takes longer: what is older and nobody's is left over
_WHOLE_ID = 64  # digits of a snapshot's id
_ID_DIGITS = 16  # of it, in a tag
_EMPTY = hashlib.sha256(b"").hexdigest()  # restic takes no empty stream, as the list of an empty bucket is: it is in the manifest


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of the repository.

    Attributes:
        ids: by which it is known; a copied or rewritten one has its first, too.
    """

    ids: tuple[str, ...]
    time: datetime.datetime
    tags: frozenset[str]

    @property
    def id(self) -> str:
        return self.ids[0]

    def told(self, key: str) -> list[str]:
        return sorted(tag[len(key) :] for tag in self.tags if tag.startswith(key))


@dataclass(frozen=True)
class Stored:
    """A complete copy: its manifest's snapshot, and those of its parts by what they are."""

    copy: Copy
    manifest: Snapshot
    parts: Mapping[tuple[str, str], Snapshot]  # by label and raw sum


class Source(t.NamedTuple):
    """What is sent as one snapshot: what it is, the sum and the size of its stream, and how that is opened."""

    label: str
    digest: str
    size: int
    opened: Callable[[], AbstractContextManager[tuple[_restic.Source, _restic.Ended]]]


def snapshots(text: str) -> list[Snapshot]:
    """Read ``restic snapshots --json``."""
    found = []
    for row in json.loads(text or "[]") or []:
        ids = tuple(one for one in (row["id"], row.get("original")) if one)
        time = re.sub(r"(\.\d{1,6})\d*", r"\1", row["time"].replace("Z", "+00:00"))
        time = re.sub(r"\.(\d+)", lambda part: "." + part[1].ljust(6, "0"), time)  # Python 3.9 wants six digits
        found.append(Snapshot(ids, datetime.datetime.fromisoformat(time), frozenset(row.get("tags") or ())))
    return found


def stored(known: Iterable[Snapshot]) -> list[Stored]:
    """Return the complete copies, newest first; one that lacks a part is none."""
    known = list(known)
    by_id = {one_id[:_ID_DIGITS]: one for one in known for one_id in one.ids}
    found: dict[str, Stored] = {}
    for one in sorted(known, key=lambda each: each.time):
        named, wanted = one.told(_BACKUP), one.told(_HOLDS)
        if MANIFESTS not in one.tags or len(named) != 1 or not _copy_place.is_id(named[0]):
            continue
        if all(part in by_id for part in wanted):
            parts = [by_id[part] for part in wanted]
            keyed = {(part.told(_PART)[0], part.told(_RAW)[0]): part for part in parts if part.told(_RAW)}
            found[named[0]] = Stored(Copy(named[0], CHANGED not in one.tags), one, keyed)
    return sorted(found.values(), key=lambda each: each.copy.id, reverse=True)


def nobodys(known: Iterable[Snapshot], kept: Iterable[Stored], now: datetime.datetime) -> list[str]:
    """Return the snapshots of ours that no kept copy needs and that are too old to belong to one being made."""
    needed = {snapshot.id for each in kept for snapshot in (each.manifest, *each.parts.values())}
    return [one.id for one in known if OURS in one.tags and one.id not in needed and now - one.time > _LEFT_AFTER]


def let_go(known: Iterable[Snapshot], ids: Sequence[str], now: datetime.datetime) -> list[str]:
    """Return the snapshots to forget with these copies: what a kept one needs stays."""
    known = list(known)
    complete = stored(known)
    kept = [each for each in complete if each.copy.id not in ids]
    needed = {snapshot.id for each in kept for snapshot in (each.manifest, *each.parts.values())}
    gone = [
        snapshot.id
        for each in complete
        if each.copy.id in ids
        for snapshot in (each.manifest, *each.parts.values())
        if snapshot.id not in needed
    ]
    return sorted({*gone, *nobodys(known, complete, now)})


def packed(directory: Path, parts: Sequence[Part]) -> bytes:
    """Return the small files of a backup as one archive; the same files make the same bytes."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for part in sorted(parts, key=lambda each: each.file):
            with _codec.reading(directory / part.file, CODECS[part.codec]) as stream:
                content = b"".join(iter(lambda: stream.read(_codec.BLOCK), b""))
            member = tarfile.TarInfo(part.file)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


class Repository:
    """A restic repository as a place for copies; see :class:`_copy_place.Place`.

    Args:
        project: the Compose project; snapshots have it as their host.
        say: is told what goes on, for a person.
        locked_by_rule: asks whether a rule of the bucket keeps restic's locks from being deleted.
    """

    kind = _copy_place.RESTIC

    def __init__(
        self,
        restic: Restic,
        project: str,
        say: Callable[[str], None] = lambda text: None,
        locked_by_rule: Callable[[], Outcome | None] = lambda: None,
    ) -> None:
        self.address = restic.place
        self._restic, self._project, self._say, self._rule = restic, project, say, locked_by_rule
        self._seen: list[Snapshot] | None = None

    def reach(self) -> str:
        self._known()
        version = self._restic.say("version").split()
        return f"restic {version[1] if len(version) > 1 else '?'} opens {self.address}"

    def lay_out(self) -> None:
        self._seen = None
        self._restic.say("init")

    def copies(self) -> list[Copy]:
        return [each.copy for each in stored(self._known())]

    def leftovers(self) -> bool:
        known = self._known()
        return bool(nobodys(known, stored(known), _now()))

    def put(self, directory: Path, backup: Backup) -> Sent:
        """Send what is not there yet. Parts that a copy has with the same content are named again, and not sent."""
        there = {key: each.id for one in stored(self._known()) for key, each in one.parts.items()}
        result, holds = Sent(), []
        for one in self._sources(directory, backup):
            if (one.label, one.digest) in there:
                result.reused.append(one.label)
                holds.append(there[one.label, one.digest])
                continue
            self._say(f"copying {one.label} to {self.address}")
            command = self._backup(_file(one.label), (OURS, _PART + one.label, _RAW + one.digest))
            ended = _summary(self._restic.send(command, one.opened), one.label, one.size)
            result.sent.append(one.label)
            result.bytes += _added(ended)
            holds.append(str(ended["snapshot_id"]))
        full = self._resolved(holds)
        state = () if backup.consistent() else (CHANGED,)
        tags = (OURS, MANIFESTS, _BACKUP + backup.id, *state, *(_HOLDS + each[:_ID_DIGITS] for each in full))
        # The file itself is what restic reads: no process of ours can die half way through it.
        with open(directory / MANIFEST, "rb") as source:
            told = self._restic.say(*self._backup(MANIFEST, tags), source=source)
            result.bytes += _added(_summary(told, MANIFEST, os.fstat(source.fileno()).st_size))
        self._seen = None
        return result

    def fetch(self, backup_id: str, draft: Path, codec: Codec) -> Backup:
        one = next(each for each in stored(self._known()) if each.copy.id == backup_id)
        with self._restic.stream("dump", one.manifest.id, MANIFEST) as stream:
            backup = _copy_place.manifest(stream.read(), backup_id, self.address)
        by_label = {label: (digest, each) for (label, digest), each in one.parts.items()}
        for part in backup.parts:
            if part.kind != FILE:
                self._fetch_part(draft, part, by_label, codec)
        self._fetch_files(draft, [part for part in backup.parts if part.kind == FILE], by_label)
        return backup

    def remove(self, ids: Sequence[str]) -> None:
        if not ids and not self.leftovers():
            return
        self._seen = None  # somebody else may have copied meanwhile, and need what was nobody's
        gone = let_go(self._known(), ids, _now())
        if gone:
            self._say(f"letting go of {', '.join(ids) or 'what was left over'} at {self.address}")
            self._seen = None
            self._restic.say("forget", "--prune", *gone, within=self._restic.limits.total)

    def whole(self, newest: str, percent: float) -> str:
        share = [f"--read-data-subset={percent:g}%"] if percent else []
        self._say(f"checking {self.address}")
        self._restic.say("check", *share, within=self._restic.limits.total)
        told = f"{percent:g} % of its data read" if percent else "its structure alone, no data read"
        return f"restic check found no errors ({told})"

    def locks(self, clear: bool) -> Outcome:
        """Judge whether locks can go away: one that stays stops every check and every prune."""
        ruled = self._rule()
        if ruled is not None and ruled.status != PASS:
            return ruled
        held = self._locks()
        if held and clear:
            self._restic.unlock()
            held = self._locks()
        outcome = judge_locks([lock for lock in map(self._lock, held) if lock], clear, socket.gethostname(), _alive)
        return outcome._replace(evidence=f"{outcome.evidence}; {ruled.evidence}") if ruled else outcome

    def _locks(self) -> list[str]:
        return self._restic.say("list", "locks", "--no-lock").split()

    def _lock(self, lock_id: str) -> dict[str, t.Any] | None:
        try:
            return t.cast("dict[str, t.Any]", json.loads(self._restic.say("cat", "lock", lock_id, "--no-lock")))
        except (OpsError, ValueError):  # gone meanwhile
            return None

    def _known(self) -> list[Snapshot]:
        """Return the snapshots of this project, asked for again after every change: each question costs a second."""
        if self._seen is None:
            command = ("snapshots", "--json", "--host", self._project, "--tag", OURS, "--no-lock")
            self._seen = snapshots(self._restic.say(*command))
        return self._seen

    def _backup(self, name: str, tags: Iterable[str]) -> list[str]:
        command = ["backup", "--json", "--stdin", "--stdin-filename", name, "--host", self._project]
        return [*command, *(argument for tag in tags for argument in ("--tag", tag))]

    def _sources(self, directory: Path, backup: Backup) -> Iterator[Source]:
        """Yield what is to be sent: every part, and the small files as one."""
        files = []
        for part in backup.parts:
            if part.kind == FILE:
                files.append(part)
            elif raw_sum(part) != _EMPTY:
                yield Source(_label(part), raw_sum(part), part.raw_bytes, partial(_open_part, directory, part))
        if files:
            content = packed(directory, files)
            yield Source(_FILES, hashlib.sha256(content).hexdigest(), len(content), partial(_open_bytes, content))

    def _resolved(self, found: Iterable[str]) -> list[str]:
        """Return the whole ids of snapshots that must be there. Releases before 0.17 tell short ones of what they have sent."""
        found = list(found)
        if all(len(one) == _WHOLE_ID for one in found):
            return found
        self._seen = None
        known = [one.id for one in self._known()]
        whole = [next((full for full in known if full.startswith(short)), "") for short in found]
        if not all(whole):
            raise OpsError(f"A snapshot that was just sent to {self.address} is not there.", "Run this again.")
        return whole

    def _fetch_part(self, draft: Path, part: Part, there: Mapping[str, tuple[str, Snapshot]], codec: Codec) -> None:
        digest, snapshot = there.get(_label(part), ("", None))
        empty = raw_sum(part) == _EMPTY
        if not empty and (snapshot is None or digest != raw_sum(part)):
            raise damaged(part.label, self.address)
        self._say(f"fetching {part.label} from {self.address}")
        part.file = part.file[: len(part.file) - len(CODECS[part.codec].suffix)] + codec.suffix
        _store.private_dir((draft / part.file).parent)
        opened = nullcontext(io.BytesIO()) if empty or not snapshot else self._restic.stream("dump", snapshot.id, _file(_label(part)))
        with opened as stream:
            sums = _codec.write(stream, draft / part.file, codec)
        if sums.raw_sha256 != raw_sum(part):
            raise damaged(part.label, self.address)
        part.codec, part.bytes, part.sha256 = codec.name, sums.bytes, sums.sha256
        part.raw_bytes, part.raw_sha256 = sums.raw_bytes, sums.raw_sha256

    def _fetch_files(self, draft: Path, parts: Sequence[Part], there: Mapping[str, tuple[str, Snapshot]]) -> None:
        if not parts:
            return
        if _FILES not in there:
            raise damaged(_FILES, self.address)
        with self._restic.stream("dump", there[_FILES][1].id, _FILES) as stream:
            content = stream.read()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            read = {member.name: t.cast("t.BinaryIO", archive.extractfile(member)).read() for member in archive}
        for part in parts:
            data = read.get(part.file, b"")
            if hashlib.sha256(data).hexdigest() != raw_sum(part):
                raise damaged(part.label, self.address)
            _store.write_whole(draft / part.file, data)
            part.codec, part.bytes, part.sha256 = CODECS["none"].name, len(data), raw_sum(part)


def judge_locks(held: Sequence[Mapping[str, t.Any]], cleared: bool, host: str, alive: Callable[[int], bool]) -> Outcome:
    """Judge the locks that are there after stale ones were, or were not, taken away."""
    if not held:
        return Outcome(PASS, "no lock is left")
    stale = [one for one in held if one.get("hostname") == host and not alive(int(one.get("pid") or 0))]
    told = ", ".join(f"PID {one.get('pid')} on {one.get('hostname')} since {str(one.get('time'))[:19]}" for one in held)
    if stale and cleared:
        said = f"locks of processes that have ended cannot be removed ({told})"
        return Outcome(
            FAIL, said, "Let the key delete objects, and no lock or retention rule of the bucket cover locks/."
        )
    remedy = "The next copy takes away those of processes that have ended; restic unlock does so now."
    return Outcome(WARN, f"locked by {told}", remedy)


def _open_part(directory: Path, part: Part) -> AbstractContextManager[tuple[_restic.Source, _restic.Ended]]:
    @contextmanager
    def opened() -> Iterator[tuple[_restic.Source, _restic.Ended]]:
        with _codec.reading(directory / part.file, CODECS[part.codec]) as stream:

            def ended() -> None:
                if stream.sums().raw_sha256 != raw_sum(part):
                    raise OpsError(
                        f"{directory / part.file} is not what its manifest says: it is not copied.",
                        "Look at this disk (dmesg, SMART), and back up again.",
                    )

            yield stream, ended

    return opened()


@contextmanager
def _open_bytes(content: bytes) -> Iterator[tuple[_restic.Source, _restic.Ended]]:
    yield io.BytesIO(content), lambda: None


def _summary(text: str, what: str, size: int) -> dict[str, t.Any]:
    found = [one for one in _restic.messages(text) if one.get("message_type") == "summary"]
    if not found or not found[-1].get("snapshot_id") or int(found[-1].get("total_bytes_processed", -1)) != size:
        raise OpsError(f"restic did not say that it has stored all of {what}.", "Run this again.")
    return found[-1]


def _added(summary: Mapping[str, t.Any]) -> int:
    return int(summary.get("data_added_packed") or summary.get("data_added") or 0)


def _label(part: Part) -> str:
    return f"{part.kind}:{part.name}".replace(",", "_")  # a comma would make two tags of it


def _file(label: str) -> str:
    """Return the name in its snapshot; restic 0.18 takes none with a directory."""
    return re.sub(r"[^\w.-]", "-", label)


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
