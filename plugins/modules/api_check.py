#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: api_check
short_description: Checks what the APIs of outside services say, with the application's own keys
version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Asks the services that an application depends on (providers of calls, models, databases, the forge of its code) what
    they know, with keys that are read on the host, and judges their answers.
  - All requests go out side by side, with GET alone. Redirects are not followed, TLS is always verified, and proxies
    are not used.
  - Of an answer nothing is told but the values of O(probes[].checks[].tell), C({found}) and
    O(probes[].requests[].reason), of a URL neither the query nor the values of variables.
  - A key that is not accepted (401, 403) is V(fail). A service that does not answer, is in trouble (500 and more) or
    was asked too often (429) is V(unknown), and so is one that was not asked since something was not given. Only the
    last can be answered by a person, with O(attestations), where the check has a O(probes[].checks[].question).
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  probes:
    description:
      - Requests, and the checks that rest on their answers; usually one element for each service. The names of requests
        are common to all elements.
    type: list
    elements: dict
    required: true
    suboptions:
      requests:
        description: What to ask.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: By which checks know the answer; a word, since expressions begin with it.
            type: str
            required: true
          url:
            description:
              - What to ask. V({NAME}) stands for a variable of O(env_file), else for an element of O(values), quoted;
                V({+NAME}) keeps slashes. V({commit}) is O(commit).
            type: str
            required: true
          bearer:
            description: Variable in O(env_file) whose value is sent as bearer token.
            type: str
          bearer_file:
            description: File on the host whose content is sent as bearer token. Empty when there is none.
            type: path
          basic:
            description: Two variables in O(env_file) whose values are sent as user and password.
            type: list
            elements: str
          secret_headers:
            description: Headers to send, each with the name of the variable in O(env_file) that holds its value.
            type: dict
            default: {}
          headers:
            description: More headers to send.
            type: dict
            default: {}
          anonymous:
            description: Where no token is given, ask without one instead of not at all.
            type: bool
            default: false
          reason:
            description: JMESPath expression that finds the service's own error code in a refusal, to be told.
            type: str
            default: ''
          whole:
            description:
              - JMESPath expression that is true when the answer is all there is, and not one page of several.
            type: str
            default: ''
          refusals:
            description:
              - What answers other than 200 mean, where it is not what their status says by itself. The first that fits
                counts.
            type: list
            elements: dict
            default: []
            suboptions:
              status:
                description: The status codes that it is about.
                type: list
                elements: int
                required: true
              when:
                description: JMESPath expression over the answer that must be true besides.
                type: str
                default: ''
              say:
                description: What it means.
                type: str
                required: true
              verdict:
                description: What the check then is.
                type: str
                choices: [fail, unknown, warn]
                default: fail
              remedy:
                description: What to do.
                type: str
                default: ''
      checks:
        description: What to make sure of, in this order.
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
          requests:
            description: Names of the requests whose answers it rests on. With none it is a question to a person.
            type: list
            elements: str
            default: []
          of:
            description:
              - JMESPath expression that finds the subject in an object of the answers, which are named as their
                requests. Empty for that object itself.
              - In every expression C({name}) stands for a value as in O(probes[].requests[].url). Besides those of
                JMESPath there are the functions C(days_since) for the age of a time (a text, or seconds since 1970),
                C(days) for a number of seconds, and C(like) for a text and a list of patterns as in a shell.
            type: str
            default: ''
          absent:
            description: What it means when there is no subject, or an empty one. Without it the check is V(unknown).
            type: dict
            suboptions:
              say:
                description: What it means.
                type: str
                required: true
              verdict:
                description: What the check then is.
                type: str
                choices: [fail, unknown, warn]
                default: fail
              remedy:
                description: What to do; by default O(probes[].checks[].remedy).
                type: str
                default: ''
          expect:
            description: What the subject must be. Each needs exactly one of the five tests.
            type: list
            elements: dict
            default: []
            suboptions:
              query:
                description: JMESPath expression over the subject.
                type: str
                required: true
              say:
                description: What it means when it is not so. C({found}) stands for the value.
                type: str
                required: true
              verdict:
                description: What the check then is.
                type: str
                choices: [fail, unknown, warn]
                default: fail
              remedy:
                description: What to do; by default O(probes[].checks[].remedy).
                type: str
                default: ''
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
              at_least:
                description: The least number that it may be.
                type: float
              at_most:
                description: The largest number that it may be.
                type: float
          tell:
            description: JMESPath expressions over the subject whose values are evidence, by what they are called.
            type: dict
            default: {}
          see:
            description:
              - Id of an earlier check. Where that one did not pass and this one has nothing to judge, this one is
                V(unknown) and refers to it.
            type: str
            default: ''
          question:
            description: What a person is asked where something that the requests need was not given.
            type: str
            default: ''
          remedy:
            description: What to do, where nothing nearer is said.
            type: str
            default: ''
  env_file:
    description: File on the host (the application's C(.env)) with the variables that are named here.
    type: path
  values:
    description: Values for names that O(env_file) does not set; never a secret.
    type: dict
    default: {}
  commit:
    description: Branch, tag or commit id that V({commit}) stands for. Quote it, since an id can look like a number.
    type: raw
    default: ''
  ca_path:
    description: File with CA certificates to trust besides the system's.
    type: path
  timeout:
    description: Seconds within which every answer must be complete.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: OpenAI knows the key, and has the model
  prosaas.ops.api_check:
    env_file: /opt/prosaasil/.env
    values:
      model: gpt-4o-mini-realtime-preview
    probes:
      - requests:
          - name: models
            url: https://api.openai.com/v1/models
            bearer: OPENAI_API_KEY
            reason: error.code
        checks:
          - id: services.openai
            title: OpenAI accepts the key
            requests: [models]
          - id: services.openai_model
            title: The model of the calls can be had
            requests: [models]
            of: models.data[?id == {model}] | [0]
            absent:
              say: the model of the calls is not offered to this key
              remedy: Choose another with OPENAI_REALTIME_MODEL.
            tell:
              model: id
            see: services.openai
  become: true

- name: The database's provider makes backups, or somebody says so
  prosaas.ops.api_check:
    values:
      project: abcdefghijklmnopqrst
    probes:
      - requests:
          - name: backups
            url: https://api.supabase.com/v1/projects/{project}/database/backups
            bearer_file: /root/secrets/supabase
            reason: message
        checks:
          - id: database.backups
            title: The provider makes backups
            requests: [backups]
            of: backups.backups[?status == 'COMPLETED'].inserted_at
            absent:
              say: there is no backup
            expect:
              - query: days_since(max(@))
                at_most: 2
                say: the newest backup is {found} days old
            question: Does the database's provider make backups every day?
    attestations:
      - check: database.backups
        by: dana@example.org
        reason: Seen in the provider's dashboard on 2026-11-24.
        until: 2027-01-31
  become: true
"""

RETURN = r"""
checks:
  description: One check for each element of C(checks) in O(probes), worst first.
  returned: always
  type: list
  elements: dict
  sample:
    - id: services.openai_model
      status: pass
      evidence: 'api.openai.com: model gpt-4o-mini-realtime-preview, 0.21 s'
      remedy: ''
      question: ''
      item: []
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

from ansible_collections.prosaas.ops.plugins.module_utils import _api_check
from ansible_collections.prosaas.ops.plugins.module_utils._api import Known, Refusal, Request
from ansible_collections.prosaas.ops.plugins.module_utils._api_check import Expectation, Probe
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._condition import Condition
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

# Names of variables and paths: no_log would hide them from the messages that have to name one.
NAME: dict[str, t.Any] = {"type": "str", "no_log": False}
TEXT: dict[str, t.Any] = {"type": "str", "default": ""}
NEEDED: dict[str, t.Any] = {"type": "str", "required": True}
DICT: dict[str, t.Any] = {"type": "dict", "default": {}}
VERDICT: dict[str, t.Any] = {"type": "str", "choices": ["fail", "unknown", "warn"], "default": "fail"}
TESTS = ("equals", "in", "exists", "at_least", "at_most")

REQUEST: dict[str, t.Any] = {
    "name": NEEDED,
    "url": NEEDED,
    "bearer": NAME,
    "bearer_file": {"type": "path", "no_log": False},
    "basic": {"type": "list", "elements": "str", "no_log": False},
    "secret_headers": {**DICT, "no_log": False},
    "headers": DICT,
    "anonymous": {"type": "bool", "default": False},
    "reason": TEXT,
    "whole": TEXT,
    "refusals": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "status": {"type": "list", "elements": "int", "required": True},
            "when": TEXT,
            "say": NEEDED,
            "verdict": VERDICT,
            "remedy": TEXT,
        },
    },
}

UNMET: dict[str, t.Any] = {"say": NEEDED, "verdict": VERDICT, "remedy": TEXT}

EXPECTATION: dict[str, t.Any] = {
    **UNMET,
    "query": NEEDED,
    "equals": {"type": "raw"},
    "in": {"type": "list", "elements": "raw"},
    "exists": {"type": "bool"},
    "at_least": {"type": "float"},
    "at_most": {"type": "float"},
}

CHECK: dict[str, t.Any] = {
    "id": NEEDED,
    "title": NEEDED,
    "requests": {"type": "list", "elements": "str", "default": []},
    "of": TEXT,
    "absent": {"type": "dict", "options": UNMET},
    "expect": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": EXPECTATION,
        "mutually_exclusive": [TESTS],
        "required_one_of": [TESTS],
    },
    "tell": DICT,
    "see": TEXT,
    "question": TEXT,
    "remedy": TEXT,
}

OPTIONS: dict[str, t.Any] = {
    "probes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "requests": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": REQUEST,
                "mutually_exclusive": [("bearer", "bearer_file", "basic")],
            },
            "checks": {"type": "list", "elements": "dict", "required": True, "options": CHECK},
        },
    },
    "env_file": {"type": "path"},
    "values": DICT,
    "commit": {"type": "raw", "default": ""},
    "ca_path": {"type": "path"},
    "timeout": {"type": "float", "default": 10},
}


def request_of(given: Mapping[str, t.Any]) -> Request:
    return Request(
        **{
            **given,
            "bearer": given["bearer"] or "",
            "basic": given["basic"] or (),
            "refusals": [Refusal(**refusal) for refusal in given["refusals"]],
        }
    )


def expectation_of(given: Mapping[str, t.Any]) -> Expectation:
    condition = Condition(
        given.get("query", "@"),
        given.get("equals"),
        given.get("in"),
        given.get("exists"),
        given.get("at_least"),
        given.get("at_most"),
    )
    return Expectation(condition, given["say"], given["verdict"], given["remedy"])


def probe_of(given: Mapping[str, t.Any]) -> Probe:
    return Probe(
        **{
            **given,
            "absent": expectation_of(given["absent"]) if given["absent"] else None,
            "expect": [expectation_of(expectation) for expectation in given["expect"]],
        }
    )


def look(call: Call) -> Report:
    params = call.params
    requests = [request_of(given) for probe in params["probes"] for given in probe["requests"]]
    probes = [probe_of(given) for probe in params["probes"] for given in probe["checks"]]
    known = Known(params["env_file"] or "", params["values"], params["commit"])
    http = Client(ca_path=params["ca_path"] or "", timeout=params["timeout"], max_body=_api_check.MAX_BODY)
    return _api_check.inspect(requests, probes, known, http)


def main() -> None:
    run_module(OPTIONS, look, needs=("jmespath",))


if __name__ == "__main__":
    main()
