#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module prosaas.ops.release_watch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_watch
short_description: Watch a release that has just come into service
version_added: 0.2.0
description:
  - For a while, watches that every service stays up and well, that the proxy answers requests, and that nothing is
    logged that must not be.
  - Ends early as soon as the outcome is certain. A good outcome is certain only at the end.
  - Containers that a switch has superseded and that only finish their calls are left out.
options:
  window:
    description: Seconds to watch, from now on. V(0) switches the watch off, and its checks are skipped.
    type: int
    default: 60
  since:
    description:
      - When the switch to the release began, as C(2026-11-22T02:30:00Z). A container that was made after it is new, and
        all that it has logged counts.
      - By default the start of the newest container.
    type: str
    default: ''
  served:
    description:
      - When the switch ended. The proxy's answers count from then on, and so does what containers log that are not new.
        Services that are replaced in place do not answer for a moment before that.
      - O(since) by default.
    type: str
    default: ''
  services:
    description: What a service must be, by service name, as in M(prosaas.ops.compose_health).
    type: dict
    default: {}
  proxy_service:
    description: Service whose access log tells how requests are answered. Empty for none.
    type: str
    default: ''
  access_line:
    description:
      - Regular expression of a line of the access log. It has the group C(status), and may have C(request).
      - By default that of nginx's format C(combined).
    type: str
    default: '^\S+ \S+ .* \[[^]]+\] "(?P<request>[^"]*)" (?P<status>\d{3}) '
  access_ignored:
    description: Regular expressions of lines of the access log that do not count, such as those of health checks.
    type: list
    elements: str
    default: []
  error_rate:
    description: Share of requests that may be answered 5xx, from V(0) to V(1).
    type: float
    default: 0.01
  least_requests:
    description: With fewer requests than this, answers with 5xx only warn.
    type: int
    default: 50
  forbidden:
    description:
      - Regular expressions of log lines that must not appear, as lists by service. The names may be patterns (as in a
        shell); all that fit a service hold.
    type: dict
    default: {}
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
  - module: prosaas.ops.compose_health
"""

EXAMPLES = r"""
- name: Nothing dies, fails or logs an alarm for a minute
  prosaas.ops.release_watch:
    project: prosaasil
    project_dir: /opt/prosaasil
    since: "{{ switched.began }}"
    served: "{{ switched.ended }}"
    proxy_service: nginx
    access_ignored: ['"prosaas\.ops"']
    forbidden:
      '*': ['^\[[^]]+\] CRITICAL\s+\[']
      nginx: ['\[emerg\]', 'connect\(\) failed']
"""

RETURN = r"""
checks:
  description:
    - What was checked, worst first.
    - Ids are C(watch.restarts), C(watch.errors) and C(watch.lines); C(watch.engine) alone when the engine does not answer.
    - The evidence of a failed service is a sentence, then the last lines of its log. Query strings are never shown.
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
watched:
  description: For how many seconds it was watched.
  returned: when the engine answers
  type: float
requests:
  description: How many requests of the proxy counted.
  returned: when the engine answers
  type: int
errors:
  description: How many of them were answered 5xx.
  returned: when the engine answers
  type: int
"""

import shlex

from ansible_collections.prosaas.ops.plugins.module_utils import _health, _health_report, _release_watch, _secrets
from ansible_collections.prosaas.ops.plugins.module_utils._check import UNKNOWN, Check, Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import COMPOSE_OPTIONS, Compose, Project
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container, Engine, moment
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._proxy_log import Format, Limit, Tally
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving

SECRET_NAMES = ["*SECRET*", "*TOKEN*", "*PASSWORD*", "*_KEY", "*_KEY_ID", "*CREDENTIAL*"]

OPTIONS = {
    **COMPOSE_OPTIONS,
    "window": {"type": "int", "default": 60},
    "since": {"type": "str", "default": ""},
    "served": {"type": "str", "default": ""},
    "services": {"type": "dict", "default": {}},
    "proxy_service": {"type": "str", "default": ""},
    "access_line": {"type": "str", "default": r'^\S+ \S+ .* \[[^]]+\] "(?P<request>[^"]*)" (?P<status>\d{3}) '},
    "access_ignored": {"type": "list", "elements": "str", "default": []},
    "error_rate": {"type": "float", "default": 0.01},
    "least_requests": {"type": "int", "default": 50},
    "forbidden": {"type": "dict", "default": {}},
    "log_lines": {"type": "int", "default": 10},
    "secret_names": {"type": "list", "elements": "str", "default": SECRET_NAMES, "no_log": False},
}


def watch(call: Call) -> Report:
    given = call.params
    tally = Tally(Format.of(given["access_line"], given["access_ignored"]))
    forbidden = _release_watch.forbidden(given["forbidden"])
    if given["window"] <= 0:
        return Report(_release_watch.off())
    project = Project.of(given)
    model = Compose(project, call.execute).model()
    expected = _health.expectations(model, given["services"])
    secrets = _health_report.secret_values(model, given["secret_names"])

    def redact(line: str) -> str:
        return _secrets.redact(line, secrets)

    def logs(service: str) -> str:
        files = [part for name in project.files for part in ("-f", name)]
        compose = shlex.join(["docker", "compose", *files, "logs", "--tail", "100", service])
        return f"cd {shlex.quote(str(project.directory))} && {compose}"

    try:
        engine = serving(call.state_dir)

        def tail(container: Container) -> list[str]:
            return [redact(line) for line in engine.log_tail(container.id, given["log_lines"])]

        since = _moment(given["since"]) or _newest_start(engine, project.name)
        settings = _release_watch.Settings(
            window=given["window"],
            since=since,
            served=_moment(given["served"]) or since,
            proxy=given["proxy_service"],
            limit=Limit(given["error_rate"], given["least_requests"]),
            forbidden=forbidden,
        )
        seen = _release_watch.watch(engine, project.name, expected, settings, tally, call.progress)
        checks = _release_watch.checks(seen, expected, settings, logs, tail, redact)
    except Unreachable as error:
        away = Check("watch.engine", "The Docker engine answers", UNKNOWN, error.problem, error.remedy)
        return Report([away], secrets=secrets)
    facts = {"watched": round(seen.seconds, 1), "requests": tally.requests, "errors": tally.errors}
    return Report(checks, facts, secrets)


def _moment(text: str) -> float:
    found = moment(text)
    if text and not found:
        raise OpsError(f"{text!r} is no moment.", "Write it as 2026-11-22T02:30:00Z.")
    return found


def _newest_start(engine: Engine, project: str) -> float:
    return max((one.started_at for one in engine.containers(project) if not one.one_off), default=engine.now())


def main() -> None:
    run_module(OPTIONS, watch, needs=("docker",))


if __name__ == "__main__":
    main()
