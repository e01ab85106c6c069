# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a Compose stack well? Judged from what was seen of its containers; nothing here asks the engine.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import shlex
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._compose import one_shots
from ._engine import Container, Event
from ._errors import OpsError

UP, HEALTHY, RUNNING, EXITED = "up", "healthy", "running", "exited"
DEPLOY = "ansible-playbook prosaas.ops.deploy"
EXPECTATIONS = (UP, HEALTHY, RUNNING, EXITED)


class Probe(t.NamedTuple):
    """An HTTP request to the container itself, for an image whose own health check cannot work.

    ``asker`` is the service from whose container it is asked by name, which proves the network between them, too;
    without one it is asked from the host, by its address.
    """

    port: int
    path: str = "/"
    status: int = 200
    asker: str = ""


class Answer(t.NamedTuple):
    """What a probe saw."""

    good: bool
    said: str


@dataclass(frozen=True)
class Expectation:
    """What a service must be: ``up`` is healthy where there is a health check, else running.

    A probe is asked instead of the health check: over HTTP, or whatever a function does.
    """

    service: str
    how: str = UP
    count: int = 1
    probe: Probe | Callable[[Container], Answer] | None = None
    ports: tuple[Mapping[str, t.Any], ...] = ()

    @property
    def lives(self) -> bool:
        return self.how != EXITED and self.count > 0


@dataclass(frozen=True)
class Limits:
    """How long is waited and watched, in seconds, and how many restarts make a loop."""

    deadline: float = 180
    window: float = 10
    crash_loop: int = 5
    settled: float = 300


class Judgement(t.NamedTuple):
    """``certain`` means that waiting longer cannot help."""

    good: bool
    certain: bool
    said: str


@dataclass
class Sighting:
    """All that was seen from the first look to the last; times are seconds of the engine's clock.

    Attributes:
        containers: the project's containers at the end, without one-off ones.
        states: the judgement of each expected service at the end.
        deaths: every exit of a container of a service that has to live.
        kills: the same for "out of memory".
        began: when the watching began.
        ended: when it ended.
        good_at: when everything was good for the first time.
        good_after: seconds after which each service was good for the first time.
    """

    containers: list[Container]
    states: dict[str, Judgement]
    began: float
    ended: float
    good_at: float | None = None
    deaths: list[Event] = field(default_factory=list)
    kills: list[Event] = field(default_factory=list)
    good_after: dict[str, float] = field(default_factory=dict)

    def of(self, service: str) -> list[Container]:
        return [container for container in self.containers if container.service == service]


def expectations(model: Mapping[str, t.Any], policies: Mapping[str, t.Any]) -> list[Expectation]:
    """Return what each service of the resolved model must be; a policy of the caller wins over the model."""
    finite = one_shots(model)
    expected = []
    for name, service in sorted(model["services"].items()):
        policy = _policy(name, policies.get(name) or {})
        how = policy.get("expect") or (EXITED if name in finite else HEALTHY if _has_health_check(service) else UP)
        if how not in EXPECTATIONS:
            raise OpsError(
                f"Service {name} cannot be expected to be {how!r}.", f"Use one of: {', '.join(EXPECTATIONS)}"
            )
        probe = _probe(policy["probe"]) if policy.get("probe") else None
        if probe and probe.asker and probe.asker not in model["services"]:
            raise OpsError(
                f"Service {name} cannot be asked from {probe.asker}: the model has no such service.",
                f"Use one of: {', '.join(sorted(model['services']))}",
            )
        expected.append(Expectation(name, how, replicas(service), probe, tuple(service.get("ports") or ())))
    return expected


def _policy(name: str, policy: t.Any) -> dict[str, t.Any]:
    """Return a policy that can be used; one with a slip in it is an error, since it would be lost silently."""
    understood = isinstance(policy, dict) and set(policy) <= {"expect", "probe"}
    if not understood or (policy.get("probe") and not _is_probe(policy["probe"])):
        raise OpsError(
            f"The policy of service {name} is not understood: {policy!r}",
            "Write it as {expect: NAME} or {probe: {port: NUMBER, path: TEXT, status: NUMBER, from: SERVICE}}.",
        )
    return t.cast("dict[str, t.Any]", policy)


def _probe(given: Mapping[str, t.Any]) -> Probe:
    return Probe(**{"asker" if name == "from" else name: value for name, value in given.items()})


def _is_probe(probe: t.Any) -> bool:
    if not isinstance(probe, dict):
        return False
    numbers, texts = (probe.get("port"), probe.get("status", 0)), (probe.get("path", ""), probe.get("from", ""))
    known = set(probe) <= {"port", "path", "status", "from"}
    return known and all(isinstance(one, int) for one in numbers) and all(isinstance(one, str) for one in texts)


def _has_health_check(service: Mapping[str, t.Any]) -> bool:
    check = service.get("healthcheck") or {}
    return bool(check.get("test")) and not check.get("disable") and check["test"][0] != "NONE"


def replicas(service: Mapping[str, t.Any]) -> int:
    given = service.get("scale", (service.get("deploy") or {}).get("replicas"))
    return 1 if given is None else int(given)


def judge_state(
    expected: Expectation, containers: Sequence[Container], answers: Mapping[str, Answer] | None = None
) -> Judgement:
    """Judge the containers of one service; ``answers`` are those of its probe, by container id."""
    if len(containers) < expected.count:
        there = f"{len(containers)} of {expected.count} containers exist" if containers else "has no container"
        return Judgement(False, True, there)
    each = [_judge_container(expected, container, (answers or {}).get(container.id)) for container in containers]
    said = [f"{one.name}: {what.said}" if len(each) > 1 else what.said for one, what in zip(containers, each)]
    return Judgement(
        all(judgement.good for judgement in each),
        any(judgement.certain for judgement in each),
        "; ".join(said) or "scaled to 0",
    )


def _judge_container(expected: Expectation, container: Container, answer: Answer | None) -> Judgement:
    if container.running:
        return _judge_running(expected, container, answer)
    memory = ", out of memory" if container.oom_killed else ""
    if container.status == "exited":
        said = f"exited ({container.exit_code}){memory}"
        if expected.how == EXITED and container.exit_code == 0:
            return Judgement(True, False, said)
        retried = expected.how == EXITED and container.restart_policy != "no"
        return Judgement(False, not retried, said)
    if container.status == "restarting":
        return Judgement(False, False, f"restarting, last exit code {container.exit_code}{memory}")
    if container.status == "created":
        return Judgement(False, False, "created, but not started")
    return Judgement(False, container.status == "dead", container.status)


def _judge_running(expected: Expectation, container: Container, answer: Answer | None) -> Judgement:
    if expected.how == EXITED:
        return Judgement(False, False, "still running")
    if expected.probe:
        other = container.health and isinstance(expected.probe, Probe)
        own = f"; its own health check says {container.health}, which is not asked" if other else ""
        said = f"running, {answer.said.rstrip('.')}{own}" if answer else "running, not probed yet"
        return Judgement(bool(answer and answer.good), False, said)
    if expected.how == RUNNING:
        return Judgement(True, False, "running")
    if not container.health:
        if expected.how == HEALTHY:
            return Judgement(False, True, "running without the health check that it must have")
        return Judgement(True, False, "running; it has no health check")
    return Judgement(container.health == "healthy", False, f"running, health: {container.health}")


def looping(service: str, seen: Sighting, limits: Limits) -> bool:
    """Whether a service is in a restart loop, by its deaths while watched and by what its containers went through."""
    deaths = sum(death.service == service for death in seen.deaths)
    if deaths >= limits.crash_loop and not seen.states[service].good:
        return True
    return any(_still_loops(container, seen.ended, limits) for container in seen.of(service))


def _still_loops(container: Container, now: float, limits: Limits) -> bool:
    if container.restart_count < limits.crash_loop:
        return False
    if container.status == "restarting":  # the engine waits longer each time before it tries again
        return True
    # A container is out of its loop when it has lived twice as long as it used to, or long in any case.
    usual = (container.started_at - container.created_at) / container.restart_count
    return now - container.started_at < min(2 * usual, limits.settled)


def judge_restarts(expected: Expectation, seen: Sighting, limits: Limits) -> Outcome:
    """Judge whether a service stays alive, by its deaths while watched and by what it went through before."""
    containers = seen.of(expected.service)
    deaths = [death for death in seen.deaths if death.service == expected.service]
    late = [death for death in deaths if seen.good_at is not None and death.at > seen.good_at]
    running = [container for container in containers if container.running]
    uptime = min((seen.ended - container.started_at for container in running), default=0.0)
    restarts = max((container.restart_count for container in containers), default=0)
    codes = ", ".join(str(death.exit_code) for death in deaths[-5:])
    died = f"died {_times(len(deaths))}"
    if any(kill.service == expected.service for kill in seen.kills) or any(one.oom_killed for one in containers):
        last = deaths[-1].exit_code if deaths else next((one.exit_code for one in containers if one.oom_killed), 0)
        said = f"killed because it ran out of memory (exit code {last}, restarted {_times(restarts)})"
        return Outcome(FAIL, said, "Give it more memory, or find what fills it.")
    if late:
        after = f"{late[0].at - t.cast(float, seen.good_at):.0f} s after everything was good"
        return Outcome(FAIL, f"died {after} (exit code {late[0].exit_code})")
    if looping(expected.service, seen, limits):
        watched = f"{died} in {_span(seen.ended - seen.began)} (exit codes {codes})"
        last = deaths[-1].exit_code if deaths else containers[-1].exit_code
        past = f"restarted {_times(restarts)} (last exit code {last})"
        return Outcome(FAIL, f"restart loop: {watched if len(deaths) >= limits.crash_loop else past}")
    if not running or len(running) < len(containers):
        return Outcome(UNKNOWN, "it does not run, so there is nothing to watch", "See the state of the service")
    if uptime < limits.window:
        return Outcome(UNKNOWN, f"up for {_span(uptime)} only, {_span(limits.window)} are wanted", "Run it again.")
    if deaths:
        return Outcome(WARN, f"{died} while starting (exit codes {codes}), up for {_span(uptime)} since")
    if restarts and uptime < limits.settled:
        return Outcome(WARN, f"restarted {_times(restarts)} before it came up {_span(uptime)} ago")
    past = f", restarted {_times(restarts)} before" if restarts else ""
    return Outcome(PASS, f"up for {_span(uptime)}{past}")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def judge_image(containers: Sequence[Container], wanted: str) -> Outcome:
    """Judge whether a service runs the image that it should; an older container beside the newest may be draining."""
    if not containers:
        return Outcome(UNKNOWN, "it has no container", "See the state of the service")
    right = [container for container in containers if _digest(container.image) == _digest(wanted)]
    if len(right) == len(containers):
        return Outcome(PASS, f"runs {_digest(wanted)[:12]}")
    if containers[-1] in right:
        old = ", ".join(container.name for container in containers if container not in right)
        return Outcome(
            WARN, f"the newest runs {_digest(wanted)[:12]}, {old} an older image", "Wait until it has drained."
        )
    return Outcome(FAIL, f"runs {_digest(containers[-1].image)[:12]}, not {_digest(wanted)[:12]}", f"Deploy: {DEPLOY}")


def _digest(image: str) -> str:
    return image.rpartition(":")[2]


def judge_orphans(expected: Iterable[Expectation], containers: Iterable[Container]) -> Outcome:
    """Judge whether containers of the project belong to no service of the model."""
    known = {service.service for service in expected}
    orphans = [container for container in containers if container.service not in known]
    if not orphans:
        return Outcome(PASS, "every container belongs to a service of the model")
    told = ", ".join(f"{container.name} ({container.status})" for container in orphans)
    worst = FAIL if any(container.status != "exited" for container in orphans) else WARN
    names = shlex.join(container.name for container in orphans)
    return Outcome(worst, f"no service of the model: {told}", f"Look at it, then: docker rm -f {names}")
