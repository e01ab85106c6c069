# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/troubleshooting.md names only checks that exist, where it says that they are, and what the checklist asks for."""

from __future__ import annotations

import fnmatch
import re
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!Symptom|---)(.+?) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
NAMED = [
    (name, star == "*") for _symptom, checks, *_rest in ROWS for name, star in re.findall(r"`([^`]+)`(\*?)", checks)
]


def seen(page: str) -> set[str]:
    """Return the checks of a page that the end-to-end tests made: each was seen red there."""
    return set(re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE))


CHECKS = {True: seen("faults.md"), False: seen("faults-of-verify.md")}


@pytest.mark.parametrize(("name", "before"), NAMED, ids=[name for name, _before in NAMED])
def test_every_check_exists_in_the_playbook_that_is_named(name: str, before: bool) -> None:
    assert fnmatch.filter(CHECKS[before], name), f"{'preflight' if before else 'verify'} has no check {name}"


def test_the_whole_support_section_is_covered() -> None:
    """Lines 519 to 554 of the checklist: each symptom, and each cause or advice that it names."""
    chapters = dict(re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    wanted = {
        "A service does not start": (
            "dc logs",
            "variable is missing",
            "database cannot",
            "port is taken",
            "permission denied",
        ),
        "A health check fails": ("dc restart", "redis prosaas-api"),
        "Calls do not connect": (
            "prosaas-calls",
            "twilio_voice_url",
            "services.openai`",
            "capacity.free",
            "endpoint.health_details",
        ),
    }
    assert {title: [word for word in words if word not in chapters[title]] for title, words in wanted.items()} == {
        title: [] for title in wanted
    }


def test_each_row_has_a_check_and_a_next_step() -> None:
    assert len(ROWS) > 25
    assert [row for row in ROWS if "`" not in row[1] or not row[3].strip()] == []


def test_the_playbooks_that_are_named_exist() -> None:
    named: set[t.Any] = set(re.findall(r"prosaas\.ops\.(\w+)", PAGE))
    assert "diagnose" in named and {name for name in named if not (ROOT / f"playbooks/{name}.yml").is_file()} == set()
