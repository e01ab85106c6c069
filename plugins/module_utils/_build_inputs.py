# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files an image is built from: those of its build context that its Dockerfile copies and .dockerignore leaves in.

For telling beforehand which images a change reaches. When in doubt a file counts; what is really new the build tells.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import posixpath
import re
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence

Show = Callable[[str], str]

_COPY = re.compile(r"(?:COPY|ADD)\s+(?P<rest>.+)", re.IGNORECASE)


def changed(build: Mapping[str, t.Any], root: str, names: Iterable[str], show: Show) -> list[str]:
    """Return those of the changed files that go into an image.

    Args:
        build: the ``build`` of a service in the resolved model.
        root: the project directory, below which the names are.
        show: returns the content of a file at the commit to be built, empty when it is not there.
    """
    context = build.get("context") or "."
    if "://" in context or build.get("dockerfile_inline"):
        return list(names)
    folder = posixpath.relpath(posixpath.normpath(posixpath.join(root, context)), root)
    if folder.startswith(".."):
        return []
    dockerfile = posixpath.normpath(posixpath.join(folder, build.get("dockerfile") or "Dockerfile"))
    own = f"{dockerfile}.dockerignore"
    general = posixpath.normpath(posixpath.join(folder, ".dockerignore"))
    ignored = rules(show(own) or show(general))
    sources = copied(show(dockerfile))
    found = []
    for name in names:
        inside = posixpath.relpath(name, folder)
        if name == dockerfile or (
            not inside.startswith("../") and is_copied(inside, sources) and not is_ignored(inside, ignored)
        ):
            found.append(name)
    return found


def copied(dockerfile: str) -> list[str] | None:
    """Return the sources of a Dockerfile's COPY and ADD; ``None`` when it may take anything."""
    sources: list[str] = []
    text = re.sub(r"\\[ \t]*\n", " ", dockerfile)
    if "--mount=type=bind" in text or not text.strip():
        return None
    for line in text.splitlines():
        found = _COPY.fullmatch(line.strip())
        if not found:
            continue
        words = _words(found["rest"])
        options = [word for word in words if word.startswith("--")]
        if any(option.startswith("--from=") for option in options):
            continue
        sources += [word for word in words if not word.startswith("--")][:-1]
    return (
        None
        if any("$" in source for source in sources)
        else [_bare(source) for source in sources if "://" not in source]
    )


def _words(rest: str) -> list[str]:
    options = re.match(r"(?:--\S+\s+)*", rest)
    head = options.group() if options else ""
    if rest[len(head) :].startswith("["):
        try:
            return head.split() + [str(word) for word in json.loads(rest[len(head) :])]
        except ValueError:
            return ["$"]
    return rest.split()


def _bare(source: str) -> str:
    return posixpath.normpath(source.lstrip("/") or ".")


def is_copied(name: str, sources: Sequence[str] | None) -> bool:
    """Whether a file of the context is a source, or below one."""
    if sources is None or "." in sources:
        return True
    return any(pattern(source).match(name) for source in sources)


def rules(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """Read a .dockerignore: for each line whether it ignores or takes back, and what it matches."""
    lines = [line.strip() for line in text.splitlines()]
    return [(not line.startswith("!"), pattern(_bare(line.lstrip("!")))) for line in lines if line and line[0] != "#"]


def is_ignored(name: str, given: Iterable[tuple[bool, re.Pattern[str]]]) -> bool:
    """Whether the last rule that matches a file, or a folder above it, ignores it."""
    ignored = False
    for ignores, matches in given:
        if matches.match(name):
            ignored = ignores
    return ignored


def pattern(glob: str) -> re.Pattern[str]:
    """Return what matches a path, or a folder above it, as Docker reads patterns: ``**`` crosses folders."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", glob)
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    regex = "".join(
        meant.get(part) or (part.replace("[^", "[^/") if part.startswith("[") else re.escape(part)) for part in parts
    )
    return re.compile(regex + r"(?:/.*)?\Z", re.DOTALL)
