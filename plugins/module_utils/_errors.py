# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception family of the collection.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations


class OpsError(Exception):
    """Something the operator must know and can act on; the text is shown as it is.

    Args:
        problem: one sentence that says what is wrong, and where.
        remedy: the next command or edit.
        details: return values that help (log lines, ids); never a secret.
    """

    def __init__(self, problem: str, remedy: str = "", **details: object) -> None:
        self.problem = problem
        self.remedy = remedy
        self.details = details
        super().__init__(f"{problem} {remedy}".strip())


class Unreachable(OpsError):
    """What was to be asked does not answer, so nothing can be said about it: the verdict is ``unknown``."""
