# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed and kept: one sentence where a file is missing, and no secret anywhere."""

from __future__ import annotations

import subprocess

from demo_stack import PROJECT, ROOT, Stack


def test_missing_env_is_one_sentence(deployed: Stack) -> None:
    path = PROJECT / ".env"
    aside = path.rename(path.with_name(".env.aside"))
    try:
        done = deployed.play("preflight")
        assert done.code != 0
        assert f"{path} does not exist" in done.output
        assert "Traceback" not in done.output
        assert deployed.statuses()["env.file"] == "fail"
    finally:
        aside.rename(path)
    assert deployed.play("preflight").code == 0


def test_no_secret_in_what_is_printed_or_kept(deployed: Stack) -> None:
    lines = (PROJECT / ".env").read_text().splitlines()
    named = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    words = ("SECRET", "TOKEN", "PASSWORD", "API_KEY", "ENCRYPTION_KEY", "DATABASE_URL")
    del named["GCP_SECRETS_DIR"]  # a folder's name
    secrets = {value for name, value in named.items() if any(word in name for word in words) and len(value) >= 16}
    secrets |= {value.split(":")[2].split("@")[0] for value in list(secrets) if value.startswith("postgresql://")}
    assert len(secrets) > 10
    done = subprocess.run(
        [".venv/bin/ansible-playbook", "playbooks/deploy.yml", "-i", "inventories/demo", "-vvv", "--diff"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0
    kept = "".join(
        path.read_text(errors="replace")
        for top in ("records", "state/records", "state/runs")
        for path in (ROOT / ".demo" / top).rglob("*")
        if path.is_file()
    )
    for secret in secrets:
        assert secret not in done.stdout + done.stderr
        assert secret not in kept
