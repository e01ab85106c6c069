# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""env_validate on the demo's own files, and its reader against the real Compose on files made at random."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _env_file, _env_rules
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from tiny import ansible, check, status

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("A", "B", "C")
FILES = int(os.environ.get("ENV_FILES", "300"))
SEED = int(os.environ.get("ENV_SEED", "20260123"))

# Pieces of values, and of whatever else may stand in such a file; Python and Go disagree about \x1c, \u017f, \u212a.
PIECES = [
    *("x", "yz", "1", "é", "-", ".", "[", "@", "/", "%", "{", "}", "}", "#", " #", " # note", "\t#"),
    *(":", "=", "'", '"'),
    *(" ", "  ", "\t", "\v", "\r", "\xa0", "\x85", "\u2003", "\x1c", "\ufeff", "\u017f", "\u212a"),
    *("\\", "\\n", "\\t", '\\"', "\\'", "\\$", "\\\\", "\\0101", "\\012", "\\0400", "\\a", "\\c"),
    *("$", "$$", "$A", "${B}", "${C:-x}", "${A-y}", "${B:+z}", "${A+w}", "${C:-${A}}", "${C:-{}}", "${A:-b}c}"),
    *("${K:-q?z}", "${C-}", "$\u017f", "${A:-${B:+$C}}"),
]
RARE = ["${", "${A?}", "${C:?m}", "${A:-${}", "\n", "export ", "export\t", "\r\n", "A", "A=", "B=", "="]
BY_HAND = [
    "A",
    "A=1\nA",
    "A= # note\nB=x\t# note",
    "A='x\ny' # z\nB=1",
    'A="x"y\nB=1',
    'A="x" B=2',
    "A: 1\r\nexport B=2\r\n",
    "A=$B\nB=2",
    "A=1\nB=$A\nA=2",
    "\ufeffA=1",
    'A="\\0000"',
    "A B=1",
    "=1",
    "export\nA=1",
    "export  ",
    "# only a comment",
]


def random_file(chance: random.Random) -> str:
    """Most are lines of the usual shape with strange values, some are anything at all."""
    if chance.random() < 0.2:
        return "".join(chance.choices(PIECES + RARE * 4, k=chance.randint(1, 12)))
    lines = []
    for _each in range(chance.randint(1, 4)):
        quote = chance.choice(["", "", '"', "'"])
        body = "".join(chance.choices(PIECES * 12 + RARE, k=chance.randint(0, 6)))
        if quote and chance.random() < 0.9:
            body = body.replace(quote, "").rstrip("\\")
        lines.append(chance.choice(NAMES) + chance.choice(["=", "=", ": ", " = "]) + quote + body + quote)
    return "\n".join(lines) + chance.choice(["", "\n"])


Views = tuple[dict[str, str], dict[str, str]]


def seen_by_compose(text: str, directory: Path) -> Views | None:
    """Return what a container gets by env_file, and what ${A} is in a Compose file; None when it is refused.

    Compose 2.40 takes a value without a name, and one with a NUL; then it is the engine that refuses the container.
    """
    directory.mkdir()
    (directory / ".env").write_bytes(text.encode("utf-8", "surrogateescape"))
    asked = {name: f"${{{name}-(unset)}}" for name in NAMES}
    services = {"file": {"image": "x", "env_file": ".env"}, "model": {"image": "x", "environment": asked}}
    (directory / "compose.yml").write_text(json.dumps({"services": services}), encoding="utf-8")
    argv = ["docker", "compose", "-p", "opstest-env", "-f", "compose.yml", "config", "--format", "json"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ}
    done = subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        return None
    model = json.loads(done.stdout)["services"]
    views = [{k: v.replace("$$", "$") for k, v in (model[name].get("environment") or {}).items()} for name in services]
    if "" in views[0] or any("\0" in value for value in views[0].values()):
        return None
    return views[0], {name: value for name, value in views[1].items() if value != "(unset)"}


def seen_by_us(text: str) -> Views | None:
    try:
        container = {name: v.value for name, v in _dotenv.read(text).items() if v.value is not None}
        own = {s.name: s.value for s in _dotenv.statements(text) if s.name in NAMES and s.value is not None}
    except OpsError:
        return None
    return container, own


def test_files_are_read_as_the_real_compose_reads_them(tmp_path: Path) -> None:
    print(f"ENV_SEED={SEED} ENV_FILES={FILES}")
    chance = random.Random(SEED)
    texts = [*BY_HAND, *(random_file(chance) for _each in range(FILES))]
    with ThreadPoolExecutor(2) as pool:
        theirs = list(pool.map(seen_by_compose, texts, (tmp_path / str(number) for number in range(len(texts)))))
    disagreed = [(text, view) for text, view in zip(texts, theirs) if seen_by_us(text) != view]
    assert disagreed == []
    read = sum(view is not None for view in theirs)
    assert len(texts) / 4 < read < len(texts), "files of both sorts are needed for this to prove anything"


@pytest.fixture(scope="module")
def policy() -> dict[str, t.Any]:
    """The role's own data, for the demo's R2."""
    text = (ROOT / "roles/preflight/defaults/main/env.yml").read_text(encoding="utf-8")
    data = yaml.safe_load(text.replace("{{ preflight_env_r2_suffix }}", ".r2.cloudflarestorage.test"))
    names = ("schema", "rules", "placeholders", "proves", "overrides")
    return {name: data[f"preflight_env_{name}"] for name in names} | {"domain": "prosaas.test", "project": "prosaasil"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the demo's project directory, as far as it matters here."""
    for name in (".env", ".env.example", "docker-compose.yml", "docker-compose.prod.yml"):
        shutil.copy(ROOT / ".demo/prosaasil" / name, tmp_path / name)
    return tmp_path


def validate(project: Path, policy: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    return ansible("env_validate", project_dir=str(project), state_dir=str(project / "state"), **{**policy, **more})


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
        ("COOKIE_SECURE=false", "env.cookie_secure", "COOKIE_SECURE=true"),
        ("PUBLIC_BASE_URL=http://prosaas.test", "env.public_base_url", "https://"),
        ("PUBLIC_HOST=https://prosaas.example", "env.rule.public_host", "prosaas.test"),
        ("DATABASE_URL=postgresql://u:p@db.prosaas.test/prosaas", "env.database_url", "sslmode=require"),
        ("R2_ENDPOINT=https://0.r2.cloudflarestorage.test", "env.rule.r2_endpoint", "R2_ACCOUNT_ID"),
        ("N8N_WEBHOOK_URL=https://prosaas.test/n8n", "env.rule.n8n_urls", "N8N_HOST"),
        ("MAX_ACTIVE_CALLS=0", "env.max_active_calls", "1 or more"),
        ("GOOGLE_CLIENT_ID=1-a.apps.googleusercontent.com", "env.google_client_secret", "GOOGLE_CLIENT_ID"),
        ("EXTRA='ab$cd'\nMORE=ab$cd", "env.syntax", "MORE"),
    ],
)
def test_one_wrong_line_is_one_failure(
    project: Path, policy: dict[str, t.Any], line: str, failed: str, said: str
) -> None:
    edit(project, line, drop=[line.split("=")[0]])
    judge = _env_rules.Environment(policy["schema"], policy["placeholders"], policy["domain"])
    report = _env_file.examine(project / ".env", project / ".env.example", judge, policy["rules"])
    assert [row.id for row in report.checks if row.status == FAIL] == [failed]
    row = next(row for row in report.checks if row.id == failed)
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
