# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack that end-to-end tests share."""

from __future__ import annotations

import subprocess

import pytest
from demo_stack import ROOT, Stack


@pytest.fixture(scope="session")
def stack() -> Stack:
    return Stack()


@pytest.fixture(scope="session")
def deployed(stack: Stack) -> Stack:
    """The stack after ``demo/run --until deploy``: an older release and the newest one were deployed and verified."""
    done = subprocess.run(
        ["bash", "demo/run", "--until", "deploy"], cwd=ROOT, capture_output=True, text=True, timeout=1500, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return stack
