# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify on the stack: every check seen green and red by playbook runs, each red by a fault of the stack.

The tests of this file build on each other: they collect what the runs said, and the last ones judge the collection.
"""

from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Iterator

import pytest
from collection import GREEN, Collection, maker, printed, see
from demo_stack import DEMO, ROOT, Stack, run
from faults import Fault, cases, cloud
from load import Load
from verify_faults import stopped

SUBJECTS = ("services", "endpoints", "logs", "database", "capacity", "background", "webhook", "call")
FAULTS: list[tuple[str, Fault]] = [
    (subject, fault) for subject in SUBJECTS for fault in importlib.import_module(f"verify_faults.{subject}").FAULTS
]
TASKS = 12  # of a whole verify, at most
REAL = {"to": "+15005550006", "from": "+15005550010", "api_url": "https://api.twilio.test", "seconds": 3}
BEFORE = "first_call.prerequisites.webhook"  # Twilio's own setting: preflight asks Twilio


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    collected = Collection("verify")
    yield collected
    print(f"kept in {collected.keep()}")


def test_all_of_it_is_green_in_at_most_twelve_tasks(deployed: Stack, collection: Collection) -> None:
    if not list((DEMO / "state/backups").glob("2*")):
        assert deployed.play("backup").code == 0
    done = deployed.play("verify")
    assert done.code == 0, done.output
    record = deployed.record()
    open_questions = {check["id"] for check in record["checks"] if check["status"] == "unknown"}
    assert [check["id"] for check in record["checks"] if check["status"] == "fail"] == []
    assert all(next(c for c in record["checks"] if c["id"] == name)["question"] for name in open_questions)
    assert done.stats["ok"] + done.stats["changed"] <= TASKS
    assert done.stats["changed"] == 0
    collection.add(GREEN, record["checks"])


@pytest.mark.parametrize(("subject", "fault"), cases(FAULTS))
def test_a_fault_of_the_stack_is_seen_and_named(
    deployed: Stack, collection: Collection, subject: str, fault: Fault
) -> None:
    see(deployed, collection, subject, fault)


def test_a_deployment_puts_in_order_what_was_done_by_hand(deployed: Stack, collection: Collection) -> None:
    """As verify itself says; after it nothing is left to look at but what the application does."""
    assert deployed.play("deploy").code == 0
    done = deployed.play("verify")
    assert done.code == 0, done.output
    checks = deployed.record()["checks"]
    assert [check["id"] for check in checks if check["id"].startswith("compose.") and check["status"] != "pass"] == []
    collection.add(GREEN, checks)


@pytest.mark.soak
def test_the_lock_of_the_scheduler_is_seen_green_again(deployed: Stack, collection: Collection) -> None:
    """The old scheduler's lock lives on for a while, and nobody can tell it from the new one's."""
    deadline = time.monotonic() + 120
    while "pass" not in collection.statuses()["scheduler.lock"] and time.monotonic() < deadline:
        assert deployed.play("verify", "--tags", "verify_background").code == 0
        collection.add(GREEN, deployed.record()["checks"])


@pytest.mark.soak
def test_what_is_wrong_is_printed_worst_first_and_nothing_waits_for_what_cannot_come(deployed: Stack) -> None:
    """One service is away: the other subjects are looked at all the same, without their own deadlines."""
    with stopped("frontend"):
        done = deployed.play("verify", "-e", "verify_health_deadline=5", "-e", "verify_endpoints_deadline=120")
    record = deployed.record()
    assert done.code != 0
    assert {check["id"].partition(".")[0] for check in record["checks"]} >= {"compose", "endpoint", "logs", "capacity", "webhook"}
    lines = [line.split()[0] for line in printed(done.output).splitlines() if re.match(r"\s+(fail|unknown|warn) ", line)]
    assert lines == sorted(lines, key=["fail", "unknown", "warn"].index)
    assert "compose.frontend.state" in printed(done.output) and "endpoint.frontend" in printed(done.output)
    assert sum(step["seconds"] for step in record["steps"]) < 60


def test_twilio_makes_a_real_call_where_that_is_asked_for(deployed: Stack) -> None:
    """Over the public door, by the number's own webhook; then once more while the line is busy."""
    done = deployed.play("verify", "--tags", "verify_call", "-e", json.dumps({"verify_call_real": REAL}))
    assert done.code == 0, done.output
    checks = {check["id"]: check for check in deployed.record()["checks"]}
    assert {check["status"] for name, check in checks.items() if name != "call.answer_makes_sense"} == {"pass"}
    assert "(inbound) completed after" in checks["call.completed"]["evidence"]
    assert "it left call_log id " in checks["call.completed"]["evidence"]
    with cloud("twilio-busy"):
        done = deployed.play("verify", "--tags", "verify_call", "-e", json.dumps({"verify_call_real": REAL}))
    assert done.code != 0
    assert "call.connected" in printed(done.output) and "the number was busy" in printed(done.output)
    assert deployed.redis("SMEMBERS", "calls:active").strip() == ""


@pytest.mark.soak
def test_three_runs_leave_no_trace_while_calls_come_and_go(deployed: Stack) -> None:
    """No row, no slot and no job of ours; the calls of others lose nothing by it."""
    before = traces(deployed)
    with Load(DEMO, rate=10) as load:
        load.steady().mark()
        for _time in range(3):
            done = deployed.play("verify")
            assert done.code == 0, done.output
            assert deployed.statuses()["webhook.signed"] == "pass"
    found = load.report()
    assert found["calls"]["short"] > 3
    assert (found["failures"], found["calls"]["problems"]) == ([], {})
    assert traces(deployed) == before


def traces(stack: Stack) -> dict[str, str]:
    """Return the number of rows of every table, and what Redis holds of calls and of jobs."""
    count = "query_to_xml(format('SELECT count(*) AS n FROM %I.%I', table_schema, table_name), false, true, '')"
    tables = (
        f"SELECT table_name, (xpath('/row/n/text()', {count}))[1] FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1"
    )
    server = ("docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1", "psql", "-XAt", "-d", "prosaas", "-c")
    names = [name for name in stack.redis("KEYS", "*").splitlines() if re.match(r"calls:|rq:(queue|job|failed|wip)", name)]
    slots = stack.redis("SMEMBERS", "calls:active")
    return {"rows": run(*server, tables), "redis": "\n".join(sorted(names)), "slots": slots}


@pytest.mark.soak
def test_every_check_was_seen_green_and_red(deployed: Stack, collection: Collection) -> None:
    asked = {check["id"] for check in deployed.record()["checks"] if check["question"]}
    assert [name for name in collection.one_sided() if name not in asked] == [], "but for what only people know"


@pytest.mark.soak
def test_every_box_has_a_check_that_was_returned(collection: Collection) -> None:
    unseen = collection.unseen_boxes({"verify", "first_call"})
    assert [box for box in unseen if not box.startswith(BEFORE)] == []


@pytest.mark.soak
def test_the_table_in_the_docs_has_every_check(collection: Collection) -> None:
    """What a stack says in the middle of falling over differs from run to run; what turned red does not."""
    made = maker("make_faults").page("verify", [vars(one) for one in collection.seen])
    kept = (ROOT / "docs/faults-of-verify.md").read_text(encoding="utf-8")
    assert reds(kept) == reds(made), "run: python docs/make_faults.py"


def reds(page: str) -> set[str]:
    """Return the checks that have a row with a failure."""
    return set(re.findall(r"^\| `(\S+)` \|.*\| \*\*fail\*\* ", page, re.MULTILINE))
