#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.call_gate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: call_gate
short_description: Count live calls and running campaigns, or keep new calls out until nobody speaks
version_added: 0.2.0
description:
  - Live calls are counted three ways, as slots in Redis, as each container of the service tells them, and as streams that are
    open in its network. A source that cannot be read makes the number unknown, which is never taken for none.
  - Leaked slots are told from live ones and not waited for.
  - With O(hold), admission is closed through Redis, which the application asks before it takes a call, and calls are waited
    for by their policy. Nothing stays behind, even when the module is killed; callers hear that all lines are busy meanwhile.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.calls
options:
  project:
    description: Name of the Compose project.
    type: str
    required: true
  env_file:
    description: The application's C(.env), on the host.
    type: path
    default: ''
  hold:
    description:
      - Pass the gates, campaigns first, and keep admission closed for so many seconds from then on.
      - Without it, and in check mode, everything is only counted.
    type: int
attributes:
  check_mode:
    support: full
    description: Counts, and closes nothing.
  diff_mode:
    support: none
    description: What was counted is in the return values.
  idempotent:
    support: none
    description: Each call counts, and with O(hold) closes admission, anew.
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.capacity_check
  - module: prosaas.ops.release_switch
"""

EXAMPLES = r"""
- name: Who is on the line?
  prosaas.ops.call_gate:
    project: prosaasil
    env_file: /opt/prosaasil/.env
    calls: &calls
      service: prosaas-calls
      port: 5050
      endpoint_url: http://prosaas-calls:5050/health/details
      limit_variable: MAX_ACTIVE_CALLS
      limit_default: 50

- name: Let the last call end, and nobody in for a minute
  prosaas.ops.call_gate:
    project: prosaasil
    env_file: /opt/prosaasil/.env
    calls: *calls
    hold: 60
"""

RETURN = r"""
calls:
  description:
    - What was counted. C(live) is how many must be taken for live, and null where that is not known; C(told) says it in words.
    - C(streams) by container, C(slots) with their key, C(endpoints) by container as each tells it, the leaked slots in
      C(without_key) and C(without_stream), and who keeps admission closed in C(closed_by).
  returned: with O(calls)
  type: dict
campaigns:
  description: A line for each running campaign; null where that is not known.
  returned: with O(campaigns)
  type: list
  elements: str
passed:
  description: How each gate was passed, C(calls) and C(campaigns), with C(live), C(seconds) and C(told).
  returned: with O(hold), not in check mode
  type: dict
msg:
  description: All of it in a sentence.
  returned: always
  type: str
  sample: "3 calls (2 streams, 3 slots); no campaign is running"
"""

import time
import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _calls, _dotenv, _gate, _lease
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS: dict[str, t.Any] = {
    "project": {"type": "str", "required": True},
    "env_file": {"type": "path", "default": ""},
    "hold": {"type": "int"},
    **_gate.GATE_OPTIONS,
}


def act(call: Call) -> Report:
    params = call.params
    values = _dotenv.values(Path(params["env_file"])) if params["env_file"] else {}
    gate = _gate.of(params, values, call.run)
    facts: dict[str, t.Any] = {}
    passes = params["hold"] is not None and not call.check_mode
    if passes:
        with _lease.working(call.state_dir, call.run, True):
            facts["passed"] = _hold(gate, params["hold"], call.progress)
    said = [*_counted(gate, facts), *_asked(gate, facts)]
    facts["msg"] = "; ".join(said)
    return Report(facts=facts, secrets=set(values.values()), changed=passes)


def _hold(gate: _gate.Gate, seconds: int, say: _gate.Say) -> dict[str, t.Any]:
    campaigns = _gate.campaigns_over(gate, say)
    with _gate.silence(gate, say) as calls:
        time.sleep(seconds)
    return {"campaigns": campaigns.facts(), "calls": calls.facts()}


def _counted(gate: _gate.Gate, facts: dict[str, t.Any]) -> list[str]:
    if gate.counter is None:
        return []
    calls: _calls.Calls = gate.counter()
    facts["calls"] = calls.facts()
    return [calls.told]


def _asked(gate: _gate.Gate, facts: dict[str, t.Any]) -> list[str]:
    if gate.ask is None:
        return []
    try:
        facts["campaigns"] = list(gate.ask())
    except OpsError as error:
        facts["campaigns"] = None
        return [f"whether a campaign is running is not known: {error.problem.rstrip('.')}"]
    return ["; ".join(facts["campaigns"]) or "no campaign is running"]


def main() -> None:
    run_module(OPTIONS, act, needs=("docker", "redis", "psycopg2"))


if __name__ == "__main__":
    main()
