# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sessions must be connected, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _sessions
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN, WARN
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._memory import Memory
from ansible_collections.prosaas.ops.plugins.module_utils._sessions import (
    Session,
    Wanted,
    judge_connected,
    judge_paired,
    undecided,
)

wanted = Wanted(["chat"], "/data", "{tenant}/creds.json", "me.id", "", settled=["idle", "qr"], idle="idle")
WAS = {"one": {"on": "2026-11-01", "service": "chat"}}
START, FORGET = "Start it.", "Forget {tenant}."


def session(**about: object) -> Session:
    return Session("one", "chat", **about)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "before", "status", "remedy"),
    [
        (session(connected=True), WAS, PASS, ""),
        (session(state="idle"), WAS, FAIL, START),
        (session(state="idle"), {}, WARN, START),
        (session(state="qr"), WAS, FAIL, "pair anew"),
        (session(paired=False, state="idle"), WAS, FAIL, "pair anew"),
        (session(error=OpsError("refused", "Look.")), WAS, FAIL, "Look."),
        (session(error=Unreachable("silent", "Look.")), WAS, UNKNOWN, "Look."),
    ],
)
def test_what_was_connected_must_be(
    found: Session, before: dict[str, dict[str, str]], status: str, remedy: str
) -> None:
    outcome = judge_connected([found], before, wanted, START)
    assert outcome.status == status
    assert remedy in outcome.remedy


def test_who_never_paired_is_no_fault_and_whose_pairing_is_gone_is() -> None:
    assert judge_paired([], {}, FORGET).status == judge_connected([], {}, wanted, START).status == PASS
    gone = judge_paired([session(paired=False)], WAS, FORGET)
    assert (gone.status, gone.remedy.endswith("Forget one.")) == (FAIL, True)
    assert judge_paired([session()], WAS, FORGET).status == PASS


def test_one_tenant_that_logs_out_on_its_phone_is_a_remark_and_all_of_them_are_a_fault() -> None:
    both = {**WAS, "two": WAS["one"]}
    found = [session(connected=True), Session("two", "chat", paired=False, state="idle")]
    assert judge_paired(found, both, FORGET).status == WARN
    assert judge_connected(found, both, wanted, START).status == PASS
    everybody = [session(paired=False, state="idle"), Session("two", "chat", paired=False, state="idle")]
    assert judge_paired(everybody, both, FORGET).status == judge_connected(everybody, both, wanted, START).status == FAIL


def test_only_what_may_still_change_is_waited_for() -> None:
    still = [session(state="connecting"), session(error=Unreachable("not yet"))]
    certain = [session(connected=True), session(state="qr"), session(state="idle"), session(error=OpsError("refused"))]
    assert undecided([*still, *certain], wanted) == still


@pytest.mark.parametrize("text", ["", "[]", "{", '{"me": null}', '{"me": {"id": ""}}'])
def test_a_file_without_the_value_pairs_nobody(text: str) -> None:
    assert not _sessions._whole(text, "me.id")
    assert _sessions._whole('{"me": {"id": "1"}}', "me.id")


def test_what_is_remembered_is_kept_whole_and_forgotten_by_name(tmp_path: Path) -> None:
    memory = Memory(tmp_path, "things")
    assert memory.before == {}
    memory.now["sessions"] = {**WAS, "two": WAS["one"]}
    memory.keep()
    assert memory.path.stat().st_mode & 0o777 == 0o600
    again = Memory(tmp_path, "things")
    again.forget("sessions", ["two"])
    assert again.before == {"sessions": WAS}
    again.keep()
    assert Memory(tmp_path, "things").before == {"sessions": WAS}
