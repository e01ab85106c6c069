# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pointing a running reverse proxy at new containers, and away again, without stopping it.

nginx resolves the names of its upstreams once, at its start and at a reload, and after a reload it uses every address
that a name has. While two containers of a service run, lines in the proxy's own hosts file decide which of them it
uses; the file belongs to the engine, is mounted into the container, and is forgotten when the container restarts.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import time
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._engine import Container, Engine
from ._errors import OpsError

MARK = "# prosaas.ops"
RELOAD_SECONDS = 20.0
_PAUSE = 0.05


@dataclass(frozen=True)
class Proxy:
    """How the proxy is spoken to.

    Attributes:
        service: its service; empty where the application has none.
        test: what it runs to test its configuration.
        reload: what makes it read its configuration and resolve its upstreams again.
        worker: pattern of the command line of a process that takes new connections.
    """

    service: str = ""
    test: Sequence[str] = ("nginx", "-t")
    reload: Sequence[str] = ("nginx", "-s", "reload")
    worker: str = r"nginx: worker process$"


PROXY_OPTIONS: dict[str, t.Any] = {
    "type": "dict",
    "default": {},
    "options": {
        "service": {"type": "str", "default": ""},
        "test": {"type": "list", "elements": "str", "default": list(Proxy.test)},
        "reload": {"type": "list", "elements": "str", "default": list(Proxy.reload)},
        "worker": {"type": "str", "default": Proxy.worker},
    },
}


def proxy_of(given: Mapping[str, t.Any]) -> Proxy:
    return Proxy(**given) if given else Proxy()


def running_proxy(engine: Engine, project: str, proxy: Proxy) -> Container | None:
    """Return the running container of the proxy; none where there is no proxy, or before the first start."""
    found = engine.containers(project, proxy.service) if proxy.service else []
    return next((one for one in reversed(found) if one.running and not one.one_off), None)


def lines_for(containers: Sequence[Container], proxy: Container) -> list[str]:
    """Return the lines that lead every name of these containers to them, on a network that the proxy shares."""
    lines = []
    for one in containers:
        shared = [network for network in one.addresses if network in proxy.addresses]
        if not shared:
            raise OpsError(
                f"{one.name} shares no network with the proxy {proxy.name}.", "Put both services into one network."
            )
        names = [name for name in one.aliases.get(shared[0], ()) if name != one.short]
        names = sorted({one.service, *names} - {one.name})
        lines.append(f"{one.addresses[shared[0]]} {' '.join(names)} {MARK}\n")
    return lines


def with_lines(text: str, lines: Sequence[str]) -> str:
    """Return the text of a hosts file with these lines of ours at its end, instead of any that it had."""
    kept = [line for line in text.splitlines(keepends=True) if not line.rstrip().endswith(MARK)]
    if kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    return "".join([*kept, *lines])


def steer(engine: Engine, proxy: Proxy, container: Container, targets: Sequence[Container]) -> None:
    """Send new requests to these containers alone; to whatever the names resolve to when there are none."""
    _write_in_place(container.hosts_path, lines_for(targets, container))
    reload(engine, proxy, container)


def steered(container: Container) -> bool:
    """Whether lines of ours are in the hosts file of a container."""
    try:
        with open(container.hosts_path, encoding="utf-8", errors="surrogateescape") as stream:
            return any(line.rstrip().endswith(MARK) for line in stream)
    except OSError:
        return False


def _write_in_place(path: str, lines: Sequence[str]) -> None:
    """Change the file without another one taking its place: it is mounted into the container as it is."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError as error:
        raise OpsError(
            f"The hosts file of the proxy cannot be written ({error.strerror}).",
            "The modules must run on the host of the engine, as root.",
        ) from None
    with os.fdopen(descriptor, "r+", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        before = stream.read()
        after = with_lines(before, lines)
        if after == before:
            return
        # One write, and the cut after it: a reader never meets a file without its first lines.
        stream.seek(0)
        stream.write(after)
        stream.flush()
        stream.truncate()
        os.fsync(stream.fileno())


def test(engine: Engine, proxy: Proxy, container: Container) -> None:
    """Raise when the proxy would not take its configuration."""
    code, printed = engine.run_in(container.id, proxy.test)
    if code:
        raise refused(printed)


def refused(printed: str) -> OpsError:
    """Say what a proxy holds against its configuration: its first complaint, the rest are consequences."""
    lines = [line for line in printed.splitlines() if line.strip()]
    complaint = next((line for line in lines if re.search(r"\[(emerg|alert|crit|error)\]", line)), "")
    said = complaint or (lines[-1] if lines else "it printed nothing")
    return OpsError(
        f"The proxy refuses its configuration: {said.strip()}", "Correct it and deploy again.", log=lines[-10:]
    )


def reload(engine: Engine, proxy: Proxy, container: Container) -> None:
    """Test the configuration, have it read again, and wait until only new processes take connections."""
    test(engine, proxy, container)
    before = _workers(engine, proxy, container)
    code, printed = engine.run_in(container.id, proxy.reload)
    if code:
        raise OpsError(f"The proxy did not reload: {printed.splitlines()[-1] if printed else 'it said nothing'}")
    deadline = time.monotonic() + RELOAD_SECONDS
    while before:
        now = _workers(engine, proxy, container)
        if now and not now & before:
            return
        if time.monotonic() > deadline:
            raise OpsError(
                f"The proxy has not taken its configuration within {RELOAD_SECONDS:g} s of the reload.",
                f"Look at its log: docker logs --tail 20 {container.name}",
            )
        time.sleep(_PAUSE)


def _workers(engine: Engine, proxy: Proxy, container: Container) -> set[int]:
    running = engine.processes(container.id)
    return {pid for pid, command in running.items() if re.search(proxy.worker, command)}
