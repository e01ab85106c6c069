# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live work counted three ways: slots in Redis, what each container says of itself, and the streams that are open.

No single one is enough. A slot may be leaked, an application that has lost its Redis says 0, work that was begun from
here takes no slot at all, and between the webhook of a call and its stream there is nothing to be seen but its slot.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import time
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import _capacity, _sockets
from ._capacity import Slots, Store
from ._check import PASS
from ._claim import Claim
from ._engine import Container, Engine
from ._errors import OpsError, Unreachable

CALM = 0.5  # seconds between two looks for a quiet moment


@dataclass(frozen=True)
class Times:
    """What is usual for a call, in seconds.

    Attributes:
        slot: how long the key of a slot lives from its beginning.
        stream: a slot that is older and has no stream anywhere is leaked.
        joining: how long a call may take from its webhook to its stream.
    """

    slot: int = 7200
    stream: int = 60
    joining: int = 10


@dataclass(frozen=True)
class Calls:
    """What was counted.

    Attributes:
        streams: open streams, by the name of the container.
        slots: what Redis holds.
        claims: what each container says, as far as it answers.
        without_key: slots that are leaked, as their key is gone.
        without_stream: slots that are leaked, as their key is there, but no stream has come for a while.
        joining: slots so young that their stream may be still to come.
        unread: why the number is not known; empty when it is.
    """

    streams: Mapping[str, int] = field(default_factory=dict)
    slots: Slots = field(default_factory=Slots)
    claims: Mapping[str, int] = field(default_factory=dict)
    without_key: tuple[str, ...] = ()
    without_stream: tuple[str, ...] = ()
    joining: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def open(self) -> int:
        return sum(self.streams.values())

    @property
    def live(self) -> int:
        """How many must be taken for live, at least, where it is known."""
        return max(self.open, self.slots.total - len(self.without_key) - len(self.without_stream))

    @property
    def known(self) -> bool:
        return not self.unread

    @property
    def silent(self) -> bool:
        """Whether it is known that nobody speaks."""
        return self.known and self.live == 0

    @property
    def quiet(self) -> bool:
        """Whether no call is between its webhook and its stream. A stream without a slot may hide one that is."""
        held = self.slots.total - len(self.without_key) - len(self.without_stream)
        return self.known and (not self.joining or held <= self.open)

    @property
    def told(self) -> str:
        if not self.known:
            return f"the number of calls is not known: {'; '.join(self.unread)}"
        leaked = len(self.without_key) + len(self.without_stream)
        also = f", and {leaked} leaked" if leaked else ""
        return (
            f"{number(self.live)} ({counted(self.open, 'stream')}, {counted(self.slots.total - leaked, 'slot')}{also})"
        )

    def facts(self) -> dict[str, t.Any]:
        """Return the numbers as a module returns them."""
        return {
            "live": self.live if self.known else None,
            "known": self.known,
            "told": self.told,
            "streams": dict(self.streams),
            "slots": len(self.slots.live),
            "endpoints": dict(self.claims),
            "without_key": list(self.without_key),
            "without_stream": list(self.without_stream),
            "closed_by": self.slots.closed_by,
        }


def number(live: int) -> str:
    return counted(live, "call")


def counted(many: int, what: str) -> str:
    return f"{many} {what}" if many == 1 else f"{many} {what}s"


def judge(
    slots: Slots, streams: Mapping[str, int], claims: Mapping[str, int], unread: Sequence[str], times: Times
) -> Calls:
    """Tell live slots from leaked ones: a stream anywhere may belong to any slot, so only without one can it be told."""
    ages = {member: times.slot - left if left >= 0 else 0 for member, left in slots.left.items()}
    silent = not any(streams.values()) and not unread
    return Calls(
        streams=streams,
        slots=slots,
        claims=claims,
        # Redis throws out what was used last longest ago: the key of a call that has no stream yet is not among it.
        without_key=slots.leaked if silent or not slots.evicted else (),
        without_stream=tuple(one for one in slots.live if silent and ages.get(one, 0) > times.stream),
        joining=tuple(one for one in slots.live if ages.get(one, 0) <= times.joining),
        unread=tuple(unread),
    )


@dataclass(frozen=True)
class Counter:
    """Counts the calls of a service.

    Attributes:
        containers: finds the running containers of the service.
        port: where they take streams.
        connect: finds the Redis.
        ask: asks one container what it counts.
    """

    containers: t.Callable[[], Sequence[Container]]
    port: int
    connect: t.Callable[[], Store]
    ask: t.Callable[[Container], Claim]
    times: Times = field(default_factory=Times)

    def __call__(self) -> Calls:
        """Count. It takes a second, and what could not be read is named instead of raised."""
        unread: list[str] = []
        try:
            running, store = self.containers(), self.connect()
        except OpsError as error:
            return Calls(unread=(_reason(error),))
        claims: dict[str, int] = {}
        slots, open_now = Slots(), {}
        try:
            for container in running:
                try:
                    claims[container.name] = self._claim(container, store)
                except OpsError as error:
                    unread.append(f"{container.name}: {_reason(error)}")
            slots = store.slots()
        except OpsError as error:
            unread.append(_reason(error))
        try:
            open_now = open_streams(running, self.port)
        except OpsError as error:
            unread.append(_reason(error))
        return judge(slots, open_now, claims, unread, self.times)

    def _claim(self, container: Container, store: Store) -> int:
        said, outcome = _capacity.ask_while_it_moves(store, lambda: self.ask(container), store.count())
        if said is None or outcome.status != PASS:
            raise OpsError(outcome.evidence)
        return said.active


def _reason(error: OpsError) -> str:
    return error.problem.rstrip(".")


def running(engine: Engine, project: str, service: str) -> list[Container]:
    """Return the containers of a service that have a process, one that is paused or being drained included."""
    return [one for one in engine.containers(project, service) if one.pid and not one.one_off]


def open_streams(containers: Sequence[Container], port: int) -> dict[str, int]:
    """Return the open streams of some containers, by their names; it takes a second."""
    for container in containers:
        for address in container.addresses.values():
            if not _sockets.has_address(container.pid, address):
                raise Unreachable(
                    f"Process {container.pid} of this host is not the one of {container.name}",
                    "Run it on the host of the engine.",
                )
    seen = _sockets.sampled({container.name: (container.pid, port) for container in containers})
    return {name: _sockets.lasting(samples) for name, samples in seen.items()}


def streams(container: Container, port: int) -> int:
    """Return the open streams of one container, to see when an old one is empty; it takes a second.

    ``container`` as the engine tells it now. A stopped one has none; one whose sockets cannot be read raises.
    """
    return open_streams([container], port)[container.name] if container.pid else 0


def quiet_moment(counter: t.Callable[[], Calls], seconds: float) -> bool:
    """Wait for a moment in which no call is between its webhook and its stream; false when there was none."""
    deadline = time.monotonic() + seconds
    while not counter().quiet:
        if time.monotonic() + CALM > deadline:
            return False
        time.sleep(CALM)
    return True
