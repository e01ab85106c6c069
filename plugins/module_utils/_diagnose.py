# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that helps somebody else to find a fault, in one archive without secrets, which is read back to prove that.

Everything that goes in passes :func:`fit_to_send`, and nothing else does.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fnmatch
import glob
import io
import re
import secrets
import tarfile
import tempfile
import time
import traceback
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import _diagnose_page, _secrets, _store
from ._bounded import Programs
from ._compose import Compose
from ._diagnose_engine import Files, Inspected, Live, environment, known_by
from ._diagnose_page import FIRST, Missing
from ._diagnose_parts import Asked, Part, Site, parts
from ._diagnose_secrets import Known
from ._errors import OpsError
from ._redact import Redactor

AT_ONCE = 6  # mostly they wait
OLD = 3600  # seconds after which an archive that nobody fetched is taken away


@dataclass(frozen=True)
class Policy:
    """What is secret, and how much is taken.

    Attributes:
        plain: patterns of the variables that hold no secrets.
        secret_files: patterns of the files that hold some.
        keys: fields of JSON files in volumes that hold one: ``volume``, ``file`` and ``field``.
        seconds: how long each question may take.
        limit: bytes of each file of the archive.
    """

    plain: Sequence[str]
    secret_files: Sequence[str]
    keys: Sequence[Mapping[str, str]]
    seconds: float
    limit: int


@dataclass(frozen=True)
class Look:
    """What is there to be gathered, and what of it is secret; ``missing`` is what could not even be looked at."""

    site: Site
    known: Known
    missing: list[Missing]


def look(asked: Asked, policy: Policy, host: str) -> Look:
    """Find the containers, the model and the secrets. Nothing is written."""
    programs = Programs(policy.seconds, policy.limit)
    # Half a description would be none, so there is no such limit for what is read as a whole.
    whole = Programs(policy.seconds, max(policy.limit, 1 << 25))
    missing = []
    engine, containers, problem = _engine(whole, programs, asked.project.name)
    if problem:
        missing.append(Missing.of("The engine", problem))
    try:
        model: dict[str, t.Any] | OpsError = Compose(asked.project, whole.execute).model()
    except OpsError as error:
        model = error
    known = _known(asked, policy, {host, asked.project.name, *known_by(containers)}, containers, model)
    if isinstance(engine, Live):
        _volume_keys(engine, asked.project.name, policy.keys, known)
    missing += [Missing.of("Secrets to look for", error) for error in known.problems]
    return Look(Site(asked, programs, engine, containers, model, _key(asked.state_dir)), known, missing)


def _key(state_dir: Path) -> bytes:
    """Return the host's key of fingerprints; without the right to read it, one for this archive alone."""
    try:
        return _secrets.host_key(state_dir, keep=False)
    except OSError:
        return secrets.token_bytes(32)


def _engine(
    whole: Programs, programs: Programs, project: str
) -> tuple[Live | Files | OpsError, list[Inspected], OpsError | None]:
    """Return what can be asked of the containers, those of the project, and why it is not the engine itself."""
    try:
        return Live(programs), Live(whole).containers(project), None
    except OpsError as error:
        files = Files(programs.limit)
        try:
            return files, files.containers(project), error
        except OpsError:
            return error, [], error


def _known(
    asked: Asked,
    policy: Policy,
    public: set[str],
    containers: Sequence[Inspected],
    model: Mapping[str, t.Any] | OpsError,
) -> Known:
    known = Known(policy.plain, public)
    known.env_file(asked.env_file)
    for container in containers:
        known.variables(environment(container))
    # Older logs may hold older secrets.
    for path in sorted(asked.state_dir.glob(f"releases/*/{asked.env_file.name}")):
        known.env_file(path)
    if not isinstance(model, OpsError):
        for service in model["services"].values():
            for given in (service.get("environment") or {}, (service.get("build") or {}).get("args") or {}):
                known.variables({name: (value or "").replace("$$", "$") for name, value in given.items()})
        known.files(one["file"] for one in (model.get("secrets") or {}).values() if one.get("file"))
    known.files(sorted({*policy.secret_files, *_mounted(containers, policy.secret_files)}))
    return known


def _mounted(containers: Sequence[Inspected], patterns: Sequence[str]) -> Iterator[str]:
    """Yield where the files of a container that are secret by their names in it lie on the host."""
    for mount in (mount for one in containers for mount in one.get("Mounts") or ()):
        if mount.get("Type") == "bind" and any(fnmatch.fnmatchcase(mount["Destination"], each) for each in patterns):
            yield glob.escape(mount["Source"])


def _volume_keys(engine: Live, project: str, keys: Sequence[Mapping[str, str]], known: Known) -> None:
    for key in keys:
        with contextlib.suppress(OpsError):  # the volume has not been made yet
            root = engine.docker(
                "volume", "inspect", "--format", "{{.Mountpoint}}", f"{project}_{key['volume']}"
            ).strip()
            known.field_of(Path(root, key["file"]), key["field"])


@dataclass(frozen=True)
class Gathered:
    """The files by name, as they were found; of each its title; and what could not be had."""

    files: dict[str, str]
    titles: dict[str, str]
    missing: list[Missing]


def gather(wanted: Sequence[Part]) -> Gathered:
    """Gather all parts side by side; what fails is left out and named."""
    found = Gathered({}, {}, [])
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for part, made in zip(wanted, pool.map(_made, wanted)):
            if isinstance(made, Missing):
                found.missing.append(made)
                continue
            found.files.update(made)
            found.titles.update(dict.fromkeys(made, part.title))
    return found


def _made(part: Part) -> dict[str, str] | Missing:
    try:
        return part.make()
    except OpsError as error:
        return Missing.of(part.title, error)
    except (
        Exception
    ) as error:  # one part must not cost the others; what it says may hold a secret, where it was does not
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return Missing(
            part.title, f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}", "Report this line."
        )


def fit_to_send(files: Mapping[str, str], redactor: Redactor, limit: int) -> dict[str, str]:
    """Return files that somebody else may read: without secrets, of a size that can be sent, with harmless names."""
    found: dict[str, str] = {}
    for name, text in files.items():
        safe = _safe(redactor.text(name))
        while safe in found:
            safe += "_"
        found[safe] = _shortened(redactor.text(text), limit)
    return found


def _safe(name: str) -> str:
    """Return a relative path without anything that a shell, an archiver or a file system could take for something else."""
    words = (re.sub(r"[^A-Za-z0-9_.-]", "_", word).lstrip(".-") or "_" for word in name.split("/"))
    return "/".join(words)


def _shortened(text: str, limit: int) -> str:
    """Keep the end of a text, from the beginning of a line on."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= limit:
        return text
    kept = data[-limit:].partition(b"\n")[2].decode("utf-8", "surrogateescape")
    return f"[cut: the last {limit} of {len(data)} bytes]\n{kept}"


def pack(top: str, files: Mapping[str, str]) -> bytes:
    """Return the files as a compressed archive that unpacks into one folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, text in files.items():
            data = text.encode("utf-8", "surrogateescape")
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def keep(name: str, data: bytes, places: Sequence[Path]) -> Path:
    """Write the archive, mode 0600, to the first place that takes it: the disk of the state may be what is full."""
    refused = []
    for place in places:
        try:
            _store.write_whole(place / name, data)
            return place / name
        except OSError as error:
            refused.append(f"{place}: {error.strerror}")
    raise OpsError(
        f"The archive could not be written ({'; '.join(refused)}).", "Make room, or run it with become: true."
    )


def prove(path: Path, top: str, redactor: Redactor) -> None:
    """Read an archive back. One in which a known secret stands, in whatever form, is deleted, and that is an error."""
    try:
        data = path.read_bytes()
        places = [(path.name, path.name.encode() + data)]
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for entry in archive:
                content = archive.extractfile(entry)
                if content is None or not entry.name.startswith(f"{top}/") or ".." in entry.name.split("/"):
                    raise OpsError(f"{entry.name} in the archive is no plain file below {top}.", "Report this line.")
                places.append((entry.name, entry.name.encode() + b"\n" + content.read()))
        leaks = [f"{secret} in {place}" for place, content in places for secret in redactor.leaks(content)]
        if leaks:
            raise OpsError(
                f"The archive still held secrets and was deleted: {'; '.join(leaks[:10])}.",
                "Report this line, which holds no value; to go on without them, take their source out of what is gathered.",
            )
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def places_for(state_dir: Path) -> list[Path]:
    return [state_dir / "diagnose", Path(tempfile.gettempdir()), Path("/dev/shm")]


def forget_old(directory: Path) -> None:
    """Take away what an interrupted run has left."""
    for path in directory.glob("diagnose-*.tar.gz"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - OLD:
                path.unlink()


@dataclass(frozen=True)
class Archive:
    """What was made: where it is, what is in it, what is not."""

    path: Path
    size: int
    files: list[str]
    missing: list[Missing]


def diagnose(seen: Look, policy: Policy, host: str, stamp: str) -> Archive:
    """Gather, redact, pack, keep and prove.

    Args:
        seen: what there is.
        policy: how much of it.
        host: name of the host for people.
        stamp: time for the name of the archive, UTC.
    """
    site, redactor = seen.site, Redactor(seen.known.names)
    found = gather(parts(site))
    missing = [each.through(redactor.text) for each in (*seen.missing, *found.missing)]
    page = _diagnose_page.page(site, seen.known, _diagnose_page.About(host, stamp), found.titles, found.files, missing)
    files = fit_to_send({FIRST: page, **found.files}, redactor, policy.limit)
    top = _safe(f"diagnose-{host}-{site.asked.project.name}-{stamp}").replace("/", "_")
    places = places_for(site.asked.state_dir)
    forget_old(places[0])
    path = keep(f"{top}.tar.gz", pack(top, files), places)
    prove(path, top, redactor)
    return Archive(path, path.stat().st_size, sorted(files), missing)
