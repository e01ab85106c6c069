# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing never asks and never stops a run, with real keys and a real agent."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _signature
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.plugin_utils import _record_copy

from .chains import World, make_key


@pytest.mark.parametrize("named", ["private", "public"])
def test_key_with_a_passphrase_signs_by_the_agent_and_never_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    key, path = make_key(tmp_path / "key", "correct horse"), tmp_path / "record.json"
    path.write_text("{}", encoding="utf-8")
    given = str(key if named == "private" else key.with_suffix(".pub"))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(OpsError, match=f"cannot sign without asking.*ssh-add {key}"):
        _signature.sign(given, path)
    assert not _signature.signature_of(path).exists()
    socket = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            monkeypatch.setenv("SSH_AUTH_SOCK", socket)
            add_key(key, socket)
            _signature.sign(given, path)
        finally:
            agent.terminate()
    assert _signature.verify([_signature.Asked(path)], "")[0].state == _signature.FITS


def add_key(key: Path, socket: str) -> None:
    """Give a key to the agent without its passphrase: as a copy that has none."""
    bare = shutil.copy(key, key.with_name("bare"))
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "correct horse", "-N", "", "-f", bare], check=True, capture_output=True)
    for _try in range(50):
        done = subprocess.run(["ssh-add", "-q", bare], env={**os.environ, "SSH_AUTH_SOCK": socket}, check=False, capture_output=True)
        if done.returncode == 0:
            return
    pytest.fail(done.stderr.decode())


def test_key_that_is_not_there_leaves_a_record_and_a_warning(tmp_path: Path) -> None:
    world = World(tmp_path, runs=2)
    path = world.run(key=str(world.key.with_name("nobody")))
    copied = _record_copy.keep(path.parent, path.stem, path.read_bytes(), "/nowhere/key")
    assert copied.signature == "" and "ssh-keygen -t ed25519 -f /nowhere/key" in copied.warnings[0]
    assert world.named() == {path.stem: "unsigned"}
    assert "There is no key" in _record_copy.try_key("/nowhere/key") and _record_copy.try_key(str(world.key)) == ""


def test_key_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "ssh-keygen"
    slow.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("key", "record.json"):
        (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(OpsError, match="there was no answer in 0 s"):
        _signature.sign(str(tmp_path / "key"), tmp_path / "record.json", seconds=0.2)
