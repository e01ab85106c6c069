# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that has lost everything gets it back from the copy in the cloud (trap 26). The last test: it takes the records, too."""

from __future__ import annotations

import shutil
import subprocess

from belongings import RECORDINGS, SERVER, STATE, fill, mountpoint, rows, tree
from demo_stack import PROJECT, Stack, run

VOLUMES = ("n8n_data", "whatsapp_auth", "recordings_data")
LOST = ("docker/nginx/ssl/prosaas-origin.crt", "docker/nginx/ssl/prosaas-origin.key", ".env")


def test_a_host_that_has_lost_everything_gets_it_back(deployed: Stack) -> None:
    fill()
    served, kept = deployed.served(), {name: (PROJECT / name).read_bytes() for name in LOST}
    deployed.play("backup", "-e", RECORDINGS)
    before = ({name: tree(mountpoint(name)) for name in VOLUMES}, {name: rows(name) for name in ("prosaas", "n8n")})
    lose_everything()
    assert deployed.ids() == {}

    done = deployed.play("restore", "-e", "restore_from=cloud")
    assert done.code == 0, done.output
    record = deployed.record()
    assert record["outcome"] == "restored"
    assert deployed.served() == served
    assert {name: (PROJECT / name).read_bytes() for name in LOST} == kept
    assert (PROJECT / ".env").stat().st_mode & 0o077 == 0
    after = ({name: tree(mountpoint(name)) for name in VOLUMES}, {name: rows(name) for name in ("prosaas", "n8n")})
    for name in VOLUMES:
        # The application has started since; what it writes then is its own. Nothing of what was kept has changed.
        assert {path: after[0][name].get(path) for path in before[0][name]} == before[0][name], name
    lost = set(before[1]["n8n"].splitlines()) - set(after[1]["n8n"].splitlines())
    assert lost == set()
    assert "notes|5000" in after[1]["prosaas"] and before[1]["prosaas"] == after[1]["prosaas"]
    assert not (STATE / "recovery").exists(), "what was there before has gone"
    assert deployed.play("verify").code == 0


def lose_everything() -> None:
    """The host is empty: no checkout, container, volume, setting, release or backup; the databases are dropped."""
    compose = ["docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.prod.yml"]
    subprocess.run([*compose, "down", "-v"], cwd=PROJECT, check=True, capture_output=True, timeout=180)
    shutil.rmtree(PROJECT)
    for database in ("prosaas", "n8n"):
        run(*SERVER, "-d", "postgres", "-c", f"DROP DATABASE {database} WITH (FORCE)")
    # One provider lets its customers make databases, the other gives them an empty one.
    run(*SERVER, "-d", "postgres", "-c", "CREATE DATABASE prosaas OWNER prosaas")
    run(*SERVER, "-d", "postgres", "-c", "ALTER ROLE n8n CREATEDB")
    for path in STATE.iterdir():
        if path.name == "runtime":
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
