# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make docs/checklist.md from roles/prosaas/files/checklist.yml and from what the roles' data says proves each box.

``python docs/make_checklist.py`` writes the page; with ``--check`` it only says whether the page is up to date.
"""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import re
import sys
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "roles" / "prosaas" / "files" / "checklist.yml"
PAGE = ROOT / "docs" / "checklist.md"
FAULTS = (ROOT / "docs" / "faults.md", ROOT / "docs" / "faults-of-verify.md")
PEOPLE = ("call.answer_makes_sense", "golive.approval.*")  # what only a person can say

Box = t.Mapping[str, t.Any]

HEAD = """\
<!--
Copyright (c) 2026, the prosaas.ops authors
GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
Made by docs/make_checklist.py from roles/prosaas/files/checklist.yml and the items in roles/*/defaults: edit the data.
-->
# The checklist

The {count} check boxes of the application's own checklist as data: a stable id, the line of the box in the original,
what an operator wants to be sure of, and what proves it: checks (`*` stands for several), or a step of the work, which
is named as its module is and has no dot. None yet: -. Checks and steps name the lines that they prove in their `item`.
The original is [{title}][original], version {version} of {date}.

[original]: {url}

{count} boxes: {seen} are answered by a check that the end-to-end tests have seen green on the demo's stack and red by a fault of that stack
([preflight](faults.md), [verify](faults-of-verify.md)), {work} by a step of the work or by a check that other tests have seen red, and
{people} by the word of a person alone.
"""


def settings() -> dict[str, t.Any]:
    """Return the defaults of all roles."""
    found: dict[str, t.Any] = {}
    for path in sorted(ROOT.glob("roles/*/defaults/main/*.yml")):
        found.update(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return found


def proofs(defaults: t.Mapping[str, t.Any]) -> dict[int, list[str]]:
    """Return the checks, by id or pattern of ids, and the steps that the roles' data names for each line of the checklist."""
    named = {f"env.{name.lower()}": entry for name, entry in defaults["preflight_env_schema"].items()}
    named.update({f"env.rule.{rule['id']}": rule for rule in defaults["preflight_env_rules"]})
    named.update({endpoint["id"]: endpoint for endpoint in defaults["verify_endpoints"]})
    lines = [(check, entry.get("item", [])) for check, entry in named.items()]
    for name, value in defaults.items():
        lines += value.items() if name.endswith("_items") else []
    # What is decided on going live has the ids of its boxes.
    line_of = {box["id"]: box["line"] for box in yaml.safe_load(DATA.read_text(encoding="utf-8"))["boxes"]}
    decided = [*defaults["golive_needs"], *defaults["golive_roles"].values()]
    lines += [(one["box"], [line_of[one["box"]]]) for one in decided]
    found: dict[int, list[str]] = {}
    for check, proven in lines:
        for line in proven:
            found.setdefault(line, []).append(check)
    return {line: list(dict.fromkeys(checks)) for line, checks in found.items()}


def page(data: t.Mapping[str, t.Any], checks: t.Mapping[int, t.Sequence[str]]) -> str:
    """Return the whole page."""
    source, boxes = data["source"], data["boxes"]
    url = f"{source['repository']}/blob/{source['commit']}/{source['path']}"
    parts = [HEAD.format(url=url, **source, **counted(boxes, checks)), phases(boxes)]
    for chapter, members in itertools.groupby(boxes, key=lambda box: headings(box)[0]):
        parts.append(f"## {chapter}\n")
        for section, rows in itertools.groupby(members, key=lambda box: headings(box)[1]):
            if section:
                parts.append(f"### {section}\n")
            parts.append(table(("Line", "Id", "Meaning", "Proof"), (row(box, checks.get(box["line"], [])) for box in rows)))
    return "\n".join(parts)


def counted(boxes: t.Sequence[Box], checks: t.Mapping[int, t.Sequence[str]]) -> dict[str, int]:
    """Return how many boxes there are, and how many are answered in which way."""
    pages = "".join(path.read_text(encoding="utf-8") for path in FAULTS)
    red = set(re.findall(r"^\| `([^`]+)` \|.*\| \*\*fail\*\*", pages, re.MULTILINE))
    counts = {"count": len(boxes), "seen": 0, "work": 0, "people": 0}
    for box in boxes:
        names = [name for name in checks.get(box["line"], []) if not any(fnmatch.fnmatchcase(name, one) for one in PEOPLE)]
        counts["people" if not names else "seen" if any(fnmatch.filter(red, name) for name in names) else "work"] += 1
    return counts


def headings(box: Box) -> tuple[str, str]:
    """Return the chapter of a box, and its section below that."""
    chapter, _slash, section = box["section"].partition(" / ")
    return chapter, section.replace(" / ", ", ")


def row(box: Box, checks: t.Sequence[str]) -> tuple[t.Any, ...]:
    return box["line"], f"`{box['id']}`", box["meaning"], ", ".join(f"`{check}`" for check in checks) or "-"


def phases(boxes: t.Sequence[Box]) -> str:
    """Return the table of how many boxes are proven in which phase, in the order of the work."""
    counts = ((f"`{phase}`", len(list(members))) for phase, members in itertools.groupby(boxes, lambda b: b["phase"]))
    return table(("Phase", "Boxes"), counts)


def table(head: t.Sequence[str], rows: t.Iterable[t.Sequence[t.Any]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make docs/checklist.md from the checklist's data.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is out of date")
    arguments = parser.parse_args()
    made = page(yaml.safe_load(DATA.read_text(encoding="utf-8")), proofs(settings()))
    if not arguments.check:
        PAGE.write_text(made, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != made:
        print("docs/checklist.md is out of date; run: python docs/make_checklist.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
