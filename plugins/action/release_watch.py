# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what the module says while it works."""

from __future__ import annotations

from ansible_collections.prosaas.ops.plugins.plugin_utils._follow import FollowedAction


class ActionModule(FollowedAction):
    """Runs the module of the same name and follows its progress."""
