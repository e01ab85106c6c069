# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release a host runs, and where its code comes from, for whoever has to build the host again.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from ._compose import Execute
from ._release import Store


def release_here(state_dir: Path, directory: Path, execute: Execute) -> dict[str, str]:
    """Return id and commit of the release that serves, and the remote; what is not known is left out."""
    current = Store(state_dir).current()
    found = {"id": current.id, "commit": current.commit} if current else {}
    if "commit" not in found:
        found["commit"] = _git(execute, directory, "rev-parse", "HEAD")
    found["remote"] = without_password(_git(execute, directory, "remote", "get-url", "origin"))
    return {name: value for name, value in found.items() if value}


def without_password(url: str) -> str:
    """Return the URL of a repository without who signs in, which may hold a token."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return url
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _git(execute: Execute, directory: Path, *arguments: str) -> str:
    rc, out, _err = execute(["git", "-C", str(directory), *arguments])
    return str(out).strip() if rc == 0 else ""
