#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: golive
short_description: Judge whether an application may go live
version_added: 0.3.0
description:
  - Answers the final part of the deployment checklist (lines 497 to 513) from the newest record of the host, which carries
    what earlier runs have seen. Evidence that is older than agreed does not count.
  - An approval is the name of a person who says yes in a role. Without all of them it does not pass.
  - Looks at nothing else, and changes nothing.
author:
  - the prosaas.ops authors (@prosaas)
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  checklist:
    description: The boxes of the checklist, each with C(id), C(line), C(section), C(phase) and C(meaning).
    type: list
    elements: dict
    required: true
  needs:
    description: What each box of the final part rests on.
    type: list
    elements: dict
    required: true
    suboptions:
      box:
        description: Id of the box.
        type: str
        required: true
      boxes:
        description: Ids of the boxes that must be settled, or patterns of them.
        type: list
        elements: str
        required: true
      hours:
        description: For how many hours their evidence counts.
        type: float
        default: 24
  roles:
    description: Who has to approve, by the name of the role.
    type: dict
    required: true
  approvals:
    description:
      - Who approves, by role. The value is a name, or a dictionary of C(by), the name, and C(reason).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: May it go live?
  prosaas.ops.golive:
    checklist: "{{ checklist }}"
    needs:
      - {box: golive.ready.health, boxes: [verify.health.*], hours: 4}
    roles:
      technical: {box: golive.approval.technical, title: The technical lead approves}
    approvals: {technical: Dana Levi}
"""

RETURN = r"""
record:
  description: Id of the run whose record was read; empty when there is none.
  returned: always
  type: str
"""

import typing as t

from ansible_collections.prosaas.ops.plugins.module_utils import _boxes, _golive, _journal, _record
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS: dict[str, t.Any] = {
    "checklist": {"type": "list", "elements": "dict", "required": True},
    "needs": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "box": {"type": "str", "required": True},
            "boxes": {"type": "list", "elements": "str", "required": True},
            "hours": {"type": "float", "default": 24},
        },
    },
    "roles": {"type": "dict", "required": True},
    "approvals": {"type": "dict", "default": {}},
}


def judge(call: Call) -> Report:
    given = call.params
    record = _record.newest(call.state_dir)
    asked = _boxes.Asked(given["checklist"], given["attestations"])
    needs = [_golive.Need(**one) for one in given["needs"]]
    said = _golive.approvals(given["roles"], given["approvals"])
    found = _golive.checks(record, asked, needs, said, _journal.now())
    return Report(found, {"record": record["run"] if record else ""})


def main() -> None:
    run_module(OPTIONS, judge)


if __name__ == "__main__":
    main()
