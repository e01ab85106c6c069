# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pg_dump, pg_restore and psql fit a server: those of this host, else of an image that is on the engine.

A program's settings are variables of its own process: nothing of a connection is among arguments, where every user of
the host can read it, and nothing comes from the environment or the home directory of whoever runs this.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import secrets
import ssl
import subprocess
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ._compose import explain
from ._errors import OpsError
from ._pg_child import Child, child
from ._postgres import Target
from ._postgres_connect import Manner, parameters

AUTO, HOST, IMAGE = "auto", "host", "image"
PROGRAMS = ("pg_dump", "pg_restore", "psql")
LABEL = "ops.prosaas.postgres"  # of containers whose one process is one of these programs: the process that started it
_NOWHERE = "/nonexistent"
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
# Libpq's parameters that a variable stands for; how a connection is kept alive has none.
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "channel_binding": "PGCHANNELBINDING",
    "client_encoding": "PGCLIENTENCODING",
    "gssencmode": "PGGSSENCMODE",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslsni": "PGSSLSNI",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "requirepeer": "PGREQUIREPEER",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
}
_ALIVE = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_MOUNTED = "/run/prosaas-ops"
_SYSTEM_CA = 16  # the first major whose libpq knows sslrootcert=system

# Prints the directory of the newest programs in an image, and their version. Debian keeps each major in its own.
FIND = """
for directory in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn) /usr/local/bin /usr/bin; do
  if [ -x "$directory/pg_dump" ] && [ -x "$directory/psql" ]; then
    echo "$directory"
    exec "$directory/pg_dump" --version
  fi
done
exit 1
"""


@dataclass(frozen=True)
class Tools:
    """Where the programs may come from, as data.

    Attributes:
        programs: ``auto`` (this host's where they fit, else the image's), ``host`` or ``image``.
        image: an image that has them, by its name on the engine; it is never pulled. Empty: none.
        network: network that its container joins; empty is the host's own.
    """

    programs: str = AUTO
    image: str = ""
    network: str = ""


@dataclass(frozen=True)
class Settings:
    """What a program connects with.

    Attributes:
        variables: of its environment.
        conninfo: what has no variable; numbers only, so it may be an argument.
        files: that it reads, by the variable that names each.
    """

    variables: Mapping[str, str]
    conninfo: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Programs:
    """Programs that were found.

    Attributes:
        major: their major version.
        directory: where they are: on this host, in the image or in the container.
        image: whose they are; empty: this host's.
        network: that a container of the image joins.
        container: a running container that has them, in place of an image.
    """

    major: int
    directory: str
    image: str = ""
    network: str = "host"
    container: str = ""

    @contextmanager
    def running(
        self, program: str, *arguments: str, settings: Settings | None = None, **streams: t.Any
    ) -> Iterator[Child]:
        """Start a program; when the block is left it has ended, if need be by force.

        Args:
            settings: what it connects with; ``None`` where it connects to nothing, or inside a container.
            streams: ``stdin`` and ``stdout`` as :class:`subprocess.Popen` takes them; both are nothing by default.
        """
        name = f"prosaas-ops-{program.replace('_', '-')}-{secrets.token_hex(4)}" if self.image else ""
        argv, environment = self._command(name, f"{self.directory}/{program}", arguments, settings)
        hidden = {settings.variables.get("PGPASSWORD", "")} if settings else set()
        try:
            with child(program, argv, environment, hidden, **streams) as started:
                yield started
        finally:
            if name:  # killing the command line does not end what runs in the container
                subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)

    def _command(
        self, name: str, path: str, arguments: Sequence[str], settings: Settings | None
    ) -> tuple[list[str], dict[str, str]]:
        variables = dict(settings.variables) if settings else {}
        words = [path, *arguments, *([f"--dbname={settings.conninfo}"] if settings and settings.conninfo else [])]
        if not (self.image or self.container):
            own = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": _NOWHERE}
            return words, {**own, **variables}
        # The command line of the engine needs its own settings (DOCKER_HOST, contexts in HOME).
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        if self.container:
            return ["docker", "exec", "--interactive", "--env", "LC_ALL=C", self.container, *words], environment
        argv = ["docker", "run", "--rm", "--interactive", "--init", "--pull", "never", "--name", name]
        argv += ["--label", f"{LABEL}={os.getpid()}", "--network", self.network if settings else "none"]
        # The engine would write the whole dump into a log file of its own.
        argv += ["--log-driver", "none", "--cap-drop", "ALL", "--env", "LC_ALL=C", "--env", f"HOME={_NOWHERE}"]
        for variable, file in (settings.files if settings else {}).items():
            variables[variable] = f"{_MOUNTED}/{variable.lower()}"
            argv += ["--volume", f"{file}:{variables[variable]}:ro"]
        # Names alone: docker takes the values from its environment.
        argv += [word for variable in sorted(variables) for word in ("--env", variable)]
        return [*argv, "--entrypoint", path, self.image, *words[1:]], {**environment, **variables}


def settings(target: Target, how: Manner, programs: Programs) -> Settings:
    """Return what a program connects with: the same parameters and rules as our own connections."""
    given = {name: str(value) for name, value in parameters(target, how).items() if str(value)}
    if programs.image and given.get("host", "").startswith("/"):
        raise OpsError(
            f"The socket directory {given['host']} of this host is not reached from the image {programs.image}.",
            f"apt-get install postgresql-client-{programs.major}, or give a host name in the connection.",
        )
    if given.get("sslrootcert") == "system" and (programs.image or programs.major < _SYSTEM_CA):
        given["sslrootcert"] = _system_ca()
    alone = sorted(name for name in given if name not in _VARIABLES and name not in _ALIVE)
    if alone:
        raise OpsError(
            f"The connection's {', '.join(alone)} cannot be handed to pg_dump and psql.",
            "Leave it out of the connection that backups use.",
        )
    # What keeps a connection alive has no variable, and without it a dump waits for hours behind a cable pulled out.
    alive = " ".join(f"{name}={given[name]}" for name in _ALIVE if given.get(name, "").isdigit())
    variables = {_VARIABLES[name]: value for name, value in given.items() if name in _VARIABLES}
    files = {_VARIABLES[name]: given[name] for name in _FILES if os.path.isfile(given.get(name, ""))}
    return Settings(variables, alive, files)


def with_options(given: Settings, *options: str) -> Settings:
    """Return the settings with startup options (``-c statement_timeout=0``) after those of the connection."""
    joined = " ".join(filter(None, (given.variables.get("PGOPTIONS"), *options)))
    return Settings({**given.variables, "PGOPTIONS": joined}, given.conninfo, given.files)


def find(tools: Tools, server: int, least: int = 0) -> Programs:
    """Return programs that fit.

    Args:
        server: the server's major version; older programs refuse to talk with it.
        least: major of the program that made the archive to be read, which older ones cannot read.
    """
    wanted = max(server, least)
    if tools.programs not in (AUTO, HOST, IMAGE):
        raise OpsError(f"programs is {tools.programs}.", f"It must be one of {AUTO}, {HOST}, {IMAGE}.")
    here = on_host() if tools.programs != IMAGE else {}
    major = choose(here, wanted)
    if major:
        return Programs(major, here[major])
    inside: Programs | None = None
    if tools.programs != HOST and tools.image:
        inside = find_in_image(tools.image, tools.network or "host")
        if inside.major >= wanted:
            return inside
    raise OpsError(*unfit(tools, server, wanted, sorted(here), inside.major if inside else None))


def choose(majors: t.Iterable[int], wanted: int) -> int | None:
    """Return the major to use: the nearest one that is not older, since a newer one may write what a server lacks."""
    return min((major for major in majors if major >= wanted), default=None)


def unfit(tools: Tools, server: int, wanted: int, here: Sequence[int], inside: int | None) -> tuple[str, str]:
    """Return why no program fits, and the next command."""
    found = []
    if tools.programs != IMAGE:
        found.append(f"this host has {', '.join(map(str, here))}" if here else "this host has none")
    if tools.programs != HOST:
        found.append(f"the image {tools.image} has {inside}" if inside else "no image is given")
    why = f"the server is PostgreSQL {server}"
    if wanted > server:
        why += f" and the archive was made by version {wanted}"
    remedies = []
    if tools.programs != IMAGE:
        remedies.append(f"apt-get install postgresql-client-{wanted}")
    if tools.programs != HOST:
        remedies.append(f"docker pull postgres:{wanted} and give it as the image of the tools")
    return f"No pg_dump of version {wanted} or newer: {why}, {'; '.join(found)}.", ", or ".join(remedies)


def on_host(debian: Path = _DEBIAN, path: str | None = None) -> dict[int, str]:
    """Return the directories on this host that have all the programs, by major version."""
    places = [*sorted(debian.glob("*/bin"), reverse=True)]
    places += [Path(each) for each in (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep)]
    found: dict[int, str] = {}
    for place in places:
        if all(os.access(place / program, os.X_OK) for program in PROGRAMS):
            major = _major_of(place / "pg_dump")
            if major:
                found.setdefault(major, str(place))
    return found


def find_in_image(image: str, network: str = "host") -> Programs:
    """Return the newest programs of an image that is on the engine."""
    argv = ["docker", "run", "--rm", "--pull", "never", "--network", "none", "--label", f"{LABEL}={os.getpid()}"]
    out = docker([*argv, "--entrypoint", "sh", image, "-c", FIND], missing=image)
    directory, _newline, said = out.strip().partition("\n")
    major = _VERSION.search(said)
    if not major:
        raise OpsError(f"The image {image} has no pg_dump and psql.", "Give an image of Postgres, as postgres:17.")
    return Programs(int(major[1]), directory, image, network)


def docker(argv: Sequence[str], missing: str = "", seconds: float = 60) -> str:
    """Run a short command of the engine; an image that is not there is an error that tells how to get it."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise OpsError("The program docker is not on this host.", "Install the Docker engine.") from None
    except subprocess.TimeoutExpired:
        raise OpsError(f"{' '.join(argv[:2])} did not end in {seconds:g} s.", "See: journalctl -u docker") from None
    if done.returncode and "no such image" in done.stderr.lower() or "unable to find image" in done.stderr.lower():
        raise OpsError(f"The image {missing} is not on this host.", f"docker pull {missing}")
    if done.returncode and done.stderr.strip():
        raise explain(" ".join(argv[:2]), done.stderr, "")
    return done.stdout


def _major_of(program: Path) -> int | None:
    try:
        done = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=20, check=False, env={"LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout)
    return int(found[1]) if found and done.returncode == 0 else None


def _system_ca() -> str:
    """Return the file with the authorities that this host trusts, which older libpqs must be told."""
    paths = ssl.get_default_verify_paths()
    for file in (paths.cafile, paths.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/cert.pem"):
        if file and os.path.isfile(file):
            return file
    raise OpsError("This host has no file with the authorities that it trusts.", "apt-get install ca-certificates")
