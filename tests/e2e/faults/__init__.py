# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the stack, a file per subject of preflight: how each is made, and which checks it must turn to what.

A fault changes the stack (a file on the host, a container, the cloud), never our variables and never a mock.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo_stack import ROOT, run


@dataclass(frozen=True)
class Fault:
    """One fault of the stack.

    Attributes:
        said: what has happened, as it stands in the table of docs/preflight.md.
        make: makes it, and takes it back whatever happens.
        turns: status by check id, as the fault must turn it. Other checks may turn, too.
    """

    said: str
    make: Callable[[], t.ContextManager[None]]
    turns: dict[str, str]


def cases(faults: Sequence[tuple[str, Fault]]) -> list[t.Any]:
    """Return the faults as parameters of a test: the first of each subject always, the others in the soak."""
    seen: set[str] = set()
    found = []
    for subject, fault in faults:
        marks = [pytest.mark.soak] if subject in seen else []
        found.append(pytest.param(subject, fault, marks=marks, id=f"{subject}: {fault.said}"))
        seen.add(subject)
    return found


@contextlib.contextmanager
def cloud(name: str) -> Iterator[None]:
    """A bad day of the demo's cloud (demo/cloud/fault lists them)."""
    script = str(ROOT / "demo/cloud/fault")
    run("bash", script, name, "on")
    try:
        yield
    finally:
        run("bash", script, name, "off")
        if name.endswith("-down"):
            run("bash", str(ROOT / "demo/cloud/up"))  # which waits for the answers


@contextlib.contextmanager
def edited(path: Path, change: Callable[[str], str]) -> Iterator[None]:
    """A file on the host has been edited by hand; owner and mode stay."""
    before = path.read_bytes()
    path.write_text(change(before.decode("utf-8")), encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(before)


@contextlib.contextmanager
def both(*makers: Callable[[], t.ContextManager[None]]) -> Iterator[None]:
    """Several faults at once."""
    with contextlib.ExitStack() as stack:
        for make in makers:
            stack.enter_context(make())
        yield
