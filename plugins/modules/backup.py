#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.backup."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Back up what a rebuilt host would miss, and check the backups
version_added: 0.2.0
description:
  - Packs volumes into compressed tar archives (owners by number, extended attributes, access lists, sparse files), dumps
    Postgres databases, lists the objects of a bucket and copies files, as one backup with an id (UTC time) and a
    C(manifest.json).
  - A backup is there whole or not at all. Each part is hashed while it is written, flushed to the disk, read back to
    its end and compared with its source; only a backup that holds everything gets its name. What a killed run left is
    removed by the next one.
  - Volumes are found through the resolved Compose model, in the place that the engine names. They must be kept by the
    driver C(local), and the module must run as root on the engine's own host.
  - To unpack an archive by hand into an empty volume, use
    C(zstd -dc FILE | tar --extract --numeric-owner --xattrs --xattrs-include='*' --acls) in the volume's directory.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.compose
  - prosaas.ops._backup.shelf
  - prosaas.ops._backup.programs
  - prosaas.ops._backup.databases
  - prosaas.ops._backup.keys
attributes:
  check_mode:
    support: full
    description: Says what would be packed, copied and removed, and does none of it.
  diff_mode:
    support: full
    description: Shows the backups before and after.
  idempotent:
    support: partial
    description: With O(state=present) every run makes a new backup; with the other states nothing is ever changed.
options:
  state:
    description:
      - V(present) makes a new backup, judges it, and lets go of older ones.
      - V(checked) judges the newest backup, by reading all of it, and changes nothing.
      - V(recent) judges its age alone, by its manifest.
    type: str
    choices: [present, checked, recent]
    default: present
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
      policy:
        description:
          - How a copy of one moment is made of it.
          - V(pause) freezes the containers of O(volumes[].services) while it is read; connections stay open.
          - V(stop) stops them, and starts the same containers again. One that was started again may have another address.
          - V(snapshot) copies the O(volumes[].databases) by SQLite's own means and the rest live; nothing is held.
          - V(live) holds nothing. The volume is compared before and after; when anything in it changed the copy is made
            again, O(volumes[].tries) times, and after that the check of the archive warns.
          - Whatever happens, what was held goes on, also when this module is killed.
        type: str
        choices: [pause, stop, snapshot, live]
        default: live
      services:
        description: Services that write to it, held with V(pause) and V(stop).
        type: list
        elements: str
        default: []
      databases:
        description: SQLite files in it, relative to the volume, for V(snapshot). Each must be there.
        type: list
        elements: str
        default: []
      tries:
        description: How often a copy in which something changed is made again.
        type: int
        default: 3
  stop_timeout:
    description: Seconds that a container gets to stop before it is killed.
    type: int
    default: 30
  calls:
    description:
      - How live phone calls are counted before a service is held, as in M(prosaas.ops.call_gate). Without it nobody asks.
      - What is not known counts as a live call.
    type: dict
  calls_deadline:
    description: Seconds that are waited until no call is live.
    type: float
    default: 60
  calls_then:
    description: What is done after that; fail, copy the volume V(live), or V(hold) the services all the same.
    type: str
    choices: [fail, live, hold]
    default: live
  files:
    description:
      - Files to copy into the backup, relative to O(project_dir) or absolute. Each must exist.
      - The copies have mode 0600; mode and owner of the originals are in the manifest.
    type: list
    elements: str
    default: []
  mounted_files:
    description: Whether single files of up to 1 MiB that services mount are copied, too, such as a service account's key.
    type: bool
    default: false
  env_file:
    description: The application's environment file, which holds the credentials for databases and buckets.
    type: path
    required: true
  buckets:
    description:
      - Buckets whose objects are listed (key, size, ETag), by name. The objects themselves stay where they are.
      - Each has V(credentials), names of variables as in M(prosaas.ops.r2_versioning), and may have V(endpoint_template),
        V(region) and V(prefix).
    type: dict
    default: {}
  compression:
    description: How parts are compressed; V(auto) is zstd where the program is there, and gzip elsewhere.
    type: str
    choices: [auto, zstd, gzip, none]
    default: auto
  keep:
    description:
      - How many backups are kept, of the newest, and the newest of each of so many days, weeks, months and years. Periods
        without a backup do not count.
      - Older ones go only after the new one has passed, and none goes while a part is strikingly smaller than before.
      - The newest backup whose volumes did not change while they were read is kept besides.
    type: dict
    default: {}
    suboptions:
      last:
        description: Of the newest; at least one is kept.
        type: int
        default: 3
      daily:
        description: Days.
        type: int
        default: 7
      weekly:
        description: Weeks, by ISO 8601.
        type: int
        default: 4
      monthly:
        description: Months.
        type: int
        default: 6
      yearly:
        description: Years.
        type: int
        default: 0
  max_age_hours:
    description: How old the newest backup may be.
    type: float
    default: 25
  warn_drop_percent:
    description: By how much a part may be smaller than the one before, before its compression, without a warning.
    type: int
    default: 20
  fail_drop_percent:
    description: By how much it may be smaller without a failure. The backup is kept all the same.
    type: int
    default: 50
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.backup_copy
  - module: prosaas.ops.restore
"""

EXAMPLES = r"""
- name: Back up what a rebuilt host would miss
  prosaas.ops.backup:
    project: prosaasil
    project_dir: /opt/prosaasil
    env_file: /opt/prosaasil/.env
    backup_dir: /var/lib/prosaas/backups
    volumes:
      - name: n8n_data
        required: true
        policy: pause
        services: [n8n]
      - name: whatsapp_auth
        policy: pause
        services: [baileys]
    databases:
      main:
        url: DATABASE_URL_DIRECT
    files: [.env]
    keep: {daily: 7, weekly: 4}

- name: Fail when the newest backup is damaged or older than a day
  prosaas.ops.backup:
    state: checked
    project: prosaasil
    project_dir: /opt/prosaasil
    env_file: /opt/prosaasil/.env
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
    - What is in it; C(kind) is V(volume), V(database), V(bucket) or V(file).
    - Each has C(name), C(file) (relative to RV(path)), C(bytes), C(raw_bytes) (before compression), C(sha256),
      C(members), C(policy) and C(seconds).
  returned: success
  type: list
  elements: dict
downtime:
  description: For how many seconds each service was held, by its name, also when the backup was not kept.
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
    - Ids are C(backup.volume.<name>), C(backup.database.<name>), C(backup.bucket.<name>), C(backup.files),
      C(backup.key.<variable>), C(backup.size), and with O(state=checked) and O(state=recent) C(backup.newest).
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

import typing as t
from functools import partial
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import (
    _backup,
    _backup_parts,
    _dotenv,
    _gate,
    _lease,
    _pg_options,
)
from ansible_collections.prosaas.ops.plugins.module_utils._backup_judge import Limits
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._codec import AUTO, CODECS, choose
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Project
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._object_store import Store, store_of
from ansible_collections.prosaas.ops.plugins.module_utils._periods import OPTIONS as KEEP
from ansible_collections.prosaas.ops.plugins.module_utils._periods import Keep
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_connect import Manner
from ansible_collections.prosaas.ops.plugins.module_utils._provenance import release_here
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import Shelf

OPTIONS: dict[str, t.Any] = {
    **COMPOSE_OPTIONS,
    "state": {"type": "str", "choices": ["present", "checked", "recent"], "default": "present"},
    "backup_dir": {"type": "path", "required": True},
    "env_file": {"type": "path", "required": True},
    "volumes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "required": {"type": "bool", "default": False},
            "policy": {"type": "str", "choices": list(_backup_parts.POLICIES), "default": _backup_parts.LIVE},
            "services": {"type": "list", "elements": "str", "default": []},
            "databases": {"type": "list", "elements": "str", "default": []},
            "tries": {"type": "int", "default": 3},
        },
    },
    "stop_timeout": {"type": "int", "default": 30},
    "calls": {"type": "dict"},
    "calls_deadline": {"type": "float", "default": 60},
    "calls_then": {
        "type": "str",
        "choices": [_backup_parts.FAIL_THEN, _backup_parts.LIVE_THEN, _backup_parts.HOLD_THEN],
        "default": _backup_parts.LIVE_THEN,
    },
    "files": {"type": "list", "elements": "str", "default": []},
    "mounted_files": {"type": "bool", "default": False},
    **_pg_options.DATABASES,
    **_pg_options.OPTIONS,
    "buckets": {"type": "dict", "default": {}},
    "keys": _backup_parts.KEYS,
    "compression": {"type": "str", "choices": [AUTO, *CODECS], "default": AUTO},
    "keep": KEEP,
    "max_age_hours": {"type": "float", "default": 25},
    "warn_drop_percent": {"type": "int", "default": 20},
    "fail_drop_percent": {"type": "int", "default": 50},
}


def back_up(call: Call) -> Report:
    given = call.params
    values = _dotenv.values(Path(given["env_file"]))
    wanted, sources = _wanted(given, values), _sources(call, values)
    shelf = Shelf(Path(given["backup_dir"]), sources.project.name)
    if given["state"] != "present":
        report = _backup.judge(wanted, sources, shelf, quick=given["state"] == "recent")
    elif call.check_mode:
        report = _backup.foretell(wanted, sources, shelf)
    else:
        # Only this branch changes the host, and so needs the lease.
        with _lease.working(call.state_dir, call.run, True):
            release = release_here(call.state_dir, sources.project.directory, call.execute)
            report = _backup.make(wanted, sources, shelf, call.run, release)
    report.secrets |= set(values.values())
    return report


def _wanted(given: dict[str, t.Any], values: dict[str, str]) -> _backup.Wanted:
    return _backup.Wanted(
        volumes=tuple(
            _backup_parts.Volume(**{**one, "services": tuple(one["services"]), "databases": tuple(one["databases"])})
            for one in given["volumes"]
        ),
        files=tuple(given["files"]),
        mounted=given["mounted_files"],
        databases=tuple(_backup_parts.Database.of(name, one) for name, one in given["databases"].items()),
        buckets={
            name: (partial(_store, one, given), one.get("prefix", ""))
            for name, one in given["buckets"].items()
        },
        keys=tuple(_backup_parts.Key(**one) for one in given["keys"]),
        keep=Keep.of(given["keep"]),
        limits=Limits(given["max_age_hours"], given["warn_drop_percent"], given["fail_drop_percent"]),
    )


def _store(one: dict[str, t.Any], given: dict[str, t.Any]) -> Store:
    known = Credentials(given["env_file"], one["credentials"])
    template, region = one.get("endpoint_template", ""), one.get("region", "auto")
    return store_of(known, template=template, region=region, ca_path=given["ca_path"])


def _sources(call: Call, values: dict[str, str]) -> _backup_parts.Sources:
    given = call.params
    counter = _gate.counter_of(given["calls"], given["project"], values) if given["calls"] else None
    return _backup_parts.Sources(
        project=Project.of(given),
        execute=call.execute,
        codec=choose(given["compression"]),
        env_file=Path(given["env_file"]),
        quiet=_backup_parts.Quiet(counter, given["calls_deadline"], given["calls_then"]) if counter else None,
        stop_timeout=given["stop_timeout"],
        tools=_pg_options.tools_of(given),
        manner=Manner(given["sslmodes"], ca_path=given["ca_path"]),
        say=call.progress,
    )


def main() -> None:
    run_module(
        OPTIONS,
        back_up,
        wants=lambda given: [
            *(("psycopg2",) if given["databases"] else ()),
            *(("boto3",) if given["buckets"] else ()),
            *(("docker", "redis") if given["calls"] else ()),
        ],
    )


if __name__ == "__main__":
    main()
