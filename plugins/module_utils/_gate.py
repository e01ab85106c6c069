# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two gates before a switch, each with a policy: no call is live, and no campaign is running.

The calls gate is for what every call passes through. Its body runs with admission closed and nobody on the line::

    gate = _gate.of(call.params, _dotenv.values(app.env_path()), call.run)
    if gate.campaigns.meets(services):
        passed = _gate.campaigns_over(gate, say)
    if all_calls_pass_through(services):
        with _gate.silence(gate, say) as passed:
            ...  # replace nginx or redis, and after a redis: passed.renew()

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import time
import typing as t
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from . import _admission, _calls, _campaigns, _capacity, _check, _claim
from ._admission import Admission
from ._calls import Counter, Times
from ._capacity import Keys, Store
from ._claim import Claim
from ._engine import Container, Engine
from ._errors import OpsError
from ._http import Client
from ._postgres import Source
from ._postgres_connect import Manner

ABORT, WAIT, PROCEED = "abort", "wait", "proceed"
PAUSE = 1.0
REMIND_EVERY = 30.0  # seconds after which it is said again what is waited for

_POLICY: dict[str, t.Any] = {
    "policy": {"type": "str", "choices": [ABORT, WAIT, PROCEED], "default": ABORT},
    "deadline": {"type": "int", "default": 600},
}
GATE_OPTIONS: dict[str, t.Any] = {
    "calls": {
        "type": "dict",
        "options": {
            **_POLICY,
            **_capacity.OPTIONS,
            "service": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "slot_seconds": {"type": "int", "default": 7200},
            "stream_seconds": {"type": "int", "default": 60},
            "joining_seconds": {"type": "int", "default": 10},
            "endpoint_url": {"type": "str", "required": True},
            "endpoint_headers": {"type": "dict", "default": {}},
            "endpoint_fields": {"type": "dict", "default": _claim.FIELDS},
            "limit_variable": {"type": "str", "default": ""},
            "limit_default": {"type": "int", "default": 0},
        },
    },
    "campaigns": {
        "type": "dict",
        "options": {
            **_POLICY,
            "hit_by": {"type": "list", "elements": "str", "default": []},
            "connection": {"type": "dict", "required": True},
            "reading": {"type": "dict", "required": True},
            "sslmodes": {"type": "list", "elements": "str", "default": ["require", "verify-ca", "verify-full"]},
            "ca_path": {"type": "path", "default": ""},
            "timeout": {"type": "int", "default": 5},
        },
    },
}

Say = t.Callable[[str], None]


@dataclass(frozen=True)
class Policy:
    """What to do with work that goes on.

    Attributes:
        hit_by: services whose start ends it.
        deadline: seconds that are waited.
        then: what happens when they are over: ``abort``, ``wait`` on, or ``proceed``.
        option: the setting that says so, for the remedy.
    """

    hit_by: tuple[str, ...] = ()
    deadline: float = 600
    then: str = ABORT
    option: str = ""

    def meets(self, replaced: Collection[str]) -> bool:
        """Whether the gate has to be passed before these services are started anew."""
        return not set(self.hit_by).isdisjoint(replaced)


@dataclass(frozen=True)
class Gate:
    """Both gates; without a counter there are no calls, without a question no campaigns.

    Attributes:
        limit: how many slots there are.
        run: who closes admission.
    """

    calls: Policy = Policy()
    campaigns: Policy = Policy()
    counter: t.Callable[[], _calls.Calls] | None = None
    ask: t.Callable[[], Sequence[str]] | None = None
    connect: t.Callable[[], Store] | None = None
    limit: t.Callable[[], int] = lambda: 0
    run: str = ""


class Seen(t.NamedTuple):
    """What one look showed: whether it is over, in words, and how many are live (``None``: not known)."""

    over: bool
    told: str
    live: int | None


@dataclass
class Passed:
    """How a gate was passed.

    Attributes:
        live: how many go on and will be cut; ``None`` when that is not known.
        seconds: how long it took.
        told: in words.
        admission: that which is closed meanwhile.
    """

    live: int | None = 0
    seconds: float = 0.0
    told: str = "nothing to wait for"
    admission: Admission | None = None

    def renew(self) -> None:
        """Close admission again at once, after the Redis was replaced; else that takes some seconds."""
        if self.admission is not None:
            self.admission.renew()

    def facts(self) -> dict[str, t.Any]:
        return {"live": self.live, "seconds": round(self.seconds, 1), "told": self.told}


@contextmanager
def silence(gate: Gate, say: Say, now: t.Callable[[], float] = time.monotonic) -> Iterator[Passed]:
    """Close admission, wait until nobody speaks, and keep it closed while the body runs.

    Raises :class:`OpsError` when the policy is to abort: nothing was touched, and admission is open again.
    """
    counter, connect = gate.counter, gate.connect
    if counter is None or connect is None:
        yield Passed()
        return
    with ExitStack() as stack:
        held: list[Admission] = []

        def look() -> Seen:
            try:
                if not held:
                    held.append(stack.enter_context(_admission.closed(connect, gate.run, gate.limit())))
            except OpsError as error:
                return Seen(False, f"admission cannot be closed: {error.problem.rstrip('.')}", None)
            lapses, calls = held[0].lapsed, counter()
            if calls.silent:
                # Twice: a call that found room just before it was taken is seen the second time.
                calls = counter()
            over = calls.silent and held[0].lapsed == lapses
            return Seen(over, calls.told, calls.live if calls.known else None)

        passed = _pass(gate.calls, look, say, now, "on the line")
        passed.admission = held[0] if held else None
        yield passed


def campaigns_over(gate: Gate, say: Say, now: t.Callable[[], float] = time.monotonic) -> Passed:
    """Wait until no campaign is running. Nothing keeps a new one from starting: pass it last, right before the switch."""
    if gate.ask is None:
        return Passed()
    return _pass(gate.campaigns, partial(_look_at_campaigns, gate.ask), say, now, "running")


def _look_at_campaigns(ask: t.Callable[[], Sequence[str]]) -> Seen:
    try:
        lines = ask()
    except OpsError as error:
        return Seen(False, f"whether a campaign is running is not known: {error.problem.rstrip('.')}", None)
    if not lines:
        return Seen(True, "no campaign is running", 0)
    return Seen(False, f"{_calls.counted(len(lines), 'campaign')} ({'; '.join(lines[:3])})", len(lines))


def _pass(policy: Policy, look: t.Callable[[], Seen], say: Say, now: t.Callable[[], float], doing: str) -> Passed:
    """Look until it is over, or until the deadline lets the policy decide."""
    begun = now()
    said, said_at = "", begun
    while True:
        seen = look()
        took = now() - begun
        if seen.over:
            return Passed(0, took, f"nothing was live, after {took:.0f} s")
        if took >= policy.deadline and policy.then != WAIT:
            return _at_deadline(policy, seen, took, doing)
        if seen.told != said or now() >= said_at + REMIND_EVERY:
            said, said_at = seen.told, now()
            left = "no deadline" if policy.then == WAIT else f"{policy.deadline - took:.0f} s left"
            say(f"waiting for {said}, {left}" if seen.live is not None else f"{said}; {left}")
        time.sleep(PAUSE)


def _at_deadline(policy: Policy, seen: Seen, took: float, doing: str) -> Passed:
    what = seen.told if seen.live is None else f"still {doing}: {seen.told}"
    if policy.then == PROCEED:
        cut = "what is live is cut" if seen.live is None else f"{seen.live} cut"
        return Passed(seen.live, took, f"{what}, after {took:.0f} s; it goes on all the same: {cut}")
    raise OpsError(
        f"After {took:.0f} s {what}. Nothing was touched.",
        f"Run it again at a quieter moment, or with {policy.option}=wait, or {policy.option}=proceed to cut them.",
        live=seen.live,
    )


def of(params: Mapping[str, t.Any], values: Mapping[str, str], run: str) -> Gate:
    """Make both gates of a module's parameters (``GATE_OPTIONS``, ``project``, ``waivers``).

    Args:
        values: the variables of the application.
        run: id of the run, which the members in Redis are named after.
    """
    calls, campaigns = params.get("calls"), params.get("campaigns")
    found: dict[str, t.Any] = {"run": run}
    if calls:
        found.update(_calls_of(calls, str(params["project"]), values))
    if campaigns:
        found.update(_campaigns_of(campaigns, params.get("waivers") or (), values))
    return Gate(**found)


def counter_of(given: Mapping[str, t.Any], project: str, values: Mapping[str, str]) -> Counter:
    """Return what counts the calls of a service (``GATE_OPTIONS["calls"]``), without a gate."""
    known = {name: one.get("default") for name, one in GATE_OPTIONS["calls"]["options"].items()}
    return t.cast("Counter", _calls_of({**known, **given}, project, values)["counter"])


def _calls_of(given: Mapping[str, t.Any], project: str, values: Mapping[str, str]) -> dict[str, t.Any]:
    keys = Keys(given["set_key"], given["slot_key"])
    headers = {header: values.get(variable) or "" for header, variable in given["endpoint_headers"].items()}
    wanted = _capacity.wanted_limit(values, given["limit_variable"], given["limit_default"]).limit or 0

    def connect() -> Store:
        service = given["redis_service"]
        address = Engine.connect().address(project, service)
        return Store(f"redis://{address}:{given['redis_port']}/{given['redis_db']}", f"Redis (service {service})", keys)

    def containers() -> list[Container]:
        return _calls.running(Engine.connect(), project, given["service"])

    def ask(container: Container) -> Claim:
        address = next(iter(container.addresses.values()), "")
        return _claim.ask(Client(timeout=5), given["endpoint_url"], address, headers, given["endpoint_fields"])

    def limit() -> int:
        said = [wanted]
        for container in containers():
            try:
                said.append(ask(container).limit)
            except OpsError:  # the count says so
                continue
        if not max(said):
            raise OpsError("how many calls there may be is not known", "Set limit_variable or limit_default.")
        return max(said)

    times = Times(given["slot_seconds"], given["stream_seconds"], given["joining_seconds"])
    counter = Counter(containers, given["port"], connect, ask, times)
    return {"calls": _policy(given, "deploy_calls_policy"), "counter": counter, "connect": connect, "limit": limit}


def _campaigns_of(
    given: Mapping[str, t.Any], waivers: Sequence[dict[str, t.Any]], values: Mapping[str, str]
) -> dict[str, t.Any]:
    source = Source.of("campaigns", given["connection"])
    reading = _campaigns.reading_of(given["reading"])
    how = Manner(given["sslmodes"], given["timeout"], given["ca_path"])
    # Who has accepted in advance that campaigns fail has said so of the check; it is not asked twice.
    waived = _check.Policy(waivers=waivers).waiver(_check.Check(reading.id, "", _check.FAIL))
    policy = _policy({**given, "policy": PROCEED, "deadline": 0} if waived else given, "prosaas_campaigns_policy")
    return {"campaigns": policy, "ask": partial(_campaigns.ask, source, reading, values, how)}


def _policy(given: Mapping[str, t.Any], setting: str) -> Policy:
    return Policy(tuple(given.get("hit_by", ())), float(given["deadline"]), given["policy"], f"-e {setting}")
