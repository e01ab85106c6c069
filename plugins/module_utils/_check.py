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


@dataclass
class Check:
    """One thing that was looked at.

    Attributes:
        id: stable name, dotted (``env.secret_key``, ``compose.worker.restarts``).
        title: what is being made sure of, a few words.
        status: ``pass``, ``warn``, ``fail``, ``unknown`` (could not be verified; never counts as a pass) or ``skip``.
        evidence: what was seen; never a secret.
        remedy: the next command or edit; required for anything but ``pass`` and ``skip``.
        item: line numbers of the deployment checklist that this proves; empty when beyond the checklist.
        seconds: how long it took.
    """

    id: str
    title: str
    status: str
    evidence: str = ""
    remedy: str = ""
    item: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"check {self.id}: {self.status!r} is no status")


class Outcome(t.NamedTuple):
    """Status, evidence and remedy: what a checking function answers when its caller knows id and title."""

    status: str
    evidence: str
    remedy: str = ""


@dataclass
class Report:
    """What the domain hands back to the glue: checks, plus whatever else the module returns."""

    checks: list[Check] = field(default_factory=list)
    facts: dict[str, t.Any] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    changed: bool = False
    diff: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Policy:
    """Which checks may fail without stopping, and which failures somebody has accepted.

    Attributes:
        advisory: patterns (``fnmatch``) of check ids whose failure is shown but does not stop.
        waivers: ``{check, by, reason, until}``; ``until`` is the last day (YYYY-MM-DD) on which it holds.
    """

    advisory: Sequence[str] = ()
    waivers: Sequence[dict[str, t.Any]] = ()
    today: datetime.date = field(default_factory=datetime.date.today)

    def required(self, check_id: str) -> bool:
        return not any(fnmatch.fnmatchcase(check_id, pattern) for pattern in self.advisory)

    def waiver(self, check_id: str) -> dict[str, t.Any] | None:
        for waiver in self.waivers:
            if fnmatch.fnmatchcase(check_id, waiver["check"]) and self.today <= _day(waiver):
                return waiver
        return None


def _day(waiver: dict[str, t.Any]) -> datetime.date:
    try:
        return datetime.date.fromisoformat(str(waiver["until"]))
    except ValueError:
        raise OpsError(
            f"The waiver for {waiver['check']} has until={waiver['until']!r}, which is no date.",
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
            outcome = look()
        except Unreachable as error:
            outcome = Outcome(UNKNOWN, error.problem, error.remedy)
        except OpsError as error:
            outcome = Outcome(FAIL, error.problem, error.remedy)
        return Check(check_id, title, outcome.status, outcome.evidence, outcome.remedy, list(item), seconds())


def verdict(checks: Sequence[Check], policy: Policy, check_mode: bool = False) -> dict[str, t.Any]:
    """Turn checks into the part of a module's result that all checking modules share.

    Returns ``checks`` (worst first, with ``required`` and ``waiver``), ``counts``, ``verdict``, ``stops`` and ``msg``.
    A failed or unknown check that is required and not waived stops. In check mode an unknown does not stop, since
    what would make it known may be what check mode must not do; it is still named.
    """
    rows = []
    for check in sorted(checks, key=lambda c: STATUSES.index(c.status)):
        row = asdict(check)
        row["required"] = policy.required(check.id)
        row["waiver"] = policy.waiver(check.id) if check.status in (FAIL, UNKNOWN, WARN) else None
        rows.append(row)
    counts = {status: sum(row["status"] == status for row in rows) for status in STATUSES}
    standing = [row for row in rows if row["required"] and not row["waiver"]]
    failed = [row for row in standing if row["status"] == FAIL]
    unknown = [row for row in standing if row["status"] == UNKNOWN]
    worst = FAIL if failed else UNKNOWN if unknown else WARN if _has_remarks(rows) else PASS
    return {
        "checks": rows,
        "counts": counts,
        "verdict": worst,
        "stops": bool(failed or (unknown and not check_mode)),
        "msg": _sentence(rows, failed, unknown, counts),
    }


def _has_remarks(rows: Sequence[dict[str, t.Any]]) -> bool:
    return any(row["status"] in (FAIL, UNKNOWN, WARN) for row in rows)


def _sentence(
    rows: Sequence[dict[str, t.Any]],
    failed: Sequence[dict[str, t.Any]],
    unknown: Sequence[dict[str, t.Any]],
    counts: dict[str, int],
) -> str:
    if not failed and not unknown:
        remarks = counts[FAIL] + counts[UNKNOWN] + counts[WARN]
        return f"{counts[PASS]} of {len(rows)} checks passed" + (f", {remarks} to look at." if remarks else ".")
    parts = []
    if failed:
        parts.append(f"{len(failed)} of {len(rows)} checks failed: " + "; ".join(_line(row) for row in failed))
    if unknown:
        parts.append(f"{len(unknown)} could not be verified: " + "; ".join(_line(row) for row in unknown))
    return ". ".join(parts) + "."


def _line(row: dict[str, t.Any]) -> str:
    # Evidence may go on with log lines, for the record; its first line is a sentence.
    evidence = row["evidence"].partition("\n")[0].rstrip(".")
    said = f"{row['id']} ({evidence})"
    return f"{said} -> {row['remedy'].rstrip('.')}" if row["remedy"] else said
