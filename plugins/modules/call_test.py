#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: call_test
short_description: Makes a phone call without a phone, as Twilio would, and looks at what becomes of it
version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Sends a correctly signed webhook, opens the media stream that the answer names, speaks and listens there in real time,
    stops, and tells the end of the call to the status callback. All of it goes through the public edge.
  - What is said is made here, two seconds that sound like a voice and are no word of any language.
  - The call has an id of its own and nothing else (no From, no To), so that it is nobody's call. What the application
    writes about it all the same is named and stays.
  - Meanwhile Redis, the application's own count and its log are asked about this one call, while others come and go.
  - No call is made where fewer than two slots are free, or where a deployment keeps calls out; the checks are V(skip) then.
  - The slot of the call is given back whatever happens. Where the application keeps it, that is a failure, and the slot
    is taken out of Redis here.
  - With O(real_call) Twilio itself makes the call instead, to the number that the application answers. The same checks
    look at the call that comes in there. It costs money, and the application takes it for a customer's.
  - What only a person can judge is asked for, C(call.answer_makes_sense).
  - An application that speaks with a paid service pays for this call, too.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
  - prosaas.ops._phone.slots
  - prosaas.ops._phone.marks
  - prosaas.ops._phone.webhook
  - prosaas.ops._phone.count
attributes:
  check_mode:
    support: full
    description: No call is made, and the checks are V(skip).
  idempotent:
    support: partial
    description: Each time it is another call.
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
      account_sid:
        description: Variable with the account's id, which the media stream is told.
        type: str
      public_base_url:
        description: Variable with the base URL for which the application checks signatures.
        type: str
  numbers:
    description:
      - Phone numbers of the call, C(From) and C(To). Without them it is nobody's call.
      - An application that must know who is called hangs up on nobody's call, and needs C(To).
      - It may make a customer of whoever calls, so C(From) leaves more behind.
    type: dict
    default: {}
  real_call:
    description:
      - Have Twilio make a real call with O(credentials.account_sid), and end it.
      - It costs what two calls cost, and a recording.
      - Twilio keeps it as two calls. The one that comes in at O(real_call.to) has the id that the application knows.
      - It is ended whatever happens, and Twilio is asked whether it is over. Twilio itself ends it 30 seconds after its
        time, even where this host is gone.
      - Of O(numbers), O(say_seconds) and O(listen_seconds) nothing is used then.
    type: dict
    suboptions:
      to:
        description: The number that the application answers, in quotes, as V(+), country code and number.
        type: str
        required: true
      from:
        description:
          - Another number of the account, or one that is verified there.
          - The application may make a customer of it.
        type: str
        required: true
      api_url:
        description: Where Twilio's API is.
        type: str
        default: https://api.twilio.com
      say:
        description: What a voice says to the application, again and again.
        type: str
        default: Hello. Can you hear me?
      language:
        description: Language of O(real_call.say), as Twilio names it.
        type: str
        default: en-US
      seconds:
        description: How long the line stays open once the call was taken, 2 to 60 seconds.
        type: float
        default: 10
      answer_deadline:
        description: Seconds in which the application must have taken the call.
        type: float
        default: 30
      end_deadline:
        description: Seconds in which Twilio must say that the call is over, once it was told to end it.
        type: float
        default: 15
      listen:
        description:
          - Have Twilio record what the application says, listen to it here and have it deleted there.
          - Without it C(call.audio) is V(skip).
        type: bool
        default: true
      listen_deadline:
        description: Seconds after the end in which Twilio must have that recording.
        type: float
        default: 30
      recording_deadline:
        description: Seconds after the end in which the application must have saved its own; it takes the place of
          O(recordings.deadline).
        type: float
        default: 60
  say_seconds:
    description: How long is spoken, in seconds.
    type: float
    default: 2
  listen_seconds:
    description: Seconds from the beginning in which something must be heard. The call ends as soon as it was.
    type: float
    default: 15
  release_deadline:
    description: Seconds after the end in which the slot must be free.
    type: float
    default: 10
  acquired_line:
    description: What the log says when the call takes its slot; V({sid}) stands for its id. Not looked for when empty.
    type: str
    default: ''
  released_line:
    description: What the log says when the call gives its slot back; V({sid}) stands for its id.
    type: str
    default: ''
  recordings:
    description: Where recordings are saved. Without it they are not looked for.
    type: dict
    suboptions:
      services:
        description: Services that have the directory. The file must be in one of them, and all must be able to write there.
        type: list
        elements: str
        required: true
      path:
        description: The directory in their containers.
        type: str
        required: true
      name:
        description: Pattern of the file's name; V({sid}) stands for the call's id.
        type: str
        default: '{sid}*'
      deadline:
        description: Seconds after the call in which it must be there.
        type: float
        default: 3
seealso:
  - module: prosaas.ops.twilio_webhook_probe
  - module: prosaas.ops.capacity_check
  - name: Media streams
    description: The messages of the WebSocket.
    link: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

EXAMPLES = r"""
- name: A call goes through, from the webhook to the recording
  prosaas.ops.call_test:
    project: prosaasil
    url: https://prosaas.pro
    env_file: /opt/prosaasil/.env
    credentials:
      auth_token: TWILIO_AUTH_TOKEN
      account_sid: TWILIO_ACCOUNT_SID
      public_base_url: PUBLIC_BASE_URL
    incoming_path: /webhook/incoming_call
    status_path: /webhook/call_status
    stream_path: /ws/twilio-media
    log_service: prosaas-calls
    acquired_line: '[CAPACITY] ACQUIRED call_id={sid}'
    released_line: '[CAPACITY] RELEASED call_id={sid}'
    endpoint_service: prosaas-calls
    endpoint_url: http://prosaas-calls:5050/health/details
    limit_variable: MAX_ACTIVE_CALLS
    limit_default: 50
    recordings:
      services: [prosaas-calls, worker]
      path: /app/server/recordings
    advisory: [call.answer_makes_sense]
  become: true

- name: The same with a call that Twilio makes
  prosaas.ops.call_test:
    project: prosaasil
    url: https://prosaas.pro
    env_file: /opt/prosaasil/.env
    credentials:
      auth_token: TWILIO_AUTH_TOKEN
      account_sid: TWILIO_ACCOUNT_SID
    incoming_path: /webhook/incoming_call
    status_path: /webhook/call_status
    log_service: prosaas-calls
    endpoint_service: prosaas-calls
    endpoint_url: http://prosaas-calls:5050/health/details
    limit_variable: MAX_ACTIVE_CALLS
    real_call:
      to: "+15005550006"
      from: "+15005550010"
    advisory: [call.answer_makes_sense]
  become: true
"""

RETURN = r"""
call:
  description:
    - The call, as the application knows it, and the rows of the application that name it.
    - With O(real_call) rows that name either of Twilio's two calls; C(sid) is empty where none came in.
  returned: when a call was made
  type: dict
  sample: {rows: [call_log id 4711], sid: CA0123456789abcdef0123456789abcdef}
checks:
  description:
    - The checks, worst first, namely C(call.connected), C(call.audio), C(call.acquired), C(call.counted),
      C(call.completed), C(call.released), C(call.uncounted), C(call.recording) and C(call.answer_makes_sense).
  returned: always
  type: list
  elements: dict
  sample:
    - id: call.audio
      status: pass
      evidence: first heard after 0.05 s; 101 messages with 2.0 s of sound
      remedy: ''
      item: [375]
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 8 of 9 checks passed, 1 to look at.
"""

import dataclasses
import functools
import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import (
    _audio,
    _call_order,
    _claim,
    _dotenv,
    _first_call,
    _real_call,
    _twilio,
)
from ansible_collections.prosaas.ops.plugins.module_utils._call_marks import OPTIONS as MARKS
from ansible_collections.prosaas.ops.plugins.module_utils._call_marks import marks_of
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Engine
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._media_stream import Talk
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._serving import serving
from ansible_collections.prosaas.ops.plugins.module_utils._twilio_api import LONGEST, Account

OPTIONS: dict[str, t.Any] = {
    **MARKS,
    **_twilio.OPTIONS,
    **_claim.OPTIONS,
    "credentials": {
        "type": "dict",
        "required": True,
        "options": {
            # The name of a variable: no_log would hide it from the message that has to name it.
            "auth_token": {"type": "str", "required": True, "no_log": False},
            "account_sid": {"type": "str"},
            "public_base_url": {"type": "str"},
        },
    },
    "numbers": {"type": "dict", "default": {}},
    "real_call": {"type": "dict", "options": _call_order.OPTIONS},
    "say_seconds": {"type": "float", "default": 2},
    "listen_seconds": {"type": "float", "default": 15},
    "release_deadline": {"type": "float", "default": 10},
    "acquired_line": {"type": "str", "default": ""},
    "released_line": {"type": "str", "default": ""},
    "recordings": {
        "type": "dict",
        "options": {
            "services": {"type": "list", "elements": "str", "required": True},
            "path": {"type": "str", "required": True},
            "name": {"type": "str", "default": "{sid}*"},
            "deadline": {"type": "float", "default": 3},
        },
    },
}


def look(call: Call) -> Report:
    params = call.params
    values = _dotenv.values(Path(params["env_file"]))
    known = Credentials(params["env_file"], params["credentials"])
    http = Client(ca_path=params["ca_path"], timeout=params["timeout"])

    def address_of(service: str) -> str:
        return serving(call.state_dir).address(params["project"], service)

    real = params["real_call"]
    recordings = _first_call.Recordings(**params["recordings"]) if params["recordings"] else None
    if real and recordings:
        recordings = dataclasses.replace(recordings, deadline=real["recording_deadline"])
    counter = _claim.Counter(params, values, http, address_of)
    wish = _first_call.Wish(
        hook=_twilio.Webhook.of(params, known, http),
        marks=marks_of(params, values, lambda: serving(call.state_dir), Engine.connect),
        claim=counter,
        account=known.get("account_sid"),
        talk=Talk(_audio.frames(_audio.speech(params["say_seconds"])), params["say_seconds"], params["listen_seconds"]),
        lines=_first_call.Lines(params["acquired_line"], params["released_line"]),
        recordings=recordings,
        numbers=params["numbers"],
        release=params["release_deadline"],
    )
    make: t.Callable[[_first_call.Wish], _first_call.Placed] = _first_call.FirstCall
    if real:
        api = dataclasses.replace(http, max_body=LONGEST)
        account = Account(real["api_url"], known.need("account_sid"), known.need("auth_token"), api)
        make = functools.partial(_real_call.RealCall, account=account, real=_call_order.real_of(real))
    report = _first_call.inspect(wish, call.check_mode, make)
    report.secrets |= counter.secrets
    return report


def main() -> None:
    run_module(OPTIONS, look, needs=("docker", "redis", "psycopg2", "websocket"))


if __name__ == "__main__":
    main()
