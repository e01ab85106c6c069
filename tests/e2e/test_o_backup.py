# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of the whole stack while it is called, and its restore drill (trap 26).

The tests of this file build on each other.
"""

from __future__ import annotations

import os
import shutil

import pytest
from belongings import BACKUPS, RECORDINGS, fill, mountpoint, newest, tree
from demo_stack import DEMO, Stack, run
from load import Load


def test_a_backup_while_calls_come_and_go_cuts_none(deployed: Stack) -> None:
    """Somebody is on the line all the time, so nothing is held: what did not change while it was read is good."""
    with Load(DEMO, rate=10) as load:
        load.steady().mark()
        done = deployed.play("backup", "-e", "backup_calls_deadline=1")
    found = load.report()
    assert done.code == 0, done.output
    assert (found["failures"], found["calls"]["problems"]) == ([], {})
    assert newest()["downtime"] == {}
    check = next(check for check in deployed.record()["checks"] if check["id"] == "backup.volume.n8n_data")
    assert "n8n not held, since " in check["evidence"], check


def test_alone_it_holds_what_writes_for_a_moment(deployed: Stack) -> None:
    before = deployed.ids()
    fill()
    done = deployed.play("backup", "-e", RECORDINGS)
    assert done.code == 0, done.output
    assert {name: status for name, status in deployed.statuses().items() if status not in ("pass", "skip")} == {}
    assert set(newest()["downtime"]) == {"n8n", "baileys"} and max(newest()["downtime"].values()) < 10
    assert deployed.ids() == before, "paused, not stopped"
    assert "n8n_data" in done.output.partition("Say what there is now")[2]


def test_check_mode_changes_nothing(deployed: Stack) -> None:
    before = sorted(os.listdir(BACKUPS))
    done = deployed.play("backup", "--check", "--diff", "-e", RECORDINGS)
    assert done.code == 0 and "would be packed from" in done.output
    assert sorted(os.listdir(BACKUPS)) == before


def test_the_drill_restores_it_and_leaves_nothing(deployed: Stack) -> None:
    before = (deployed.ids(), run("docker", "volume", "ls", "-q"), run("docker", "network", "ls", "-q"))
    done = deployed.play("restore", "-e", "drill=true")
    assert done.code == 0, done.output
    statuses = deployed.statuses()
    assert {statuses[f"drill.{one}"] for one in ("volume.n8n_data", "database.main", "database.n8n", "seconds")} == {"pass"}
    assert (deployed.ids(), run("docker", "volume", "ls", "-q"), run("docker", "network", "ls", "-q")) == before


@pytest.mark.soak
def test_a_part_comes_back_and_the_rest_goes_on(deployed: Stack) -> None:
    """A session was lost: its volume comes from the backup, and nobody else is stopped."""
    good, before = tree(mountpoint("whatsapp_auth") / "kept"), deployed.ids()
    shutil.rmtree(mountpoint("whatsapp_auth") / "kept")
    part = "parts=volume:whatsapp_auth"
    refused = deployed.play("restore", "-e", part)
    assert refused.code != 0 and "-e restore_overwrite=true" in refused.output
    assert deployed.ids() == before
    done = deployed.play("restore", "-e", part, "-e", "restore_overwrite=true")
    assert done.code == 0, done.output
    assert tree(mountpoint("whatsapp_auth") / "kept") == good
    after = deployed.ids()
    shots = {"migrate", "indexer", "backfill"}  # every start runs them again
    assert {service for service in after if after[service] != before[service]} - shots == {"baileys"}
