# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease: who may change a host, when it may be taken over, and when not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _lease
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError


def holder(run: str) -> _lease.Holder:
    return _lease.Holder(run, "dana", "laptop", "boot-1", 4711, 99, "deploy", "2026-11-22T20:00:00Z")


def age(state: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(state / "lease.json", (then, then))


def test_free_lease_is_taken_and_given_back(tmp_path: Path) -> None:
    assert _lease.take(tmp_path, holder("one")) is None
    assert _lease.holder(tmp_path) == holder("one")
    assert (tmp_path / "lease.json").stat().st_mode & 0o777 == 0o600
    _lease.release(tmp_path, "one")
    assert _lease.holder(tmp_path) is None


def test_held_lease_names_its_owner_and_the_way_out(tmp_path: Path) -> None:
    _lease.take(tmp_path, holder("one"))
    with pytest.raises(_lease.Held, match=r"dana on laptop \(process 4711\) runs deploy.*prosaas_break_lease=one") as held:
        _lease.take(tmp_path, holder("two"))
    assert held.value.details["holder"]["run"] == "one"


def test_somebody_else_cannot_give_it_back(tmp_path: Path) -> None:
    _lease.take(tmp_path, holder("one"))
    _lease.release(tmp_path, "two")
    assert _lease.holder(tmp_path) == holder("one")


def test_expired_lease_is_taken_over_and_the_old_holder_is_told(tmp_path: Path) -> None:
    _lease.take(tmp_path, holder("one"))
    age(tmp_path, _lease.TTL_SECONDS + 1)
    assert _lease.take(tmp_path, holder("two")) == holder("one")


def test_an_expired_lease_holds_nobody_up_unless_a_module_still_works(tmp_path: Path) -> None:
    assert _lease.held(tmp_path) is None
    _lease.take(tmp_path, holder("one"))
    assert _lease.held(tmp_path) == holder("one")
    with _lease.working(tmp_path, "one", True):
        age(tmp_path, _lease.TTL_SECONDS + 1)
        assert _lease.held(tmp_path) == holder("one")
    age(tmp_path, _lease.TTL_SECONDS + 1)
    assert _lease.held(tmp_path) is None


def test_lease_of_a_run_known_to_be_dead_is_taken_over_at_once(tmp_path: Path) -> None:
    _lease.take(tmp_path, holder("one"))
    with pytest.raises(_lease.Held):
        _lease.take(tmp_path, holder("two"), dead="another")
    assert _lease.take(tmp_path, holder("two"), dead="one") == holder("one")


def test_expired_lease_is_not_taken_over_while_a_module_still_works(tmp_path: Path) -> None:
    """The module of a killed controller goes on; another process stands for it here, since file locks are per process."""
    _lease.take(tmp_path, holder("one"))
    code = "import fcntl,sys,time; f=open(sys.argv[1],'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", code, str(tmp_path / "lease.work")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None and worker.stdout.readline() == "held\n"
        age(tmp_path, _lease.TTL_SECONDS + 1)
        with pytest.raises(_lease.Held, match="still working") as held:
            _lease.take(tmp_path, holder("two"), dead="one")
        assert held.value.details["busy"] is True
        worker.kill()
    assert _lease.take(tmp_path, holder("two"), dead="one") == holder("one")


def test_working_renews_the_lease_of_its_run(tmp_path: Path) -> None:
    _lease.take(tmp_path, holder("one"))
    age(tmp_path, 500)
    with _lease.working(tmp_path, "one", mutates=False):
        pass
    assert time.time() - (tmp_path / "lease.json").stat().st_mtime < 60


def test_mutating_step_without_the_lease_is_refused(tmp_path: Path) -> None:
    _lease.take(tmp_path, holder("two"))
    with pytest.raises(OpsError, match="does not hold the lease"), _lease.working(tmp_path, "one", mutates=True):
        pytest.fail("it must not work")


def test_mutating_module_on_its_own_is_refused_while_a_run_holds_the_lease(tmp_path: Path) -> None:
    with _lease.working(tmp_path, "", mutates=True):
        pass
    _lease.take(tmp_path, holder("one"))
    with pytest.raises(_lease.Held), _lease.working(tmp_path, "", mutates=True):
        pytest.fail("it must not work")


def test_ten_processes_at_once_get_one_lease(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ansible_collections.prosaas.ops.plugins.module_utils import _lease\n"
        "h = _lease.Holder(sys.argv[2], 'o', 'c', 'b', 1, 1, 'deploy', '')\n"
        "try:\n    _lease.take(Path(sys.argv[1]), h); print('won')\n"
        "except _lease.Held:\n    print('held')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), f"run-{n}"], stdout=subprocess.PIPE, text=True, env=environment
        )
        for n in range(10)
    ]
    said = [run.communicate()[0].strip() for run in runs]
    assert sorted(said) == ["held"] * 9 + ["won"]
