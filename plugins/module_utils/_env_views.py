# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment file beside what Compose makes of it for each service, and beside what the running containers have.

Values are compared and never kept: what comes out are names of variables and services.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import hmac
import json
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import _release, _secrets
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome, timed
from ._compose import Compose, Execute, Project, explain
from ._dotenv import Variable
from ._engine import ONE_OFF, PROJECT, SERVICE
from ._env_rules import Environment
from ._errors import OpsError, Unreachable

GIVEN, RUNNING = "env.overrides", "env.running"
TITLES = {
    GIVEN: "The containers get what the file says",
    RUNNING: "The running containers have what the file says",
}

Names = dict[str, list[str]]
Model = t.Mapping[str, t.Any]

# Settings of Compose and of the engine's client themselves, which no container needs.
_FOR_COMPOSE = re.compile("(COMPOSE|DOCKER|BUILDKIT)_")
_NAMED = 12  # so many variables are named, before a line gets too long to be read
# Compose takes these from the settings of the user who runs it, whatever the files say.
_PROXIES = {f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "FTP", "NO", "ALL")}


@dataclass(frozen=True)
class Host:
    """The project on its host.

    Attributes:
        project: the Compose project.
        execute: runs a program.
        state_dir: where the releases are.
        overrides: patterns of the variables that the Compose files set themselves on purpose.
    """

    project: Project
    execute: Execute
    state_dir: Path
    overrides: Sequence[str] = ()

    def up(self) -> str:
        """Return the command that starts the services as the files say."""
        files = " ".join(f"-f {name}" for name in self.project.files)
        return f"cd {self.project.directory} && docker compose -p {self.project.name} {files} up -d --no-build"


def checks(env: Environment, written: Mapping[str, Variable], host: Host, secrets: Iterable[str]) -> Iterator[Check]:
    """Compare the file as it is written with what Compose makes of it, and that with what the containers have.

    ``written`` are the variables as they are on the disk; ``secrets`` are masked in what Compose may say.
    """
    try:
        model = Compose(host.project, host.execute).model()
    except OpsError as error:
        problem = _secrets.redact(error.problem, secrets)
        yield from (Check(name, title, UNKNOWN, problem, error.remedy) for name, title in TITLES.items())
        return
    yield timed(GIVEN, TITLES[GIVEN], [], lambda: judge_given(env, written, host, model))
    yield timed(RUNNING, TITLES[RUNNING], [], lambda: _judge_running(written, host, model))


def judge_given(env: Environment, written: Mapping[str, Variable], host: Host, model: Model) -> Outcome:
    """Judge what Compose hands to the containers of each service instead of what the file says.

    It fails for a variable that was judged here, since something else runs.
    """
    replaced = overridden(written, model)
    told = {name: f"{name} (in {', '.join(services)})" for name, services in replaced.items()}
    unasked = [name for name in told if not any(fnmatch.fnmatchcase(name, each) for each in host.overrides)]
    judged = [name for name in unasked if name in env.schema and not env.schema[name].get("ignored")]
    texts = ((host.project.directory / name).read_text("utf-8", "replace") for name in host.project.files)
    idle = unused(written, model, texts)
    said, todo = [], []
    if unasked:
        said.append("the Compose files set another value: " + ", ".join(told[name] for name in unasked))
        todo.append(f"Take what they set out of the Compose files, or out of {env.path}, where it has no effect")
    if idle:
        said.append("no service gets them and no Compose file names them: " + ", ".join(idle))
        todo.append(f"Delete {', '.join(idle)} in {env.path}")
    if said:
        return Outcome(FAIL if judged else WARN, "; ".join(said), "; ".join(todo))
    return Outcome(PASS, f"but for what is meant to differ: {', '.join(told.values())}" if told else "all of it")


def overridden(variables: Mapping[str, Variable], model: Model) -> Names:
    """Return the variables of the file for which a service gets another value, with those services."""
    found: Names = {}
    for service, definition in sorted(model["services"].items()):
        for name, value in (definition.get("environment") or {}).items():
            if name in variables and (variables[name].value or "") != (value or "").replace("$$", "$"):
                found.setdefault(name, []).append(service)
    return dict(sorted(found.items()))


def unused(variables: Iterable[str], model: Model, texts: Iterable[str]) -> list[str]:
    """Return the variables of the file that reach no service, by name or in a ``${…}`` of a Compose file."""
    given = {name for service in model["services"].values() for name in service.get("environment") or {}}
    named = {name for text in texts for name in re.findall(r"\$\{?(\w+)", text)}
    return sorted(name for name in variables if name not in given | named and not _FOR_COMPOSE.match(name))


def _judge_running(written: Mapping[str, Variable], host: Host, model: Model) -> Outcome:
    try:
        containers = running(host.execute, host.project.name)
    except OpsError as error:
        raise Unreachable(error.problem, error.remedy) from None
    different = differences(model, containers)
    values = {name: variable.value for name, variable in written.items() if variable.value is not None}
    changed = edited(host.state_dir, values) if different else []
    return judge_running(different, containers, changed, host.up())


@dataclass(frozen=True)
class Running:
    """A running container.

    Attributes:
        service: its service.
        values: its environment.
        image: that of its image; None when the image is gone, so that nobody can tell what came from it.
        made_with: its ``image``, ``command`` and ``entrypoint``, as they were given when it was made.
    """

    service: str
    values: Mapping[str, str]
    image: Mapping[str, str] | None
    made_with: Mapping[str, t.Any] = field(default_factory=dict)


def running(execute: Execute, project: str) -> list[Running]:
    """Return the running containers of a project, the newest of each service, by service."""
    filters = [f"label={PROJECT}={project}", f"label={ONE_OFF}=False"]
    ids = _docker(execute, "ps", "-q", "--no-trunc", *(part for each in filters for part in ("--filter", each)))
    if not ids.split():
        return []
    found = _inspected(execute, "container", ids.split())
    newest = {each["Config"]["Labels"][SERVICE]: each for each in sorted(found, key=lambda each: str(each["Created"]))}
    wanted = sorted({each["Image"] for each in newest.values()})
    images = {each["Id"]: _pairs(each["Config"]) for each in _inspected(execute, "image", wanted)}
    return [
        Running(service, _pairs(each["Config"]), images.get(each["Image"]), _made_with(each["Config"]))
        for service, each in sorted(newest.items())
    ]


def _made_with(config: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {"image": config.get("Image"), "command": config.get("Cmd"), "entrypoint": config.get("Entrypoint")}


def _docker(execute: Execute, *arguments: str) -> str:
    code, out, err = execute(["docker", *arguments])
    if code:
        raise explain(f"docker {arguments[0]}", err, "")
    return out


def _inspected(execute: Execute, kind: str, ids: Sequence[str]) -> list[dict[str, t.Any]]:
    """Return the descriptions of those that are still there."""
    code, out, err = execute(["docker", kind, "inspect", *ids])
    if code and "no such" not in err.lower():
        raise explain(f"docker {kind} inspect", err, "")
    return t.cast("list[dict[str, t.Any]]", json.loads(out))


def _pairs(config: Mapping[str, t.Any]) -> dict[str, str]:
    return {name: value for name, given, value in (line.partition("=") for line in config.get("Env") or []) if given}


def differences(model: Model, containers: Iterable[Running]) -> Names:
    """Return the variables of which a container has another value than it would get now, with its services."""
    found: Names = {}
    for container in containers:
        definition = model["services"].get(container.service)
        if definition is not None:  # else it is of another profile, or of an older model
            for name in _different(container, definition.get("environment") or {}):
                found.setdefault(name, []).append(container.service)
    return dict(sorted(found.items()))


def _different(container: Running, given: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the variables of one container that differ from what its service is given."""
    for name, value in given.items():
        # Without a value it is taken from whoever runs Compose.
        if value is not None and not _same(container.values.get(name), value.replace("$$", "$")):
            yield name
    if container.image is not None:
        for name in container.values.keys() - given.keys():
            if name.upper() not in _PROXIES and not _same(container.image.get(name), container.values[name]):
                yield name


def _same(one: str | None, other: str) -> bool:
    return one is not None and hmac.compare_digest(_bytes(one), _bytes(other))


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def edited(state_dir: Path, values: Mapping[str, str]) -> list[str] | None:
    """Return the variables of the file that changed since the serving release; None when none is known for sure."""
    store = _release.Store(state_dir)
    try:
        release = store.current()
        if release is None or not release.config or store.unfinished_switch():
            return None
        key = _secrets.host_key(state_dir, keep=False)
    except OSError as error:
        raise Unreachable(f"{state_dir} cannot be read ({error.strerror}).", "Run the task with become.") from None
    before = release.config.get("env", {})
    now = {name: _secrets.fingerprint(key, value) for name, value in values.items()}
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def judge_running(different: Names, containers: Sequence[Running], changed: list[str] | None, up: str) -> Outcome:
    """Judge what differs by what is known of the file.

    An edit that no deployment has brought yet is the normal case before one. What differs although the file is as it
    was released was started by hand, and is lost with the next deployment unless somebody writes it down.

    Args:
        different: what :func:`differences` found.
        containers: what runs.
        changed: what :func:`edited` found.
        up: the command that starts the services as the files say.
    """
    if not containers:
        return Outcome(SKIP, "nothing of the project runs yet")
    if not different:
        return Outcome(PASS, f"{len(containers)} services run with it")
    told = _told(different, containers)
    if changed:
        deploy = "Deploy: a change of configuration alone makes a release (ansible-playbook prosaas.ops.deploy)"
        return Outcome(WARN, f"edited since the last release, and not running yet: {told}", deploy)
    if changed is None:
        deploy = "Deploy (ansible-playbook prosaas.ops.deploy), or restart what you keep: " + up
        evidence = f"no finished release is on record, and the running containers have other values: {told}"
        return Outcome(WARN, evidence, deploy)
    evidence = f"the file is as released, and the running containers have other values all the same: {told}"
    return Outcome(FAIL, evidence, f"Write what must stay into the file; else start it as the files say: {up}")


def _told(different: Names, containers: Sequence[Running]) -> str:
    """Name variables by the services in which they differ."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, services in different.items():
        groups.setdefault(tuple(services), []).append(name)
    every = tuple(container.service for container in containers)
    return "; ".join(
        f"{_some(names)} (in {'every service' if services == every else ', '.join(services)})"
        for services, names in groups.items()
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_NAMED])} and {more} more"
