#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: log_check
short_description: Checks what the services of a Compose project have logged since they were started
version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Reads the log of every container of the services that O(rules) name, from the container's last start on, and judges
    each rule, one check for each. Lines from before a restart, which a log still holds, do not count.
  - Texts are written as they are printed, and found anywhere in a line. C(*) stands for anything, and so does an emoji.
    Colours do not matter.
  - Lines that differ in numbers only are one finding, with a count, and the first and last time by the engine's clock.
  - Logs are streamed from the engine, side by side, so that gigabytes take neither memory nor more time than the engine
    needs for sending them. Of a line the first 16 KiB are looked at.
  - A log that cannot be read, or that has lost what was said at the start, makes its checks V(unknown).
  - Secrets in the lines that are shown are masked.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  project:
    description: Name of the Compose project.
    type: str
    required: true
  rules:
    description:
      - Rules by service, and below it by name. The service may be a pattern (as in a shell) of services that need not be
        there; one that is named in full must be. The id of the check is C(logs.SERVICE.NAME).
      - C(required) is a list. Each entry is a text that must have been printed since the start, or a list of texts of
        which one must.
      - C(forbidden) is a list of texts that must not appear. With C(startup), only so many seconds after the start; later
        they are V(warn).
      - C(advisory) is a list of texts that are V(warn).
      - C(levels), true or false, says whether lines of a bad level (O(levels)) count as well.
      - C(least) is how many lines of one kind there must be before they count, 1 by default.
      - C(processes) has C(texts) and C(most), and says how many processes of a container may have one of these texts in
        their command line. It is for what a log does not tell.
      - C(when) has values, or lists of values, by variable of the container. With other values the check is V(skip).
      - C(title) is the title of the check, and C(remedy) what to do before the log is read.
    type: dict
    required: true
  rules_extra:
    description:
      - Rules that are laid on top of O(rules), key by key.
      - A rule, or a service, that is null here is no more.
    type: dict
    default: {}
  levels:
    description:
      - Formats of lines that have a level, by a name of your choice.
      - C(line) is a regular expression with the group C(level). C(fail) and C(warn) are lists of levels.
    type: dict
    default: {}
  known:
    description:
      - Lines that mean nothing, as lists by service or pattern of services. They count for C(required) alone.
      - An entry is a text, or has C(text) and C(when); C(when) is as in O(rules).
    type: dict
    default: {}
  known_extra:
    description: More of them.
    type: dict
    default: {}
  probes:
    description:
      - How lines are known that are caused by our own requests, such as the unsigned ones that must be refused. They do
        not count, while the same line counts when somebody else has caused it.
    type: dict
    suboptions:
      service:
        description: Service of the proxy that our requests pass.
        type: str
        required: true
      text:
        description: What its log holds of each of them.
        type: str
        required: true
      within:
        description: Seconds that may lie between the two lines.
        type: float
        default: 2
      causes:
        description: Texts of the lines that are caused, as lists by service or pattern of services.
        type: dict
        required: true
  deadline:
    description:
      - Seconds after a container's start within which its required lines must have come. They are waited for as long as
        that has not passed and nothing forbidden has appeared. V(0) does not wait.
    type: float
    default: 60
  window:
    description:
      - Seconds up to now that are looked at, whichever start of a container their lines belong to. It is for what is looked
        at again and again, and not for C(required) lines. V(0) is all since the start.
    type: float
    default: 0
    version_added: 0.3.0
  remember:
    description:
      - Keep on the host, below O(state_dir), which required lines were seen of which start, for the time when a log has
        lost its beginning.
    type: bool
    default: false
  secret_names:
    description: Patterns (as in a shell, any case) of environment variables whose values are masked in log lines.
    type: list
    elements: str
    default: ['*SECRET*', '*TOKEN*', '*PASSWORD*', '*_KEY', '*_KEY_ID', '*CREDENTIAL*']
attributes:
  check_mode:
    support: full
    description: It changes nothing at any time. Nothing is remembered then.
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: prosaas.ops.compose_health
  - module: prosaas.ops.release_watch
"""

EXAMPLES = r"""
- name: The api has started, and has logged nothing critical
  prosaas.ops.log_check:
    project: prosaasil
    rules:
      prosaas-api:
        started:
          required:
            - [Flask app warmup complete, Database ready]
        errors:
          forbidden: ['Flask app warmup failed', '[BOOT][FATAL]']
          levels: true
    levels:
      bracketed:
        line: '^\[[^]]+\] (?P<level>[A-Z]+)\s+\['
        fail: [CRITICAL]
        warn: [ERROR]
    known:
      prosaas-api: [TTS warmup FAILED]
  become: true
"""

RETURN = r"""
checks:
  description: A check C(logs.SERVICE.NAME) for each rule, worst first.
  returned: always
  type: list
  elements: dict
  sample:
    - id: logs.prosaas-api.started
      status: pass
      evidence: '[2026-11-25 09:31:02] INFO     [asgi] Flask app warmup complete (2.4 s after the start)'
      remedy: ''
      item: [234]
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 22 of 22 checks passed.
kinds:
  description:
    - The kinds of lines that count against a rule, each with the id of its C(check), C(kind) (what they say, with C(#) for
      numbers and without secrets), C(status), C(count), and the C(first) and C(last) by the engine's clock.
  returned: when the engine answers
  type: list
  elements: dict
  sample:
    - check: logs.prosaas-api.errors
      kind: "ERROR [server.jobs] job # failed"
      status: warn
      count: 14
      first: '2026-11-25T09:31:02.123456789Z'
      last: '2026-11-25T09:33:12.123456789Z'
  version_added: 0.3.0
size:
  description: Bytes of log that were read.
  returned: when the engine answers
  type: int
  sample: 48210
"""

import typing as t

from ansible_collections.prosaas.ops.plugins.module_utils import _health_report, _log_check, _log_kinds, _log_rules
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._memory import Memory
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving

SECRET_NAMES = ["*SECRET*", "*TOKEN*", "*PASSWORD*", "*_KEY", "*_KEY_ID", "*CREDENTIAL*"]

OPTIONS: dict[str, t.Any] = {
    "project": {"type": "str", "required": True},
    "rules": {"type": "dict", "required": True},
    "rules_extra": {"type": "dict", "default": {}},
    "levels": {"type": "dict", "default": {}},
    "known": {"type": "dict", "default": {}},
    "known_extra": {"type": "dict", "default": {}},
    "probes": {
        "type": "dict",
        "options": {
            "service": {"type": "str", "required": True},
            "text": {"type": "str", "required": True},
            "within": {"type": "float", "default": 2},
            "causes": {"type": "dict", "required": True},
        },
    },
    "deadline": {"type": "float", "default": 60},
    "window": {"type": "float", "default": 0},
    "remember": {"type": "bool", "default": False},
    "secret_names": {"type": "list", "elements": "str", "default": SECRET_NAMES, "no_log": False},
}


def look(call: Call) -> Report:
    params = call.params
    policy = _log_check.policy(
        _log_rules.merged(params["rules"], params["rules_extra"]),
        params["levels"],
        [params["known"], params["known_extra"]],
        params["probes"],
        params["deadline"],
        params["secret_names"],
        params["window"],
    )
    memory = Memory(call.state_dir, "logs")
    logs = _log_check.look(serving(call.state_dir), params["project"], policy, memory, call.progress)
    if params["remember"] and not call.check_mode:
        memory.keep()
    read = [log for of_service in logs.values() for log in of_service]
    environments = {"services": {log.name: {"environment": log.environment} for log in read}}
    secrets = _health_report.secret_values(environments, params["secret_names"])
    facts = {"size": sum(log.size for log in read), "kinds": _log_kinds.told(logs, secrets)}
    return Report(_log_check.checks(policy, logs), facts, secrets)


def main() -> None:
    run_module(OPTIONS, look, needs=("docker",))


if __name__ == "__main__":
    main()
