# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back with the configuration of a release: what comes back, what is kept of what it replaces."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _restore
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import Application
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._release import Release

KEY = "docker/ssl/origin.key"


@pytest.fixture(name="app")
def _app(world: t.Any, tmp_path: Path) -> Application:
    """A checkout with an environment file and a key, of which a release has older ones."""
    params = {"state_dir": str(tmp_path / "state"), "project": "x", "project_dir": str(world.host), "compose_files": ["c.yml"]}
    app = Application({**params, "env_file": ".env", "mounted_files": [KEY], "remote": "origin"}, world.execute)
    (world.host / "docker/ssl").mkdir(parents=True)
    (world.host / ".env").write_text("TOKEN=new-token\n")
    (world.host / ".env").chmod(0o640)
    (world.host / KEY).write_text("new key")
    return app


def release(app: Application, **files: str) -> Release:
    one = Release("20261101T000000Z-aaaaaaaaaaaa", "a" * 40, "Old", "20261101T000000Z", {})
    app.store.put(one)
    app.store.keep_files(one, {name: content.encode() for name, content in files.items()})
    return one


def test_dry_names_what_differs_and_changes_nothing(app: Application) -> None:
    one = release(app, **{"env": "TOKEN=old-token\n", f"files/{KEY}": "new key"})
    assert _restore.restore(app, one, dry=True) == [".env"]
    assert sorted(path.name for path in app.project.directory.glob(".env*")) == [".env"]
    assert (app.project.directory / ".env").read_text() == "TOKEN=new-token\n"


def test_what_comes_back_keeps_mode_and_place_and_what_it_replaces_is_kept(app: Application) -> None:
    one = release(app, **{"env": "TOKEN=old-token\n", f"files/{KEY}": "old key"})
    assert _restore.restore(app, one, dry=False) == [".env", KEY]
    env, aside = sorted(app.project.directory.glob(".env*"))
    assert env.read_text() == "TOKEN=old-token\n" and env.stat().st_mode & 0o777 == 0o640
    assert aside.read_text() == "TOKEN=new-token\n" and aside.stat().st_mode & 0o777 == 0o600
    replaced = list((app.state_dir / "replaced").rglob("*.key"))
    assert [path.read_text() for path in replaced] == ["new key"] and replaced[0].stat().st_mode & 0o777 == 0o600
    assert (app.project.directory / KEY).read_text() == "old key"
    assert aside.name not in app.git.status()[1], "the replaced environment file is no stray file of the checkout"
    assert _restore.restore(app, one, dry=False) == []


def test_a_release_without_its_configuration_is_refused(app: Application) -> None:
    one = release(app)
    with pytest.raises(OpsError, match="was not kept"):
        _restore.restore(app, one, dry=True)
