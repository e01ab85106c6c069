# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner behind tests/run: which parts, in which order, and the counting."""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from lint import lint
from package import package
from result import Counts, report, run, say
from sanity import sanity
from tree import COPY, ROOT, WORK, copy_tree

# The time limits of the parts; a test that hangs meets pytest's own limit first.
DEMO_SECONDS = 1500
BESIDE_SECONDS = 1800
UNIT_SECONDS = 900
INTEGRATION_SECONDS = 2400
E2E_SECONDS = 3900
SOAK_SECONDS = 4 * 3600
TEST_SECONDS = 900


def pytest(part: str, cwd: Path, seconds: float, *options: str) -> Counts:
    """Run one folder of tests; every test counts."""
    results = WORK / "results" / f"{part}.xml"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", f"tests/{part}", f"--junitxml={results}", f"--timeout={TEST_SECONDS}"),
        *("-p", "no:cacheprovider", "--import-mode=importlib", "--durations=20", "--durations-min=5", *options),
    ]
    # Nothing may be written into the tree: package looks beside these tests at what is in it.
    environment = {
        "PYTHONPATH": str(WORK),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(WORK / "hypothesis"),
    }
    finished = run(command, cwd=cwd, seconds=seconds, env=environment, show=True)
    if not results.exists():
        return report(f"pytest tests/{part}", False, finished.seconds, "it ended without results")
    counts = read_junit(results)
    # A fault outside of any test, or a folder without tests, must not count as success.
    if not finished.ok and not counts.failed:
        counts += report(f"pytest tests/{part}", False, finished.seconds, f"it ended with code {finished.code}")
    return counts


def read_junit(path: Path) -> Counts:
    """Read pytest's own counts."""
    counts = Counts()
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        total, failed, skipped = (
            int(suite.get("tests", 0)),
            int(suite.get("failures", 0)) + int(suite.get("errors", 0)),
            int(suite.get("skipped", 0)),
        )
        counts += Counts(total - failed - skipped, failed, skipped)
    return counts


@functools.cache
def demo_is_ready() -> bool:
    """Have the engine, the images, the cloud and the application's repository; a demo of another checkout goes."""
    command = ["bash", "demo/run", "--until", "repository", "--replace"]
    # Health checks every 4 s: a deployment in a test then waits for the services, not for the next check.
    environment = {"DEMO_HEALTH_INTERVAL": "4s"}
    finished = run(command, cwd=ROOT, seconds=DEMO_SECONDS, env=environment)
    say(f"\n=== demo/run --until repository\n{finished.output}")
    return finished.ok


def on_demo(part: str, seconds: float, *options: str) -> Counts:
    if not demo_is_ready():
        return report(f"{part}: demo/run --until repository", False, 0, "its output is above")
    return pytest(part, ROOT, seconds, *options)


def counts_in(output: str) -> Counts:
    """Read the last line of a run of this program; without one it has failed."""
    last = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", output, re.MULTILINE)
    return Counts(*(int(number or 0) for number in last.groups())) if last else Counts(failed=1)


def other_core() -> Counts:
    """Run lint, sanity and unit once more with the other ansible-core; tests/run has made its environment."""
    python = os.environ.get("OTHER_PYTHON")
    if not python:
        say("skipped: this machine has no second Python for the other ansible-core")
        return Counts(skipped=1)
    path = f"{Path(python).parent}:{os.environ['PATH']}"
    finished = run([python, __file__, "quick"], cwd=ROOT, seconds=SOAK_SECONDS, env={"PATH": path})
    say(finished.output)
    return counts_in(finished.output)


Part = Callable[[], Counts]

WITHOUT_SOAK = ("-m", "not soak")
# Two processes share these tests, by the groups of tests/integration/conftest.py: most of them wait for something.
SHARED = ("--numprocesses=2",)
PARTS: dict[str, Part] = {
    "lint": lint,
    "sanity": sanity,
    "unit": lambda: pytest("unit", COPY, UNIT_SECONDS, *WITHOUT_SOAK),
    "package": package,
    "integration": lambda: on_demo("integration", INTEGRATION_SECONDS, *SHARED, *WITHOUT_SOAK),
    "e2e": lambda: on_demo("e2e", E2E_SECONDS, *WITHOUT_SOAK),
}
SOAK_PARTS: dict[str, Part] = {
    "lint": lint,
    "sanity": sanity,
    "unit": lambda: pytest("unit", COPY, SOAK_SECONDS),
    "package": package,
    "the other ansible-core": other_core,
    "integration": lambda: on_demo("integration", SOAK_SECONDS, *SHARED),
    "e2e": lambda: on_demo("e2e", SOAK_SECONDS),
}
QUICK = ("lint", "sanity", "unit")
ON_DEMO = ("integration", "e2e")
BESIDE = "--beside"  # by which this program starts itself for one part
AT_ONCE = 3


def chosen(words: list[str]) -> dict[str, Part] | None:
    """Return the parts that the command line asks for; None when it asks for something unknown."""
    if words == ["soak"]:
        return SOAK_PARTS
    names = QUICK if words == ["quick"] else words or PARTS
    return {name: PARTS[name] for name in names} if all(name in PARTS for name in names) else None


def one(name: str, part: Part) -> tuple[Counts, float]:
    """Run one part; return its counts and its seconds."""
    say(f"\n=== {name}")
    started = time.monotonic()
    try:
        found = part()
    except Exception as error:  # one broken part must not hide the others
        found = report(name, False, 0, f"{type(error).__name__}: {error}")
    taken = time.monotonic() - started
    say(f"=== {name}: {found} ({taken:.0f} s)")
    return found, taken


def beside(name: str) -> tuple[Counts, float]:
    """Run one part as a program of its own, so that what it prints comes in one piece."""
    finished = run([sys.executable, __file__, BESIDE, name], cwd=ROOT, seconds=BESIDE_SECONDS)
    say(finished.output.rstrip().rpartition("\n")[0])
    return counts_in(finished.output), finished.seconds


def results(parts: dict[str, Part], side_by_side: bool) -> Iterator[tuple[str, Counts, float]]:
    """Run the parts; those that need no demo run side by side, while the demo is made for the others."""
    apart = [name for name in parts if side_by_side and name not in ON_DEMO]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        if side_by_side and len(apart) < len(parts):
            pool.submit(demo_is_ready)
        for name, found in zip(apart, pool.map(beside, apart)):
            yield name, *found
    for name in parts:
        if name not in apart:
            yield name, *one(name, parts[name])


def main(words: list[str]) -> int:
    if words[:1] == [BESIDE]:
        found, _seconds = one(words[1], PARTS[words[1]])
        say(str(found))
        return 0
    parts = chosen(words)
    if parts is None:
        say(f"usage: tests/run [quick | soak | PART...], where PART is one of: {' '.join(PARTS)}")
        return 2
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    started = time.monotonic()
    copy_tree()
    counts, seconds = Counts(), {}
    for name, found, taken in results(parts, side_by_side=parts is not SOAK_PARTS and len(parts) > 1):
        counts, seconds[name] = counts + found, taken
    seconds["all of it"] = time.monotonic() - started
    say("\n" + "".join(f"{name:<24} {taken:6.0f} s\n" for name, taken in seconds.items()))
    say(str(counts))
    return 0 if counts.passed and not counts.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
