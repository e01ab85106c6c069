# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with runs and a controller with the signed copies of their records, made by what makes them in a deployment."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _chain_check, _record, _signature
from ansible_collections.prosaas.ops.plugins.plugin_utils import _record_copy

START = datetime.datetime(2026, 11, 2, 8, 0, 0)
STATE = Path("/var/lib/prosaas")


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", path], check=True)
    return path


class World:
    """A host with runs, an hour apart, and the controller's copies of their records."""

    def __init__(self, directory: Path, runs: int = 5) -> None:
        self.state, self.copies = directory / "state", directory / "records" / "web-1"
        self.key, self.thief = make_key(directory / "dana"), make_key(directory / "thief")
        self.allowed = directory / "allowed_signers"
        self.allowed.write_text(f'dana@example.test namespaces="prosaas-record" {self.public(self.key)}', encoding="utf-8")
        self.runs: list[str] = []
        for _number in range(runs):
            self.run()

    @staticmethod
    def public(key: Path) -> str:
        return key.with_suffix(".pub").read_text(encoding="utf-8")

    def run(self, key: str | None = None, **said: t.Any) -> Path:
        """Let a run end: its record on the host, the copy, its signature, the head."""
        started = START + datetime.timedelta(hours=len(self.runs))
        record = {
            **{"schema": _record.SCHEMA, "run": f"{started:%Y%m%dT%H%M%SZ}-deploy-{len(self.runs):04x}", "outcome": "verified"},
            **{"started": f"{started:%Y-%m-%dT%H:%M:%SZ}", "finished": f"{started:%Y-%m-%dT%H:%M:09Z}", "msg": "wörks", **said},
        }
        data = _record.write(self.state, record).read_bytes()
        copied = _record_copy.keep(self.copies, str(record["run"]), data, str(self.key) if key is None else key)
        _record_copy.set_head(self.copies, str(record["run"]), data)
        self.runs.append(str(record["run"]))
        return copied.path

    def copy(self, number: int) -> Path:
        return self.copies / f"{self.runs[number]}.json"

    def edit(self, path: Path, key: Path | None = None, **said: t.Any) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **said}), encoding="utf-8")
        if key:
            _signature.sign(str(key), path)

    def forge(self, like: int, name: str, key: Path | None = None, **said: t.Any) -> Path:
        """Slip a file in, made of another."""
        path = self.copies / f"{name}.json"
        shutil.copy(self.copy(like), path)
        self.edit(path, key, run=name, **said)
        return path

    def remove(self, number: int) -> str:
        self.copy(number).unlink()
        _signature.signature_of(self.copy(number)).unlink(missing_ok=True)
        return self.runs[number]

    def unsign(self, *numbers: int) -> None:
        for number in numbers or range(len(self.runs)):
            _signature.signature_of(self.copy(number)).unlink()

    def found(self, allowed: bool = True) -> _chain_check.Found:
        kept = _chain_check.read(self.copies, str(self.allowed) if allowed else "")
        return _chain_check.judge(kept, STATE, allowed)

    def named(self, allowed: bool = True) -> dict[str, str]:
        return {row["run"]: row["found"] for row in self.found(allowed).rows if row["found"] not in ("ok", "attempt")}

    def status(self, allowed: bool = True) -> dict[str, str]:
        return {check.id.removeprefix("records.web-1."): check.status for check in self.found(allowed).checks}
