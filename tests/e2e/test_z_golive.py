# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going live: by what the runs of the tests before have left on record, and by the names of those who say yes."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import pytest
from demo_stack import DEMO, ROOT, Stack

SETTLED = {"pass", "skip", "warn", "attested"}


def page_of(stack: Stack) -> str:
    return (DEMO / f"records/demo/{stack.record()['run']}.html").read_text(encoding="utf-8")


def is_approved(stack: Stack) -> None:
    """Every box has an answer, and what only people can say has the demo's name."""
    record = stack.record()
    assert (record["playbook"], record["outcome"]) == ("golive", "approved")
    open_boxes = [f"{box['id']}: {box['status']} {box['answers']}" for box in record["boxes"] if box["status"] not in SETTLED]
    assert len(record["boxes"]) == 161 and open_boxes == []
    assert {box["attestation"]["by"] for box in record["boxes"] if box["attestation"]} == {"demo"}
    counts = Counter(box["status"] for box in record["boxes"])
    assert counts["attested"] <= 6 and counts["pass"] > 140, counts
    page = page_of(stack)
    assert all(box["id"] in page for box in record["boxes"])


def test_without_names_it_is_refused_with_a_list(deployed: Stack) -> None:
    done = deployed.play("golive")
    assert done.code != 0
    assert all(f"golive.approval.{name}" in done.output for name in ("technical", "stakeholder", "incident_plan", "support"))
    assert deployed.record()["outcome"] == "failed"


def test_by_name_and_on_fresh_evidence_it_is_approved(deployed: Stack) -> None:
    assert deployed.play("deploy").code == 0, "looks at everything once more"
    # The tests before have made trouble on purpose.
    assert deployed.play("monitor", "-e", json.dumps({"monitor_record": True, "monitor_window": 30})).code == 0
    done = deployed.play("golive", "-e", "@demo/golive.yml")
    assert done.code == 0
    is_approved(deployed)


@pytest.mark.soak
def test_the_demo_ends_with_a_page_on_which_every_box_has_an_answer(deployed: Stack) -> None:
    for path in (DEMO / "records/demo").glob("*-golive-*"):
        path.unlink()
    done = subprocess.run(["bash", "demo/run"], cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    is_approved(deployed)
    assert f"records/demo/{deployed.record()['run']}.html" in done.stdout
