# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules share and no other test sees: a connection that is lost does not end a change half way."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A module's work: it starts a program, as all of ours do, and both live on when ssh hangs up.
WORK = """
import signal, subprocess
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
from ansible_collections.prosaas.ops.plugins.module_utils import _module
if {mutates}:
    _module._outlive_the_connection()
child = subprocess.Popen(["sh", "-c", "echo ready; read line; echo $line"])
child.wait()
print(child.returncode, flush=True)
"""


@pytest.mark.parametrize(("mutates", "end"), [(True, "go\n0\n"), (False, "")])
def test_a_change_goes_on_when_the_connection_hangs_up_and_a_look_need_not(mutates: bool, end: str) -> None:
    argv = [sys.executable, "-c", WORK.format(mutates=mutates)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "ready\n"
        subprocess.run(["kill", "-HUP", "--", f"-{process.pid}"], check=True)
        out, _err = process.communicate("go\n", timeout=20)
        assert out == end
        assert (process.returncode == -signal.SIGHUP) is not mutates
