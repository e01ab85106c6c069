# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's copies of the records of each host: are they all there, unchanged, and signed by who may.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import _chain, _signature
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check
from ._errors import OpsError

NAMED = 20  # faults of a host that get a check of their own; the others are counted, and all are in the rows
SOME = 5  # runs that one sentence names
OTHER_KEY = "signed by a key that is not allowed"
UNSIGNED = "unsigned"
_TITLE = "Every record is there, as it was written"
_ITS_OWN = "{host}:{state}/records/{run}.json"
_COMPARE = f"Keep this file as evidence, and compare it with the host's own, {_ITS_OWN}"
REMEDIES = {
    _chain.CHANGED: _COMPARE,
    _chain.REMOVED: f"Look for it on the host, {_ITS_OWN}, and fetch it. A run from another controller left its copy there",
    _chain.INSERTED: f"Look for it on the host, {_ITS_OWN}. If it is not there it was never a run: keep it as evidence elsewhere. "
    "After a host was rebuilt, move the records of the old one to a directory of another name",
    _chain.REORDERED: _COMPARE,
    _chain.UNREADABLE: f"Keep this file as evidence, and fetch the host's own, {_ITS_OWN}",
    _chain.NO_RECORD: "Move it out of the directory of the records if it is yours, else keep it as evidence",
    _chain.UNPROVEN: _COMPARE,
    OTHER_KEY: "Ask whose key it is. If it may sign, add it to the file of allowed signers; else keep this file as evidence, and "
    f"compare it with the host's own, {_ITS_OWN}",
}


@dataclass(frozen=True)
class Kept:
    """What lies in the directory of one host."""

    host: str
    files: list[_chain.File]
    head: _chain.Head | None
    head_problem: str
    orphans: list[str]  # runs of which only the signature is there
    signed: dict[str, _signature.Signed]


class Found(t.NamedTuple):
    """What is said of one host: its checks, a row for each record, and a line for a person."""

    checks: list[Check]
    rows: list[dict[str, str]]
    line: str = ""


def hosts_in(records_dir: Path) -> list[str]:
    """Return the hosts that have a directory; one that is not there is an error that names it."""
    try:
        return sorted(path.name for path in records_dir.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise OpsError(
            f"The directory of the records {records_dir} cannot be read: {error.strerror}.",
            "Name the right one: -e prosaas_records_dir=DIRECTORY.",
        ) from None


def read(directory: Path, allowed: str) -> Kept:
    """Read all that is kept of one host; each file is read and hashed once, and its signature verified."""
    paths = sorted(path for path in directory.glob("*.json") if path.name != _chain.HEAD)
    files = [_read(path) for path in paths]
    head, problem = _read_head(directory / _chain.HEAD)
    names = {file.name for file in files}
    suffix = ".json" + _signature.SUFFIX
    orphans = sorted({path.name[: -len(suffix)] for path in directory.glob("*" + suffix)} - names)
    mine = [file for file in files if file.kind != _chain.BEFORE]
    asked = [_signature.Asked(directory / f"{file.name}.json", _when(file)) for file in mine]
    answers = dict(zip((file.name for file in mine), _signature.verify(asked, allowed)))
    return Kept(directory.name, files, head, problem, orphans, answers)


def _read(path: Path) -> _chain.File:
    try:
        return _chain.parse(path.stem, path.read_bytes())
    except OSError as error:
        return _chain.File(path.stem, "", _chain.UNREADABLE, f"it cannot be read: {error.strerror}")


def _read_head(path: Path) -> tuple[_chain.Head | None, str]:
    try:
        return _chain.head_of(path.read_bytes()), ""
    except FileNotFoundError:
        return None, f"{_chain.HEAD} is not here"
    except OSError as error:
        return None, f"{_chain.HEAD} cannot be read: {error.strerror}"
    except ValueError as error:
        return None, f"{_chain.HEAD} is damaged: {error}"


def _when(file: _chain.File) -> str:
    """Return the time at which a key had to be allowed: the end of the run."""
    known = file.kind in (_chain.OK, _chain.ATTEMPT)
    return f"{file.finished:%Y%m%d%H%M%S}" if known and file.finished.year >= 1970 else ""


def judge(kept: Kept, state_dir: Path, allowed: bool) -> Found:
    """Say of one host what fits and what does not.

    Args:
        state_dir: where the host keeps its own records, for the remedies.
        allowed: whether somebody has said whose signatures count.
    """
    chain = _chain.look(kept.files, kept.head, {name: signed.state for name, signed in kept.signed.items()})
    faults = dict(chain.findings)
    for run in kept.orphans:
        faults.setdefault(run, _chain.Finding(run, _chain.REMOVED, "its signature is here, and it is not"))
    for name, signed in kept.signed.items():
        if signed.state == _signature.OTHER_KEY:
            faults.setdefault(name, _chain.Finding(name, OTHER_KEY, signed.why))
    if not kept.files and not faults:
        return missing(kept.host)
    checks = [
        *_faults(kept.host, faults.values(), state_dir),
        _chain_check(kept, chain, faults),
        _head_check(kept, chain, faults),
        _signature_check(kept, chain, faults, allowed),
        *_others(kept, faults),
    ]
    rows = _rows(kept, faults)
    counts = Counter(row["found"] for row in rows)
    return Found(checks, rows, f"{kept.host}: " + ", ".join(f"{number} {found}" for found, number in sorted(counts.items())))


def missing(host: str) -> Found:
    """Say that nothing is kept of a host of which something was expected."""
    remedy = "Look at prosaas_records_dir, and on the controller from which it is deployed. Waive it for a host that had no run yet"
    check = Check(f"records.{host}.chain", _TITLE, UNKNOWN, "no record of this host is here", remedy)
    return Found([check], [], f"{host}: no record")


def _faults(host: str, faults: Collection[_chain.Finding], state_dir: Path) -> list[Check]:
    ordered = sorted(faults, key=lambda finding: finding.run)
    checks = []
    for finding in ordered[:NAMED]:
        status = UNKNOWN if finding.kind == _chain.UNPROVEN else FAIL
        remedy = REMEDIES[finding.kind].format(host=host, state=state_dir, run=finding.run)
        checks.append(
            Check(f"records.{host}.{finding.run}", "The record is as it was written", status, _told(finding), remedy)
        )
    if len(ordered) > NAMED:
        left = [finding.run for finding in ordered[NAMED:]]
        said = f"{len(left)} more do not fit: {_some(left)}"
        checks.append(Check(f"records.{host}.more", _TITLE, FAIL, said, "All of them are in the module's return value, records"))
    return checks


def _told(finding: _chain.Finding) -> str:
    return f"{finding.kind}: {finding.evidence}"


def _chain_check(kept: Kept, chain: _chain.Chain, faults: Mapping[str, _chain.Finding]) -> Check:
    known = f"records.{kept.host}.chain"
    links = [file for file in kept.files if file.kind == _chain.OK]
    if faults:
        said = f"{len(faults)} of {len(links)} records do not fit: {_some(faults)}"
        return Check(known, _TITLE, WARN, said, f"Look at records.{kept.host}.RUN of each")
    if not links:
        return Check(known, _TITLE, SKIP, "no record here is of a schema whose chain can be proven")
    said = f"{len(links)} records, from {chain.path[-1].name} to {chain.path[0].name}, each carries the hash of the one before it"
    return Check(known, _TITLE, PASS, said)


def _head_check(kept: Kept, chain: _chain.Chain, faults: Mapping[str, _chain.Finding]) -> Check:
    known, title = f"records.{kept.host}.head", "The newest record is there"
    if not chain.path and not faults and not kept.head:
        return Check(known, title, SKIP, "there is no record that could be the newest")
    if not kept.head:
        said = f"{kept.head_problem}, so nothing here can show whether the newest record was removed"
        newest = f"is {chain.path[0].name} the newest" if chain.path else "is there any"
        remedy = f"Look on the host: {newest}? The next run writes {_chain.HEAD} again"
        return Check(known, title, UNKNOWN, said, remedy)
    if kept.head.run in faults:
        return Check(known, title, WARN, f"{_chain.HEAD} names {kept.head.run}", f"Look at records.{kept.host}.{kept.head.run}")
    if chain.after_head:
        said = f"{_chain.HEAD} names {kept.head.run}, and {len(chain.after_head)} are newer: {_some(f.name for f in chain.after_head)}"
        return Check(known, title, WARN, said, "A run of another controller, or one that was cut off: the next run sets it right")
    return Check(known, title, PASS, f"{kept.head.run}, copied at {kept.head.at}, is here and whole")


def _signature_check(kept: Kept, chain: _chain.Chain, faults: Mapping[str, _chain.Finding], allowed: bool) -> Check:
    known, title = f"records.{kept.host}.signatures", "Every record is signed by who may"
    states = {name: signed.state for name, signed in kept.signed.items()}
    if not states:
        return Check(known, title, SKIP, "no record here is of a schema that is signed")
    blind = [name for name, state in states.items() if state == _signature.UNVERIFIED]
    if blind:
        said = f"{kept.signed[blind[0]].why.rstrip('.')} ({len(blind)} records)"
        return Check(known, title, UNKNOWN, said, "Set it right, and verify again")
    unsigned = [name for name, state in states.items() if state == _signature.UNSIGNED and name not in faults]
    if not allowed:
        if len(unsigned) == len(states):
            said = "none is signed: who may write here may have written all of it anew"
        else:
            said = f"{len(states) - len(unsigned)} of {len(states)} are signed, and nobody has said whose signatures count"
        remedy = "Set prosaas_records_key and prosaas_records_allowed_signers (docs/records.md)"
        return Check(known, title, WARN, said, remedy)
    open_ends = [name for name in unsigned if name not in _covered(chain, states)]
    attempts = {file.name for file in kept.files if file.kind == _chain.ATTEMPT}
    open_links = [name for name in open_ends if name not in attempts]
    remedy = "See why the key could not sign (ssh-add -l). Compare these with the host's; the next record that is signed covers them"
    if open_links:
        said = f"{len(open_links)} unsigned, with no signed record after them: {_some(open_links)}"
        return Check(known, title, UNKNOWN, said, remedy)
    if unsigned:
        said = f"{len(unsigned)} unsigned: {_some(unsigned)}"
        said += "" if open_ends else "; a signed record after them carries their hash"
        return Check(known, title, WARN, said, "See why the key could not sign (ssh-add -l)")
    signers = sorted({signed.by for signed in kept.signed.values() if signed.state == _signature.GOOD})
    if not signers:
        return Check(known, title, WARN, "none is signed by who may", f"Look at records.{kept.host}.RUN of each")
    return Check(known, title, PASS, f"{sum(s == _signature.GOOD for s in states.values())} are signed, by {', '.join(signers)}")


def _covered(chain: _chain.Chain, states: Mapping[str, str]) -> set[str]:
    """Return the links whose hash is carried, from one to the next, by one that is signed by who may."""
    covered: set[str] = set()
    safe = False
    for file in chain.path:
        safe = safe and file.name not in chain.cut
        if safe:
            covered.add(file.name)
        safe = safe or states.get(file.name) == _signature.GOOD
    return covered


def _others(kept: Kept, faults: Mapping[str, _chain.Finding]) -> list[Check]:
    checks = []
    before = [file.name for file in kept.files if file.kind == _chain.BEFORE and file.name not in faults]
    if before:
        said = f"{len(before)} records, up to {before[-1]}, are from before the chain could be proven: their copies may have other bytes"
        remedy = f"Nothing to do but to know it; move them out of {kept.host}/ to be rid of this line"
        checks.append(Check(f"records.{kept.host}.before", "Records can be proven", WARN, said, remedy))
    attempts = [file.name for file in kept.files if file.kind == _chain.ATTEMPT and file.name not in faults]
    if attempts:
        said = f"{len(attempts)} attempts at a host that could not be reached, kept here alone and no part of the chain: {_some(attempts)}"
        checks.append(Check(f"records.{kept.host}.attempts", "Attempts that only the controller knows of", PASS, said))
    return checks


def _rows(kept: Kept, faults: Mapping[str, _chain.Finding]) -> list[dict[str, str]]:
    """Return a row for each record, and for each that is missing, in the order of their ids."""
    shared = {name: finding for finding in faults.values() for name in finding.others}
    kinds = {file.name: file.kind for file in kept.files}
    rows = []
    for run in sorted({*kinds, *faults}):
        finding, signed = faults.get(run) or shared.get(run), kept.signed.get(run, _signature.Signed(""))
        kind = finding.kind if finding else kinds[run]
        if kind == _chain.OK and signed.state == _signature.UNSIGNED:
            kind = UNSIGNED
        by = signed.by if signed.state in (_signature.GOOD, _signature.FITS, _signature.OTHER_KEY) else ""
        rows.append(
            {"host": kept.host, "run": run, "found": kind, "evidence": finding.evidence if finding else signed.why, "signed_by": by}
        )
    return rows


def _some(names: Iterable[str]) -> str:
    known: Sequence[str] = sorted(names)
    more = f" and {len(known) - SOME} more" if len(known) > SOME else ""
    return ", ".join(known[:SOME]) + more
