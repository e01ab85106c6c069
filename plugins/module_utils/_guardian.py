# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that puts things right when this one dies: it waits until told that all is well, or until we are gone.

Nothing that is killed with -9 can clean up after itself. The guardian is in a session of its own and holds the reading
end of a pipe; the kernel closes the other end with us.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_WELL = b"well"
_SCRIPT = """
import json, subprocess, sys
if sys.stdin.buffer.read() != b"well":
    for argv in json.loads(sys.argv[1]):
        subprocess.run(argv, stdin=subprocess.DEVNULL, check=False)
"""


@contextmanager
def watching(commands: Sequence[Sequence[str]]) -> Iterator[None]:
    """Have these commands run, one after the other, should this process die before the end of the block."""
    quiet = subprocess.DEVNULL
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-c", _SCRIPT, json.dumps([list(argv) for argv in commands])],
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
    )
    try:
        yield
    finally:
        # Whoever leaves the block has put things right, or says that it could not.
        guardian.communicate(_WELL)
