#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.release_migrate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_migrate
short_description: Migrate the database with the new image while the old release serves
version_added: 0.1.0
description:
  - Runs the one-shot service that migrates the database (C(docker compose run --rm --no-deps)) from the built release.
  - Both its exit code and its own words are read, since it can end with 0 without having migrated
    (docs/application.md, section 6). What it printed is masked before it is returned or kept.
  - On failure the old release still serves.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.acts
  - prosaas.ops._shared.compose
  - prosaas.ops._shared.release
options:
  commit:
    description: Full commit id of the built release.
    type: str
    required: true
  service:
    description: Name of the one-shot service.
    type: str
    default: migrate
  success:
    description: Regular expressions, one of which its output must match.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds after which it is given up and its container is removed.
    type: int
    default: 600
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Migrate
  prosaas.ops.release_migrate:
    project: prosaasil
    project_dir: /opt/prosaasil
    commit: "{{ planned.plan.commit }}"
    success:
      - SUCCESS - Applied \d+ migrations
"""

RETURN = r"""
migrated:
  description: Whether the service exists and ran.
  returned: success
  type: bool
log:
  description: Last lines that it printed, masked.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.prosaas.ops.plugins.module_utils import _build
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import RELEASE_OPTIONS, Application
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {
    **RELEASE_OPTIONS,
    "commit": {"type": "str", "required": True},
    "service": {"type": "str", "default": "migrate"},
    "success": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "int", "default": 600},
}


def migrate(call: Call) -> Report:
    given = call.params
    app = Application(given, call.execute, call.check_mode)
    if call.check_mode:
        return Report(facts={"migrated": False, "log": []}, changed=True)
    call.hide(app.secrets())
    facts = _build.migrate(app, given["commit"], given["service"], given["success"], given["timeout"], call.progress)
    return Report(facts=facts, secrets=app.secrets(), changed=facts["migrated"])


def main() -> None:
    run_module(OPTIONS, migrate, mutates=True)


if __name__ == "__main__":
    main()
