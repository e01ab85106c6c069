# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is each container still as the Compose files and the environment file would make it now?

Compose writes a hash of a service's configuration on its containers, and tells that of today. Asked for it with the
files as they are, it may leave out what comes from ``env_file``; so it gets the model that it has resolved, by its
standard input. Where the hashes differ, its dry run has the last word: it is exact for every version of Compose, but
also names what it would replace only because of a dependency.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import _dotenv, _env_views, _release, _secrets
from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._compose import Compose, Execute, image_name
from ._engine import Container
from ._errors import OpsError, Unreachable
from ._health import DEPLOY

Model = t.Mapping[str, t.Any]

RECREATE = re.compile(r"Container (?P<name>\S+)\s+Recreate\b")  # of Compose's dry run
MADE_ALONE = Outcome(
    WARN,
    "its container was made with --no-deps: it is as the files say, but the next docker compose up makes it anew",
    f"Deploy, which does it without cutting anything off: {DEPLOY}",
)
_NAMED = 8  # variables, before a line gets too long to be read


@dataclass(frozen=True)
class Files:
    """What is known of the files since the release that serves.

    Attributes:
        known: whether a finished release is on record.
        edited: the variables that were edited since, or the Compose files.
    """

    known: bool = False
    edited: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """The project on its host.

    Attributes:
        compose: its Compose.
        execute: runs a program.
        state_dir: where the releases are.
        env_path: the environment file.
    """

    compose: Compose
    execute: Execute
    state_dir: Path
    env_path: Path


def judge_all(host: Host, model: Model, containers: Sequence[Container]) -> dict[str, Outcome]:
    """Judge the containers of each of their services."""
    services = sorted({one.service for one in containers} & set(model["services"]))
    try:
        stale, alone = drifted(host.compose, model, containers)
        running = (
            {one.service: one for one in _env_views.running(host.execute, host.compose.project.name)} if stale else {}
        )
        files = files_since(host, model) if stale else Files()
    except OpsError as error:
        return dict.fromkeys(services, Outcome(UNKNOWN, error.problem, error.remedy or "docker compose config --quiet"))
    found = dict.fromkeys(services, Outcome(PASS, "its container is as the files say"))
    found.update({service: judge(differences(model, service, running.get(service)), files) for service in stale})
    found.update(dict.fromkeys(alone, MADE_ALONE))
    return found


class Made(t.Protocol):
    """What is asked of a container here."""

    @property
    def name(self) -> str: ...

    @property
    def service(self) -> str: ...

    @property
    def config_hash(self) -> str: ...

    @property
    def depends_on(self) -> tuple[str, ...]: ...


def drifted(compose: Compose, model: Model, containers: Iterable[Made]) -> tuple[set[str], set[str]]:
    """Return the services with a container that is not as Compose would make it now.

    Those come second that differ in nothing but that they were made without what they depend on.
    """
    today = hashes(compose, model)
    other = [one for one in containers if one.config_hash != today.get(one.service)]
    if not other:
        return set(), set()
    said = "".join(compose.run("--dry-run", "create", "--no-build", "--pull", "never"))
    named = {found["name"] for found in RECREATE.finditer(said)}
    other = [one for one in other if one.name in named]
    kept = {one.service: one.depends_on for one in other}
    without = {name: {**one, "depends_on": _some(one, kept.get(name, ()))} for name, one in model["services"].items()}
    made_alone = hashes(compose, {**model, "services": without})
    stale = {one.service for one in other if one.config_hash != made_alone.get(one.service)}
    return stale, {one.service for one in other} - stale


def _some(service: t.Mapping[str, t.Any], names: Iterable[str]) -> dict[str, t.Any]:
    """Return of what a service depends on these; ``--no-deps`` leaves out what is not brought up with it."""
    return {name: how for name, how in (service.get("depends_on") or {}).items() if name in set(names)}


def hashes(compose: Compose, model: Model) -> dict[str, str]:
    """Return the hash of each service's configuration; none where this Compose cannot tell it."""
    code, out = compose.try_on(model, "config", "--hash", "*")
    return dict(line.split() for line in out.splitlines() if len(line.split()) == 2) if code == 0 else {}


def differences(model: Model, service: str, container: _env_views.Running | None) -> list[str]:
    """Return in what a container differs from its service, in words and without a value; never nothing."""
    definition = model["services"][service]
    if container is None:
        return ["what, is not known while it does not run"]
    names = sorted(_env_views.differences(model, [container]))
    more = len(names) - _NAMED
    found = [", ".join(names[:_NAMED]) + (f" and {more} more variables" if more > 0 else "")] if names else []
    wanted: dict[str, t.Any] = {"image": image_name(str(model["name"]), service, definition)}
    wanted.update({key: _plain(definition[key]) for key in ("command", "entrypoint") if definition.get(key)})
    found += [f"its {key}" for key, value in wanted.items() if container.made_with.get(key) != value]
    return found or ["something else than its variables, image and command"]


def _plain(words: Iterable[str]) -> list[str]:
    return [word.replace("$$", "$") for word in words]


def files_since(host: Host, model: Model) -> Files:
    """Tell whether the files are as they were released."""
    names = _env_views.edited(host.state_dir, _dotenv.values(host.env_path))
    if names is None:
        return Files()
    try:
        release = _release.Store(host.state_dir).current()
        key = _secrets.host_key(host.state_dir, keep=False)
    except OSError as error:
        raise Unreachable(f"{host.state_dir} cannot be read ({error.strerror}).", "Run the task with become.") from None
    same = release and release.config.get("model") == _secrets.fingerprint(key, json.dumps(model, sort_keys=True))
    return Files(True, tuple(names) if names or same else ("the Compose files",))


def judge(different: Sequence[str], files: Files) -> Outcome:
    """Judge one service by what differs, and by what is known of the files.

    An edit that no deployment has brought yet is the normal case before one. What differs although the files are as
    they were released was started by hand, and is lost with the next deployment unless somebody writes it down.
    """
    told = "; ".join(different)
    if files.edited:
        said = f"edited since the last release, and not running yet: {told}"
        return Outcome(WARN, said, f"Deploy: a change of configuration alone makes a release ({DEPLOY})")
    if not files.known:
        return Outcome(
            WARN, f"no finished release is on record, and the files say otherwise: {told}", f"Deploy: {DEPLOY}"
        )
    said = f"the files are as released, but it runs with other settings: {told}"
    return Outcome(FAIL, said, f"Write what must stay into the files, then deploy: {DEPLOY}")
