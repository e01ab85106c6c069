#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: env_validate
short_description: Check the environment file of a Compose project
version_added: 0.1.0
description:
  - Reads the environment file as Docker Compose reads it and checks every variable, what must hold between variables,
    and the file itself.
  - Looks at it three ways. C(env.overrides) tells where Compose gives a service something else than the file says, and
    which variables have no effect. C(env.running) tells what the running containers do not have yet, or have although
    nothing says so. It needs the C(docker) command, and no Python package.
  - Which variables there are and what they may look like is data, in O(schema) and O(rules). The role
    P(prosaas.ops.preflight#role) has that data for ProSaaS.
  - No value of the file is ever returned. What was seen is told by names, line numbers and lengths.
  - On its own it is a tool that says what is missing, in RV(template), and with O(fill) makes the secrets among it.
author:
  - The prosaas.ops authors (@prosaas-ops)
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._shared.compose
attributes:
  check_mode:
    support: full
    description: With O(fill) it says what would be made, and judges the file as it would be. An unknown does not fail.
  diff_mode:
    support: full
    description: With O(fill) it names what gets a value, and never the value.
options:
  file:
    description: The environment file, relative to O(project_dir).
    type: path
    default: .env
  example_file:
    description:
      - The template that the file was copied from, relative to O(project_dir). It need not exist.
      - A secret that still has the value of the template fails, and names that are in it are not taken for misspelt.
    type: path
    default: .env.example
  schema:
    description:
      - What each variable must look like, by its name. Each makes one check, C(env.) and the name in lower case.
      - "V(type) is one of V(string) (with V(pattern) and V(expected)), V(int) (V(min), V(max)), V(exact) (V(value)),
        V(enum) (V(values)), V(host), V(port), V(phone), V(email), V(url) (V(schemes), V(suffix) of the host, V(bare)
        for a host alone, V(path)), V(prefix) (V(prefix), V(min_length)), V(postgres_dsn) (V(sslmodes)), V(secret)
        (V(min_length), V(min_bits)) and V(fernet)."
      - V(required) says that it must be set, V(required_when) with which values of other variables, V(required_with)
        beside which other variables. V(default) is told when it is not set and need not be.
      - V(ignored) says why the application does not read it. Then only a placeholder fails, and all else warns.
      - V(severity) is V(fail) or V(warn). V(public) says that the value is no secret. V(source) says where to get one.
        V(title) and V(item) (lines of the checklist) go into the check.
      - V(generate) is how one is made, V(hex32), V(urlsafe32), V(base64_32) or V(fernet), or else a whole command for a
        person. V(unless_volume) names a volume whose data is lost with the value, so that O(fill) leaves it alone where
        the engine has that volume.
    type: dict
    default: {}
  schema_extra:
    description:
      - Entries that are laid on top of O(schema), key by key, to change or add one without copying the rest.
      - An entry with V(enabled) V(false) is left out.
    type: dict
    default: {}
  rules:
    description:
      - What must hold between variables. Each makes one check, C(env.rule.) and its V(id).
      - "V(kind) is one of V(same_host) (with V(domain) that host must be O(domain)), V(within_domain), V(url_matches)
        (V(scheme) and V(host) name the variables that hold them), V(first_label) (the host begins with the variable
        V(equals)), V(lacks) (the host does not contain V(text)), V(at_most) (the first is not larger than the second,
        V(defaults) are the values of those that are not set) and V(different) (beside V(variables) those of V(types)).
        All are about V(variables), as far as they are set."
      - "V(implies) is about others: where all of V(when) have these values, all of V(then) that are set match these
        regular expressions."
      - V(severity), V(title) and V(item) are as in O(schema). V(remedy) is told when it does not hold.
    type: list
    elements: dict
    default: []
  rules_extra:
    description: Rules that are laid on top of O(rules) by their V(id), as with O(schema_extra).
    type: list
    elements: dict
    default: []
  placeholders:
    description: Regular expressions (any case) of values that nobody has replaced yet. They fail in every variable.
    type: list
    elements: str
    default: []
  domain:
    description: Under which the application is reached.
    type: str
    default: ''
  resolve:
    description:
      - Whether to ask Compose what it makes of the file for each service (no engine is needed for that), and the engine
        what the running containers have.
    type: bool
    default: true
  overrides:
    description:
      - Patterns of the variables that the Compose files override on purpose. Another one fails when it is in O(schema)
        and the application reads it, and warns otherwise.
    type: list
    elements: str
    default: []
  fill:
    description:
      - Whether to make the secrets that are missing, in the file, once. Only those whose V(generate) is known are made.
      - A line that has no value, or still exactly that of the template, gets one; what is in no line is added at the
        end. All else stays as it is, to the byte. The file is written whole, with mode 0600 and its owner.
    type: bool
    default: false
    version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Check the environment file against the data of the role
  prosaas.ops.env_validate:
    project_dir: /opt/prosaasil
    project: prosaasil
    domain: prosaas.pro
    schema: "{{ preflight_env_schema }}"
    rules: "{{ preflight_env_rules }}"
    placeholders: "{{ preflight_env_placeholders }}"

- name: What is missing, and how to get it
  prosaas.ops.env_validate:
    project_dir: /opt/prosaasil
    project: prosaasil
    schema: "{{ preflight_env_schema }}"
    gather: true
  register: env

- name: Make the secrets among it
  prosaas.ops.env_validate:
    project_dir: /opt/prosaasil
    project: prosaasil
    schema: "{{ preflight_env_schema }}"
    fill: true
    gather: true

- name: Another application, with a rule of its own
  prosaas.ops.env_validate:
    project_dir: /opt/shop
    project: shop
    compose_files: [compose.yml]
    schema:
      SESSION_KEY: {type: secret, required: true, generate: hex32}
      DATABASE_URL: {type: postgres_dsn, required: true, sslmodes: [require, verify-full]}
      SITE_URL: {type: url, required: true}
    rules:
      - {id: domain, kind: same_host, variables: [SITE_URL], domain: true}
    domain: shop.example.com
"""

RETURN = r"""
filled:
  description: Variables that were given a value; in check mode, that would be.
  returned: always
  type: list
  elements: str
  sample: [SECRET_KEY, INTERNAL_SECRET]
  version_added: 0.2.0
template:
  description:
    - Lines for the variables that must be set and are not, or are still placeholders. Each stands under what it is and
      the command that makes it. No value but that of type V(exact), which is no secret. Empty when nothing is missing.
  returned: always
  type: str
  sample: "# Sessions are signed with a random key.\n# Make one: openssl rand -hex 32\nSECRET_KEY=\n"
  version_added: 0.2.0
checks:
  description: What was looked at, worst first.
  returned: always
  type: list
  elements: dict
  sample:
    - id: env.secret_key
      title: Sessions are signed with a key of their own
      status: fail
      evidence: "line 14: it is still a placeholder"
      remedy: "Set SECRET_KEY in /opt/prosaasil/.env; make a value: openssl rand -hex 32"
      item: [15]
      required: true
      seconds: 0.0
      waiver: null
counts:
  description: How many checks have each status.
  returned: always
  type: dict
  sample: {fail: 1, unknown: 0, warn: 0, pass: 50, skip: 3}
verdict:
  description: V(pass), V(warn), V(fail) or V(unknown).
  returned: always
  type: str
  sample: fail
msg:
  description: One sentence with what failed and what to do.
  returned: always
  type: str
  sample: "1 of 54 checks failed: env.cookie_secure (line 9: expected exactly true) -> Set COOKIE_SECURE=true in .env."
seconds:
  description: How long it took.
  returned: always
  type: float
  sample: 0.2
"""

from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _env_file, _env_rules, _env_views
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Project
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {
    **COMPOSE_OPTIONS,
    "file": {"type": "path", "default": ".env"},
    "example_file": {"type": "path", "default": ".env.example"},
    "schema": {"type": "dict", "default": {}},
    "schema_extra": {"type": "dict", "default": {}},
    "rules": {"type": "list", "elements": "dict", "default": []},
    "rules_extra": {"type": "list", "elements": "dict", "default": []},
    "placeholders": {"type": "list", "elements": "str", "default": []},
    "domain": {"type": "str", "default": ""},
    "resolve": {"type": "bool", "default": True},
    "overrides": {"type": "list", "elements": "str", "default": []},
    "fill": {"type": "bool", "default": False},
}


def look(call: Call) -> Report:
    params, directory = call.params, Path(call.params["project_dir"])
    schema = _env_rules.merged(params["schema"], params["schema_extra"])
    rules = _env_rules.merged_rules(params["rules"], params["rules_extra"])
    _env_rules.refuse_mistakes(schema, rules, params["placeholders"])
    host = _env_views.Host(Project.of(params), call.execute, call.state_dir, params["overrides"])
    return _env_file.examine(
        directory / params["file"],
        directory / params["example_file"],
        _env_rules.Environment(schema, params["placeholders"], params["domain"].lower()),
        rules,
        host if params["resolve"] else None,
        params["fill"],
        call.check_mode,
    )


def main() -> None:
    run_module(OPTIONS, look)


if __name__ == "__main__":
    main()
