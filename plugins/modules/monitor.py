#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: monitor
short_description: Tell new troubles from known ones, and from those that are over
version_added: 0.3.0
description:
  - Takes the results of checking modules that ran with C(gather), looks at the room on disks, and compares all of it with the
    look before. A trouble is a check that is not well, or a kind of log lines that counts.
  - A check that could not be done is a trouble of its own, and ends none.
  - What it knows is kept in C(seen/monitor.json) below O(state_dir), which is written only where something differs. Nothing of
    the application changes, so it is no change.
  - While a run that changes the host holds its lease, no trouble begins; what is still there afterwards is seen then.
  - It does not fail because of a trouble; that is up to the caller.
extends_documentation_fragment:
  - prosaas.ops._shared
attributes:
  check_mode:
    support: full
    description: It says the same, and keeps and writes nothing.
  diff_mode:
    support: none
    description: Nothing is changed, so there is nothing to show.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  state:
    description: V(looked) compares a look with the one before. V(told) notes that people were told of O(told).
    type: str
    choices: [looked, told]
    default: looked
  project:
    description: Name of the Compose project, a label of every metric.
    type: str
    default: ''
  results:
    description: Results of the modules, as registered. One without C(checks), as of a skipped task, says nothing.
    type: list
    elements: dict
    default: []
  window:
    description: Seconds for which M(prosaas.ops.log_check) looked back.
    type: float
    default: 900
  calm:
    description: Minutes for which a trouble must not be seen before it is over, so that one that comes and goes is one.
    type: float
    default: 0
  tell:
    description: Whether somebody will be told, and then O(state=told) follows. Without it this look is all that is told.
    type: bool
    default: false
  told:
    description: Ids of the troubles that people were told of, new or over.
    type: list
    elements: str
    default: []
  disks:
    description: Paths on the file systems that are looked at, by a name that becomes part of the check's id.
    type: dict
    default: {}
  disk_bytes:
    description: Bytes that must be free on each, or O(disk_percent) of it, whichever is less.
    type: int
    default: 10737418240
  disk_percent:
    description: Percent of a file system that must be free.
    type: float
    default: 10
  disk_days:
    description: A file system that will be full in less days, at the rate of the days before, is a V(warn).
    type: float
    default: 7
  sample_days:
    description: Days of which one sample each is kept, for trends.
    type: int
    default: 14
  textfile_dir:
    description:
      - Directory of the text-file collector of Prometheus' node exporter, in which the metrics are written, whole and for everybody
        to read. Empty to write none.
    type: path
    default: ''
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.verdict
  - name: Text-file collector
    description: How the node exporter reads files.
    link: https://github.com/prometheus/node_exporter#textfile-collector
"""

EXAMPLES = r"""
- name: Look at the call slots
  prosaas.ops.capacity_check:
    project: prosaasil
    gather: true
  register: capacity

- name: Tell what is new, and what is over
  prosaas.ops.monitor:
    project: prosaasil
    results: ["{{ capacity }}"]
    disks: {engine: /var/lib/docker}
    textfile_dir: /var/lib/node_exporter/textfile
  register: monitored
  failed_when: monitored.troubles | length > 0
"""

RETURN = r"""
msg:
  description: All that goes on, the new first, a line each.
  returned: O(state=looked)
  type: str
  sample: |-
    1 trouble, 1 new.
    fail     capacity.leaked: 1 of 1 slots has leaked: CAleaked (since 2026-11-28T09:31:02Z)
news:
  description: A line for each trouble that is new or over.
  returned: O(state=looked)
  type: list
  elements: str
  sample: ["fail     capacity.leaked: 1 of 1 slots has leaked: CAleaked"]
new:
  description: Troubles that nobody was told of so far, each with C(id), C(check), C(status), C(said), C(remedy) and C(since).
  returned: O(state=looked)
  type: list
  elements: dict
over:
  description: Troubles that are over, which nobody was told so far.
  returned: O(state=looked)
  type: list
  elements: dict
troubles:
  description: All troubles that go on.
  returned: O(state=looked)
  type: list
  elements: dict
trends:
  description: A sentence for each number that has changed over the days.
  returned: O(state=looked)
  type: list
  elements: str
  sample: ["disk engine: 61.2 GiB free on 2026-11-14, 40.0 GiB free on 2026-11-28, full in 26 days at this rate"]
held_by:
  description: The run that changes the host now, so that no trouble began; empty when none does.
  returned: O(state=looked)
  type: str
metrics:
  description: Path of the metrics; empty when none were written.
  returned: O(state=looked)
  type: str
checks:
  description: The checks of this module itself, C(disk.NAME), and C(metrics.directory) with O(textfile_dir), worst first.
  returned: O(state=looked)
  type: list
  elements: dict
"""

import time
import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _check, _journal, _lease, _metrics, _monitor, _trend
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._memory import Memory, today
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["looked", "told"], "default": "looked"},
    "project": {"type": "str", "default": ""},
    "results": {"type": "list", "elements": "dict", "default": []},
    "window": {"type": "float", "default": 900},
    "calm": {"type": "float", "default": 0},
    "tell": {"type": "bool", "default": False},
    "told": {"type": "list", "elements": "str", "default": []},
    "disks": {"type": "dict", "default": {}},
    "disk_bytes": {"type": "int", "default": 10 << 30},
    "disk_percent": {"type": "float", "default": 10},
    "disk_days": {"type": "float", "default": 7},
    "sample_days": {"type": "int", "default": 14},
    "textfile_dir": {"type": "path", "default": ""},
}


def monitor(call: Call) -> Report:
    memory = Memory(call.state_dir, "monitor")
    before = _monitor.read(memory.before.get("troubles", []))
    if call.params["state"] == "told":
        memory.now["troubles"] = _monitor.kept(_monitor.told(before, call.params["told"]))
        report = Report()
    else:
        report = _look(call, memory, before)
    if not call.check_mode:
        memory.keep()
    return report


def _look(call: Call, memory: Memory, before: list[_monitor.Trouble]) -> Report:
    params, at, began = call.params, _journal.now(), time.monotonic()
    facts = {key: value for result in params["results"] for key, value in result.items()}
    disks = _trend.disks(params["disks"])
    sizes = {f"{_trend.DATABASE}{name}": one["size"] for name, one in (facts.get("databases") or {}).items()}
    rooms = {_trend.sample_of(disk): disk.free for disk in disks.values() if isinstance(disk, _trend.Disk)}
    samples = _trend.sampled(memory.before.get("samples", {}), today(), {**rooms, **sizes}, params["sample_days"])
    limits = _trend.Limits(params["disk_bytes"], params["disk_percent"], params["disk_days"])
    checks = _trend.checks(disks, samples, limits)
    textfile_dir = Path(params["textfile_dir"]) if params["textfile_dir"] else None
    checks += [_metrics.check(textfile_dir)] if textfile_dir else []
    policy = _check.Policy(params["advisory"], params["waivers"], params["attestations"])
    rows = [row for result in params["results"] for row in result.get("checks") or []]
    own = _check.judged(checks, policy)
    rows += own

    kinds, known = facts.get("kinds") or [], memory.before.get("kinds", {})
    holder = _lease.held(call.state_dir)
    now = _monitor.found(rows, kinds, known, params["window"] / 60)
    look = _monitor.compare(before, now, rows, at, params["calm"], held=holder is not None)
    news = _monitor.said(look, at)
    begun = {one.id for one in look.new} - {one.id for one in before}
    after = look.kept if params["tell"] else _monitor.told(look.kept, [one.id for one in look.kept])
    memory.now["troubles"] = _monitor.kept(after)
    memory.now["kinds"] = _monitor.acquainted(known, kinds, begun, today())
    memory.now["samples"] = samples

    seconds = sum(result.get("seconds") or 0 for result in params["results"]) + time.monotonic() - began
    measured = [
        *_metrics.of_look(look, time.time(), seconds),
        *_metrics.of_checks(rows),
        *_metrics.of_facts(facts, params["window"]),
        *_metrics.of_disks(disks.values()),
    ]
    written = ""
    if textfile_dir and textfile_dir.is_dir() and not call.check_mode:
        text = _metrics.text(measured, {"project": params["project"]})
        written = str(_metrics.write(textfile_dir, params["project"], text))
    return Report(
        facts={
            "msg": _monitor.summary(look),
            "news": news,
            "new": _monitor.kept(look.new),
            "over": _monitor.kept(look.over),
            "troubles": _monitor.kept(look.troubles),
            "trends": _trend.told(samples),
            "held_by": f"{holder.playbook} ({holder.run})" if holder else "",
            "metrics": written,
            "checks": own,
        }
    )


def main() -> None:
    run_module(OPTIONS, monitor)


if __name__ == "__main__":
    main()
