# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The beginning and the end of a run: identity and lease first, record and lease given back last.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from . import _boxes, _journal, _lease, _record, _store
from ._errors import OpsError
from ._release import Store

# The step of a run that was an incident.
REPORTED = {
    "step": "run",
    "status": "ok",
    "msg": "the report of the incident is made from this record; what only people know is left blank in it",
    "seconds": 0.0,
}


def new_id(playbook: str) -> str:
    """Return an id that sorts by time: ``20261122T210501Z-deploy-5f1e``."""
    return f"{_journal.stamp()}-{playbook}-{secrets.token_hex(2)}"


def begin(state_dir: Path, asked: Mapping[str, t.Any], with_lease: bool, dead: str, check_mode: bool) -> dict[str, t.Any]:
    """Begin a run; take the lease when it will change the host.

    Args:
        asked: playbook, operator, project, asked (what the operator gave), and controller (host, boot_id, pid,
            process_started).
        dead: id of a run whose controller is known to be gone.
        check_mode: nothing is written; a held lease is reported all the same.
    """
    run = new_id(asked["playbook"])
    holder = _holder(run, asked)
    taken_from = None
    if check_mode:
        found = _lease.holder(state_dir)
        return {"run": "", "taken_from": "", "locked_by": found.told(0) if found else ""}
    if with_lease:
        taken_from = _lease.take(state_dir, holder, dead)
    current = Store(state_dir).current()
    begun = {
        "run": run,
        "playbook": asked["playbook"],
        "operator": asked["operator"],
        "controller": asked["controller"]["host"],
        "host": socket.gethostname(),
        "project": asked["project"],
        "asked": dict(asked["asked"]),
        "started": _journal.now(),
        "release_before": asdict(current) if current else None,
    }
    _store.write_json(_journal.run_dir(state_dir, run) / "begun.json", begun)
    return {"run": run, "taken_from": taken_from.run if taken_from else "", "locked_by": ""}


def end(
    state_dir: Path,
    run: str,
    outcome: str,
    msg: str,
    keep: int,
    asked: _boxes.Asked | None = None,
    reports: Sequence[int] = (),
) -> tuple[dict[str, t.Any], Path]:
    """Write the record of a run, give the lease back and clear old run directories; return the record and its path.

    Args:
        reports: the lines of the checklist that the report of an incident answers, which is made from the record.
    """
    begun = _store.read_json(_journal.run_dir(state_dir, run) / "begun.json")
    if begun is None:
        raise OpsError(f"There is no run {run} on this host.", "Begin one with state=begun.")
    current = Store(state_dir).current()
    ending = {"outcome": outcome, "msg": msg, "release_after": asdict(current) if current else None}
    if _record.is_incident({**begun, **ending}):
        _journal.append(state_dir, run, {**REPORTED, "item": sorted(reports)})
    record = _record.build(state_dir, begun, ending, asked or _boxes.Asked())
    path = _record.write(state_dir, record)
    _lease.release(state_dir, run)
    for old in sorted((state_dir / "runs").iterdir())[:-keep]:
        shutil.rmtree(old)
    return record, path


def _holder(run: str, asked: Mapping[str, t.Any]) -> _lease.Holder:
    controller = asked["controller"]
    return _lease.Holder(
        run=run,
        owner=asked["operator"],
        controller=controller["host"],
        boot_id=controller["boot_id"],
        pid=int(controller["pid"]),
        process_started=int(controller["process_started"]),
        playbook=asked["playbook"],
        taken=_journal.now(),
    )
