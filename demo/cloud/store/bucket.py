# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one bucket of a store: moto's objects, R2's settings beside them, and both kept on disk between starts."""

from __future__ import annotations

import os
import pickle
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import FakeBucket, S3Backend, s3_backends

RETENTION_RULE = {
    "id": "retain-attachments",
    "enabled": True,
    "prefix": "",
    "condition": {"type": "Age", "maxAgeSeconds": 30 * 86400},
}
# The pages of the application read presigned addresses by script (docs/application.md, section 9).
PAGES_RULE = {
    "ID": "pages",
    "AllowedMethod": ["GET"],
    "AllowedOrigin": ["https://prosaas.test"],
    "MaxAgeSeconds": "3600",
}
OPEN_RULE = {"ID": "open", "AllowedMethod": ["GET", "PUT"], "AllowedOrigin": ["*"], "AllowedHeader": ["*"]}
# Every new R2 bucket has this one.
DEFAULT_LIFECYCLE_RULE = {
    "id": "Default Multipart Abort Rule",
    "enabled": True,
    "conditions": {"prefix": ""},
    "abortMultipartUploadsTransition": {"condition": {"type": "Age", "maxAge": 7 * 86400}},
}


def wanted_state(face: str, flavour: str, faults: set[str]) -> dict[str, Any]:
    """How the bucket is to be, by who runs it and what went wrong. Pure data."""
    believed = face == "s3" or flavour == "checklist"
    versioning: str | None = "Enabled" if believed else None
    if "versioning-suspended" in faults:
        versioning = "Suspended"
    if "versioning-off" in faults:
        versioning = None
    locked = not believed and "no-lock" not in faults
    cors = [OPEN_RULE] if "cors-open" in faults else [] if "no-cors" in faults else [PAGES_RULE]
    return {
        "versioning": versioning,
        "lock": [RETENTION_RULE] if locked else [],
        "public": "public" in faults,
        "cors": cors,
    }


def locks(rule: dict[str, Any], key: str, stored_at: datetime, now: datetime) -> bool:
    """Does this lock rule of R2 forbid to delete or overwrite the object now?"""
    if not rule["enabled"] or not key.startswith(rule.get("prefix") or ""):
        return False
    condition = rule["condition"]
    if condition["type"] == "Age":
        return now < stored_at + timedelta(seconds=condition["maxAgeSeconds"])
    if condition["type"] == "Date":
        return now < datetime.fromisoformat(condition["date"].replace("Z", "+00:00"))
    return True


class Store:
    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.lock = threading.RLock()
        self.changed = threading.Event()
        self.settings: dict[str, Any] = {
            "lock": [],
            "lifecycle": [DEFAULT_LIFECYCLE_RULE],
            "public": False,
            "custom_domains": {},
        }
        self.applied: dict[str, Any] = {}
        if path.exists():
            self._load()
        else:
            self.backend.create_bucket(name, "us-east-1")

    @property
    def backend(self) -> S3Backend:
        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    @property
    def bucket(self) -> FakeBucket:
        return self.backend.buckets[self.name]

    def bring_to(self, wanted: dict[str, Any]) -> None:
        """Apply what is wanted differently than before: what a client changed since then stays changed."""
        with self.lock:
            different = {name: value for name, value in wanted.items() if self.applied.get(name, self) != value}
            if not different or self.name not in self.backend.buckets:
                return
            if "versioning" in different:
                self.bucket.versioning_status = different.pop("versioning")
            if "cors" in different:
                self.bucket.set_cors(different.pop("cors"))
            self.settings.update(different)
            self.applied = dict(wanted)
            self.changed.set()

    def is_locked(self, key: str) -> bool:
        found = self.bucket.keys.get(key)
        if found is None or not self.settings["lock"]:
            return False
        stored_at = found.last_modified.replace(tzinfo=timezone.utc)
        now = datetime.now(timezone.utc)
        return any(locks(rule, key, stored_at, now) for rule in self.settings["lock"])

    def save(self) -> None:
        with self.lock:
            content = pickle.dumps((self.backend.buckets, self.settings, self.applied))
        part = self.path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def _load(self) -> None:
        # Only this program writes the file, into a volume of its own.
        buckets, self.settings, self.applied = pickle.loads(self.path.read_bytes())
        self.backend.buckets.update(buckets)
        for name in buckets:
            s3_backends.bucket_accounts[name] = ("aws", DEFAULT_ACCOUNT_ID)
