# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TLS certificate of a project's edge: on disk, as its proxy reads it, and as the public port serves it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import shlex
import time
import typing as t
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from . import _certificate, _host_access, _tls_served
from ._certificate import Certificate, Trust
from ._check import FAIL, PASS, SKIP, UNKNOWN, Check, Outcome, Report, timed
from ._compose import Compose, Execute, Project, image_name
from ._errors import OpsError, Unreachable
from ._host_access import Obstacle, Reader
from ._host_engine import HostEngine

# Opens each file as a reader does and reads nothing of it.
OPEN_EACH = ("sh", "-c", 'for file; do : <"$file" || exit 1; done', "sh")
NO_PROGRAM = (126, 127)
TITLES = {
    "tls.files": "Certificate and key are in place",
    "tls.readable": "The proxy can read them as it runs",
    "tls.match": "The key belongs to the certificate",
    "tls.names": "The certificate names the domains",
    "tls.chain": "Clients can follow it to an authority",
    "tls.strength": "No weak key, no weak signature",
    "tls.days": "The certificate lasts",
    "tls.served": "The public port serves it",
}
OF_THE_FILE = ("tls.match", "tls.names", "tls.chain", "tls.strength", "tls.days")


class Edge:
    """The files, the proxy and the port of one project, each asked once."""

    def __init__(self, project: Project, options: Mapping[str, t.Any], execute: Execute) -> None:
        self.project, self.options, self.execute = project, options, execute
        self.certificate, self.key = (project.directory / options[name] for name in ("certificate", "key"))
        self.names: list[str] = options["names"]
        self.service: str = options["service"]
        self.trust = Trust(options["ca_path"] or "", options["trust"] == "origin", options["private_issuers"])
        self.now = time.time()
        self._found: list[Certificate] | OpsError | None = None

    @property
    def found(self) -> list[Certificate]:
        if self._found is None:
            try:
                self._found = _certificate.read(self.certificate, self.execute)
            except OpsError as error:
                self._found = error
        if isinstance(self._found, OpsError):
            raise self._found
        return self._found

    def model(self) -> dict[str, t.Any]:
        try:
            return Compose(self.project, self.execute).model()
        except OpsError:
            raise Unreachable("it needs the resolved Compose files: see host.model.", "Mend that first.") from None

    def proxy(self) -> tuple[HostEngine, dict[str, t.Any] | None]:
        engine = HostEngine.connect()
        return engine, engine.newest(self.project.name, self.service) if self.service else None

    def match(self) -> Outcome:
        return _certificate.judge_match(self.found, self.key, self.execute)

    def covers(self) -> Outcome:
        return _certificate.judge_names(self.found[0], self.names)

    def chain(self) -> Outcome:
        return _certificate.judge_chain(self.certificate, self.found, self.trust, self.execute, self.now)

    def strength(self) -> Outcome:
        return _certificate.judge_strength(self.found)

    def days(self) -> Outcome:
        leaf = self.found[0]
        return _certificate.judge_days(
            leaf.start, leaf.end, self.now, self.options["min_days"], self.options["short_lived"]
        )

    def readable(self) -> Outcome:
        """Judge by the model, which the next container is made from, and by the container that runs now."""
        if not self.service:
            return Outcome(SKIP, "no service of the project reads them")
        engine, running = self.proxy()
        wanted, guess = self._wanted_reader(engine)
        if running is None or running["State"]["Status"] != "running":
            return self._judged(wanted, self._obstacle(wanted), guess)
        now = _host_access.of_container(running)
        refused = self._open_each(engine, running["Id"], now)
        if refused:
            return self._judged(
                now, self._obstacle(now) or Obstacle(refused, f"docker logs --tail 50 {running['Id'][:12]}")
            )
        if refused == "" and now == wanted:  # seen to work, and owners and modes are not all there is to rights
            return Outcome(PASS, f"{self.service} opens both as it runs, as {now.told()}")
        return self._judged(wanted, self._obstacle(wanted) or self._obstacle(now))

    def _judged(self, reader: Reader, hindered: Obstacle | None, guess: str = "") -> Outcome:
        if hindered:
            return Outcome(FAIL, f"{self.service} cannot read them: {hindered.said}{guess}", hindered.mend)
        return Outcome(PASS, f"{self.service} may read both, by owner and mode, as {reader.told()}{guess}")

    def _wanted_reader(self, engine: HostEngine) -> tuple[Reader, str]:
        """Return who will read them, and on what guess that rests where it does."""
        model = self.model()
        definition = model["services"].get(self.service)
        if definition is None:
            raise OpsError(f"The Compose files have no service {self.service}.", "Correct the option service.")
        image = engine.image(image_name(self.project.name, self.service, definition))
        guess = "" if image or definition.get("user") else ", if its image, which is not here yet, names no other user"
        user = ((image or {}).get("Config") or {}).get("User") or ""
        return _host_access.of_model(definition, user), guess

    def _obstacle(self, reader: Reader) -> Obstacle | None:
        found = (_host_access.obstacle(path, reader, self.service) for path in (self.certificate, self.key))
        return next(filter(None, found), None)

    def _open_each(self, engine: HostEngine, container: str, reader: Reader) -> str | None:
        """Return what a program in the container was told; empty when it could open both, None when there is none."""
        seen = [_host_access.inside(path, reader.mounts) for path in (self.certificate, self.key)]
        if None in seen:
            return "the container does not mount both"
        code, printed = engine.call(container, [*OPEN_EACH, *map(str, seen)])
        if code in NO_PROGRAM:
            return None
        return (printed.splitlines() or [f"code {code}"])[-1] if code else ""

    def served(self, of_the_file: list[Check]) -> Outcome:
        _engine, running = self.proxy()
        bad = [check for check in of_the_file if check.status in (FAIL, UNKNOWN)]
        mend = f"see {bad[0].id}" if bad else ""
        fingerprint = self.found[0].fingerprint
        return _tls_served.judge(self._port(running), self.names, fingerprint, self.trust, mend)

    def _port(self, running: Mapping[str, t.Any] | None) -> _tls_served.Port:
        number = self.options["port"]
        if running is None:
            return _tls_served.Port(self.options["address"] or "127.0.0.1", number)
        address = self.options["address"] or _published_at(running, number)
        reload = shlex.join(self.options["reload"])
        return _tls_served.Port(address, number, running["Name"].lstrip("/"), running["State"]["Status"], reload)


def _published_at(running: Mapping[str, t.Any], number: int) -> str:
    """Return the address of this host at which the engine publishes a port of a container."""
    for hosts in ((running.get("NetworkSettings") or {}).get("Ports") or {}).values():
        for host in hosts or []:
            if int(host["HostPort"]) == number and host["HostIp"] not in ("", "0.0.0.0", "::"):
                return str(host["HostIp"])
    return "127.0.0.1"


def examine(project: Project, options: Mapping[str, t.Any], execute: Execute) -> Report:
    """Run all checks of the certificate; what follows from a missing file is not asked."""
    edge = Edge(project, options, execute)
    files = timed("tls.files", TITLES["tls.files"], (), lambda: _certificate.judge_files(edge.certificate, edge.key))
    if files.status in (FAIL, UNKNOWN):
        others = [name for name in TITLES if name != "tls.files"]
        missing = Outcome(UNKNOWN, "it needs both files: see tls.files", "Mend that first.")
        return Report([files, *(Check(name, TITLES[name], *missing) for name in others)])
    looks = dict(zip(OF_THE_FILE, (edge.match, edge.covers, edge.chain, edge.strength, edge.days)))
    with ThreadPoolExecutor(max_workers=1) as pool:
        readable = pool.submit(timed, "tls.readable", TITLES["tls.readable"], (), edge.readable)
        of_the_file = [timed(name, TITLES[name], (), look) for name, look in looks.items()]
        of_the_file.append(readable.result())
    served = timed("tls.served", TITLES["tls.served"], (), lambda: edge.served(of_the_file))
    return Report([files, *of_the_file, served])
