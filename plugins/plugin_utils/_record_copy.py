# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's copy of a record: the bytes of the host, signed with the operator's key, and which one is the newest.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _chain, _journal, _signature, _store
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError


class Copied(t.NamedTuple):
    """Where the copy is, where its signature is (empty: unsigned), and what the operator must be told."""

    path: Path
    signature: str
    warnings: list[str]


def keep(directory: Path, run: str, data: bytes, key: str) -> Copied:
    """Write a record whole, mode 0600, and sign it. A key that cannot sign is a warning: the run has ended.

    Args:
        directory: of the host, below the directory of all records; made when it is missing.
        key: path of the key that signs; empty for none.
    """
    path = directory / f"{run}.json"
    _store.write_whole(path, data)
    signature, warnings = "", []
    if key:
        try:
            _signature.sign(key, path)
            signature = str(_signature.signature_of(path))
        except OpsError as error:
            warnings.append(f"The record {path} is not signed. {error}")
    return Copied(path, signature, warnings)


def set_head(directory: Path, run: str, data: bytes) -> None:
    """Write down which record is the newest, unless the one that is there already follows this one."""
    sha256 = hashlib.sha256(data).hexdigest()
    if not _is_followed(directory, sha256):
        _store.write_json(directory / _chain.HEAD, {"run": run, "sha256": sha256, "at": _journal.now()})


def _is_followed(directory: Path, sha256: str) -> bool:
    """Whether the head is the record of a run that ended beside this one, and after it."""
    try:
        head = _chain.head_of((directory / _chain.HEAD).read_bytes())
        newest = json.loads((directory / f"{head.run}.json").read_bytes())
        return isinstance(newest, dict) and newest.get("previous") == sha256
    except (OSError, ValueError):
        return False


def try_key(key: str) -> str:
    """Return why a key cannot sign, and the remedy; empty when it can. Something of no worth is signed to see it."""
    with tempfile.TemporaryDirectory(prefix="prosaas-") as directory:
        path = Path(directory, "try")
        path.write_bytes(b"prosaas.ops\n")
        try:
            _signature.sign(key, path)
        except OpsError as error:
            return f"The record of this run will not be signed. {error}"
    return ""
