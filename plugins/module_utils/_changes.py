# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services a release would replace, and why, told before anything is moved.

Compose itself answers what it would recreate (``docker compose --dry-run create``), on the Compose files of the commit
and with the paths and the environment file of the project directory; the rest here finds out why, and what images do.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import functools
import json
import tempfile
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import _build, _build_inputs, _engine, _images, _store
from ._compose import Compose, built_services, explain, one_shots
from ._deploy import Application
from ._drift import RECREATE, drifted
from ._errors import OpsError, Unreachable
from ._git import shown
from ._schema import some
from ._successors import needed_by

Reasons = dict[str, list[str]]

# Compose makes no container anew for these (2.26 and later); what is built shows as another image.
NOT_COMPARED = ("build", "pull_policy", "profiles", "scale", "depends_on")
_FILES = 3  # that a reason names
_BY_HAND = "its container is not as Compose would make it now: it was changed by hand, or made by another version"


@dataclass(frozen=True)
class Running:
    """A container of the project, one-off runs and what is superseded left out."""

    id: str
    name: str
    image: str
    status: str
    exit_code: int
    service: str
    config_hash: str
    depends_on: tuple[str, ...]


def predict(
    app: Application, commit: str, images: Mapping[str, str] | None = None, env: Path | None = None
) -> dict[str, list[str]]:
    """Return the services whose containers a release would replace, start or remove, each with the reasons.

    Args:
        images: the image id of each service in that release; without it, those that were built for the commit before
            count, and for the others which files of theirs have changed since the serving release.
        env: environment file to go with instead of the one of today.
    """
    containers = running(app)
    with files_at(app, commit) as directory:
        after = _model(app, directory, env)
        recreated = _recreated(app, directory, after, containers) if env is None else None
    differing = differences(released_model(app), after)
    if recreated is not None:
        # Without an image Compose was asked with another one's name: there, what differs in the model counts.
        moving = {name for name, anew in recreated.items() if anew} | {one["service"] for one in app.store.superseded()}
        # Compose recreates what depends on a container that it recreates or removes, even if nothing about it changed.
        dragged = {name for name in recreated.keys() - differing.keys() if moving & needed_by(after, [name])}
        dragged -= _changed_by_hand(app, [containers[name] for name in sorted(dragged) if recreated[name]])
        differing = {
            name: differing.get(name, [_BY_HAND])
            for name in containers
            if recreated.get(name, name in differing) and name not in dragged
        }
    reasons: Reasons = {name: ["it is new"] for name in after["services"].keys() - containers.keys()}
    reasons.update({name: ["it is not in the model any more"] for name in containers.keys() - after["services"].keys()})
    by_image = _by_source(app, commit, after, containers) if images is None else _by_image(images, containers)
    for more in (by_image, differing, _stopped(containers, one_shots(after))):
        for name in more.keys() & after["services"].keys():
            reasons[name] = [*reasons.get(name, []), *more[name]]
    return dict(sorted(reasons.items()))


def _changed_by_hand(app: Application, containers: list[Running]) -> set[str]:
    """Return the services whose container is not even as the project's files of today would make it."""
    here = app.compose()
    stale, alone = drifted(here, here.model(), containers) if containers else (set(), set())
    return stale | alone


def _stopped(containers: Mapping[str, Running], finite: t.Collection[str]) -> Reasons:
    """Return the services that do not run, or have not run to a good end as those that are meant to exit."""
    found = {}
    for name, one in containers.items():
        ended = one.status == "exited"
        if one.status != "running" and not (ended and one.exit_code == 0 and name in finite):
            found[name] = [f"its container has exited ({one.exit_code})" if ended else f"its container is {one.status}"]
    return found


def differences(before: Mapping[str, t.Any], after: Mapping[str, t.Any]) -> Reasons:
    """Return what differs between two models by service; variables by name, nothing by value."""
    found: Reasons = {}
    for name in sorted(before["services"].keys() & after["services"].keys()):
        old, new = before["services"][name], after["services"][name]
        keys = sorted(
            k for k in {*old, *new} if k not in NOT_COMPARED and k != "environment" and old.get(k) != new.get(k)
        )
        one, other = old.get("environment") or {}, new.get("environment") or {}
        variables = sorted(v for v in {*one, *other} if one.get(v, 0) != other.get(v, 0))
        said = [f"{key} changed" for key in keys]
        if variables:
            said.insert(0, f"environment changed: {some(variables, 10)}")
        if said:
            found[name] = said
    return found


def running(app: Application) -> dict[str, Running]:
    """Return the container of each service that counts: not one of an earlier release that only ends its calls."""
    filters = [f"label={_engine.PROJECT}={app.project.name}", f"label={_engine.ONE_OFF}=False"]
    rc, out, err = app.execute(["docker", "ps", "-aq", "--no-trunc", *(w for f in filters for w in ("--filter", f))])
    if rc:
        raise explain("docker ps", err, "")
    superseded = {container["id"] for container in app.store.superseded()}
    ids = [found for found in out.split() if found not in superseded]
    if not ids:
        return {}
    rc, out, err = app.execute(["docker", "inspect", *ids])
    if rc:
        raise explain("docker inspect", err, "Run it again: a container went away while it was looked at.")
    each = [_running(one) for one in reversed(json.loads(out))]  # the newest, which comes first, counts
    return {one.service: one for one in each}


def _running(said: Mapping[str, t.Any]) -> Running:
    labels = said["Config"]["Labels"]
    return Running(
        id=said["Id"],
        name=said["Name"].lstrip("/"),
        image=said["Image"],
        status=said["State"]["Status"],
        exit_code=said["State"]["ExitCode"],
        service=labels[_engine.SERVICE],
        config_hash=labels.get(_engine.CONFIG_HASH, ""),
        depends_on=_engine.depends_on(labels),
    )


@contextmanager
def files_at(app: Application, commit: str) -> Iterator[Path]:
    """Write the Compose files of a commit into a directory of their own."""
    with tempfile.TemporaryDirectory(prefix="prosaas-plan-") as scratch:
        for name in app.project.files:
            path = Path(scratch) / name
            _store.private_dir(path.parent)
            path.write_text(app.git.run("show", f"{commit}:{name}"), encoding="utf-8", errors="surrogateescape")
        yield Path(scratch)


def _here(app: Application, directory: Path, *extra: Path) -> Compose:
    """Return Compose for files that are elsewhere, as if they were in the project directory: its paths, its ``.env``."""
    files = [str(directory / name) for name in app.project.files] + [str(path) for path in extra]
    return Compose(replace(app.project, files=tuple(files)), app.execute)


def model_at(app: Application, commit: str, env: Path | None = None) -> dict[str, t.Any]:
    """Return the model of a commit with the environment file of today, or another one."""
    with files_at(app, commit) as directory:
        return _model(app, directory, env)


def _model(app: Application, directory: Path, env: Path | None) -> dict[str, t.Any]:
    """Return the model of files that are elsewhere, with the environment file of today, or another one."""
    if env is not None:
        return _elsewhere(app, directory, env)
    return app.ask_once(app.sources(directory), lambda: _here(app, directory).model())


def _elsewhere(app: Application, directory: Path, env: Path) -> dict[str, t.Any]:
    """Return the model of files with an environment file of their own, its paths as in the project directory."""
    (directory / app.env_path().name).symlink_to(env)
    model = json.dumps(Compose(app.project.at(directory), app.execute).model())
    return t.cast("dict[str, t.Any]", json.loads(model.replace(str(directory), str(app.project.directory))))


def released_model(app: Application) -> dict[str, t.Any]:
    """Return the model that the containers were made from: that of the files kept with the release that serves."""
    current = app.store.current()
    kept = app.store.path(current.id) if current else None
    if kept is not None:
        files = [kept / "env", *(kept / "compose" / name for name in app.project.files)]
        if all(path.is_file() for path in files) and not _same(files, app.sources()):
            with tempfile.TemporaryDirectory(prefix="prosaas-plan-") as scratch:
                for name in app.project.files:
                    _store.write_whole(Path(scratch) / name, (kept / "compose" / name).read_bytes())
                try:
                    return _elsewhere(app, Path(scratch), kept / "env")
                except Unreachable:
                    raise
                except OpsError:  # another Compose than in its day, say: the project directory is the next best
                    pass
    return app.model()


def _same(some_files: Sequence[Path], others: Sequence[Path]) -> bool:
    return all(other.is_file() and one.read_bytes() == other.read_bytes() for one, other in zip(some_files, others))


def to_build(app: Application, commit: str, model: Mapping[str, t.Any]) -> list[str]:
    """Return the services whose image was not built for a commit yet."""
    names = {service: _build.tagged(name, commit) for service, name in built_services(model).items()}
    present = _images.image_ids(app.execute, names.values())
    return sorted(service for service, name in names.items() if name not in present)


def _by_image(images: Mapping[str, str], containers: Mapping[str, Running]) -> Reasons:
    return {
        name: ["another image"]
        for name, image in images.items()
        if name in containers and containers[name].image != image
    }


def _by_source(app: Application, commit: str, model: Mapping[str, t.Any], containers: Mapping[str, Running]) -> Reasons:
    """Tell which images change: those that are known by their id, the others by the files that go into them."""
    built = built_services(model)
    names = app.image_names(model)
    references = {name: _build.tagged(built[name], commit) if name in built else names[name] for name in names}
    found = _images.image_ids(app.execute, references.values())
    known = {name: found[reference] for name, reference in references.items() if reference in found}
    reasons = _by_image(known, containers)
    for name in sorted(set(references) - set(known) - set(built)):
        reasons[name] = [f"image {names[name]} is to be pulled"]
    unknown = [name for name in built if name not in known and name in containers]
    if unknown:
        current = app.store.current()
        since = current.commit if current else app.git.head()
        changed = app.git.files_between(since, commit)
        show = functools.lru_cache(maxsize=None)(functools.partial(_show, app, commit))
        for name in unknown:
            files = _build_inputs.changed(model["services"][name]["build"], str(app.project.directory), changed, show)
            if files:
                reasons[name] = [f"it would be built anew: {some(map(shown, files), _FILES)} changed"]
    return reasons


def _show(app: Application, commit: str, path: str) -> str:
    rc, out, _err = app.git.try_run("show", f"{commit}:{path}")
    return out if rc == 0 else ""


def _recreated(
    app: Application, directory: Path, model: Mapping[str, t.Any], containers: Mapping[str, Running]
) -> dict[str, bool] | None:
    """Ask Compose which containers it would make anew; those that it cannot say it of are left out, all with ``None``."""
    names = app.image_names(model)
    present = _images.image_ids(app.execute, names.values())
    absent = {name for name, image in names.items() if image not in present}
    extra = []
    if absent:  # Compose looks for every image, also for one that is not built yet: any other stands in for it
        extra = [directory / "absent.json"]
        stand_in = {name: {"image": next(iter(present), "scratch")} for name in sorted(absent)}
        _store.write_json(extra[0], {"services": stand_in})
    argv = _here(app, directory, *extra).argv("create", "--no-build")
    argv[2:2] = ["--dry-run"]
    rc, out, err = app.execute(argv, cwd=str(app.project.directory))
    if rc:
        return None
    named = {found["name"] for found in RECREATE.finditer(out + err)}
    return {service: one.name in named for service, one in containers.items() if service not in absent}
