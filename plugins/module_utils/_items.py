# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines of the deployment checklist a check proves, when that is data of the caller.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

from ._check import Check


def with_items(checks: Iterable[Check], items: Mapping[str, Iterable[int]]) -> list[Check]:
    """Give every check the lines of all patterns (as in a shell) that its id matches; return the checks."""
    checks = list(checks)
    for check in checks:
        lines = {int(line) for key, given in items.items() if fnmatch.fnmatchcase(check.id, key) for line in given}
        check.item = sorted(lines | set(check.item))
    return checks
