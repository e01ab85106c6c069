#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.release_settle."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_settle
short_description: End the old containers of a switch once nothing is open on them
version_added: 0.3.0
description:
  - After M(prosaas.ops.release_switch) the old containers of the services that started beside themselves still run. Each of
    them ends as soon as nobody has a connection open to its port; a call that began there ends there.
  - Then nothing of the switch stays. The proxy looks its upstreams up by their names again, containers have the names that a
    plain start gives them, and C(docker compose up --dry-run) has nothing to create, recreate or remove.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.acts
  - prosaas.ops._shared.compose
  - prosaas.ops._shared.ways
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Let what was begun end, and clear up
  prosaas.ops.release_settle:
    project: prosaasil
    project_dir: /opt/prosaasil
    services:
      prosaas-calls: {beside: true, port: 5050, drain: 7200, undrained: keep}
    proxy:
      service: nginx
"""

RETURN = r"""
ended:
  description: Old containers that ended, each with C(service), C(name) and C(open), how many connections were cut.
  returned: success
  type: list
  elements: dict
kept:
  description: Old containers that were kept, since something is still open on them, each with C(service), C(name), C(open).
  returned: success
  type: list
  elements: dict
checks:
  description: The checks, worst first.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.prosaas.ops.plugins.module_utils import _settle, _sockets
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Compose, Project, one_shots
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container, Engine
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._release import Store
from ansible_collections.prosaas.ops.plugins.module_utils._site import WAY_OPTIONS
from ansible_collections.prosaas.ops.plugins.module_utils._steering import proxy_of
from ansible_collections.prosaas.ops.plugins.module_utils._ways import ways_of

OPTIONS = {**COMPOSE_OPTIONS, **WAY_OPTIONS}


def settle(call: Call) -> Report:
    project, store = Project.of(call.params), Store(call.state_dir)
    superseded = store.superseded()
    compose = Compose(project, call.execute)
    if call.check_mode:
        return Report(facts={"ended": [], "kept": superseded}, changed=bool(superseded))

    def opened(container: Container, port: int) -> int:
        return len(_sockets.established(container.pid, port))

    done = _settle.settle(
        Engine.connect(),
        project.name,
        ways_of(call.params["services"]),
        proxy_of(call.params["proxy"]),
        superseded,
        opened,
        call.progress,
        lambda old: store.set_superseded(row for row in superseded if row["id"] in {one.id for one in old}),
    )
    left = _settle.would_change(compose, one_shots(compose.model()))
    checks = [_settle.drained(done), _settle.plain_start(left, done)]
    what = {"ended": done.ended, "kept": done.kept}
    return Report(checks, what, changed=bool(superseded), noted=what)


def main() -> None:
    run_module(OPTIONS, settle, needs=("docker",), mutates=True)


if __name__ == "__main__":
    main()
