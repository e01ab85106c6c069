#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.release_keep."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_keep
short_description: Mark the serving release as verified and let go of the oldest ones
version_added: 0.1.0
description:
  - To be called when verification has passed. Ends the switch, and lets go of releases (and of the names of their
    images) beyond the retention. The serving release and one to come back to are never let go.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.acts
  - prosaas.ops._shared.compose
  - prosaas.ops._shared.release
options:
  retention:
    description: How many verified releases stay, the serving one included; at least 2.
    type: int
    default: 5
  schema:
    description:
      - Where the application keeps the ids of its migrations, as in M(prosaas.ops.release_plan). They are kept with the
        release, as the schema that it was verified on. Empty when it has none.
    type: dict
    default: {}
    version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Keep
  prosaas.ops.release_keep:
    project: prosaasil
    project_dir: /opt/prosaasil
    retention: 5
"""

RETURN = r"""
release:
  description: Id of the release that serves; empty in check mode before the first deployment.
  returned: success
  type: str
let_go:
  description: Ids of the releases that were let go.
  returned: success
  type: list
  elements: str
remarks:
  description: Why releases that were to go are still there, a sentence each. They go the next time.
  returned: success
  type: list
  elements: str
  version_added: 0.2.0
"""

from ansible_collections.prosaas.ops.plugins.module_utils import _retention, _schema
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import RELEASE_OPTIONS, Application
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {**RELEASE_OPTIONS, "retention": {"type": "int", "default": 5}, "schema": {"type": "dict", "default": {}}}


def keep(call: Call) -> Report:
    app = Application(call.params, call.execute, call.check_mode)
    call.hide(app.secrets())
    release, gone, remarks, changed = _retention.keep(
        app, call.params["retention"], call.params["schema"], call.check_mode
    )
    for remark in remarks:
        call.progress(remark)
    facts = {"release": release.id if release else "", "let_go": gone, "remarks": remarks}
    return Report(facts=facts, changed=changed)


def main() -> None:
    run_module(OPTIONS, keep, mutates=True, wants=lambda params: [_schema.PACKAGE] if params["schema"] else [])


if __name__ == "__main__":
    main()
