#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_check
short_description: Check the TLS certificate of a Compose project, on disk and as it is served
version_added: 0.2.0
description:
  - Looks at certificate and key in the project's directory. Are they there and private, can the proxy read them as its
    container runs, do they belong together, do they name every domain, can clients follow them to an authority that
    they trust, are they strong, how long do they last?
  - Looks at what the public port serves for every domain, where the proxy already runs.
  - Nothing is changed, and no key leaves OpenSSL. The host needs the command C(openssl).
options:
  certificate:
    description:
      - File with the server's certificate, and behind it those that vouch for it, relative to O(project_dir).
    type: str
    required: true
  key:
    description: File with its key, relative to O(project_dir).
    type: str
    required: true
  names:
    description: DNS names that it must cover, and under which the port is asked.
    type: list
    elements: str
    required: true
  min_days:
    description: Days that must be left of a certificate that was made for more than O(short_lived) days.
    type: int
    default: 90
  short_lived:
    description:
      - A certificate made for so many days or fewer is renewed by a machine.
      - It passes with a third of its days left, is remarked on with less, and fails in its last week.
    type: int
    default: 100
  service:
    description:
      - Service that reads the files. Whether it can is judged by its user, its capabilities and its mounts, and proved
        in its container where that runs.
      - Empty when no container of the project reads them.
    type: str
    default: ''
  reload:
    description: Command by which that service reads its files again; it is only told, never run.
    type: list
    elements: str
    default: []
  address:
    description:
      - Address at which this host serves. Empty for the one that the service's container publishes O(port) at.
    type: str
    default: ''
  port:
    description: The port that serves TLS.
    type: int
    default: 443
  trust:
    description:
      - Who the clients are. V(public) is for everybody, who trust the system's CAs and the one in O(ca_path).
      - V(origin) is for a certificate that only a proxy in front trusts, such as one of Cloudflare's Origin CA. The CA in
        O(ca_path) alone counts then.
    type: str
    choices: [public, origin]
    default: public
  ca_path:
    description: File on the host with CA certificates to trust besides the system's, or in place of them.
    type: path
  private_issuers:
    description:
      - Authorities that no browser knows, by a part of their name in any case, with the place where their root can be
        had. A certificate of theirs is told from one whose chain is incomplete.
    type: dict
    default: {}
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._shared.compose
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.host_check
  - module: prosaas.ops.endpoint_check
  - module: community.crypto.x509_certificate_info
"""

EXAMPLES = r"""
- name: The certificate is good for another three months, and nginx serves it
  prosaas.ops.tls_check:
    project: prosaasil
    project_dir: /opt/prosaasil
    certificate: docker/nginx/ssl/prosaas-origin.crt
    key: docker/nginx/ssl/prosaas-origin.key
    names: [prosaas.example, n8n.prosaas.example]
    service: nginx
    reload: [nginx, -s, reload]
  become: true

- name: A certificate for Cloudflare alone
  prosaas.ops.tls_check:
    project: prosaasil
    project_dir: /opt/prosaasil
    certificate: docker/nginx/ssl/prosaas-origin.crt
    key: docker/nginx/ssl/prosaas-origin.key
    names: [prosaas.example]
    service: nginx
    trust: origin
    ca_path: /etc/ssl/origin_ca_rsa_root.pem
  become: true
"""

RETURN = r"""
checks:
  description:
    - What was checked, worst first.
    - Ids are C(tls.files), C(tls.readable), C(tls.match), C(tls.names), C(tls.chain), C(tls.strength), C(tls.days) and
      C(tls.served). The last one is V(skip) before the first deployment, when nothing listens yet.
  returned: always
  type: list
  elements: dict
  sample:
    - id: tls.served
      status: fail
      evidence: 127.0.0.1:443 serves another certificate than the file's for prosaas.example (which clients take)
      remedy: docker exec prosaasil-nginx-1 nginx -s reload
      item: [500]
verdict:
  description: The worst of the required checks.
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names the failed checks.
  returned: always
  type: str
  sample: 8 of 8 checks passed.
"""

from ansible_collections.prosaas.ops.plugins.module_utils import _tls
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Project
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {
    **COMPOSE_OPTIONS,
    "certificate": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": False},
    "names": {"type": "list", "elements": "str", "required": True},
    "min_days": {"type": "int", "default": 90},
    "short_lived": {"type": "int", "default": 100},
    "service": {"type": "str", "default": ""},
    "reload": {"type": "list", "elements": "str", "default": []},
    "address": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 443},
    "trust": {"type": "str", "default": "public", "choices": ["public", "origin"]},
    "ca_path": {"type": "path"},
    "private_issuers": {"type": "dict", "default": {}},
}


def look(call: Call) -> Report:
    return _tls.examine(Project.of(call.params), call.params, call.execute)


def main() -> None:
    run_module(OPTIONS, look, needs=("docker",))


if __name__ == "__main__":
    main()
