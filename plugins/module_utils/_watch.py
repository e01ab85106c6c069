# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a Compose stack to be well, on the engine's events, and watching that it stays so.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ._engine import Container, Engine, Watcher
from ._errors import OpsError
from ._health import Answer, Expectation, Judgement, Limits, Probe, Sighting, judge_state, looping
from ._http import Client
from ._progress import Say, silent

PROBE_PAUSE = 0.5  # a service that is probed has no events that would say when it answers

_CLIENT = Client(connect_timeout=3, timeout=3)

# What asks inside a container: each prints the status last.
_CURL = ("curl", "-sS", "-o", "/dev/null", "-m", "3", "-w", "\\n%{http_code}")
_PYTHON = (
    "python3",
    "-c",
    "import http.client, sys, urllib.parse\n"
    "url = urllib.parse.urlsplit(sys.argv[1])\n"
    "asked = http.client.HTTPConnection(url.hostname, url.port, timeout=3)\n"
    "try: asked.request('GET', url.path or '/'); print(asked.getresponse().status)\n"
    "except (OSError, http.client.HTTPException) as error: print(error)",
)
_NO_PROGRAM = (126, 127)  # exit codes of the engine for a program that the image lacks


def watch(engine: Engine, project: str, expected: Sequence[Expectation], limits: Limits, say: Say = silent) -> Sighting:
    """Wait until every service is good and has been up for the window, or until that has become impossible.

    A stack that has been up and good for longer than the window has proven itself: nothing is waited for. One that is
    seen to become good is watched for the whole window from then on. What is waited for is said whenever it changes.
    """
    lasting = {service.service for service in expected if service.lives}
    start = time.monotonic()
    with engine.watch(project) as watcher:
        seen = Sighting([], {}, watcher.began, watcher.began)
        first, told = True, ""
        while True:
            look(engine, project, expected, seen)
            seen.ended = watcher.began + time.monotonic() - start
            take_events(watcher, lasting, seen)
            for name, state in seen.states.items():
                if state.good:
                    seen.good_after.setdefault(name, round(seen.ended - seen.began, 3))
            seconds = _still_to_wait(expected, limits, seen, first)
            if seconds <= 0:
                return seen
            waits = awaited(seen.states, limits.window)
            if waits != told:
                say(waits)
            told = waits
            watcher.wait(seconds)
            first = False


def awaited(states: Mapping[str, Judgement], window: float) -> str:
    """Say how many services are as they must be, and what is waited for."""
    missing = [name for name, state in states.items() if not state.good]
    waits = f"waiting for {', '.join(missing)}" if missing else f"watching that they stay so for {window:g} s"
    return f"{len(states) - len(missing)}/{len(states)} healthy, {waits}"


def look(engine: Engine, project: str, expected: Sequence[Expectation], seen: Sighting) -> None:
    """Note what the containers are now, and how each service is to be judged by it."""
    seen.containers = [container for container in engine.containers(project) if not container.one_off]
    answers = _probe_all(engine, expected, seen)
    seen.states = {service.service: judge_state(service, seen.of(service.service), answers) for service in expected}


def take_events(watcher: Watcher, lasting: set[str], seen: Sighting) -> None:
    """Note which deaths of services that have to live were seen so far."""
    events = [event for event in list(watcher.seen) if event.service in lasting]
    seen.deaths = [event for event in events if event.action == "die"]
    seen.kills = [event for event in events if event.action == "oom"]


def _still_to_wait(expected: Sequence[Expectation], limits: Limits, seen: Sighting, first: bool) -> float:
    """Return the seconds until the next look; 0 when there is nothing to wait for. Notes when everything is good."""
    if all(state.good for state in seen.states.values()):
        starts = [one.started_at for service in expected if service.lives for one in seen.of(service.service)]
        if seen.good_at is None:
            seen.good_at = seen.began if first else seen.ended
        elif any(death.at > seen.good_at for death in seen.deaths):
            return 0
        proven_at = max([*starts, seen.good_at if seen.good_at > seen.began else 0.0]) + limits.window
        return proven_at - seen.ended
    if seen.good_at is not None:  # it was good and is no more
        return 0
    for service in expected:
        state = seen.states[service.service]
        if not state.good and service.lives and looping(service.service, seen, limits):
            seen.states[service.service] = state._replace(certain=True)
    if any(state.certain for state in seen.states.values()):
        return 0
    left = seen.began + limits.deadline - seen.ended
    probing = any(service.probe and not seen.states[service.service].good for service in expected)
    return min(left, PROBE_PAUSE) if probing else left


def _probe_all(engine: Engine, expected: Sequence[Expectation], seen: Sighting) -> Mapping[str, Answer]:
    asked = [
        (container, service.probe)
        for service in expected
        if service.probe
        for container in seen.of(service.service)
        if container.running
    ]
    if not asked:
        return {}
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        answers = list(pool.map(lambda pair: probe_once(engine, *pair), asked))
    return {container.id: answer for (container, _probe), answer in zip(asked, answers)}


def probe_once(engine: Engine, container: Container, probe: Probe | Callable[[Container], Answer]) -> Answer:
    """Ask a container over HTTP, from the host or from another container; or as the probe itself does."""
    if not isinstance(probe, Probe):
        return probe(container)
    try:
        status, what = (_from_another if probe.asker else _from_here)(engine, container, probe)
    except OpsError as error:
        return Answer(False, f"GET :{probe.port}{probe.path}: {error.problem}")
    return Answer(status == probe.status, f"{what} answers {status}")


def _from_here(_engine: Engine, container: Container, probe: Probe) -> tuple[int, str]:
    if not container.addresses:
        raise OpsError("it has no address of its own", "")
    url = f"http://{next(iter(container.addresses.values()))}:{probe.port}{probe.path}"
    return _CLIENT.send(url).status, f"GET :{probe.port}{probe.path}"


def _from_another(engine: Engine, container: Container, probe: Probe) -> tuple[int, str]:
    """Ask from the newest running container of another service, by name, with what its image has."""
    # Also where only a few containers are looked at, the one that asks may be any.
    others = [
        one for one in engine.view().containers(container.project, probe.asker) if one.running and not one.one_off
    ]
    if not others:
        raise OpsError(f"{probe.asker}, from which it is asked, does not run", "")
    url = f"http://{container.service}:{probe.port}{probe.path}"
    code, said = engine.run_in(others[-1].id, [*_CURL, url])
    if code in _NO_PROGRAM:
        code, said = engine.run_in(others[-1].id, [*_PYTHON, url])
    last = said.splitlines()[-1].strip() if said else ""
    if not last.isdigit() or last == "000":
        raise OpsError(f"from {probe.asker}: {(said.splitlines() or ['no answer'])[0][:200]}", "")
    return int(last), f"GET {url} from {probe.asker}"
