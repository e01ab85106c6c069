# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a proxy answered, by the lines of its access log; nothing here reads the log.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._errors import OpsError

_TOLD = 3  # kinds of failed requests that the evidence names


@dataclass(frozen=True)
class Format:
    """How a line of the access log is read.

    Attributes:
        line: has the group ``status`` and may have ``request`` (as in ``GET /path HTTP/1.1``).
        ignored: lines that do not count: health checks, our own probes.
    """

    line: t.Pattern[str]
    ignored: tuple[t.Pattern[str], ...] = ()

    @classmethod
    def of(cls, line: str, ignored: Iterable[str]) -> Format:
        read = pattern(line)
        if "status" not in read.groupindex:
            raise OpsError(f"The pattern of an access line has no group named status: {line}", "Add (?P<status>\\d{3}).")
        return cls(read, tuple(map(pattern, ignored)))


def pattern(text: str) -> t.Pattern[str]:
    """Return a compiled pattern; a slip in it is an error, since nothing would ever match."""
    try:
        return re.compile(text)
    except re.error as error:
        raise OpsError(f"{text!r} is no regular expression ({error}).", "Correct it.") from None


@dataclass
class Limit:
    """Which share of failed answers is too much, and how many answers it takes to say so."""

    rate: float
    least: int


@dataclass
class Tally:
    """What was counted so far.

    Attributes:
        requests: those that count.
        other: lines that are none of the access log, as the format says.
        left_out: lines that the format ignores.
        failed: how many of the requests were answered 5xx, by status and request.
    """

    format: Format
    requests: int = 0
    other: int = 0
    left_out: int = 0
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def errors(self) -> int:
        return sum(self.failed.values())

    def take(self, line: str) -> None:
        found = self.format.line.search(line)
        if found is None:
            self.other += 1
        elif any(one.search(line) for one in self.format.ignored):
            self.left_out += 1
        else:
            self.requests += 1
            if found["status"].startswith("5"):
                self.failed[found["status"], _asked(found.groupdict().get("request") or "")] += 1

    def lost(self, limit: Limit, share: float) -> bool:
        """Whether it will be too much even if all that is still to come, at the same pace, is answered well.

        Args:
            share: the part of the time that has passed, above 0 and up to 1.
        """
        return self.requests >= limit.least and self.errors > limit.rate * self.requests / share


def _asked(request: str) -> str:
    """Return method and path: what stands behind the question mark may be a secret."""
    method, _space, rest = request.partition(" ")
    return f"{method} {rest.partition(' ')[0].partition('?')[0]}".strip()[:80]


def judge(tally: Tally, limit: Limit, remedy: str) -> Outcome:
    """Judge what the proxy answered."""
    requests, errors = tally.requests, tally.errors
    if requests + tally.left_out == 0 and tally.other >= max(limit.least, 1):
        return Outcome(
            UNKNOWN,
            f"none of the proxy's {tally.other} log lines is an access line as the setting describes it",
            "Make the pattern of an access line fit the proxy's log format.",
        )
    if not errors:
        few = ": too few to judge by" if requests < limit.least else ", none answered 5xx"
        return Outcome(PASS, f"{_count(requests, 'request')}{few}")
    told = f"{errors} of {_count(requests, 'request')} answered 5xx ({100 * errors / requests:.1f} %): {_kinds(tally.failed)}"
    if requests < limit.least:
        return Outcome(WARN, f"{told}; too few requests to judge by", remedy)
    if errors <= limit.rate * requests:
        return Outcome(PASS, told)
    return Outcome(FAIL, f"{told}; {100 * limit.rate:g} % are allowed", remedy)


def _kinds(failed: Counter[tuple[str, str]]) -> str:
    most: Sequence[tuple[tuple[str, str], int]] = failed.most_common(_TOLD)
    told = [f"{status} {asked} ({times})" if asked else f"{status} ({times})" for (status, asked), times in most]
    return ", ".join(told) + (", …" if len(failed) > _TOLD else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
