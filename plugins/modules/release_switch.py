#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.release_switch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_switch
short_description: Bring a release into service without dropping a request or a call
version_added: 0.1.0
description:
  - Moves the project directory to the commit of a release and Compose's own image names to its images, then brings the
    containers there, only those about which something changed.
  - Services that may run twice (O(services)) start beside themselves. They get the requests once they are healthy, have been so
    for O(window) and give the answers of O(endpoints); the old containers run on, idle, until
    M(prosaas.ops.release_settle) ends them. The proxy is pointed at the new ones by lines in its own hosts file and a reload,
    which keeps open connections.
  - The rest is replaced in place, one at a time, in the order of their dependencies. When a new container does not come up,
    the old one is started again.
  - A changed proxy is tried first in a container that serves nobody.
  - A release whose images are gone is refused before anything is moved, and so are local changes to tracked files.
  - After a run that was killed it goes on from what it finds.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.acts
  - prosaas.ops._shared.compose
  - prosaas.ops._shared.release
  - prosaas.ops._shared.calls
  - prosaas.ops._shared.endpoints
  - prosaas.ops._shared.ways
options:
  release:
    description: Id of the release.
    type: str
    required: true
  config:
    description:
      - Whether the release runs with the environment file and the mounted files as they are V(today), or with those that are
        kept with the V(release). What is replaced is kept aside.
    type: str
    choices: [today, release]
    default: today
  foreseen:
    description:
      - The services that it will change, each with the reasons, as M(prosaas.ops.release_plan) has just returned them in
        C(plan.services) for this very release. They decide which gates are passed before anything is touched.
      - Without it they are looked for anew.
    type: dict
  local_changes:
    description: Whether changes to tracked files of the project directory are refused or kept in a git stash.
    type: str
    choices: [refuse, stash]
    default: refuse
  expect:
    description: What services must be, as for O(prosaas.ops.compose_health#module:services).
    type: dict
    default: {}
  endpoints:
    description:
      - What must answer, as for M(prosaas.ops.endpoint_check). Those with a C(service) are asked of each new container of that
        service before it gets requests; the others are not looked at.
    default: []
  deadline:
    description: Seconds in which a new container must be what it should be.
    type: int
    default: 180
  window:
    description: Seconds for which a new container must stay well before it gets requests.
    type: int
    default: 5
  prove_deadline:
    description: Seconds in which a new container must give the answers of O(endpoints).
    type: int
    default: 30
  patience:
    description: Seconds for a service that is meant to exit.
    type: int
    default: 900
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Switch
  prosaas.ops.release_switch:
    project: prosaasil
    project_dir: /opt/prosaasil
    release: "{{ built.release }}"
    services:
      prosaas-api: {beside: true, port: 5000}
      prosaas-calls: {beside: true, port: 5050, drain: 7200, undrained: keep}
    proxy:
      service: nginx
"""

RETURN = r"""
release:
  description:
    - Id of the release that serves from now on. A release that goes back into service with another configuration than
      before gets a new id.
  returned: success
  type: str
began:
  description: When it began, UTC.
  returned: success
  type: str
ended:
  description: When the release served and everything else had been replaced, UTC.
  returned: success
  type: str
steps:
  description:
    - What was done, in order. Each has C(service), C(how) (V(beside), V(replaced), V(started), V(ran), V(removed)), C(seconds)
      and, for what was replaced in place, C(gap), the seconds in which it was not there, and C(cut), the jobs that it had
      started and did not end.
  returned: success
  type: list
  elements: dict
msg:
  description: The same in a sentence.
  returned: success
  type: str
  sample: "beside: prosaas-api, prosaas-calls; replaced: worker (away for 1.2 s); ran: migrate"
superseded:
  description: Names of the old containers that still run.
  returned: success
  type: list
  elements: str
foreseen:
  description: The services that would change, each with the reasons.
  returned: in check mode
  type: dict
calls:
  description: How the calls gate was passed; C(live) is how many calls were cut, C(seconds) how long it took.
  returned: when something changed through which every call passes
  type: dict
campaigns:
  description: The same for campaigns.
  returned: when something was started that ends campaigns
  type: dict
stashed:
  description: The command that brings local changes back.
  returned: when there were any and O(local_changes=stash)
  type: str
restored:
  description: The files that came back.
  returned: O(config=release)
  type: list
  elements: str
touched:
  description: Whether anything was changed before it failed.
  returned: failure, when it is true
  type: bool
"""

import functools
import typing as t
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager

from ansible_collections.prosaas.ops.plugins.module_utils import (
    _calls,
    _changes,
    _dotenv,
    _gate,
    _jobs,
    _journal,
    _restore,
    _rollout,
    _site,
    _switch,
)
from ansible_collections.prosaas.ops.plugins.module_utils._capacity import Store
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import RELEASE_OPTIONS, Application
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._ways import ways_of

QUIET_SECONDS = 20

OPTIONS = {
    **RELEASE_OPTIONS,
    **_site.SITE_OPTIONS,
    **_gate.GATE_OPTIONS,
    "release": {"type": "str", "required": True},
    "config": {"type": "str", "choices": ["today", "release"], "default": "today"},
    "foreseen": {"type": "dict"},
    "local_changes": {"type": "str", "choices": ["refuse", "stash"], "default": "refuse"},
}


def switch(call: Call) -> Report:
    app = Application(call.params, call.execute, call.check_mode)
    call.hide(app.secrets())
    if call.check_mode and not call.params["release"]:  # nothing was built in check mode, so there is no release yet
        return Report(facts={"release": ""}, changed=True)
    target = app.store.get(call.params["release"])
    foreseen = call.params["foreseen"]
    if foreseen is None:
        images = {name: image["id"] for name, image in target.images.items()}
        env = app.store.path(target.id) / "env" if call.params["config"] == "release" else None
        foreseen = _changes.predict(app, target.commit, images, env)
    if call.check_mode:
        return Report(facts={"release": target.id, "foreseen": foreseen}, changed=True)
    gate = _gate.of(call.params, _dotenv.values(app.env_path()), call.run)
    make_site = _site.maker(app, call.params, call.progress)
    facts: dict[str, t.Any] = {"began": _journal.now()}

    def site_of(model: t.Mapping[str, t.Any]) -> _rollout.Site:
        site = make_site(model)
        if gate.counter:
            site.quiet = functools.partial(_calls.quiet_moment, gate.counter, QUIET_SECONDS)
        if gate.connect:
            site.jobs = functools.partial(_started_jobs, gate.connect)
        return site

    def prepare() -> None:
        if call.params["local_changes"] == "stash" and app.git.changed_files():
            facts["stashed"] = app.git.stash(f"prosaas.ops {call.run or 'release_switch'}")
        if call.params["config"] == "release":
            facts["restored"] = _restore.restore(app, target, dry=False)

    done = _switch.switch(app, target, foreseen, _gates(call, gate, facts), site_of, prepare)
    facts["ended"] = _journal.now()
    facts.update(release=done.release.id, steps=done.done.steps, superseded=[one.name for one in done.done.superseded])
    facts["msg"] = _rollout.told(done.done)
    noted: dict[str, t.Any] = {"services": done.done.steps}
    noted.update((name, facts[name]) for name in ("calls", "campaigns", "stashed", "restored") if name in facts)
    return Report(facts=facts, secrets=app.secrets(), changed=True, noted=noted)


def _gates(call: Call, gate: _gate.Gate, facts: dict[str, t.Any]) -> _switch.Gate:
    """Return what is passed before anything is touched; campaigns last, as nothing keeps a new one from starting."""
    ways = ways_of(call.params["services"])

    @contextmanager
    def enter(services: Collection[str]) -> Iterator[Callable[[], None]]:
        with ExitStack() as stack:
            renew: Callable[[], None] = _nothing
            # What does not run yet carries no call, as before the first start.
            running = {one.service for one in Engine.connect().containers(call.params["project"]) if one.running}
            if any(ways[service].all_calls for service in running.intersection(services)):
                passed = stack.enter_context(_gate.silence(gate, call.progress))
                facts["calls"], renew = passed.facts(), passed.renew
            if gate.campaigns.meets(services):
                facts["campaigns"] = _gate.campaigns_over(gate, call.progress).facts()
            yield renew

    return enter


def _started_jobs(connect: Callable[[], Store]) -> set[str]:
    """Return the jobs that are started; none that are known where Redis does not answer."""
    try:
        return connect().ask(_jobs.started)
    except OpsError:
        return set()


def _nothing() -> None:
    """There is nothing to renew."""


def main() -> None:
    run_module(OPTIONS, switch, needs=("docker", "jmespath", "redis", "psycopg2"), mutates=True)


if __name__ == "__main__":
    main()
