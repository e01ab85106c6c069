#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.release_switch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_switch
short_description: Make a release the one that Docker Compose means
version_added: 0.1.0
description:
  - Moves the project directory to the commit of a release and Compose's own image names to its images, and keeps the
    configuration that it runs with. Containers are not touched; C(docker compose up) does that next.
  - A release whose images are gone is refused before anything is moved, and so are local changes to tracked files.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.acts
  - prosaas.ops._shared.compose
  - prosaas.ops._shared.release
options:
  release:
    description: Id of the release.
    type: str
    required: true
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Switch
  prosaas.ops.release_switch:
    project: prosaasil
    project_dir: /opt/prosaasil
    release: "{{ built.release }}"
"""

RETURN = r"""
release:
  description:
    - Id of the release that serves from now on. A release that goes back into service with another configuration than
      before gets a new id.
  returned: success
  type: str
"""

from ansible_collections.prosaas.ops.plugins.module_utils import _switch
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import RELEASE_OPTIONS, Application
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {**RELEASE_OPTIONS, "release": {"type": "str", "required": True}}


def switch(call: Call) -> Report:
    app = Application(call.params, call.execute, call.check_mode)
    if call.check_mode:
        return Report(facts={"release": call.params["release"]}, changed=True)
    release = _switch.switch(app, call.params["release"])
    return Report(facts={"release": release.id}, secrets=app.secrets(), changed=True)


def main() -> None:
    run_module(OPTIONS, switch, mutates=True)


if __name__ == "__main__":
    main()
