#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_health
short_description: Check that every service of a Compose project is well and stays so
version_added: 0.1.0
description:
  - Takes the expected services from the resolved Compose model, waits until each is as it must be, and watches that
    none dies.
  - Unlike C(docker compose up --wait) it knows services that are meant to exit, images whose health check cannot work,
    and restart loops.
  - Waits on the events of the engine, and stops waiting as soon as the outcome is certain.
  - A stack that has been up and good for longer than O(window) is not waited for.
  - Each container is compared with what Compose would make now, by Compose's own hash and its dry run.
options:
  services:
    description:
      - What a service must be, by service name, where the model does not tell it. Other names are left alone.
      - Without a policy, a service that others wait for to complete, or that is never restarted, must have exited with
        code 0; one with a health check must be healthy; any other must run.
      - Each policy may have C(expect), one of V(up) (healthy where there is a health check, else running), V(healthy),
        V(running) and V(exited).
      - It may have C(probe), an HTTP GET to the container itself in place of its health check, with C(port),
        C(path) (V(/)) and C(status) (V(200)).
      - A probe with C(from), the name of another service, is asked from a container of that one by the service's name,
        with C(curl) or C(python3) of its image, which proves the network between them. Without it, the host asks.
    type: dict
    default: {}
  deadline:
    description: Seconds within which every service must have become good.
    type: int
    default: 180
  window:
    description:
      - Seconds for which every service must have been up.
      - Where services are seen to become good, they are watched for this long from then on.
    type: int
    default: 10
  crash_loop:
    description: Restarts that make a restart loop.
    type: int
    default: 5
  settled:
    description: Seconds after which a container that has restarted before counts as settled.
    type: int
    default: 300
  images:
    description: Id of the image that each service must run, by service name. Other services have no such check.
    type: dict
    default: {}
  serving_release:
    description:
      - Also expect the images of the release that serves, as kept in O(state_dir); nothing where none was deployed yet.
    type: bool
    default: false
  env_file:
    description:
      - The environment file of the application, on the host; V(.env) in O(project_dir) by default.
      - Its variables are compared with those of the release that serves, to tell an edit that is not deployed yet from
        a container that somebody made anew by hand.
    type: path
    default: ''
    version_added: 0.2.0
  log_lines:
    description: How many of the last log lines of a failed service become evidence.
    type: int
    default: 10
  secret_names:
    description: Patterns (as in a shell, any case) of environment variables whose values are masked in log lines.
    type: list
    elements: str
    default: ['*SECRET*', '*TOKEN*', '*PASSWORD*', '*_KEY', '*_KEY_ID', '*CREDENTIAL*']
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._shared.compose
author:
  - the prosaas.ops authors (@prosaas)
seealso:
  - module: prosaas.ops.capacity_check
  - module: community.docker.docker_compose_v2
"""

EXAMPLES = r"""
- name: Every service is up, and stays so for half a minute
  prosaas.ops.compose_health:
    project: prosaasil
    project_dir: /opt/prosaasil
    window: 30

- name: One service is asked from another, because its image lacks the program that its health check calls
  prosaas.ops.compose_health:
    project: prosaasil
    project_dir: /opt/prosaasil
    services:
      baileys:
        probe:
          port: 3300
          path: /health
          from: prosaas-api
    items:
      compose.*.state: [166, 206]
      compose.*.restarts: [167, 207]
"""

RETURN = r"""
checks:
  description:
    - What was checked, worst first.
    - Ids are C(compose.<service>.state), C(compose.<service>.restarts) and C(compose.<service>.configuration) (not for
      services that are meant to exit), C(compose.<service>.image) (for services in O(images)), C(compose.orphans) and
      C(compose.ports). C(compose.engine) alone when the engine does not answer.
    - The evidence of a failed service is a sentence, then what its health check printed, then the last lines of its log.
    - A container whose configuration is not that of the files is V(fail) when the files are as they were released, so
      that somebody made it by hand, and V(warn) when they were edited since, or nothing was released yet.
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
services:
  description: What was seen of each expected service at the end.
  returned: when the engine answers
  type: dict
  contains:
    state:
      description: What it was, in words.
      type: str
      sample: 'running, health: healthy'
    containers:
      description:
        - Its containers, each with C(id), C(name), C(image), C(started_at) (seconds since the epoch) and C(restarts).
      type: list
      elements: dict
"""

from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import (
    _drift,
    _health,
    _health_report,
    _ports,
    _secrets,
)
from ansible_collections.prosaas.ops.plugins.module_utils._check import UNKNOWN, Check, Outcome, Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Compose, Project
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container
from ansible_collections.prosaas.ops.plugins.module_utils._errors import Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._release import Store
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving
from ansible_collections.prosaas.ops.plugins.module_utils._watch import watch

SECRET_NAMES = ["*SECRET*", "*TOKEN*", "*PASSWORD*", "*_KEY", "*_KEY_ID", "*CREDENTIAL*"]

OPTIONS = {
    **COMPOSE_OPTIONS,
    "services": {"type": "dict", "default": {}},
    "deadline": {"type": "int", "default": 180},
    "window": {"type": "int", "default": 10},
    "crash_loop": {"type": "int", "default": 5},
    "settled": {"type": "int", "default": 300},
    "images": {"type": "dict", "default": {}},
    "serving_release": {"type": "bool", "default": False},
    "env_file": {"type": "path", "default": ""},
    "log_lines": {"type": "int", "default": 10},
    "secret_names": {"type": "list", "elements": "str", "default": SECRET_NAMES, "no_log": False},
}


def look(call: Call) -> Report:
    project = Project.of(call.params)
    compose = Compose(project, call.execute)
    model = compose.model()
    expected = _health.expectations(model, call.params["services"])
    limits = _health.Limits(*(call.params[name] for name in ("deadline", "window", "crash_loop", "settled")))
    secrets = _health_report.secret_values(model, call.params["secret_names"])
    call.hide(secrets)
    try:
        engine = serving(call.state_dir)

        def last_words(container: Container) -> list[str]:
            lines = engine.log_tail(container.id, call.params["log_lines"])
            said = _health_report.health_words(container, secrets)
            return [*said, *(_secrets.redact(line, secrets) for line in lines)]

        seen = watch(engine, project.name, expected, limits, call.progress)
        looked = _health_report.Looked(
            images=_images(call),
            configuration=_configuration(call, compose, model, expected, seen),
            unheard=_ports.silent(seen.containers),
        )
        checks = _health_report.checks(project, expected, seen, limits, looked, last_words)
    except Unreachable as error:
        away = Check("compose.engine", "The Docker engine answers", UNKNOWN, error.problem, error.remedy)
        return Report([away], secrets=secrets)
    return Report(checks, {"services": _facts(expected, seen)}, secrets)


def _images(call: Call) -> dict[str, str]:
    """Return the image ids to expect: those of the release that serves, where asked for, and those that were given."""
    serving = Store(call.state_dir).current() if call.params["serving_release"] else None
    known = {service: image["id"] for service, image in serving.images.items()} if serving else {}
    return {**known, **call.params["images"]}


def _configuration(
    call: Call,
    compose: Compose,
    model: dict[str, object],
    expected: list[_health.Expectation],
    seen: _health.Sighting,
) -> dict[str, Outcome]:
    """Return whether the containers of each service that lives are as the files say."""
    env_path = Path(call.params["env_file"] or compose.project.directory / ".env")
    host = _drift.Host(compose, call.execute, call.state_dir, env_path)
    lasting = {service.service for service in expected if service.lives}
    found = _drift.judge_all(host, model, [one for one in seen.containers if one.service in lasting])
    missing = Outcome(UNKNOWN, "it has no container", "See the state of the service")
    return {name: found.get(name, missing) for name in lasting}


def _facts(expected: list[_health.Expectation], seen: _health.Sighting) -> dict[str, object]:
    return {
        service.service: {
            "state": seen.states[service.service].said,
            "containers": [
                {
                    "id": container.id,
                    "name": container.name,
                    "image": container.image,
                    "started_at": container.started_at,
                    "restarts": container.restart_count,
                }
                for container in seen.of(service.service)
            ],
        }
        for service in expected
    }


def main() -> None:
    run_module(OPTIONS, look, needs=("docker",))


if __name__ == "__main__":
    main()
