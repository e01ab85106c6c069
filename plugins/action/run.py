# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of a run: who runs it, is the process that holds a lease gone, the copy of the record."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import typing as t
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.prosaas.ops.plugins.module_utils import _record
from ansible_collections.prosaas.ops.plugins.plugin_utils import _record_copy, _record_files

_PROC = Path("/proc")
# Ansible takes the words of -e apart at every space, and drops without a word what is no NAME=VALUE.
LEFT_OVER = (
    "Nothing was begun, since a part of -e belongs to no variable: {}. "
    """Put quotes into the quotes, -e "reason='two words'", or write JSON, -e '{{"reason": "two words"}}'."""
)


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
        if variables.get("_raw_params"):
            return {"failed": True, "msg": LEFT_OVER.format(variables["_raw_params"])}
        self._try_key(arguments)
        try:
            result = self._execute_module(module_args=arguments, task_vars=variables)
            holder = result.get("holder")
            if holder and not result.get("busy") and is_gone(holder, arguments["controller"]):
                arguments["break_lease"] = holder["run"]
                result = self._execute_module(module_args=arguments, task_vars=variables)
        except AnsibleConnectionFailure as error:
            return self._unreachable(arguments, variables, str(error))
        content, sha256 = result.pop("content", None), result.pop("sha256", "")
        if content and arguments.get("records_dir"):
            self._keep(result, arguments, variables, content.encode(), sha256)
        return result

    def _try_key(self, arguments: dict[str, t.Any]) -> None:
        """Say at the beginning already that a key cannot sign, while there is time to give it to the agent."""
        signs = arguments.get("records_dir") and not self._task.check_mode
        if arguments.get("sign_with") and signs and arguments.get("state") == "begun":
            why = _record_copy.try_key(arguments["sign_with"])
            if why:
                self._display.warning(why)

    def _unreachable(self, arguments: dict[str, t.Any], variables: dict[str, t.Any], why: str) -> dict[str, t.Any]:
        """Say it in one sentence, and keep a record of the attempt here, since the host cannot."""
        host = variables.get("inventory_hostname", "")
        msg = f"{host} cannot be reached, nothing was changed there: {why.strip().splitlines()[0] if why.strip() else '?'}"
        result: dict[str, t.Any] = {"unreachable": True, "msg": msg}
        if arguments.get("records_dir") and not self._task.check_mode:
            now = datetime.datetime.now(datetime.timezone.utc)
            content = {
                "schema": _record.SCHEMA,
                "run": f"{now:%Y%m%dT%H%M%SZ}-{arguments.get('playbook') or 'run'}-unreachable",
                **{key: arguments.get(key) or "" for key in ("playbook", "operator", "project")},
                "asked": arguments.get("asked") or {},
                "controller": arguments["controller"]["host"],
                "host": host,
                "started": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "outcome": "failed",
                "msg": msg,
            }
            data = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
            self._keep(result, arguments, variables, data, "")
        return result

    def _keep(
        self, result: dict[str, t.Any], arguments: dict[str, t.Any], variables: dict[str, t.Any], data: bytes, sha256: str
    ) -> None:
        """Keep the record here, with what is made of it. What cannot be done is told: it fails no run that has ended.

        Args:
            data: the very bytes of the host's file.
            sha256: of that file; empty for an attempt that is written down here alone, which is no link of the chain.
        """
        content = json.loads(data)
        directory = Path(arguments["records_dir"]).expanduser() / variables.get("inventory_hostname", "host")
        if sha256 not in ("", hashlib.sha256(data).hexdigest()):
            self._display.warning(f"The record of {content['run']} was altered on its way here. Fetch {result['record']}.")
            return
        try:
            copied = _record_copy.keep(directory, content["run"], data, arguments.get("sign_with") or "")
            if sha256:
                _record_copy.set_head(directory, content["run"], data)
        except OSError as error:
            where = result.get("record") or "it"
            self._display.warning(f"The record was not copied to {directory}: {error.strerror}. Make room, then fetch {where}.")
            return
        for warning in copied.warnings:
            self._display.warning(warning)
        result["record_copy"], result["record_signature"] = str(copied.path), copied.signature
        formats = arguments.get("formats") or ["html"]
        result.update(_record_files.make(content, copied.path, formats, self._display.warning))
