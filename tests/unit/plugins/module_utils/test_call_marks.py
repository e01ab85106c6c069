# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a call of ours may be made, and how its ids are told from those of others."""

from __future__ import annotations

import re

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._call_marks import Sids, no_room
from ansible_collections.prosaas.ops.plugins.module_utils._capacity import FILLER, Slots, Wanted

LIMIT = Wanted(15, "MAX_ACTIVE_CALLS")


@pytest.mark.parametrize(
    ("slots", "limit", "said"),
    [
        (Slots(), LIMIT, ""),
        (Slots(live=tuple("abcdefghijklm")), LIMIT, ""),
        (Slots(live=tuple("abcdefghijklmn")), LIMIT, "1 of 15 slots are free, and 2 must be"),
        (Slots(live=tuple("abcdefghijklm"), leaked=("n",)), LIMIT, "1 of 15"),
        (Slots(live=tuple("abcdefghijklmnop")), LIMIT, "0 of 15"),
        (Slots(fillers=(f"{FILLER}run-1:0",)), LIMIT, "admission is closed by run-1"),
        (Slots(abandoned=(f"{FILLER}run-1:0",)), LIMIT, "admission is closed by run-1"),
        (Slots(), Wanted(None, "the configuration"), "is not known (the configuration)"),
    ],
)
def test_a_call_is_made_only_where_the_next_caller_still_finds_a_slot(slots: Slots, limit: Wanted, said: str) -> None:
    assert said in no_room(slots, limit)
    assert bool(no_room(slots, limit)) == bool(said)


def test_ids_are_well_formed_and_share_a_beginning_that_no_other_run_has() -> None:
    ours, others = Sids(), Sids()
    given = [ours.new() for _each in range(50)]
    assert ours.given == given and len(set(given)) == 50
    assert all(re.fullmatch(r"CA[0-9a-f]{32}", sid) and ours.tag in sid for sid in given)
    assert ours.tag not in others.new()
