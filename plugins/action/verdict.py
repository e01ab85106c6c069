# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the verdict also where nothing stops: Ansible prints the result of a task that succeeds only when told to."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Runs the module of the same name on the host and has its message printed, as that of debug is."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        result: dict[str, t.Any] = self._execute_module(task_vars=task_vars or {})
        result.pop("invocation", None)
        return {**result, "_ansible_verbose_always": True}
