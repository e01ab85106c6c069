# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""env_validate on the demo's own files and on a small stack: what is written, what Compose makes of it, what runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _env_file, _env_rules, _release, _secrets
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL
from tiny import Stack, ansible, check, module, stack, status

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def policy() -> dict[str, t.Any]:
    """The role's own data, for the demo's R2."""
    text = (ROOT / "roles/preflight/defaults/main/env.yml").read_text(encoding="utf-8")
    text = text.replace("{{ preflight_env_r2_suffix }}", ".r2.cloudflarestorage.test")
    data = yaml.safe_load(text.replace("{{ prosaas_project }}", "opstest-env"))
    names = ("schema", "rules", "placeholders", "items", "overrides")
    return {name: data[f"preflight_env_{name}"] for name in names} | {
        "domain": "prosaas.test",
        "project": "opstest-env",
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the demo's project directory, as far as it matters here."""
    for name in (".env", ".env.example", "docker-compose.yml", "docker-compose.prod.yml"):
        shutil.copy(ROOT / ".demo/prosaasil" / name, tmp_path / name)
    return tmp_path


def arguments(project: Path, policy: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    return {"project_dir": str(project), "state_dir": str(project / "state"), **policy, **more}


def validate(project: Path, policy: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    return module("env_validate", **arguments(project, policy, **more))


def edit(project: Path, *lines: str, drop: t.Sequence[str] = ()) -> None:
    """Take variables out of the file and put lines at its end."""
    path = project / ".env"
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if line.split("=")[0] not in drop]
    path.write_text("\n".join([*kept, *lines, ""]), encoding="utf-8")


def test_the_demos_file_is_green(project: Path, policy: dict[str, t.Any]) -> None:
    result = validate(project, policy)
    assert not result.get("failed") and not result["changed"]
    assert result["verdict"] == "pass", result["msg"]
    assert set(status(result).values()) <= {"pass", "skip"}
    proven = {line for row in result["checks"] for line in row["item"]}
    section_1 = {*range(14, 18), 20, 26, *range(30, 34), *range(36, 39), *range(41, 48), *range(50, 57), 59, 60, 63, 64}
    assert proven >= section_1 | {67, 68, 69, 70, 123, 124, 497}


def test_the_template_is_red_for_every_placeholder(project: Path, policy: dict[str, t.Any]) -> None:
    shutil.copy(project / ".env.example", project / ".env")
    result = validate(project, policy)
    assert result["failed"]
    statuses = status(result)
    pending = [line.split("=")[0] for line in (project / ".env").read_text().splitlines() if "your" in line.lower()]
    known = [name for name in pending if name in policy["schema"]]
    assert len(known) > 10
    assert {statuses[f"env.{name.lower()}"] for name in known} == {"fail"}


@pytest.mark.parametrize(
    ("line", "failed", "said"),
    [
        ("PRODUCTION=true", "env.production", "expected exactly 1"),
        ("SECRET_KEY=short", "env.secret_key", "expected 32 or more"),
        ("COOKIE_SECURE=false", "env.cookie_secure env.rule.production", "COOKIE_SECURE=true"),
        ("PUBLIC_BASE_URL=http://prosaas.test", "env.public_base_url env.rule.production", "https://"),
        ("PUBLIC_HOST=https://prosaas.example", "env.rule.public_host", "prosaas.test"),
        ("DATABASE_URL=postgresql://u:p@db.prosaas.test/prosaas", "env.database_url", "sslmode=require"),
        ("R2_ENDPOINT=https://0.r2.cloudflarestorage.test", "env.rule.r2_endpoint", "R2_ACCOUNT_ID"),
        ("N8N_WEBHOOK_URL=https://prosaas.test/n8n", "env.rule.n8n_urls", "N8N_HOST"),
        ("MAX_ACTIVE_CALLS=0", "env.max_active_calls", "1 or more"),
        ("GOOGLE_CLIENT_SECRET=", "env.google_client_secret", "GOOGLE_CLIENT_ID"),
        ("EXTRA='ab$cd'\nMORE=ab$cd", "env.syntax", "MORE"),
    ],
)
def test_one_wrong_line_is_one_failure(
    project: Path, policy: dict[str, t.Any], line: str, failed: str, said: str
) -> None:
    edit(project, line, drop=[line.split("=")[0]])
    judge = _env_rules.Environment(policy["schema"], policy["placeholders"], policy["domain"])
    report = _env_file.examine(project / ".env", project / ".env.example", judge, policy["rules"])
    assert [row.id for row in report.checks if row.status == FAIL] == failed.split()
    row = next(row for row in report.checks if row.status == FAIL)
    assert said in row.evidence + row.remedy and row.remedy


def test_what_the_application_does_not_read_only_warns(project: Path, policy: dict[str, t.Any]) -> None:
    inert = ["USE_REALTIME_API", "REDIS_URL"]
    edit(project, "USE_REALTIME_API=false", "REDIS_URL=redis://elsewhere:6379/0", drop=inert)
    result = validate(project, policy)
    assert not result.get("failed") and result["verdict"] == "warn"
    warned = {row["id"]: row["evidence"] for row in result["checks"] if row["status"] == "warn"}
    assert set(warned) == {"env.use_realtime_api", "env.redis_url"}
    assert all("does not read it" in evidence for evidence in warned.values())
    assert "REDIS_URL" in check(result, "env.overrides")["evidence"]


def test_what_the_compose_files_override_unasked_warns(project: Path, policy: dict[str, t.Any]) -> None:
    edit(project, "LOG_LEVEL=CHATTY", "RUN_MIGRATIONS=yes")
    row = check(validate(project, policy, overrides=["LOG_LEVEL", "TZ"]), "env.overrides")
    assert row["status"] == "warn" and "RUN_MIGRATIONS (in" in row["evidence"] and "LOG_LEVEL" not in row["evidence"]


def test_what_was_judged_and_is_not_what_runs_fails(project: Path, policy: dict[str, t.Any]) -> None:
    path = project / "docker-compose.prod.yml"
    anchor = "x-storage-environment: &storage-environment\n"
    path.write_text(
        path.read_text(encoding="utf-8").replace(anchor, anchor + "  MAX_ACTIVE_CALLS: 5\n"), encoding="utf-8"
    )
    row = check(validate(project, policy), "env.overrides")
    assert row["status"] == "fail" and "MAX_ACTIVE_CALLS (in prosaas-api, prosaas-calls, worker)" in row["evidence"]


def test_the_inventory_changes_one_rule_without_copying_the_rest(project: Path, policy: dict[str, t.Any]) -> None:
    edit(project, "MAX_ACTIVE_CALLS=60", "MAX_CONCURRENT_CALLS=50", "MINE=x", drop=["MAX_ACTIVE_CALLS"])
    extra = {
        "schema_extra": {"MINE": {"type": "int"}},
        "rules_extra": [{"id": "calls_limits", "severity": "warn"}],
    }
    assert status(validate(project, policy))["env.rule.calls_limits"] == "fail"
    statuses = status(validate(project, policy, **extra))
    assert (statuses["env.rule.calls_limits"], statuses["env.mine"]) == ("warn", "fail")
    mistaken = validate(project, policy, schema_extra={"MINE": {"typ": "int"}})
    assert mistaken["failed"] and "typ" in mistaken["msg"] and "Traceback" not in json.dumps(mistaken)


def test_a_missing_file_is_one_sentence(project: Path, policy: dict[str, t.Any]) -> None:
    (project / ".env").unlink()
    result = validate(project, policy)
    assert result["failed"] and len(result["checks"]) == 1
    assert f"cp {project}/.env.example {project}/.env" in result["msg"]


@pytest.mark.parametrize("line", ["BROKEN='", "BROKEN=${", "", "PUBLIC_HOST", "MAX_ACTIVE_CALLS=$SECRET_KEY"])
def test_no_value_is_in_the_result(project: Path, policy: dict[str, t.Any], line: str) -> None:
    edit(project, line)
    lines = (project / ".env").read_text(encoding="utf-8").splitlines()
    secrets = [line.split("=", 1)[1] for line in lines if re.match("[A-Z0-9_]*(SECRET|KEY|TOKEN|DATABASE_URL)", line)]
    assert len([value for value in secrets if len(value) > 20]) > 10
    result = validate(project, policy, example_file="none")
    shown = json.dumps({key: value for key, value in result.items() if key != "invocation"})
    assert [value for value in secrets if len(value) > 8 and value in shown] == []


def played(project: Path, *options: str) -> tuple[int, str]:
    """Run the playbook as an operator does, on a copy of the project."""
    places = {"project": project, "state": project / "state", "records": project / "records"}
    places["runtime"] = ROOT / ".demo/state/runtime"
    argv = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "playbooks/preflight.yml",
        "-i",
        "inventories/demo",
    ]
    argv += ["--tags", "preflight_env", "-e", json.dumps({f"prosaas_{name}_dir": str(p) for name, p in places.items()})]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "COLUMNS": "1000"}
    done = subprocess.run(
        [*argv, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.soak
def test_one_rule_is_relaxed_in_the_inventory(project: Path) -> None:
    edit(project, "MAX_ACTIVE_CALLS=60", drop=["MAX_ACTIVE_CALLS"])
    code, said = played(project)
    assert code == 2 and re.search(r"fail +env\.rule\.calls_limits", said), said
    relaxed = {"preflight_env_rules_extra": [{"id": "calls_limits", "severity": "warn"}]}
    code, said = played(project, "-e", json.dumps(relaxed))
    assert code == 0, said


def test_missing_secrets_are_made_once_and_only_when_asked_for(project: Path, policy: dict[str, t.Any]) -> None:
    gone = ["SECRET_KEY", "N8N_ENCRYPTION_KEY", "N8N_DB_PASSWORD"]
    edit(project, "SECRET_KEY=", drop=gone)
    before = (project / ".env").read_bytes()
    found = validate(project, policy)
    assert found["failed"] and not found["changed"] and found["filled"] == []
    assert all(f"\n{name}=\n" in "\n" + found["template"] for name in gone)
    assert "openssl rand -hex 32" in found["template"]
    told = ansible("env_validate", check=True, **arguments(project, policy, fill=True))
    assert told["changed"] and told["filled"] == ["SECRET_KEY", "N8N_ENCRYPTION_KEY"]
    assert told["diff"][0]["after"].split() == "SECRET_KEY has a value N8N_ENCRYPTION_KEY has a value".split()
    assert (project / ".env").read_bytes() == before
    made = validate(project, policy, fill=True)
    assert made["changed"] and made["filled"] == ["SECRET_KEY", "N8N_ENCRYPTION_KEY"]
    assert {row["id"] for row in made["checks"] if row["status"] == "fail"} == {"env.n8n_db_password"}
    values = _dotenv.values(project / ".env")
    assert all(values[name] not in json.dumps(made) for name in made["filled"])
    again = validate(project, policy, fill=True)
    assert not again["changed"] and again["filled"] == []
    assert _dotenv.values(project / ".env") == values


def test_a_key_is_not_made_up_for_data_that_is_there(project: Path, policy: dict[str, t.Any]) -> None:
    edit(project, drop=["N8N_ENCRYPTION_KEY"])
    volume = "opstest-env_n8n_data"
    subprocess.run(["docker", "volume", "create", "--label", "ops.prosaas.demo=true", volume], check=True, timeout=60)
    try:
        result = validate(project, policy, fill=True)
    finally:
        subprocess.run(["docker", "volume", "rm", volume], check=True, timeout=60)
    assert result["filled"] == [] and check(result, "env.n8n_encryption_key")["status"] == "fail"
    assert "put its own key back" in check(result, "env.n8n_encryption_key")["remedy"]


def test_a_copied_template_is_filled_in_its_places(project: Path, policy: dict[str, t.Any]) -> None:
    shutil.copy(project / ".env.example", project / ".env")
    result = validate(project, policy, fill=True)
    assert {"SECRET_KEY", "INTERNAL_SECRET", "ATTACHMENT_SECRET", "ENCRYPTION_KEY"} < set(result["filled"])
    assert "env.duplicates" not in [row["id"] for row in result["checks"] if "SECRET_KEY" in row["evidence"]]
    old, new = ((project / name).read_text(encoding="utf-8").splitlines() for name in (".env.example", ".env"))
    assert [line.split("=")[0] for line in old] == [line.split("=")[0] for line in new], "no line was added or moved"
    changed = [mine.split("=")[0] for mine, theirs in zip(new, old) if mine != theirs]
    assert sorted(changed) == sorted(result["filled"])


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Stack]:
    """Two services with a file and one without, running."""
    (tmp_path / ".env").write_text("MODE=one\nPASSWORD='a$b'\nTEXT=x\n", encoding="utf-8")
    (tmp_path / ".env").chmod(0o600)
    sleep = {"command": ["sleep", "infinity"]}
    filled_in = {"TOLD": "${TEXT:-y}"}
    services = {name: {**sleep, "env_file": [".env"]} for name in ("web", "job")}
    with stack("env", tmp_path, {**services, "bare": {**sleep, "environment": filled_in}}) as running:
        yield running


def running(small: Stack, **more: t.Any) -> dict[str, t.Any]:
    return check(module("env_validate", **{**small.options, "gather": True, **more}), "env.running")


def release(small: Stack) -> None:
    """Put on record that the file is served as it is."""
    state = Path(small.options["state_dir"])
    config = _release.Config.of(_secrets.host_key(state), "", _dotenv.values(small.directory / ".env"), {})
    made = _release.Release("20260101T000000Z-abc", "abc", "", "", {}, vars(config))
    store = _release.Store(state)
    store.put(made)
    store.set_current(made)


def test_what_runs_is_compared_with_what_is_written(small: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (running(small)["status"], running(small)["evidence"]) == ("pass", "3 services run with it")
    release(small)
    path = small.directory / ".env"
    before = path.read_text(encoding="utf-8")

    path.write_text(before.replace("MODE=one", "MODE=two").replace("TEXT=x", "TEXT=z"), encoding="utf-8")
    row = running(small)
    assert row["status"] == "warn" and "ansible-playbook prosaas.ops.deploy" in row["remedy"]
    assert "MODE, TEXT (in job, web); TOLD (in bare)" in row["evidence"]
    path.write_text("", encoding="utf-8")
    assert "MODE, PASSWORD, TEXT (in job, web)" in running(small)["evidence"], "what is no longer written, too"
    path.write_text(before, encoding="utf-8")
    assert running(small)["status"] == "pass"

    by_hand = small.directory / "by-hand.json"
    by_hand.write_text(json.dumps({"services": {"job": {"environment": {"MODE": "three"}}}}), encoding="utf-8")
    small.compose("-f", str(by_hand), "up", "-d")
    row = running(small)
    assert row["status"] == "fail" and "MODE (in job)" in row["evidence"] and "three" not in json.dumps(row)
    assert row["remedy"].endswith(f"docker compose -p {small.name} -f docker-compose.yml up -d --no-build")
    small.compose("up", "-d")
    assert running(small)["status"] == "pass"

    monkeypatch.setenv("DOCKER_HOST", f"unix://{small.directory}/nowhere.sock")
    away = module("env_validate", **{**small.options, "gather": True})
    assert {row["id"]: row["status"] for row in away["checks"]}["env.overrides"] == "pass", "that needs no engine"
    row = check(away, "env.running")
    assert row["status"] == "unknown" and "systemctl start docker" in row["remedy"]


def test_before_the_first_start_there_is_nothing_to_compare(small: Stack) -> None:
    assert running(small, project="opstest-none")["status"] == "skip"


def test_a_line_that_reaches_nobody_is_told(small: Stack) -> None:
    with (small.directory / ".env").open("a", encoding="utf-8") as stream:
        stream.write("IDLE=1\n")
    small.write({"bare": {"environment": {"TOLD": "${TEXT:-y}", "MODE": "${MODE}", "PASSWORD": "${PASSWORD}"}}})
    row = check(module("env_validate", **{**small.options, "gather": True}), "env.overrides")
    assert row["status"] == "warn" and row["evidence"].endswith("no Compose file names them: IDLE")
