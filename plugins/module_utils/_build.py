# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a release beside the one that serves, and migrating its database before the switch.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import subprocess
import tempfile
import time
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import _images, _journal, _secrets, _store
from ._buildkit import LAST_LINES, Steps
from ._compose import Compose, built_services, explain
from ._deploy import Application
from ._errors import OpsError
from ._git import Repository
from ._progress import Say, silent
from ._release import Release, new_id

PAUSE = 5.0  # seconds between two thoughts about a build that prints nothing
GRACE = 10  # seconds that a migration which is given up has for an orderly end


class Built(t.NamedTuple):
    """What a build made.

    Attributes:
        release: the new release; none in check mode.
        services: those whose image was, or would be, built.
        adopted: the release that was made of what runs here (see :func:`adopt`); none as a rule.
    """

    release: Release | None
    services: list[str]
    adopted: Release | None


def build(
    app: Application,
    commit: str,
    log: Path,
    rebuild: bool,
    check_mode: bool,
    say: Say = silent,
    schema: t.Callable[[], list[str] | None] = lambda: None,
) -> Built:
    """Make the release of a commit: check it out beside the project directory, build what is missing, write it down.

    Compose's own image names are not moved: every image gets the name with the commit as its tag.
    """
    if check_mode:
        return Built(None, _to_build(app, _tagged_names(peek(app, commit), commit), rebuild), None)
    adopted = adopt(app, schema)
    compose, model = staged(app, commit)
    tagged_names = _tagged_names(model, commit)
    to_build = _to_build(app, tagged_names, rebuild)
    if to_build:
        options = ["--no-cache"] if rebuild else []
        steps = Steps({service: tagged_names[service] for service in to_build}, time.monotonic())
        _logged(compose.argv("--progress", "plain", "build", *options, *to_build), log, app.secrets(), say, steps)
    names = app.image_names(model)
    references = {service: tagged_names.get(service, names[service]) for service in names}
    found = _images.image_ids(app.execute, references.values())
    to_pull = sorted(service for service, reference in references.items() if reference not in found)
    if to_pull:
        say(f"pulling the images of {', '.join(to_pull)}")
        _logged(compose.argv("pull", *to_pull), log, app.secrets(), say)
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

    The files of the worktree are those of the commit; ``.env`` is the host's own, by a link. A worktree that is as it
    should be is used again.
    """
    tree = app.worktree(commit)
    _store.private_dir(tree.parent)
    if not _stands_at(Repository(tree, app.execute), commit, app.env_path().name):
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


def _stands_at(worktree: Repository, commit: str, env_file: str) -> bool:
    """Whether a worktree has the files of a commit, all of them and no other but our link."""
    if not (worktree.directory / ".git").is_file():
        return False
    rc, head, _err = worktree.try_run("rev-parse", "HEAD")
    if rc or head.strip() != commit:
        return False
    rc, changes, _err = worktree.try_run("status", "--porcelain", "-z", "--untracked-files=all")
    return rc == 0 and all(entry[3:] == env_file for entry in changes.split("\0") if entry)


def unstage(app: Application, commit: str) -> None:
    """Remove the worktree of a commit and what belongs to it."""
    app.git.remove_worktree(app.worktree(commit))
    app.worktree(commit).with_suffix(".override.json").unlink(missing_ok=True)


def of_nobody(app: Application) -> dict[str, dict[str, str]]:
    """Return what runs, by service, if no release could bring it back.

    That is so before the first deployment; and where somebody has built and started it by hand, and cleared the images
    of the release away. What merely runs beside such a release is not meant: then the release itself comes back.
    """
    current = app.store.current()
    if current is not None:
        in_order = not (app.store.unfinished_switch() or app.store.superseded())
        if not (current.eligible and in_order and app.missing_images(current)):
            return {}
    running = _images.running(app.execute, app.project.name)
    return running if current is None or set(current.images) <= set(running) else {}


def adopt(app: Application, schema: t.Callable[[], list[str] | None] = lambda: None) -> Release | None:
    """Keep what runs as a release, if there is none that could bring it back, so that this deployment can be taken back.

    Args:
        schema: returns the migrations that the database has, which it serves on.
    """
    running = of_nobody(app)
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
        schema=schema(),
    )
    for image in release.images.values():
        _images.tag(app.execute, image["id"], tagged(image["name"], commit))
    app.store.put(release)
    app.store.keep_files(release, app.files_to_keep())
    app.store.set_current(release)
    return release


def migrate(
    app: Application, commit: str, service: str, success: Sequence[str], timeout: int, say: Say = silent
) -> dict[str, t.Any]:
    """Run the one-shot that migrates the database with the new image, while the old release serves.

    Its exit code is not enough: the one-shot can exit 0 without having migrated, so its own words are read too
    (docs/application.md, section 6). What it printed is masked before it is kept: it prints the database URL.
    """
    compose, model = staged(app, commit)
    if service not in model["services"]:
        return {"migrated": False, "log": [f"The model has no service {service}."]}
    say("migrating the database with the new image")
    # A name of its own: killing the client leaves the container, and with it perhaps the lock that the next one needs.
    name = f"{app.project.name}-{service}-run-{secrets.token_hex(6)}"
    argv = compose.argv("run", "--rm", "--name", name, "--no-deps", "-T", service)
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        for command in (["stop", "-t", str(GRACE)], ["rm", "--force"]):
            app.execute(["docker", *command, name])
        raise OpsError(
            f"The migration did not end within {timeout} s and was stopped; the old release still serves.",
            "Look at the log lines: it may wait for a lock, or need a larger deploy_migrate_timeout. Then deploy again.",
            log=_last_lines((error.stdout or b"").decode("utf-8", "replace"), app.secrets()),
        ) from None
    printed = _secrets.redact(done.stdout.decode("utf-8", "replace"), app.secrets())
    lines = _last_lines(printed)
    if done.returncode:
        explained = explain(f"docker compose run {service}", _telling(lines), "")
        raise OpsError(
            f"The migration failed (exit code {done.returncode}): {explained.problem} The old release still serves.",
            "Correct the migration and deploy again.",
            log=lines,
        )
    if not any(re.search(pattern, printed) for pattern in success):
        raise OpsError(
            "The migration ended with exit code 0 without saying that it migrated; the old release still serves.",
            "Another migration may hold its lock: look at the log lines, then run the deployment again.",
            log=lines,
        )
    return {"migrated": True, "log": lines}


def versions(app: Application) -> dict[str, str]:
    """Return the versions that shape what Compose does: a newer Compose alone recreates containers."""
    _rc, compose, _err = app.execute(["docker", "compose", "version", "--short"])
    rc, engine, err = app.execute(["docker", "version", "--format", "{{.Server.Version}}"])
    if rc:
        raise explain("docker version", err, "")
    return {"compose": compose.strip(), "engine": engine.strip()}


def _logged(argv: Sequence[str], log: Path, hidden: set[str], say: Say, steps: Steps | None = None) -> None:
    """Run a long command with its output in a log file that can be followed; raise with the last lines on failure."""
    _store.private_dir(log.parent)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0) as stream:
        started = stream.tell()
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as process:
            for line in _lines(process):
                if line is not None:
                    stream.write(f"{_secrets.redact(line, hidden)}\n".encode())
                for text in _said(steps, line):
                    say(text)
    if not process.returncode:
        return
    lines = _last_lines(log.read_bytes()[started:].decode("utf-8", "replace"))
    error = explain(f"docker compose {_verb(argv)}", lines[-1] if lines else "", f"The whole log: {log}")
    error.details["log"] = lines
    failure = steps.failure if steps else None
    if failure:
        problem = f"docker compose build failed at {failure.service}, {failure.step}: {failure.reason}."
        kept = [_secrets.redact(printed, hidden) for printed in failure.lines]
        error = OpsError(_secrets.redact(problem, hidden), error.remedy, log=kept or lines)
    raise error


def _said(steps: Steps | None, line: str | None) -> list[str]:
    if steps is None:
        return []
    now = time.monotonic()
    return steps.silence(now) if line is None else steps.line(line, now)


def _lines(process: subprocess.Popen[bytes]) -> t.Iterator[str | None]:
    """Yield each line as it is printed, and nothing at all every few seconds in which none is."""
    descriptor = t.cast("t.IO[bytes]", process.stdout).fileno()
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if not selector.select(PAUSE):
                yield None
                continue
            data = os.read(descriptor, 65536)
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace")
            if not data:
                break
    if rest:
        yield rest.decode("utf-8", "replace")


def _last_lines(text: str, hidden: Iterable[str] = ()) -> list[str]:
    return [line for line in _secrets.redact(text, hidden).splitlines() if line.strip()][-LAST_LINES:]


def _telling(lines: Sequence[str]) -> str:
    """Return the line that says why: the last one that speaks of a failure. The very last may only point at a word."""
    found = [line for line in lines if re.search(r"(?i)\b(fail(ed|ure)?|fatal|error|exception)\b|cannot connect", line)]
    return ([*lines, *found] or [""])[-1].strip()


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
