# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to prosaas.ops: not for use by other collections, may change without notice.

from __future__ import annotations


class ModuleDocFragment:
    SLOTS = r"""
options:
  redis_service:
    description: Service whose container is the Redis with the slots of calls.
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
"""

    MARKS = r"""
options:
  project:
    description: Name of the Compose project. Empty where neither log, Redis nor database are to be looked at.
    type: str
    default: ''
  log_service:
    description: Service whose log tells of calls.
    type: str
    default: ''
  limit_variable:
    description: Variable in O(env_file) that holds the number of slots.
    type: str
    default: ''
  limit_default:
    description: The number of slots where O(limit_variable) is not set. V(0) when nobody knows.
    type: int
    default: 0
  database:
    description: Where to look for rows, as one entry of O(prosaas.ops.postgres_check#module:connections).
    type: dict
  trace_columns:
    description: Patterns of C(table.column) in which the id of a call may stand.
    type: list
    elements: str
    default: []
  sslmodes:
    description: Values of C(sslmode) that are taken as they are; any other becomes V(require).
    type: list
    elements: str
    default: [require, verify-ca, verify-full]
  database_ca_path:
    description: File with CA certificates on this host, for an C(sslrootcert) that is there in the containers only.
    type: path
    default: ''
  database_timeout:
    description: Seconds that one answer of the database may take.
    type: int
    default: 5
"""

    WEBHOOK = r"""
options:
  url:
    description: Base URL of the public edge.
    type: str
    required: true
  address:
    description:
      - Address to connect to in place of the one that a URL's name resolves to. Name and certificate stay the URL's.
    type: str
    default: ''
  ca_path:
    description: File with CA certificates to trust besides the system's.
    type: path
    default: ''
  env_file:
    description: File on the host (the application's C(.env)) that holds the variables named here.
    type: path
    required: true
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
  stream_host:
    description: Host of the media stream in the TwiML. Default is the host of the signed URL.
    type: str
    default: ''
  stream_path:
    description: Path of the media stream in the TwiML. Any, when empty.
    type: str
    default: ''
  ended_status:
    description: Status codes with which the application accepts a status callback.
    type: list
    elements: int
    default: [204]
  timeout:
    description: Seconds within which every single answer must be complete.
    type: float
    default: 15
"""

    COUNT = r"""
options:
  endpoint_url:
    description: URL at which the application tells its count and its limit, as JSON.
    type: str
    required: true
  endpoint_service:
    description:
      - Connect to a container of this service, in place of the host that O(endpoint_url) names.
      - Empty for an endpoint that is public.
    type: str
    default: ''
  endpoint_headers:
    description: Headers to send, each with the name of the variable in O(env_file) that holds its value.
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
"""
