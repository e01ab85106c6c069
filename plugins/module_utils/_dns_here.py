# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads to this host: its own addresses, those that somebody tells, and proxies that may forward to it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ._errors import OpsError, Unreachable

_LOCAL = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")


@dataclass(frozen=True)
class Here:
    """What leads to this host.

    Attributes:
        own: addresses of its interfaces, as the kernel has them.
        told: addresses that somebody says lead here (NAT, a load balancer).
        hosts: addresses by name in its ``/etc/hosts``.
    """

    own: frozenset[str]
    told: frozenset[str] = frozenset()
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def addresses(self) -> frozenset[str]:
        return frozenset(one for one in self.own | self.told if not ipaddress.ip_address(one).is_loopback)

    @property
    def knows_its_public_addresses(self) -> bool:
        return bool(self.told) or any(ipaddress.ip_address(one).is_global for one in self.own)


class Proxy(t.NamedTuple):
    """Somebody who answers for others: where a name leads to them, DNS does not tell where they forward to."""

    name: str
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    def has(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        return any(found in network for network in self.networks)


def here(told: Iterable[str], proc: Path = Path("/proc"), hosts: Path = Path("/etc/hosts")) -> Here:
    """Look at this host."""
    return Here(own_addresses(proc), frozenset(map(_address, told)), hosts_file(hosts))


def own_addresses(proc: Path) -> frozenset[str]:
    """Return the addresses of all interfaces; those of one link alone are left out."""
    try:
        found = set(_LOCAL.findall((proc / "net/fib_trie").read_text(encoding="ascii")))
        six = proc / "net/if_inet6"
        lines = six.read_text(encoding="ascii").splitlines() if six.exists() else []
    except OSError as error:
        raise Unreachable(f"The addresses of this host cannot be read ({error}).", "Run it on a Linux host.") from None
    found |= {str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))) for line in lines}
    return frozenset(one for one in found if not ipaddress.ip_address(one).is_link_local)


def hosts_file(path: Path) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name.lower(), set()).add(address)
    return {name: frozenset(addresses) for name, addresses in found.items()}


def proxies(given: Sequence[Mapping[str, t.Any]]) -> list[Proxy]:
    try:
        return [
            Proxy(one["name"], tuple(ipaddress.ip_network(network, strict=False) for network in one["networks"]))
            for one in given
        ]
    except ValueError as error:
        raise OpsError(f"A network of proxies is none: {error}.", "Write it as 192.0.2.0/24.") from None


def _address(given: str) -> str:
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        raise OpsError(f"{given!r} in addresses is no address.", "Write it as 192.0.2.10.") from None
