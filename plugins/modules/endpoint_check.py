#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: endpoint_check
short_description: Checks that HTTP endpoints answer what proves that the service behind them works
version_added: 0.1.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Asks all endpoints side by side and judges each answer by what it proves. A web page never counts as JSON, whatever
    its status is.
  - An endpoint passes when it has passed once within O(deadline), since services warm up after a switch. The task ends
    as soon as all have.
  - Redirects are not followed, TLS is always verified, and proxies are not used.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  endpoints:
    description: What to ask, and what is accepted.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Id of the check.
        type: str
        required: true
      title:
        description: What is being made sure of, in a few words.
        type: str
        required: true
      item:
        description: Lines of the deployment checklist that this proves.
        type: list
        elements: int
        default: []
      url:
        description: What to ask, with GET.
        type: str
        required: true
      service:
        description:
          - Compose service of O(project). The request goes from this host to the newest running container of it, whose
            address takes the place of the host in O(endpoints[].url).
        type: str
      address:
        description: Address to connect to for this endpoint; see O(address).
        type: str
      headers:
        description: Headers to send.
        type: dict
        default: {}
      secret_headers:
        description: Headers to send, each with the name of the variable in O(env_file) that holds its value.
        type: dict
        default: {}
      remedy:
        description: What to do when it fails.
        type: str
        default: Look at the log of the service that answers this URL.
      any_of:
        description: The shapes of which the answer must have one.
        type: list
        elements: dict
        required: true
        suboptions:
          status:
            description: Accepted status codes.
            type: list
            elements: int
            default:
              - 200
          content_type:
            description: The media type, without parameters.
            type: str
            default: ''
          header_contains:
            description: Text that must occur in the header of that name, in upper or lower case.
            type: dict
            default: {}
          body_equals:
            description: The whole body, white space around it left out.
            type: str
            default: ''
          body_contains:
            description: Texts that must occur in the body.
            type: list
            elements: str
            default: []
          body_not_contains:
            description: Texts that must not occur in the body.
            type: list
            elements: str
            default: []
          json:
            description: What the body, which must then be JSON, must say. Each needs exactly one of the three tests.
            type: list
            elements: dict
            default: []
            suboptions:
              query:
                description: JMESPath expression.
                type: str
                required: true
              equals:
                description: The value that it must have.
                type: raw
              in:
                description: Values of which it must have one. V(null) among them allows it to be absent.
                type: list
                elements: raw
              exists:
                description: Whether it must be there at all.
                type: bool
          max_seconds:
            description: How long the answer may take; V(0) is as long as O(timeout) allows.
            type: float
            default: 0
  project:
    description: Name of the Compose project whose services are asked directly.
    type: str
    default: ''
  address:
    description:
      - Address to connect to in place of the one that a URL's name resolves to. Name and certificate stay the URL's.
    type: str
    default: ''
  ca_path:
    description: File with CA certificates to trust besides the system's.
    type: path
  env_file:
    description: File on the host (the application's C(.env)) for O(endpoints[].secret_headers).
    type: path
  deadline:
    description: Seconds within which every endpoint must have passed once. With V(0) each is asked once.
    type: float
    default: 0
  timeout:
    description: Seconds within which every single answer must be complete.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: The application answers, and its database does
  prosaas.ops.endpoint_check:
    project: prosaasil
    deadline: 120
    endpoints:
      - id: endpoint.api_health
        title: The API answers through the public edge
        url: https://prosaas.pro/api/health
        any_of:
          - json:
              - query: status
                equals: ok
              - query: database
                in: [null, connected]
      - id: endpoint.readyz
        title: The database answers the API
        service: prosaas-api
        url: http://prosaas-api:5000/readyz
        any_of:
          - status: [200, 503]
            json:
              - query: dependencies.database
                equals: healthy
  become: true

- name: The new host answers before its name points to it
  prosaas.ops.endpoint_check:
    address: 203.0.113.7
    endpoints:
      - id: endpoint.frontend
        title: The web interface is served
        url: https://prosaas.pro/
        any_of:
          - content_type: text/html
            body_contains: ['</html>']
"""

RETURN = r"""
checks:
  description: One check for each endpoint, worst first.
  returned: always
  type: list
  elements: dict
  sample:
    - id: endpoint.readyz
      status: pass
      evidence: 'http://prosaas-api:5000/readyz: 200 application/json dependencies.database="healthy", 0.02 s'
      remedy: ''
      item: [225]
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 8 of 8 checks passed.
"""

import typing as t
from collections.abc import Mapping

from ansible_collections.prosaas.ops.plugins.module_utils import _endpoint
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._condition import Condition
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

CONDITION: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "query": {"type": "str", "required": True},
        "equals": {"type": "raw"},
        "in": {"type": "list", "elements": "raw"},
        "exists": {"type": "bool"},
    },
    "mutually_exclusive": [("equals", "in", "exists")],
    "required_one_of": [("equals", "in", "exists")],
}

SHAPE: dict[str, t.Any] = {
    "status": {"type": "list", "elements": "int", "default": [200]},
    "content_type": {"type": "str", "default": ""},
    "header_contains": {"type": "dict", "default": {}},
    "body_equals": {"type": "str", "default": ""},
    "body_contains": {"type": "list", "elements": "str", "default": []},
    "body_not_contains": {"type": "list", "elements": "str", "default": []},
    "json": CONDITION,
    "max_seconds": {"type": "float", "default": 0},
}

OPTIONS: dict[str, t.Any] = {
    "endpoints": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "id": {"type": "str", "required": True},
            "title": {"type": "str", "required": True},
            "item": {"type": "list", "elements": "int", "default": []},
            "url": {"type": "str", "required": True},
            "service": {"type": "str"},
            "address": {"type": "str"},
            "headers": {"type": "dict", "default": {}},
            # Names of variables: no_log would hide them from the messages that have to name one.
            "secret_headers": {"type": "dict", "default": {}, "no_log": False},
            "remedy": {"type": "str", "default": "Look at the log of the service that answers this URL."},
            "any_of": {"type": "list", "elements": "dict", "required": True, "options": SHAPE},
        },
    },
    "project": {"type": "str", "default": ""},
    "address": {"type": "str", "default": ""},
    "ca_path": {"type": "path"},
    "env_file": {"type": "path"},
    "deadline": {"type": "float", "default": 0},
    "timeout": {"type": "float", "default": 10},
}


def shape_of(given: Mapping[str, t.Any]) -> _endpoint.Shape:
    conditions = [Condition(c["query"], c["equals"], c["in"], c["exists"]) for c in given["json"]]
    return _endpoint.Shape(**{**given, "json": conditions})


def endpoint_of(given: Mapping[str, t.Any], address: str, secrets: Mapping[str, str]) -> _endpoint.Endpoint:
    return _endpoint.Endpoint(
        id=given["id"],
        title=given["title"],
        item=given["item"],
        url=given["url"],
        service=given["service"] or "",
        address="" if given["service"] else given["address"] or address,
        headers={**given["headers"], **{name: secrets[variable] for name, variable in given["secret_headers"].items()}},
        remedy=given["remedy"],
        shapes=[shape_of(shape) for shape in given["any_of"]],
    )


def look(call: Call) -> Report:
    params = call.params
    variables = {variable for given in params["endpoints"] for variable in given["secret_headers"].values()}
    known = Credentials(params["env_file"] if variables else "", {variable: variable for variable in variables})
    secrets = {variable: known.need(variable) for variable in variables}

    def address_of(service: str) -> str:
        # Connected to anew each time: an engine that comes back within the deadline is found.
        return Engine.connect().address(params["project"], service)

    endpoints = [endpoint_of(given, params["address"], secrets) for given in params["endpoints"]]
    http = Client(ca_path=params["ca_path"] or "", timeout=params["timeout"])
    return _endpoint.inspect(endpoints, http, address_of, params["deadline"], set(secrets.values()))


def main() -> None:
    run_module(OPTIONS, look, needs=("jmespath", "docker"))


if __name__ == "__main__":
    main()
