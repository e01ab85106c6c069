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
  - Says which services would be replaced, and why. Compose itself is asked (C(docker compose --dry-run create)) with the
    Compose files of the commit and today's environment file.
  - For a deployment the remote is fetched first (C(git fetch)), the only thing that it writes; not in check mode.
  - For a rollback only releases that are kept on the host count. That they can serve again is proven, the schema of the
    database included, which is read in a transaction that cannot write.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._shared.compose
  - prosaas.ops._shared.release
options:
  goal:
    description:
      - Whether to go to a commit of the remote or back to a kept release.
      - V(take_back) is a rollback to what served until a deployment failed a moment ago. It has served on the very schema
        that the database has, and nobody is there to be asked for a reason.
    type: str
    choices: [deploy, rollback, take_back]
    default: deploy
  commit:
    description:
      - Branch, tag, full or short commit id. Must be a string. For O(goal=rollback) names are looked up in the checkout as it is.
      - Empty for the tip of O(branch), or, for O(goal=rollback), the last verified release before the one that serves,
        of those that were not left by a rollback.
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
  config:
    description:
      - For O(goal=rollback), the configuration to go back with, V(today) for the environment file and the mounted files as
        they are, V(release) for those that the release ran with.
    type: str
    choices: [today, release]
    default: today
    version_added: 0.2.0
  reason:
    description: For O(goal=rollback), why it is done. Without it there is a remark, never a question.
    type: str
    default: ''
    version_added: 0.2.0
  schema:
    description:
      - Where the application keeps the ids of its migrations, with the keys C(connection) (variables of O(env_file), as
        in O(prosaas.ops.postgres_check#module:connections)), C(table) and C(column), and, as they are there, C(sslmodes),
        C(ca_path) and C(timeout). Empty when it has none.
    type: dict
    default: {}
    version_added: 0.2.0
  newer_schema:
    description:
      - For O(goal=rollback), what happens when the database has migrations that the release never had, or when that cannot
        be known. V(refuse) stops, V(accept) makes a remark of it.
    type: str
    choices: [refuse, accept]
    default: refuse
    version_added: 0.2.0
  local_changes:
    description:
      - What happens when tracked files of O(project_dir) were changed there. V(refuse) stops and names them, V(stash) says
        that M(prosaas.ops.release_switch) will put them aside.
    type: str
    choices: [refuse, stash]
    default: refuse
    version_added: 0.2.0
  migrations:
    description: Patterns of the files that change the database, relative to O(project_dir); C(**) crosses folders.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  rehearsal_days:
    description: For O(goal=deploy), days for which a rollback and the way forward again count as tried.
    type: int
    default: 90
    version_added: 0.2.0
  live:
    description: What is known of live calls and campaigns, a sentence each, to be shown with the plan.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Plan a deployment
  prosaas.ops.release_plan:
    project: prosaasil
    project_dir: /opt/prosaasil
    commit: v1.2.0
    migrations: [server/migrations/**]
  register: planned

- name: Could we go back?
  prosaas.ops.release_plan:
    goal: rollback
    project: prosaasil
    project_dir: /opt/prosaasil
    reason: rehearsal
    schema:
      connection: {url: DATABASE_URL}
      table: schema_migrations
      column: migration_id
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
      description: The release that it would be taken back to if it failed; empty when there is none.
      type: str
    text:
      description: The plan for a person, of several lines.
      type: str
    services:
      description: Services that would be replaced, started or removed, each with the reasons.
      type: dict
    differs:
      description:
        - Names, never values, of what is set otherwise today than in the release that serves; for a rollback, than when its
          release last served.
      type: list
      elements: str
    coming:
      description: For a deployment, how many commits come.
      type: int
    commits:
      description: The newest of them.
      type: list
      elements: str
    going_back:
      description: For a deployment, how many commits of the serving one are not in it.
      type: int
    migrations:
      description: For a deployment, the files that change the database and differ.
      type: list
      elements: str
    live:
      description: O(live).
      type: list
      elements: str
    config:
      description: For a rollback, whose configuration it takes.
      type: str
    restores:
      description: For a rollback, the files that come back with O(config=release).
      type: list
      elements: str
    reason:
      description: For a rollback, why.
      type: str
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

from ansible_collections.prosaas.ops.plugins.module_utils import _plan, _schema
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import RELEASE_OPTIONS, Application
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {
    **RELEASE_OPTIONS,
    "goal": {"type": "str", "choices": ["deploy", "rollback", "take_back"], "default": "deploy"},
    "commit": {"type": "raw", "default": ""},
    "branch": {"type": "str", "default": "main"},
    "release": {"type": "str", "default": ""},
    "config": {"type": "str", "choices": ["today", "release"], "default": "today"},
    "reason": {"type": "str", "default": ""},
    "schema": {"type": "dict", "default": {}},
    "newer_schema": {"type": "str", "choices": ["refuse", "accept"], "default": "refuse"},
    "local_changes": {"type": "str", "choices": ["refuse", "stash"], "default": "refuse"},
    "migrations": {"type": "list", "elements": "str", "default": []},
    "rehearsal_days": {"type": "int", "default": 90},
    "live": {"type": "list", "elements": "str", "default": []},
}
SAME = ("commit", "branch", "release", "config", "reason", "schema", "local_changes", "migrations", "rehearsal_days", "live")


def plan(call: Call) -> Report:
    app = Application(call.params, call.execute, call.check_mode)
    call.hide(app.secrets())
    asked = _plan.Asked(
        **{name: call.params[name] for name in SAME},
        accept_schema=call.params["newer_schema"] == "accept",
        take_back=call.params["goal"] == "take_back",
    )
    if call.params["goal"] == "deploy":
        return _plan.deploy(app, asked, call.check_mode)
    return _plan.rollback(app, asked)


def main() -> None:
    run_module(OPTIONS, plan, wants=lambda params: [_schema.PACKAGE] if _reads(params) else [])


def _reads(params: dict[str, object]) -> bool:
    """Whether the database is asked."""
    return params["goal"] == "rollback" and bool(params["schema"])


if __name__ == "__main__":
    main()
