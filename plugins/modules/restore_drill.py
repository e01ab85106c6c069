#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.restore_drill."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Restore a backup into scratch places, compare it, and take them away again
version_added: 0.2.0
description:
  - Unpacks every archive into a scratch volume and compares it member by member, has SQLite check its databases, brings
    every dump back into a Postgres server of its own and counts the rows of every table against the manifest.
  - Nothing that is started has a network, and production is not touched. All of it is removed afterwards; what a drill
    that was killed has left, the next one removes.
  - The seconds are written down. They are the measured recovery time of this host's data.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._backup.shelf
  - prosaas.ops._backup.keys
attributes:
  check_mode:
    support: full
    description: Says which backup would be restored, and does nothing.
  diff_mode:
    support: none
    description: Nothing stays that could be shown.
  idempotent:
    support: partial
    description: Each time it is another drill.
options:
  project:
    description: Name of the Compose project.
    type: str
    required: true
  backup:
    description: Id of the backup; the newest when empty.
    type: str
    default: ''
  image:
    description:
      - Image with a Postgres server that is not older than the databases, as in V(postgres:17), by its name on the engine.
      - It is never pulled. Without one the checks of databases are V(unknown).
    type: str
    default: ''
  env_name:
    description: Name of the environment file among the files of the backup.
    type: str
    default: .env
  max_seconds:
    description: How long the restore of everything may take, in seconds; V(0) is no limit.
    type: float
    default: 0
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.backup
  - module: prosaas.ops.restore
"""

EXAMPLES = r"""
- name: Prove that the newest backup restores, within half an hour
  prosaas.ops.restore_drill:
    project: prosaasil
    backup_dir: /var/lib/prosaas/backups
    image: postgres:17
    max_seconds: 1800
"""

RETURN = r"""
backup:
  description: Id of the backup that was restored.
  returned: success
  type: str
seconds_restored:
  description: How long the restore of everything took, in seconds, comparing it included.
  returned: when something was restored
  type: float
cleared:
  description: Containers and volumes that a killed drill had left.
  returned: when something was restored
  type: list
  elements: str
checks:
  description:
    - One for each part, C(drill.<kind>.<name>), and C(drill.seconds), which names the earlier times; worst first.
  returned: when something was restored
  type: list
  elements: dict
verdict:
  description: The worst of the required checks.
  returned: when something was restored
  type: str
  sample: pass
msg:
  description: One sentence that names the failed checks.
  returned: always
  type: str
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _drill, _recovery
from ansible_collections.prosaas.ops.plugins.module_utils._backup_parts import KEYS, Key
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import Shelf

OPTIONS: dict[str, t.Any] = {
    "project": {"type": "str", "required": True},
    "backup_dir": {"type": "path", "required": True},
    "backup": {"type": "str", "default": ""},
    "image": {"type": "str", "default": ""},
    "keys": KEYS,
    "env_name": {"type": "str", "default": ".env"},
    "max_seconds": {"type": "float", "default": 0},
}


def drill(call: Call) -> Report:
    given = call.params
    shelf = Shelf(Path(given["backup_dir"]), given["project"])
    backup, _parts = _recovery.pick(shelf, _recovery.Asked(given["backup"]))
    if call.check_mode:
        return Report(facts={"backup": backup.id, "msg": f"{backup.id} would be restored."}, changed=True)
    plan = _drill.Plan(
        stored=shelf.path(backup.id),
        execute=call.execute,
        image=given["image"],
        keys=tuple(Key(**one) for one in given["keys"]),
        env_name=given["env_name"],
        max_seconds=given["max_seconds"],
        say=call.progress,
    )
    return _drill.drill(backup, plan, _drill.History(call.state_dir))


def main() -> None:
    run_module(OPTIONS, drill)


if __name__ == "__main__":
    main()
