# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator wants to be sure of in a database, judged by what a connection to it showed.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field

from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Outcome
from ._errors import OpsError
from ._host import numbers
from ._postgres import VERIFYING, Source, Target
from ._postgres_connect import Manner
from ._postgres_inside import Inside, NothingYet
from ._postgres_look import ROWS, Found, Reading
from ._postgres_refusal import Refused, refusal

_SHOWN = 5  # rows, tables or sessions that evidence names
_TLS_KINDS = ("no_tls", "certificate")
_CUT_OFF = ("unresolved", "silent", "refused", "no_way")


@dataclass(frozen=True)
class Want:
    """What the operator wants to be sure of.

    Attributes:
        how: how connections are opened; its values of ``sslmode`` are those that will do.
        server_least: oldest server version that will do.
        slow: milliseconds of a round trip above which it is said.
    """

    how: Manner = field(default_factory=Manner)
    server_least: str = "14"
    slow: float = 50


def judge_connect(found: Found, target: Target, want: Want) -> Outcome:
    if isinstance(found, Refused):
        return found.outcome
    if isinstance(found, OpsError):
        raise found
    via = " (through a pooler)" if found.pooled else ""
    said = f"PostgreSQL {found.version.split()[0]} at {target.place}{via} answers {target.user} on {target.database}"
    if numbers(found.version) < numbers(want.server_least):
        return Outcome(
            FAIL,
            f"{said}; at least {want.server_least} is needed: older ones get no security fixes",
            "Upgrade it at the provider.",
        )
    said += f", a round trip takes {max(found.trip, 0.1):.1f} ms"
    if found.trip > want.slow:
        return Outcome(
            WARN,
            f"{said}, more than {want.slow:g}",
            "Every request waits for several of them: put host and database into the same region.",
        )
    return Outcome(PASS, said)


def judge_tls(found: Found, source: Source, target: Target, plain: bool | None, want: Want) -> Outcome:
    """Judge whether TLS is demanded, used, and used by everything that connects from here."""
    if isinstance(found, Refused) and found.kind in _TLS_KINDS:
        return found.outcome
    if isinstance(found, OpsError):
        return see_connect(source.name)
    server = {True: "the server also takes plain connections", False: "the server refuses plain connections"}
    also = f"; {server[plain]}" if plain is not None else ""
    if target.sslmode not in want.how.sslmodes:
        asked, remedy = _how_to_ask(source, target, want)
        used = f"TLS was used this time ({found.tls})" if found.tls else "this connection was in the clear"
        return Outcome(FAIL, f"{asked}; {used}{also}", remedy)
    if not found.tls:
        return Outcome(
            FAIL, f"sslmode={target.sslmode} asks for TLS, and it is in the clear", "Correct the host: a socket?"
        )
    ours = [(name, count) for address, name, count in found.plain if address == found.own_address and not found.pooled]
    if ours:
        told = ", ".join(f"{count} of {name}" for name, count in ours[:_SHOWN])
        return Outcome(
            FAIL,
            f"sessions of {target.user} from this host's address come without TLS: {told}",
            "Find the service by its application name, make it ask for TLS, and enforce TLS at the provider.",
        )
    verified = target.sslmode in VERIFYING or target.get("sslrootcert")
    proof = "" if verified else ", which does not verify the certificate"
    return Outcome(PASS, f"{found.tls}, as sslmode={target.sslmode} demands{proof}{also}")


def _how_to_ask(source: Source, target: Target, want: Want) -> tuple[str, str]:
    if source.urls:
        said = f"sslmode={target.sslmode}" if target.sslmode else "no sslmode, which is as good as prefer,"
        return f"{source.variable} has {said} and would go on without TLS", (
            f"Add sslmode={want.how.sslmodes[0]} to {source.variable}."
        )
    name = source.parts.get("ssl")
    if not name:
        return "nothing asks for TLS", "Name its variable: ssl, in the connection's data."
    verified = f" The certificate is verified then: {source.proof}" if "verify" in source.parts else ""
    return f"{name} is not true, so TLS is not asked for", f"Set {name}=true in the env file.{verified}"


def judge_rights(found: Found, source: Source, target: Target) -> Outcome:
    if isinstance(found, OpsError):
        return see_connect(source.name)
    who = f"{target.user} on {target.database}"
    if found.replica:
        return Outcome(
            FAIL, f"{target.place} is a read replica: nothing can be migrated there", f"Correct {source.variable}."
        )
    if found.read_only:
        return Outcome(
            FAIL,
            f"transactions of {who} are read-only (default_transaction_read_only is on)",
            "Providers do that when the disk is full: see their dashboard; else ALTER ROLE … RESET it.",
        )
    if not found.schema:
        return Outcome(
            FAIL, f"no schema of the search path is there for {who}", "CREATE SCHEMA …, or correct search_path."
        )
    if not found.creates:
        return Outcome(
            FAIL,
            f"{target.user} may not create tables in schema {found.schema} of {target.database}",
            f'As its owner: GRANT CREATE ON SCHEMA "{found.schema}" TO "{target.user}"',
        )
    foreign = [(name, owner) for name, owner in found.foreign if _matches(name, source.tables)]
    if foreign:
        told = ", ".join(f"{name} ({owner})" for name, owner in foreign[:_SHOWN])
        return Outcome(
            FAIL,
            f"{target.user} cannot alter {len(foreign)} tables in schema {found.schema}, they belong to others: {told}",
            f'As their owner: ALTER TABLE … OWNER TO "{target.user}"',
        )
    return Outcome(
        PASS, f"{target.user} may create tables in schema {found.schema} of {target.database} and alter those there"
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def judge_room(found: Found, source: Source) -> Outcome:
    if isinstance(found, Refused) and found.kind == "full":
        return found.outcome
    if isinstance(found, OpsError):
        return see_connect(source.name)
    if not found.limits:
        return Outcome(UNKNOWN, "the server does not tell its limits", "See the provider's dashboard.")
    whose, limit, used = min(found.limits, key=lambda one: one[1] - one[2])
    free = max(limit - used, 0)
    said = f"{free} of {limit} connections of {whose} are free"
    if free < source.free:
        return Outcome(
            FAIL,
            f"{said}, {source.free} are needed",
            "End what holds them (idle ones in pg_stat_activity), or raise the limit at the provider.",
        )
    return Outcome(PASS, said + ("; those of the pooler itself cannot be seen" if found.pooled else ""))


def judge_inside(inside: Inside | OpsError, found: Found, source: Source, target: Target, network: str) -> Outcome:
    """Judge what the program inside the network said, in the light of what this host saw."""
    if isinstance(inside, NothingYet):
        return Outcome(SKIP, inside.problem)
    if isinstance(inside, OpsError):
        return Outcome(UNKNOWN, inside.problem, inside.remedy)
    if source.name not in inside.answers:
        return see_connect(source.name)
    answer = inside.answers[source.name]
    own = inside.own.get(source.name)
    other = own is not None and own != target
    if "error" in answer:
        why = refusal(str(answer["error"]), own or target, source)
        if other:
            said = f"from {inside.through}, with the settings that it was started with, which are not today's"
            return Outcome(FAIL, f"{said}: {why.problem}", "Recreate it, so that it reads its environment anew.")
        if isinstance(found, OpsError):
            return see_connect(source.name)  # nobody is answered, inside or outside
        remedy = why.remedy
        if why.kind in _CUT_OFF:
            remedy = f"Look at the way from the containers to it: docker network inspect {network}"
        return Outcome(FAIL, f"from {inside.through}: {why.problem}, while this host is answered", remedy)
    by = ", with the settings that it was started with," if own else ""
    said = f"from {inside.through}{by} it answers in {answer['ms']:.0f} ms, "
    return Outcome(PASS, f"{said}{'over ' + answer['tls'] if answer['tls'] else 'in the clear'}")


def judge_reading(reading: Reading, found: Found) -> Outcome:
    """Judge the rows of a reading; a question without an answer is no answer."""
    if isinstance(found, OpsError):
        return see_connect(reading.connection)
    rows = found.rows[reading.id]
    if isinstance(rows, OpsError):
        raise rows
    if rows is None:
        return Outcome(PASS, f"{reading.none}: there is no table {reading.missing_table} yet")
    if not rows:
        return Outcome(PASS, reading.none)
    try:
        told = "; ".join(reading.line.format_map(row) for row in rows[:_SHOWN])
    except KeyError as error:
        raise OpsError(f"The line of {reading.id} names {error}, which its SELECT has not", "Correct it.") from None
    more = f"; and {'at least ' if len(rows) == ROWS else ''}{len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return Outcome(reading.rows, f"{told}{more}", reading.remedy)


def see_connect(name: str) -> Outcome:
    return Outcome(UNKNOWN, "without a connection nothing can be said", f"See database.{name}.connect.")
