# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The glue between a module and its domain: the only file here that knows AnsibleModule.

A module is an argument spec and one call of :func:`run_module`. Everything that all modules share happens here:
finding the Python packages, masking secrets, the verdict, the journal of the run, the lease.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import importlib
import shutil
import signal
import threading
import traceback
import typing as t
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.respawn import has_respawned, respawn_module

from . import _check, _journal, _lease, _progress, _secrets
from ._errors import OpsError, Unreachable
from ._items import with_items

_SAID_BY_PEOPLE: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {name: {"type": "str", "required": True} for name in ("check", "by", "reason", "until")},
}
_SAID_OF_CHECK_OR_BOX: dict[str, t.Any] = {
    **_SAID_BY_PEOPLE,
    "options": {**_SAID_BY_PEOPLE["options"], "check": {"type": "str"}, "box": {"type": "str"}},
}
SHARED_OPTIONS: dict[str, t.Any] = {
    "state_dir": {"type": "path", "default": "/var/lib/prosaas"},
    "run": {"type": "str", "default": ""},
    "runtime": {"type": "path", "default": "/var/lib/prosaas/runtime"},
    "items": {"type": "dict", "default": {}},
    "gather": {"type": "bool", "default": False},
    "advisory": {"type": "list", "elements": "str", "default": []},
    "waivers": _SAID_BY_PEOPLE,
    "attestations": _SAID_OF_CHECK_OR_BOX,
}

Domain = t.Callable[["Call"], _check.Report]


class Call:
    """What a domain function gets: the module's parameters, three facts about this run, and ways to act and to speak.

    Attributes:
        params: the options, as documented.
        check_mode: true when nothing may be changed.
        state_dir: where the collection keeps its state on this host.
        run: id of the run that this call belongs to; empty when the module is used on its own.
    """

    def __init__(self, module: AnsibleModule) -> None:
        self.params: dict[str, t.Any] = module.params
        self.check_mode: bool = module.check_mode
        self.state_dir = Path(module.params["state_dir"])
        self.run: str = module.params["run"]
        self._run_command = module.run_command
        self._hidden = module.no_log_values
        followed = self.run and not module.check_mode
        path = _progress.path_of(self.state_dir, self.run) if followed else None
        self._progress = _progress.Progress(path, self._hidden)

    def progress(self, text: str) -> None:
        """Say what goes on to whoever follows the run: one short line, secrets masked. It never fails."""
        self._progress.say(text)

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these values from now on in the result, also that of a failure, in the journal and in the progress."""
        self._hidden.update(_secrets.worth_hiding(secrets))

    def execute(self, argv: Sequence[str], **options: t.Any) -> tuple[int, str, str]:
        """Run a program; one that is not installed is an error that says so."""
        if shutil.which(argv[0]) is None:
            raise OpsError(f"{argv[0]} is not installed on this host.", f"Install {argv[0]}, or put it in PATH.")
        rc, out, err = self._run_command(list(argv), **options)
        return rc, out, err


def run_module(
    options: dict[str, t.Any],
    domain: Domain,
    needs: Sequence[str] = (),
    mutates: bool = False,
    wants: t.Callable[[dict[str, t.Any]], Sequence[str]] = lambda params: (),
    **spec: t.Any,
) -> None:
    """Build the AnsibleModule, run its domain function and leave with a verdict.

    Args:
        options: the module's own argument spec; the shared options are added.
        domain: does the work; raises :class:`OpsError` for what the operator must know.
        needs: names of importable packages outside the standard library; the runtime provides them.
        mutates: true for a module whose purpose is a change: it holds the lease while it works.
        wants: names, by the options, of packages that it can do without: where the runtime has them, it is entered for
            them, too.
        spec: more arguments for AnsibleModule (``required_if`` and the like).
    """
    module = AnsibleModule(argument_spec={**SHARED_OPTIONS, **options}, supports_check_mode=True, **spec)
    missing = _enter_runtime(module, needs, wants(module.params))
    if missing:
        _leave(module, _check.Report(checks=[_no_runtime(module, missing)]), 0.0)
        return
    if mutates:
        _outlive_the_connection()
    with _check.stopwatch() as seconds:
        try:
            call = Call(module)
            with _lease.working(call.state_dir, call.run, mutates and not module.check_mode):
                report = domain(call)
        except Exception as error:
            known = error if isinstance(error, OpsError) else _own_fault(module, error)
            report = _check.Report(checks=[_undone(module, known)])
            if not module.params["gather"]:
                took = seconds()
                _write_journal(module, {"status": "failed", "msg": str(known), "seconds": took})
                module.fail_json(msg=str(known), seconds=took, **known.details)
        _leave(module, report, seconds())


def _outlive_the_connection() -> None:
    """Go on when ssh hangs up, and let the programs that are started go on: half a change is worse than a whole one."""
    if threading.current_thread() is threading.main_thread():  # no other may ask for it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _own_fault(module: AnsibleModule, error: Exception) -> OpsError:
    """Say where a module of ours broke, and not what with: the text of an exception may hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    place = ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:])
    return Unreachable(
        f"{_name(module)} met an error of its own: {type(error).__name__} at {place}.",
        "Report it with this line; it holds no value of yours.",
    )


def _undone(module: AnsibleModule, error: OpsError) -> _check.Check:
    """Stand for the checks that a module could not even begin, where others are to have their say first."""
    status = _check.UNKNOWN if isinstance(error, Unreachable) else _check.FAIL
    title = "The checks of this module can be done"
    return _check.Check(f"run.{_name(module)}", title, status, error.problem, error.remedy)


def _name(module: AnsibleModule) -> str:
    return module._name.rpartition(".")[2]


def _enter_runtime(module: AnsibleModule, needs: Sequence[str], wants: Sequence[str] = ()) -> list[str]:
    """Run again under the runtime's Python where packages are missing here; return what is needed and stays missing."""
    missing = [name for name in needs if not _importable(name)]
    wanting = missing or [name for name in wants if not _importable(name)]
    python = Path(module.params["runtime"]) / "bin" / "python"
    if wanting and not has_respawned() and python.exists():
        respawn_module(str(python))  # does not return
    return missing


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _no_runtime(module: AnsibleModule, missing: Sequence[str]) -> _check.Check:
    return _check.Check(
        id=f"runtime.{_name(module)}",
        title="Python packages for the checks",
        status=_check.UNKNOWN,
        evidence=f"not on this host yet: {', '.join(missing)}",
        remedy="Run the preflight playbook once without --check; it prepares them in " + module.params["runtime"],
    )


def _leave(module: AnsibleModule, report: _check.Report, seconds: float) -> None:
    module.no_log_values.update(_secrets.worth_hiding(report.secrets))
    result: dict[str, t.Any] = {"changed": report.changed, "seconds": seconds, **report.facts}
    stops = False
    if report.checks:
        params = module.params
        try:
            policy = _check.Policy(params["advisory"], params["waivers"], params["attestations"])
            rows = _check.judged(with_items(report.checks, params["items"]), policy)
        except OpsError as error:
            module.fail_json(msg=str(error))
        found = _check.verdict(rows, module.check_mode)
        stops = found.pop("stops")
        result.update(found)
    if report.diff:
        result["diff"] = report.diff
    status = "failed" if stops else "changed" if report.changed else "ok"
    said = {key: result.get(key) for key in ("msg", "seconds", "checks")}
    _write_journal(module, {"status": status, **said, **report.noted})
    if stops and not module.params["gather"]:
        module.fail_json(**result)
    module.exit_json(**result)


def _write_journal(module: AnsibleModule, entry: dict[str, t.Any]) -> None:
    if module.params["run"] and not module.check_mode:
        name = _name(module)
        entry = {"step": name, "item": sorted(module.params["items"].get(name, [])), **entry}
        _journal.append(Path(module.params["state_dir"]), module.params["run"], entry, module.no_log_values)
