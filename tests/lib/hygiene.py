# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for what may be committed, each a function from a file's name and text to sentences about its faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

Check = Callable[[str, str], Iterator[str]]

# Put together here, since this file is under the rule itself.
MACHINE_PATHS = ("/" + "work/", "../" + "shared", "." + "library/", "/root/" + ".")
REGISTRIES = [
    ".".join(words)
    for words in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("npmjs", "org"),
        ("docker", "io/v2"),
        ("galaxy", "ansible", "com"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
]

LICENSE_LINE = "SPDX-License-Identifier: GPL-3.0-or-later"
SOURCE_SUFFIXES = {".py", ".sh", ".yml", ".yaml", ".toml", ".cfg", ".ini", ".conf", ".j2", ".js", ".sql"}
# Written by a tool, or example text that is copied as it is.
NO_LICENSE_LINE = ("changelogs/changelog.yaml", "changelogs/fragments/")


def read_text(path: Path) -> str:
    """Return a file's text; nothing for a link, for a folder and for what is not text."""
    if path.is_symlink() or not path.is_file():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def is_source(name: str, text: str) -> bool:
    file = name.rsplit("/", maxsplit=1)[-1]
    return Path(name).suffix in SOURCE_SUFFIXES or file.startswith("Dockerfile") or text.startswith("#!")


def license_line(name: str, text: str) -> Iterator[str]:
    if text and is_source(name, text) and not name.startswith(NO_LICENSE_LINE) and LICENSE_LINE not in text[:1000]:
        yield f"{name}: its first lines lack \"{LICENSE_LINE}\""


def machine_paths(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        for word in (*MACHINE_PATHS, *REGISTRIES):
            if word in line:
                yield f"{name}:{number}: names {word}"


def whole_lines(name: str, text: str) -> Iterator[str]:
    if text and not text.endswith("\n"):
        yield f"{name}: its last line has no end"
    if re.search(r"[ \t]+$", text, re.MULTILINE) and not name.endswith((".md", "COPYING")) and "LICENSES" not in name:
        yield f"{name}: has spaces at the end of a line"


def short_files(name: str, text: str) -> Iterator[str]:
    if name.endswith((".py", ".sh")) and text.count("\n") > 500:
        yield f"{name}: {text.count(chr(10))} lines; past 400 a file should be two"


CHECKS: dict[str, Check] = {
    "every source file names its licence": license_line,
    "no path of one machine and no registry's host": machine_paths,
    "lines are whole": whole_lines,
    "no file is far too long": short_files,
}
