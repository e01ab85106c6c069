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
  - Opens O(pages) as people do, in a Chromium on the controller, where there is one. What it sees is judged here. Without
    one these checks are V(skip), and a person is asked.
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
    description:
      - File on the host with CA certificates to trust besides the system's.
      - The browser is told the one key that the controller has verified against them, and accepts no other.
    type: path
  env_file:
    description: File on the host (the application's C(.env)) for O(endpoints[].secret_headers).
    type: path
  deadline:
    description: Seconds within which every endpoint and page must have passed once. With V(0) each is asked once.
    type: float
    default: 0
  timeout:
    description: Seconds within which every single answer must be complete.
    type: float
    default: 10
  pages:
    description: Pages to open in a browser on the controller.
    type: list
    elements: dict
    default: []
    version_added: 0.2.0
    suboptions:
      name:
        description: Part of the ids of its checks.
        type: str
        required: true
      title:
        description: What it is, in a few words.
        type: str
        default: The page
      url:
        description: Where it is.
        type: str
        required: true
      address:
        description:
          - Address to connect to in place of the one that its name has for the controller. Name and certificate stay the
            URL's.
        type: str
        default: ''
      selector:
        description: CSS selector of what must be there to be seen, such as a field of its form.
        type: str
        required: true
      expected:
        description: Requests of the page that are answered with an error when all is well.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Path of their URL, or a pattern as in a shell.
            type: str
            required: true
          status:
            description: Statuses that they may have.
            type: list
            elements: int
            required: true
      console_allowed:
        description: Texts in the console, or patterns as in a shell, that are no errors.
        type: list
        elements: str
        default: []
      remedy:
        description: What to do when something is wrong with it.
        type: str
        default: Open it in a browser and look at its console.
  browser:
    description: How O(pages) are opened.
    type: dict
    default: {}
    version_added: 0.2.0
    suboptions:
      programs:
        description: Names or paths of a Chromium on the controller; the first one that is there is used.
        type: list
        elements: str
        default: [chromium-headless-shell, chromium, chromium-browser, google-chrome]
      seconds:
        description: Seconds within which a page must have loaded.
        type: float
        default: 20
  records_dir:
    description:
      - Directory on the controller for copies of the records. A screenshot of each page goes beside that of O(run).
    type: path
    version_added: 0.2.0
  seen:
    description: What the browser saw. Filled in by the action plugin of the same name.
    type: dict
    version_added: 0.2.0
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
        assets: true
        certificate_days: 14

- name: People can log in
  prosaas.ops.endpoint_check:
    endpoints: []
    pages:
      - name: login
        title: The login page
        url: https://prosaas.pro/
        selector: input[type=password]
        expected:
          - path: /api/auth/me
            status: [401]
"""

RETURN = r"""
checks:
  description:
    - One check for each endpoint, worst first. Where its certificate is looked at, one more with C(.certificate) behind its
      id, and with C(.assets) where all that the page names must load.
    - For each page C(page.NAME.opens), C(page.NAME.form), C(page.NAME.requests) and C(page.NAME.console); where no browser
      opened it, C(page.NAME.person), which only a person can answer.
  returned: always
  type: list
  elements: dict
  sample:
    - id: endpoint.readyz
      status: pass
      evidence: 'http://prosaas-api:5000/readyz: 200 application/json dependencies.database="healthy", 0.02 s'
      remedy: ''
      item: [225]
certificates:
  description: When the certificates that were looked at end, in seconds since the epoch, by the id of the endpoint.
  returned: always
  type: dict
  sample: {endpoint.health: 1795824000}
  version_added: 0.3.0
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

import itertools
import typing as t

from ansible_collections.prosaas.ops.plugins.module_utils import _endpoint, _page
from ansible_collections.prosaas.ops.plugins.module_utils._check import Check, Report
from ansible_collections.prosaas.ops.plugins.module_utils._endpoint_data import (
    ENDPOINTS,
    endpoint_of,
    header_secrets,
    in_force,
)
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving

OPTIONS: dict[str, t.Any] = {
    "endpoints": {**ENDPOINTS, "required": True},
    "project": {"type": "str", "default": ""},
    "address": {"type": "str", "default": ""},
    "ca_path": {"type": "path"},
    "env_file": {"type": "path"},
    "deadline": {"type": "float", "default": 0},
    "timeout": {"type": "float", "default": 10},
    "pages": _page.PAGES,
    "browser": {
        "type": "dict",
        "default": {},
        "options": {
            "programs": {"type": "list", "elements": "str", "default": list(_page.PROGRAMS)},
            "seconds": {"type": "float", "default": _page.SECONDS},
        },
    },
    "records_dir": {"type": "path"},
    "seen": {"type": "dict"},
}


def look(call: Call) -> Report:
    params = call.params
    asked = in_force(params["endpoints"])
    secrets = header_secrets(asked, params["env_file"] or "")

    def address_of(service: str) -> str:
        # Connected to anew each time: an engine that comes back within the deadline is found.
        return serving(call.state_dir).address(params["project"], service)

    endpoints = [endpoint_of(given, params["address"], secrets) for given in asked]
    http = Client(ca_path=params["ca_path"] or "", timeout=params["timeout"])
    report = _endpoint.inspect(endpoints, http, address_of, params["deadline"], set(secrets.values()))
    seen = params["seen"] or {"why": "nobody on the controller opened it"}
    report.checks += itertools.chain.from_iterable(_checks_of(page, seen) for page in params["pages"])
    return report


def _checks_of(given: dict[str, t.Any], seen: dict[str, t.Any]) -> list[Check]:
    found = seen.get("pages", {}).get(given["name"])
    return _page.checks(_page.page_of(given), None if found is None else _page.seen_of(found), seen.get("why", ""))


def main() -> None:
    run_module(OPTIONS, look, needs=("jmespath", "docker"))


if __name__ == "__main__":
    main()
