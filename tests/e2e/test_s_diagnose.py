# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""diagnose on the demo: one archive with what helps, in which no secret of the stack is, in whatever form."""

from __future__ import annotations

import json
import stat
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest
from canary import Watch, hits, needles, secrets
from demo_stack import DEMO, PROJECT, Stack

LOUD = ["-vvvv", "--diff"]


def unpacked(directory: Path) -> dict[str, str]:
    """Return the files of the one archive that is there, by their names below its folder."""
    (path,) = directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(directory.stat().st_mode) == 0o700
    with tarfile.open(path) as archive:
        files = {entry.name: t.cast("t.IO[bytes]", archive.extractfile(entry)).read().decode() for entry in archive}
    assert {name.partition("/")[0] for name in files} == {path.name.removesuffix(".tar.gz")}
    return {name.partition("/")[2]: text for name, text in files.items()}


def test_the_archive_has_what_helps_and_no_secret_leaves_its_place(deployed: Stack, tmp_path: Path) -> None:
    runs = needles(secrets())
    printed = subprocess.run(
        ["docker", "logs", "prosaasil-migrate-1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    assert hits([("log", printed.stdout)], runs), "there is something to be masked"
    ids = deployed.ids()
    with Watch() as watch:
        done = deployed.play("diagnose", *LOUD, "-e", f"diagnose_dir={tmp_path}/archives", short=False)
    assert done.code == 0
    files = unpacked(tmp_path / "archives/demo")
    found = hits([("output", done.output), *watch.texts, *files.items(), *((name, name) for name in files)], runs)
    assert found == [], found
    assert list((DEMO / "state/diagnose").iterdir()) == [], "nothing stays on the host"
    assert deployed.ids() == ids

    assert (
        "MIGRATION CHECKPOINT" in files["logs/prosaasil-migrate-1.log"]
        and "********" in files["logs/prosaasil-migrate-1.log"]
    )
    assert {name.split("/")[1] for name in files if name.startswith("containers/")} == {
        f"prosaasil-{one}-1.json" for one in ids
    }
    assert (
        "server_name" in files["inside/nginx-configuration.txt"] and "redis_version" in files["inside/redis-info.txt"]
    )
    assert "of these live" in files["inside/redis-slots.txt"]
    assert "n8n.prosaas.test" in json.loads(files["certificates/prosaas-origin.crt.json"])[0]["names"]
    current = json.loads((DEMO / "state/current.json").read_text())["release"]
    assert json.loads(files["releases.json"])["serves"] == current and current in files["README.md"]
    assert json.loads(files["records.json"])[0]["run"] == max(path.stem for path in (DEMO / "state/records").iterdir())
    assert json.loads(files["env.json"])["variables"]["SECRET_KEY"]["fingerprint"]
    assert json.loads(files["connections.json"])["open"]["prosaasil-prosaas-calls-1"]["5050"] == 0


@pytest.mark.soak
def test_on_a_half_dead_host_it_gathers_what_it_can(
    deployed: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine does not answer, and the environment file is gone."""
    runs = needles(secrets())
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    aside = (PROJECT / ".env").rename(PROJECT / ".env.aside")
    try:
        done = deployed.play("diagnose", *LOUD, "-e", f"diagnose_dir={tmp_path}/archives", short=False)
    finally:
        aside.rename(PROJECT / ".env")
    assert done.code == 0
    assert "The engine: The Docker engine does not answer on this host." in done.output
    files = unpacked(tmp_path / "archives/demo")
    assert hits([("output", done.output), *files.items()], runs) == []
    assert "MIGRATION CHECKPOINT" in files["logs/prosaasil-migrate-1.log"]
    page = files["README.md"]
    assert (
        "The environment file, without values"
        in page.partition("## What is not in it")[2].partition("## What is in it")[0]
    )


def test_check_mode_writes_nothing(deployed: Stack, tmp_path: Path) -> None:
    done = deployed.play("diagnose", "--check", "-e", f"diagnose_dir={tmp_path}/archives", short=False)
    assert done.code == 0 and done.stats["changed"] == 0
    assert "The log of prosaasil-nginx-1" in done.output
    assert not (tmp_path / "archives").exists()
