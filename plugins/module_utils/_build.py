# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a release beside the one that serves, and migrating its database before the switch.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import _images, _journal, _secrets, _store
from ._compose import Compose, built_services, explain
from ._deploy import Application
from ._errors import OpsError
from ._release import Release, new_id

LAST_LINES = 25


class Built(t.NamedTuple):
    """What a build made.

    Attributes:
        release: the new release; none in check mode.
        services: those whose image was, or would be, built.
        adopted: the release of what ran here before the collection came; none from the second deployment on.
    """

    release: Release | None
    services: list[str]
    adopted: Release | None


def build(app: Application, commit: str, log: Path, rebuild: bool, check_mode: bool) -> Built:
    """Make the release of a commit: check it out beside the project directory, build what is missing, write it down.

    Compose's own image names are not moved: every image gets the name with the commit as its tag.
    """
    if check_mode:
        return Built(None, _to_build(app, _tagged_names(peek(app, commit), commit), rebuild), None)
    adopted = adopt(app)
    compose, model = staged(app, commit)
    tagged_names = _tagged_names(model, commit)
    to_build = _to_build(app, tagged_names, rebuild)
    if to_build:
        options = ["--no-cache"] if rebuild else []
        _logged(compose.argv("--progress", "plain", "build", *options, *to_build), log, app.secrets())
    names = app.image_names(model)
    references = {service: tagged_names.get(service, names[service]) for service in names}
    found = _images.image_ids(app.execute, references.values())
    to_pull = sorted(service for service, reference in references.items() if reference not in found)
    if to_pull:
        _logged(compose.argv("pull", *to_pull), log, app.secrets())
        found = _images.image_ids(app.execute, references.values())
    own = {service: _plain(names[service], service in tagged_names) for service in names}
    release = Release(
        id=new_id(commit),
        commit=commit,
        subject=app.git.subject(commit),
        made=_journal.now(),
        images={service: {"name": own[service], "id": found[references[service]]} for service in names},
        versions=versions(app),
    )
    app.store.put(release)
    return Built(release, to_build, adopted)


def _tagged_names(model: Mapping[str, t.Any], commit: str) -> dict[str, str]:
    return {service: tagged(name, commit) for service, name in built_services(model).items()}


def _to_build(app: Application, names: Mapping[str, str], rebuild: bool) -> list[str]:
    present = {} if rebuild else _images.image_ids(app.execute, names.values())
    return sorted(service for service, name in names.items() if name not in present)


def peek(app: Application, commit: str) -> dict[str, t.Any]:
    """Return the model of a commit without checking it out: for check mode, which leaves nothing behind."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for name in app.project.files:
            (tree / name).write_text(app.git.run("show", f"{commit}:{name}"), encoding="utf-8")
        (tree / app.env_path().name).symlink_to(app.env_path())
        return Compose(app.project.at(tree), app.execute).model()


def staged(app: Application, commit: str) -> tuple[Compose, dict[str, t.Any]]:
    """Check a commit out beside the project directory; return Compose for it there, and its model with plain names.

    The files of the worktree are those of the commit; ``.env`` is the host's own, by a link.
    """
    tree = app.worktree(commit)
    _store.private_dir(tree.parent)
    app.git.add_worktree(tree, commit)
    env_file = tree / app.env_path().name
    env_file.unlink(missing_ok=True)
    env_file.symlink_to(app.env_path())
    plain = Compose(app.project.at(tree), app.execute)
    model = plain.model()
    override = tree.with_suffix(".override.json")
    services = {name: {"image": image} for name, image in _tagged_names(model, commit).items()}
    _store.write_json(override, {"services": services})
    return Compose(app.project.at(tree, str(override)), app.execute), model


def unstage(app: Application, commit: str) -> None:
    """Remove the worktree of a commit and what belongs to it."""
    app.git.remove_worktree(app.worktree(commit))
    app.worktree(commit).with_suffix(".override.json").unlink(missing_ok=True)


def adopt(app: Application) -> Release | None:
    """Keep what runs without a release of ours as a release, so that the first deployment can be taken back too."""
    if app.store.current() is not None:
        return None
    running = _images.running(app.execute, app.project.name)
    if not running:
        return None
    commit = app.git.head()
    release = Release(
        id=new_id(commit),
        commit=commit,
        subject=app.git.subject(commit),
        made=_journal.now(),
        images={name: {"name": found["name"], "id": found["image"]} for name, found in sorted(running.items())},
        versions=versions(app),
        switched=_journal.now(),
        adopted=True,
    )
    for image in release.images.values():
        _images.tag(app.execute, image["id"], tagged(image["name"], commit))
    app.store.put(release)
    app.store.keep_files(release, app.files_to_keep())
    app.store.set_current(release)
    return release


def migrate(app: Application, commit: str, service: str, success: Sequence[str], timeout: int) -> dict[str, t.Any]:
    """Run the one-shot that migrates the database with the new image, while the old release serves.

    Its exit code is not enough: the one-shot can exit 0 without having migrated, so its own words are read too
    (docs/application.md, section 6). What it printed is masked before it is kept: it prints the database URL.
    """
    compose, model = staged(app, commit)
    if service not in model["services"]:
        return {"migrated": False, "log": [f"The model has no service {service}."]}
    argv = compose.argv("run", "--rm", "--no-deps", "-T", service)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise OpsError(
            f"The migration did not end within {timeout} s; the old release still serves.",
            f"Look at it: docker logs of the {service} container, then run the deployment again.",
        ) from None
    printed = _secrets.redact(done.stdout + done.stderr, app.secrets())
    lines = [line for line in printed.splitlines() if line.strip()]
    if done.returncode:
        explained = explain(f"docker compose run {service}", printed, "")
        raise OpsError(
            f"The migration failed (exit code {done.returncode}): {explained.problem} The old release still serves.",
            "Correct the migration and deploy again.",
            log=lines[-LAST_LINES:],
        )
    if not any(re.search(pattern, printed) for pattern in success):
        raise OpsError(
            "The migration ended with exit code 0 without saying that it migrated; the old release still serves.",
            "Another migration may hold its lock: look at the log lines, then run the deployment again.",
            log=lines[-LAST_LINES:],
        )
    return {"migrated": True, "log": lines[-LAST_LINES:]}


def versions(app: Application) -> dict[str, str]:
    """Return the versions that shape what Compose does: a newer Compose alone recreates containers."""
    _rc, compose, _err = app.execute(["docker", "compose", "version", "--short"])
    rc, engine, err = app.execute(["docker", "version", "--format", "{{.Server.Version}}"])
    if rc:
        raise explain("docker version", err, "")
    return {"compose": compose.strip(), "engine": engine.strip()}


def _logged(argv: Sequence[str], log: Path, secrets: set[str]) -> None:
    """Run a long command with its output in a log file that can be followed; raise with the last lines on failure."""
    _store.private_dir(log.parent)
    with open(log, "ab") as stream:
        rc = subprocess.run(argv, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False).returncode
    if rc:
        text = _secrets.redact(log.read_text(encoding="utf-8", errors="replace"), secrets)
        lines = [line for line in text.splitlines() if line.strip()]
        error = explain(f"docker compose {_verb(argv)}", lines[-1] if lines else "", f"The whole log: {log}")
        error.details["log"] = lines[-LAST_LINES:]
        raise error


def _verb(argv: Sequence[str]) -> str:
    return next(word for word in argv if word in ("build", "pull"))


def tagged(name: str, commit: str) -> str:
    """Return an image name with the commit as its tag: ``app-api`` and ``app-api:latest`` become ``app-api:1a2b…``."""
    head, _slash, last = name.rpartition("/")
    base = last.split("@")[0].split(":")[0]
    return f"{head}/{base}:{commit[:12]}" if head else f"{base}:{commit[:12]}"


def _plain(name: str, built: bool) -> str:
    """Return the name that Compose looks for: a built image without a tag means ``latest``."""
    return f"{name}:latest" if built and ":" not in name.rpartition("/")[2] else name
