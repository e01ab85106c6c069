# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a release into service: what is tried before, what is moved, what is started, in which order.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import tempfile
import time
import typing as t
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import _build, _journal, _rollout, _steering, _store, _successors
from ._compose import Compose, built_services
from ._deploy import Application
from ._engine import Container, Engine
from ._errors import OpsError
from ._release import Release, new_id
from ._rollout import Brought, Site

_PAUSE = 0.3

# Gets the services that are going to change, raises when they may not, and holds new calls off, where it has to, while
# its body runs. What it gives is to be called after the store of the slots was replaced.
Gate = Callable[[Collection[str]], "t.ContextManager[Callable[[], None]]"]


@dataclass(frozen=True)
class Switched:
    """The release that serves now, what was done for it, and the old containers that still run."""

    release: Release
    done: Brought


def switch(
    app: Application,
    target: Release,
    foreseen: Mapping[str, Sequence[str]],
    gate: Gate,
    site_of: Callable[[Mapping[str, t.Any]], Site],
    before_move: Callable[[], None] = lambda: None,
) -> Switched:
    """Bring a release into service.

    Args:
        foreseen: services that will change, with the reasons.
        gate: is entered before anything is touched, and raises when it may not be.
        site_of: makes what the rollout works with, of the resolved model that it will work on.
        before_move: what else has to be done in the project directory, once nothing can refuse any more.

    Raises:
        OpsError: its detail ``touched`` tells whether names or containers have been changed.
    """
    touched = False
    try:
        complete(app, target)
        before = site_of(app.model())
        try_before(app, target, foreseen, before)
        with gate(foreseen) as renew:
            touched = True
            before_move()
            served = app.store.current()
            release = move(app, target, before.engine)
            model = app.model()
            site = site_of(model)
            site.replaced = lambda service: renew() if site.ways[service].all_calls else None
            found = _successors.moves(site.engine, site.compose, model, _retired(served, model))
            unforeseen = [
                name for name, one in found.items() if not one.done and site.ways[name].all_calls and name not in foreseen
            ]
            if unforeseen and any(found[name].others for name in unforeseen):
                raise OpsError(
                    f"{', '.join(unforeseen)} would be replaced although nothing was seen to change about it, and every "
                    "call passes through it.",
                    "Find out who changed it by hand: docker compose up --dry-run",
                )

            def supersede(old: Sequence[Container]) -> None:
                why = f"superseded by release {release.id}"
                app.store.set_superseded({"id": one.id, "service": one.service, "why": why} for one in old)

            return Switched(release, _rollout.bring(site, found, supersede))
    except OpsError as error:
        error.details["touched"] = touched
        raise


def complete(app: Application, target: Release) -> None:
    missing = app.missing_images(target)
    if missing:
        raise OpsError(f"Release {target.id} is not complete: the images of {', '.join(missing)} are gone.")


def try_before(app: Application, target: Release, foreseen: Mapping[str, Sequence[str]], site: Site) -> None:
    """Refuse what cannot be switched without a cut, and try a changed proxy in a container that serves nobody."""
    named = [name for name in foreseen if (site.model["services"].get(name) or {}).get("container_name")]
    if named:
        raise OpsError(
            f"{', '.join(named)} has a container_name, which rules out a second container while the first one serves.",
            "Remove container_name from the Compose files: Compose names containers by project and service.",
        )
    kept = bound_to_others(site.model, site.engine.containers(site.project), foreseen)
    if kept:
        raise OpsError(
            f"{', '.join(kept)} keeps data in a volume without a name and depends on other services: Compose alone hands such "
            "a volume on, and would replace those services at the same time.",
            "Give the volume a name in the Compose files.",
        )
    _end_trial(site)
    if site.proxy.service in foreseen and site.proxy_container():
        site.say(f"trying the new {site.proxy.service}")
        with as_after(app, target) as compose:
            _try_proxy(compose, site)


def bound_to_others(
    model: Mapping[str, t.Any], containers: Sequence[Container], changing: Collection[str]
) -> list[str]:
    """Return the services that will change, have a volume without a name, and depend on others."""
    keeping = {one.service for one in containers if one.anonymous_volumes}
    return sorted(name for name in keeping & set(changing) if (model["services"].get(name) or {}).get("depends_on"))


def _trial(site: Site) -> str:
    return f"{site.project}-{site.proxy.service}-trial"


def _end_trial(site: Site) -> None:
    if site.engine.inspect(_trial(site)):
        site.engine.remove(_trial(site), force=True)


def _try_proxy(compose: Compose, site: Site) -> None:
    """Start the new proxy on the same network with the same mounts, but without its ports and its name."""
    name = _trial(site)
    compose.run("run", "--detach", "--no-deps", "--name", name, site.proxy.service)
    try:
        deadline = time.monotonic() + site.limits.deadline
        while not _came_up(site, name, time.monotonic() > deadline):
            time.sleep(_PAUSE)
    finally:
        _end_trial(site)


def _came_up(site: Site, name: str, late: bool) -> bool:
    """Whether the proxy on trial runs, takes its configuration and is healthy; raise when it will not."""
    tried = site.engine.inspect(name)
    printed = ""
    if tried and tried.running:
        code, printed = site.engine.run_in(name, site.proxy.test)
        if code == 0 and (not tried.health_test or site.engine.run_in(name, tried.health_test)[0] == 0):
            return True
    if late or not (tried and tried.running):
        raise _steering.refused("\n".join([*map(site.mask, site.engine.log_tail(name, _rollout.LOG_LINES)), printed]))
    return False


def move(app: Application, target: Release, engine: Engine) -> Release:
    """Move the project directory and Compose's own image names to a release; containers are not touched here.

    A release that served before is kept as it was: serving again with today's configuration makes a new one of the
    same images.
    """
    app.store.begin_switch(app.store.current(), target)
    app.git.checkout(target.commit)
    app.forget()
    for image in target.images.values():
        engine.tag(image["id"], image["name"])
    config = asdict(app.config())
    if target.config and target.config != config:
        target = replace(target, id=new_id(target.commit), made=_journal.now(), verified="", adopted=False)
    target = replace(target, config=config, switched=_journal.now())
    app.store.put(target)
    app.store.keep_files(target, app.files_to_keep())
    app.store.begin_switch(app.store.current(), target)
    app.store.set_current(target)
    return target


def _retired(served: Release | None, model: Mapping[str, t.Any]) -> set[str]:
    return set(served.images) - set(model["services"]) if served else set()


@contextmanager
def as_after(app: Application, target: Release) -> Iterator[Compose]:
    """Give Compose for the project as it will be after the switch: the files of the commit, the release's own images.

    What the files mount from the project directory is what is there now.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for number, name in enumerate(app.project.files):
            path = Path(scratch) / f"{number}.yml"
            path.write_text(app.git.run("show", f"{target.commit}:{name}"), encoding="utf-8")
            files.append(str(path))
        built = built_services(Compose(replace(app.project, files=tuple(files)), app.execute).model())
        images = {name: {"image": _build.tagged(image, target.commit)} for name, image in built.items()}
        override = Path(scratch) / "images.json"
        _store.write_json(override, {"services": images})
        yield Compose(replace(app.project, files=(*files, str(override))), app.execute)
