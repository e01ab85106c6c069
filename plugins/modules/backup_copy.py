#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: backup_copy
short_description: Copies backups off the host, checks the copies, and brings them back
version_added: 0.2.0
description:
  - Copies a backup that M(prosaas.ops.backup) has made to other places, a restic repository, a bucket, or another host.
  - A copy counts once its manifest is there, which is sent last. A run that breaks off leaves no copy, and the copies
    before it stay as they were.
  - restic gets the uncompressed stream of each part, so that what has not changed is neither sent nor stored again. A part
    with the same sum as in an earlier copy is not even read.
  - Older copies are let go of only after the new one is there and the place has been checked; the newest copy, and the
    newest one whose volumes did not change while they were read, always stay.
  - Passwords and keys get to restic in its environment or as the path of a file, never among its arguments.
extends_documentation_fragment:
  - prosaas.ops._shared
attributes:
  check_mode:
    support: full
    description: Says what would be copied, let go of, or fetched. Places are asked what they hold, nothing is written.
  diff_mode:
    support: full
    description: Shows the copies of each place before and after.
  idempotent:
    support: full
    description: A backup that a place has is not copied again, one that is on the host not fetched again.
options:
  state:
    description:
      - V(present) copies O(backup) to all places and lets go of older copies.
      - V(checked) changes nothing and judges the newest copy's age, whether the copies are whole, and locks.
      - V(listed) changes nothing and tells which copies there are.
      - V(fetched) brings O(backup) into O(backup_dir), from the first place that has it.
    type: str
    choices: [present, checked, listed, fetched]
    default: present
  project:
    description: Name of the Compose project. Copies of others in the same place are left alone.
    type: str
    required: true
  backup_dir:
    description: Directory on the host that holds the backups.
    type: path
    required: true
  backup:
    description: Id of the backup. Empty for the newest one, on the host or, with O(state=fetched), in the places.
    type: str
    default: ''
  place:
    description: Name of the only place to work with. Empty for all.
    type: str
    default: ''
  places:
    description: Where copies go.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the place is called in checks.
        type: str
        required: true
      kind:
        description:
          - V(restic) is encrypted and stores what is the same only once.
          - V(s3) and V(rsync) copy the files of a backup as they are, C(.env) and keys readable among them.
        type: str
        choices: [restic, s3, rsync]
        default: restic
      address:
        description:
          - For V(restic), the repository as restic takes it (C(s3:https://host/bucket/prefix), C(sftp:user@host:/directory),
            or a directory).
          - For V(s3), C(https://host/bucket/prefix). For V(rsync), C(user@host:/directory), which must exist.
        type: str
        required: true
      credentials_file:
        description: Environment file on the host (as C(.env)) with the variables named in O(places[].credentials).
        type: path
      credentials:
        description:
          - Environment variables that restic is run with, each with the name of the variable of
            O(places[].credentials_file) that holds its value; C(RESTIC_PASSWORD) may be one.
          - V(s3) takes C(AWS_ACCESS_KEY_ID) and C(AWS_SECRET_ACCESS_KEY) from it.
        type: dict
        default:
          AWS_ACCESS_KEY_ID: AWS_ACCESS_KEY_ID
          AWS_SECRET_ACCESS_KEY: AWS_SECRET_ACCESS_KEY
      password_file:
        description: File on the host that holds the repository's password and nothing else.
        type: path
      password:
        description:
          - The repository's password, from the vault. Ansible brings it to the host among the module's options, so
            O(places[].password_file) is the quieter way.
        type: str
      region:
        description: Region of the bucket, where its store wants one to be named.
        type: str
        default: ''
      ca_path:
        description: CA certificate of the store, in PEM. For restic it takes the place of the public ones.
        type: path
      init:
        description: Whether a restic repository is made where there is none.
        type: bool
        default: false
      unencrypted:
        description: V(accepted) where somebody has accepted that V(s3) and V(rsync) store secrets readable.
        type: str
        choices: ['', accepted]
        default: ''
      port:
        description: Port of ssh, for V(rsync).
        type: int
        default: 22
      key_file:
        description: Private key on the host for V(rsync).
        type: path
      known_hosts:
        description: File with the host key of the other host. One that is not known is refused.
        type: path
      keep:
        description: How many copies are kept there, instead of O(keep).
        type: dict
        suboptions:
          last:
            description: Of the newest; at least one is kept.
            type: int
            default: 3
          daily:
            description: The newest of each of so many days.
            type: int
            default: 7
          weekly:
            description: Of so many weeks.
            type: int
            default: 4
          monthly:
            description: Of so many months.
            type: int
            default: 6
          yearly:
            description: Of so many years.
            type: int
            default: 0
      check_percent:
        description: Percent of the data there that a check reads back. V(0) checks the structure alone.
        type: float
        default: 5
      cloudflare_token_file:
        description:
          - File on the host with an API token that may read R2's settings.
          - With it, bucket lock rules are read, and one that covers restic's C(locks/) fails before anything is sent. Without
            it, a lock that cannot be removed tells.
        type: path
      cloudflare_account:
        description: Account id; the first label of the address's host by default.
        type: str
        default: ''
      cloudflare_api:
        description: Base URL of Cloudflare's API.
        type: str
        default: https://api.cloudflare.com/client/v4
  keep:
    description: How many copies are kept in a place; periods without a copy do not count.
    type: dict
    default: {}
    suboptions:
      last:
        description: Of the newest; at least one is kept.
        type: int
        default: 3
      daily:
        description: The newest of each of so many days.
        type: int
        default: 7
      weekly:
        description: Of so many weeks.
        type: int
        default: 4
      monthly:
        description: Of so many months.
        type: int
        default: 6
      yearly:
        description: Of so many years.
        type: int
        default: 0
  max_age_hours:
    description: How old the newest copy may be, for O(state=checked).
    type: float
    default: 25
  compression:
    description: How fetched parts are compressed on the host. V(auto) is zstd where the program is there, and gzip elsewhere.
    type: str
    choices: [auto, zstd, gzip, none]
    default: auto
  patience:
    description: Seconds that a place may take to answer, or to take the next block. Then the command is interrupted.
    type: int
    default: 300
  timeout:
    description: Seconds that a check or a prune of a restic repository may take.
    type: int
    default: 7200
  lock_wait:
    description: Seconds that are waited for somebody else's lock of a restic repository.
    type: int
    default: 300
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.backup
  - module: prosaas.ops.restore
"""

EXAMPLES = r"""
- name: The newest backup is in a restic repository on R2, and older copies are let go of
  prosaas.ops.backup_copy:
    project: prosaasil
    backup_dir: /var/lib/prosaas/backups
    places:
      - name: r2
        address: s3:https://{{ account }}.r2.cloudflarestorage.com/prosaas-backups/prosaasil
        credentials_file: /root/secrets/backup.env
        password_file: /root/secrets/restic-password
        cloudflare_token_file: /root/secrets/cloudflare-r2-read
        init: true
    keep: {daily: 14, weekly: 8, monthly: 12}
  become: true

- name: What is there can be read, a fifth of it is read today
  prosaas.ops.backup_copy:
    state: checked
    project: prosaasil
    backup_dir: /var/lib/prosaas/backups
    places:
      - name: r2
        address: s3:https://{{ account }}.r2.cloudflarestorage.com/prosaas-backups/prosaasil
        credentials_file: /root/secrets/backup.env
        password_file: /root/secrets/restic-password
        check_percent: 20
  become: true

- name: A new host gets the newest backup
  prosaas.ops.backup_copy:
    state: fetched
    project: prosaasil
    backup_dir: /var/lib/prosaas/backups
    places:
      - name: office
        kind: rsync
        address: backup@office.example.org:/srv/prosaasil
        key_file: /root/secrets/backup_key
        unencrypted: accepted
  become: true
"""

RETURN = r"""
copies:
  description:
    - What each place holds now, one element for each; with O(state=present), O(state=checked) and O(state=listed).
    - Each has C(place), C(kind), C(newest) (id, or empty), C(backups) (ids, newest first), C(seconds).
    - With O(state=present) also C(backup) (id), C(sent) and C(reused) (parts), C(bytes_added) (bytes that the place grew by)
      and C(pruned) (ids that were, or in check mode would be, let go of).
  returned: success
  type: list
  elements: dict
backup:
  description: Id of the backup that was fetched, or would be; empty when no place has it.
  returned: with O(state=fetched)
  type: str
  sample: 20261122T023000Z
place:
  description: Where it came from; empty when it was on the host.
  returned: with O(state=fetched)
  type: str
path:
  description: Its directory on the host.
  returned: with O(state=fetched)
  type: str
checks:
  description:
    - What was checked, worst first. Ids are C(copy.<place>.reached), C(.private), C(.lock), C(.copied), C(.newest), C(.whole) and
      C(.pruned), as far as the state does it, and C(copy.fetched).
    - A place that does not answer is V(unknown).
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
from contextlib import ExitStack
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _copy, _copy_open, _lease
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._codec import AUTO, CODECS, choose
from ansible_collections.prosaas.ops.plugins.module_utils._copy_place import RESTIC, RSYNC, S3
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._periods import OPTIONS as KEEP
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import Shelf

PLACE: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": [RESTIC, S3, RSYNC], "default": RESTIC},
    "address": {"type": "str", "required": True},
    "credentials_file": {"type": "path"},
    # Names of variables, not their values.
    "credentials": {"type": "dict", "no_log": False, "default": {name: name for name in _copy_open.KEYS}},
    "password_file": {"type": "path", "no_log": False},
    "password": {"type": "str", "no_log": True},
    "region": {"type": "str", "default": ""},
    "ca_path": {"type": "path"},
    "init": {"type": "bool", "default": False},
    "unencrypted": {"type": "str", "choices": ["", _copy_open.ACCEPTED], "default": ""},
    "port": {"type": "int", "default": 22},
    "key_file": {"type": "path", "no_log": False},
    "known_hosts": {"type": "path"},
    "keep": {key: value for key, value in KEEP.items() if key != "default"},
    "check_percent": {"type": "float", "default": 5},
    "cloudflare_token_file": {"type": "path", "no_log": False},
    "cloudflare_account": {"type": "str", "default": ""},
    "cloudflare_api": {"type": "str", "default": "https://api.cloudflare.com/client/v4"},
}

OPTIONS: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["present", "checked", "listed", "fetched"], "default": "present"},
    "project": {"type": "str", "required": True},
    "backup_dir": {"type": "path", "required": True},
    "backup": {"type": "str", "default": ""},
    "place": {"type": "str", "default": ""},
    "places": {"type": "list", "elements": "dict", "required": True, "options": PLACE},
    "keep": KEEP,
    "max_age_hours": {"type": "float", "default": 25},
    "compression": {"type": "str", "choices": [AUTO, *CODECS], "default": AUTO},
    "patience": {"type": "int", "default": 300},
    "timeout": {"type": "int", "default": 7200},
    "lock_wait": {"type": "int", "default": 300},
}


def copy(call: Call) -> Report:
    given = call.params
    state, dry = given["state"], call.check_mode
    shelf = Shelf(Path(given["backup_dir"]), given["project"])
    with ExitStack() as stack:
        spots, secrets = _copy_open.spots(call, stack)
        call.hide(secrets)
        changes = state in ("present", "fetched") and not dry
        stack.enter_context(_lease.working(call.state_dir, call.run, changes))
        if state == "checked":
            return _copy.checked(spots)
        if state == "listed":
            return _copy.listed(spots)
        if state == "fetched":
            return _copy.fetched(shelf, spots, given["backup"], choose(given["compression"]), dry)
        return _copy.present(shelf, spots, given["backup"], dry)


def wants(params: dict[str, t.Any]) -> list[str]:
    return ["boto3"] if any(place["kind"] == S3 for place in params["places"]) else []


def main() -> None:
    run_module(OPTIONS, copy, wants=wants)


if __name__ == "__main__":
    main()
