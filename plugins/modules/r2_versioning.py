#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: r2_versioning
short_description: Checks a Cloudflare R2 or S3 bucket - is it there, private, and does it keep what is overwritten
version_added: 0.1.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Looks at the bucket with the application's own access key, read on the host, and its own client settings.
  - Decides with control calls alone and changes nothing. It never uploads, and never believes a version id.
  - A store without a versioning interface (R2 answers 501 there) is V(unsupported), a key without the permission is
    V(denied). Neither is ever read as V(disabled), and none of them passes by itself.
  - Where the store keeps no versions, bucket lock rules can stand in for them, since they forbid to overwrite and to
    delete. They are read from Cloudflare's API when a token is given.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  env_file:
    description: File on the host (the application's C(.env)) that holds the variables named in O(credentials).
    type: path
    required: true
  credentials:
    description: Names of the variables in O(env_file), never their values.
    type: dict
    required: true
    suboptions:
      account:
        description: Variable with the Cloudflare account id. Needed for O(endpoint_template) and for Cloudflare's API.
        type: str
      bucket:
        description: Variable with the bucket's name.
        type: str
        required: true
      access_key_id:
        description: Variable with the access key.
        type: str
        required: true
      secret_access_key:
        description: Variable with the secret key.
        type: str
        required: true
      endpoint:
        description: Variable with the endpoint's URL. O(endpoint_template) is used where it is not set.
        type: str
      cloudflare_token:
        description: Variable with an API token that may read R2 settings (Workers R2 Storage, Read).
        type: str
  cloudflare_token_file:
    description:
      - File on the host that holds the API token and nothing else.
      - Used where O(credentials.cloudflare_token) gives none.
    type: path
  cloudflare_api:
    description:
      - Base URL of Cloudflare's API. Nothing is asked of it without a token.
      - Empty for a store that is not Cloudflare's, which then has neither lock rules nor public domains to look for.
    type: str
    default: https://api.cloudflare.com/client/v4
  endpoint_template:
    description: Endpoint where the env file names none; C({account}) stands for the account id.
    type: str
    default: https://{account}.r2.cloudflarestorage.com
  region:
    description: Region of the bucket.
    type: str
    default: auto
  prefixes:
    description:
      - Parts of the bucket that must be protected against overwriting and deletion. An empty prefix is all of it.
    type: list
    elements: str
    default:
      - ''
  lock_days:
    description: How many days a lock rule must hold an object to stand in for versioning.
    type: float
    default: 30
  ca_path:
    description: File with CA certificates to trust besides the public ones.
    type: path
seealso:
  - name: Cloudflare R2 bucket locks
    description: What a lock rule forbids, and for how long.
    link: https://developers.cloudflare.com/r2/buckets/bucket-locks/
"""

EXAMPLES = r"""
- name: The attachments' bucket is there, private, and keeps what is overwritten
  prosaas.ops.r2_versioning:
    env_file: /opt/prosaasil/.env
    credentials:
      account: R2_ACCOUNT_ID
      bucket: R2_BUCKET_NAME
      access_key_id: R2_ACCESS_KEY_ID
      secret_access_key: R2_SECRET_ACCESS_KEY
      endpoint: R2_ENDPOINT
    cloudflare_token_file: /root/secrets/cloudflare-r2-read
  become: true

- name: R2 has no versioning, and somebody has accepted that for now
  prosaas.ops.r2_versioning:
    env_file: /opt/prosaasil/.env
    credentials:
      account: R2_ACCOUNT_ID
      bucket: R2_BUCKET_NAME
      access_key_id: R2_ACCESS_KEY_ID
      secret_access_key: R2_SECRET_ACCESS_KEY
    waivers:
      - check: r2.versioning
        by: dana@example.org
        reason: Attachments are copied to a second bucket every night.
        until: 2027-01-31
  become: true
"""

RETURN = r"""
checks:
  description:
    - The checks C(r2.reachable), C(r2.bucket), C(r2.private) and C(r2.versioning), worst first.
    - C(r2.private) is V(warn) on R2 without an API token, since the S3 interface does not tell of public domains.
  returned: always
  type: list
  elements: dict
  sample:
    - id: r2.versioning
      status: pass
      evidence: the store has no versioning; bucket lock rule keep-all covers the whole bucket for 30 days or more
      remedy: ''
      item: [84]
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 4 of 4 checks passed.
versioning:
  description:
    - What GetBucketVersioning came to, one of V(enabled), V(suspended), V(disabled), V(unsupported), V(denied),
      V(missing) and V(unreachable).
  returned: when the credentials could be read
  type: str
  sample: unsupported
bucket:
  description: Name of the bucket.
  returned: when the credentials could be read
  type: str
  sample: prosaas-attachments
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _bucket, _cloudflare
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

# Names of variables, not their values: no_log would hide them from every message that has to name one.
VARIABLE: dict[str, t.Any] = {"type": "str", "no_log": False}
NEEDED_VARIABLE = {**VARIABLE, "required": True}

OPTIONS: dict[str, t.Any] = {
    "env_file": {"type": "path", "required": True},
    "credentials": {
        "type": "dict",
        "required": True,
        "options": {
            "account": VARIABLE,
            "bucket": NEEDED_VARIABLE,
            "access_key_id": NEEDED_VARIABLE,
            "secret_access_key": NEEDED_VARIABLE,
            "endpoint": VARIABLE,
            "cloudflare_token": VARIABLE,
        },
    },
    "cloudflare_token_file": {"type": "path", "no_log": False},
    "cloudflare_api": {"type": "str", "default": "https://api.cloudflare.com/client/v4"},
    "endpoint_template": {"type": "str", "default": "https://{account}.r2.cloudflarestorage.com"},
    "region": {"type": "str", "default": "auto"},
    "prefixes": {"type": "list", "elements": "str", "default": [""]},
    "lock_days": {"type": "float", "default": 30},
    "ca_path": {"type": "path"},
}


def look(call: Call) -> Report:
    params = call.params
    known = Credentials(params["env_file"], params["credentials"])
    ca_path = params["ca_path"] or ""
    store = _bucket.Store(
        endpoint=known.get("endpoint") or params["endpoint_template"].replace("{account}", known.need("account")),
        region=params["region"],
        bucket=known.need("bucket"),
        access_key_id=known.need("access_key_id"),
        secret_access_key=known.need("secret_access_key"),
        ca_path=ca_path,
    )
    http = Client(ca_path=ca_path)
    token = known.get("cloudflare_token") or _token_in(params["cloudflare_token_file"])
    cloudflare = None
    if token and params["cloudflare_api"]:
        cloudflare = _cloudflare.Bucket(http, params["cloudflare_api"], known.need("account"), store.bucket, token)
    want = _bucket.Want(params["prefixes"], params["lock_days"])
    report = _bucket.inspect(store, http, cloudflare, bool(params["cloudflare_api"]), want)
    report.secrets.add(token)
    return report


def _token_in(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise OpsError(
            f"The token file {path} cannot be read ({error.strerror}).", "Correct cloudflare_token_file."
        ) from None


def main() -> None:
    run_module(OPTIONS, look, needs=("boto3",))


if __name__ == "__main__":
    main()
