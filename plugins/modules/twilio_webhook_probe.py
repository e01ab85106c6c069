#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: twilio_webhook_probe
short_description: Checks that a Twilio voice webhook serves Twilio and refuses everybody else
version_added: 0.1.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Asks the webhook through the public edge, as Twilio would and as a forger would.
  - A forged request must be refused, be it unsigned, signed with another token, altered after it was signed, or signed
    for another address. O(forgeries) says which kinds are sent, and what each must be answered with.
  - That token and public address are the right ones is shown without taking a call, by a correctly signed status
    callback for a call that never was. Otherwise a refusal could have any reason, and would prove nothing.
  - No request carries From or To, so that the application finds no business and makes no lead. Any call slot that a
    request may have taken is given back, and a slot that could not be is reported.
  - With O(project), Redis and the database are asked afterwards for what names one of the calls, and the log for a line
    of each request.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._phone.slots
  - prosaas.ops._phone.marks
  - prosaas.ops._phone.webhook
options:
  credentials:
    description: Names of the variables in O(env_file), never their values.
    type: dict
    required: true
    suboptions:
      auth_token:
        description: Variable with the account's auth token.
        type: str
        required: true
      public_base_url:
        description: Variable with the base URL for which the application checks signatures.
        type: str
  alias_paths:
    description: Other paths that take calls; each is asked without a signature. It needs the kind V(alias) in O(forgeries).
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  preview_path:
    description: Path that answers an unsigned GET with the TwiML of a call. Empty when the application has none.
    type: str
    default: ''
  refused_status:
    description: Status codes with which the application refuses a forged request.
    type: list
    elements: int
    default:
      - 403
  forgeries:
    description: The kinds of forged requests to send.
    type: list
    elements: dict
    version_added: 0.2.0
    default:
      - kind: unsigned
      - kind: wrong_token
      - kind: altered
      - kind: added
    suboptions:
      kind:
        description:
          - V(unsigned) is a POST and a GET without a signature, V(wrong_token) one that is signed with another token.
          - V(altered) has another parameter than was signed, V(added) one more.
          - V(other_scheme) and V(other_host) are signed for another address, V(forwarded) for one that the request claims
            in C(X-Forwarded-Host) and C(X-Forwarded-Proto).
          - V(method) is signed and sent by PUT and by DELETE, V(alias) goes unsigned to O(alias_paths).
        type: str
        required: true
        choices: [unsigned, wrong_token, altered, added, other_scheme, other_host, forwarded, method, alias]
      refused:
        description: Status codes of a refusal. Default is O(refused_status).
        type: list
        elements: int
      tolerated:
        description: Status codes that are a V(warn) and no V(fail), where the application is known to take such requests.
        type: list
        elements: int
        default: []
  refused_line:
    description: What the log says of a request without a signature, a part of that line. Not looked for when empty.
    type: str
    default: ''
    version_added: 0.2.0
  taken_line:
    description: What the log says of a call; V({path}) and V({sid}) stand for its own. Not looked for when empty.
    type: str
    default: ''
    version_added: 0.2.0
  signed:
    description:
      - Whether to send one correctly signed incoming call, too. It takes a call slot for a moment and gives it back.
      - Off by default, since a slot that could not be given back would count as a call.
      - With O(project) it is sent only where two slots are free and nobody keeps calls out, and skipped otherwise.
    type: bool
    default: false
seealso:
  - name: Twilio webhook security
    description: How Twilio signs its requests.
    link: https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

EXAMPLES = r"""
- name: The webhook refuses forged calls and knows the account's token
  prosaas.ops.twilio_webhook_probe:
    url: https://prosaas.pro
    env_file: /opt/prosaasil/.env
    credentials:
      auth_token: TWILIO_AUTH_TOKEN
      public_base_url: PUBLIC_BASE_URL
    incoming_path: /webhook/incoming_call
    status_path: /webhook/call_status
    preview_path: /webhook/incoming_call_preview
    stream_path: /ws/twilio-media
    forgeries:
      - kind: unsigned
      - kind: wrong_token
      - kind: added
      - kind: other_scheme
        tolerated: [200]
      - kind: method
        refused: [403, 405]
  become: true

- name: The same on this host, before its name points here, and with a signed call
  prosaas.ops.twilio_webhook_probe:
    url: https://prosaas.pro
    address: 127.0.0.1
    signed: true
    env_file: /opt/prosaasil/.env
    credentials:
      auth_token: TWILIO_AUTH_TOKEN
      public_base_url: PUBLIC_BASE_URL
    incoming_path: /webhook/incoming_call
    status_path: /webhook/call_status
  become: true
"""

RETURN = r"""
checks:
  description:
    - The checks, worst first, namely C(webhook.)O(forgeries[].kind) for each kind and C(webhook.callback), with
      O(preview_path) also C(webhook.preview), with O(signed) also C(webhook.signed).
    - C(webhook.give_back) is there when a request may have taken a call slot, C(webhook.no_trace) and C(webhook.logged)
      with O(project).
  returned: always
  type: list
  elements: dict
  sample:
    - id: webhook.unsigned
      status: pass
      evidence: refused with 403
      remedy: ''
      item: [343]
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 5 of 5 checks passed.
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _twilio, _twilio_probe
from ansible_collections.prosaas.ops.plugins.module_utils._call_marks import OPTIONS as MARKS
from ansible_collections.prosaas.ops.plugins.module_utils._call_marks import marks_of
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving

OPTIONS: dict[str, t.Any] = {
    **MARKS,
    **_twilio.OPTIONS,
    "credentials": {
        "type": "dict",
        "required": True,
        "options": {
            # The name of a variable: no_log would hide it from the message that has to name it.
            "auth_token": {"type": "str", "required": True, "no_log": False},
            "public_base_url": {"type": "str"},
        },
    },
    "alias_paths": {"type": "list", "elements": "str", "default": []},
    "preview_path": {"type": "str", "default": ""},
    "refused_status": {"type": "list", "elements": "int", "default": [403]},
    "forgeries": {
        "type": "list",
        "elements": "dict",
        "default": [{"kind": kind} for kind in ("unsigned", "wrong_token", "altered", "added")],
        "options": {
            "kind": {"type": "str", "required": True, "choices": list(_twilio_probe.FORGERIES)},
            "refused": {"type": "list", "elements": "int"},
            "tolerated": {"type": "list", "elements": "int", "default": []},
        },
    },
    "refused_line": {"type": "str", "default": ""},
    "taken_line": {"type": "str", "default": ""},
    "signed": {"type": "bool", "default": False},
}


def look(call: Call) -> Report:
    params = call.params
    known = Credentials(params["env_file"], params["credentials"])
    http = Client(ca_path=params["ca_path"], timeout=params["timeout"], max_body=_twilio.MAX_TWIML)
    more = {"preview": params["preview_path"], "refused": params["refused_status"], "aliases": params["alias_paths"]}
    hook = _twilio.Webhook.of(params, known, http, **more)
    expected = {
        one["kind"]: _twilio_probe.Expected(one.get("refused") or params["refused_status"], one.get("tolerated") or ())
        for one in params["forgeries"]
    }
    marks = None
    if params["project"]:
        values = _dotenv.values(Path(params["env_file"]))
        marks = marks_of(params, values, lambda: serving(call.state_dir), Engine.connect)
    lines = _twilio_probe.Lines(params["refused_line"], params["taken_line"])
    return _twilio_probe.inspect(hook, expected, params["signed"], marks, lines)


def main() -> None:
    run_module(OPTIONS, look, needs=("docker", "redis", "psycopg2"))


if __name__ == "__main__":
    main()
