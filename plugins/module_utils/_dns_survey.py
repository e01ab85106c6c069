# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What DNS says of a name: at every server that has the authority, asked directly, and at resolvers.

The servers of a zone are found through the resolvers. ``/etc/hosts`` has no say, and nothing is believed that a server
says without authority.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import threading
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, field

from ._dns import ALIAS, BOGUS, BROKEN, DATA, EMPTY, LAME, MISSING, SETTLED, SILENT, Ask, Reply, Server
from ._errors import OpsError, Unreachable

MOST_ALIASES = 8
ADDRESSES = ("A", "AAAA")
_WORST = (SILENT, BROKEN, BOGUS, LAME, ALIAS)


@dataclass(frozen=True)
class Answer:
    """What one server says of the addresses of a name; ``serial`` is that of its copy of the zone, where it has one."""

    server: Server
    state: str
    addresses: frozenset[str] = frozenset()
    ttl: int = 0
    owner: str = ""
    said: str = ""
    serial: int = -1

    @property
    def settled(self) -> bool:
        return self.state in SETTLED


@dataclass(frozen=True)
class Seen:
    """A name at all who were asked."""

    name: str
    zone: str
    aliases: tuple[str, ...]
    authority: tuple[Answer, ...]
    resolvers: tuple[Answer, ...]

    @property
    def newest(self) -> tuple[Answer, ...]:
        """What the zone says now: the answers of the servers with the newest copy of it."""
        settled = [answer for answer in self.authority if answer.settled]
        latest = max((answer.serial for answer in settled), default=-1)
        return tuple(answer for answer in settled if answer.serial == latest)


@dataclass(frozen=True)
class Tree:
    """The CAA records that hold for a name, by the server that gives them; ``owner`` is where they were found."""

    owner: str = ""
    records: dict[Server, tuple[str, ...]] = field(default_factory=dict)


def merged(server: Server, replies: Sequence[Reply], serial: int = -1) -> Answer:
    """Make one answer of those for both kinds of address: what went wrong with one of them went wrong."""
    for state in _WORST:
        for reply in replies:
            if reply.state == state:
                return Answer(server, state, owner=reply.owner, said=reply.said, serial=serial)
    addresses = frozenset(value for reply in replies for value in reply.values)
    state = DATA if addresses else MISSING if {reply.state for reply in replies} == {MISSING} else EMPTY
    ttl = max(reply.ttl for reply in replies if not addresses or reply.values)
    return Answer(server, state, addresses, ttl, replies[0].owner, serial=serial)


def nobody(zone: str, said: Mapping[Server, str]) -> Unreachable:
    """Say that no server of a zone could be heard, and why each of them was not."""
    server = next(iter(said))
    return Unreachable(
        f"No server of the zone {zone} answers with authority ({reasons(said)}).",
        f"Let this host send to port 53 of them, UDP and TCP: dig +norec SOA {zone} @{server.address or server.name}",
    )


def reasons(said: Mapping[Server, str]) -> str:
    return "; ".join(f"{server}: {why}" for server, why in said.items())


def upwards(name: str) -> Iterator[str]:
    """Yield a name and what is above it, up to the top-level domain."""
    labels = name.split(".")
    for at in range(len(labels)):
        yield ".".join(labels[at:])


class Survey:
    """Asks everybody side by side, and finds out each thing once.

    Args:
        resolvers: who is asked for the way, and for what the world hears.
        ask: puts one question to one server.
        pool: runs single questions; whoever waits for them must not run in it.
    """

    def __init__(self, resolvers: Sequence[Server], ask: Ask, pool: Executor) -> None:
        self._resolvers = resolvers
        self._ask = ask
        self._pool = pool
        self._known: dict[tuple[str, str], Future[t.Any]] = {}
        self._silent: dict[Server, Reply] = {}
        self._lock = threading.Lock()

    def see(self, name: str) -> Seen:
        """Ask for a name's addresses, where it is kept and where it is heard."""
        heard = [(server, self._begin(server, name, ADDRESSES)) for server in self._resolvers]
        zone, aliases, replies = self.authority(name, ADDRESSES)
        settled = [server for server, said in replies.items() if said[0].state in SETTLED]
        asked = {server: self._begin(server, zone, ["SOA"]) for server in settled}
        serials = {server: _serial(begun[0].result()) for server, begun in asked.items()}
        return Seen(
            name,
            zone,
            tuple(aliases),
            tuple(merged(server, said, serials.get(server, -1)) for server, said in replies.items()),
            tuple(merged(server, [one.result() for one in begun]) for server, begun in heard),
        )

    def authority(self, name: str, kinds: Sequence[str]) -> tuple[str, list[str], dict[Server, list[Reply]]]:
        """Return the zone that a name is kept in, the aliases on the way there, and what each of its servers says."""
        aliases: list[str] = []
        while True:
            at = aliases[-1] if aliases else name
            zone = self.zone(at)
            asked = [(server, self._begin(server, at, kinds)) for server in self.servers(zone)]
            replies = {server: [one.result() for one in begun] for server, begun in asked}
            settled = [reply for said in replies.values() for reply in said if reply.state in SETTLED]
            onward = {reply.owner for reply in settled}
            if len(onward) != 1 or {reply.state for reply in settled} != {ALIAS} or len(aliases) == MOST_ALIASES:
                return zone, aliases, replies
            aliases += onward

    def caa(self, name: str) -> Tree:
        """Climb from a name to the first one that has CAA records (RFC 8659, section 3)."""
        for at in upwards(name):
            if "." not in at:  # the registry's own, which resolvers know well enough
                reply = self.resolve(at, "CAA")
                return Tree(at, {Server("the registry", ""): reply.values}) if reply.values else Tree()
            zone, _aliases, replies = self.authority(at, ["CAA"])
            settled = {server: said[0].values for server, said in replies.items() if said[0].state in SETTLED}
            if not settled:
                raise nobody(zone, {server: said[0].said for server, said in replies.items()})
            if any(settled.values()):
                return Tree(at, settled)
        return Tree()

    def zone(self, name: str) -> str:
        """Return the zone that a name belongs to; one that no registry delegates is an error."""
        return t.cast(str, self._once("zone", name, self._find_zone))

    def servers(self, zone: str) -> list[Server]:
        """Return the servers of a zone, one for each of their addresses."""
        return t.cast("list[Server]", self._once("servers", zone, self._find_servers))

    def resolve(self, name: str, kind: str) -> Reply:
        """Return what the resolvers say, by the first of them that has something to say."""
        return self._first(self._begin_all(name, kind))

    def _find_zone(self, name: str) -> str:
        found, trouble = "", None
        for at in upwards(name):
            try:
                reply = self.resolve(at, "SOA")
            except Unreachable as error:  # a broken name can be in a sound zone
                trouble = trouble or error
                continue
            named = at if reply.values and reply.owner == at else reply.zone
            if at == named or at.endswith("." + named):  # an alias may name the zone that it leads to
                found = named
                break
        if "." in found or found == name:
            return found
        raise trouble or OpsError(
            f"{name} is in no zone of its own: its domain is not registered, has expired, or is not delegated.",
            f"Look at the registrar: whois {'.'.join(name.split('.')[-2:])}",
        )

    def _find_servers(self, zone: str) -> list[Server]:
        names = self.resolve(zone, "NS").values
        if not names:
            raise Unreachable(f"The resolvers name no server of the zone {zone}.", f"dig NS {zone}")
        asked = {name: [self._begin_all(name, kind) for kind in ADDRESSES] for name in names}
        found = []
        for name, begun in asked.items():
            try:
                addresses = sorted({value for futures in begun for value in self._first(futures).values})
            except Unreachable:  # nobody can say where it is, so nobody can ask it
                addresses = []
            found += [Server(name, address) for address in addresses or [""]]
        return found

    def _begin(self, server: Server, name: str, kinds: Sequence[str]) -> list[Future[Reply]]:
        return [self._pool.submit(self._question, server, name, kind) for kind in kinds]

    def _question(self, server: Server, name: str, kind: str) -> Reply:
        """Ask, unless the server was silent before: each silence takes seconds."""
        reply = self._silent.get(server) or self._ask(server, name, kind)
        if reply.state == SILENT:
            self._silent[server] = reply
        return reply

    def _begin_all(self, name: str, kind: str) -> dict[Future[Reply], Server]:
        return {self._begin(server, name, [kind])[0]: server for server in self._resolvers}

    def _first(self, asked: dict[Future[Reply], Server]) -> Reply:
        """Wait for a resolver that has the records, or knows for sure that there are none.

        One that has never heard of the name may be the one that is behind, so others are heard before it is believed.
        """
        replies = {}
        for done in as_completed(asked):
            reply = replies[asked[done]] = done.result()
            if reply.state == DATA or (reply.state == EMPTY and reply.zone):
                return reply
        for state in (EMPTY, MISSING, BOGUS):
            for reply in replies.values():
                if reply.state == state:
                    return reply
        told = reasons({server: replies[server].said for server in self._resolvers})
        raise Unreachable(
            f"No resolver can be asked ({told}).",
            "Let this host send to port 53, UDP and TCP, or name others in resolvers (preflight_dns_resolvers).",
        )

    def _once(self, what: str, key: str, find: t.Callable[[str], t.Any]) -> t.Any:
        with self._lock:
            known = self._known.get((what, key))
            ours = known is None
            known = known or self._known.setdefault((what, key), Future())
        if ours:
            try:
                known.set_result(find(key))
            except BaseException as error:
                known.set_exception(error)
        return known.result()


def _serial(soa: Reply) -> int:
    return int(soa.values[0].split()[2]) if soa.state == DATA else -1
