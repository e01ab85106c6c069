# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions with a service of others, one per tenant: paired by credentials on a volume, connected or not.

What must be connected is what was: an earlier look remembers it. Credentials are looked into for one value; nothing of
them leaves this file.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._engine import Container, Engine
from ._errors import OpsError, Unreachable
from ._http import Answer, Client
from ._schema import some


@dataclass(frozen=True)
class Wanted:
    """Where sessions are, and how they are asked for.

    Attributes:
        services: patterns of the services that hold them.
        directory: in their containers.
        credentials: file below it, with ``{tenant}`` in it.
        paired: path of keys in that file whose value makes a tenant a paired one, with dots between.
        status_url: with ``{service}`` and ``{tenant}`` in it.
        start_url: where a session is started by a POST; empty where none can be.
        connected: key of the answer that says whether it is connected.
        state: key of the answer with the state.
        settled: states that do not change by themselves.
        idle: the state of a session that nobody has started.
    """

    services: Sequence[str]
    directory: str
    credentials: str
    paired: str
    status_url: str
    start_url: str = ""
    connected: str = "connected"
    state: str = "state"
    settled: Sequence[str] = ()
    idle: str = ""


@dataclass(frozen=True)
class Session:
    """A tenant's session: what its service said of it, or why it said nothing."""

    tenant: str
    service: str
    paired: bool = True
    connected: bool = False
    state: str = ""
    error: OpsError | None = None


@dataclass(frozen=True)
class Ask:
    """How the services are asked."""

    wanted: Wanted
    client: Client = field(default_factory=Client)
    headers: Mapping[str, str] = field(default_factory=dict)

    def status(self, container: Container, tenant: str, paired: bool) -> Session:
        url = self._url(self.wanted.status_url, container, tenant)
        try:
            said = _said(self.client.send(url, headers=self.headers, address=_address(container)), url)
        except OpsError as error:
            return Session(tenant, container.service, paired, error=error)
        connected, state = bool(said.get(self.wanted.connected)), str(said.get(self.wanted.state) or "")
        return Session(tenant, container.service, paired, connected, state)

    def start(self, container: Container, tenant: str) -> None:
        """Have a session started. An answer that takes its time is none to wait for: the status tells."""
        url = self._url(self.wanted.start_url, container, tenant)
        headers = {"Content-Type": "application/json", **self.headers}
        try:
            answer = self.client.send(url, "POST", headers=headers, body=b"{}", address=_address(container))
        except Unreachable:
            return
        if answer.status not in (200, 201, 202, 204, 409):  # 409: it is being started already
            raise OpsError(f"{url} answers {answer.status}: {answer.excerpt(60)}", "Look at the log of its service.")

    def _url(self, template: str, container: Container, tenant: str) -> str:
        return template.replace("{service}", container.service).replace("{tenant}", tenant)


def _address(container: Container) -> str:
    return next(iter(container.addresses.values()), "")


def _said(answer: Answer, url: str) -> Mapping[str, t.Any]:
    if answer.status in (401, 403):
        raise OpsError(f"{url} refuses the secret ({answer.status})", "Compare it with the container's: docker inspect")
    try:
        said = answer.json() if answer.status == 200 else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise OpsError(f"{url} answers {answer.status}: {answer.excerpt(60)}", "Look at the log of its service.")
    return said


def tenants(engine: Engine, container: Container, wanted: Wanted) -> dict[str, bool]:
    """Return the tenants that have credentials in a container, and whether they are whole: a broken pairing has none."""
    pattern = f"{wanted.directory}/{wanted.credentials}"
    name = re.compile(re.escape(pattern).replace(re.escape("{tenant}"), "([^/]+)"))
    depth = str(len(wanted.credentials.split("/")))  # beside the credentials there may be thousands of files
    search = ["find", wanted.directory, "-maxdepth", depth, "-type", "f", "-path", pattern.replace("{tenant}", "*")]
    code, printed = engine.run_in(container.id, search)
    found = {match[1]: match[0] for match in map(name.fullmatch, printed.splitlines()) if match}
    if code and not found and "No such file" not in printed:
        raise Unreachable(
            f"{wanted.directory} in {container.name} cannot be searched (exit code {code})",
            f"docker exec {container.name} ls {wanted.directory}",
        )
    return {
        tenant: _whole(engine.run_in(container.id, ["cat", path])[1], wanted.paired) for tenant, path in found.items()
    }


def _whole(text: str, path: str) -> bool:
    try:
        value: t.Any = json.loads(text)
        for key in path.split("."):
            value = value[key]
    except (ValueError, LookupError, TypeError):
        return False
    return bool(value)


def undecided(found: Iterable[Session], wanted: Wanted) -> list[Session]:
    """Return the sessions that waiting may still bring about."""
    return [
        one
        for one in found
        if (one.error is not None and isinstance(one.error, Unreachable))
        or (one.error is None and one.paired and not one.connected and one.state not in wanted.settled)
    ]


def judge_paired(found: Sequence[Session], before: Mapping[str, Mapping[str, str]], forget: str) -> Outcome:
    """Judge whether all that were connected once still have their credentials.

    A tenant ends its session on its own phone, whenever it likes; that nobody has any left is a fault of ours.

    Args:
        forget: what to do where ``{tenant}`` has ended its session on purpose.
    """
    paired = sorted(one.tenant for one in found if one.paired)
    lost = sorted(set(before) - set(paired))
    if lost:
        told = some(f"{tenant} (connected on {before[tenant]['on']})" for tenant in lost)
        remedy = f"Pair anew in the application, or restore the volume. Ended on purpose? {forget}"
        status = WARN if set(before) & set(paired) else FAIL
        return Outcome(status, f"the credentials are gone of {told}", remedy.replace("{tenant}", lost[0]))
    return Outcome(PASS, f"paired: {some(paired, 10)}" if paired else "no tenant has paired yet")


def judge_connected(
    found: Sequence[Session], before: Mapping[str, Mapping[str, str]], wanted: Wanted, start: str
) -> Outcome:
    """Judge whether what was connected is.

    Args:
        start: how to have sessions started, as a remedy.
    """
    refused = [one for one in found if one.error is not None and not isinstance(one.error, Unreachable)]
    silent = [one for one in found if one.error is not None and isinstance(one.error, Unreachable)]
    for ones, status in ((refused, FAIL), (silent, UNKNOWN)):
        if ones and ones[0].error is not None:
            return Outcome(status, ones[0].error.problem, ones[0].error.remedy)
    # Who has no credentials any more is judged for that, unless it is everybody.
    left = any(one.paired and one.tenant in before for one in found)
    down = [one for one in found if not one.connected and (one.paired or (one.tenant in before and not left))]
    up = [one for one in found if one.connected]
    if not down:
        return Outcome(PASS, f"connected: {some((one.tenant for one in up), 10)}" if up else "no tenant has paired yet")
    told = some(f"{one.tenant} is {one.state or 'not connected'}" for one in down)
    idle = [one for one in down if one.paired and one.state == wanted.idle]
    remedy = (
        start if idle else f"Look at its log: docker compose logs --tail 50 {down[0].service}; pair anew by the QR code"
    )
    was = [one for one in down if one.tenant in before]
    if was:
        when = some(f"{one.tenant} was connected on {before[one.tenant]['on']}" for one in was)
        return Outcome(FAIL, f"{told}; {when}", remedy)
    return Outcome(WARN, f"{told}; never seen connected so far", remedy)
