# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linters as data: each is one test."""

from __future__ import annotations

import concurrent.futures
import time
from pathlib import Path

import hygiene
from result import Counts, report, run
from tree import COPY, ROOT, WORK, tracked_files

SECONDS = 600

ENVIRONMENT = {
    "ANSIBLE_COLLECTIONS_PATH": str(WORK),
    "ANSIBLE_HOME": str(WORK / "ansible"),
    "MYPYPATH": str(WORK),
    "NO_COLOR": "1",
}

COMMANDS: dict[str, list[str]] = {
    "ansible-lint, production profile": ["ansible-lint", "--offline", "--strict", "--profile", "production"],
    "ruff": ["ruff", "check", "--no-cache", "--quiet", "--output-format=concise", "."],
    "mypy": ["mypy", f"--cache-dir={WORK / 'mypy'}", "-p", "ansible_collections.prosaas.ops.plugins.module_utils"],
    "antsibull-changelog": ["antsibull-changelog", "lint"],
    "antsibull-docs": ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "."],
}
SHELLCHECK = ["shellcheck", "--format=gcc", "--external-sources", "--source-path=SCRIPTDIR"]


def command_test(name: str, command: list[str]) -> tuple[str, bool, float, str]:
    finished = run(command, cwd=COPY, seconds=SECONDS, env=ENVIRONMENT)
    return name, finished.ok, finished.seconds, finished.output


def shell_scripts() -> list[str]:
    """Return the tracked bash files, by their first line: the commands have no suffix."""
    marks = (b"#!/usr/bin/env bash", b"#!/bin/bash", b"# shellcheck shell=bash")
    return [name for name in tracked_files() if (ROOT / name).is_file() and first_line(ROOT / name).startswith(marks)]


def first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(200)


def hygiene_test(name: str, faults: hygiene.Check) -> tuple[str, bool, float, str]:
    started = time.monotonic()
    found = [fault for path in tracked_files() for fault in faults(path, hygiene.read_text(ROOT / path))]
    return name, not found, time.monotonic() - started, "\n".join(found)


def lint() -> Counts:
    """Run all linters, two at a time."""
    commands = {**COMMANDS, "shellcheck": [*SHELLCHECK, *shell_scripts()]}
    counts = Counts()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        tests = [pool.submit(command_test, name, command) for name, command in commands.items()]
        tests += [pool.submit(hygiene_test, name, check) for name, check in hygiene.CHECKS.items()]
        for test in concurrent.futures.as_completed(tests):
            counts += report(*test.result())
    return counts
