#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.release_plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_plan
short_description: Decide what a deployment or a rollback would do
version_added: 0.1.0
description:
  - Resolves what the operator asked for to one commit, compares it and the configuration with the release that serves,
    and says whether anything is to be done and why. Containers, images and files of the application are not touched.
  - For a deployment the remote is fetched first (C(git fetch)), the only thing that it writes; not in check mode.
  - For a rollback only releases that are kept on the host count; they must be complete there.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._shared.compose
  - prosaas.ops._shared.release
options:
  goal:
    description: Whether to go to a commit of the remote or back to a kept release.
    type: str
    choices: [deploy, rollback]
    default: deploy
  commit:
    description:
      - Branch, tag, full or short commit id. Must be a string. For O(goal=rollback) names are looked up in the checkout as it is.
      - Empty for the tip of O(branch), or, for O(goal=rollback), the newest earlier release that was verified.
    type: raw
    default: ''
  branch:
    description: The branch that production runs from.
    type: str
    default: main
  release:
    description: For O(goal=rollback), the id of a release, instead of O(commit).
    type: str
    default: ''
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Plan a deployment
  prosaas.ops.release_plan:
    project: prosaasil
    project_dir: /opt/prosaasil
    commit: v1.2.0
  register: planned
"""

RETURN = r"""
plan:
  description: What would be done.
  returned: success
  type: dict
  contains:
    commit:
      description: Full id of the commit.
      type: str
    subject:
      description: First line of its message.
      type: str
    release:
      description: Id of the kept release, for a rollback.
      type: str
    needed:
      description: Whether there is anything to do.
      type: bool
    reasons:
      description: Why.
      type: list
      elements: str
    serving:
      description: Release and commit that serve now; empty strings when there is none.
      type: dict
    back_to:
      description: For a deployment, the release that it would be taken back to; empty when there is none.
      type: str
    differs:
      description: For a rollback, the names of variables that are set otherwise today than when it last served.
      type: list
      elements: str
checks:
  description: The checks, worst first.
  returned: always
  type: list
  elements: dict
verdict:
  description: Worst status of the required checks.
  returned: always
  type: str
"""

from ansible_collections.prosaas.ops.plugins.module_utils import _plan
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import RELEASE_OPTIONS, Application
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {
    **RELEASE_OPTIONS,
    "goal": {"type": "str", "choices": ["deploy", "rollback"], "default": "deploy"},
    "commit": {"type": "raw", "default": ""},
    "branch": {"type": "str", "default": "main"},
    "release": {"type": "str", "default": ""},
}


def plan(call: Call) -> Report:
    app = Application(call.params, call.execute, call.check_mode)
    if call.params["goal"] == "rollback":
        return _plan.rollback(app, call.params["commit"], call.params["release"])
    return _plan.deploy(app, call.params["commit"], call.params["branch"], call.check_mode)


def main() -> None:
    run_module(OPTIONS, plan)


if __name__ == "__main__":
    main()
