#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verdict
short_description: Judge what several checking modules found, in one place
version_added: 0.2.0
description:
  - Takes the results of modules that ran with C(gather) and fails when one of their checks stops, with all that failed
    or could not be verified, worst first, one line each, with its remedy.
  - What was waived, attested or is advisory is told after it, as what it is.
author:
  - the prosaas.ops authors (@prosaas)
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  results:
    description: Results of the modules, as registered. One without C(checks), as of a skipped task, says nothing.
    type: list
    elements: dict
    required: true
  phase:
    description: What was checked, for the message.
    type: str
    default: The checks
  answers:
    description: Name of the setting in which people answer what no machine can know, for the message.
    type: str
    default: attestations
"""

EXAMPLES = r"""
- name: Look at the name servers
  prosaas.ops.dns_check:
    names: [prosaas.example]
    gather: true
  register: dns

- name: Look at the certificate
  prosaas.ops.tls_check:
    certificate: /etc/ssl/prosaas.crt
    key: /etc/ssl/prosaas.key
    gather: true
  register: tls

- name: Go on only if all of it is well
  prosaas.ops.verdict:
    results: ["{{ dns }}", "{{ tls }}"]
"""

RETURN = r"""
msg:
  description: What is wrong and what to do, a line for each check that stops or is to be looked at.
  returned: always
  type: str
  sample: |-
    Preflight: 2 of 140 checks stop it.
    fail     env.secret_key: is not set, required -> Set SECRET_KEY in /opt/prosaasil/.env
    unknown  database.main.reach: db.example.org does not answer -> Look at firewall and route
counts:
  description: How many checks have each status.
  returned: always
  type: dict
  sample: {fail: 1, unknown: 1, warn: 4, pass: 130, skip: 4}
verdict:
  description: V(pass), V(warn), V(fail) or V(unknown).
  returned: always
  type: str
  sample: fail
"""

import typing as t

from ansible_collections.prosaas.ops.plugins.module_utils import _check
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS: dict[str, t.Any] = {
    "results": {"type": "list", "elements": "dict", "required": True},
    "phase": {"type": "str", "default": "The checks"},
    "answers": {"type": "str", "default": "attestations"},
}


def judge(call: Call) -> Report:
    rows = [row for result in call.params["results"] for row in result.get("checks") or []]
    if not rows:
        raise OpsError(f"{call.params['phase']}: there is nothing to judge.", "Run it without --tags or --skip-tags.")
    found = _check.summary(rows, call.params["phase"], call.params["answers"], call.check_mode)
    if found.pop("stops"):
        raise OpsError(found.pop("msg"), **found)
    return Report(facts=found)


def main() -> None:
    run_module(OPTIONS, judge)


if __name__ == "__main__":
    main()
