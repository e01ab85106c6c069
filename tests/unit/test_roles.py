# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles as data: every setting is documented, every documented setting exists, shared policy is shared."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def load(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def defaults(role: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for path in sorted((ROOT / "roles" / role / "defaults/main").glob("*.yml")):
        settings = load(path) or {}
        assert not found.keys() & settings.keys(), f"{path} sets again what another file sets"
        found.update(settings)
    return found


def documented(role: str) -> dict[str, t.Any]:
    options: dict[str, t.Any] = load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return options


@pytest.mark.parametrize("role", ROLES)
def test_every_setting_is_documented_and_every_documented_one_exists(role: str) -> None:
    assert set(defaults(role)) == set(documented(role))


@pytest.mark.parametrize("role", ROLES)
def test_documented_defaults_are_the_defaults(role: str) -> None:
    values = defaults(role)
    for name, option in documented(role).items():
        if "default" in option:
            assert option["default"] == values[name], name


@pytest.mark.parametrize("role", ROLES)
def test_role_has_its_pages(role: str) -> None:
    for name in ("README.md", "meta/main.yml", "tasks/main.yml"):
        assert (ROOT / "roles" / role / name).is_file()


def test_every_module_is_in_the_action_group() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    groups = load(ROOT / "meta/runtime.yml")["action_groups"]
    assert set(groups["ops"]) == modules
    assert set(groups["release"]) < modules


def test_every_shipped_inventory_sets_the_interpreter() -> None:
    inventories = [*(ROOT / "inventories").glob("*/hosts.yml"), *(ROOT / "docs/thin-project").glob("*/hosts.yml")]
    assert len(inventories) == 3
    for path in inventories:
        group = load(path)["prosaas"]
        for host in group["hosts"].values():
            assert {**group.get("vars", {}), **(host or {})}["ansible_python_interpreter"], path


def test_citations_of_the_application_exist() -> None:
    text = (ROOT / "docs/application.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^## (\d+)\.", text, re.MULTILINE))
    traps = set(re.findall(r"^(\d+)\. ", text.partition("## Traps")[2], re.MULTILINE))
    assert len(sections) == 12 and len(traps) == 30
    for top in ("plugins", "roles", "demo", "docs"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".yml", ".md", ".sh") and path.name != "application.md":
                said = path.read_text(encoding="utf-8")
                assert set(re.findall(r"application\.md, section (\d+)", said)) <= sections, path
                assert set(re.findall(r"application\.md, trap (\d+)", said)) <= traps, path


def test_lines_of_the_checklist_that_checks_name_are_boxes() -> None:
    boxes = {box["line"] for box in load(ROOT / "roles/prosaas/files/checklist.yml")["boxes"]}
    for role in ROLES:
        for name, value in defaults(role).items():
            if name.endswith("_items"):
                for check, lines in value.items():
                    assert set(lines) <= boxes, f"{name}: {check}"
            for item in _items(value):
                assert set(item) <= boxes, name


def _items(value: t.Any) -> t.Iterator[list[int]]:
    """Yield every ``item`` list inside a setting."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and isinstance(value.get("item"), list):
        yield value["item"]
    for child in children:
        yield from _items(child)


def test_nothing_is_asked_of_the_application_that_it_lacks() -> None:
    """Every path, key, header and service in the roles' data is one that docs/application.md describes."""
    text = (ROOT / "docs/application.md").read_text(encoding="utf-8")
    verify, preflight, deploy, shared = (defaults(role) for role in ("verify", "preflight", "deploy", "prosaas"))
    endpoints = verify["verify_endpoints"]
    urls = [endpoint["url"] for endpoint in endpoints] + [verify["verify_capacity_endpoint_url"]]
    paths = [re.sub(r"^https?://[^/]*", "", url) for url in urls]
    paths += [value for name, value in verify.items() if name.startswith("verify_webhook_") and name.endswith("_path")]
    headers = [header for endpoint in endpoints for header in endpoint.get("secret_headers", {})]
    headers += verify["verify_capacity_endpoint_headers"]
    keys = [verify["verify_capacity_set_key"], verify["verify_capacity_slot_key"].replace("{member}", "")]
    services = [endpoint["service"] for endpoint in endpoints if "service" in endpoint]
    services += [*verify["verify_services"], deploy["deploy_migrate_service"], shared["prosaas_proxy_service"]]
    variables = [*preflight["preflight_env_schema"], verify["verify_capacity_limit_variable"]]
    wanted = [*paths, *headers, *keys, *services, *variables]
    assert len(wanted) > 60
    assert [word for word in wanted if word not in text] == []
