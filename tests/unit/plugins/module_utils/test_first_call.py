# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of a call that was seen. The call itself: tests/integration/test_call_test.py."""

from __future__ import annotations

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _first_call
from ansible_collections.prosaas.ops.plugins.module_utils._call_slot import Seen
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, UNKNOWN, Outcome
from ansible_collections.prosaas.ops.plugins.module_utils._media_stream import Heard

REFUSED = Seen(refusal=Outcome(FAIL, "answered 403 instead of 200", "Look."))
COUNTED = Outcome(PASS, "1 of 15, as in Redis")


def good(**changes: object) -> Seen:
    seen = Seen(held=True, counted=COUNTED, closed=True, freed=True, uncounted=Outcome(PASS, "0 of 15, as in Redis"))
    seen.heard = Heard(frames=100, seconds=2.0, first=0.05, loudest=20000, lasted=2.02)
    for name, value in changes.items():
        setattr(seen.heard if hasattr(seen.heard, name) else seen, name, value)
    return seen


@pytest.mark.parametrize(
    ("seen", "status", "said"),
    [
        (good(), PASS, "was opened at the public address"),
        (REFUSED, FAIL, "answered 403"),
        (good(broken="closed by the other side with 1011", lasted=0.5), FAIL, "ended after 0.5 s"),
        (good(broken="closed by the other side with 1011", lasted=1.5), PASS, ""),
    ],
)
def test_a_call_that_is_hung_up_on_at_once_did_not_connect(seen: Seen, status: str, said: str) -> None:
    outcome = _first_call.judge_connected(seen)
    assert (outcome.status, said in outcome.evidence) == (status, True)


@pytest.mark.parametrize(
    ("seen", "status", "said"),
    [
        (good(), PASS, "first heard after 0.05 s; 100 messages with 2.0 s of sound"),
        (good(marks=2, told=1, clears=3), PASS, ", 1 of 2 marks told, 3 times cleared"),
        (good(first=-1), FAIL, "all of it is silence"),
        (good(first=-1, frames=0, lasted=15.0), FAIL, "no sound came back within 15.0 s"),
        (REFUSED, UNKNOWN, ""),
    ],
)
def test_silence_is_no_answer(seen: Seen, status: str, said: str) -> None:
    outcome = _first_call.judge_audio(seen)
    assert (outcome.status, said in outcome.evidence) == (status, True)
    assert bool(outcome.remedy) == (status != PASS)


@pytest.mark.parametrize(
    ("seen", "status", "said"),
    [
        (good(), PASS, "in the middle of the call: 1 of 15"),
        (good(counted=Outcome(FAIL, "it says 0 active, Redis 1", "Look.")), FAIL, "it says 0 active"),
        (good(counted=None), UNKNOWN, ""),
        (REFUSED, UNKNOWN, ""),
    ],
)
def test_the_count_is_that_of_the_middle_of_the_call(seen: Seen, status: str, said: str) -> None:
    outcome = _first_call.judge_counted(seen)
    assert (outcome.status, said in outcome.evidence) == (status, True)


@pytest.mark.parametrize(
    ("seen", "status", "said"),
    [
        (good(), PASS, "2.0 s; the application ended the stream when told to and took the status callback; it left call_log id 7"),
        (good(closed=False), PASS, "left the stream open for 5 s"),
        (good(broken="closed by the other side with 1012"), FAIL, "broke after 2.0 s: closed by the other side with 1012"),
        (good(ended="answered 403 instead of 204"), FAIL, "the end of the call was not taken: answered 403"),
        (REFUSED, UNKNOWN, ""),
    ],
)
def test_a_call_ends_by_its_own_end_alone(seen: Seen, status: str, said: str) -> None:
    outcome = _first_call.judge_completed(seen, "it left call_log id 7")
    assert (outcome.status, said in outcome.evidence) == (status, True)


@pytest.mark.parametrize(
    ("seen", "status", "said"),
    [
        (good(), PASS, "the slot is free; after the call: 0 of 15"),
        (good(freed=False, left="it was taken out here"), FAIL, "kept the slot of CA1: it was taken out here"),
        (good(uncounted=Outcome(FAIL, "it says 1 active, Redis 0", "Look.")), FAIL, "it says 1 active"),
        (good(uncounted=None, left="Redis does not answer"), UNKNOWN, "Redis does not answer"),
        (good(held=False), UNKNOWN, "never had a slot"),
        (REFUSED, UNKNOWN, "no call"),
    ],
)
def test_a_slot_that_is_kept_is_a_failure_though_it_was_taken_out(seen: Seen, status: str, said: str) -> None:
    outcome = _first_call.judge_uncounted(seen, "CA1")
    assert (outcome.status, said in outcome.evidence) == (status, True)
