# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make docs/faults.md and docs/faults-of-verify.md from what the end-to-end tests saw (.tests/results/<playbook>.json)."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"preflight": "faults.md", "verify": "faults-of-verify.md"}
DEMO = str(ROOT / ".demo")

HEAD = """\
<!--
Copyright (c) 2026, the prosaas.ops authors
GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
Made by docs/make_faults.py from what the end-to-end tests saw on the demo's stack: run tests/run e2e, then the script.
-->
# What {playbook} says on a bad day

Every check of {playbook} has been seen green on the demo's stack and red by a fault of that stack: a file, a container
or the cloud was changed, never a variable of ours. This is what the runs said, {count} checks by {faults} faults.
What to do follows each `->`.
"""


def page(playbook: str, seen: t.Iterable[t.Mapping[str, str]]) -> str:
    """Return the page of a playbook: for each check the first fault that turned it red, and the first that made it unknown."""
    answers: dict[str, dict[str, t.Mapping[str, str]]] = {}
    for one in seen:
        answers.setdefault(one["check"], {}).setdefault(one["status"], one)
    faults = {one["fault"] for by_status in answers.values() for name, one in by_status.items() if name in ("fail", "unknown")}
    parts = [HEAD.format(playbook=playbook, count=len(answers), faults=len(faults))]
    for subject in dict.fromkeys(check.partition(".")[0] for check in answers):
        parts.append(f"\n## {subject}\n\n| Check | Fault | Says |\n| --- | --- | --- |\n")
        for check, by_status in answers.items():
            if check.partition(".")[0] == subject:
                parts += [
                    f"| `{check}` | {by_status[status]['fault']} | {said(status, by_status[status])} |\n"
                    for status in ("fail", "unknown")
                    if status in by_status
                ]
    return "".join(parts)


def said(status: str, one: t.Mapping[str, str]) -> str:
    """Return the line as it would read on a host of the reader's, without the folders of the demo."""
    text = f"{one['evidence'].rstrip('.')} -> {one['remedy'].rstrip('.')}"
    text = text.replace(f"{DEMO}/prosaasil", "/opt/prosaasil").replace(DEMO, "/opt/demo")
    return f"**{status}** " + re.sub(r"([|<*_])", r"\\\1", text)


def main() -> None:
    for playbook, name in PAGES.items():
        seen = ROOT / ".tests/results" / f"{playbook}.json"
        if seen.exists():
            (ROOT / "docs" / name).write_text(page(playbook, json.loads(seen.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
