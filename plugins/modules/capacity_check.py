#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: capacity_check
short_description: Check the slots that limit concurrent calls, in Redis and as the application tells them
version_added: 0.1.0
description:
  - Reads the slots from Redis itself, so that a Redis that is away is a failure and never zero calls.
  - Tells live slots from leaked ones, members of the set whose own key is gone, which nobody will give back.
  - Asks the application for its count and its limit, and compares them with Redis and with the configuration.
  - Members with which a deployment keeps new calls out are no calls. While it does, C(capacity.admission) is V(warn); when the
    one that did is gone, it is V(fail).
options:
  project:
    description: Name of the Compose project in which the containers are looked for.
    type: str
    required: true
  redis_url:
    description: Address of the Redis, in place of O(redis_service), O(redis_port) and O(redis_db).
    type: str
    default: ''
  ca_path:
    description: File with CA certificates to trust besides the system's.
    type: path
    default: ''
  env_file:
    description: The environment file of the application, on the host.
    type: path
    default: ''
  limit_variable:
    description: Variable in O(env_file) that holds the limit.
    type: str
    default: ''
  limit_fallback:
    description: Variable that the application takes where O(limit_variable) has no number.
    type: str
    default: ''
    version_added: 0.2.0
  limit_default:
    description: The limit that the application has where neither variable has a number. V(0) when nobody knows.
    type: int
    default: 0
  release_leaked:
    description:
      - Release leaked slots. Redis does it in one step with a last look, so that one that is alive again is left alone.
      - Not done where Redis has evicted keys, because a missing key then does not prove a leak.
      - Also opens admission that a deployment has left closed, as after a crash of the host.
    type: bool
    default: false
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._phone.slots
  - prosaas.ops._phone.count
attributes:
  check_mode:
    support: full
    description: With O(release_leaked=true) it says what would be released; an unknown does not fail the task there.
  diff_mode:
    support: full
    description: With O(release_leaked=true) the members of the set before and after.
  idempotent:
    support: full
    description: A second run changes nothing, unless slots have leaked in between.
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.compose_health
"""

EXAMPLES = r"""
- name: Slots and limit are right
  prosaas.ops.capacity_check:
    project: prosaasil
    env_file: /opt/prosaasil/.env
    limit_variable: MAX_ACTIVE_CALLS
    limit_fallback: MAX_CONCURRENT_CALLS
    limit_default: 50
    endpoint_service: prosaas-calls
    endpoint_url: http://prosaas-calls:5050/health/details
    endpoint_headers:
      X-Internal-Secret: INTERNAL_SECRET

- name: See which leaked slots would be released
  prosaas.ops.capacity_check:
    project: prosaasil
    endpoint_url: https://prosaas.example/health/details
    release_leaked: true
  check_mode: true
  diff: true
"""

RETURN = r"""
checks:
  description:
    - What was checked, worst first.
    - Ids are C(capacity.redis), C(capacity.leaked), C(capacity.endpoint), C(capacity.limit), C(capacity.free) and
      C(capacity.admission).
  returned: always
  type: list
  elements: dict
verdict:
  description: The worst of the required checks.
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names the failed checks.
  returned: always
  type: str
slots:
  description: How many slots were taken, live or leaked, before any was released.
  returned: when Redis answers
  type: int
live:
  description: Members whose key exists.
  returned: when Redis answers
  type: list
  elements: str
leaked:
  description: Members whose key was missing, twice.
  returned: when Redis answers
  type: list
  elements: str
closed_by:
  description: The run that keeps new calls out; empty when none does.
  returned: when Redis answers
  type: str
limit:
  description: The limit, by the application where it tells it.
  returned: when Redis answers
  type: int
"""

from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _capacity, _claim, _dotenv
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving

OPTIONS = {
    "project": {"type": "str", "required": True},
    **_capacity.OPTIONS,
    "redis_url": {"type": "str", "default": "", "no_log": True},
    **_claim.OPTIONS,
    "ca_path": {"type": "path", "default": ""},
    "env_file": {"type": "path", "default": ""},
    "limit_variable": {"type": "str", "default": ""},
    "limit_fallback": {"type": "str", "default": ""},
    "limit_default": {"type": "int", "default": 0},
    "release_leaked": {"type": "bool", "default": False},
}


def look(call: Call) -> Report:
    params = call.params
    values = _dotenv.values(Path(params["env_file"])) if params["env_file"] else {}
    keys = _capacity.Keys(params["set_key"], params["slot_key"])

    def address_of(service: str) -> str:
        return serving(call.state_dir).address(params["project"], service)

    counter = _claim.Counter(params, values, Client(ca_path=params["ca_path"]), address_of)
    try:
        store = _capacity.Store(*_redis(params), keys)
    except OpsError as error:
        report = _capacity.unread(error)
    else:
        names = (params[name] for name in ("limit_variable", "limit_default", "limit_fallback"))
        wanted = _capacity.wanted_limit(values, *names)
        report = _capacity.examine(store, keys, counter, wanted, params["release_leaked"], call.check_mode)
    report.secrets |= counter.secrets
    return report


def _redis(params: dict[str, object]) -> tuple[str, str]:
    """Return the address of the Redis, and what to call it."""
    if params["redis_url"]:
        return str(params["redis_url"]), "The given Redis"
    service = str(params["redis_service"])
    address = Engine.connect().address(str(params["project"]), service)
    return f"redis://{address}:{params['redis_port']}/{params['redis_db']}", f"Redis (service {service})"


def main() -> None:
    run_module(OPTIONS, look, needs=("docker", "redis"))


if __name__ == "__main__":
    main()
