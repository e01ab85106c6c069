# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same connections asked from inside the network: by a running container with a driver, else by a built image.

Before a deployment with the settings of today's env file: what counts is whether the next release will be answered
there. Afterwards with the container's own, as the application has them.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import json
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ._compose import Execute, explain
from ._engine import Engine
from ._errors import OpsError, Unreachable
from ._postgres import Source, Target
from ._postgres_connect import APPLICATION

_TARGETS = "PROSAAS_OPS_TARGETS"

# Runs on the Python of an application: any since 3.6, with any psycopg2 since 2.8.
PROGRAM = """
import json, os, signal, sys, threading, time
seconds, application = int(sys.argv[1]), sys.argv[2]
signal.alarm(2 * seconds)
try:
    import psycopg2
except ImportError:
    print(json.dumps({"driver": False}))
    sys.exit(0)

def ask(params):
    begun = time.time()
    try:
        connection = psycopg2.connect(connect_timeout=seconds, application_name=application, **params)
        try:
            connection.set_session(readonly=True)
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            cursor.fetchone()
            info = connection.info
            tls = (info.ssl_attribute("protocol") or "TLS") if info.ssl_in_use else ""
            return {"tls": tls, "ms": (time.time() - begun) * 1000}
        finally:
            connection.close()
    except Exception as error:
        password = params.get("password")
        return {"error": str(error).replace(password, "***") if password else str(error)}

answers = {}
targets = json.loads(os.environ["PROSAAS_OPS_TARGETS"])
threads = [threading.Thread(target=lambda n=n, p=p: answers.update({n: ask(p)})) for n, p in targets.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"driver": True, "answers": answers}))
"""


@dataclass(frozen=True)
class Place:
    """Where inside is.

    Attributes:
        project: the Compose project.
        services: services to ask through, the first one with a driver counts; none where there is no inside.
        network: network that a container of a built image joins.
        python: Python of the containers.
        start: whether a container may be started for it (not in check mode).
        own: whether a running container is asked with the settings that it was started with.
    """

    project: str = ""
    services: Sequence[str] = ()
    network: str = ""
    python: str = "python3"
    start: bool = True
    own: bool = False


@dataclass(frozen=True)
class Inside:
    """What the program said, by connection, through what, and with which settings of the container's own."""

    through: str
    answers: Mapping[str, Mapping[str, t.Any]] = field(default_factory=dict)
    own: Mapping[str, Target] = field(default_factory=dict)


class NothingYet(Unreachable):
    """Nothing of the application is on this host: neither a running container nor an image, as before the first build."""


def look(place: Place, asked: Mapping[str, tuple[Source, Target]], execute: Execute, seconds: int) -> Inside:
    """Ask through the first service that can; that none can is :class:`Unreachable`."""
    engine = Engine.connect()
    running = {one.service: one.id for one in engine.containers(place.project) if one.running and not one.one_off}
    tried = []
    for service, image in [(service, f"{place.project}-{service}") for service in place.services]:
        # The name alone: docker takes the value from its environment, so that no process has it among its arguments.
        argv, through = ["docker", "exec", "--env", _TARGETS, running.get(service, ""), place.python], service
        own: dict[str, Target] = {}
        if service in running and place.own:
            own = _own(engine.environment(running[service]), asked)
        if service not in running:
            if place.own or not (place.start and place.network):
                continue
            argv = ["docker", "run", "--rm", "--pull", "never", "--network", place.network, "--cap-drop", "ALL"]
            argv, through = [*argv, "--env", _TARGETS, "--entrypoint", place.python, image], f"the image {image}"
        settings = {name: (source, own.get(name, target)) for name, (source, target) in asked.items()}
        targets = json.dumps({name: _params(source, target) for name, (source, target) in settings.items()})
        said = _run(execute, [*argv, "-c", PROGRAM, str(seconds), APPLICATION], targets)
        if said is not None:
            return Inside(through, said, own)
        tried.append(through)
    if not (place.own or running.keys() & set(place.services) or _built(place, execute)):
        raise NothingYet("nothing of the application is on this host yet, so nothing can ask from inside")
    raise Unreachable(
        f"no Python with psycopg2 in {', '.join(tried)}" if tried else f"none of {', '.join(place.services)} runs",
        "Start one of them whose Python has psycopg2, or build it.",
    )


def _own(environment: Mapping[str, str], asked: Mapping[str, tuple[Source, Target]]) -> dict[str, Target]:
    """Return where a container's own settings lead; a connection that it has no settings for is none of its."""
    found = {}
    for name, (source, _target) in asked.items():
        with contextlib.suppress(OpsError):
            found[name] = source.target(environment)
    return found


def _built(place: Place, execute: Execute) -> bool:
    """Whether one of the services has an image."""
    images = [f"{place.project}-{service}" for service in place.services]
    return bool(execute(["docker", "image", "inspect", "--format", "{{.Id}}", *images])[1].strip())


def _params(source: Source, target: Target) -> dict[str, str]:
    """Return what to connect with there, where a certificate that another program verifies with is not."""
    params = dict(target.params)
    if source.parts and params.pop("sslrootcert", ""):
        params["sslmode"] = "require"
    return params


def _run(execute: Execute, argv: Sequence[str], targets: str) -> Mapping[str, Mapping[str, t.Any]] | None:
    """Run the program; ``None`` when this container or image cannot, an error when the engine is away."""
    _rc, out, err = execute(argv, environ_update={_TARGETS: targets})
    try:
        said = json.loads(out.strip().splitlines()[-1])
        return t.cast("Mapping[str, Mapping[str, t.Any]]", said["answers"]) if said["driver"] else None
    except (ValueError, LookupError, TypeError):
        away = explain("docker", err, "")
        if isinstance(away, Unreachable):
            raise away from None
        return None
