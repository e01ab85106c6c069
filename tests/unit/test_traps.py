# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each trap of docs/application.md that verification or a backup could fall into is named by the test that shows that it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
OF_VERIFY = [*range(1, 16), 20, 28, 29, 30]
OF_BACKUPS = [26]
NAMED = re.compile(r"\btraps? (\d+(?:(?:, | and )\d+)*)")


@pytest.fixture(scope="module", name="named")
def _named() -> set[int]:
    text = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py") if path != Path(__file__))
    return {int(number) for numbers in NAMED.findall(text) for number in re.findall(r"\d+", numbers)}


@pytest.mark.parametrize("trap", [*OF_VERIFY, *OF_BACKUPS])
def test_trap_is_named_by_a_test(named: set[int], trap: int) -> None:
    assert trap in named
