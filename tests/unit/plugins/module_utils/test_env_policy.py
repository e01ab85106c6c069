# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's data for the environment file, the page that explains it, and the faults that turn each check red."""

from __future__ import annotations

import importlib
import inspect
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _env_file, _env_rules, _env_types, _env_views
from ansible_collections.prosaas.ops.plugins.module_utils._env_rules import Environment
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[4]
PAGE = (ROOT / "docs/environment.md").read_text(encoding="utf-8")
DATA = yaml.safe_load((ROOT / "roles/preflight/defaults/main/env.yml").read_text(encoding="utf-8"))
SCHEMA, RULES = DATA["preflight_env_schema"], DATA["preflight_env_rules"]
PLACEHOLDERS = DATA["preflight_env_placeholders"]
OF_THE_FILE = {"env.file", "env.syntax", "env.duplicates", "env.placeholders", "env.unknown", *_env_views.TITLES}


def tables(heading: str) -> dict[str, str]:
    """Return the rows of the table below a heading of the page, by what stands in the first column."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {row[1]: row[0] for row in re.finditer(r"^\| `(\w+)`.*$", text, re.MULTILINE)}


def test_the_data_is_understood() -> None:
    _env_rules.refuse_mistakes(SCHEMA, RULES, PLACEHOLDERS)


@pytest.mark.parametrize("line", range(14, 71))
def test_every_variable_of_the_checklist_has_an_entry_with_its_line(line: int) -> None:
    boxes = yaml.safe_load((ROOT / "roles/prosaas/files/checklist.yml").read_text(encoding="utf-8"))["boxes"]
    if line in {box["line"] for box in boxes}:
        assert [name for name, entry in SCHEMA.items() if line in entry.get("item", [])]


def test_every_variable_that_the_application_is_known_by_has_an_entry() -> None:
    """The table of docs/application.md, section 2.3; names with a * or a leading _ stand for several."""
    text = (ROOT / "docs/application.md").read_text(encoding="utf-8")
    table = text.partition("### 2.3")[2].partition("\n\nPatterns")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    names = {name for cell in first for name in re.findall(r"`([A-Z0-9]+(?:_[A-Z0-9]+)*)`", cell)}
    assert len(names) > 35
    assert {name for name in names if not any(known in name for known in SCHEMA)} == set()


@pytest.mark.parametrize("name", _env_types.TYPES)
def test_every_type_is_explained_with_its_keys(name: str) -> None:
    row = tables("Types")[name]
    assert [key for key in _env_types.parameters(name) if f"`{key}`" not in row] == []


@pytest.mark.parametrize("name", _env_rules.KINDS)
def test_every_kind_of_rule_is_explained_with_its_keys(name: str) -> None:
    row = tables("Kinds of rules")[name]
    keys = list(inspect.signature(_env_rules.KINDS[name]).parameters)[1:]
    assert [key for key in keys if f"`{key}`" not in row] == []


def test_every_key_and_generator_is_explained_and_nothing_else() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE))
    assert set(_env_rules._ENTRY) | set(_env_rules._RULE) | set(_env_types.GENERATORS) <= told
    assert set(tables("Types")) == set(_env_types.TYPES)
    assert set(tables("Kinds of rules")) == set(_env_rules.KINDS)
    module = (ROOT / "plugins/modules/env_validate.py").read_text(encoding="utf-8")
    words = [*_env_types.TYPES, *_env_types.GENERATORS, *_env_rules.KINDS, *_env_rules._ENTRY]
    assert [word for word in words if f"V({word})" not in module] == []


def test_the_examples_of_the_page_are_understood() -> None:
    example, extra = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    _env_rules.refuse_mistakes(example["schema"], example["rules"], example["placeholders"])
    assert {entry.get("type", "string") for entry in example["schema"].values()} >= {"secret", "fernet", "enum"}
    assert extra["preflight_env_schema_extra"].keys() - SCHEMA.keys() == {"CRM_TOKEN"}
    schema = _env_rules.merged(SCHEMA, extra["preflight_env_schema_extra"])
    rules = _env_rules.merged_rules(RULES, extra["preflight_env_rules_extra"])
    _env_rules.refuse_mistakes(schema, rules, PLACEHOLDERS)
    assert len(schema) == len(SCHEMA) and len(rules) == len(RULES) + 1
    assert {rule["id"]: rule.get("severity") for rule in rules}["n8n_domain"] == "warn"


def test_the_faults_turn_every_check_red() -> None:
    faults = importlib.import_module("faults.env").FAULTS
    red = {name for fault in faults for name, status in fault.turns.items() if status == "fail"}
    checks = {f"env.{name.lower()}" for name in SCHEMA} | {f"env.rule.{rule['id']}" for rule in RULES}
    assert red == checks | OF_THE_FILE
    unknown = {name for fault in faults for name, status in fault.turns.items() if status == "unknown"}
    assert unknown == set(_env_views.TITLES)


def test_a_check_can_fail_at_all() -> None:
    """One that only warns could never be seen red, and one on a variable without value or default never green."""
    assert [rule["id"] for rule in RULES if rule.get("severity", "fail") != "fail"] == []
    assert [name for name, entry in SCHEMA.items() if entry.get("severity", "fail") != "fail"] == []
    made = (ROOT / "demo/lib/history.sh").read_text(encoding="utf-8")
    optional = [name for name, entry in SCHEMA.items() if "default" not in entry]
    assert [name for name in optional if f"\n{name}=" not in made] == []


def test_what_has_data_behind_it_is_not_made_up() -> None:
    kept = {name for name, entry in SCHEMA.items() if entry.get("unless_volume")}
    assert kept == {"N8N_ENCRYPTION_KEY"}
    made = {name for name, entry in SCHEMA.items() if entry.get("generate") in _env_types.GENERATORS}
    assert all(SCHEMA[name]["type"] in ("secret", "fernet") for name in made) and len(made) > 6


NAMES = [*SCHEMA, "OTHER", "SECRETKEY"]
LINE = st.tuples(st.sampled_from(NAMES), st.sampled_from(["=", ": ", ""]), st.text(max_size=60)).map("".join)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.lists(LINE, max_size=12).map(lambda lines: "\n".join(lines).encode("utf-8")))
def test_any_file_is_judged_and_never_a_crash(content: bytes) -> None:
    try:
        variables = _dotenv.read(content.decode("utf-8", "surrogateescape"))
    except _dotenv.OpsError:
        return
    env = Environment(SCHEMA, PLACEHOLDERS, "prosaas.test", variables=variables)
    checks = list(_env_rules.checks(env, RULES))
    assert len(checks) == len(SCHEMA) + len(RULES) + 4
    assert all(isinstance(value, str) for value in _env_file._hidden(env))


def test_a_value_of_any_length_is_judged_soon() -> None:
    text = "".join(f"{name}={'ab' * 50_000}\n" for name in ("SECRET_KEY", "MAX_ACTIVE_CALLS", "DATABASE_URL"))
    env = Environment(SCHEMA, PLACEHOLDERS, variables=_dotenv.read(text))
    found = {check.id: check for check in _env_rules.checks(env, RULES)}
    names: t.Iterable[str] = ("env.secret_key", "env.max_active_calls", "env.database_url")
    assert {found[name].status for name in names} == {"fail"}
    assert sum(check.seconds for check in found.values()) < 2
