# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a change is allowed: windows over midnight and over the change of clocks, freezes, and the freeze of a host."""

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, Outcome
from ansible_collections.prosaas.ops.plugins.module_utils._code_window import calendar, judge
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

NIGHTS = {"days": ["mon", "tue"], "from": "22:00", "to": "02:00"}
HOLIDAYS = {"from": "2026-12-20", "until": "2027-01-03", "reason": "Holidays", "by": "dana"}
BERLIN = "Europe/Berlin"


def ask(
    now: str,
    *windows: dict[str, t.Any],
    freezes: t.Sequence[dict[str, t.Any]] = (),
    zone: str = "UTC",
    path: Path = Path("/nowhere/freeze"),
) -> Outcome:
    moment = datetime.datetime.fromisoformat(now).replace(tzinfo=datetime.timezone.utc)
    return judge(calendar(windows, freezes, zone, path), moment)


def test_without_windows_and_freezes_it_is_always_allowed() -> None:
    assert ask("2026-11-25 03:00") == Outcome(PASS, "no window is set, no freeze")


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        ("2026-11-23 21:59", False),  # a Monday
        ("2026-11-23 22:00", True),
        ("2026-11-24 01:59", True),
        ("2026-11-24 02:00", False),
        ("2026-11-25 01:00", True),  # Tuesday's window
        ("2026-11-25 23:00", False),
        ("2026-11-23 01:00", False),  # it would be Sunday's
    ],
)
def test_window_over_midnight_belongs_to_the_day_on_which_it_begins(now: str, allowed: bool) -> None:
    assert (ask(now, NIGHTS).status == PASS) == allowed


def test_outside_the_next_window_is_told() -> None:
    assert "Wait until 2026-11-30 22:00 UTC;" in ask("2026-11-25 02:00", NIGHTS).remedy
    assert "Wait until 2026-11-25 09:00 UTC;" in ask("2026-11-25 02:00", NIGHTS, {"from": "09:00", "to": "10:00"}).remedy
    assert ask("2026-11-23 23:00", NIGHTS).evidence == "in a window until 2026-11-24 02:00 UTC, no freeze"


def test_windows_follow_the_clocks_of_their_zone() -> None:
    """In Berlin the clocks went back an hour on 2026-10-25 at 3:00, and forward on 2026-03-29 at 2:00."""
    early = {"days": ["sun"], "from": "01:00", "to": "04:00"}
    assert ask("2026-10-24 22:59", early, zone=BERLIN).status == FAIL
    assert ask("2026-10-25 02:59", early, zone=BERLIN).status == PASS
    assert ask("2026-10-25 03:00", early, zone=BERLIN).status == FAIL
    assert ask("2026-03-29 01:59", early, zone=BERLIN).status == PASS
    assert ask("2026-03-29 02:00", early, zone=BERLIN).status == FAIL
    assert ask("2026-10-25 00:30", early, zone=BERLIN).evidence == "in a window until 2026-10-25 04:00 Europe/Berlin, no freeze"


def test_freeze_holds_from_its_first_day_to_the_end_of_its_last() -> None:
    freezes = [HOLIDAYS]
    assert ask("2026-12-19 23:59", freezes=freezes).status == PASS
    found = ask("2026-12-20 00:00", freezes=freezes)
    assert (found.status, found.evidence) == (FAIL, "frozen until 2027-01-04 00:00 UTC by dana: Holidays")
    assert "Wait until 2027-01-04 00:00 UTC" in found.remedy
    assert ask("2027-01-03 23:59", freezes=freezes).status == FAIL
    assert ask("2027-01-04 00:00", freezes=freezes).status == PASS


def test_the_next_moment_is_in_a_window_and_in_no_freeze() -> None:
    freezes = [HOLIDAYS, {"from": "2027-01-04 12:00", "until": "2027-01-05T06:00", "reason": "Audit"}]
    remedy = ask("2026-12-21 23:00", NIGHTS, freezes=freezes).remedy
    assert "Wait until 2027-01-05 22:00 UTC" in remedy


def test_freeze_of_a_zone_that_is_not_ours() -> None:
    freezes = [{"until": "2026-11-25 12:00", "reason": "Outage"}]
    assert ask("2026-11-25 10:59", freezes=freezes, zone=BERLIN).status == FAIL
    assert ask("2026-11-25 11:00", freezes=freezes, zone=BERLIN).status == PASS


def test_freeze_of_the_host(tmp_path: Path) -> None:
    path = tmp_path / "freeze"
    path.write_text("# written at 3 a.m.\nuntil: 2026-11-26\n\nreason: 'Phones are down: twice'\nby: dana\n")
    found = ask("2026-11-25 10:00", path=path)
    assert (found.status, found.evidence) == (FAIL, "frozen until 2026-11-27 00:00 UTC by dana: Phones are down: twice")
    assert f"when it is over before: rm {path}" in found.remedy
    assert ask("2026-11-27 00:00", path=path).status == PASS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks by, reason, until"),
        ("until: 2026-11-26\nby: dana\n", "lacks reason"),
        ("until: soon\nby: dana\nreason: x\n", "a freeze has the date soon"),
        ("until: 9999-12-31\nby: dana\nreason: x\n", "a freeze has the date 9999-12-31"),
        ("do not deploy!\n", "has a line 1 that is none of by, from, reason, until"),
        ("until: 2026-11-26\nby: dana\nreason: x\nuntli: 2027-01-01\n", "has a line 4"),
        ("\xff", "cannot be read"),
    ],
)
def test_freeze_of_the_host_that_is_not_understood_is_in_force(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "freeze"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(OpsError, match=said.replace("a freeze has", "A freeze has")) as caught:
        ask("2026-11-25 10:00", path=path)
    assert "so it is in force" in caught.value.problem and f"rm {path}" in caught.value.remedy


@pytest.mark.parametrize("time", ["1320", "24:00", "9:00", "22:60", ""])
def test_time_that_yaml_took_for_a_number_is_refused_with_the_remedy(time: str) -> None:
    with pytest.raises(OpsError, match="Write it in quotes"):
        ask("2026-11-25 10:00", {"from": time, "to": "23:00"})


def test_zone_that_is_not_known_says_what_to_install() -> None:
    with pytest.raises(OpsError, match="apt-get install tzdata"):
        ask("2026-11-25 10:00", zone="Mars/Olympus")
