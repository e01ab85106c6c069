# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check is, and how a list of checks becomes one verdict.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import fnmatch
import time
import typing as t
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from ._errors import OpsError, Unreachable

PASS, WARN, FAIL, UNKNOWN, SKIP = "pass", "warn", "fail", "unknown", "skip"
STATUSES = (FAIL, UNKNOWN, WARN, PASS, SKIP)  # worst first: the order in which they are shown
Found = t.TypeVar("Found")


@dataclass
class Check:
    """One thing that was looked at.

    Attributes:
        id: stable name, dotted (``env.secret_key``, ``compose.worker.restarts``).
        title: what is being made sure of, a few words.
        status: ``pass``, ``warn``, ``fail``, ``unknown`` (could not be verified; never counts as a pass) or ``skip``.
        evidence: what was seen; never a secret.
        remedy: the next command or edit; required for anything but ``pass`` and ``skip``.
        question: what a person has to answer where no machine can know; only with ``unknown``. Such a check alone can
            be attested: what a machine could have found out is no matter of opinion.
        item: line numbers of the deployment checklist that this proves; empty when beyond the checklist.
        seconds: how long it took.
    """

    id: str
    title: str
    status: str
    evidence: str = ""
    remedy: str = ""
    question: str = ""
    item: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"check {self.id}: {self.status!r} is no status")


class Outcome(t.NamedTuple):
    """What a checking function answers when its caller knows id and title: the rest of a :class:`Check`."""

    status: str
    evidence: str
    remedy: str = ""
    question: str = ""


@dataclass
class Report:
    """What the domain hands back to the glue: checks, plus whatever else the module returns.

    Attributes:
        noted: what the record keeps of a step besides its message and its checks.
    """

    checks: list[Check] = field(default_factory=list)
    facts: dict[str, t.Any] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    changed: bool = False
    diff: list[dict[str, str]] = field(default_factory=list)
    noted: dict[str, t.Any] = field(default_factory=dict)


@dataclass
class Policy:
    """Which checks may fail without stopping, which failures somebody has accepted, and what a person vouches for.

    Attributes:
        advisory: patterns (``fnmatch``) of check ids whose failure is shown but does not stop.
        waivers: ``{check, by, reason, until}``; ``until`` is the last day (YYYY-MM-DD) on which it holds.
        attestations: the same, as answers to what no machine can know; one with ``box`` for ``check`` is the record's.
    """

    advisory: Sequence[str] = ()
    waivers: Sequence[dict[str, t.Any]] = ()
    attestations: Sequence[dict[str, t.Any]] = ()
    today: datetime.date = field(default_factory=datetime.date.today)

    def required(self, check_id: str) -> bool:
        return not any(fnmatch.fnmatchcase(check_id, pattern) for pattern in self.advisory)

    def waiver(self, check: Check) -> dict[str, t.Any] | None:
        return self._holding(self.waivers, check.id) if check.status in (FAIL, UNKNOWN, WARN) else None

    def attestation(self, check: Check) -> dict[str, t.Any] | None:
        return self._holding(self.attestations, check.id) if check.status == UNKNOWN and check.question else None

    def _holding(self, given: Sequence[dict[str, t.Any]], check_id: str) -> dict[str, t.Any] | None:
        for one in given:
            if one.get("check") and fnmatch.fnmatchcase(check_id, one["check"]) and self.today <= _day(one):
                return one
        return None


def _day(given: dict[str, t.Any]) -> datetime.date:
    if not str(given["by"]).strip():
        raise OpsError(f"Nobody stands behind what is said of {given['check']}: by is empty.", "Name a person.")
    try:
        return datetime.date.fromisoformat(str(given["until"]))
    except ValueError:
        raise OpsError(
            f"What is said of {given['check']} has until={given['until']!r}, which is no date.",
            "Write it as YYYY-MM-DD.",
        ) from None


@contextmanager
def stopwatch() -> t.Iterator[t.Callable[[], float]]:
    """Yield a function that tells the seconds since entry, rounded to milliseconds."""
    start = time.monotonic()
    yield lambda: round(time.monotonic() - start, 3)


def timed(check_id: str, title: str, item: Iterable[int], look: t.Callable[[], Outcome]) -> Check:
    """Run one look and turn its answer into a check; an :class:`OpsError` is a fail, an ``Unreachable`` unknown."""
    with stopwatch() as seconds:
        try:
            found = look()
        except Unreachable as error:
            found = Outcome(UNKNOWN, error.problem, error.remedy)
        except OpsError as error:
            found = Outcome(FAIL, error.problem, error.remedy)
        return Check(check_id, title, *found, list(item), seconds())


def judged(checks: Sequence[Check], policy: Policy) -> list[dict[str, t.Any]]:
    """Return the checks as rows, worst first, each with ``required``, ``waiver`` and ``attestation``."""
    return [
        {
            **asdict(check),
            "required": policy.required(check.id),
            "waiver": policy.waiver(check),
            "attestation": policy.attestation(check),
        }
        for check in worst_first(checks, lambda check: check.status)
    ]


def worst_first(found: Iterable[Found], status: t.Callable[[Found], str]) -> list[Found]:
    return sorted(found, key=lambda one: STATUSES.index(status(one)))


def verdict(rows: Sequence[dict[str, t.Any]], check_mode: bool = False) -> dict[str, t.Any]:
    """Turn judged rows into the part of a result that all checking modules share.

    Returns ``checks``, ``counts``, ``verdict``, ``stops`` and ``msg``.
    A failed or unknown check that is required, not waived and not attested stops. In check mode an unknown does not
    stop, since what would make it known may be what check mode must not do; it is still named.
    """
    failed, unknown = standing(rows, FAIL), standing(rows, UNKNOWN)
    worst = FAIL if failed else UNKNOWN if unknown else WARN if remarks(rows) else PASS
    return {
        "checks": list(rows),
        "counts": counts(rows),
        "verdict": worst,
        "stops": bool(failed or (unknown and not check_mode)),
        "msg": _sentence(rows, failed, unknown),
    }


def counts(rows: Sequence[dict[str, t.Any]]) -> dict[str, int]:
    return {status: sum(row["status"] == status for row in rows) for status in STATUSES}


def standing(rows: Sequence[dict[str, t.Any]], status: str) -> list[dict[str, t.Any]]:
    """Return the rows of a status that count: required, and neither waived nor attested."""
    return [row for row in rows if row["status"] == status and not _excused(row)]


def remarks(rows: Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return what is to be looked at and stops nothing."""
    stops = {id(row) for status in (FAIL, UNKNOWN) for row in standing(rows, status)}
    return [row for row in rows if row["status"] in (FAIL, UNKNOWN, WARN) and id(row) not in stops]


def _excused(row: dict[str, t.Any]) -> bool:
    return not row["required"] or bool(row["waiver"]) or bool(row["attestation"])


def _sentence(
    rows: Sequence[dict[str, t.Any]], failed: Sequence[dict[str, t.Any]], unknown: Sequence[dict[str, t.Any]]
) -> str:
    if not failed and not unknown:
        left = len(remarks(rows))
        return f"{counts(rows)[PASS]} of {len(rows)} checks passed" + (f", {left} to look at." if left else ".")
    parts = []
    if failed:
        parts.append(f"{len(failed)} of {len(rows)} checks failed: " + "; ".join(map(line, failed)))
    if unknown:
        parts.append(f"{len(unknown)} could not be verified: " + "; ".join(map(line, unknown)))
    return ". ".join(parts) + "."


def line(row: dict[str, t.Any]) -> str:
    """Return what a person reads of one check: its id, what was seen, what to do."""
    # Evidence may go on with log lines, for the record; its first line is a sentence.
    evidence = row["evidence"].partition("\n")[0].rstrip(".")
    said = f"{row['id']} ({evidence})"
    return f"{said} -> {row['remedy'].rstrip('.')}" if row["remedy"] else said


def summary(
    rows: Sequence[dict[str, t.Any]], phase: str, answers: str, check_mode: bool = False
) -> dict[str, t.Any]:
    """Turn the judged rows of several modules into one verdict with a text for a person: worst first, a line each.

    Args:
        answers: the setting in which a person answers what no machine can know.
    """
    found = verdict(worst_first(rows, lambda row: row["status"]), check_mode)
    stopping = standing(found["checks"], FAIL) + standing(found["checks"], UNKNOWN)
    others = remarks(found["checks"])
    head = f"{found['counts'][PASS]} of {len(rows)} checks passed"
    if stopping:
        head = f"{len(stopping)} of {len(rows)} checks {'would stop' if not found['stops'] else 'stop'} it"
    head = f"{phase}: {head}" + (f", {len(others)} to look at." if others else ".")
    msg = "\n".join([head, *_lines(stopping), *_lines(others), *_questions(stopping, answers)])
    return {**{key: found[key] for key in ("counts", "verdict", "stops")}, "msg": msg}


def _lines(rows: Sequence[dict[str, t.Any]]) -> list[str]:
    """Return a line for each row; those that say the same of one cause share theirs."""
    said: dict[tuple[str, str, str, str], list[str]] = {}
    for row in rows:
        evidence = row["evidence"].partition("\n")[0].rstrip(".")
        key = (row["status"], evidence, row["remedy"].rstrip("."), excuse(row))
        said.setdefault(key, []).append(row["id"])
    return [
        f"{status:<8} {', '.join(ids)}: {evidence}{why}" + (f" -> {remedy}" if remedy else "")
        for (status, evidence, remedy, why), ids in said.items()
    ]


def _questions(rows: Sequence[dict[str, t.Any]], answers: str) -> list[str]:
    """Return what a person can write to answer the open questions."""
    lines = [
        f"  - {{check: {row['id']}, by: NAME, reason: WHAT WAS LOOKED AT, until: YYYY-MM-DD}}  # {row['question']}"
        for row in rows
        if row["question"]
    ]
    return [f"What only a person can answer goes into {answers}, in the inventory or by -e @FILE:", *lines] if lines else []


def excuse(row: dict[str, t.Any]) -> str:
    for how, given in (("waived", row["waiver"]), ("attested", row["attestation"])):
        if given:
            return f" [{how} by {given['by']} until {given['until']}: {given['reason']}]"
    return "" if row["required"] else " [advisory]"
