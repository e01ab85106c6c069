# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report that every rollback leaves, automatic or by hand (checklist line 490): what is known, and what only people know.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from . import _record_page, _templates

Row = dict[str, t.Any]

BLANKS = (
    ("Who noticed it, when, and how", "An alarm, a customer, a colleague; the moment in UTC."),
    ("Whom it touched", "Customers, calls, data; from when to when."),
    ("Why it happened", "The cause behind what failed, and why nothing caught it before."),
    ("What helped, and what did not", ""),
    ("What is done so that it does not come again", "Each with a name and a day."),
)


def markdown(record: Row) -> str:
    """Return the report as Markdown."""
    return _templates.fill("incident.md.j2", view(record))


def page(record: Row) -> str:
    """Return the report as one HTML file."""
    return _templates.fill("incident.html.j2", view(record))


def view(record: Row) -> dict[str, t.Any]:
    """Return what the report says."""
    seen = _record_page.view(record)
    shown = {name: seen[name] for name in ("record", "label", "tone", "statuses", "stopping", "timeline", "releases")}
    title = f"Incident of {record['started'][:10]}: {record['project']} on {record['host']}"
    return {**shown, "title": title, "facts": list(facts(record).items()), "blanks": BLANKS}


def facts(record: Row) -> dict[str, str]:
    """Return what the record knows, by name; what it does not know is said to be unknown."""
    steps = record.get("steps", [])
    gaps = [(one["service"], one["gap"]) for step in steps for one in step.get("services", []) if one.get("gap")]
    cut = [step["calls"]["cut"] for step in steps if isinstance(step.get("calls"), Mapping) and "cut" in step["calls"]]
    watched = [row["evidence"] for row in (*record.get("overtaken", []), *record.get("checks", [])) if row["id"] == "watch.errors"]
    return {
        "Run": record["run"],
        "Began": record["started"],
        "Ended": record.get("finished", "unknown"),
        "Operator": record["operator"],
        "Reason given": str((record.get("asked") or {}).get("reason") or "none"),
        "Services that were away": ", ".join(f"{name} for {gap:g} s" for name, gap in gaps) or "none is known",
        "Calls that were cut": str(sum(cut)) if cut else "none is known",
        "Requests that failed": "; ".join(watched) or "unknown: nothing watched",
    }
