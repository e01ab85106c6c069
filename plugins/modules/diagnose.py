#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Gather what helps to find a fault into one archive without secrets
version_added: 0.3.0
description:
  - Gathers states, logs, configuration, versions, resources, releases and records of a Compose project into one archive on the
    host (C(tar.gz), mode 0600) that may be sent to somebody else. Changes nothing else.
  - What cannot be gathered is left out, and named with the reason. Where the engine is down, its containers and their logs are
    read from its files.
  - Secrets whose values are known, from the environment file, the containers, earlier releases and O(secret_files), are masked in
    every form that they may have (in URLs, JSON, base64, hex). Keys and tokens that are not known are masked by their looks,
    phone numbers and mail addresses are shortened. Of variables there are names, lengths and keyed fingerprints.
  - The archive is read back. One in which a known secret is found is deleted, and the task fails.
  - Needs no Python package and no run, so that it works where little else does.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.compose
attributes:
  check_mode:
    support: full
    description: Says what would be gathered, and writes nothing.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: none
    description: Each call makes another archive.
options:
  host:
    description: Name of the host for people and for the archive.
    type: str
    required: true
  env_file:
    description: Name of the file with the application's variables, relative to O(project_dir).
    type: str
    default: .env
  plain_variables:
    description: Patterns (as in a shell) of the variables whose values are no secrets. All others are.
    type: list
    elements: str
    default: []
  secret_files:
    description: Patterns of the files whose lines, or strings of JSON, are secrets, by their paths on the host or in a container.
    type: list
    elements: str
    default: []
  volume_keys:
    description: Fields of JSON files in volumes of the project that hold a secret.
    type: list
    elements: dict
    default: []
    suboptions:
      volume:
        description: The volume, by its name in the Compose files.
        type: str
        required: true
      file:
        description: The file in it.
        type: str
        required: true
      field:
        description: The field.
        type: str
        required: true
      variable:
        description: The variable that should have the same value; not used here.
        type: str
        default: ''
  inside:
    description: Programs to run in the newest running container of a service. They must only read.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: The service.
        type: str
        required: true
      file:
        description: A name for what it prints.
        type: str
        required: true
      argv:
        description: Program and arguments.
        type: list
        elements: str
        required: true
  certificates:
    description: Files with certificates, of which subject, names and dates are told.
    type: list
    elements: path
    default: []
  ports:
    description: Ports of which the open connections are counted in each container.
    type: list
    elements: int
    default: []
  about:
    description: Versions that only the controller knows, by name.
    type: dict
    default: {}
  log_lines:
    description: The last so many lines of each log are taken.
    type: int
    default: 2000
  log_minutes:
    description: All lines of the last so many minutes are taken, even if they are more.
    type: int
    default: 60
  limit:
    description: KiB of each file in the archive, before it is compressed. Of a longer one the end is kept.
    type: int
    default: 512
  seconds:
    description: How long each question may take.
    type: int
    default: 15
  records:
    description: Of how many of the newest records the outcome is told.
    type: int
    default: 10
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Gather what helps
  prosaas.ops.diagnose:
    host: "{{ inventory_hostname }}"
    project: prosaasil
    project_dir: /opt/prosaasil
    plain_variables: [PATH, TZ, "*_HOST", "*_PORT"]
    inside:
      - {service: nginx, file: nginx-T.txt, argv: [nginx, -T]}
  register: gathered

- name: Fetch it
  ansible.builtin.fetch:
    src: "{{ gathered.archive }}"
    dest: diagnose/
    flat: true
"""

RETURN = r"""
archive:
  description: Path of the archive on the host; empty in check mode.
  returned: success
  type: str
  sample: /var/lib/prosaas/diagnose/diagnose-prosaas-1-prosaasil-20261128T130000Z.tar.gz
bytes:
  description: Its size.
  returned: success
  type: int
files:
  description: What is in it; in check mode, what would be gathered.
  returned: success
  type: list
  elements: str
missing:
  description: What could not be gathered, each with C(what), C(why) and C(remedy).
  returned: success
  type: list
  elements: dict
known_secrets:
  description: How many values were known to be secret.
  returned: success
  type: int
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _diagnose, _journal
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Project
from ansible_collections.prosaas.ops.plugins.module_utils._diagnose_engine import Span
from ansible_collections.prosaas.ops.plugins.module_utils._diagnose_parts import Asked, parts
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._redact import Redactor

OPTIONS: dict[str, t.Any] = {
    **COMPOSE_OPTIONS,
    "host": {"type": "str", "required": True},
    "env_file": {"type": "str", "default": ".env"},
    "plain_variables": {"type": "list", "elements": "str", "default": []},
    "secret_files": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "volume_keys": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "no_log": False,
        "options": {
            **{name: {"type": "str", "required": True} for name in ("volume", "file", "field")},
            "variable": {"type": "str", "default": ""},
        },
    },
    "inside": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **{name: {"type": "str", "required": True} for name in ("service", "file")},
            "argv": {"type": "list", "elements": "str", "required": True},
        },
    },
    "certificates": {"type": "list", "elements": "path", "default": []},
    "ports": {"type": "list", "elements": "int", "default": []},
    "about": {"type": "dict", "default": {}},
    "log_lines": {"type": "int", "default": 2000},
    "log_minutes": {"type": "int", "default": 60},
    "limit": {"type": "int", "default": 512},
    "seconds": {"type": "int", "default": 15},
    "records": {"type": "int", "default": 10},
}


def gather(call: Call) -> Report:
    given, project = call.params, Project.of(call.params)
    asked = Asked(
        project=project,
        env_file=project.directory / given["env_file"],
        state_dir=call.state_dir,
        span=Span(given["log_lines"], given["log_minutes"]),
        inside=given["inside"],
        certificates=[Path(path) for path in given["certificates"]],
        ports=given["ports"],
        about={name: str(value) for name, value in given["about"].items()},
        records=given["records"],
    )
    policy = _diagnose.Policy(
        plain=given["plain_variables"],
        secret_files=given["secret_files"],
        keys=given["volume_keys"],
        seconds=given["seconds"],
        limit=given["limit"] * 1024,
    )
    seen = _diagnose.look(asked, policy, given["host"])
    places = " ".join(map(str, _diagnose.places_for(call.state_dir)))
    call.hide(secret for secret in seen.known.names if secret not in places)  # else the path could not be told
    if call.check_mode:
        missing = [each.through(Redactor(seen.known.names).text) for each in seen.missing]
        return _report("", 0, [part.title for part in parts(seen.site)], missing, seen)
    made = _diagnose.diagnose(seen, policy, given["host"], _journal.stamp())
    return _report(str(made.path), made.size, made.files, made.missing, seen)


def _report(archive: str, size: int, files: list[str], missing: t.Sequence[t.Any], seen: _diagnose.Look) -> Report:
    facts = {"archive": archive, "bytes": size, "files": files, "known_secrets": len(seen.known.names)}
    return Report(facts={**facts, "missing": [each._asdict() for each in missing]}, changed=bool(archive))


def main() -> None:
    run_module(OPTIONS, gather)


if __name__ == "__main__":
    main()
