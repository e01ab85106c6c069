# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of the databases before a deployment: each connection is opened once, all side by side, then judged.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from . import _postgres_connect, _postgres_inside
from ._check import Check, Outcome, Report, timed
from ._compose import Execute
from ._errors import OpsError
from ._memory import Memory
from ._postgres import Source, Target
from ._postgres_inside import Inside, Place
from ._postgres_judge import (
    Want,
    judge_connect,
    judge_inside,
    judge_reading,
    judge_rights,
    judge_room,
    judge_tls,
    see_connect,
)
from ._postgres_look import Found, Reading, Seen, see
from ._postgres_schema import Held, Known, Wish, judge_count, judge_migrations, judge_tables, remembered


@dataclass(frozen=True)
class Schemas:
    """What must be there, by connection.

    Attributes:
        known: the migrations of the release that serves, by connection.
        memory: what there was at earlier looks, by the id of a check.
    """

    wishes: Mapping[str, Wish] = field(default_factory=dict)
    known: Mapping[str, Known] = field(default_factory=dict)
    memory: Memory | None = None


def inspect(
    sources: Sequence[Source],
    readings: Sequence[Reading],
    values: Mapping[str, str],
    place: Place,
    execute: Execute,
    want: Want,
    schemas: Schemas | None = None,
) -> Report:
    """Ask everything side by side, then judge."""
    schemas = schemas or Schemas()
    targets = {source.name: _settled(partial(source.target, values)) for source in sources}
    named = {source.name: source for source in sources}
    for reading in readings:
        if reading.connection not in named:
            raise OpsError(
                f"Reading {reading.id} names no connection: {reading.connection}.", "Correct its connection."
            )
    leads = {name: target for name, target in targets.items() if isinstance(target, Target)}
    # Two variables often hold the same URL: it is asked once.
    distinct = {target: [name for name in leads if leads[name] == target] for target in leads.values()}
    with _postgres_connect.own_settings(), ThreadPoolExecutor(max_workers=2 * len(distinct) + 1) as pool:
        seen: dict[Target, Future[Seen]] = {}
        plain: dict[Target, Future[bool | None]] = {}
        for target, names in distinct.items():
            asked = [reading for reading in readings if reading.connection in names]
            wishes = {name: schemas.wishes[name] for name in names if name in schemas.wishes}
            seen[target] = pool.submit(see, target, [named[name] for name in names], asked, want.how, wishes)
            plain[target] = pool.submit(_postgres_connect.takes_plain, target, want.how)
        asked_inside = {name: (named[name], target) for name, target in leads.items()}
        through = pool.submit(_inside, place, asked_inside, execute, want.how.seconds)
        found: dict[str, Found] = {
            name: _settled(seen[target].result) if isinstance(target, Target) else target
            for name, target in targets.items()
        }
        openly = {name: _settled(plain[target].result) for name, target in leads.items()}
        inside = _settled(through.result)
    checks: list[Check] = []
    for source in sources:
        name, target = source.name, leads.get(source.name, Target(()))
        checks += _checks(source, found[name], target, openly.get(name), inside, place, want)
        if name in schemas.wishes:
            checks += _of_schema(source, found[name], schemas.wishes[name], schemas)
    for reading in readings:
        checks.append(timed(reading.id, reading.title, (), partial(judge_reading, reading, found[reading.connection])))
    own = inside.own.values() if isinstance(inside, Inside) else ()
    measured = {name: _measured(one) for name, one in found.items() if isinstance(one, Seen)}
    return Report(checks, {"databases": measured}, _secrets_of(sources, values, [*leads.values(), *own]))


def _measured(seen: Seen) -> dict[str, int]:
    tightest = min(seen.limits, key=lambda one: one[1] - one[2], default=None)
    taken = {"connections": tightest[2], "limit": tightest[1]} if tightest else {}
    return {**taken, "size": seen.size}


def _inside(place: Place, asked: Mapping[str, tuple[Source, Target]], execute: Execute, seconds: int) -> Inside | None:
    if not place.services:
        return None
    return _postgres_inside.look(place, asked, execute, seconds) if asked else Inside("")


def _checks(
    source: Source,
    found: Found,
    target: Target,
    plain: bool | None,
    inside: Inside | OpsError | None,
    place: Place,
    want: Want,
) -> list[Check]:
    title = source.title
    looks: list[tuple[str, str, t.Callable[[], Outcome]]] = [
        ("connect", f"{title} answers", lambda: judge_connect(found, target, want)),
        ("tls", f"{title} is reached over TLS", lambda: judge_tls(found, source, target, plain, want)),
        ("room", f"{title} has connections left", lambda: judge_room(found, source)),
    ]
    if source.migrates:
        looks.append(("rights", f"{title} can be migrated", lambda: judge_rights(found, source, target)))
    if inside is not None:
        looks.append(
            (
                "inside",
                f"{title} answers inside the network",
                lambda: judge_inside(inside, found, source, target, place.network),
            )
        )
    return [timed(f"database.{source.name}.{what}", said, (), look) for what, said, look in looks]


def _of_schema(source: Source, found: Found, wish: Wish, schemas: Schemas) -> list[Check]:
    def look(judge: t.Callable[[Held], Outcome]) -> Outcome:
        if isinstance(found, OpsError):
            return see_connect(source.name)
        there = found.held[source.name]
        if isinstance(there, OpsError):
            raise there
        return judge(there)

    def count(there: Held) -> Outcome:
        memory, kept = schemas.memory, remembered(there)
        if memory is None or wish.count is None:
            return judge_count(there, wish, None, None)
        key = f"{source.name}.{wish.count.id}"
        if kept:
            memory.now[key] = kept
        return judge_count(there, wish, memory.before.get(key), memory.path)

    looks: list[tuple[str, str, t.Callable[[Held], Outcome]]] = []
    if wish.migrations:
        release = schemas.known.get(source.name, Known())
        title = f"{source.title} has all migrations"
        looks.append(("migrations", title, lambda there: judge_migrations(there, wish, release)))
    if wish.tables:
        looks.append(("tables", f"{source.title} has what is read", lambda there: judge_tables(there, wish)))
    if wish.count:
        looks.append((wish.count.id, wish.count.title, count))
    return [timed(f"database.{source.name}.{what}", title, (), partial(look, judge)) for what, title, judge in looks]


def _secrets_of(sources: Sequence[Source], values: Mapping[str, str], targets: t.Iterable[Target]) -> set[str]:
    """Return passwords, URLs, and what stands before the last @ of a URL, which may be cut wrongly by a reader."""
    urls = {values.get(name, "") for source in sources for name in source.urls}
    written = {url.rpartition("@")[0].partition("://")[2].partition(":")[2] for url in urls}
    return {target.get("password") for target in targets} | urls | written


def _settled(result: t.Callable[[], t.Any]) -> t.Any:
    """Return what a call came to, or the error that the operator must know as a value."""
    try:
        return result()
    except OpsError as error:
        return error
