# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing the containers of a release into service while the ones before it serve.

Services that may run twice start beside themselves and get the requests once they have proven that they work; their old
containers stay, idle, until the release is verified (:mod:`_settle`). The rest is replaced in place, one after the
other, in the order of their dependencies, and only where something about it changed. Nothing here knows which release
it brings: going back is the same.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import functools
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from . import _steering
from ._compose import Compose
from ._engine import Container, Engine
from ._errors import OpsError
from ._gap import Gap
from ._health import HEALTHY, UP, Answer, Expectation, Limits
from ._successors import Move, in_order, needed_by
from ._watch import watch
from ._ways import Ways

LOG_LINES = 15


@dataclass
class Site:
    """All that a rollout works with.

    Attributes:
        expected: what each service must be, by name.
        limits: how long a new container may take, and for how long it must stay well before it is trusted.
        patience: seconds for a service that is meant to exit.
        prove: asks new containers of one service for what a health check does not show; raises when they do not work.
        quiet: waits for a moment in which no call is on its way from one request to its next.
        replaced: is told each service that was replaced in place.
        jobs: returns the jobs that are started and have not ended.
        say: tells the operator what goes on.
        mask: takes secrets out of log lines.
    """

    engine: Engine
    compose: Compose
    model: Mapping[str, t.Any]
    ways: Ways
    proxy: _steering.Proxy
    expected: Mapping[str, Expectation]
    limits: Limits
    patience: float = 900
    prove: Callable[[Container], None] = lambda _container: None
    quiet: Callable[[], object] = lambda: None
    replaced: Callable[[str], None] = lambda _service: None
    jobs: Callable[[], set[str]] = set
    say: Callable[[str], None] = lambda _text: None
    mask: Callable[[str], str] = lambda text: text

    @property
    def project(self) -> str:
        return self.compose.project.name

    def proxy_container(self) -> Container | None:
        return _steering.running_proxy(self.engine, self.project, self.proxy)


@dataclass
class Brought:
    """What a rollout did: ``steps`` for the record, and the old containers that still run."""

    steps: list[dict[str, t.Any]] = field(default_factory=list)
    superseded: list[Container] = field(default_factory=list)

    def note(self, service: str, how: str, seconds: float, **more: t.Any) -> None:
        self.steps.append({"service": service, "how": how, "seconds": round(seconds, 1), **more})


def bring(site: Site, found: Mapping[str, Move], supersede: Callable[[Sequence[Container]], None]) -> Brought:
    """Carry out the moves.

    Args:
        supersede: is told the old containers that go on running, before requests are led past them.
    """
    done = Brought()
    order = [name for name in in_order(site.model) if not found[name].done]
    beside = [name for name in order if site.ways[name].beside]
    first = needed_by(site.model, beside)
    for name in order:
        if name in first and name not in beside and not found[name].finite:
            _replace(site, found[name], done)
    if beside:
        _stand_beside(site, [found[name] for name in beside], done, supersede)
    for name in order:
        if name not in beside and (name not in first or found[name].finite):
            (_run_once if found[name].finite else _replace)(site, found[name], done)
    for name in found.keys() - set(site.model["services"]):
        _remove(site, found[name], done)
    if site.proxy.service in {step["service"] for step in done.steps} and done.superseded:
        _lead(site, [found[name] for name in beside])  # a new proxy knows nothing of the lines in the old one
    return done


def told(done: Brought) -> str:
    """Say what was done, by how it was done."""
    ways: dict[str, list[str]] = {}
    for step in done.steps:
        more = [f"away for {step['gap']:.1f} s"] if step.get("gap") else []
        more += [f"cut: {', '.join(step['cut'])}"] if step.get("cut") else []
        ways.setdefault(step["how"], []).append(step["service"] + (f" ({'; '.join(more)})" if more else ""))
    return "; ".join(f"{how}: {', '.join(services)}" for how, services in ways.items()) or "nothing changed"


def _stand_beside(
    site: Site, moves: Sequence[Move], done: Brought, supersede: Callable[[Sequence[Container]], None]
) -> None:
    """Start the new containers beside the old ones, and lead requests to them once they work."""
    begun = time.monotonic()
    new = [one for move in moves for one in move.chosen if not one.running]
    site.say(f"starting beside what serves: {_names(moves)}")
    try:
        with ThreadPoolExecutor(max_workers=len(new) or 1) as pool:
            list(pool.map(lambda one: site.engine.start(one.id), new))
        _wait(site, [one for move in moves for one in move.chosen], site.limits.window)
        for one in new:
            site.prove(_again(site, one))
    except BaseException:  # a signal, too: what serves goes on alone
        for one in new:
            site.engine.stop(one.id, site.ways[one.service].stop)
        raise
    done.superseded = [one for move in moves for one in move.others if one.running]
    supersede(done.superseded)
    site.quiet()
    _lead(site, moves)
    for move in moves:
        done.note(move.service, "beside" if move.others else "started", time.monotonic() - begun)
        for one in move.others:
            if not one.running:
                site.engine.remove(one.id)
    site.say(f"requests go to the new containers of {_names(moves)}")


def _lead(site: Site, moves: Sequence[Move]) -> None:
    proxy = site.proxy_container()
    if proxy:
        targets = [one for move in moves if any(old.running for old in move.others) for one in move.chosen]
        _steering.steer(site.engine, site.proxy, proxy, [_again(site, one) for one in targets])


def _replace(site: Site, move: Move, done: Brought) -> None:
    """Stop what is old, start what is new; when that does not come up, the old one goes on."""
    begun = time.monotonic()
    old = [one for one in move.others if one.running]
    site.say(f"{'replacing' if old else 'starting'} {move.service}")
    more: dict[str, t.Any] = {}
    if old and any(one.anonymous_volumes for one in move.others):
        more["gap"] = _recreate(site, move)
    else:
        more.update(_swap(site, move, old))
        for one in move.others:
            site.engine.remove(one.id)
    proxy = site.proxy_container()
    if proxy and move.service in needed_by(site.model, [site.proxy.service]):
        _steering.reload(site.engine, site.proxy, proxy)  # it knows the addresses of what it was started with
    site.replaced(move.service)
    done.note(move.service, "replaced" if old else "started", time.monotonic() - begun, **more)


def _swap(site: Site, move: Move, old: Sequence[Container]) -> dict[str, t.Any]:
    """Return the gap, and the jobs that were cut."""
    told: dict[str, t.Any] = {}
    working = site.ways[move.service].jobs and old
    new = [one for one in move.chosen if not one.running]
    try:
        with Gap(site.engine, old) as gap:
            started = site.jobs() if working else set()
            for one in old:
                site.engine.stop(one.id, site.ways[move.service].stop)
            cut = sorted(started & site.jobs()) if working else []
            for one in new:
                site.engine.start(one.id)
            _wait(site, move.chosen)
            gap.over([_again(site, one) for one in new])
    except BaseException:  # a signal, too
        for one in new:
            site.engine.stop(one.id, site.ways[move.service].stop)
        for one in old:
            site.engine.start(one.id)
        raise
    if cut:
        told["cut"] = cut
        site.say(f"{move.service} did not end in time: {', '.join(cut)}")
    return {**told, "gap": gap.seconds} if old else told


def _recreate(site: Site, move: Move) -> float:
    """Have Compose replace a container whose data lies in a volume without a name: it alone hands that on."""
    for one in move.fresh:
        site.engine.remove(one.id)
    stop = str(site.ways[move.service].stop)
    with Gap(site.engine, move.others) as gap:
        site.compose.run("up", "--detach", "--no-build", "--pull", "never", "--timeout", stop, move.service)
        new = [one for one in site.engine.containers(site.project, move.service) if not one.one_off]
        _wait(site, new)
        gap.over(new)
    return gap.seconds


def _run_once(site: Site, move: Move, done: Brought) -> None:
    begun = time.monotonic()
    site.say(f"running {move.service}")
    for one in move.chosen:
        site.engine.start(one.id)
    _wait(site, move.chosen, deadline=site.patience)
    for one in move.others:
        site.engine.remove(one.id)
    done.note(move.service, "ran", time.monotonic() - begun)


def _remove(site: Site, move: Move, done: Brought) -> None:
    begun = time.monotonic()
    for one in move.others:
        site.engine.stop(one.id, site.ways[move.service].stop)
        site.engine.remove(one.id)
    done.note(move.service, "removed", time.monotonic() - begun)


def _wait(site: Site, containers: Sequence[Container], window: float = 0, deadline: float = 0) -> None:
    """Wait until these containers are what their services must be; raise with the log of one that is not.

    Health checks are run at once and again, as the engine would run them after their interval.
    """
    deadline = deadline or site.limits.deadline
    checked = {one.service for one in containers if one.health_test}
    expected = [
        _asked(site, site.expected[name], name in checked) for name in sorted({one.service for one in containers})
    ]
    limits = Limits(deadline, window, site.limits.crash_loop, site.limits.settled)
    only = site.engine.view(only={one.id for one in containers})
    seen = watch(only, site.project, expected, limits, site.say)
    bad = [name for name, state in seen.states.items() if not state.good]
    died = sorted({death.service for death in seen.deaths if not site.expected[death.service].how == "exited"} - set(bad))
    if bad or died:
        name = (bad or died)[0]
        said = seen.states[name].said if bad else "it came up and died"
        log = [site.mask(line) for one in seen.of(name) for line in site.engine.log_tail(one.id, LOG_LINES)]
        raise OpsError(
            f"{', '.join(bad or died)} did not come up within {deadline:g} s: {said}."
            if bad
            else f"{name} came up and died.",
            _last_word(log) or f"Look at its log: docker compose -p {site.project} logs --tail 50 {name}",
            log=log,
        )


def _asked(site: Site, expected: Expectation, checked: bool) -> Expectation:
    if not checked or expected.probe or expected.how not in (UP, HEALTHY):
        return expected
    return replace(expected, probe=functools.partial(_own_check, site.engine))


def _own_check(engine: Engine, container: Container) -> Answer:
    """Run the health check of a container."""
    if container.health == "healthy":
        return Answer(True, "health: healthy")
    try:
        code, printed = engine.run_in(container.id, container.health_test)
    except OpsError as error:
        return Answer(False, f"its health check cannot run: {error.problem}")
    said = printed.splitlines()[-1] if code and printed else ""
    return Answer(code == 0, f"its health check exits {code}" + (f": {said[:200]}" if said else ""))


def _last_word(log: Sequence[str]) -> str:
    lines = [line.strip() for line in log if line.strip()]
    return f"Its last words: {lines[-1][:300]}" if lines else ""


def _again(site: Site, one: Container) -> Container:
    """Look at a container anew: before it was started it had no address."""
    return site.engine.inspect(one.id) or one


def _names(moves: Sequence[Move]) -> str:
    return ", ".join(move.service for move in moves)
