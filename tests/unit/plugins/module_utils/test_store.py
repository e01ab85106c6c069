# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _secrets, _store


def test_file_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    _store.write_whole(path, b"one")
    _store.write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["file"]


def test_failure_leaves_the_old_file_and_no_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    _store.write_whole(path, b"old")

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_store.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        _store.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_fingerprints_tell_values_apart_only_with_the_key(tmp_path: Path) -> None:
    key = _secrets.host_key(tmp_path)
    assert key == _secrets.host_key(tmp_path)
    assert (tmp_path / "fingerprint.key").stat().st_mode & 0o777 == 0o600
    assert _secrets.fingerprint(key, "a") == _secrets.fingerprint(key, b"a")
    assert _secrets.fingerprint(key, "a") != _secrets.fingerprint(key, "b")
    assert _secrets.fingerprint(b"another", "a") != _secrets.fingerprint(key, "a")


def test_check_mode_makes_no_key_file(tmp_path: Path) -> None:
    assert len(_secrets.host_key(tmp_path, keep=False)) == 32
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("token is abcdefgh!", ["abcdefgh"], "token is ********!"),
        ("short stays", ["short"], "short stays"),
        ("quoted a%2Fb%2Fc%2Fd%2Fe", ["a/b/c/d/e"], "quoted ********"),
        ("longer first abcdefghij", ["abcdefgh", "abcdefghij"], "longer first ********"),
        ("redis://:pw-of-redis@redis:6379/0", [], "redis://:********@redis:6379/0"),
        ("https://example.test:8443/path", [], "https://example.test:8443/path"),
    ],
)
def test_redaction(text: str, values: list[str], shown: str) -> None:
    assert _secrets.redact(text, values) == shown
