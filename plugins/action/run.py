# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of a run: who runs it, is the process that holds a lease gone, the copy of the record."""

from __future__ import annotations

import datetime
import json
import os
import platform
import typing as t
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

_PROC = Path("/proc")


def process_start(pid: int) -> int:
    """Return the start time of a process in clock ticks since boot; 0 when there is no such process."""
    try:
        # The name in parentheses may hold spaces; the start time is the 20th field after it.
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def this_controller() -> dict[str, t.Any]:
    """Tell which machine and which ``ansible-playbook`` process this is; workers are its children."""
    pid = os.getppid()
    boot_id = _PROC / "sys/kernel/random/boot_id"
    return {
        "host": platform.node(),
        "boot_id": boot_id.read_text().strip() if boot_id.exists() else "",
        "pid": pid,
        "process_started": process_start(pid),
    }


def is_gone(holder: dict[str, t.Any], me: dict[str, t.Any]) -> bool:
    """Whether the process that holds a lease ran on this very machine and does not exist any more."""
    if (holder["controller"], holder["boot_id"]) != (me["host"], me["boot_id"]):
        return False
    return process_start(int(holder["pid"])) != int(holder["process_started"])


class ActionModule(ActionBase):
    """Runs the module of the same name on the host, with what only the controller knows."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = {**self._task.args, "controller": this_controller()}
        try:
            result = self._execute_module(module_args=arguments, task_vars=variables)
            holder = result.get("holder")
            if holder and not result.get("busy") and is_gone(holder, arguments["controller"]):
                arguments["break_lease"] = holder["run"]
                result = self._execute_module(module_args=arguments, task_vars=variables)
        except AnsibleConnectionFailure as error:
            return self._unreachable(arguments, variables, str(error))
        content = result.pop("content", None)
        if content and arguments.get("records_dir"):
            result["record_copy"] = self._copy(arguments, variables, content)
        return result

    def _unreachable(self, arguments: dict[str, t.Any], variables: dict[str, t.Any], why: str) -> dict[str, t.Any]:
        """Say it in one sentence, and keep a record of the attempt here, since the host cannot."""
        host = variables.get("inventory_hostname", "")
        msg = f"{host} cannot be reached, nothing was changed there: {why.strip().splitlines()[0] if why.strip() else '?'}"
        result: dict[str, t.Any] = {"unreachable": True, "msg": msg}
        if arguments.get("records_dir") and not self._task.check_mode:
            now = datetime.datetime.now(datetime.timezone.utc)
            content = {
                "schema": 1,
                "run": f"{now:%Y%m%dT%H%M%SZ}-{arguments.get('playbook') or 'run'}-unreachable",
                **{key: arguments.get(key) for key in ("playbook", "operator", "project", "asked")},
                "controller": arguments["controller"]["host"],
                "host": host,
                "started": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "outcome": "failed",
                "msg": msg,
            }
            result["record_copy"] = self._copy(arguments, variables, content)
        return result

    def _copy(self, arguments: dict[str, t.Any], variables: dict[str, t.Any], content: dict[str, t.Any]) -> str:
        directory = Path(arguments["records_dir"]) / variables.get("inventory_hostname", "host")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / f"{content['run']}.json"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=2, ensure_ascii=False)
            stream.write("\n")
        return str(path)
