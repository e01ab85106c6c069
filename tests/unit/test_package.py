# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/run package takes for a fault, and how the docs site is laid out."""

from __future__ import annotations

from pathlib import Path

import conf
import make_site
import package
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HELD = [
    "MANIFEST.json",
    "FILES.json",
    "README.md",
    "plugins/modules/run.py",
    "docs/operations.md",
    "inventories/prod/hosts.yml",
]
KNOWN = "WARNING: ERROR    Failed to find prosaas.ops.deploy playbook.\n"
META = {"repository": "https://github.com/prosaas/prosaas.ops", "requires_ansible": ">=2.19.0"}
CONTAINERFILE = (
    'ARG ANSIBLE_INSTALL_REFS="ansible-core>=2.19,<2.22"\nRUN ansible-galaxy collection install -r requirements.yml\n'
)
COLLECTIONS = "collections:\n  - name: https://github.com/prosaas/prosaas.ops.git\n"
FOUND = {"python": [], "system": ["openssh-clients [platform:rpm]", "git [platform:dpkg]"]}


def test_a_tarball_of_what_belongs_in_it_is_fine() -> None:
    assert list(package.tarball_faults(HELD, 800_000, ["plugins/modules/run.py", "tests/run", "demo/run"])) == []


@pytest.mark.parametrize(
    "name", [".demo/records/a.json", "tests/run", "inventories/demo/hosts.yml", "docs/site/conf.py", "notes.txt"]
)
def test_what_does_not_belong_in_the_tarball_is_named(name: str) -> None:
    (fault,) = package.tarball_faults([*HELD, name], 800_000, [])
    assert fault.startswith(f"{name}: is in the tarball")


def test_a_tarball_without_a_part_of_the_collection_is_a_fault() -> None:
    (fault,) = package.tarball_faults(HELD, 800_000, ["plugins/modules/run.py", "roles/verify/README.md"])
    assert fault.startswith("roles/verify/README.md: is not in the tarball")


def test_a_tarball_that_has_grown_a_lot_is_a_fault() -> None:
    (fault,) = package.tarball_faults(HELD, 30_000_000, [])
    assert "30000000 bytes" in fault


def test_a_judged_warning_of_galaxy_importer_passes_and_any_other_is_a_fault() -> None:
    assert list(package.importer_faults(f"Loading role verify\n{KNOWN}done\n")) == []
    (fault,) = package.importer_faults(f"{KNOWN}WARNING: No changelog found.\n")
    assert fault == "galaxy-importer: No changelog found."
    (fault,) = package.importer_faults(f"{KNOWN}ERROR: Error running ansible-doc: …\n")
    assert fault == "galaxy-importer: Error running ansible-doc: …"


def test_a_judgement_of_what_is_no_longer_said_has_to_go() -> None:
    (fault,) = package.importer_faults("Importer processing completed successfully\n")
    assert "take it out of KNOWN_WARNINGS" in fault


def test_the_execution_environment_as_it_should_be() -> None:
    assert list(package.environment_faults(META, CONTAINERFILE, COLLECTIONS, FOUND)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"collections": "collections: []\n"}, "would not get https://github.com/prosaas/prosaas.ops"),
        ({"containerfile": CONTAINERFILE.replace("2.19", "2.15")}, "is not the one of meta/runtime.yml, >=2.19"),
        ({"found": {**FOUND, "python": ["docker>=7.1,<8", "boto3"]}}, "on the controller: docker>=7.1,<8, boto3"),
        ({"found": {**FOUND, "system": ["git [platform:dpkg]"]}}, "the controller needs openssh-client"),
    ],
)
def test_what_an_execution_environment_lacks_is_named(changed: dict, said: str) -> None:
    given = {"containerfile": CONTAINERFILE, "collections": COLLECTIONS, "found": FOUND, **changed}
    (fault,) = package.environment_faults(META, **given)
    assert said in fault


def test_a_page_fetches_nothing_from_elsewhere_but_may_link_there() -> None:
    page = '<a href="https://docs.ansible.com/">Ansible</a><script src="_static/a.js"></script><img src="../b.png">'
    assert list(package.page_faults("index.html", page)) == []
    for tag in (
        '<script src="https://cdn.test/a.js">',
        '<link rel="stylesheet" href="//fonts.test/a">',
        "<img alt='' src='http://a.test/b.png'>",
    ):
        assert len(list(package.page_faults("index.html", tag))) == 1


def test_every_markdown_page_is_in_the_site() -> None:
    written = {path.relative_to(ROOT) for path in ROOT.rglob("*.md")}
    ours = {path for path in written if not path.parts[0].startswith(".") and path.parent != Path("docs/site")}
    assert ours == set(make_site.pages())


def test_what_pages_link_to_comes_along(tmp_path: Path) -> None:
    make_site.lay_out(tmp_path)
    assert (tmp_path / "COPYING").read_bytes() == (ROOT / "COPYING").read_bytes()
    assert (tmp_path / "docs/awx/apply.yml").is_file()
    assert (tmp_path / "docs/record.png").is_file()
    index = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert index.startswith((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "reference/index" in index
    assert "../../reference/verify_role.rst" in (tmp_path / "roles/verify/README.md").read_text(encoding="utf-8")


def test_links_out_of_the_collection_are_not_followed() -> None:
    text = "[a](https://example.test/COPYING) [b](../../etc/passwd) [c](../COPYING#top) [d](absent.md)"
    assert list(make_site.linked_files(Path("docs/records.md"), text)) == [Path("COPYING")]


def test_labels_of_ansible_lead_to_its_documentation_and_ours_do_not() -> None:
    assert conf.ansible_page("common_return_values").endswith("/reference_appendices/common_return_values.html")
    mail = conf.ansible_page("ansible_collections.community.general.mail_module")
    assert mail.endswith("/collections/community/general/mail_module.html")
    assert conf.ansible_page("ansible_collections.prosaas.ops.gone_module") is None
    assert conf.ansible_page("no_such_label") is None


def test_a_builder_is_told_of_the_controllers_needs_and_not_of_the_hosts() -> None:
    told = yaml.safe_load((ROOT / "meta/execution-environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert set(told) == {"system"}
    assert (ROOT / told["system"]).is_file()
