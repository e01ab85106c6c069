# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job, in the order in which a user meets it. The tests of this file build on each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from canary import LOUD, nothing_leaks
from demo_stack import DEMO, PROJECT, ROOT, Stack, run

FLAVOURS = ["checklist", "as_found"]  # the demo ends as it began


def everything(stack: Stack) -> dict[str, object]:
    """What check mode must leave alone: containers, images, volumes, networks, the project directory, the state."""
    files = {
        str(path.relative_to(DEMO)): (path.stat().st_mtime_ns, path.stat().st_size)
        for top in ("prosaasil", "state", "records")
        for path in (DEMO / top).rglob("*")
        if path.is_file() and ".git" not in path.parts and "runtime" not in path.parts
    }
    return {
        "containers": stack.ids(),
        "images": stack.images(),
        "volumes": run("docker", "volume", "ls", "-q"),
        "networks": run("docker", "network", "ls", "-q"),
        "commit": run("git", "-C", PROJECT, "rev-parse", "HEAD"),
        "worktrees": run("git", "-C", PROJECT, "worktree", "list"),
        "files": files,
    }


def test_demo_run_ends_with_a_verified_deployment(deployed: Stack) -> None:
    record = deployed.record()
    assert record["playbook"] == "deploy"
    assert record["outcome"] in ("verified", "unchanged"), "unchanged: the demo was up when the tests began"
    assert record["release_after"]["verified"]
    assert record["release_after"]["commit"] == deployed.commit("main")
    assert deployed.served() == "1.3.0"
    assert not deployed.locked()
    assert {check["status"] for check in record["checks"] if check["required"]} <= {"pass", "skip", "warn"}


def test_second_run_changes_nothing(deployed: Stack) -> None:
    before, images = deployed.ids(), deployed.images()
    command = ["bash", "demo/run", "--until", "deploy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^demo  unchanged after .*: 0 changed, \d+ ok", done.stdout, re.MULTILINE)
    assert deployed.ids() == before, "id and StartedAt of every container, one-shots included"
    assert deployed.images() == images, "nothing was built"
    assert deployed.record()["outcome"] == "unchanged"


@pytest.mark.parametrize(
    "name", ["deploy", "rollback", *(pytest.param(name, marks=pytest.mark.soak) for name in ("preflight", "verify", "backup"))]
)
def test_check_mode_changes_nothing(deployed: Stack, name: str) -> None:
    before = everything(deployed)
    options = ["-e", "commit=v1.2.0"] if name == "deploy" else []
    done = deployed.play(name, "--check", "--diff", *options)
    assert done.code == 0
    assert everything(deployed) == before
    if name == "deploy":
        assert "Deploy " + deployed.commit("v1.2.0")[:12] in done.output
    if name == "rollback":
        assert "Go back to " + deployed.commit("v1.2.0")[:12] in done.output


def test_compose_itself_sees_nothing_to_do(deployed: Stack) -> None:
    """The operator's own command would create, recreate or remove nothing."""
    files = ["-f", "docker-compose.yml", "-f", "docker-compose.prod.yml"]
    done = subprocess.run(
        ["docker", "compose", *files, "up", "-d", "--no-build", "--dry-run"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = done.stdout + done.stderr
    for word in ("Creating", "Recreat", "Remov"):
        assert word not in said, said


def test_rollback_serves_the_older_commit_without_building(deployed: Stack) -> None:
    images, older = deployed.images(), deployed.commit("v1.2.0")
    with nothing_leaks() as seen:
        done = deployed.play("rollback", "-e", f"commit={older[:8]}", *LOUD)
        seen.append(("output", done.output))
    assert done.code == 0
    assert deployed.served() == "1.2.0"
    assert deployed.images() == images
    assert run("git", "-C", PROJECT, "rev-parse", "HEAD").strip() == older
    record = deployed.record()
    assert (record["outcome"], record["release_after"]["commit"]) == ("rolled_back", older)
    assert record["release_before"]["commit"] == deployed.commit("main")


def test_rollback_to_what_serves_changes_nothing(deployed: Stack) -> None:
    before = deployed.ids()
    done = deployed.play("rollback", "-e", "commit=v1.2.0")
    assert (done.code, done.stats["changed"], deployed.ids()) == (0, 0, before)


def test_rollback_to_nowhere_lists_the_choices(deployed: Stack) -> None:
    before = deployed.ids()
    done = deployed.play("rollback", "-e", "commit=deadbeef")
    assert done.code != 0
    assert "No verified release of commit deadbeef" in done.output
    assert "It can go back to: " in done.output and deployed.commit("main")[:12] in done.output
    assert deployed.ids() == before
    assert not deployed.locked()


def test_deploy_goes_forward_again(deployed: Stack) -> None:
    images = deployed.images()
    with nothing_leaks() as seen:
        done = deployed.play("deploy", *LOUD)
        seen.append(("output", done.output))
    assert done.code == 0
    assert deployed.served() == "1.3.0"
    assert deployed.images() == images, "the images of that commit are still there"


@pytest.mark.soak
def test_configuration_alone_is_a_release_too(deployed: Stack) -> None:
    before, images = deployed.ids(), deployed.images()
    with deployed.env_line("MAX_ACTIVE_CALLS", "12"):
        done = deployed.play("deploy")
        assert done.code == 0
        assert "variable MAX_ACTIVE_CALLS changed" in done.output
        after = deployed.ids()
        assert after["prosaas-calls"][0] != before["prosaas-calls"][0]
        assert after["redis"] == before["redis"], "what the change does not touch stays"
        assert deployed.images() == images
    assert deployed.play("deploy").code == 0


@pytest.mark.soak
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_both_flavours_pass_and_a_second_run_changes_nothing(deployed: Stack, flavour: str) -> None:
    first = subprocess.run(
        ["bash", "demo/run", "--until", "deploy", "--flavour", flavour], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert first.returncode == 0, first.stdout[-4000:]
    before = deployed.ids()
    second = deployed.play("deploy", short=False)
    assert (second.code, second.stats["changed"], deployed.ids()) == (0, 0, before)
    assert deployed.play("verify", short=False).code == 0
    body = run("curl", "-sS", "--cacert", DEMO / "ca/ca.crt", "https://prosaas.test/health").strip()
    assert body == {"as_found": "ok", "checklist": '{"status":"ok"}'}[flavour]


def test_it_runs_installed_from_the_tarball_and_from_a_thin_project(deployed: Stack, tmp_path: Path) -> None:
    """The second and third way: installed from the tarball by its full name, and from an operator's thin project."""
    bin_dir, collections = ROOT / ".venv/bin", tmp_path / "collections"
    (tmp_path / "empty.cfg").touch()
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_CONFIG": str(tmp_path / "empty.cfg")}
    run(bin_dir / "ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=ROOT, env=environment)
    tarball = next(tmp_path.glob("prosaas-ops-*.tar.gz"))
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert not [name for name in names if name.split("/")[0] in ("demo", "tests", ".demo", ".venv", ".git", ".tests")]
    install = [bin_dir / "ansible-galaxy", "collection", "install", "--offline", "--no-deps", "-p", collections, tarball]
    run(*install, cwd=tmp_path, env=environment)
    extra = ["-e", json.dumps({"demo_home": str(DEMO)})]
    inventory = ["-i", str(ROOT / "inventories/demo")]
    by_name = [bin_dir / "ansible-playbook", "prosaas.ops.verify", *inventory, *extra]
    assert "failed=0" in run(*by_name, cwd=tmp_path, env=environment, seconds=300)
    thin = tmp_path / "thin"
    run("cp", "-r", ROOT / "docs/thin-project", thin)
    command = [bin_dir / "ansible-playbook", "verify.yml", *inventory, *extra]
    shown = run(*command, cwd=thin, env={**environment, "ANSIBLE_CONFIG": str(thin / "ansible.cfg")}, seconds=300)
    assert re.search(r"^demo  passed after \d+ s: \d+ changed, \d+ ok", shown, re.MULTILINE), "the project's own callback"
    assert (DEMO / "records/demo" / re.findall(r"^    page .*/(.*)$", shown, re.MULTILINE)[0]).is_file()


def test_backup_holds_what_a_rebuilt_host_would_miss(deployed: Stack) -> None:
    before = deployed.ids()
    done = deployed.play("backup")
    assert done.code == 0
    assert deployed.record()["outcome"] == "backed_up"
    assert deployed.ids() == before, "nothing was stopped"
    newest = max((DEMO / "state/backups").iterdir())
    files = {path.name for path in newest.rglob("*") if path.is_file()}
    assert {"manifest.json", ".env", "prosaas-origin.crt", "prosaas-origin.key", "gcp-stt-sa.json"} <= files
    assert all(path.stat().st_mode & 0o077 == 0 for path in newest.rglob("*") if path.is_file())
    members = []
    for name in ("n8n_data", "whatsapp_auth"):
        members += run("tar", "--zstd", "-tf", next(newest.glob(f"{name}_*.tar.zst"))).splitlines()
    assert {"./database.sqlite", "./creds.json"} <= {re.sub(r"^\./.*/", "./", member) for member in members}
    assert {path.name.partition("_2")[0] for path in newest.glob("*.dump.zst")} == {"main", "n8n"}
    assert deployed.play("backup", "-e", "backup_state=checked").stats["changed"] == 0
