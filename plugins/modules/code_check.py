#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: code_check
short_description: Checks the application's code and configuration on its host - as committed, private, the right commit
version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Looks at the git checkout in O(project_dir) and at its remote. The checkout stays as it is, its refs and its index
    included. Commits that it does not have yet are fetched into a temporary repository beside it, which is removed.
  - Secrets are read on the host. What is found is told by file and line, never by what stands there.
  - Says whether a change is allowed now, by maintenance windows and freezes.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._shared.compose
options:
  env_file:
    description: Name of the file with the application's variables, relative to O(project_dir).
    type: str
    default: .env
  remote:
    description: Git remote of the checkout.
    type: str
    default: origin
  remote_url:
    description: What the address of O(remote) must be. Empty for any.
    type: str
    default: ''
  commit:
    description:
      - What is to be deployed, a branch, tag, full or short commit id. Must be a string.
      - Empty for the tip of the first of O(branches), which must be a name then and no pattern.
    type: raw
    default: ''
  branches:
    description: Branches of the remote on which the commit may be, as names or patterns (V(release/*)).
    type: list
    elements: str
    default:
      - main
  private_files:
    description: Files, relative to O(project_dir), that git must ignore and must never have had.
    type: list
    elements: str
    default:
      - .env
  secret_variables:
    description: Patterns of the variables in O(env_file) whose values must not stand in the code.
    type: list
    elements: str
    default:
      - '*SECRET'
      - '*PASSWORD'
      - '*TOKEN'
      - '*KEY'
      - '*KEY_ID'
      - '*DATABASE_URL*'
  scan_rules:
    description:
      - Rules for the secret scanner (L(kingfisher,https://github.com/mongodb/kingfisher)) besides its own, as it reads
        them. It has to be in O(runtime), or in the path of the host.
    type: list
    elements: dict
    default: []
  scan_allow:
    description: Patterns of files in which what the scanner finds is no secret.
    type: list
    elements: str
    default: []
  scan_history:
    description: Have the scanner look at the whole history of the commit, not at its files alone. It may take minutes.
    type: bool
    default: false
  untracked:
    description: What files make that git neither tracks nor ignores.
    type: str
    choices:
      - ignore
      - warn
      - fail
    default: warn
  local_changes:
    description:
      - What it means that tracked files differ from their commit. V(refuse) is a V(fail); V(stash) a V(warn), since a deployment
        puts them aside (M(prosaas.ops.release_switch)).
      - A changed Compose file fails C(code.compose.NAME) all the same.
    type: str
    choices: [refuse, stash]
    default: refuse
  windows:
    description: Times of the week in which changes are allowed. Without any, that is always.
    type: list
    elements: dict
    default: []
    suboptions:
      days:
        description: Days on which it begins. Empty for every day.
        type: list
        elements: str
        choices: [mon, tue, wed, thu, fri, sat, sun]
        default: []
      from:
        description: When it begins, in quotes, as V('22:00').
        type: str
        required: true
      to:
        description: When it ends. A time that is not after O(windows[].from) is one of the next day.
        type: str
        required: true
  freezes:
    description: Times in which nothing is changed.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description: First day (V(2026-12-20)), or day and time (V('2026-12-20 18:00')). Empty for ever since.
        type: str
        default: ''
      until:
        description: Last day, or day and time at which it is over.
        type: str
        required: true
      reason:
        description: Why.
        type: str
        required: true
      by:
        description: Who says so.
        type: str
        default: ''
  zone:
    description: Time zone of O(windows), O(freezes) and O(freeze_file).
    type: str
    default: UTC
  freeze_file:
    description:
      - A freeze that was put on the host itself, in force for everybody who would deploy to it.
      - Its lines are C(until), C(by) and C(reason), each followed by a colon and its value; C(from) may be there, too.
        A file that cannot be understood is in force.
      - The file C(freeze) in O(state_dir) by default.
    type: path
seealso:
  - module: prosaas.ops.env_validate
  - module: prosaas.ops.release_plan
"""

EXAMPLES = r"""
- name: What would be deployed is clean, private, and on a branch that production may run from
  prosaas.ops.code_check:
    project: prosaasil
    project_dir: /opt/prosaasil
    commit: v1.2.0
    branches: [main, 'hotfix/*']
  become: true

- name: The same, and only at night, and not over the holidays
  prosaas.ops.code_check:
    project: prosaasil
    project_dir: /opt/prosaasil
    zone: Europe/Berlin
    windows:
      - days: [mon, tue, wed, thu]
        from: '22:00'
        to: '02:00'
    freezes:
      - from: 2026-12-20
        until: 2027-01-03
        reason: Holidays
        by: dana
  become: true
"""

RETURN = r"""
checks:
  description:
    - The checks C(code.compose.NAME) for each Compose file, C(code.config), C(code.tree), C(code.mode), C(code.ignored),
      C(code.history), C(code.secrets), C(code.secret_scan), C(code.remote), C(code.commit) and C(code.window), worst first.
    - C(code.commit) is V(unknown) while the remote does not answer, C(code.history) in a checkout with a part of the
      history alone, C(code.secret_scan) without the scanner.
  returned: always
  type: list
  elements: dict
  sample:
    - id: code.commit
      status: pass
      evidence: 97ed87127447 (Release 1.2.0, 2026-11-24) is on main of origin; 3 commits to come
      remedy: ''
      item: [130, 144, 145]
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 12 of 12 checks passed.
commit:
  description: Full id of the commit that was asked for, empty when it was not found.
  returned: when the checkout could be read
  type: str
  sample: 97ed871274470f0c5d0b6b5a3c5f2d8a0c8e1f4b
head:
  description: Full id of the commit that is checked out.
  returned: when the checkout could be read
  type: str
  sample: 97ed871274470f0c5d0b6b5a3c5f2d8a0c8e1f4b
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _code
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._code_secrets import Scan
from ansible_collections.prosaas.ops.plugins.module_utils._code_window import DAYS
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Compose, Project
from ansible_collections.prosaas.ops.plugins.module_utils._git import Git
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

SECRETS = ["*SECRET", "*PASSWORD", "*TOKEN", "*KEY", "*KEY_ID", "*DATABASE_URL*"]

OPTIONS: dict[str, t.Any] = {
    **COMPOSE_OPTIONS,
    "env_file": {"type": "str", "default": ".env"},
    "remote": {"type": "str", "default": "origin"},
    "remote_url": {"type": "str", "default": ""},
    "commit": {"type": "raw", "default": ""},
    "branches": {"type": "list", "elements": "str", "default": ["main"]},
    "private_files": {"type": "list", "elements": "str", "default": [".env"]},
    # Patterns of names, not values: no_log would hide them from every message that has to name one.
    "secret_variables": {"type": "list", "elements": "str", "default": SECRETS, "no_log": False},
    "scan_rules": {"type": "list", "elements": "dict", "default": []},
    "scan_allow": {"type": "list", "elements": "str", "default": []},
    "scan_history": {"type": "bool", "default": False},
    "untracked": {"type": "str", "choices": ["ignore", "warn", "fail"], "default": "warn"},
    "local_changes": {"type": "str", "choices": ["refuse", "stash"], "default": "refuse"},
    "windows": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "days": {"type": "list", "elements": "str", "choices": list(DAYS), "default": []},
            "from": {"type": "str", "required": True},
            "to": {"type": "str", "required": True},
        },
    },
    "freezes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "from": {"type": "str", "default": ""},
            "until": {"type": "str", "required": True},
            "reason": {"type": "str", "required": True},
            "by": {"type": "str", "default": ""},
        },
    },
    "zone": {"type": "str", "default": "UTC"},
    "freeze_file": {"type": "path"},
}


def look(call: Call) -> Report:
    params = call.params
    project = Project.of(params)
    want = _code.Want(
        commit=params["commit"] if params["commit"] != "" else params["branches"][0],
        branches=params["branches"],
        remote_url=params["remote_url"],
        env_file=params["env_file"],
        secret_variables=params["secret_variables"],
        private_files=params["private_files"],
        untracked=params["untracked"],
        local_changes=params["local_changes"],
        scan=Scan(Path(params["runtime"]), params["scan_rules"], params["scan_allow"], params["scan_history"]),
        windows=params["windows"],
        freezes=params["freezes"],
        zone=params["zone"],
        freeze_file=Path(params["freeze_file"] or call.state_dir / "freeze"),
    )
    return _code.inspect(Git(project.directory, call.execute, params["remote"]), Compose(project, call.execute), want)


def main() -> None:
    run_module(OPTIONS, look)


if __name__ == "__main__":
    main()
