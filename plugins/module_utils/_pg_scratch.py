# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throwaway Postgres to prove a dump in: a container without a network, gone when the proof is over.

Nothing of the application reaches it, and it reaches nothing: it is asked through ``docker exec`` alone.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from . import _pg_counts, _pg_pour
from ._check import stopwatch
from ._errors import OpsError
from ._pg_counts import Counts
from ._pg_pour import identifier, literal
from ._pg_tools import Programs, docker, find_in_image

LABEL = "ops.prosaas.drill"
_HOME = "/var/lib/postgresql"  # belongs to the user postgres in every image of Postgres
_DATABASE = "drill"
_LONGEST = 6 * 3600  # seconds after which a drill that was killed ends by itself
_STARTS = 60.0

# The same for the official image, whose entrypoint is not used, and for one with Debian's server: a new cluster, and a
# server that listens to a socket alone and need not survive a crash. Its own volume holds it, so no memory is needed.
START = """
set -eu
directory=$1 encoding=$2 longest=$3 home=$4
"$directory/initdb" -D "$home/drill" -U postgres -A trust -E "$encoding" --locale=C --no-sync >/dev/null
exec timeout "$longest" "$directory/postgres" -D "$home/drill" -c listen_addresses= \
  -c unix_socket_directories="$home" -c fsync=off -c full_page_writes=off -c synchronous_commit=off \
  -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=4GB -c autovacuum=off -c max_locks_per_transaction=1024
"""


@dataclass
class Scratch:
    """A server that runs.

    Attributes:
        name: of its container.
        major: of the server and of its programs.
        facts: of the dump that is to be proven.
        seconds: that each step took: ``start``, ``restore``, ``count``.
    """

    name: str
    programs: Programs
    facts: Mapping[str, t.Any]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def major(self) -> int:
        return self.programs.major

    def restore(self, stream: t.BinaryIO) -> list[str]:
        """Bring the dump back, with owners and rights; return what could not be, a phrase each.

        An extension that the image lacks is no error by itself: where something needs it, what needs it fails.
        """
        with stopwatch() as seconds:
            try:
                return _pg_pour.pour(
                    stream,
                    self.programs,
                    self.facts,
                    server=self.major,
                    before=_beginning(self.facts),
                    arguments=self._arguments(),
                )
            except OpsError as error:
                lacking = self._lacking()
                if not lacking:
                    raise
                raise type(error)(
                    f"{error.problem} The image lacks the extensions {', '.join(lacking)}.",
                    error.remedy or "Give an image that has them, as the provider's own.",
                ) from None
            finally:
                self.seconds["restore"] = seconds()

    def counts(self) -> Counts:
        """Count what is there now."""
        with stopwatch() as seconds:
            schemas = f"ARRAY[{', '.join(map(literal, self.facts['schemas']))}]::name[]"
            tables = _pg_counts.TABLES.format(schemas=schemas)
            # The server writes a statement for each table, and psql runs them all.
            each = "SELECT format('SELECT json_build_array(%L, count(*)) FROM ONLY %s', t, t)"
            each += f" FROM ({tables}) AS x(t) \\gexec"
            rows = dict(map(json.loads, self.query(each)))
            sequences = _pg_counts.SEQUENCES.replace("%(schemas)s", schemas)
            last = [
                json.loads(line)
                for line in self.query(f"SELECT json_build_array(n, v, i) FROM ({sequences}) AS x(n, v, i)")
            ]
            large = int(self.query(_pg_counts.LARGE_OBJECTS)[0])
            self.seconds["count"] = seconds()
        return Counts(rows, {name: value for name, value, step in last if step > 0}, large)

    def query(self, sql: str, database: str = _DATABASE) -> list[str]:
        """Return the lines that psql prints for SQL, unaligned and without headers."""
        pipe = subprocess.PIPE
        words = ["-XqAtw", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse", *self._arguments(database)]
        with self.programs.running("psql", *words, stdin=pipe, stdout=pipe) as psql:
            try:
                psql.stdin.write(f"{sql}\n".encode())
                psql.stdin.close()
            except BrokenPipeError:  # psql has ended, and says why
                pass
            lines = psql.stdout.read().decode().splitlines()
            if psql.wait():
                raise psql.error("Asking the scratch database")
        return lines

    def _arguments(self, database: str = _DATABASE) -> list[str]:
        return ["-h", _HOME, "-U", "postgres", "-d", database]

    def _lacking(self) -> list[str]:
        there = self.query("SELECT name FROM pg_available_extensions", "postgres")
        return [each["name"] for each in self.facts["extensions"] if each["name"] not in there]


@contextmanager
def scratch(image: str, drill_id: str, facts: Mapping[str, t.Any], *, longest: int = _LONGEST) -> Iterator[Scratch]:
    """Start a server for one dump; whatever happens, nothing of it stays.

    Args:
        image: with Postgres of the dump's version or newer, on the engine; it is never pulled.
        drill_id: labels the container, so that :func:`clear` finds it when this process is killed.
        facts: of the dump.
        longest: seconds after which it ends by itself.
    """
    programs = find_in_image(image)
    needed = max(int(facts["tool_major"]), int(facts["server_major"]))
    if programs.major < needed:
        raise OpsError(
            f"The image {image} has PostgreSQL {programs.major}, and the dump needs {needed} or newer.",
            f"Give another image: docker pull postgres:{needed}",
        )
    name = f"prosaas-ops-drill-{secrets.token_hex(4)}"
    argv = ["docker", "run", "--detach", "--pull", "never", "--name", name, "--label", f"{LABEL}={drill_id}"]
    argv += ["--network", "none", "--user", "postgres", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    argv += ["--init", "--shm-size", "128m", "--volume", _HOME, "--env", "LC_ALL=C", "--entrypoint", "sh", image]
    argv += ["-c", START, "sh", programs.directory, str(facts["encoding"]), str(longest), _HOME]
    try:
        with stopwatch() as seconds:
            docker(argv, missing=image)
            made = Scratch(name, Programs(programs.major, programs.directory, container=name), facts)
            _wait(made)
            made.query(f"CREATE DATABASE {_DATABASE} TEMPLATE template0;{_roles(facts)}", "postgres")
            made.seconds["start"] = seconds()
        yield made
    finally:
        _remove([name])


def clear() -> list[str]:
    """Remove the containers of drills that were killed, and their volumes; return their names.

    Call it only where no other drill can run.
    """
    words = ["docker", "ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}"]
    found = docker(words).split()
    _remove(found)
    return found


def _remove(names: Sequence[str]) -> None:
    if names:
        subprocess.run(["docker", "rm", "--force", "--volumes", *names], capture_output=True, check=False)


def _wait(made: Scratch) -> None:
    deadline = time.monotonic() + _STARTS
    while True:
        try:
            made.query("SELECT 1", "postgres")
            return
        except OpsError as error:
            running = docker(["docker", "inspect", "--format", "{{.State.Running}}", made.name]).strip()
            if running != "true" or time.monotonic() > deadline:
                done = subprocess.run(["docker", "logs", made.name], capture_output=True, text=True, check=False)
                lines = (done.stdout + done.stderr).strip().splitlines()
                raise OpsError(
                    f"The scratch database does not start: {lines[-1] if lines else error.problem}", "docker images"
                ) from None
        time.sleep(0.2)


def _roles(facts: Mapping[str, t.Any]) -> str:
    """Return SQL that makes the roles that the dump names, who can do nothing there."""
    names = [name for name in facts["roles"] if name != "postgres"]
    return "".join(f"\nCREATE ROLE {identifier(name)} NOLOGIN;" for name in names)


def _beginning(facts: Mapping[str, t.Any]) -> str:
    """Return SQL that makes the schemas of the dump, with the extensions that they use."""
    names = [identifier(name) for name in facts["schemas"]]
    empty = "".join(f"CREATE SCHEMA {name};\n" for name in names)
    extensions = _pg_pour.extensions(facts["extensions"], [])
    return f"SET LOCAL client_min_messages = warning;\nDROP SCHEMA public;\n{empty}{extensions}"
