# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for log lines: how they are written, laid on top of each other, and what a line means by them.

Texts and not regular expressions: they are written as they are printed, and can be searched for in gigabytes.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import re
import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ._check import FAIL, STATUSES, WARN
from ._engine import moment
from ._errors import OpsError

MOST_KINDS = 200  # of lines that are told apart in one log
MOST_ASKED = 20_000  # lines that wait to be told whose they are

# An asterisk stands for anything, and so does an emoji: the same text is printed with this one and with that one.
_GAP = re.compile("(?:[*\u2190-\u21ff\u2300-\u2bff\u200d\ufe0f\U0001f000-\U0001faff]\\s*)+")
_VARIES = re.compile(r"[0-9a-f]{8,}|\d+", re.IGNORECASE)
_TIME = re.compile(r"^\[?#[-/]#[-/]#[ T]#:#:#(?:[.,]#)?Z?\]? *")  # of a line in which numbers are # already

Given = Mapping[str, t.Any]
When = Mapping[str, t.Sequence[str]]


@dataclass(frozen=True)
class Text:
    """A text that a line may hold, anywhere."""

    said: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, said: object) -> Text:
        parts = tuple(filter(None, (part.strip() for part in _GAP.split(str(said)))))
        if not isinstance(said, str) or not parts:
            raise OpsError(f"{said!r} is no text of a log line.", "Write the words that are printed, in quotes.")
        return cls(said, parts)

    @property
    def literal(self) -> str:
        return max(self.parts, key=len)

    def fits(self, line: str) -> bool:
        at = 0
        for part in self.parts:
            at = line.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return True


@dataclass(frozen=True)
class Processes:
    """How many processes of a container may have one of these texts in their command line."""

    texts: tuple[Text, ...]
    most: int


@dataclass(frozen=True)
class Rule:
    """One check of the logs of one service.

    Attributes:
        required: of each group one text must have been printed since the start.
        forbidden: texts that fail; advisory: texts that warn.
        levels: whether lines of the levels that fail or warn count, too.
        startup: seconds from the start in which forbidden texts fail; later ones warn. 0 for always.
        least: how many lines of one kind there must be before they count.
        when: values of variables of the container with which the rule holds.
    """

    name: str
    title: str
    required: tuple[tuple[Text, ...], ...] = ()
    forbidden: tuple[Text, ...] = ()
    advisory: tuple[Text, ...] = ()
    levels: bool = False
    startup: float = 0.0
    when: When = field(default_factory=dict)
    processes: Processes | None = None
    remedy: str = ""
    least: int = 1

    @property
    def texts(self) -> list[Text]:
        return [*(text for group in self.required for text in group), *self.forbidden, *self.advisory]


@dataclass(frozen=True)
class Known:
    """A line that means nothing, where the container's variables have these values."""

    text: Text
    when: When


@dataclass(frozen=True)
class Level:
    """A format of lines with a level in it."""

    line: t.Pattern[str]
    fail: frozenset[str]
    warn: frozenset[str]

    def status(self, line: str) -> str:
        found = self.line.search(line)
        if not found:
            return ""
        return FAIL if found["level"] in self.fail else WARN if found["level"] in self.warn else ""


def merged(base: Mapping[str, t.Any], extra: Mapping[str, t.Any]) -> dict[str, dict[str, dict[str, t.Any]]]:
    """Lay rules on top of others, key by key; what is null there is no more."""
    found: dict[str, dict[str, dict[str, t.Any]]] = {}
    for service in [*base, *(name for name in extra if name not in base)]:
        below, above = base.get(service) or {}, extra.get(service, {})
        if above is None:
            continue
        names = [*below, *(name for name in above if name not in below)]
        kept = {name: {**(below.get(name) or {}), **(above.get(name) or {})} for name in names}
        found[service] = {name: rule for name, rule in kept.items() if above.get(name, rule) is not None}
    return found


_KEYS = {"title", "required", "forbidden", "advisory", "levels", "startup", "when", "processes", "remedy", "least"}


def rule_of(service: str, name: str, given: Given) -> Rule:
    unknown = sorted(given.keys() - _KEYS)
    if unknown:
        raise OpsError(f"The rule {name} of {service} has {unknown[0]!r}.", f"It may have {', '.join(sorted(_KEYS))}.")
    processes = given.get("processes")
    return Rule(
        name,
        given.get("title") or f"The log of {service}: {name}",
        tuple(_texts(one if isinstance(one, list) else [one]) for one in given.get("required") or ()),
        _texts(given.get("forbidden") or ()),
        _texts(given.get("advisory") or ()),
        bool(given.get("levels")),
        float(given.get("startup") or 0),
        conditions(given.get("when")),
        Processes(_texts(processes["texts"]), int(processes["most"])) if processes else None,
        str(given.get("remedy") or ""),
        int(given.get("least") or 1),
    )


def _texts(given: Iterable[object]) -> tuple[Text, ...]:
    if isinstance(given, str):
        raise OpsError(f"{given!r} stands where a list of texts must.", "Write it as [TEXT, TEXT].")
    return tuple(map(Text.of, given))


def conditions(given: Given | None) -> When:
    """Return the values by variable, as the texts that they are in an environment."""
    values = {name: one if isinstance(one, list) else [one] for name, one in (given or {}).items()}
    return {name: [str(value) for value in one] for name, one in values.items()}


def holds(when: When, environment: Mapping[str, str]) -> bool:
    return all(environment.get(name, "") in values for name, values in when.items())


def known_of(given: object) -> Known:
    if isinstance(given, dict):
        return Known(Text.of(given.get("text")), conditions(given.get("when")))
    return Known(Text.of(given), {})


def level_of(name: str, given: Given) -> Level:
    try:
        line = re.compile(given["line"])
        line.groupindex["level"]
        return Level(line, frozenset(given.get("fail") or ()), frozenset(given.get("warn") or ()))
    except (KeyError, TypeError, re.error) as error:
        raise OpsError(
            f"The format {name} of levels cannot be read ({error}).",
            "Give it a regular expression as line, with the group (?P<level>...).",
        ) from None


def kind_of(line: str) -> str:
    """Return what a line says, without its time and with ``#`` for what varies: alike for all lines of a kind."""
    return _TIME.sub("", " ".join(_VARIES.sub("#", line).split()))


def of_service(service: str, data: Mapping[str, Iterable[t.Any]]) -> list[t.Any]:
    """Return what stands under all patterns that a service matches."""
    return [one for pattern, given in data.items() if fnmatch.fnmatchcase(service, pattern) for one in given or ()]


@dataclass
class Kind:
    """Lines that differ in numbers only: how often, first and last by the engine's time stamps."""

    status: str
    sample: str
    literal: str
    first: str
    last: str
    count: int = 1


@dataclass
class Tally:
    """What the lines of one container's log come to, rule by rule.

    Attributes:
        started: when the container was started.
        levels: formats of lines with a level.
        known: lines that mean nothing.
        asked: lines that our own questions cause; who caused them is found out by :meth:`settle`.
        met: by rule, the line that met each group of required texts.
        kinds: by rule, the lines that count against it.
        passed_over: how many lines were known, or caused by us.
    """

    rules: tuple[Rule, ...]
    started: float
    levels: tuple[Level, ...] = ()
    known: tuple[Text, ...] = ()
    asked: tuple[Text, ...] = ()
    met: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    kinds: dict[str, dict[tuple[str, str], Kind]] = field(default_factory=dict)
    passed_over: int = 0
    _waiting: list[tuple[str, str]] = field(default_factory=list)

    def literals(self) -> list[bytes]:
        """Return texts of which every line that means anything holds at least one."""
        words = {text.literal for rule in self.rules for text in rule.texts}
        if any(rule.levels for rule in self.rules):
            words |= {word for level in self.levels for word in level.fail | level.warn}
        return [word.encode("utf-8") for word in words]

    def take(self, stamp: str, line: str) -> None:
        for rule in self.rules:
            for number, group in enumerate(rule.required):
                if any(text.fits(line) for text in group):
                    self.met.setdefault(rule.name, {}).setdefault(number, (stamp, line))
        if any(text.fits(line) for text in self.known):
            self.passed_over += 1
        elif len(self._waiting) < MOST_ASKED and any(text.fits(line) for text in self.asked):
            self._waiting.append((stamp, line))
        else:
            self._count(stamp, line)

    def settle(self, questions: Iterable[float], within: float) -> None:
        """Count the lines that none of our questions caused; each question causes one line at most."""
        free = sorted(questions)
        for stamp, line in self._waiting:
            at = moment(stamp)
            ours = next((one for one in free if abs(at - one) <= within), None)
            if ours is None:
                self._count(stamp, line)
            else:
                free.remove(ours)
                self.passed_over += 1
        self._waiting.clear()

    @property
    def waits(self) -> bool:
        """Whether there are lines of which it is not known who caused them."""
        return bool(self._waiting)

    def against(self, rule: Rule) -> list[Kind]:
        """Return the kinds of lines that count against a rule, worst and most frequent first."""
        found = (one for one in self.kinds.get(rule.name, {}).values() if one.count >= rule.least)
        return sorted(found, key=lambda one: (STATUSES.index(one.status), -one.count))

    def missing(self, rule: Rule) -> list[tuple[Text, ...]]:
        """Return the groups of which no text was printed."""
        met = self.met.get(rule.name, {})
        return [group for number, group in enumerate(rule.required) if number not in met]

    def _count(self, stamp: str, line: str) -> None:
        named = False
        for rule in self.rules:
            for status, texts in ((FAIL, rule.forbidden), (WARN, rule.advisory)):
                text = next((one for one in texts if one.fits(line)), None)
                if text:
                    late = rule.startup and moment(stamp) > self.started + rule.startup
                    self._add(rule, WARN if late else status, stamp, line, text.literal)
                    named = True
                    break
        level = next(filter(None, (one.status(line) for one in self.levels)), "")
        # What a rule names is judged by that rule, unless its level is worse.
        if level == FAIL or (level == WARN and not named):
            words = [word for one in self.levels for word in (one.fail if level == FAIL else one.warn) if word in line]
            for rule in self.rules:
                if rule.levels:
                    self._add(rule, level, stamp, line, words[0])

    def _add(self, rule: Rule, status: str, stamp: str, line: str, literal: str) -> None:
        kinds = self.kinds.setdefault(rule.name, {})
        key = (status, _VARIES.sub("#", line)[:300] if len(kinds) < MOST_KINDS else "")
        if key in kinds:
            kinds[key].count += 1
            kinds[key].last = stamp
        else:
            kinds[key] = Kind(status, line, literal, stamp, stamp)
