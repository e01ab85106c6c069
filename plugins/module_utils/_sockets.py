# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Established TCP connections of a process's network, read from the kernel: whoever runs there need not be asked.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import ipaddress
import struct
import time
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ._errors import Unreachable

PROC = Path("/proc")
SAMPLES = 5
PAUSE = 0.25
_ESTABLISHED = "01"

Address = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class Row(t.NamedTuple):
    """One established connection."""

    local: Address
    local_port: int
    peer: Address
    peer_port: int


def rows(text: str) -> list[Row]:
    """Read ``/proc/PID/net/tcp`` or ``tcp6``; an IPv4 address within IPv6 becomes what it is."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _ESTABLISHED:
            found.append(Row(*_end(fields[1]), *_end(fields[2])))
    return found


def _end(text: str) -> tuple[Address, int]:
    """Read an address as the kernel prints it: words of four bytes in the order of this machine."""
    address, _colon, port = text.partition(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(packed) == 4:
        return ipaddress.IPv4Address(packed), int(port, 16)
    six = ipaddress.IPv6Address(packed)
    return six.ipv4_mapped or six, int(port, 16)


def established(pid: int, port: int, ports_local: bool = True, proc: Path = PROC) -> list[Row]:
    """Return who is connected to ``port`` in the network of a process; what it asks itself does not count.

    Args:
        ports_local: false for connections that lead from there to ``port`` elsewhere.
    """
    found = []
    for name in ("tcp", "tcp6"):
        for row in rows(_read(pid, name, proc)):
            if (row.local_port if ports_local else row.peer_port) == port and not row.peer.is_loopback:
                found.append(row)
    return [row for row in found if row.peer != row.local]


def has_address(pid: int, address: str, proc: Path = PROC) -> bool:
    """Whether an IPv4 address is one of the network of a process: that it is the one which is meant."""
    return f"|-- {address}" in [line.strip() for line in _read(pid, "fib_trie", proc).splitlines()]


def _read(pid: int, name: str, proc: Path) -> str:
    path = proc / str(pid) / "net" / name
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        if name == "tcp6" and path.parent.is_dir():
            return ""  # an engine without IPv6
        raise Unreachable(f"Process {pid} is not on this host", "Run it on the host of the engine.") from None
    except (OSError, ValueError):
        raise Unreachable(f"{path} cannot be read", "Run it with become: true.") from None


def sampled(places: Mapping[str, tuple[int, int]]) -> dict[str, list[set[Row]]]:
    """Look several times within a second at the networks of some processes, given as ``(pid, port)`` by name."""
    seen: dict[str, list[set[Row]]] = {name: [] for name in places}
    for number in range(SAMPLES):
        if number:
            time.sleep(PAUSE)
        for name, (pid, port) in places.items():
            seen[name].append(set(established(pid, port)))
    return seen


def lasting(samples: Sequence[set[Row]]) -> int:
    """Return how many connections lasted from one sample to the next, at most: a short request does not."""
    return max((len(one & other) for one, other in zip(samples, samples[1:])), default=0)
