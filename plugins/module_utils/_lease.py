# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may change this host: a lease that is taken atomically, renewed by every step, and given back.

Two things protect a host. The *lease* (``lease.json``) names the run that owns it; its file time is the last renewal.
The *work lock* (``lease.work``, a file lock) is held by each mutating module while it works, so that a lease whose
controller was killed is not taken over while a module of that run is still busy.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import typing as t
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from . import _store
from ._errors import OpsError

TTL_SECONDS = 900  # longer than any single step that cannot renew (Compose starting a stack with migrations)


@dataclass(frozen=True)
class Holder:
    """Who holds the lease.

    Attributes:
        run: id of the run.
        owner: the person or job that asked for it.
        controller: host name of the machine that runs Ansible.
        boot_id: boot id of that machine, so that a process id means something.
        pid: process id of ``ansible-playbook`` there.
        process_started: its start time in clock ticks since boot.
        playbook: what it runs.
        taken: when, UTC.
    """

    run: str
    owner: str
    controller: str
    boot_id: str
    pid: int
    process_started: int
    playbook: str
    taken: str

    def told(self, age: float) -> str:
        return (
            f"{self.owner} on {self.controller} (process {self.pid}) runs {self.playbook} here since {self.taken}, "
            f"last sign of life {int(age)} s ago"
        )


class Held(OpsError):
    """Somebody else holds the lease."""

    def __init__(self, holder: Holder, age: float, busy: bool) -> None:
        how = "A step of it is still working on this host; wait for it" if busy else "Wait for it"
        super().__init__(
            f"This host is locked: {holder.told(age)}.",
            f"{how}, or, when you are sure that it is gone: -e prosaas_break_lease={holder.run}",
            holder=asdict(holder),
            busy=busy,
        )


def take(state_dir: Path, holder: Holder, dead: str = "") -> Holder | None:
    """Take the lease or raise :class:`Held`; return the holder it was taken over from, if any.

    Args:
        dead: id of a run that the caller knows to be gone; its lease does not count, unless a module still works.
    """
    with _locked(state_dir / "lease.guard", wait=True):
        found = _read(state_dir)
        if found is not None:
            busy = _busy(state_dir)
            age = _age(state_dir)
            if busy or (found.run != dead and age < TTL_SECONDS):
                raise Held(found, age, busy)
        _store.write_json(_path(state_dir), asdict(holder))
        return found


def release(state_dir: Path, run: str) -> None:
    """Give the lease back, if this run holds it."""
    with _locked(state_dir / "lease.guard", wait=True):
        found = _read(state_dir)
        if found is not None and found.run == run:
            _path(state_dir).unlink()


def holder(state_dir: Path) -> Holder | None:
    """Return who holds the lease now, expired or not."""
    return _read(state_dir)


def held(state_dir: Path) -> Holder | None:
    """Return who changes the host now: who holds the lease, unless it has expired and nothing works any more."""
    found = _read(state_dir)
    return found if found is not None and (_age(state_dir) < TTL_SECONDS or _busy(state_dir)) else None


@contextmanager
def working(state_dir: Path, run: str, mutates: bool) -> t.Iterator[None]:
    """Renew the lease of this run; for a mutating step, also hold the work lock and go on renewing until it ends.

    A mutating module that is used on its own (no run) is refused while somebody holds the lease.
    """
    if not mutates:
        if run:
            _renew(state_dir, run)
        yield
        return
    found = _read(state_dir)
    if run and (found is None or found.run != run):
        raise OpsError("This run does not hold the lease of this host any more; nothing was changed.", "Run it again.")
    if not run and found is not None and _age(state_dir) < TTL_SECONDS:
        raise Held(found, _age(state_dir), False)
    with _locked(state_dir / "lease.work", wait=False), _renewing(state_dir, run):
        yield


@contextmanager
def _renewing(state_dir: Path, run: str) -> t.Iterator[None]:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(TTL_SECONDS / 10):
            _renew(state_dir, run)

    _renew(state_dir, run)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _locked(path: Path, wait: bool) -> t.Iterator[None]:
    _store.private_dir(path.parent)
    with open(path, "a", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise OpsError(
                "Another step of this collection is still working on this host.", "Wait for it and run this again."
            ) from None
        yield


def _busy(state_dir: Path) -> bool:
    try:
        with _locked(state_dir / "lease.work", wait=False):
            return False
    except OpsError:
        return True


def _renew(state_dir: Path, run: str) -> None:
    found = _read(state_dir)
    if found is not None and found.run == run:
        os.utime(_path(state_dir))


def _age(state_dir: Path) -> float:
    return max(0.0, time.time() - _path(state_dir).stat().st_mtime)


def _read(state_dir: Path) -> Holder | None:
    content = _store.read_json(_path(state_dir))
    return None if content is None else Holder(**content)


def _path(state_dir: Path) -> Path:
    return state_dir / "lease.json"
