# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is printed and kept: one sentence where a file is missing, and no secret anywhere."""

from __future__ import annotations

import json
import re
import subprocess

import jsonschema
import junitparser
from demo_stack import DEMO, PROJECT, ROOT, Stack


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


def test_a_record_fits_its_schema_and_has_a_page_with_every_box(deployed: Stack) -> None:
    assert deployed.play("verify", "-e", "{prosaas_records_formats: [html, junit]}").code == 0
    record = deployed.record()
    jsonschema.validate(record, json.loads((ROOT / "roles/prosaas/files/record.schema.json").read_text(encoding="utf-8")))
    boxes = {box["id"]: box for box in record["boxes"]}
    assert len(boxes) == 161
    assert boxes["verify.redis.pong"]["status"] == "pass" and boxes["verify.redis.pong"]["run"] == record["run"]
    before = boxes["pre.env.security.secret_key"]
    assert before["status"] == "pass" and before["run"] < record["run"], "answered by the run that asked"
    page = DEMO / "records/demo" / f"{record['run']}.html"
    assert page.stat().st_mode & 0o777 == 0o600
    assert all(f'<details id="{name}"' in page.read_text(encoding="utf-8") for name in boxes)
    assert junitparser.JUnitXml.fromfile(str(page.with_suffix(".xml"))).failures == 0


def test_records_are_proven_and_one_that_was_changed_is_named(deployed: Stack) -> None:
    """The chain and the signatures of all runs of this demo; then somebody improves on the past."""
    whole = deployed.play("records")
    assert whole.code == 0, whole.output
    changed = sorted((DEMO / "records/demo").glob("2*-deploy-*.json"))[0]
    before = changed.read_bytes()
    changed.write_bytes(before.replace(b'"status": "fail"', b'"status": "pass"').replace(b'"operator": "demo"', b'"operator": "dana"'))
    try:
        done = deployed.play("records")
    finally:
        changed.write_bytes(before)
    assert done.code != 0
    said = re.sub(r"\s+", " ", done.output)
    assert f"records.demo.{changed.stem}" in said and "changed" in said
    assert deployed.play("records").code == 0


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
