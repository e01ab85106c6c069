# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment backs up before it migrates, by its plan: the role's own settings and expressions, as Ansible reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"
SETTINGS = ("prosaas/defaults/main/backup.yml", "deploy/defaults/main/backup.yml", "deploy/vars/main.yml")
MAIN, N8N = "database main", "database n8n"
BAILEYS, N8N_DATA = "volume whatsapp_auth", "volume n8n_data"

# Files that change the database, services that are replaced, what serves, the setting; and what is backed up.
CASES: dict[str, tuple[list[str], list[str], str, str, list[str]]] = {
    "migrations differ": (["0042.sql"], ["prosaas-api"], "r1", "auto", [MAIN]),
    "none differs": ([], ["prosaas-api"], "r1", "auto", []),
    "its database is brought up to date by n8n itself": ([], ["n8n"], "r1", "auto", [N8N, N8N_DATA]),
    "a session is kept by what is replaced": (["0042.sql"], ["baileys"], "r1", "auto", [MAIN, BAILEYS]),
    "the other shard's": ([], ["baileys-2"], "r1", "auto", ["volume whatsapp_auth_shard2"]),
    "nobody knows what was there": ([], [], "", "auto", [MAIN]),
    "everything is wanted": ([], [], "r1", "always", [MAIN, N8N, N8N_DATA, BAILEYS, "volume whatsapp_auth_shard2"]),
    "nothing is wanted": (["0042.sql"], ["n8n", "baileys"], "r1", "never", []),
}


@pytest.fixture(name="found", scope="module")
def _found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, t.Any]]:
    directory = tmp_path_factory.mktemp("deploy_backup")
    tasks: list[dict[str, t.Any]] = []
    for migrations, services, serving, policy, _wanted in CASES.values():
        plan = {
            **{"migrations": migrations, "services": dict.fromkeys(services, ["image"]), "serving": {"release": serving}},
            **{"needed": True, "text": "Deploy it"},
        }
        tell = {key: f"{{{{ __deploy_{key} }}}}" for key in ("saved_names", "saved_databases", "saved_volumes", "said", "verdict")}
        task = {
            "copy": {"dest": str(directory / f"{len(tasks)}.json"), "content": "{{ tell | to_json }}"},
            "vars": {"tell": tell, "deploy_backup": policy, "__deploy_planned": {"plan": plan}},
        }
        tasks.append(task)
    failed = {"__deploy_failure": "It broke.", "__deploy_touched": False, "__deploy_saved": {"backup": "20261128T120000Z"}}
    known = {"prosaas_state_dir": "/state", "deploy_migration_files": ["*.sql"], **failed}
    files = [str(ROLES / name) for name in SETTINGS]
    where = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    play = [{**where, "vars_files": files, "vars": known, "tasks": tasks}]
    (directory / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(directory / "play.yml")]
    variables = {**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "ANSIBLE_CONFIG": str(ROLES.parent / "ansible.cfg")}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = [json.loads((directory / f"{number}.json").read_text()) for number in range(len(tasks))]
    return dict(zip(CASES, written))


@pytest.mark.parametrize("name", CASES)
def test_what_going_back_does_not_undo_is_backed_up(found: dict[str, dict[str, t.Any]], name: str) -> None:
    wanted = CASES[name][-1]
    assert found[name]["saved_names"] == wanted
    assert set(found[name]["saved_databases"]) == {one.split()[1] for one in wanted if one in (MAIN, N8N)}
    for one in [*found[name]["saved_databases"].values(), *found[name]["saved_volumes"]]:
        assert one["required"] is False, "what is empty on a new host is nothing to lose"
    assert found[name]["said"].splitlines() == ["Deploy it", *([f"Backed up before it: {', '.join(wanted)}"] if wanted else [])]


def test_an_operator_reads_how_to_have_it_again(found: dict[str, dict[str, t.Any]]) -> None:
    last = found["migrations differ"]["verdict"].splitlines()
    assert last[0] == "It broke." and last[1].startswith("Nothing was switched")
    assert "restore.yml -e restore_backup_dir=/state/backups-before-releases -e backup=20261128T120000Z" in last[2]
