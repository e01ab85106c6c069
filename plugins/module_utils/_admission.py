# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeping new work out for a while: the slots in Redis are filled with members of ours, and emptied again whatever happens.

Each member has its key like any other, with a short life that is renewed while it is wanted. A holder that is killed
renews nothing, so the keys go; but a set has no lifetimes, so the members would stay and keep the phone closed. A
*keeper*, a small process of its own, takes them out as soon as their keys are gone, and so does whoever comes next.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ._capacity import FILLER, Store
from ._errors import OpsError

LIFE = 30  # seconds
RENEWED_EVERY = 10.0
KEEPER_LOOKS_EVERY = 2
KEEPER_GIVES_UP_AFTER = 3600  # seconds without an answer of this Redis
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

# KEYS: the set, then the key of each member. ARGV: seconds, then the members. Returns how many were not in the set.
_FILL = """
local added = 0
for i = 2, #KEYS do
  redis.call('SETEX', KEYS[i], ARGV[1], '1')
  added = added + redis.call('SADD', KEYS[1], ARGV[i])
end
return added
"""
# KEYS as above, ARGV: the members.
_EMPTY = """
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('SREM', KEYS[1], ARGV[i - 1])
end
return 0
"""
# The same for what nobody renews, in one step with the look, so that a renewal wins or comes too late, never half.
# Returns how many are left.
_SWEEP = """
local left = 0
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('SREM', KEYS[1], ARGV[i - 1])
  else
    left = left + 1
  end
end
return left
"""

# What the keeper runs. It has its input from a pipe: an address may hold a password, and arguments are there for all.
_KEEPER = """
import json, redis, sys, time
given = json.load(sys.stdin)
client = redis.Redis.from_url(given["url"], socket_timeout=5, socket_connect_timeout=5)
begun = answered = time.monotonic()
seen = False
while time.monotonic() - answered < given["patience"]:
    time.sleep(given["pause"])
    try:
        left = client.eval(given["sweep"], len(given["keys"]), *given["keys"], *given["members"])
    except (redis.RedisError, OSError):
        continue
    answered = time.monotonic()
    seen = seen or left > 0
    if not left and (seen or answered > begun + given["life"]):
        break
"""


class Admission:
    """Admission that is closed, as long as :func:`closed` lasts.

    Attributes:
        lapsed: how often it was found open in between, as when Redis was replaced; it was closed again each time.
    """

    def __init__(self, connect: t.Callable[[], Store], run: str, limit: int) -> None:
        self.lapsed = 0
        self._connect = connect
        self._members = members(run, limit)
        self._store = connect()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    def close(self) -> None:
        with self._one_at_a_time:
            self._hire()
            self._do(_FILL, LIFE)

    def renew(self) -> None:
        """Prolong it; where that Redis is away, look where it is now. Raises while none answers."""
        with self._one_at_a_time:
            try:
                added = self._do(_FILL, LIFE)
            except OpsError:
                self._store = self._connect()
                self._hire()
                added = self._do(_FILL, LIFE)
            self.lapsed += bool(added)

    def open(self) -> None:
        """End it. A Redis that is gone has taken it along; one that does not answer is left to the keeper."""
        with self._one_at_a_time:
            try:
                try:
                    self._do(_EMPTY)
                except OpsError:
                    self._store = self._connect()
                    self._do(_EMPTY)
            except OpsError:
                return
            if self._keeper is not None:
                self._keeper.kill()
                self._keeper.wait()
                self._keeper = None

    def _do(self, script: str, *arguments: int) -> int:
        return self._store.script(script, _keys(self._store, self._members), [*arguments, *self._members])

    def _hire(self) -> None:
        """Start a keeper for this Redis, before there is anything to keep; an older one finds nothing and goes."""
        self._keeper = keeper(self._store, self._members)


def members(run: str, limit: int) -> list[str]:
    return [f"{FILLER}{run or 'by-hand'}:{number}" for number in range(limit)]


def keeper(store: Store, names: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one and that nobody waits for: a session and no file of ours."""
    given: dict[str, t.Any] = {"url": store.url, "sweep": _SWEEP, "keys": _keys(store, names), "members": list(names)}
    given.update(life=LIFE, pause=KEEPER_LOOKS_EVERY, patience=KEEPER_GIVES_UP_AFTER)
    process = subprocess.Popen(
        [sys.executable, "-c", _KEEPER],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with contextlib.suppress(BrokenPipeError), t.cast("t.IO[bytes]", process.stdin) as pipe:
        pipe.write(json.dumps(given).encode())
    return process


def sweep(store: Store) -> list[str]:
    """Take out what a holder that is gone has left; return it. Admission that is still wanted stays closed."""
    return store.release(store.slots().abandoned)


def _keys(store: Store, names: Sequence[str]) -> list[str]:
    return [store.keys.members, *map(store.keys.of, names)]


@contextmanager
def closed(connect: t.Callable[[], Store], run: str, limit: int) -> Iterator[Admission]:
    """Keep new work out until the body has ended, by whatever end; SIGTERM, SIGHUP and SIGINT end it in order.

    Args:
        connect: finds the Redis; it is called again when the Redis was replaced in the meantime.
        run: who closes it.
        limit: how many slots there are: as many members make it full, whatever ends meanwhile.
    """
    sweep(connect())
    with signals_raised():
        admission = Admission(connect, run, limit)
        done = threading.Event()
        thread = threading.Thread(target=_go_on, args=(admission, done), daemon=True)
        try:
            admission.close()
            thread.start()
            yield admission
        finally:
            done.set()
            if thread.ident is not None:
                thread.join()
            admission.open()


def _go_on(admission: Admission, done: threading.Event) -> None:
    pause = RENEWED_EVERY
    while not done.wait(pause):
        begun = time.monotonic()
        try:
            admission.renew()
            pause = RENEWED_EVERY
        except OpsError:
            pause = 1.0
        pause = max(0.5, pause - (time.monotonic() - begun))


@contextmanager
def signals_raised() -> Iterator[None]:
    """Turn the signals that would end this process at once into an exception; one that is ignored stays so."""

    def leave(number: int, _frame: object) -> t.NoReturn:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, leave) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
