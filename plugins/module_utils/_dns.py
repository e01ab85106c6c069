# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to one DNS server, and what its answer comes to.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ._errors import OpsError

if t.TYPE_CHECKING:
    import dns.message
    import dns.name

# What a reply comes to. The first four are words of the zone, the others say why there is none.
DATA = "data"
EMPTY = "empty"  # the name is there and has no such record
MISSING = "missing"  # NXDOMAIN
ALIAS = "alias"  # the name is an alias of one that this server does not serve
LAME = "lame"  # the server is named for the zone and does not serve it
BROKEN = "broken"  # SERVFAIL and its like
BOGUS = "bogus"  # the resolver refuses the zone's DNSSEC signatures; what it refuses is in the reply
SILENT = "silent"
SETTLED = (DATA, EMPTY, MISSING, ALIAS)

SYSTEM = "system"  # the entry of a list of resolvers that stands for those of this host
_FAILED = "SERVFAIL"
_EDNS_BYTES = 1232  # no fragments: what DNS flag day 2020 agreed on


@dataclass(frozen=True)
class Server:
    """Somebody who can be asked: a server with authority, or a resolver. Without an address it cannot be found."""

    name: str
    address: str
    recurses: bool = False

    def __str__(self) -> str:
        return self.name if self.address in ("", self.name) else f"{self.name} ({self.address})"


@dataclass(frozen=True)
class Reply:
    """What a server says of the records of one type under a name.

    Attributes:
        state: one of the states above.
        values: the records as text, sorted.
        ttl: seconds for which others may go on saying so.
        owner: where the records are, at the end of a chain of aliases.
        zone: the zone that the server names where it has no such record; empty when it names none.
        said: what went wrong, in words.
    """

    state: str
    values: tuple[str, ...] = ()
    ttl: int = 0
    owner: str = ""
    zone: str = ""
    said: str = ""


Exchange = t.Callable[["dns.message.Message", str, float], "dns.message.Message"]
Ask = t.Callable[[Server, str, str], Reply]


def tidy(name: str) -> str:
    """Return a name as it travels: lower case, without the last dot, in ASCII."""
    import dns.exception
    import dns.name

    try:
        found: str = dns.name.from_text(name).to_text(omit_final_dot=True).lower()
    except (dns.exception.DNSException, UnicodeError):
        raise OpsError(f"{name!r} is no DNS name.", "Correct it.") from None
    return found


def exchange(query: dns.message.Message, address: str, timeout: float) -> dns.message.Message:
    """Send a query by UDP, and again by TCP when the answer did not fit; what is not its answer is ignored."""
    import dns.query

    answer, _by_tcp = dns.query.udp_with_fallback(
        query, address, timeout=timeout, ignore_unexpected=True, ignore_errors=True
    )
    return answer


def asking(timeout: float, tries: int, send: Exchange = exchange) -> Ask:
    return functools.partial(_ask, timeout, tries, send)


def _ask(timeout: float, tries: int, send: Exchange, server: Server, name: str, kind: str) -> Reply:
    if not server.address:
        return Reply(SILENT if server.recurses else LAME, said="its name has no address")
    reply = Reply(SILENT)
    for attempt in range(tries):
        # The second time without EDNS, which old servers and odd firewalls do not pass.
        reply = _asked(_query(name, kind, server.recurses, plain=attempt > 0), timeout, send, server)
        if reply.state not in (SILENT, BROKEN):
            return reply
    if server.recurses and reply.said.startswith(_FAILED):
        unchecked = _asked(_query(name, kind, True, unchecked=True), timeout, send, server)
        if unchecked.state in SETTLED:
            return replace(unchecked, state=BOGUS, said=reply.said)
    return reply


def _asked(query: dns.message.Message, timeout: float, send: Exchange, server: Server) -> Reply:
    import dns.exception

    try:
        return read(send(query, server.address, timeout), server.recurses)
    except dns.exception.Timeout:
        return Reply(SILENT, said="no answer")
    except OSError as error:  # no route, or nobody listens
        return Reply(SILENT, said=error.strerror or str(error))
    except (dns.exception.DNSException, EOFError, ValueError):
        return Reply(BROKEN, said="an answer that cannot be read")


def _query(name: str, kind: str, recurse: bool, plain: bool = False, unchecked: bool = False) -> dns.message.Message:
    """Build a query; ``unchecked`` asks for an answer whatever its DNSSEC signatures are worth."""
    import dns.flags
    import dns.message

    query = dns.message.make_query(name + ".", kind)
    if not plain:
        query.use_edns(0, payload=_EDNS_BYTES)
    if not recurse:
        query.flags &= ~dns.flags.RD
    if unchecked:
        query.flags |= dns.flags.CD
    return query


def read(answer: dns.message.Message, recurses: bool) -> Reply:
    """Say what an answer comes to: that of a resolver, or of a server that must have the authority."""
    import dns.exception
    import dns.flags
    import dns.rcode

    rcode = answer.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        said = " ".join([dns.rcode.to_text(rcode), *_reasons(answer)])
        return Reply(LAME if rcode == dns.rcode.REFUSED and not recurses else BROKEN, said=said)
    if not recurses and not answer.flags & dns.flags.AA:
        return Reply(LAME, said="an answer without authority")
    try:
        chain = t.cast("dns.message.QueryMessage", answer).resolve_chaining()
    except dns.exception.DNSException as error:
        return Reply(BROKEN, said=f"an answer that contradicts itself ({type(error).__name__})")
    owner, ttl = _text(chain.canonical_name), chain.minimum_ttl
    if chain.answer is not None:
        return Reply(DATA, tuple(sorted(_record(item) for item in chain.answer)), ttl, owner)
    state = MISSING if rcode == dns.rcode.NXDOMAIN else ALIAS if chain.cnames and not recurses else EMPTY
    return Reply(state, (), ttl, owner, zone=_zone_named(answer))


def _reasons(answer: dns.message.Message) -> list[str]:
    """Return the reasons that a server gives beyond its code (RFC 8914)."""
    import dns.edns

    found = [option for option in answer.options if isinstance(option, dns.edns.EDEOption)]
    return [f"({option.text or dns.edns.EDECode(option.code).name.replace('_', ' ').lower()})" for option in found]


def _zone_named(answer: dns.message.Message) -> str:
    import dns.rdatatype

    return next((_text(found.name) for found in answer.authority if found.rdtype == dns.rdatatype.SOA), "")


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _record(item: t.Any) -> str:
    if hasattr(item, "tag"):  # CAA: its text form has quotes and escapes
        return f"{item.flags} {item.tag.decode('ascii', 'replace')} {item.value.decode('utf-8', 'replace')}"
    if hasattr(item, "target"):
        return _text(item.target)
    return str(item)


def resolvers(entries: Sequence[str], resolv_conf: Path = Path("/etc/resolv.conf")) -> list[Server]:
    """Return who is meant by addresses, host names and ``system``, each address once."""
    found: dict[str, Server] = {}
    for entry in entries:
        for server in _system(resolv_conf) if entry == SYSTEM else [Server(entry, _address(entry), True)]:
            found.setdefault(server.address or server.name, server)
    if not found:
        raise OpsError("There is no resolver to ask.", "Name some in resolvers, such as 1.1.1.1 and 9.9.9.9.")
    return list(found.values())


def _system(resolv_conf: Path) -> list[Server]:
    try:
        lines = [line.split() for line in resolv_conf.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []
    return [Server(SYSTEM, words[1], True) for words in lines if len(words) > 1 and words[0] == "nameserver"]


def _address(entry: str) -> str:
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(entry, 53, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError:
        return ""
