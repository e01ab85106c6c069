# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as runs write them, through the functions that write them."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _boxes, _journal, _run

ROOT = Path(__file__).resolve().parents[4]
CHECKLIST = yaml.safe_load((ROOT / "roles/prosaas/files/checklist.yml").read_text(encoding="utf-8"))["boxes"]
SCHEMA = json.loads((ROOT / "roles/prosaas/files/record.schema.json").read_text(encoding="utf-8"))
ASKED: dict[str, t.Any] = {
    "playbook": "deploy",
    "operator": "dana",
    "project": "app",
    "asked": {"commit": "main"},
    "controller": {"host": "laptop", "boot_id": "b", "pid": 1, "process_started": 2},
}
HOSTILE = "<script>document.title='owned'</script>\n\x1b[31m<img src=x onerror=alert(1)> & \"quotes\""
SAID = {"by": "dana", "reason": "looked <b>twice</b>", "until": "2999-12-31"}


def check(name: str, status: str, item: t.Sequence[int] = (), **more: t.Any) -> dict[str, t.Any]:
    return {
        **{"id": name, "title": f"The title of {name}", "status": status, "evidence": "seen", "remedy": "", "question": ""},
        **{"item": list(item), "seconds": 0.25, "required": True, "waiver": None, "attestation": None, **more},
    }


def record(state: Path, outcome: str = "failed", *checks: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the record of a run that saw some of everything."""
    run = str(_run.begin(state, ASKED, True, "", check_mode=False)["run"])
    checks = checks or (
        check("env.secret_key", "pass", [15]),
        check("logs.api.errors", "fail", [14], evidence=HOSTILE, remedy="Look at it"),
        check("dns.caa", "unknown", [20], question="Who did it?"),
        check("call.answer_makes_sense", "unknown", [26], question="Did it?", attestation={"check": "call.*", "box": None, **SAID}),
        check("webhook.forwarded", "fail", [30], waiver={"check": "webhook.forwarded", **SAID}),
        check("release.rehearsed", "warn", required=False),
        check("endpoint.extra", "fail", required=False),
        check("pages.login", "skip"),
    )
    _journal.append(
        state, run, {"step": "compose_health", "item": [], "status": "ok", "msg": "m", "seconds": 1.5, "checks": checks}
    )
    services = [{"service": "worker", "how": "replaced", "seconds": 2.5, "gap": 0.5}]
    switched = {"step": "release_switch", "item": [158], "status": "changed", "msg": HOSTILE, "seconds": 3.0, "services": services}
    _journal.append(state, run, {**switched, "calls": {"live": 0, "told": "nothing was live"}})
    said = [{"box": "golive.approval.technical", "check": None, **SAID}]
    return _run.end(state, run, outcome, f"It ended: {HOSTILE}", 30, _boxes.Asked(CHECKLIST, said))[0]
