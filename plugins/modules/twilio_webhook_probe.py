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
  - A forged request must be refused, be it unsigned, signed with another token, or altered after it was signed.
  - That token and public address are the right ones is shown without taking a call, by a correctly signed status
    callback for a call that never was. Otherwise a refusal could have any reason, and would prove nothing.
  - No request carries From or To, so that the application finds no business and makes no lead. Any call slot that a
    request may have taken is given back, and a slot that could not be is reported.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  url:
    description: Base URL of the public edge.
    type: str
    required: true
  address:
    description:
      - Address to connect to in place of the one that the URL's name resolves to. Name and certificate stay the URL's.
    type: str
    default: ''
  ca_path:
    description: File with CA certificates to trust besides the system's.
    type: path
  env_file:
    description: File on the host (the application's C(.env)) that holds the variables named in O(credentials).
    type: path
    required: true
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
  signed_url:
    description:
      - Base URL that is signed. Twilio signs the URL that is entered in its console.
      - Default is the value of O(credentials.public_base_url), and O(url) where that is not set.
    type: str
    default: ''
  incoming_path:
    description: Path of the webhook for incoming calls.
    type: str
    required: true
  status_path:
    description: Path of the status callback.
    type: str
    required: true
  preview_path:
    description: Path that answers an unsigned GET with the TwiML of a call. Empty when the application has none.
    type: str
    default: ''
  stream_host:
    description: Host of the media stream in the TwiML. Default is the host of the signed URL.
    type: str
    default: ''
  stream_path:
    description: Path of the media stream in the TwiML. Any, when empty.
    type: str
    default: ''
  refused_status:
    description: Status codes with which the application refuses a forged request.
    type: list
    elements: int
    default:
      - 403
  ended_status:
    description: Status codes with which the application accepts a status callback.
    type: list
    elements: int
    default:
      - 204
  signed:
    description:
      - Whether to send one correctly signed incoming call, too. It takes a call slot for a moment and gives it back.
      - Off by default, since a slot that could not be given back would count as a call.
    type: bool
    default: false
  timeout:
    description: Seconds within which every single answer must be complete.
    type: float
    default: 15
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
    - The checks, worst first, namely C(webhook.unsigned), C(webhook.wrong_token), C(webhook.altered) and
      C(webhook.callback), with O(preview_path) also C(webhook.preview), with O(signed) also C(webhook.signed).
    - C(webhook.give_back) is there when a request may have taken a call slot.
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

from ansible_collections.prosaas.ops.plugins.module_utils import _twilio
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client, target
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

OPTIONS: dict[str, t.Any] = {
    "url": {"type": "str", "required": True},
    "address": {"type": "str", "default": ""},
    "ca_path": {"type": "path"},
    "env_file": {"type": "path", "required": True},
    "credentials": {
        "type": "dict",
        "required": True,
        "options": {
            # The name of a variable: no_log would hide it from the message that has to name it.
            "auth_token": {"type": "str", "required": True, "no_log": False},
            "public_base_url": {"type": "str"},
        },
    },
    "signed_url": {"type": "str", "default": ""},
    "incoming_path": {"type": "str", "required": True},
    "status_path": {"type": "str", "required": True},
    "preview_path": {"type": "str", "default": ""},
    "stream_host": {"type": "str", "default": ""},
    "stream_path": {"type": "str", "default": ""},
    "refused_status": {"type": "list", "elements": "int", "default": [403]},
    "ended_status": {"type": "list", "elements": "int", "default": [204]},
    "signed": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 15},
}


def look(call: Call) -> Report:
    params = call.params
    known = Credentials(params["env_file"], params["credentials"])
    signed_url = params["signed_url"] or known.get("public_base_url") or params["url"]
    hook = _twilio.Webhook(
        url=params["url"],
        signed_url=signed_url,
        token=known.need("auth_token"),
        stream=_twilio.Stream(params["stream_host"] or target(signed_url).netloc, params["stream_path"]),
        incoming=params["incoming_path"],
        preview=params["preview_path"],
        status=params["status_path"],
        refused=params["refused_status"],
        ended=params["ended_status"],
        address=params["address"],
        http=Client(ca_path=params["ca_path"] or "", timeout=params["timeout"], max_body=_twilio.MAX_TWIML),
    )
    return _twilio.inspect(hook, params["signed"])


def main() -> None:
    run_module(OPTIONS, look)


if __name__ == "__main__":
    main()
