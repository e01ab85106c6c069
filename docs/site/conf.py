# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of Sphinx for the docs site; make_site.py lays out what it reads."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

GALAXY = yaml.safe_load((Path(__file__).resolve().parents[2] / "galaxy.yml").read_text(encoding="utf-8"))

project = f"{GALAXY['namespace']}.{GALAXY['name']}"
author = GALAXY["authors"][0]
version = release = str(GALAXY["version"])
html_title = f"{project} {version}"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
nitpicky = True  # a link that leads nowhere is a fault

# Headings get the names that git hosts give them, so that a link works in both places.
myst_heading_anchors = 4

html_theme = "furo"
html_theme_options: dict[str, object] = {"top_of_page_buttons": []}  # no links to the source of a page
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_use_index = False
highlight_language = "YAML+Jinja"
antsibull_ext_color_scheme = "default-autodark"


# Ansible's own documentation, by the labels that the pages of modules use. Its list of labels would have to be fetched.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest"
ANSIBLE_PAGES = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "callback_plugins": "plugins/callback.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
OTHER_MODULE = re.compile(r"ansible_collections\.(\w+)\.(\w+)\.(\w+_module)")


def ansible_page(label: str, kind: str = "ref") -> str | None:
    """Return where Ansible's documentation has a label or a variable; None for one that must be ours."""
    if kind == "envvar" and label.startswith("ANSIBLE_"):
        return f"{ANSIBLE}/{ANSIBLE_PAGES['ansible_configuration_settings']}#envvar-{label}"
    module = OTHER_MODULE.fullmatch(label)
    if module and f"{module[1]}.{module[2]}" != project:
        return f"{ANSIBLE}/collections/{module[1]}/{module[2]}/{module[3]}.html"
    return f"{ANSIBLE}/{ANSIBLE_PAGES[label]}" if label in ANSIBLE_PAGES else None


def link_to_ansible(
    _app: Sphinx, _env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    page = ansible_page(node.get("reftarget", ""), node.get("reftype", ""))
    return nodes.reference("", "", *text.children, refuri=page, internal=False) if page else None


class NoContents(Directive):
    """In the place of `contents`: the theme has a table of contents beside every page."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = {"local": directives.flag, "depth": directives.nonnegative_int}

    def run(self) -> list[nodes.Node]:
        return []


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", link_to_ansible)
    app.add_directive("contents", NoContents, override=True)
