#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.schedule."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schedule
short_description: Write the files of scheduled playbooks
version_added: 0.2.0
description:
  - Runs on the controller. Writes a file for each job, which the wrapper of the role C(prosaas.ops.schedule) reads, and
    returns the words by which cron or systemd starts it. That role puts them there.
  - Job files, their variables and the receivers of reports have mode 0600, in directories of mode 0700.
extends_documentation_fragment:
  - prosaas.ops._shared
attributes:
  check_mode:
    support: full
    description: Says what would be changed and changes nothing.
  diff_mode:
    support: full
    description: Of variables and receivers only that they differ is shown.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  state:
    description: V(absent) writes nothing and returns what is to be taken away.
    type: str
    choices: [present, absent]
    default: present
  label:
    description: Name of this set of schedules, such as that of the inventory. A part of the names of units and entries.
    type: str
    required: true
  kind:
    description: What starts the jobs.
    type: str
    choices: [cron, systemd]
    required: true
  directory:
    description: Directory of this set, for job files and output.
    type: path
    required: true
  unit_dir:
    description: Directory of systemd's units of this user.
    type: path
    required: true
  jobs:
    description: What runs, and when.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Up to 40 small letters, digits, C(_) and C(-).
        type: str
        required: true
      playbook:
        description: Playbook of a collection, or a path, relative to O(working_directory).
        type: str
        required: true
      at:
        description:
          - Time of the day in the controller's time zone, as V(HH:MM), quoted. V(*:15) is every hour, V(*:*/5) every five minutes.
        type: str
        required: true
      days:
        description: Days of the week. Every day when empty.
        type: list
        elements: str
        choices: [monday, tuesday, wednesday, thursday, friday, saturday, sunday]
        default: []
      days_of_month:
        description: Days of the month, V(1) to V(31), instead of O(jobs[].days).
        type: list
        elements: int
        default: []
      extra_vars:
        description: Extra variables. Not for secrets; these belong into the vault.
        type: dict
        default: {}
      extra_vars_files:
        description: Files with extra variables, which may be encrypted.
        type: list
        elements: path
        default: []
      limit:
        description: Hosts that are meant, of those that the playbook names. All of them when empty.
        type: str
        default: ''
      arguments:
        description: More arguments of C(ansible-playbook), one word each. Not for secrets.
        type: list
        elements: str
        default: []
      timeout:
        description: Minutes after which a run is ended and reported.
        type: int
        default: 120
      repeat:
        description: Whether an end that is reported is reported again when the next run ends the same way.
        type: bool
        default: true
        version_added: 0.3.0
  python:
    description: Interpreter of the wrapper.
    type: path
    required: true
  ansible_playbook:
    description: The program C(ansible-playbook).
    type: path
    required: true
  ansible_config:
    description: Ansible's configuration file for the jobs. Empty for the one that Ansible finds.
    type: path
    default: ''
  working_directory:
    description: Directory in which jobs run.
    type: path
    required: true
  inventory:
    description: Inventories of the jobs.
    type: list
    elements: str
    required: true
  vault_password_file:
    description: File with the password of the vault, or a program that says it. Empty for none.
    type: path
    default: ''
  environment:
    description: More variables of the jobs' environment, which is otherwise made anew. Not for secrets.
    type: dict
    default: {}
  user:
    description: Who runs the jobs, for their environment.
    type: str
    required: true
  home:
    description: That user's home directory.
    type: path
    required: true
  project:
    description: Name of the Compose project, for reports.
    type: str
    default: ''
  keep:
    description: How many outputs of each job are kept.
    type: int
    default: 30
  report:
    description: Ends of a run that are reported.
    type: list
    elements: str
    choices: [failed, unreachable, not_started, overlap, timeout, killed, lost]
    default: [failed, unreachable, not_started, overlap, timeout, killed, lost]
  webhook:
    description: URL that is sent a POST with JSON. It is a secret. Empty for none.
    type: str
    default: ''
  webhook_ca_path:
    description: File with the authority of the webhook's certificate. Empty for the system's.
    type: path
    default: ''
  mail:
    description: Mail server and addresses. Without it no mail is sent.
    type: dict
    suboptions:
      to:
        description: Receivers.
        type: list
        elements: str
        required: true
      from:
        description: Sender.
        type: str
      host:
        description: The mail server.
        type: str
      port:
        description: Its port.
        type: int
      secure:
        description: V(always) is TLS from the start, V(starttls) insists on it, V(try) takes it where it is offered.
        type: str
        choices: [always, never, starttls, try]
      username:
        description: For a server that wants one.
        type: str
      password:
        description: For a server that wants one. It is sent over verified TLS only, or to this machine.
        type: str
  notify_timeout:
    description: Seconds in which a webhook or mail server must have answered.
    type: int
    default: 10
author:
  - the prosaas.ops authors (@prosaas)
"""

EXAMPLES = r"""
- name: Write the nightly backup
  prosaas.ops.schedule:
    label: prod
    kind: cron
    directory: /home/ops/.local/state/prosaas/schedule/prod
    unit_dir: /home/ops/.config/systemd/user
    jobs:
      - name: backup
        playbook: prosaas.ops.backup
        at: "03:40"
    python: /opt/ansible/bin/python
    ansible_playbook: /opt/ansible/bin/ansible-playbook
    working_directory: /home/ops/prosaas-ops
    inventory: [/home/ops/prosaas-ops/prod]
    user: ops
    home: /home/ops
"""

RETURN = r"""
jobs:
  description: The jobs, with C(entry), C(cron) (the fields) and C(command) for a crontab, C(calendar), C(unit), C(start) and
    C(ended) for systemd, C(try) (a command that proves that it can start), C(next) and C(last).
  returned: success
  type: list
  elements: dict
leaving:
  description: What is to be taken away, each with C(name), C(kinds) that start it, C(whole) when its files go, too, and C(busy)
    when a run of it goes on, whose files stay until the next time.
  returned: success
  type: list
  elements: dict
remark:
  description: Why nothing may start although all is written; empty when there is no reason.
  returned: success
  type: str
"""

import shutil
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _schedule, _times
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

JOB = {
    "name": {"type": "str", "required": True},
    "playbook": {"type": "str", "required": True},
    "at": {"type": "str", "required": True},
    "days": {"type": "list", "elements": "str", "choices": list(_times.DAYS), "default": []},
    "days_of_month": {"type": "list", "elements": "int", "default": []},
    "extra_vars": {"type": "dict", "default": {}},
    "extra_vars_files": {"type": "list", "elements": "path", "default": []},
    "limit": {"type": "str", "default": ""},
    "arguments": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 120},
    "repeat": {"type": "bool", "default": True},
}
MAIL = {
    "to": {"type": "list", "elements": "str", "required": True},
    "from": {"type": "str"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "secure": {"type": "str", "choices": ["always", "never", "starttls", "try"]},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
}
OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "label": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(_schedule.KINDS), "required": True},
    "directory": {"type": "path", "required": True},
    "unit_dir": {"type": "path", "required": True},
    "jobs": {"type": "list", "elements": "dict", "options": JOB, "default": []},
    "python": {"type": "path", "required": True},
    "ansible_playbook": {"type": "path", "required": True},
    "ansible_config": {"type": "path", "default": ""},
    "working_directory": {"type": "path", "required": True},
    "inventory": {"type": "list", "elements": "str", "required": True},
    "vault_password_file": {"type": "path", "default": "", "no_log": False},  # a path
    "environment": {"type": "dict", "default": {}},
    "user": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "project": {"type": "str", "default": ""},
    "keep": {"type": "int", "default": 30},
    "report": {
        "type": "list",
        "elements": "str",
        "choices": list(_schedule.REPORTS),
        "default": list(_schedule.REPORTS),
    },
    "webhook": {"type": "str", "default": "", "no_log": True},
    "webhook_ca_path": {"type": "path", "default": ""},
    "mail": {"type": "dict", "options": MAIL},
    "notify_timeout": {"type": "int", "default": 10},
}


def schedule(call: Call) -> Report:
    params = call.params
    place = _schedule.Place(Path(params["directory"]))
    times = _schedule.checked(params["label"], params["jobs"])
    found = _schedule.installed(params["label"], crontab(call), Path(params["unit_dir"]))
    if params["state"] == "absent":
        return Report(facts={"jobs": [], "leaving": _schedule.leaving(found, place, (), None), "remark": ""})
    remark = _schedule.starter(params["kind"], params["user"])
    going = _schedule.leaving(found, place, times, params["kind"])
    diff = _schedule.settle(place, _schedule.wanted(place, params["jobs"], params), call.check_mode)
    jobs = [_schedule.described(place, name, when, params) for name, when in times.items()]
    return Report(facts={"jobs": jobs, "leaving": going, "remark": remark}, changed=bool(diff), diff=diff)


def crontab(call: Call) -> str:
    """Return the user's crontab; nothing where there is none, or no cron."""
    if shutil.which("crontab") is None:
        return ""
    code, out, _err = call.execute(["crontab", "-l"])
    return out if code == 0 else ""


def main() -> None:
    run_module(OPTIONS, schedule)


if __name__ == "__main__":
    main()
