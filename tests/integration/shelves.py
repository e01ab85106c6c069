# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups on a shelf of their own, made of given bytes: what tests of copies copy, and how they compare it."""

from __future__ import annotations

import hashlib
import io
import os
import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _codec, _store
from ansible_collections.prosaas.ops.plugins.module_utils._codec import CODECS
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import FILE, VOLUME, Backup, Part, Shelf
from tiny import module

PASSWORD = "correct-horse-battery-staple-42"
ENV = b"N8N_ENCRYPTION_KEY=a-key-that-nobody-may-see\n"
PROJECT = "copytest"


class Rig:
    """A shelf, and the module with one place called here."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.shelf = Shelf(_store.private_dir(directory / "backups"), PROJECT)
        self.password = directory / "password"
        self.password.write_text(PASSWORD + "\n", encoding="ascii")
        self.place: dict[str, t.Any] = {
            "name": "here",
            "address": str(directory / "repository"),
            "password_file": str(self.password),
            "init": True,
            "check_percent": 100,
        }

    def back_up(self, backup_id: str, volume: bytes, env: bytes = ENV, codec: str = "zstd", **more: t.Any) -> Backup:
        made = Backup(backup_id, PROJECT)
        with self.shelf.draft(backup_id) as (_id, draft):
            path = draft / f"n8n_data_{backup_id}.tar{CODECS[codec].suffix}"
            sums = _codec.write(io.BytesIO(volume), path, CODECS[codec])
            made.parts.append(
                Part(kind=VOLUME, name="n8n_data", source="v", file=path.name, codec=codec, **sums._asdict(), **more)
            )
            _store.write_whole(draft / "files/.env", env)
            digest = hashlib.sha256(env).hexdigest()
            sizes = {"bytes": len(env), "sha256": digest, "raw_bytes": len(env), "raw_sha256": digest}
            made.parts.append(Part(kind=FILE, name=".env", source=".env", file="files/.env", mode="0600", **sizes))
            self.shelf.publish(draft, made)
        return made

    def options(self, **more: t.Any) -> dict[str, t.Any]:
        place = {**self.place, **more.pop("here", {})}
        own = {
            "project": PROJECT,
            "backup_dir": str(self.shelf.directory),
            "places": [place],
            "patience": 20,
            "lock_wait": 5,
        }
        return {**own, "state_dir": str(self.directory / "state"), **more}

    def copy(self, state: str = "present", check_mode: bool = False, **more: t.Any) -> dict[str, t.Any]:
        result = module("backup_copy", check=check_mode, state=state, **self.options(**more))
        assert PASSWORD not in str(result)
        assert "Traceback" not in str(result) and "error of its own" not in str(result), result["msg"]
        return result

    def listed(self, **more: t.Any) -> list[str]:
        return t.cast("list[str]", self.copy("listed", **more)["copies"][0]["backups"])

    def fetch(self, backup_id: str, **more: t.Any) -> dict[str, bytes]:
        """Bring a backup to a shelf that is empty; return the uncompressed content of its parts by their labels."""
        there = self.directory / f"fetched-{os.urandom(4).hex()}"
        result = self.copy("fetched", backup=backup_id, backup_dir=str(there), **more)
        assert not result.get("failed") and result["changed"], result["msg"]
        (backup,), unreadable = Shelf(there, PROJECT).backups()
        assert backup.id == (backup_id or backup.id) == result["backup"] and not unreadable
        found = {}
        for part in backup.parts:
            path = Path(result["path"]) / part.file
            assert path.stat().st_mode & 0o777 == 0o600
            with _codec.reading(path, CODECS[part.codec]) as stream:
                found[part.label] = b"".join(iter(lambda stream=stream: stream.read(1 << 20), b""))  # type: ignore[misc]
                assert stream.sums() == (part.bytes, part.sha256, part.raw_bytes, part.raw_sha256)
        assert not list(there.glob(".*partial"))
        return found
