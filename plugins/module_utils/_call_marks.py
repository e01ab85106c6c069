# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call of ours needs and leaves: a free slot, lines in a log, keys and jobs in Redis, rows in the database.

All calls of one run share the beginning of their ids (:class:`Sids`), so that one look finds whatever names any of them.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import fnmatch
import secrets
import time
import typing as t
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from . import _capacity, _postgres_connect
from ._capacity import Keys, Slots, Store, Wanted, wanted_limit
from ._check import FAIL, PASS, UNKNOWN, Outcome
from ._engine import Engine
from ._errors import OpsError
from ._postgres import Source
from ._postgres_connect import Manner

ROOM = 2  # slots that must be free before one is taken: the next caller needs one, too
LOG_SECONDS = 3.0  # in which a line gets from the application to the engine
PAUSE = 0.1
_JOB = "rq:job:"
_SHOWN = 5

OPTIONS: dict[str, t.Any] = {
    **_capacity.OPTIONS,
    "project": {"type": "str", "default": ""},
    "log_service": {"type": "str", "default": ""},
    "limit_variable": {"type": "str", "default": ""},
    "limit_default": {"type": "int", "default": 0},
    "database": {"type": "dict"},
    "trace_columns": {"type": "list", "elements": "str", "default": []},
    "sslmodes": {"type": "list", "elements": "str", "default": ["require", "verify-ca", "verify-full"]},
    "database_ca_path": {"type": "path", "default": ""},
    "database_timeout": {"type": "int", "default": 5},
}


class Sids:
    """Makes ids that no call has had, well formed, with a common beginning; remembers those that it gave."""

    def __init__(self) -> None:
        self.tag = secrets.token_hex(8)
        self.given: list[str] = []

    def new(self) -> str:
        sid = f"CA{self.tag}{secrets.token_hex(8)}"
        self.given.append(sid)
        return sid


@dataclass(frozen=True)
class Marks:
    """Where calls leave their marks; every part is found anew at each look, since containers come and go.

    Attributes:
        engine: the engine with what serves now.
        log_service: whose log speaks of calls.
        store: finds the Redis of the slots.
        limit: how many slots there are.
        database: how rows are found: source, values, manner, patterns of ``table.column``; none where nobody looks.
    """

    engine: Callable[[], Engine]
    project: str
    log_service: str
    store: Callable[[], Store]
    limit: Wanted
    database: Database | None = None

    def no_room(self) -> str:
        """Say why no call may be made now; empty when one may."""
        return no_room(self.store().slots(), self.limit)

    @property
    def secrets(self) -> set[str]:
        """What must not be shown: the password of the database, where its settings can be read."""
        with contextlib.suppress(OpsError):
            if self.database:
                return {self.database.source.target(self.database.values).get("password")} - {""}
        return set()

    def now(self) -> float:
        return self.engine().now()

    def lines(self, since: float) -> list[str]:
        """Return what the running containers of the log's service have printed since."""
        engine = self.engine()
        running = [one for one in engine.containers(self.project, self.log_service) if one.running and not one.one_off]
        if not running:
            raise OpsError(
                f"Service {self.log_service} of project {self.project} has no running container.",
                f"docker compose -p {self.project} ps -a",
            )
        return [text for one in running for _stamp, text in engine.log_since(one.id, since)]

    def missing(self, since: float, wanted: Mapping[str, int]) -> dict[str, int]:
        """Wait for lines in the log: texts, and how many lines with each; return how many of each did not come."""
        began = time.monotonic()
        while True:
            lines = self.lines(since)
            left = {text: many - sum(text in line for line in lines) for text, many in wanted.items()}
            left = {text: many for text, many in left.items() if many > 0}
            if not left or time.monotonic() - began > LOG_SECONDS:
                return left
            time.sleep(PAUSE)

    def kept(self, sids: Sids) -> list[str]:
        """Return what in Redis names one of the calls, in words."""
        store = self.store()
        return store.ask(lambda redis: in_redis(redis, store.keys, sids.tag))

    def rows(self, sids: Sids) -> list[str]:
        """Return the rows that name one of the calls, as ``table id``; none where no database is given."""
        return self.database.rows(sids.given) if self.database else []

    def no_trace(self, sids: Sids) -> Outcome:
        """Judge whether anything of the calls has stayed."""
        try:
            found = [*self.kept(sids), *self.rows(sids)]
        except OpsError as error:
            return Outcome(UNKNOWN, error.problem, error.remedy or "See the checks of Redis and of the database.")
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            return Outcome(
                FAIL,
                f"calls that never were have left {', '.join(found[:_SHOWN])}{more}",
                "Look at them and remove them by hand; find out why the application keeps a call that it has refused.",
            )
        looked = "Redis" + (", no row of the database" if self.database else "")
        return Outcome(PASS, f"no key, slot or job of {looked} names any of {len(sids.given)} calls")


@dataclass(frozen=True)
class Database:
    """Where rows may name a call."""

    source: Source
    values: Mapping[str, str] = field(repr=False)
    how: Manner
    columns: Sequence[str]

    def rows(self, sids: Sequence[str]) -> list[str]:
        with _postgres_connect.own_settings():
            target = self.source.target(self.values)
            with _postgres_connect.connected(target, [self.source], self.how) as connection:
                return in_rows(connection, self.columns, sids, self.how.seconds)


def no_room(slots: Slots, limit: Wanted) -> str:
    """Say why a call of ours would be in the way of others, or get no slot; empty when there is room."""
    if slots.ours:
        return f"admission is closed by {slots.closed_by}"
    if not limit.limit:
        return f"how many slots there are is not known ({limit.source})"
    free = limit.limit - slots.total
    if free < ROOM:
        return f"{max(free, 0)} of {limit.limit} slots are free, and {ROOM} must be"
    return ""


def in_redis(redis: t.Any, keys: Keys, tag: str) -> list[str]:
    """Return members of the set, keys and jobs that hold the tag, in words."""
    names, jobs = [], []
    for name in redis.scan_iter(count=1000):
        if tag in name:
            names.append(f"key {name}")
        elif name.startswith(_JOB):
            jobs.append(name)
    pipeline = redis.pipeline(transaction=False)
    for name in jobs:
        pipeline.hmget(name, "data", "description")
    told = zip(jobs, pipeline.execute(raise_on_error=False))
    held = [f"job {name[len(_JOB) :]}" for name, content in told if isinstance(content, list) and _tells(content, tag)]
    members = [f"slot {member}" for member in redis.smembers(keys.members) if tag in member]
    return sorted(members) + sorted(names) + sorted(held)


def _tells(content: Sequence[str | None], tag: str) -> bool:
    """Whether a job speaks of the tag; RQ compresses what it is given."""
    for text in content:
        raw = (text or "").encode("utf-8", "surrogateescape")
        with contextlib.suppress(zlib.error):
            raw += zlib.decompress(raw)
        if tag.encode() in raw:
            return True
    return False


def in_rows(connection: t.Any, columns: Sequence[str], sids: Sequence[str], seconds: int) -> list[str]:
    """Return the rows in which one of the columns (patterns of ``table.column``) has one of the ids."""
    from psycopg2 import sql

    texts = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    with _postgres_connect.reading(connection, seconds) as cursor:
        cursor.execute(f"{texts} AND data_type IN ('text', 'character varying') ORDER BY 1, 2")
        places = [
            place for place in cursor.fetchall() if any(fnmatch.fnmatchcase(".".join(place), one) for one in columns)
        ]
        found = []
        for table, column in places:
            names = (sql.Identifier("public", table), sql.Identifier(column))
            asked = sql.SQL("SELECT to_jsonb(r)->>'id' FROM {} r WHERE {} = ANY(%s)").format(*names)
            cursor.execute(asked, (list(sids),))
            found += [f"{table} id {row or 'unknown'}" for (row,) in cursor.fetchall()]
        return found


def marks_of(
    params: Mapping[str, t.Any], values: Mapping[str, str], engine: Callable[[], Engine], whole: Callable[[], Engine]
) -> Marks:
    """Read the options of ``OPTIONS``.

    Args:
        values: the variables of the application.
        engine: connects to the engine with what serves now.
        whole: connects to the engine with all of it; Redis may be on its way out and still hold the slots.
    """
    keys = Keys(params["set_key"], params["slot_key"])

    def store() -> Store:
        service = params["redis_service"]
        address = whole().address(params["project"], service)
        url = f"redis://{address}:{params['redis_port']}/{params['redis_db']}"
        return Store(url, f"Redis (service {service})", keys)

    database = None
    if params["database"] and params["trace_columns"]:
        how = Manner(params["sslmodes"], params["database_timeout"], params["database_ca_path"])
        database = Database(Source.of("traces", params["database"]), values, how, params["trace_columns"])
    limit = wanted_limit(values, params["limit_variable"], params["limit_default"])
    return Marks(engine, params["project"], params["log_service"], store, limit, database)
