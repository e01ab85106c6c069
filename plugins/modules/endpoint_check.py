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
  - prosaas.ops._shared.endpoints
  - prosaas.ops._shared.checks
options:
  endpoints:
    required: true
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

from ansible_collections.prosaas.ops.plugins.module_utils import _endpoint
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._endpoint_data import ENDPOINTS, endpoint_of, header_secrets
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving

OPTIONS = {
    "endpoints": {**ENDPOINTS, "required": True},
    "project": {"type": "str", "default": ""},
    "address": {"type": "str", "default": ""},
    "ca_path": {"type": "path"},
    "env_file": {"type": "path"},
    "deadline": {"type": "float", "default": 0},
    "timeout": {"type": "float", "default": 10},
}


def look(call: Call) -> Report:
    params = call.params
    secrets = header_secrets(params["endpoints"], params["env_file"] or "")

    def address_of(service: str) -> str:
        # Connected to anew each time: an engine that comes back within the deadline is found.
        return serving(call.state_dir).address(params["project"], service)

    endpoints = [endpoint_of(given, params["address"], secrets) for given in params["endpoints"]]
    http = Client(ca_path=params["ca_path"] or "", timeout=params["timeout"])
    return _endpoint.inspect(endpoints, http, address_of, params["deadline"], set(secrets.values()))


def main() -> None:
    run_module(OPTIONS, look, needs=("jmespath", "docker"))


if __name__ == "__main__":
    main()
