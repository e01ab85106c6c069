#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run
short_description: Begin and end a run on a host
version_added: 0.1.0
description:
  - Every playbook of this collection begins with O(state=begun) and ends with O(state=ended).
  - Beginning gives the run an id and, when it is going to change the host, takes the lease, so that two deployments
    never meet. A lease whose controller process is gone is taken over.
  - Ending writes the record of the run (what was asked, each check with its evidence, each step with its seconds,
    releases before and after, the outcome) as JSON on the host, copies it to the controller and gives the lease back.
  - The lease and the record are not counted as changes.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.acts
options:
  state:
    description: Whether the run begins or ends.
    type: str
    choices: [begun, ended]
    required: true
  playbook:
    description: What runs; part of the run's id. Needed for O(state=begun).
    type: str
    default: ''
  project:
    description: Name of the Compose project. Needed for O(state=begun).
    type: str
    default: ''
  operator:
    description: Who runs it.
    type: str
    default: ''
  asked:
    description: What the operator asked for, for the record. No secrets.
    type: dict
    default: {}
  lease:
    description: Whether the run will change the host and so needs the lease.
    type: bool
    default: false
  break_lease:
    description: Id of a run that is known to be gone, whose lease may be taken over.
    type: str
    default: ''
  runtime_marker:
    description: Name of the file in O(runtime) by which a complete one is known.
    type: str
    default: ''
    version_added: 0.2.0
  controller:
    description:
      - Which process on the controller runs this. Filled in by the action plugin of the same name.
    type: dict
    default: {}
  outcome:
    description: How the run ended. Needed for O(state=ended).
    type: str
    choices:
      - ''
      - passed
      - verified
      - unchanged
      - failed
      - taken_back
      - rolled_back
      - backed_up
      - restored
      - undone
      - settled
      - drilled
      - approved
    default: ''
  summary:
    description: One sentence about the outcome, for the record.
    type: str
    default: ''
  keep_runs:
    description: How many run directories (journal, build log) stay on the host. Records always stay.
    type: int
    default: 30
  records_dir:
    description: Directory on the controller for the copy of the record. Empty for no copy.
    type: str
    default: ''
  checklist:
    description:
      - The boxes of the checklist that the record answers, each with C(id), C(line), C(section), C(phase) and C(meaning).
      - A box is answered by the checks and steps that name its line, of this run or of an earlier one on this host.
    type: list
    elements: dict
    default: []
    version_added: 0.3.0
  evidence_days:
    description: For how many days an answer of an earlier run counts.
    type: float
    default: 90
    version_added: 0.3.0
  formats:
    description:
      - What is made of the record on the controller, beside its JSON. V(html) is a page to read, print and keep,
        and the report of a rollback, V(junit) is JUnit XML for CI.
    type: list
    elements: str
    choices: [html, junit]
    default: [html]
    version_added: 0.3.0
  sign_with:
    description:
      - Path on the controller of the SSH key that signs the copy of the record, with C(ssh-keygen -Y sign). Of a public one the
        private half is asked of the agent. Empty to sign nothing.
      - Nothing is ever asked of a person. A key that cannot sign is a warning, at O(state=begun) already; the record is then
        not signed, which M(prosaas.ops.records) says.
    type: str
    default: ''
    version_added: 0.3.0
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Begin
  prosaas.ops.run:
    state: begun
    playbook: deploy
    project: prosaasil
    operator: dana
    lease: true
  register: begun

- name: End
  prosaas.ops.run:
    state: ended
    run: "{{ begun.run }}"
    outcome: verified
    records_dir: records
"""

RETURN = r"""
run:
  description: Id of the run; empty in check mode.
  returned: O(state=begun)
  type: str
runtime_ready:
  description: Whether O(runtime_marker) is in O(runtime), so that the host has the packages that the modules need.
  returned: O(state=begun)
  type: bool
  version_added: 0.2.0
taken_from:
  description: Id of the run whose lease was taken over, if any.
  returned: O(state=begun)
  type: str
locked_by:
  description: In check mode, who holds the lease now.
  returned: O(state=begun)
  type: str
record:
  description: Path of the record on the host.
  returned: O(state=ended)
  type: str
record_copy:
  description: Path of its copy on the controller, byte for byte the record on the host.
  returned: O(state=ended) with O(records_dir)
  type: str
record_signature:
  description: Path of the signature of that copy; empty when it is not signed.
  returned: O(state=ended) with O(records_dir)
  type: str
  version_added: 0.3.0
page:
  description: Path of the page of the record on the controller.
  returned: O(state=ended) with O(records_dir), and V(html) in O(formats)
  type: str
  version_added: 0.3.0
incident:
  description: Path of the report of a rollback as Markdown, automatic or by hand; its page lies beside it.
  returned: O(state=ended) with O(records_dir), and V(html) in O(formats), for a rollback
  type: str
  version_added: 0.3.0
junit:
  description: Path of the record as JUnit XML.
  returned: O(state=ended) with O(records_dir), and V(junit) in O(formats)
  type: str
  version_added: 0.3.0
"""

import hashlib
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _boxes, _run
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {
    "state": {"type": "str", "choices": ["begun", "ended"], "required": True},
    "playbook": {"type": "str", "default": ""},
    "project": {"type": "str", "default": ""},
    "operator": {"type": "str", "default": ""},
    "asked": {"type": "dict", "default": {}},
    "lease": {"type": "bool", "default": False},
    "break_lease": {"type": "str", "default": ""},
    "runtime_marker": {"type": "str", "default": ""},
    "controller": {"type": "dict", "default": {}},
    "outcome": {
        "type": "str",
        "choices": [
            *("", "passed", "verified", "unchanged", "failed", "taken_back", "rolled_back"),
            *("backed_up", "restored", "undone", "settled", "drilled", "approved"),
        ],
        "default": "",
    },
    "summary": {"type": "str", "default": ""},
    "keep_runs": {"type": "int", "default": 30},
    "records_dir": {"type": "str", "default": ""},
    "checklist": {"type": "list", "elements": "dict", "default": []},
    "evidence_days": {"type": "float", "default": 90},
    "formats": {"type": "list", "elements": "str", "choices": ["html", "junit"], "default": ["html"]},
    "sign_with": {"type": "str", "default": ""},
}


def begin_or_end(call: Call) -> Report:
    given = call.params
    asked = _boxes.Asked(given["checklist"], given["attestations"], given["evidence_days"])
    if given["state"] == "begun":
        facts = _run.begin(call.state_dir, given, given["lease"], given["break_lease"], call.check_mode)
        facts["runtime_ready"] = Path(given["runtime"], given["runtime_marker"]).exists()
        return Report(facts=facts)
    if call.check_mode or not call.run:
        return Report(facts={"record": ""})
    reports = given["items"].get("run", [])
    _made, path = _run.end(call.state_dir, call.run, given["outcome"], given["summary"], given["keep_runs"], asked, reports)
    data = path.read_bytes()  # the controller keeps these very bytes: the next record carries their hash
    content = {"content": data.decode(), "sha256": hashlib.sha256(data).hexdigest()}
    return Report(facts={"record": str(path), **content})


def main() -> None:
    run_module(OPTIONS, begin_or_end)


if __name__ == "__main__":
    main()
