#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: background_check
short_description: Checks the work that nobody sees - queues, a scheduler, sessions with a service of others
version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Queues are those of RQ, read from its keys in Redis. A worker counts when it was heard of lately and its container
    runs, since the entry of one that was killed lasts for minutes.
  - A scheduler shows its life by a lock in Redis that it takes for each cycle and that runs out by itself.
  - Sessions are kept by a service of the stack, one per tenant, with credentials on its volume. They are asked for by
    HTTP, and what was connected at an earlier look must be connected.
  - All of it is looked at side by side. What may still become good is waited for, at most O(deadline) seconds; what
    cannot change any more is not.
  - It only reads, unless O(start) is set.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  project:
    description: Name of the Compose project.
    type: str
    required: true
  redis_service:
    description: Service of the project that runs Redis.
    type: str
    default: redis
  redis_port:
    description: Its port.
    type: int
    default: 6379
  redis_db:
    description: Number of the database.
    type: int
    default: 0
  redis_url:
    description: URL of a Redis elsewhere; O(redis_service) is not looked for then.
    type: str
    default: ''
  queues:
    description: Queues of RQ. Leave it out for an application without them.
    type: dict
    suboptions:
      services:
        description: Patterns of the services that work on them.
        type: list
        elements: str
        required: true
      variable:
        description: Variable of their containers that names the queues they listen to, with commas between.
        type: str
        required: true
      more:
        description: Queues that must be listened to besides.
        type: list
        elements: str
        default: []
      heartbeat:
        description:
          - Seconds after its last sign of life for which a worker counts as alive. An idle worker of RQ gives one every
            405 s, and its entry is gone after 480 s.
        type: int
        default: 480
      waiting:
        description: Seconds that a job may wait; more is a V(warn).
        type: int
        default: 300
      failed:
        description: How many jobs may fail within O(queues.failed_within); that many are a V(fail).
        type: int
        default: 10
      failed_within:
        description: Seconds.
        type: int
        default: 600
  scheduler:
    description: A scheduler with a lock. Leave it out for an application without one.
    type: dict
    suboptions:
      service:
        description: The service.
        type: str
        required: true
      lock:
        description: Key of its lock.
        type: str
        required: true
      ttl:
        description: Seconds for which the lock is taken.
        type: int
        required: true
      within:
        description: Seconds within which a free lock is taken by a scheduler that lives.
        type: int
        default: 20
      starts:
        description: Seconds that it needs from its start to its first cycle.
        type: int
        default: 60
  sessions:
    description: Sessions of tenants. Leave it out for an application without them.
    type: dict
    suboptions:
      services:
        description: Patterns of the services that hold them.
        type: list
        elements: str
        required: true
      directory:
        description: Directory of the credentials in their containers.
        type: str
        required: true
      credentials:
        description: File below it, with C({tenant}) in it. Only whether it has O(sessions.paired) leaves it.
        type: str
        required: true
      paired:
        description: Keys with dots between; a tenant is paired when there is a value in the JSON of its file.
        type: str
        required: true
      status_url:
        description: URL that tells the state, as JSON, with C({service}) and C({tenant}) in it.
        type: str
        required: true
      start_url:
        description: URL to which a POST starts a session.
        type: str
        default: ''
      headers:
        description: Headers to send, and the variable of O(env_file) that holds the value of each.
        type: dict
        default: {}
      connected:
        description: Key of the answer that says whether it is connected.
        type: str
        default: connected
      state:
        description: Key of the answer with the state.
        type: str
        default: state
      settled:
        description: States that do not change by themselves, so that nothing is waited for.
        type: list
        elements: str
        default: []
      idle:
        description: State of a session that nobody has started.
        type: str
        default: ''
  backups:
    description: Backups that somebody makes every night. Without it nobody looks for them.
    type: dict
    suboptions:
      dir:
        description: Directory of the backups, as in O(prosaas.ops.backup#module:backup_dir).
        type: path
        required: true
      max_age_hours:
        description: How old the newest may be.
        type: float
        default: 24
  env_file:
    description: File on the host (the application's C(.env)) that holds the variables named in O(sessions.headers).
    type: path
    default: ''
  deadline:
    description: Seconds within which workers, scheduler and sessions must have become good; 0 to look once.
    type: float
    default: 60
  start:
    description:
      - Have the sessions of paired tenants started that are in the state O(sessions.idle). That is the one change that
        this module makes; in check mode it says which ones it would start.
    type: bool
    default: false
  how_to_start:
    description: What a person is told to do to have sessions started.
    type: str
    default: Run background_check with start=true
  how_to_forget:
    description: What a person is told to do when C({tenant}) has ended its session on purpose.
    type: str
    default: Run background_check with forget=[{tenant}]
  remember:
    description:
      - Keep on the host which sessions are connected, and when failed jobs were looked at, for the next look, in
        C(seen/background.json) below O(state_dir). Nothing of the application changes, so it is no change. Nothing is
        kept in check mode.
    type: bool
    default: false
  forget:
    description: Tenants whose session was ended on purpose, and that need not be connected any more.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: The work that nobody sees goes on
  prosaas.ops.background_check:
    project: shop
    queues:
      services: [worker]
      variable: RQ_QUEUES
    scheduler:
      service: scheduler
      lock: scheduler:lock
      ttl: 90
    remember: true
  become: true

- name: After a restart, sessions are opened again
  prosaas.ops.background_check:
    project: shop
    sessions:
      services: [chat]
      directory: /data/sessions
      credentials: "{tenant}/creds.json"
      paired: me.id
      status_url: http://{service}:3300/{tenant}/status
      start_url: http://{service}:3300/{tenant}/start
      headers: {X-Secret: CHAT_SECRET}
      settled: [idle, waiting_qr]
      idle: idle
    env_file: /opt/shop/.env
    start: true
    remember: true
  become: true
"""

RETURN = r"""
checks:
  description:
    - C(queues.workers), C(queues.waiting) and C(queues.failed); C(scheduler.lock); C(sessions.paired) and
      C(sessions.connected), C(backup.newest); those that are asked for. Worst first.
    - A tenant that was connected and has no credentials any more is a V(warn), as it may have ended its session on its
      phone; that none of them has any is a V(fail).
    - Without Redis, queues and scheduler are V(unknown). A scheduler whose first cycle is not due, since the lock is
      still that of the one before it, is a V(skip).
  returned: always
  type: list
  elements: dict
  sample:
    - id: queues.workers
      status: pass
      evidence: one worker listens to all 9 queues, last heard of 4 s ago
      remedy: ''
      item: [256]
started:
  description: Tenants whose session was started, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [business_1]
newest_backup:
  description: When the newest backup was begun, in seconds since the epoch; V(0) when there is none.
  returned: with O(backups)
  type: float
  version_added: 0.3.0
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 6 of 6 checks passed.
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import (
    _background,
    _backup_judge,
    _queues,
    _scheduler,
    _sessions,
)
from ansible_collections.prosaas.ops.plugins.module_utils._capacity import Keys, Store
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._memory import Memory
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import Shelf

TEXT: dict[str, t.Any] = {"type": "str", "required": True}
TEXTS: dict[str, t.Any] = {"type": "list", "elements": "str"}

OPTIONS: dict[str, t.Any] = {
    "project": TEXT,
    "redis_service": {"type": "str", "default": "redis"},
    "redis_port": {"type": "int", "default": 6379},
    "redis_db": {"type": "int", "default": 0},
    "redis_url": {"type": "str", "default": "", "no_log": True},
    "queues": {
        "type": "dict",
        "options": {
            "services": {**TEXTS, "required": True},
            "variable": TEXT,
            "more": {**TEXTS, "default": []},
            "heartbeat": {"type": "int", "default": 480},
            "waiting": {"type": "int", "default": 300},
            "failed": {"type": "int", "default": 10},
            "failed_within": {"type": "int", "default": 600},
        },
    },
    "scheduler": {
        "type": "dict",
        "options": {
            "service": TEXT,
            "lock": TEXT,
            "ttl": {"type": "int", "required": True},
            "within": {"type": "int", "default": 20},
            "starts": {"type": "int", "default": 60},
        },
    },
    "sessions": {
        "type": "dict",
        "options": {
            "services": {**TEXTS, "required": True},
            "directory": TEXT,
            "credentials": TEXT,
            "paired": TEXT,
            "status_url": TEXT,
            "start_url": {"type": "str", "default": ""},
            "headers": {"type": "dict", "default": {}},
            "connected": {"type": "str", "default": "connected"},
            "state": {"type": "str", "default": "state"},
            "settled": {**TEXTS, "default": []},
            "idle": {"type": "str", "default": ""},
        },
    },
    "backups": {
        "type": "dict",
        "options": {"dir": {"type": "path", "required": True}, "max_age_hours": {"type": "float", "default": 24}},
    },
    "env_file": {"type": "path", "default": ""},
    "deadline": {"type": "float", "default": 60},
    "start": {"type": "bool", "default": False},
    "how_to_start": {"type": "str", "default": "Run background_check with start=true"},
    "how_to_forget": {"type": "str", "default": "Run background_check with forget=[{tenant}]"},
    "remember": {"type": "bool", "default": False},
    "forget": {**TEXTS, "default": []},
}


def look(call: Call) -> Report:
    params = call.params
    engine = serving(call.state_dir)
    memory = Memory(call.state_dir, "background")
    memory.forget("sessions", params["forget"])
    sessions = dict(params["sessions"] or {})
    names = sessions.pop("headers", {})
    credentials = Credentials(params["env_file"], names)
    headers = {header: credentials.get(header) for header in names}

    def store() -> Store:
        service = params["redis_service"]
        if params["redis_url"]:
            return Store(params["redis_url"], "The given Redis", Keys("", ""))
        address = engine.address(params["project"], service)
        url = f"redis://{address}:{params['redis_port']}/{params['redis_db']}"
        return Store(url, f"Redis (service {service})", Keys("", ""))

    report = _background.inspect(
        _background.Look(
            engine,
            params["project"],
            memory,
            params["deadline"],
            params["start"],
            call.check_mode,
            params["how_to_start"],
            params["how_to_forget"],
            call.progress,
        ),
        store,
        _queues.Wanted(**params["queues"]) if params["queues"] else None,
        _scheduler.Wanted(**params["scheduler"]) if params["scheduler"] else None,
        _sessions.Ask(_sessions.Wanted(**sessions), Client(timeout=5), headers) if sessions else None,
    )
    backups = params["backups"]
    if backups:
        shelf = Shelf(Path(backups["dir"]), params["project"])
        held = shelf.backups()
        report.checks.append(_backup_judge.newest(held, _backup_judge.Limits(backups["max_age_hours"])))
        report.facts["newest_backup"] = held[0][0].time().timestamp() if held[0] else 0
    report.secrets |= set(filter(None, headers.values()))
    if params["remember"] and not call.check_mode:
        memory.keep()
    return report


def main() -> None:
    run_module(OPTIONS, look, needs=("docker", "redis"))


if __name__ == "__main__":
    main()
