# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work tree as Git sees it, and its copy at a path that Ansible's tools accept as a collection."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".tests"
COPY = WORK / "ansible_collections" / "prosaas" / "ops"

# The links that show a checkout as a collection: the copy is one.
NOT_COPIED = (".collections/",)


def tracked_files() -> list[str]:
    """Return the files that are committed or would be by `git add --all`."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = (name for name in listed.stdout.split("\0") if name and not name.startswith(NOT_COPIED))
    return sorted(name for name in names if os.path.lexists(ROOT / name))


def copy_tree() -> None:
    """Make the copy equal to the work tree; files that are equal are left alone, so that caches stay warm."""
    wanted = set(tracked_files())
    COPY.mkdir(parents=True, exist_ok=True)
    # A repository of its own: the tools ask Git what to look at, and the outer one ignores this folder.
    subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)
    for path in sorted(COPY.rglob("*"), reverse=True):
        if path.relative_to(COPY).parts[0] == ".git":
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif str(path.relative_to(COPY)) not in wanted:
            path.unlink()
    for name in wanted:
        copy_file(ROOT / name, COPY / name)


def copy_file(source: Path, target: Path) -> None:
    """Copy one file with its time and mode, a link as a link."""
    if os.path.lexists(target):
        old, new = target.lstat(), source.lstat()
        if (old.st_mtime_ns, old.st_size, old.st_mode) == (new.st_mtime_ns, new.st_size, new.st_mode):
            return
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
