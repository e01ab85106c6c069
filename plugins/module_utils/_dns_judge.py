# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a name lead to this host, and does everybody say the same of it?

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import ipaddress
import typing as t
from collections.abc import Iterable, Sequence

from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._dns import BOGUS, MISSING, SYSTEM
from ._dns_here import Here, Proxy
from ._dns_survey import Answer, Seen, nobody, reasons
from ._errors import Unreachable

_RESOLVERS = "Let this host send to port 53, UDP and TCP, or name others in resolvers (preflight_dns_resolvers)"


def judge_points(seen: Seen, host: Here, known: Sequence[Proxy]) -> Outcome:
    """Judge whether the zone, as it is now, leads to this host and nowhere else, with IPv4 and IPv6."""
    newest = _newest(seen)
    addresses = {address for answer in newest for address in answer.addresses}
    by_hosts = host.hosts.get(seen.name, frozenset())
    aside = f"; /etc/hosts of this host says {listed(by_hosts)}" if by_hosts and by_hosts != addresses else ""
    if not addresses:
        kept = seen.aliases[-1] if seen.aliases else seen.name
        what = f"{kept} has no A or AAAA record{_alias_of(seen)}"
        return Outcome(FAIL, what + aside, f"Add it to the zone {seen.zone}: {kept} {_wanted_record(host)}")
    ours = addresses & host.addresses
    proxied = {one.name: {a for a in addresses - ours if one.has(a)} for one in known}
    foreign = addresses - ours - {address for found in proxied.values() for address in found}
    told = [_belongs(ours, "this host")] if ours else []
    told += [_belongs(found, name) for name, found in proxied.items() if found]
    after = f"{_alias_of(seen)}, TTL {max(answer.ttl for answer in newest)} s{aside}"
    if foreign:
        return _elsewhere(seen, host, foreign, " and ".join(told), after)
    if not any(":" in one for one in addresses):
        after = f", no AAAA{after}"
    if any(proxied.values()):
        remedy = "Compare the origin in the proxy's settings with this host, and accept it with a waiver"
        return Outcome(WARN, f"{' and '.join(told)}; where that forwards to cannot be seen from DNS{after}", remedy)
    return Outcome(PASS, " and ".join(told) + after)


def _elsewhere(seen: Seen, host: Here, foreign: Iterable[str], told: str, after: str) -> Outcome:
    if any(ipaddress.ip_address(one).is_global for one in foreign) and not host.knows_its_public_addresses:
        return Outcome(
            UNKNOWN,
            f"{_records(foreign)} may lead to this host or not: it has private addresses only, and which public ones are "
            f"forwarded to them is not known here{after}",
            "Name its public addresses in addresses (preflight_dns_addresses)",
        )
    evidence = f"{_belongs(foreign, 'this host', 'not ')}{f'; {told}' if told else ''}{after}"
    what = f"Take {_records(foreign)} out of the zone {seen.zone}"
    if not told:
        what = f"Replace {_records(foreign)} in the zone {seen.zone} by {_wanted_record(host)}"
    return Outcome(FAIL, evidence, f"{what}; or, if that leads here, name it in addresses (preflight_dns_addresses)")


def judge_agreed(seen: Seen, host: Here, known: Sequence[Proxy], points: str, now: datetime.datetime) -> Outcome:
    """Judge whether all who were asked say the same of a name, and tell until when others go on saying something else.

    Args:
        points: id of the check that says what is wrong with a name that nobody has.
    """
    newest = _newest(seen)
    places = {_place(answer, known) for answer in newest}
    settled = [one for one in seen.authority if one.settled]
    heard = [one for one in seen.resolvers if one.settled]
    behind = [one for one in settled if places != {_place(one, known)}]
    aside = [one for one in heard if _place(one, known) not in places]
    late = [one for one in aside if not _inside(one, host)]
    bogus = [one for one in seen.resolvers if one.state == BOGUS]
    if behind or late or bogus:
        return _disagreed(seen, behind, late, bogus, now)
    if not heard:
        said = reasons({one.server: one.said for one in seen.resolvers})
        return Outcome(UNKNOWN, f"No resolver can be asked ({said})", _RESOLVERS)
    if not any(answer.addresses for answer in newest):
        return Outcome(UNKNOWN, f"nobody has an address of {seen.name}", f"See {points}")
    names = {one.server.name for one in settled}
    evidence = f"{_counted(len(names), 'name server')} and {_counted(len(heard), 'resolver')} say {_said(newest[0])}"
    evidence += "".join(f"; the resolver of this host says {_said(one)}, which is this host, too" for one in aside)
    useless = {one.server: one.said for one in seen.authority if one.server.name not in names}
    silent = {one.server: one.said for one in seen.resolvers if not one.settled}
    if not useless and not silent:
        return Outcome(PASS, evidence)
    remedy = "Run it again; or take what this host cannot ask out of resolvers (preflight_dns_resolvers)"
    if useless:
        gone = ", ".join(sorted({server.name for server in useless}))
        remedy = f"Have {gone} serve the zone {seen.zone}, or take it out of its NS records, and at the registrar"
    return Outcome(WARN, f"{evidence}; of no use: {reasons({**useless, **silent})}", remedy)


def _disagreed(
    seen: Seen, behind: Sequence[Answer], late: Sequence[Answer], bogus: Sequence[Answer], now: datetime.datetime
) -> Outcome:
    parts, remedies = [], []
    right = [answer for answer in seen.newest if answer not in behind]
    parts += [f"{one.server} says {_said(one)}{_serial(one, bool(behind))}" for one in [*right[:1], *behind]]
    if behind:
        names = ", ".join(sorted({one.server.name for one in behind}))
        remedies.append(f"Have the newest zone {seen.zone} copied to {names}; its provider does that")
    if late:
        until = now + datetime.timedelta(seconds=max(one.ttl for one in late))
        parts += [f"{one.server} still says {_said(one)}, for {one.ttl} s more" for one in late]
        remedies.append(f"Run it again after {until:%H:%M:%S} UTC, when the older answers have run out")
    if bogus:
        parts += [f"{one.server} refuses the zone's DNSSEC signatures: {one.said}" for one in bogus]
        remedies.append("Correct the DS record at the registrar, or remove it")
    return Outcome(FAIL, "; ".join(parts), "; ".join(remedies))


def _newest(seen: Seen) -> tuple[Answer, ...]:
    newest = seen.newest
    if not newest:
        error = nobody(seen.zone, {one.server: one.said for one in seen.authority})
        heard = [f"{one.server} says {_said(one)}" for one in seen.resolvers if one.settled]
        raise Unreachable("\n".join([error.problem, *heard]), error.remedy)
    return newest


def _place(answer: Answer, known: Sequence[Proxy]) -> t.Any:
    """Return what has to be the same everywhere: a proxy may answer with any of its addresses."""
    for proxy in known:
        if answer.addresses and all(proxy.has(address) for address in answer.addresses):
            return proxy.name
    return answer.addresses


def _inside(answer: Answer, host: Here) -> bool:
    """Tell whether the resolver of this host leads to this host in its own way, as it may."""
    ours = host.addresses | host.hosts.get(answer.owner, frozenset())
    return answer.server.name == SYSTEM and bool(answer.addresses) and answer.addresses <= ours


def _said(answer: Answer) -> str:
    return listed(answer.addresses) or ("there is no such name" if answer.state == MISSING else "it has no address")


def _serial(answer: Answer, wanted: bool) -> str:
    return f" (serial {answer.serial})" if wanted and answer.serial >= 0 else ""


def _belongs(addresses: Iterable[str], whose: str, negation: str = "") -> str:
    addresses = list(addresses)
    return f"{_records(addresses)} {'is' if len(addresses) == 1 else 'are'} {negation}{whose}'s"


def _records(addresses: Iterable[str]) -> str:
    return ", ".join(f"{'AAAA' if ':' in one else 'A'} {one}" for one in in_order(addresses))


def listed(addresses: Iterable[str]) -> str:
    return ", ".join(in_order(addresses))


def in_order(addresses: Iterable[str]) -> list[str]:
    return sorted(addresses, key=lambda one: (":" in one, one))


def _alias_of(seen: Seen) -> str:
    return f" ({seen.name} is an alias of {', and that of '.join(seen.aliases)})" if seen.aliases else ""


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _wanted_record(host: Here) -> str:
    public = in_order(one for one in host.addresses if one in host.told or ipaddress.ip_address(one).is_global)
    return _records(public[:1]) if public else "A <the public address of this host>"
