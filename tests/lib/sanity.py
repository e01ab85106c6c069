# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ansible-test sanity`, with what it needs where only a package index is reachable."""

from __future__ import annotations

import re
import subprocess
import sys

from result import Counts, report, run, say
from tree import COPY, WORK

SECONDS = 1200
HOME = WORK / "home"
CACHE = HOME / ".ansible" / "test" / "cache"

# ansible-test starts every virtual environment with a script that it downloads from a host of its own. The same
# version of pip as a wheel does the same work: a wheel of pip can be run as it is.
GET_PIP = '''\
import os
import sys

folder = os.path.dirname(os.environ["GET_PIP"])
sys.path.insert(0, os.path.join(folder, "{wheel}"))
from pip._internal.cli.main import main

wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--no-index", "--find-links", folder, "--upgrade", "--force-reinstall", *wanted]))
'''


def pip_wanted(python: str) -> str:
    """Return the version of pip that the installed ansible-test wants, read from its own data."""
    program = (
        "from types import SimpleNamespace; from ansible_test._internal.python_requirements import get_venv_packages;"
        f"print(get_venv_packages(SimpleNamespace(version={python!r}))['pip'])"
    )
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def prepare(python: str) -> None:
    """Put pip and its settings where ansible-test looks."""
    CACHE.mkdir(parents=True, exist_ok=True)
    version = pip_wanted(python)
    script = CACHE / f"get_pip_{version.replace('.', '_')}.py"
    if not script.exists():
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(CACHE), f"pip=={version}"]
        subprocess.run(download, check=True)
        script.write_text(GET_PIP.format(wheel=next(CACHE.glob(f"pip-{version}-*.whl")).name), encoding="utf-8")
    write_pip_settings()


def write_pip_settings() -> None:
    """Write pip's present settings into a file: ansible-test hides the environment and the home from pip."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    found = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed, re.MULTILINE)
    path = HOME / ".config" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The environment is listed last and wins, as it does for pip.
    lines = [f"{key} = {value}\n" for key, value in dict(found).items()]
    path.write_text("".join(["[global]\n", *lines]), encoding="utf-8")
    path.chmod(0o600)


def counted(output: str) -> tuple[list[str], list[str]]:
    """Return the tests that ran and those of them that failed, in ansible-test's words."""
    ran = re.findall(r'^Running sanity test "([^"]+)"', output, re.MULTILINE)
    listed = re.search(r"sanity test\(s\) listed below \(out of \d+\) failed.*\n((?:\S+\n?)+)", output)
    return ran, listed.group(1).split() if listed else []


def sanity() -> Counts:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    prepare(python)
    finished = run(
        ["ansible-test", "sanity", "--python", python, "--color", "no"],
        cwd=COPY,
        seconds=SECONDS,
        env={"HOME": str(HOME)},
    )
    ran, failed = counted(finished.output)
    if not ran or (not finished.ok and not failed):
        return report("ansible-test sanity", False, finished.seconds, finished.output)
    # The rest of its output tells what was installed where.
    say("".join(f"{line}\n" for line in finished.output.splitlines() if line.startswith(("ERROR: ", "FATAL: "))))
    for name in failed:
        say(f"FAILED {name}")
    say(f"{'ok    ' if not failed else 'FAILED'} ansible-test sanity on Python {python} ({finished.seconds:.1f} s)")
    return Counts(passed=len(ran) - len(failed), failed=len(failed))
