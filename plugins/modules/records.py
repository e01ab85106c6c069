#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: records
short_description: Verify that no record was changed, removed, inserted or reordered
version_added: 0.3.0
description:
  - Verifies the copies of the records that M(prosaas.ops.run) keeps on the controller. Each carries the hash of the one before
    it, and is signed there by the operator's own key. Needs no host and no network, only C(ssh-keygen) of OpenSSH 8.9 or newer.
  - Names each record that does not fit, and how.
  - The newest has no next one that carries its hash. C(head.json) names it; without that file a removed newest record cannot
    be proven, which is V(unknown) and never V(pass).
  - Records of schema 1 are from before the chain could be proven. That is V(warn), once for each host.
author:
  - the prosaas.ops authors (@prosaas)
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  records_dir:
    description: Directory with a directory of records for each host.
    type: path
    required: true
  host:
    description: The only host to verify, by its name in the inventory. Empty for every one that has a directory.
    type: str
    default: ''
  expected:
    description: Hosts that must have records, by their names in the inventory. Of one that has none that is said.
    type: list
    elements: str
    default: []
  allowed_signers:
    description:
      - File that names whose keys may sign records, a line each, as C(ssh-keygen -Y verify) takes it.
      - Empty to look only whether each signature fits its record, which does not prove whose it is.
    type: path
    default: ''
seealso:
  - module: prosaas.ops.run
"""

EXAMPLES = r"""
- name: No record was changed or taken away
  prosaas.ops.records:
    records_dir: ~/.local/state/prosaas/records
    allowed_signers: ~/.config/prosaas/allowed_signers
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
checks:
  description:
    - What was checked, worst first.
    - Ids are C(records.HOST.chain), C(records.HOST.head), C(records.HOST.signatures), C(records.HOST.before),
      C(records.HOST.attempts), and C(records.HOST.RUN) for each record that does not fit; of more than twenty of a host the rest
      is counted in C(records.HOST.more).
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
hosts:
  description: A line for each host, that counts its records by what they are.
  returned: always
  type: list
  elements: str
  sample: ["prosaas-1: 2 attempt, 1 changed, 118 ok"]
records:
  description:
    - What each record is. C(found) is V(ok), V(attempt), V(before the chain), V(unsigned), V(changed), V(removed), V(inserted),
      V(reordered), V(signed by a key that is not allowed), V(unreadable), V(not a record) or V(unproven).
  returned: always
  type: list
  elements: dict
  sample:
    - host: prosaas-1
      run: 20261122T210501Z-deploy-5f1e
      found: changed
      evidence: its hash is not the one that 20261123T080000Z-verify-0a1b carries
      signed_by: ''
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _chain_check
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS: dict[str, t.Any] = {
    "records_dir": {"type": "path", "required": True},
    "host": {"type": "str", "default": ""},
    "expected": {"type": "list", "elements": "str", "default": []},
    "allowed_signers": {"type": "path", "default": ""},
}


def verify(call: Call) -> Report:
    records_dir, only, allowed = (call.params[name] for name in ("records_dir", "host", "allowed_signers"))
    there = _chain_check.hosts_in(Path(records_dir))
    wanted = [only] if only else sorted({*there, *call.params["expected"]})
    if not wanted:
        raise OpsError(f"No host has records in {records_dir}.", "Name the right one: -e prosaas_records_dir=DIRECTORY.")
    found = [_of(Path(records_dir, host), host in there, allowed, call.state_dir) for host in wanted]
    facts = {"hosts": [one.line for one in found], "records": [row for one in found for row in one.rows]}
    return Report(checks=[check for one in found for check in one.checks], facts=facts)


def _of(directory: Path, is_there: bool, allowed: str, state_dir: Path) -> _chain_check.Found:
    if not is_there:
        return _chain_check.missing(directory.name)
    return _chain_check.judge(_chain_check.read(directory, allowed), state_dir, bool(allowed))


def main() -> None:
    run_module(OPTIONS, verify)


if __name__ == "__main__":
    main()
