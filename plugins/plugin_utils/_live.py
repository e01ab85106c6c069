# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run is shown as it goes: results in, lines out. Knows nothing of Ansible, a terminal or a colour.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.prosaas.ops.plugins.module_utils import _check
from ansible_collections.prosaas.ops.plugins.plugin_utils._templates import duration

Row = dict[str, t.Any]
Result = Mapping[str, t.Any]

# What a line is about; the callback knows the colours.
PLAIN, HEADING, OK, CHANGED, SKIPPED, WARN, ERROR = "plain", "heading", "ok", "changed", "skipped", "warn", "error"
STEP_INDENT = 22  # columns before a step's name: its word and its seconds
TEXT_INDENT = 4  # of what is said below a step
NAMED = 4  # checks, or items of a loop, that a line names before it counts the rest
LABEL = 40  # characters of a loop's item that a line shows
_SAID_OF = re.compile(rf"^({'|'.join(_check.STATUSES)}) +([\w.*-]+(?:, [\w.*-]+)*): ")  # a line of a verdict


@dataclass(frozen=True)
class Line:
    """One line to show, as it is in a log file; a terminal may wrap it.

    Attributes:
        tone: what it is about, for its colour.
        hang: columns by which it is indented where it goes on.
    """

    text: str
    tone: str = PLAIN
    hang: int = 0


@dataclass
class Told:
    """What was seen and said of one host so far: nothing is said twice, and nothing is forgotten.

    Attributes:
        owed: rows of checks that were counted in a line, and whose evidence and remedy are still to be shown.
        shown: what is known of rows that were shown in full.
        sentences: lines of failures that were shown.
        places: what the run left behind, by what it is (``run``, ``record``, ...).
        outcome: how the run itself says that it ended; empty when it does not.
        failed_at: the step at which it failed last.
    """

    owed: dict[str, Row] = field(default_factory=dict)
    shown: set[tuple[str, ...]] = field(default_factory=set)
    sentences: set[str] = field(default_factory=set)
    places: dict[str, str] = field(default_factory=dict)
    outcome: str = ""
    failed_at: str = ""


def plain(text: object) -> str:
    """Return text without what moves a cursor or sets a colour; lines and tabs stay."""
    lines = str(text).replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join("".join(char if char.isprintable() else "?" for char in line) for line in lines)


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)


def clipped(text: str, width: int) -> str:
    """Return as much of a text as fits on one line."""
    if cells(text) <= width:
        return text
    while text and cells(text) >= width:
        text = text[:-1]
    return text + "…"


def wrapped(line: Line, width: int) -> str:
    """Return a line broken between words where it is wider than ``width`` columns; 0 breaks nothing.

    A word that is too long (a path, an address) stays whole and where it is, so that it can be copied.
    """
    if not width or cells(line.text) <= width:
        return line.text
    indent = " " * min(line.hang, width // 4)
    start = len(line.text) - len(line.text.lstrip())
    lines, so_far = [], line.text[:start]
    for word in line.text[start:].split(" "):
        longer = f"{so_far} {word}" if so_far.strip() else so_far + word
        if cells(longer) > width and so_far.strip() and cells(indent + word) <= width:
            lines.append(so_far.rstrip())
            so_far = indent + word
        else:
            so_far = longer
    return "\n".join([*lines, so_far.rstrip()])


def step(word: str, tone: str, name: str, note: str = "", seconds: float | None = None) -> Line:
    """Return the one line of a step: how it ended, how long it took, its name, and what there is to say of it."""
    took = "" if seconds is None else duration(seconds)
    said = f"{name}: {note}" if note else name
    return Line(f"  {word:<9} {took:>9} {said}", tone, STEP_INDENT)


def running(name: str) -> Line:
    return step("…", PLAIN, name)


def body(text: object, tone: str = PLAIN, indent: int = TEXT_INDENT) -> list[Line]:
    """Return text as lines below a step; its own indentation stays."""
    lines = plain(text).strip("\n").split("\n")
    return [Line(f"{' ' * indent}{line}".rstrip(), tone, indent + 2 + len(line) - len(line.lstrip())) for line in lines]


def note_and_body(text: object, tone: str = PLAIN) -> tuple[str, list[Line]]:
    """Return what fits into the line of a step, and the lines below it: one sentence goes up, more stays together."""
    lines = plain(text).strip().split("\n")
    return (lines[0], []) if len(lines) == 1 else ("", body("\n".join(lines), tone))


# Checks


def word_of(result: Result) -> tuple[str, str]:
    """Return the word and the tone for a result of ours that stopped nothing, by its verdict."""
    verdict = result.get("verdict")
    if verdict in (_check.FAIL, _check.UNKNOWN):
        return str(verdict), ERROR
    if verdict == _check.WARN:
        return "warn", WARN
    return ("changed", CHANGED) if result.get("changed") else ("ok", OK)


def tally(rows: Sequence[Row], msg: str, names: bool = True) -> str:
    """Return one sentence about checks: how many do not hold, and which, without their evidence.

    Args:
        msg: the module's own sentence, for when nothing stops.
        names: whether to name them; not where they follow in full.
    """
    parts: list[str] = []
    for status, said in ((_check.FAIL, "failed"), (_check.UNKNOWN, "could not be verified")):
        found = [row["id"] for row in _check.standing(rows, status)]
        if found:
            of = f" of {len(rows)} checks" if not parts else ""
            parts.append(f"{len(found)}{of} {said}" + (f" ({some(found)})" if names else ""))
    return ", ".join(parts) + "." if parts else plain(msg).partition("\n")[0]


def some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def findings(rows: Iterable[Row], told: Told, asks: bool = True) -> list[Line]:
    """Return checks in full, worst first; those that say the same of one cause share it, those shown before are named.

    Args:
        asks: whether to show the questions that only a person can answer.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    before: list[str] = []
    for row in _check.worst_first(rows, lambda row: row["status"]):
        said = (row["status"], row["evidence"].rstrip(), row["remedy"], _check.excuse(row))
        if (row["id"], *said) in told.shown:
            before.append(row["id"])
            continue
        told.shown.add((row["id"], *said))
        groups.setdefault((*said, row["question"] if asks else ""), []).append(row["id"])
    lines = [line for key, ids in groups.items() for line in _finding(ids, *key)]
    return lines + ([Line(f"    as said above: {', '.join(before)}", PLAIN, 6)] if before else [])


def _finding(ids: Sequence[str], status: str, evidence: str, remedy: str, excuse: str, question: str) -> list[Line]:
    tone = ERROR if status in (_check.FAIL, _check.UNKNOWN) and not excuse else WARN
    first, _newline, more = plain(evidence).partition("\n")
    lines = [Line(f"    {status:<8} {', '.join(ids)}: {first}{excuse}", tone, 13)]
    lines += body(more, PLAIN, 13) if more.strip() else []
    lines += [Line(f"             -> {plain(remedy)}", tone, 16)] if remedy else []
    return lines + ([Line(f"             ?  {plain(question)}", tone, 16)] if question else [])


def judged(msg: str, told: Told, tone: str) -> tuple[str, list[Line]]:
    """Return the head of a verdict over several modules, and what it says: in full, as far as the checks are known.

    What it says of checks that nobody saw, and what is more than a line for a check, stays as it is.
    """
    head, *lines = plain(msg).split("\n")
    paid: list[Row] = []
    rest: list[str] = []
    for line in lines:
        found = _SAID_OF.match(line)
        ids = found[2].split(", ") if found else []
        if ids and all(one in told.owed for one in ids):
            paid += [told.owed[one] for one in ids]
        else:
            rest.append(line)
    shown = findings(paid, told, asks=False)
    for row in paid:
        told.owed.pop(row["id"], None)
    told.sentences.update(line.strip() for line in (head, *lines))
    return head, shown + [line for text in rest for line in body(text, tone)]


def owe(rows: Sequence[Row], told: Told) -> None:
    """Remember what was found and is still to be shown in full; what a later look found to be well is owed no more."""
    for row in rows:
        if row["status"] in (_check.PASS, _check.SKIP):
            told.owed.pop(row["id"], None)
        else:
            told.owed[row["id"]] = row


def settle(told: Told) -> list[Line]:
    """Return in full all that is still owed."""
    rows = list(told.owed.values())
    told.owed.clear()
    return findings(rows, told)


# Failures


def news(text: object, told: Told) -> list[str]:
    """Return the lines of a failure that were not shown before, and remember them.

    A playbook that fails with the sentence of one of its tasks may put the task's name in front.
    """
    lines = [line.rstrip() for line in plain(text).strip().split("\n")]
    new = []
    for line in lines:
        bare = line.strip()
        if bare and not {bare, bare.partition(": ")[2]} & told.sentences:
            new.append(line)
        told.sentences.add(bare)
    return new


def sentence(result: Result) -> str:
    """Return what a failed result says of itself."""
    for key in ("censored", "msg", "reason", "module_stderr", "stderr", "stdout"):
        if result.get(key):
            return str(result[key])
    return "It failed and did not say why."


# Loops


@dataclass
class Loop:
    """What became of the items of a loop on one host, as they ended: the result of the loop does not always say."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("failed", "changed", "skipped"), 0))
    changed: list[str] = field(default_factory=list)

    def count(self, what: str, label: object = None) -> None:
        self.counts[what] += 1
        if what == "changed":
            self.changed.append(name_of(label))

    def sentence(self, total: int) -> str:
        """Return how many there were and how they ended; those that changed are named where all have short names."""
        said = [f"{total} item{'' if total == 1 else 's'}"]
        said += [f"{count} {word}" for word, count in self.counts.items() if count]
        return ", ".join(said) + (f" ({some(self.changed)})" if self.changed and all(self.changed) else "")


def name_of(label: object) -> str:
    """Return the label of an item when it is short and simple, else nothing."""
    return plain(label).replace("\n", " ") if isinstance(label, (str, int)) and len(str(label)) <= LABEL else ""


# The end


def ending(host: str, told: Told, counts: Mapping[str, int], seconds: float, check_mode: bool = False) -> list[Line]:
    """Return how it ended on one host: the outcome, what was changed, and where the record of it is.

    Args:
        counts: as in the statistics of Ansible (``ok``, ``changed``, ``failures``, ...).
    """
    stuck = "unreachable" if counts.get("unreachable") else "failed" if counts.get("failures") else ""
    bad = told.outcome in ("failed", "taken_back")
    outcome = told.outcome.replace("_", " ") if told.outcome and (bad or not stuck) else stuck or "ok"
    tone = ERROR if bad or stuck else CHANGED if counts.get("changed") else OK
    said = [f"{counts.get('changed', 0)} {'would change' if check_mode else 'changed'}"]
    said.append(f"{counts.get('ok', 0) - counts.get('changed', 0)} ok")
    said += [f"{counts[name]} {name}" for name in ("skipped", "rescued", "ignored") if counts.get(name)]
    places = {"failed at": told.failed_at if bad or stuck else "", **told.places}
    lines = [Line(f"{host}  {outcome} after {duration(seconds)}: {', '.join(said)}", tone, TEXT_INDENT)]
    return lines + [Line(f"    {what:<9} {plain(where)}", PLAIN, 14) for what, where in places.items() if where]
