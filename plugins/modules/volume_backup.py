#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.volume_backup."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_backup
short_description: Back up the volumes of a Compose project, and check the backups
version_added: 0.1.0
description:
  - Packs volumes into compressed tar archives (owners by number, extended attributes, access lists, sparse files) and
    copies files beside them, as one backup with an id (UTC time) and a C(manifest.json).
  - A backup is there whole or not at all. Each archive is hashed while it is written, flushed to the disk, read back to
    its end and compared; only a backup that holds everything gets its name. What a killed run left is removed by the
    next one.
  - Volumes are found through the resolved Compose model, in the place that the engine names. They must be kept by the
    driver C(local), and the module must run as root on the engine's own host.
  - To unpack an archive into an empty volume, use
    C(tar --extract --gzip --numeric-owner --xattrs --xattrs-include='*' --acls) in the volume's directory.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.compose
attributes:
  check_mode:
    support: full
    description: Says what would be packed, copied and removed, and does none of it.
  diff_mode:
    support: full
    description: Shows the backups before and after.
  idempotent:
    support: partial
    description: With O(state=present) every run makes a new backup; with O(state=checked) nothing is ever changed.
options:
  state:
    description:
      - V(present) makes a new backup, judges it, and lets go of the oldest ones.
      - V(checked) judges the newest backup, by reading all of it, and changes nothing.
    type: str
    choices: [present, checked]
    default: present
  backup_dir:
    description: Directory on the host that holds the backups, one directory each.
    type: path
    required: true
  volumes:
    description: Volumes to back up.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name in the Compose model, without the project's prefix.
        type: str
        required: true
      required:
        description: Whether it is an error when the volume does not exist or is empty.
        type: bool
        default: false
      stop:
        description: Services that are stopped while the volume is read, with O(consistency=stopped).
        type: list
        elements: str
        default: []
  files:
    description:
      - Files to copy into the backup, relative to O(project_dir) or absolute. Each must exist.
      - The copies have mode 0600; mode and owner of the originals are in the manifest.
    type: list
    elements: str
    default: []
  consistency:
    description:
      - V(live) stops nothing. The whole volume is compared before and after; when anything in it changed, the check of
        the archive warns, since a database may have been caught in the middle.
      - V(stopped) stops the running containers of the services in O(volumes[].stop) for the time of reading, and starts
        the same containers again whatever happens. A container that was started again may have another address.
    type: str
    choices: [live, stopped]
    default: live
  stop_timeout:
    description: Seconds that a container gets to stop before it is killed.
    type: int
    default: 30
  keep:
    description:
      - How many backups are kept, the new one included; at least 1. Older ones go only after the new one has
        passed, and none goes while an archive is strikingly smaller than before.
      - The newest backup whose volumes did not change while they were read is kept besides.
    type: int
    default: 7
  max_age_hours:
    description: How old the newest backup may be.
    type: float
    default: 25
  max_drop_percent:
    description: By how much an archive may be smaller than the one before without a warning.
    type: int
    default: 20
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: community.docker.docker_volume_info
"""

EXAMPLES = r"""
- name: Back up what a rebuilt host would miss
  prosaas.ops.volume_backup:
    project: prosaasil
    project_dir: /opt/prosaasil
    backup_dir: /var/lib/prosaas/backups
    volumes:
      - name: n8n_data
        required: true
        stop: [n8n]
      - name: whatsapp_auth
        stop: [baileys]
    files: [.env]

- name: Fail when the newest backup is damaged or older than a day
  prosaas.ops.volume_backup:
    state: checked
    project: prosaasil
    project_dir: /opt/prosaasil
    backup_dir: /var/lib/prosaas/backups
    volumes:
      - name: n8n_data
        required: true
    max_age_hours: 24
"""

RETURN = r"""
backup:
  description: Id of the backup that was made or judged; empty when there is none, and in check mode.
  returned: success
  type: str
  sample: 20261122T023000Z
path:
  description: Its directory on the host.
  returned: success
  type: str
parts:
  description:
    - The archives (C(kind) is V(volume)) and files (V(file)) in it.
    - Each has C(name), C(file) (relative to RV(path)), C(bytes), C(sha256), C(members) and C(seconds).
  returned: success
  type: list
  elements: dict
downtime:
  description: For how many seconds each service was stopped, by its name, also when the backup was not kept.
  returned: always
  type: dict
  sample:
    n8n: 4.2
pruned:
  description: Ids of the backups that were, or would be, removed.
  returned: success
  type: list
  elements: str
checks:
  description:
    - What was checked, worst first.
    - Ids are C(backup.volume.<name>), C(backup.files), C(backup.size), and with O(state=checked) C(backup.newest).
      C(backup.engine) alone when the engine does not answer.
  returned: always
  type: list
  elements: dict
verdict:
  description: The worst of the required checks.
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names the failed checks.
  returned: always
  type: str
"""

from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _backup, _lease
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Project
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import Shelf

OPTIONS = {
    **COMPOSE_OPTIONS,
    "state": {"type": "str", "choices": ["present", "checked"], "default": "present"},
    "backup_dir": {"type": "path", "required": True},
    "volumes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "required": {"type": "bool", "default": False},
            "stop": {"type": "list", "elements": "str", "default": []},
        },
    },
    "files": {"type": "list", "elements": "str", "default": []},
    "consistency": {"type": "str", "choices": [_backup.LIVE, _backup.STOPPED], "default": _backup.LIVE},
    "stop_timeout": {"type": "int", "default": 30},
    "keep": {"type": "int", "default": 7},
    "max_age_hours": {"type": "float", "default": 25},
    "max_drop_percent": {"type": "int", "default": 20},
}


def back_up(call: Call) -> Report:
    given = call.params
    project = Project.of(given)
    wanted = _backup.Wanted(
        project=project,
        volumes=tuple(_backup.Volume(each["name"], each["required"], tuple(each["stop"])) for each in given["volumes"]),
        files=tuple(given["files"]),
        **{name: given[name] for name in ("consistency", "stop_timeout", "keep", "max_age_hours", "max_drop_percent")},
    )
    shelf = Shelf(Path(given["backup_dir"]), project.name)
    if given["state"] == "checked":
        report = _backup.judge(wanted, shelf)
    elif call.check_mode:
        report = _backup.foretell(wanted, shelf, call.execute)
    else:
        # Only this branch changes the host, and so needs the lease.
        with _lease.working(call.state_dir, call.run, True):
            report = _backup.make(wanted, shelf, call.execute, call.run)
    return report


def main() -> None:
    run_module(OPTIONS, back_up)


if __name__ == "__main__":
    main()
