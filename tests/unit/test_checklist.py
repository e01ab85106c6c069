# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checklist's data is complete and well formed, and the page made from it is up to date."""

from __future__ import annotations

import collections
import importlib.util
import itertools
import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LAST_LINE = 572  # of the original document

# First segment of an id, the phase that it belongs to, and how many boxes the original has there.
PHASES = [
    ("pre", "preflight", 62),
    ("deploy", "deploy", 7),
    ("verify", "verify", 43),
    ("first_call", "first_call", 10),
    ("monitor", "monitor", 11),
    ("backup", "backup", 8),
    ("rollback", "rollback", 5),
    ("golive", "golive", 15),
]

Box = dict[str, t.Any]


@pytest.fixture(scope="module", name="boxes")
def _boxes() -> list[Box]:
    return yaml.safe_load((ROOT / "roles/prosaas/files/checklist.yml").read_text(encoding="utf-8"))["boxes"]


def test_all_161_boxes_are_there(boxes: list[Box]) -> None:
    assert len(boxes) == 161


def test_every_box_has_the_same_fields(boxes: list[Box]) -> None:
    assert {tuple(box) for box in boxes} == {("id", "section", "line", "phase", "meaning")}


def test_ids_are_unique_and_dotted(boxes: list[Box]) -> None:
    assert [name for name, count in collections.Counter(box["id"] for box in boxes).items() if count > 1] == []
    assert [box["id"] for box in boxes if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+){1,3}", box["id"])] == []


def test_lines_rise_within_the_original(boxes: list[Box]) -> None:
    lines = [box["line"] for box in boxes]
    assert lines == sorted(set(lines))
    assert 1 <= lines[0] and lines[-1] <= LAST_LINE


def test_phases_follow_the_original_and_the_ids_follow_them(boxes: list[Box]) -> None:
    runs = itertools.groupby(boxes, key=lambda box: (box["id"].split(".")[0], box["phase"]))
    assert [(*names, len(list(members))) for names, members in runs] == PHASES


def test_each_section_is_in_one_piece(boxes: list[Box]) -> None:
    sections = [section for section, _members in itertools.groupby(boxes, key=lambda box: box["section"])]
    assert len(sections) == len(set(sections))


def test_each_meaning_is_one_sentence_of_its_own(boxes: list[Box]) -> None:
    meanings = [box["meaning"] for box in boxes]
    assert len(set(meanings)) == len(meanings)
    # n8n and nginx write themselves in lower case, at the beginning of a sentence, too.
    assert [m for m in meanings if not re.fullmatch(r"(?:[A-Z]|n8n |nginx )[^.!?|]{10,140}\.", m)] == []


@pytest.fixture(scope="module", name="maker")
def _maker() -> t.Any:
    spec = importlib.util.spec_from_file_location("make_checklist", ROOT / "docs/make_checklist.py")
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    return maker


@pytest.mark.parametrize("phase", ["preflight", "deploy", "verify", "first_call", "monitor", "backup", "rollback", "golive"])
def test_every_box_of_a_finished_phase_maps_to_checks_or_steps(boxes: list[Box], maker: t.Any, phase: str) -> None:
    proofs = maker.proofs(maker.settings())
    assert [box["id"] for box in boxes if box["phase"] == phase and not proofs.get(box["line"])] == []


def test_what_proves_a_box_exists(maker: t.Any) -> None:
    """A step is a module; a check is made by one, or by the data that it is given."""
    steps = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "plugins").rglob("*.py"))
    named = {name for names in maker.proofs(maker.settings()).values() for name in names}
    assert {name for name in named if "." not in name} <= steps
    made = {name for name in named if name.startswith("release.")}
    assert made and [name for name in made if f'"{name}"' not in code] == []


def test_the_page_is_up_to_date(boxes: list[Box], maker: t.Any) -> None:
    made = maker.page(yaml.safe_load(maker.DATA.read_text(encoding="utf-8")), maker.proofs(maker.settings()))
    assert all(f"| {box['line']} | `{box['id']}` | {box['meaning']} |" in made for box in boxes)
    assert maker.PAGE.read_text(encoding="utf-8") == made, "run: python docs/make_checklist.py"


def test_the_readme_counts_honestly(boxes: list[Box], maker: t.Any) -> None:
    counts = maker.counted(boxes, maker.proofs(maker.settings()))
    said = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"every one of the {counts['count']} boxes has an answer" in said
    assert f": {counts['seen']} are answered by a check that a test has seen" in said
    assert f", {counts['work']} by a step of the work" in said and f"and {counts['people']} by the word of a person" in said
