# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person would ask for who is to help from afar, part by part: each is gathered, or fails, alone.

What comes out holds secrets: it is redacted in one place, where it is packed (_diagnose.py).

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import time
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from . import _certificate, _diagnose_engine, _diagnose_host, _dotenv, _journal, _lease, _secrets, _sockets, _store
from ._bounded import Programs
from ._check import FAIL, UNKNOWN
from ._compose import Project
from ._diagnose_engine import Files, Inspected, Live, Span, file_name, must, runs, service_of
from ._engine import PROJECT
from ._errors import OpsError
from ._release import Store

_EVENTS = ("create", "start", "restart", "die", "kill", "oom", "stop", "destroy", "health_status")
_VALUES = ("environment", "args", "content")  # of a model: what has names that help, and values that do not

# Of a record: answers of other runs, and what releases.json has.
_LONG = ("boxes", "earlier", "release_before", "release_after")

Made = dict[str, str]


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes:
        project: the Compose project.
        env_file: its environment file.
        state_dir: where the collection keeps its state.
        span: how much of each log.
        inside: programs to run in a container: ``service``, ``file`` (a name for what they print) and ``argv``.
        certificates: files with certificates.
        ports: of which the open connections are counted.
        about: versions that only the controller knows, by name.
        records: how many of the newest records.
    """

    project: Project
    env_file: Path
    state_dir: Path
    span: Span
    inside: Sequence[Mapping[str, t.Any]] = ()
    certificates: Sequence[Path] = ()
    ports: Sequence[int] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    records: int = 5


@dataclass(frozen=True)
class Site:
    """What all parts look at.

    Attributes:
        asked: what is asked for.
        programs: runs programs of the host.
        engine: the engine, its files, or why there is neither.
        containers: those of the project.
        model: the model as Compose resolves it, or why it does not.
        key: of the fingerprints.
    """

    asked: Asked
    programs: Programs
    engine: Live | Files | OpsError
    containers: Sequence[Inspected]
    model: Mapping[str, t.Any] | OpsError
    key: bytes

    def told(self, value: str | None) -> dict[str, t.Any]:
        """Return what may be said of a value: enough to tell equal ones from others."""
        if not value:
            return {"empty": True}
        return {"length": len(value), "fingerprint": _secrets.fingerprint(self.key, value)}


class Part(t.NamedTuple):
    """One thing to gather: what it is, and what makes its files, by name."""

    title: str
    make: t.Callable[[], Made]


def parts(site: Site) -> list[Part]:
    """Return all that is to be gathered."""
    asked = site.asked
    found = [
        Part("The versions", partial(versions, site)),
        Part("The containers", partial(containers, site)),
        Part("What happened to the containers", partial(events, site)),
        Part("The Compose model, without values", partial(model, site)),
        Part("The environment file, without values", partial(env_file, site)),
        Part("The releases", partial(releases, asked.state_dir)),
        Part("The records", partial(records, asked.state_dir, asked.records)),
        Part("The last run", partial(last_run, asked.state_dir)),
        Part("The open connections", partial(connections, site)),
        *(Part(f"The log of {file_name(one)}", partial(log, site, one)) for one in site.containers),
        *(Part(f"{one['service']}, asked inside: {one['file']}", partial(inside, site, one)) for one in asked.inside),
        *(Part(f"The certificate {path.name}", partial(certificate, site, path)) for path in asked.certificates),
    ]
    live = [str(one["Id"]) for one in site.containers if runs(one)]
    host = _diagnose_host.questions(asked.project.directory, asked.state_dir, _diagnose_engine.data_root(), live)
    return [*found, *(Part(title, partial(answer, site, name, ask)) for title, name, ask in host)]


def answer(site: Site, name: str, ask: _diagnose_host.Ask) -> Made:
    return {name: ask(site.programs)}


def as_text(content: t.Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"


def versions(site: Site) -> Made:
    """Return the versions of all that takes part; of what does not answer, why."""
    found: dict[str, t.Any] = dict(site.asked.about)
    for name, argv in _diagnose_host.VERSIONS.items():
        try:
            ran = site.programs.run(argv)
            found[name] = (ran.out or ran.err).strip() if ran.code == 0 else f"failed: {(ran.err or ran.out).strip()}"
        except OpsError as error:
            found[name] = f"failed: {error.problem}"
    return {"versions.json": as_text({**found, **_diagnose_host.system()})}


def containers(site: Site) -> Made:
    if isinstance(site.engine, OpsError):
        raise site.engine
    return {
        f"containers/{file_name(one)}.json": as_text(_diagnose_engine.reduced(one, site.told))
        for one in site.containers
    }


def events(site: Site) -> Made:
    """Return what the engine remembers of the project's containers, health checks without a change left out."""
    filters = [f"label={PROJECT}={site.asked.project.name}", *(f"event={event}" for event in _EVENTS)]
    span = ["--since", f"{site.asked.span.minutes}m", "--until", str(int(time.time()))]
    shape = "{{.TimeNano}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}"
    printed = must(site.engine).docker("events", *span, *(f"--filter={each}" for each in filters), "--format", shape)
    rows = (line.replace("<no value>", "").rstrip().partition(" ") for line in printed.splitlines())
    told = [
        f"{_journal.written(int(nanoseconds) / 1e9)} {rest}"
        for nanoseconds, _space, rest in rows
        if nanoseconds.isdigit()
    ]
    return {
        "events.txt": "\n".join(
            [*told, "(An engine remembers its last 256 events, those of health checks among them.)"]
        )
        + "\n"
    }


def log(site: Site, container: Inspected) -> Made:
    if isinstance(site.engine, OpsError):
        raise site.engine
    return {f"logs/{file_name(container)}.log": site.engine.log(container, site.asked.span)}


def inside(site: Site, one: Mapping[str, t.Any]) -> Made:
    """Return what a program prints in the newest running container of a service."""
    running = [each for each in site.containers if service_of(each) == one["service"] and runs(each)]
    if not running:
        raise OpsError(f"No container of {one['service']} runs.", f"docker compose ps -a {one['service']}")
    newest = max(running, key=lambda each: str(each["Created"]))
    must(site.engine)
    ran = site.programs.run(["docker", "exec", newest["Id"], *one["argv"]], merged=True)
    said = "" if ran.code == 0 else f"(it ended with exit code {ran.code})\n"
    return {f"inside/{one['service']}-{one['file']}": f"{ran.out}{said}"}


def model(site: Site) -> Made:
    if isinstance(site.model, OpsError):
        raise site.model
    return {"compose.json": as_text(without_values(site.model, site.told))}


def without_values(found: t.Any, told: t.Callable[[str | None], t.Any], name: str = "") -> t.Any:
    """Return a model with fingerprints in place of the values of variables, and commands as one would type them."""
    if isinstance(found, Mapping):
        if name in _VALUES:
            return {key: told(None if value is None else str(value)) for key, value in found.items()}
        return {key: without_values(value, told, str(key)) for key, value in found.items()}
    if name in _VALUES and isinstance(found, str):
        return told(found)
    if name in ("command", "entrypoint", "test") and isinstance(found, list):
        return " ".join(map(str, found))
    return [without_values(each, told) for each in found] if isinstance(found, list) else found


def env_file(site: Site) -> Made:
    """Return the names in the environment file, what is odd about each, and which containers have another value."""
    path = site.asked.env_file
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise OpsError(f"{path} cannot be read: {error.strerror}.", f"ls -l {path}") from None
    having = {file_name(one): _diagnose_engine.environment(one) for one in site.containers if runs(one)}
    rows: dict[str, t.Any] = {}
    for name, variable in _dotenv.read(text).items():
        value = variable.value or ""
        other = [where for where, values in having.items() if name in values and values[name] != value]
        flags = [f"line {line}: {said}" for line, said in variable.surprises]
        flags += [f"set {len(variable.lines)} times, the last one counts"] if len(variable.lines) > 1 else []
        flags += ["white space around it"] if value != value.strip() else []
        rows[name] = {"lines": list(variable.lines), **site.told(variable.value), "flags": flags, "differs_in": other}
    mode = f"{path.stat().st_mode & 0o7777:04o}"
    return {"env.json": as_text({"path": str(path), "mode": mode, "variables": rows})}


def releases(state_dir: Path) -> Made:
    """Return the releases that are kept, what serves, and what is under way."""
    store = Store(state_dir)
    current, holder = store.current(), _lease.holder(state_dir)
    found = {
        "serves": current.id if current else None,
        "unfinished_switch": store.unfinished_switch(),
        "still_draining": store.superseded(),
        "lease": asdict(holder) if holder else None,
        "releases": [asdict(each) for each in reversed(store.all())],
    }
    return {"releases.json": as_text(found)}


def records(state_dir: Path, most: int) -> Made:
    """Return how the newest runs ended with what failed in them, and the newest record of each playbook."""
    paths = sorted((state_dir / "records").glob("*.json"), reverse=True)
    if not paths:
        raise OpsError(f"There is no record in {state_dir / 'records'}.", "They come with the first run of a playbook.")
    rows: list[dict[str, t.Any]] = []
    newest: dict[str, tuple[str, t.Any]] = {}
    for path in paths[:most]:
        try:
            record = _store.read_json(path)
            rows.append(outcome(record))
        except (OpsError, LookupError, TypeError, AttributeError):
            rows.append({"run": path.stem, "outcome": "this record is damaged"})
            continue
        short = {name: value for name, value in record.items() if name not in _LONG}
        newest.setdefault(str(record.get("playbook")), (path.name, short))
    return {
        "records.json": as_text(rows),
        **{f"records/{name}": as_text(record) for name, record in newest.values()},
    }


def outcome(record: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return how a run ended, and which checks of it did not pass."""
    shown = ("run", "playbook", "operator", "started", "finished", "seconds", "outcome", "msg")
    wrong = [check for check in record["checks"] if check["status"] in (FAIL, UNKNOWN)]
    return {**{name: record.get(name) for name in shown}, "wrong": wrong}


def last_run(state_dir: Path) -> Made:
    """Return what the last run has left behind, also one that was killed and has no record."""
    runs = sorted(path for path in (state_dir / "runs").glob("*") if path.is_dir())
    if not runs:
        raise OpsError(f"There is no run in {state_dir / 'runs'}.", "They come with the first run of a playbook.")
    found = {
        path.name: path.read_text("utf-8", "surrogateescape") for path in sorted(runs[-1].iterdir()) if path.is_file()
    }
    return {f"last-run/{runs[-1].name}/{name}": text for name, text in found.items()}


def connections(site: Site) -> Made:
    """Return how many connections are open to some ports of each running container: calls among them."""
    found: dict[str, t.Any] = {}
    for one in site.containers:
        pid = int(one["State"].get("Pid") or 0)
        if pid and runs(one):
            try:
                found[file_name(one)] = {port: len(_sockets.established(pid, port)) for port in site.asked.ports}
            except OpsError as error:
                found[file_name(one)] = error.problem
    return {"connections.json": as_text({"at": _journal.now(), "open": found})}


def certificate(site: Site, path: Path) -> Made:
    """Return what the certificates of a file say; no key is looked at."""
    found = [asdict(each) for each in _certificate.read(path, site.programs.execute)]
    for each in found:
        for name in ("start", "end"):
            each[name] = _journal.written(each[name])
        del each["public_key"]
    return {f"certificates/{path.name}.json": as_text(found)}
