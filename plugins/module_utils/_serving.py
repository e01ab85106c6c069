# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers that serve now: those that a switch has superseded, and that only finish what they began, are left out.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

from pathlib import Path

from ._engine import Engine
from ._release import Store


def serving(state_dir: Path) -> Engine:
    """Return the engine without the containers that are on their way out."""
    return Engine.connect().view(without={one["id"] for one in Store(state_dir).superseded()})
