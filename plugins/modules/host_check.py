#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_check
short_description: Check that a host is ready for a Compose project
version_added: 0.1.0
description:
  - Looks at engine, Compose, networks, volumes, disk, memory, ports and names, as the resolved model needs them.
  - Looks at files that containers mount as files, and at the TLS certificate and key.
  - Nothing is created. What a deployment would create is told.
options:
  engine_least:
    description: Oldest version of the Docker engine that will do.
    type: str
    default: '20.10'
  compose_least:
    description: Oldest version of Docker Compose that will do.
    type: str
    default: 2.21.0
  disk_least:
    description: Bytes that must be free where the engine keeps its images.
    type: int
    default: 10737418240
  memory_least:
    description: Bytes of memory that must be available.
    type: int
    default: 0
  files:
    description:
      - What must be a file on the host, by a name that becomes part of the check id.
      - Each has either C(path), on the host, relative to O(project_dir); or C(target), the path inside containers, for
        which the resolved model tells the path on the host.
    type: dict
    default: {}
  tls:
    description: The certificate that the edge serves. Without it there are no such checks.
    type: dict
    suboptions:
      certificate:
        description: File with the certificate, relative to O(project_dir).
        type: str
        required: true
      key:
        description: File with its key, relative to O(project_dir).
        type: str
        required: true
      names:
        description: DNS names that it must cover.
        type: list
        elements: str
        default: []
      min_days:
        description: Days that must be left of a certificate that was made for more than O(tls.short_lived) days.
        type: int
        default: 90
      short_lived:
        description:
          - A certificate made for so many days or fewer is renewed by a machine.
          - It passes with a third of its days left, is remarked on with less, and fails in its last week.
        type: int
        default: 100
      reader:
        description:
          - User id under which the server reads the key.
          - A root that lacks the capability to override permissions reads only what is its own or open to all.
        type: int
        default: 0
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._shared.compose
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.compose_health
  - module: community.docker.docker_host_info
"""

EXAMPLES = r"""
- name: The host is ready
  prosaas.ops.host_check:
    project: prosaasil
    project_dir: /opt/prosaasil
    disk_least: 21474836480
    files:
      speech_credentials:
        target: /root/secrets/gcp-stt-sa.json
    tls:
      certificate: docker/nginx/ssl/prosaas-origin.crt
      key: docker/nginx/ssl/prosaas-origin.key
      names: [prosaas.example, n8n.prosaas.example]
"""

RETURN = r"""
checks:
  description:
    - What was checked, worst first.
    - Ids are C(host.engine), C(host.compose), C(host.model), C(host.network), C(host.volumes), C(host.disk),
      C(host.memory), C(host.ports), C(host.project), C(host.files.<name>), C(tls.files), C(tls.match), C(tls.names) and
      C(tls.days).
  returned: always
  type: list
  elements: dict
verdict:
  description: The worst of the required checks.
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names the failed checks.
  returned: always
  type: str
engine_version:
  description: Version of the Docker engine; empty when it does not answer.
  returned: always
  type: str
compose_version:
  description: Version of Docker Compose; empty when it does not work.
  returned: always
  type: str
"""

from ansible_collections.prosaas.ops.plugins.module_utils import _readiness
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Project
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS = {
    **COMPOSE_OPTIONS,
    "engine_least": {"type": "str", "default": "20.10"},
    "compose_least": {"type": "str", "default": "2.21.0"},
    "disk_least": {"type": "int", "default": 10 << 30},
    "memory_least": {"type": "int", "default": 0},
    "files": {"type": "dict", "default": {}},
    "tls": {
        "type": "dict",
        "options": {
            "certificate": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": False},
            "names": {"type": "list", "elements": "str", "default": []},
            "min_days": {"type": "int", "default": 90},
            "short_lived": {"type": "int", "default": 100},
            "reader": {"type": "int", "default": 0},
        },
    },
}


def look(call: Call) -> Report:
    report = _readiness.examine(Project.of(call.params), call.params, call.execute)
    return report


def main() -> None:
    run_module(OPTIONS, look, needs=("docker",))


if __name__ == "__main__":
    main()
