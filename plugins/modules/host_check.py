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
  - Looks at engine, Compose, networks, volumes, disk, memory, limits, ports and names, as the resolved model needs them,
    and at the clock.
  - Looks at files that containers mount as files.
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
    description: Bytes that must be free where the engine keeps its images, at the least.
    type: int
    default: 10737418240
  memory_least:
    description:
      - Bytes of memory that must be available, on the host and in the control group of all containers where that has a
        limit.
    type: int
    default: 0
  files:
    description:
      - What must be a file on the host, by a name that becomes part of the check id.
      - Each has either C(path), on the host, relative to O(project_dir); or C(target), the path inside containers, for
        which the resolved model tells the path on the host.
    type: dict
    default: {}
  networks_made:
    description: Names of external networks that a deployment makes where they are missing. Any other must be there.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  volumes:
    description: What it means that a volume is new, by its key in the Compose files.
    type: dict
    default: {}
    version_added: 0.2.0
  disk_factor:
    description:
      - A new build is given so many times the bytes that the images of the last one take, each layer counted once.
        O(disk_least) is the least that is asked for.
    type: float
    default: 2.0
    version_added: 0.2.0
  state_least:
    description: Bytes that must be free in O(state_dir), where releases are built and kept.
    type: int
    default: 1073741824
    version_added: 0.2.0
  clock_sources:
    description:
      - URLs whose C(Date) header the host's clock is compared with, over verified TLS. With several the majority is
        believed.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  clock_most:
    description: Seconds by which the clock may be wrong.
    type: float
    default: 60
    version_added: 0.2.0
  ca_path:
    description: File with CA certificates to trust besides the public ones when O(clock_sources) are asked.
    type: path
    version_added: 0.2.0
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._shared.compose
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.tls_check
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
    networks_made: [prosaas-net]
    volumes:
      n8n_data: n8n starts without its workflows
    clock_sources:
      - https://api.cloudflare.com/client/v4
"""

RETURN = r"""
checks:
  description:
    - What was checked, worst first.
    - Ids are C(host.engine), C(host.compose), C(host.model), C(host.network), C(host.volumes), C(host.disk),
      C(host.memory), C(host.ulimits), C(host.ports), C(host.project), C(host.files.<name>) and C(host.clock).
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
    "networks_made": {"type": "list", "elements": "str", "default": []},
    "volumes": {"type": "dict", "default": {}},
    "disk_factor": {"type": "float", "default": 2.0},
    "state_least": {"type": "int", "default": 1 << 30},
    "clock_sources": {"type": "list", "elements": "str", "default": []},
    "clock_most": {"type": "float", "default": 60},
    "ca_path": {"type": "path"},
}


def look(call: Call) -> Report:
    return _readiness.examine(Project.of(call.params), call.params, call.execute)


def main() -> None:
    run_module(OPTIONS, look, needs=("docker",))


if __name__ == "__main__":
    main()
