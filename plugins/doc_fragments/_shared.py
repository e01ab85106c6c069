# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to prosaas.ops: not for use by other collections, may change without notice.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  state_dir:
    description:
      - Directory on the host in which the collection keeps releases, runs, records and the lease of one application.
    type: path
    default: /var/lib/prosaas
  run:
    description:
      - Id of the run that this call belongs to, as returned by M(prosaas.ops.run).
      - The result is added to that run's journal. Empty when the module is used on its own.
    type: str
    default: ''
  runtime:
    description:
      - Virtual environment on the host that holds the Python packages of this collection.
      - The module runs again under its Python when the interpreter of the task lacks a package.
    type: path
    default: /var/lib/prosaas/runtime
  items:
    description: Lines of the deployment checklist that a check proves, by check id or pattern of ids.
    type: dict
    default: {}
  gather:
    description:
      - Return what was found without failing the task, whatever it is. M(prosaas.ops.verdict) judges it later,
        together with what other modules found, so that an operator reads all of it at once.
    type: bool
    default: false
  advisory:
    description:
      - Patterns (as in a shell, V(compose.n8n.*)) of check ids whose failure is shown but does not fail the task.
    type: list
    elements: str
    default: []
  waivers:
    description:
      - Failures that somebody has accepted for now. An expired waiver counts as absent.
    type: list
    elements: dict
    default: []
    suboptions:
      check:
        description: Check id, or a pattern of check ids.
        type: str
        required: true
      by:
        description: Who accepts it.
        type: str
        required: true
      reason:
        description: Why.
        type: str
        required: true
      until:
        description: Last day on which it holds, as V(YYYY-MM-DD).
        type: str
        required: true
  attestations:
    description:
      - Answers of people to what no machine can know. They count for checks that ask a C(question) and are V(unknown)
        otherwise, are recorded as what they are, and never make a V(pass). An expired one counts as absent.
      - One that names a box instead of a check answers that box in the record, where no check answers it.
    type: list
    elements: dict
    default: []
    suboptions:
      check:
        description: Check id, or a pattern of check ids.
        type: str
      box:
        description: Id of a box of the checklist, instead of O(attestations[].check).
        type: str
      by:
        description: Who says so.
        type: str
        required: true
      reason:
        description: What was looked at, where and when.
        type: str
        required: true
      until:
        description: Last day on which it holds, as V(YYYY-MM-DD).
        type: str
        required: true
"""

    CHECKS = r"""
attributes:
  check_mode:
    support: full
    description: The checks only read, so check mode does the same; an unknown does not fail the task there.
  diff_mode:
    support: none
    description: Nothing is changed, so there is nothing to show.
  idempotent:
    support: full
    description: A second run changes nothing.
"""

    ACTS = r"""
attributes:
  check_mode:
    support: full
    description: Says what would be changed and changes nothing.
  diff_mode:
    support: none
    description: What would be done is in the return values.
  idempotent:
    support: full
    description: A second run changes nothing.
"""

    COMPOSE = r"""
options:
  project_dir:
    description: Directory on the host that holds the Compose files and C(.env).
    type: path
    required: true
  compose_files:
    description: Compose files in order, relative to O(project_dir).
    type: list
    elements: str
    default:
      - docker-compose.yml
      - docker-compose.prod.yml
  project:
    description: Name of the Compose project.
    type: str
    required: true
"""

    RELEASE = r"""
options:
  env_file:
    description: Name of the file with the application's variables, relative to O(project_dir).
    type: str
    default: .env
  mounted_files:
    description:
      - Files below O(project_dir) that are mounted into services and so belong to the configuration (certificates).
    type: list
    elements: str
    default: []
  remote:
    description: Git remote of the checkout in O(project_dir).
    type: str
    default: origin
"""

    WAYS = r"""
options:
  services:
    description:
      - How each service is switched, by its name. A service that is not named is replaced in place.
      - Keys are C(beside) (bool, whether two containers of it may run at once; default false), C(stop) (int, seconds that a
        container gets to end; default 10), C(port) (int, where it is spoken to; default 0, nowhere), C(drain) (int, seconds for
        what is open there to end; default 30), C(undrained) (V(stop), which cuts what is left after them, or V(keep); default
        V(stop)), C(all_calls) (bool, whether every live call passes through it; default false) and C(jobs) (bool, whether it
        works on the jobs of an RQ queue; default false).
    type: dict
    default: {}
  proxy:
    description: The reverse proxy of the stack.
    type: dict
    default: {}
    suboptions:
      service:
        description: Its service. Empty where there is none.
        type: str
        default: ''
      test:
        description: What it runs to test its configuration.
        type: list
        elements: str
        default: [nginx, -t]
      reload:
        description: What makes it read its configuration and resolve its upstreams again.
        type: list
        elements: str
        default: [nginx, -s, reload]
      worker:
        description: Regular expression for the command line of its processes that take new connections.
        type: str
        default: 'nginx: worker process$'
"""

    CALLS = r"""
options:
  calls:
    description: The live calls, where they are counted and how they are kept out. Without it there are none.
    type: dict
    suboptions:
      service:
        description: Service that takes the streams of calls. All its running containers count.
        type: str
        required: true
      port:
        description: Port of it at which streams are open.
        type: int
        required: true
      redis_service:
        description: Service whose container is the Redis with the slots.
        type: str
        default: redis
      redis_port:
        description: Port of the Redis inside its container.
        type: int
        default: 6379
      redis_db:
        description: Number of the database.
        type: int
        default: 0
      set_key:
        description: Key of the set of taken slots.
        type: str
        default: calls:active
      slot_key:
        description: Key that exists as long as one slot is live; V({member}) stands for the member of the set.
        type: str
        default: calls:active:{member}
      slot_seconds:
        description: How long that key lives from the beginning of a call.
        type: int
        default: 7200
      stream_seconds:
        description: A slot that is older and has no stream in any container is leaked.
        type: int
        default: 60
      joining_seconds:
        description: How long a call may take from its webhook to its stream.
        type: int
        default: 10
      endpoint_url:
        description: URL at which each container tells its count and its limit, as JSON; it is asked by its own address.
        type: str
        required: true
      endpoint_headers:
        description: Headers to send, each with the name of the variable in C(.env) that holds its value.
        type: dict
        default: {}
      endpoint_fields:
        description: Names of the members of the JSON object that tell the numbers.
        type: dict
        default:
          active: active_calls
          limit: max_calls
          free: capacity_available
          full: at_capacity
      limit_variable:
        description: Variable in C(.env) that holds the limit.
        type: str
        default: ''
      limit_default:
        description: The limit that the application has where that variable is not set. V(0) when nobody knows.
        type: int
        default: 0
      policy:
        description:
          - What is done when calls are live at the deadline. V(abort) stops with nothing touched, V(wait) waits on without a
            deadline, V(proceed) goes on and says how many are cut. A number that is not known counts as live.
        type: str
        choices: [abort, wait, proceed]
        default: abort
      deadline:
        description: Seconds that live calls are waited for.
        type: int
        default: 600
  campaigns:
    description: Work on record in a database that a start ends as failed. Without it there is none.
    type: dict
    suboptions:
      hit_by:
        description: Services whose start ends it.
        type: list
        elements: str
        default: []
      connection:
        description: Where to ask, as one entry of O(prosaas.ops.postgres_check#module:connections).
        type: dict
        required: true
      reading:
        description:
          - The question, as one entry of O(prosaas.ops.postgres_check#module:readings). A waiver of its C(id) means
            V(proceed) at once.
        type: dict
        required: true
      sslmodes:
        description: Values of C(sslmode) that demand TLS; any other becomes V(require).
        type: list
        elements: str
        default: [require, verify-ca, verify-full]
      ca_path:
        description: File with CA certificates on this host, for an C(sslrootcert) that is there in the containers only.
        type: path
        default: ''
      timeout:
        description: Seconds that one answer may take.
        type: int
        default: 5
      policy:
        description: As for the calls.
        type: str
        choices: [abort, wait, proceed]
        default: abort
      deadline:
        description: Seconds that it is waited for.
        type: int
        default: 600
"""

    ENDPOINTS = r"""
options:
  endpoints:
    description: What to ask, and what is accepted. An entry takes the place of an earlier one with the same id.
    type: list
    elements: dict
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
        description: Address to connect to for this endpoint, instead of the one that its name has.
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
      assets:
        description:
          - Whether all that the answer, a web page, names must load, too. Scripts, styles, icons, images and what is preloaded
            from the same host are asked for, and must have a type that fits. A web page in their place is the index of a
            frontend that lacks them.
        type: bool
        default: false
        version_added: 0.2.0
      certificate_days:
        description: Days that the certificate which is served must have left, else V(warn). With V(0) it is not looked at.
        type: int
        default: 0
        version_added: 0.2.0
      any_of:
        description: The shapes of which the answer must have one. Of an endpoint without one nothing is asked.
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
            description: How long the answer may take; V(0) is as long as the client waits for any answer.
            type: float
            default: 0
"""
