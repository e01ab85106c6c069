#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.release_build."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_build
short_description: Build the release of a commit beside the one that serves
version_added: 0.1.0
description:
  - Checks the commit out beside the project directory (C(git worktree)) and builds, with Docker Compose, the images that
    this host does not have yet for that commit. Each image gets Compose's own name with the commit as its tag; the names
    that the serving release uses are not moved.
  - What was found running without a release of this collection is kept as a release first, so that the first deployment
    can be taken back as well.
  - A failed build changes nothing for the release that serves. It names the service and the step at which it failed.
  - Within a run, its progress is shown service by service while it works.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.acts
  - prosaas.ops._shared.compose
  - prosaas.ops._shared.release
options:
  commit:
    description: Full commit id, as RV(prosaas.ops.release_plan#module:plan.commit) returns it.
    type: str
    required: true
  rebuild:
    description: Build all images without the cache, also those that are there.
    type: bool
    default: false
  schema:
    description:
      - Where the application keeps the ids of its migrations, as in M(prosaas.ops.release_plan). They are kept with the
        release that is made of what was found running. Empty when it has none.
    type: dict
    default: {}
    version_added: 0.3.0
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Build
  prosaas.ops.release_build:
    project: prosaasil
    project_dir: /opt/prosaasil
    commit: "{{ planned.plan.commit }}"
  register: built
"""

RETURN = r"""
release:
  description: Id of the release that was made; empty in check mode.
  returned: success
  type: str
adopted:
  description:
    - Id of the release that was made of what runs here, to which this deployment can be taken back, where no release could bring
      it back - before the first deployment, and where it was built by hand and the images of its release are gone. Empty otherwise.
  returned: success
  type: str
built:
  description: Services whose image was, or would be, built.
  returned: success
  type: list
  elements: str
build_log:
  description: Path of the build's log on the host.
  returned: success
  type: str
log:
  description: Last lines of the step that failed, or of the log where no step did.
  returned: failure
  type: list
  elements: str
"""

from ansible_collections.prosaas.ops.plugins.module_utils import _build, _dotenv, _journal, _schema
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import RELEASE_OPTIONS, Application
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {
    **RELEASE_OPTIONS,
    "commit": {"type": "str", "required": True},
    "rebuild": {"type": "bool", "default": False},
    "schema": {"type": "dict", "default": {}},
}


def build(call: Call) -> Report:
    app = Application(call.params, call.execute, call.check_mode)
    call.hide(app.secrets())
    log = _journal.run_dir(call.state_dir, call.run or "alone") / "build.log"
    built = _build.build(
        app,
        call.params["commit"],
        log,
        call.params["rebuild"],
        call.check_mode,
        call.progress,
        lambda: _schema.recorded(call.params["schema"], _dotenv.values(app.env_path())),
    )
    facts = {
        "release": built.release.id if built.release else "",
        "adopted": built.adopted.id if built.adopted else "",
        "built": built.services,
        "build_log": str(log),
    }
    return Report(facts=facts, secrets=app.secrets(), changed=True)


def main() -> None:
    run_module(OPTIONS, build, mutates=True, wants=lambda params: [_schema.PACKAGE] if params["schema"] else [])


if __name__ == "__main__":
    main()
