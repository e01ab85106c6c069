# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX as code: what docs/awx describes is what AWX takes, what the roles know, and what the project has."""

from __future__ import annotations

import datetime
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from dateutil import rrule, tz

ROOT = Path(__file__).resolve().parents[2]
AWX = ROOT / "docs/awx"
PROJECT = ROOT / "docs/thin-project"
# What AWX makes of an answer, and which options of a role may be given it.
TYPES = {
    "text": ("str", "raw", "path"),
    "integer": ("int", "float"),
    "multiplechoice": ("str", "bool"),
    "float": ("float",),
}


class Loader(yaml.SafeLoader):
    """Reads ``!unsafe`` as the text that it is."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(t.cast("yaml.ScalarNode", node)))


def load(path: Path) -> t.Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506  (a safe loader)


PLAY = load(AWX / "apply.yml")[0]
OPTIONS: dict[str, dict[str, list[str]]] = load(Path(__file__).with_name("awx_options.yml"))


def tasks() -> list[tuple[str, dict[str, t.Any]]]:
    """Return every module with all that it is given, defaults of the play included."""
    found = []
    for step in PLAY["tasks"]:
        for task in load(AWX / step["ansible.builtin.import_tasks"]):
            (module,) = (key for key in task if key.startswith("awx.awx."))
            found.append((module.rpartition(".")[2], {**PLAY["module_defaults"].get(module, {}), **task[module]}))
    return found


def described(module: str) -> list[dict[str, t.Any]]:
    return [given for name, given in tasks() if name == module]


TEMPLATES = {given["name"]: given for given in described("job_template")}
QUESTIONS = [
    pytest.param(given, question, id=f"{given['playbook']}-{question['variable']}")
    for given in TEMPLATES.values()
    for question in given.get("survey_spec", {}).get("spec", [])
]


def test_every_option_is_one_that_the_module_has() -> None:
    kinds = {"str": str, "bool": bool, "int": int, "dict": dict, "list": list}
    assert len(tasks()) > 12
    for module, given in tasks():
        types = {option: kind for kind, options in OPTIONS[module].items() for option in options}
        for option, value in given.items():
            assert isinstance(value, kinds[types[option]]) or "{{" in str(value), f"{module}: {option}"


def test_what_is_named_is_described() -> None:
    one = {module: {given["name"] for given in described(module)} for module in OPTIONS}
    one["credential_type"].add("Machine")
    for module, given in tasks():
        for option, names in (
            *(("credentials", one["credential"]), ("credential_type", one["credential_type"])),
            *(("project", one["project"]), ("source_project", one["project"]), ("inventory", one["inventory"])),
            *(("execution_environment", one["execution_environment"]), ("unified_job_template", one["job_template"])),
            *(("default_environment", one["execution_environment"]),),
            *(("notification_templates_error", one["notification_template"]),),
        ):
            if option in given:
                wanted = given[option] if isinstance(given[option], list) else [given[option]]
                assert set(wanted) <= names, f"{module} {given['name']}: {option}"


def test_every_template_has_its_playbook_and_tells_of_a_failure() -> None:
    assert {given["playbook"] for given in TEMPLATES.values()} >= {
        *("preflight.yml", "deploy.yml", "verify.yml", "backup.yml", "restore.yml", "rollback.yml"),
    }
    for given in TEMPLATES.values():
        (play,) = load(PROJECT / given["playbook"])
        called = play["ansible.builtin.import_playbook"]
        assert (ROOT / f"playbooks/{called.removeprefix('prosaas.ops.')}.yml").is_file()
        assert given["notification_templates_error"] and given["allow_simultaneous"] is False
        assert given.get("survey_enabled", False) is ("survey_spec" in given)


def test_the_inventory_is_in_the_project() -> None:
    assert (PROJECT / PLAY["vars"]["awx_inventory_path"]).is_file()


def roles() -> dict[str, tuple[dict[str, t.Any], t.Any]]:
    """Return every setting of every role: what is documented of it, and its default."""
    found = {}
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        defaults: dict[str, t.Any] = {}
        for file in path.parents[1].glob("defaults/main/*.yml"):
            defaults.update(load(file) or {})
        for name, spec in load(path)["argument_specs"]["main"]["options"].items():
            found[name] = (spec, defaults.get(name))
    return found


def settings_of(variable: str) -> list[tuple[dict[str, t.Any], t.Any]]:
    """Return the setting of that name, or those that are made of the extra variable of that name, with their default."""
    known = roles()
    if variable in known:
        return [known[variable]]
    made = re.compile(rf"\{{\{{ {re.escape(variable)} \| default\((?:'([^']*)'|[a-z_]+, true)\) \}}\}}")
    found = []
    for spec, default in known.values():
        if match := made.fullmatch(str(default)):
            found.append((spec, match[1] or ""))  # where another setting stands in, an empty answer asks for it
    return found


@pytest.mark.parametrize(("template", "question"), QUESTIONS)
def test_every_question_is_a_setting_of_its_type_choices_and_default(
    template: dict[str, t.Any], question: dict[str, t.Any]
) -> None:
    settings = settings_of(question["variable"])
    assert settings, f"no role has a setting {question['variable']}"
    for spec, default in settings:
        assert spec["type"] in TYPES[question["type"]]
        # AWX has no yes or no: a question with these two words stands for one.
        yes_or_no = spec["type"] == "bool"
        assert question.get("choices") == (["false", "true"] if yes_or_no else spec.get("choices"))
        assert question["default"] == (str(default).lower() if yes_or_no else default)


@pytest.mark.parametrize(("template", "question"), QUESTIONS)
def test_every_question_is_one_that_awx_takes(template: dict[str, t.Any], question: dict[str, t.Any]) -> None:
    """The rules by which AWX refuses a survey."""
    assert {"type", "question_name", "variable", "required"} <= question.keys()
    assert isinstance(question["required"], bool)
    assert isinstance(question["default"], int if question["type"] == "integer" else str)
    assert all(isinstance(question[key], int) for key in ("min", "max") if key in question)
    if question["type"] == "multiplechoice":
        assert question["default"] in question["choices"] and all(isinstance(one, str) for one in question["choices"])
    names = [one["variable"] for one in template["survey_spec"]["spec"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("given", described("schedule"), ids=lambda given: given["name"])
def test_every_rule_is_one_that_awx_takes_and_comes_again(given: dict[str, t.Any]) -> None:
    text = given["rrule"].replace("{{ awx_timezone }}", PLAY["vars"]["awx_timezone"])
    start, rule = text.split()
    assert re.fullmatch(r"DTSTART;TZID=[A-Za-z/_]+:\d{8}T\d{6}", start) and rule.startswith("RRULE:")
    assert "INTERVAL=" in rule and "SECONDLY" not in rule and not re.search(r"BYDAY=\d", rule)
    rules = rrule.rrulestr(text, tzids=tz.gettz)
    now = datetime.datetime(2026, 11, 28, 3, 0, tzinfo=tz.UTC)
    first, second = (rules.after(now), rules.after(rules.after(now)))
    days = {"DAILY": 1, "WEEKLY": 7}[re.findall(r"FREQ=(\w+)", rule)[0]]
    assert (second - first).days == days
    assert not 1 <= first.hour < 3, "the hours that a change of the clock leaves out or repeats"


def test_no_secret_and_every_secret_has_a_way_in() -> None:
    (kind,) = described("credential_type")
    fields = {field["id"]: field for field in kind["inputs"]["fields"]}
    assert all(field["secret"] for field in fields.values())
    assert set(kind["injectors"]) == {"extra_vars"}, (
        "an environment is seen by every process and kept by ansible-runner"
    )
    known = roles()
    for variable, template in kind["injectors"]["extra_vars"].items():
        assert known[variable][0]["type"] == "str"
        assert set(re.findall(r"\{\{ (\w+)", template)) <= fields.keys()
    for given in described("credential"):
        assert given["update_secrets"] is False
        assert not {"password", "ssh_key_data", "become_password", "webhook"} & given.get("inputs", {}).keys()
    for given in described("notification_template"):
        assert given["notification_configuration"]["password"] == ""
