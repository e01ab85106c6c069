# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight on the stack: every check seen green and red by playbook runs, each red by a fault of the stack.

The tests of this file build on each other: they collect what the runs said, and the last ones judge the collection.
"""

from __future__ import annotations

import fnmatch
import importlib
import re
from collections.abc import Iterator

import pytest
from collection import GREEN, Collection, maker, printed, see, table
from demo_stack import ROOT, Stack
from faults import Fault, cases

SUBJECTS = ("env", "host", "tls", "dns", "storage", "database", "services", "code")
FAULTS: list[tuple[str, Fault]] = [
    (subject, fault) for subject in SUBJECTS for fault in importlib.import_module(f"faults.{subject}").FAULTS
]
TASKS = 12  # of a whole preflight, at most

# Their messages name versions, folders of the kernel, limits.
OF_THE_MACHINE = r"\| `host\.(engine|compose|memory|ulimits|clock|disk)`"

# What cannot be asked while something else is away.
CAN_BE_UNKNOWN = [
    *("env.overrides", "env.running"),
    *("host.network", "host.volumes", "host.ports", "host.project", "tls.match", "tls.chain", "tls.served"),
    *("dns.*", "r2.*", "database.*.connect", "database.*.inside", "database.campaigns"),
    *("services.*", "database.backups", "database.retention", "code.tests", "code.scan", "code.commit"),
]


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    collected = Collection("preflight")
    yield collected
    print(f"kept in {collected.keep()}")


def test_all_of_it_is_green_in_at_most_twelve_tasks(deployed: Stack, collection: Collection) -> None:
    done = deployed.play("preflight")
    assert done.code == 0, done.output
    record = deployed.record()
    assert [check["id"] for check in record["checks"] if check["status"] in ("fail", "unknown")] == []
    assert done.stats["ok"] + done.stats["changed"] <= TASKS
    assert done.stats["changed"] == 0
    collection.add(GREEN, record["checks"])


@pytest.mark.parametrize(("subject", "fault"), cases(FAULTS))
def test_a_fault_of_the_stack_is_seen_and_named(
    deployed: Stack, collection: Collection, subject: str, fault: Fault
) -> None:
    see(deployed, collection, subject, fault)


def test_what_is_wrong_is_printed_worst_first_a_line_each(deployed: Stack) -> None:
    """Three subjects at once: nothing stops at the first failure, and failures come before what is not known."""
    with deployed.env_line("SECRET_KEY", None), deployed.env_line("COOKIE_SECURE", "false"):
        done = deployed.play("preflight")
    lines = [line.split()[0] for line in printed(done.output).splitlines() if re.match(r"\s+(fail|unknown|warn) ", line)]
    assert lines[:2] == ["fail", "fail"]
    order = ["fail", "unknown", "warn"]
    assert lines == sorted(lines, key=order.index)


@pytest.mark.soak
def test_an_attestation_answers_and_is_recorded_and_an_expired_one_does_not(deployed: Stack) -> None:
    """Without a token for the forge nobody can know whether the tests were green: a person says so."""
    untold = ["--tags", "preflight_services", "-e", "preflight_services_forge_repository="]
    asked = deployed.play("preflight", *untold)
    assert asked.code != 0
    assert "{check: code.tests, by: NAME" in asked.output
    answer = "{check: code.*, by: dana, reason: saw them green, until: '%s'}"
    for until, code in (("2099-01-01", 0), ("2026-01-01", 2)):
        answered = deployed.play("preflight", *untold, "-e", f"{{prosaas_attestations: [{answer % until}]}}")
        assert answered.code == code, answered.output
    assert deployed.play("preflight", *untold, "-e", f"{{prosaas_attestations: [{answer % '2099-01-01'}]}}").code == 0
    check = next(check for check in deployed.record()["checks"] if check["id"] == "code.tests")
    assert (check["status"], check["attestation"]["by"]) == ("unknown", "dana"), "recorded as what it is"


@pytest.mark.soak
def test_every_check_was_seen_green_and_red(collection: Collection) -> None:
    assert len(collection.statuses()) > 100
    assert collection.one_sided() == []


@pytest.mark.soak
def test_every_check_that_can_be_unknown_was_seen_so(collection: Collection) -> None:
    statuses = collection.statuses()
    can_be = [name for name in statuses if any(fnmatch.fnmatchcase(name, pattern) for pattern in CAN_BE_UNKNOWN)]
    assert sorted(name for name in can_be if "unknown" not in statuses[name]) == []


@pytest.mark.soak
def test_every_check_that_the_checklist_names_was_returned(collection: Collection) -> None:
    assert collection.unseen_boxes({"preflight"}) == []


@pytest.mark.soak
def test_the_table_in_the_docs_is_what_was_seen(collection: Collection) -> None:
    made = maker("make_faults").page("preflight", [vars(one) for one in collection.seen])
    kept = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    assert table(kept, OF_THE_MACHINE) == table(made, OF_THE_MACHINE), "run: python docs/make_faults.py"
