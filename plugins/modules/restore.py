#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.restore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Bring a backup back, and keep what was there until it is proven
version_added: 0.2.0
description:
  - Brings back volumes, databases and files of a backup that M(prosaas.ops.backup) has made, on the same host or another.
  - Every part that is asked for is read to its end first. When one is damaged, or would replace something and
    O(overwrite) is false, nothing is touched. Archives with absolute paths, C(..), devices or links out are refused.
  - What was there is kept. O(state=undone) puts all of it back; O(state=settled) lets go of it, once it is proven that
    what was restored works. Until one of both no other backup can be restored.
  - A volume is unpacked beside its content and takes its place by a rename. A database is restored in one transaction,
    in which its schemas are renamed. Of files the old ones are kept in O(state_dir).
  - The services that use a restored volume are stopped, and with a database those of O(stops). They are not started
    again here.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.compose
  - prosaas.ops._backup.shelf
  - prosaas.ops._backup.programs
  - prosaas.ops._backup.databases
attributes:
  check_mode:
    support: full
    description: Reads every part to its end, says what would be replaced, and changes nothing.
  diff_mode:
    support: full
    description: Shows what was brought back.
  idempotent:
    support: full
    description: A part that this restore has brought back is left alone by a second run.
options:
  state:
    description:
      - V(listed) names the backups that are there, newest first.
      - V(restored) brings the parts back; V(undone) and V(settled) end that.
    type: str
    choices: [listed, restored, undone, settled]
    default: restored
  backup:
    description: Id of the backup; the newest when empty.
    type: str
    default: ''
  parts:
    description: What is brought back, patterns of C(kind:name), as in V(volume:n8n_data), V(database:*) or V(file:.env).
    type: list
    elements: str
    default: ['*']
  overwrite:
    description: Whether what is there may be replaced.
    type: bool
    default: false
  links_out:
    description: Whether symbolic links that lead out of a volume are taken, V(keep), or refused.
    type: str
    choices: [refuse, keep]
    default: refuse
  owners:
    description: Whether owners and rights in databases are kept, or dropped where the server has other roles.
    type: str
    choices: [keep, drop]
    default: keep
  env_file:
    description: The application's environment file, which says where the databases are. It may be one of the files restored.
    type: path
    required: true
  stops:
    description: Services that are stopped while a database is restored; all when empty.
    type: list
    elements: str
    default: []
  stop_timeout:
    description: Seconds that a container gets to stop before it is killed.
    type: int
    default: 30
  calls:
    description:
      - How live phone calls are counted, as in M(prosaas.ops.call_gate). With a live call nothing is stopped.
      - An application that does not run has no calls to lose, so what is not known is no obstacle.
    type: dict
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.backup
  - module: prosaas.ops.restore_drill
"""

EXAMPLES = r"""
- name: Say what there is
  prosaas.ops.restore:
    state: listed
    project: prosaasil
    project_dir: /opt/prosaasil
    env_file: /opt/prosaasil/.env
    backup_dir: /var/lib/prosaas/backups

- name: Bring n8n's volume back as it was last night
  prosaas.ops.restore:
    project: prosaasil
    project_dir: /opt/prosaasil
    env_file: /opt/prosaasil/.env
    backup_dir: /var/lib/prosaas/backups
    parts: [volume:n8n_data]
    overwrite: true
"""

RETURN = r"""
backups:
  description:
    - The backups, newest first, each with C(id), C(host), C(release), C(parts) and one sentence, C(told).
  returned: with O(state=listed)
  type: list
  elements: dict
backup:
  description: The backup that was brought back, as in RV(backups).
  returned: with any other state, when there is one
  type: dict
restore:
  description: Id of the restore.
  returned: with any other state, when there is one
  type: str
  sample: 20261122T210501Z
replaces:
  description: What was, or would be, replaced.
  returned: with O(state=restored)
  type: list
  elements: str
stopped:
  description: Services that were stopped.
  returned: success
  type: list
  elements: str
checks:
  description: One for each part, worst first; C(restore.volume.<name>), C(restore.database.<name>), C(restore.file.<name>).
  returned: with O(state=restored)
  type: list
  elements: dict
verdict:
  description: The worst of the required checks.
  returned: with O(state=restored)
  type: str
  sample: pass
msg:
  description: One sentence that names the failed checks, or what was done; with O(state=listed) the backups, a line each.
  returned: always
  type: str
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _gate, _lease, _pg_options, _recovery
from ansible_collections.prosaas.ops.plugins.module_utils import _recovery_parts as _parts
from ansible_collections.prosaas.ops.plugins.module_utils._backup_parts import Database
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Project
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_connect import Manner
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import Shelf

OPTIONS: dict[str, t.Any] = {
    **COMPOSE_OPTIONS,
    "state": {"type": "str", "choices": ["listed", "restored", "undone", "settled"], "default": "restored"},
    "backup_dir": {"type": "path", "required": True},
    "backup": {"type": "str", "default": ""},
    "parts": {"type": "list", "elements": "str", "default": ["*"]},
    "overwrite": {"type": "bool", "default": False},
    "links_out": {"type": "str", "choices": [_parts.REFUSE, _parts.KEEP], "default": _parts.REFUSE},
    "owners": {"type": "str", "choices": ["keep", "drop"], "default": "keep"},
    "env_file": {"type": "path", "required": True},
    **_pg_options.DATABASES,
    **_pg_options.OPTIONS,
    "stops": {"type": "list", "elements": "str", "default": []},
    "stop_timeout": {"type": "int", "default": 30},
    "calls": {"type": "dict"},
}


def bring_back(call: Call) -> Report:
    given = call.params
    project = Project.of(given)
    shelf = Shelf(Path(given["backup_dir"]), project.name)
    if given["state"] == "listed":
        return _recovery.listed(shelf)
    place, ledger = _place(call, project), _recovery.Ledger(call.state_dir)
    with _lease.working(call.state_dir, call.run, not call.check_mode):
        if given["state"] == "undone":
            report = _recovery.undo(_asked(call), shelf, place, ledger, call.check_mode, call.progress)
        elif given["state"] == "settled":
            report = _recovery.settle(_asked(call), shelf, place, ledger, call.check_mode, call.progress)
        else:
            report = _recovery.restore(_asked(call), shelf, place, ledger, call.check_mode, call.progress)
    # What is in the file now may be what was restored just now.
    report.secrets |= set(_values(given).values())
    return report


def _values(given: dict[str, t.Any]) -> dict[str, str]:
    path = Path(given["env_file"])
    return _dotenv.values(path) if path.is_file() else {}


def _asked(call: Call) -> _recovery.Asked:
    given = call.params
    counter = _gate.counter_of(given["calls"], given["project"], _values(given)) if given["calls"] else None
    return _recovery.Asked(
        given["backup"], given["parts"], given["overwrite"], given["stops"], counter, given["stop_timeout"]
    )


def _place(call: Call, project: Project) -> _parts.Place:
    given = call.params
    return _parts.Place(
        stored=Path(),
        kept=Path(),
        id="",
        project=project,
        execute=call.execute,
        env_file=Path(given["env_file"]),
        databases={name: Database.of(name, one) for name, one in given["databases"].items()},
        tools=_pg_options.tools_of(given),
        manner=Manner(given["sslmodes"], ca_path=given["ca_path"]),
        links_out=given["links_out"],
        owners=given["owners"],
        model=lambda: _recovery.model_of(project, call.execute),
    )


def main() -> None:
    run_module(
        OPTIONS,
        bring_back,
        wants=lambda given: [
            *(("psycopg2",) if given["databases"] else ()),
            *(("docker", "redis") if given["calls"] else ()),
        ],
    )


if __name__ == "__main__":
    main()
