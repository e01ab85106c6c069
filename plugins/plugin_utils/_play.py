# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible knows of a play and of where a task stands in it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible.playbook.block import Block
from ansible.playbook.role_include import IncludeRole


def phase_of(task: t.Any) -> str:
    """Return what the playbook calls the part that a task belongs to: the names by which its roles were taken in.

    Without such names it is the role, and without a role the block, as far as it has a name.
    """
    names: list[str] = []
    block, parent = "", task._parent
    while parent is not None:
        if isinstance(parent, IncludeRole):
            names.insert(0, parent.name or parent._role_name)
        elif isinstance(parent, Block):
            block = parent.name or block
        parent = parent._parent
    return ": ".join(names) or (task._role.get_name() if task._role else block)


def hosts_of(play: t.Any) -> tuple[list[str], list[str]]:
    """Return the hosts of a play, and those of its batch that begins."""
    with contextlib.suppress(Exception):  # it only decides whether hosts are named
        known = play.get_variable_manager().get_vars(play=play, include_hostvars=False)
        return list(known["ansible_play_hosts_all"]), list(known["ansible_play_batch"])
    return [], []
