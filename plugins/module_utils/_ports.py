# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are the ports of a Compose stack published as its model says, and does something listen behind them?

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import socket
import typing as t
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ._check import FAIL, PASS, Outcome
from ._engine import Container, Port
from ._health import Expectation

PATIENCE = 2.0  # seconds for one connection
EVERY_ADDRESS = ("0.0.0.0", "::")

Behind = tuple[str, int]  # a container's id, and the port inside it


def silent(containers: Iterable[Container]) -> set[Behind]:
    """Return the published TCP ports behind which nothing listens in the container.

    The engine itself accepts connections on a published port, so the container's own address is asked.
    """
    asked = sorted(
        {
            (container.id, port.target, address)
            for container in containers
            if container.running
            for port in container.ports
            for address in list(container.addresses.values())[:1]
            if port.protocol == "tcp"
        }
    )
    if not asked:
        return set()
    with ThreadPoolExecutor(max_workers=min(len(asked), 16)) as pool:
        answers = pool.map(lambda one: _listens(one[2], one[1]), asked)
    return {(container, port) for (container, port, _address), there in zip(asked, answers) if not there}


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), PATIENCE).close()
    except OSError:
        return False
    return True


def judge_ports(
    expected: Iterable[Expectation], containers: Sequence[Container], unheard: Collection[Behind] = ()
) -> Outcome:
    """Judge whether the stack publishes what the model says, and nothing else; ``unheard`` is of :func:`silent`."""
    wrong: list[str] = []
    told: list[str] = []
    for service in expected:
        here = [one for one in containers if one.service == service.service and one.running]
        bound = {port for one in here for port in one.ports}
        deaf = {port for one in here for port in one.ports if (one.id, port.target) in unheard}
        matched: set[Port] = set()
        for wanted in service.ports:
            fits = {port for port in bound if _fits(port, wanted)}
            matched |= fits
            name = f"{service.service} {wanted.get('published') or 'any'}->{wanted['target']}"
            if not fits:
                wrong.append(f"{name} is not published{_instead(bound, wanted)}")
            elif fits & deaf:
                wrong.append(f"{name} is published, but nothing listens on {wanted['target']} in the container")
            else:
                told.append(name)
        extra = {
            f"{port.published}->{port.target}/{port.protocol}"
            for port in bound - matched
            if not any(_numbers_fit(port, wanted) for wanted in service.ports)
        }
        wrong += [f"{service.service} {port} is published and not in the model" for port in sorted(extra)]
    if wrong:
        return Outcome(FAIL, "; ".join(wrong))
    return Outcome(PASS, ", ".join(told) or "the model publishes no port")


def _fits(port: Port, wanted: Mapping[str, t.Any]) -> bool:
    address = wanted.get("host_ip") or ""
    return _numbers_fit(port, wanted) and (port.host_ip == address if address else port.host_ip in EVERY_ADDRESS)


def _numbers_fit(port: Port, wanted: Mapping[str, t.Any]) -> bool:
    if (port.target, port.protocol) != (int(wanted["target"]), wanted.get("protocol", "tcp")):
        return False
    first, _dash, last = str(wanted.get("published") or "0-65535").partition("-")
    return int(first) <= port.published <= int(last or first)


def _instead(bound: Iterable[Port], wanted: Mapping[str, t.Any]) -> str:
    """Say at which other addresses a port is published."""
    others = sorted({port.host_ip for port in bound if _numbers_fit(port, wanted)})
    return f" at {wanted.get('host_ip') or 'every address'}, but at {', '.join(others)}" if others else ""
