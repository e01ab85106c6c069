# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first page of an archive: what it is about, what to look at first, what is not in it and why.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from . import _diagnose_engine
from ._diagnose_engine import Inspected, Live
from ._diagnose_parts import Site
from ._diagnose_secrets import Known
from ._errors import OpsError

FIRST = "README.md"
_MOST_WRONG = 15


class Missing(t.NamedTuple):
    """What could not be gathered, why, and what to do about it."""

    what: str
    why: str
    remedy: str

    @classmethod
    def of(cls, what: str, error: OpsError) -> Missing:
        return cls(what, error.problem, error.remedy)

    def through(self, redacted: t.Callable[[str], str]) -> Missing:
        return Missing(*(redacted(word) for word in self))


class About(t.NamedTuple):
    """Which host, and when (UTC)."""

    host: str
    stamp: str


def page(
    site: Site,
    known: Known,
    about: About,
    titles: Mapping[str, str],
    files: Mapping[str, str],
    missing: Sequence[Missing],
) -> str:
    """Return the page as Markdown that reads well as it is."""
    asked = site.asked
    serving = _of_json(files.get("releases.json", "{}"), "serves") or "not known"
    return "\n".join(
        [
            f"# {asked.project.name} on {about.host}, {about.stamp}",
            "",
            f"Release that serves: {serving}. Collection: {asked.about.get('collection', 'not known')}.",
            "",
            "## Look here first",
            "",
            *(
                f"- {line}"
                for line in [*first(site.containers), *failed(files.get("records.json", "[]"))]
                or ["nothing stands out"]
            ),
            "",
            "## Containers",
            "",
            *_columns(_diagnose_engine.table(site.containers)),
            "",
            "## What is not in it",
            "",
            *(
                f"- {one.what}: {one.why} {one.remedy}".rstrip()
                for one in missing or [Missing("Nothing is missing", "", "")]
            ),
            "",
            "## What is in it",
            "",
            *_columns(
                [
                    [name, str(len(text.encode("utf-8", "surrogateescape"))), titles[name]]
                    for name, text in files.items()
                ]
            ),
            "",
            "## What was taken out",
            "",
            *secrecy(site, known),
            "",
        ]
    )


def first(containers: Sequence[Inspected]) -> Iterator[str]:
    """Yield what is wrong with containers at first sight; one that was meant to end, and did well, is as it should be."""
    for one in containers:
        state, name = one["State"], _diagnose_engine.file_name(one)
        health = (state.get("Health") or {}).get("Status")
        restarts = one.get("RestartCount") or 0
        if state.get("Restarting") or restarts:
            yield f"{name} was restarted by the engine ({restarts} times), last exit code {state.get('ExitCode')}: logs/{name}.log"
        elif not state.get("Running") and state.get("ExitCode"):
            yield f"{name} has ended with exit code {state.get('ExitCode')}: logs/{name}.log"
        elif state.get("Running") and health == "unhealthy":
            yield f"{name} is unhealthy: containers/{name}.json (health), logs/{name}.log"
        if state.get("OOMKilled"):
            yield f"{name} was killed for want of memory: host/kernel-log.txt, usage.txt"


def failed(records: str) -> Iterator[str]:
    """Yield what failed in the newest run."""
    rows = json.loads(records)
    if rows:
        newest = rows[0]
        yield f"the last run, {newest['run']}, ended as {newest.get('outcome')}: {_line(newest.get('msg'))}"
        for check in (newest.get("wrong") or [])[:_MOST_WRONG]:
            yield f"{check['id']} ({check['status']}): {check['evidence']} -> {check['remedy']}"


def _line(said: t.Any) -> str:
    return (str(said or "").splitlines() or ["nothing was said"])[0]


def secrecy(site: Site, known: Known) -> Iterator[str]:
    """Yield what was masked, how, and what was left on purpose."""
    yield f"- {len(known.names)} values were known to be secret and are masked in every form; the archive was read back to prove it."
    yield "- Keys, tokens and passwords that were not known are masked by their looks. Phone numbers and mail addresses are shortened."
    yield "- Network addresses and ids of calls are left in."
    yield "- A variable is told by its length and a fingerprint: equal values have equal ones, in this archive"
    yield "  and in later ones of the same host. Without a key that stays on the host they tell nothing."
    if known.same:
        yield f"- Not masked, since their values are names of the host, the project or a container: {', '.join(sorted(known.same))}."
    if not isinstance(site.engine, Live):
        yield "- The engine did not answer: what it keeps in its files was read instead."


def _of_json(text: str, name: str) -> t.Any:
    return json.loads(text).get(name)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as indented columns."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    for row in rows:
        yield "    " + "  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip()
