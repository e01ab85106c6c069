#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: r2_versioning
short_description: Checks a Cloudflare R2 or S3 bucket - is it there, private, usable, and does it keep objects
version_added: 0.1.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Looks at the bucket with the application's own access key, read on the host, and its own client settings.
  - Whether objects are kept is decided with control calls alone. A version id in the answer to an upload is never
    believed.
  - A store without a versioning interface (R2 answers 501 there) is V(unsupported), a key without the permission is
    V(denied). Neither is ever read as V(disabled), and none of them passes by itself.
  - Where the store keeps no versions, bucket lock rules can stand in for them, since they forbid to overwrite and to
    delete. They are read from Cloudflare's API when a token is given. A second copy can do so, too (O(copy)).
  - Changes nothing unless O(ensure) asks for it. O(probe) writes and leaves nothing.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
attributes:
  check_mode:
    support: full
    description: Says what O(ensure) would change. No probe object is written; C(r2.objects) is V(skip) then.
  diff_mode:
    support: full
    description: Shows all lock rules, or the state of versioning, before and after.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  env_file:
    description:
      - File on the host (the application's C(.env)) that holds the variables named in O(credentials).
      - Its values are those that a container gets when it is created next. Whether one that runs has others is looked
        at by M(prosaas.ops.env_validate).
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
        description:
          - Variable with an API token that may read R2 settings (Workers R2 Storage, Read).
          - For V(lock) in O(ensure) it must also be allowed to change them (Workers R2 Storage, Edit).
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
  never_lock:
    description:
      - Parts of the bucket in which something must stay deletable (C(locks/) of a backup repository).
      - A lock rule that touches one of them is V(warn) in C(r2.versioning), and O(ensure) does not set such a rule.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  ensure:
    description:
      - What to change first, where it is missing.
      - V(versioning) enables the bucket's versioning, with the key of O(credentials).
      - V(lock) sets a lock rule for each of O(prefixes) that no rule covers for O(lock_days). The rules of others stay
        as they are. The API only sets all rules at once, so nobody else should change them in that second.
    type: str
    choices: [none, versioning, lock]
    default: none
    version_added: 0.2.0
  lock_rule:
    description: Id of the lock rule that O(ensure) sets; for a prefix, the prefix stands behind it.
    type: str
    default: prosaas-ops-keep
    version_added: 0.2.0
  copy:
    description:
      - A second copy of the objects, which stands in where neither versions nor lock rules keep them.
      - The newest objects below O(prefixes) must be there, with the same size, and with the same checksum where both
        are plain MD5. What the job that copies does with deleted objects cannot be seen; it must not delete them.
    type: dict
    version_added: 0.2.0
    suboptions:
      env_file:
        description: File on the host with the variables named here; O(env_file) when it is not set.
        type: path
      endpoint:
        description: Variable with the endpoint's URL.
        type: str
        required: true
      bucket:
        description: Variable with the bucket's name.
        type: str
        required: true
      access_key_id:
        description: Variable with an access key that may list and read.
        type: str
        required: true
      secret_access_key:
        description: Variable with its secret key.
        type: str
        required: true
      region:
        description: Region of that bucket.
        type: str
        default: auto
      prefix:
        description: What stands there before the names that objects have here.
        type: str
        default: ''
      max_age:
        description: Hours within which an object must have been copied.
        type: float
        default: 48
      sample:
        description:
          - How many of the newest objects are looked for.
          - They are the newest of the first 10000 objects below each prefix, in the order of names.
        type: int
        default: 50
  cors_origins:
    description:
      - Origins (C(https://host)) whose pages read objects by script, at presigned addresses. Links, images and frames
        need no CORS.
      - With none, no page may get in.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  cors_methods:
    description: What those pages do.
    type: list
    elements: str
    choices: [GET, HEAD, PUT, POST, DELETE]
    default: [GET]
    version_added: 0.2.0
  probe:
    description:
      - Find out whether the key may write, read and delete, by doing it (C(r2.objects)).
      - An object of some 70 bytes is put under O(probe_prefix), read back, compared and deleted, with its versions.
      - Where a lock rule would keep that object for its time, or might (without an API token rules cannot be seen), no
        object is put. Instead an upload in parts is begun, given its bytes and aborted, an object that is there is
        read, and one that is not is deleted. That needs the same permissions.
      - What an interrupted run has left is removed by the next one after ten minutes.
    type: bool
    default: false
    version_added: 0.2.0
  probe_prefix:
    description: Where the probe object is put. Nothing else may be there, since what is left over is deleted.
    type: str
    default: prosaas-ops-probe/
    version_added: 0.2.0
  ca_path:
    description: File with CA certificates to trust besides the public ones.
    type: path
seealso:
  - name: Cloudflare R2 bucket locks
    description: What a lock rule forbids, and for how long.
    link: https://developers.cloudflare.com/r2/buckets/bucket-locks/
  - name: Cloudflare R2 CORS
    description: How the rules for pages are written.
    link: https://developers.cloudflare.com/r2/buckets/cors/
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
    cors_origins: [https://prosaas.pro]
    probe: true
  become: true

- name: What would be locked (run with --check --diff; without them it is)
  prosaas.ops.r2_versioning:
    env_file: /opt/prosaasil/.env
    credentials:
      account: R2_ACCOUNT_ID
      bucket: R2_BUCKET_NAME
      access_key_id: R2_ACCESS_KEY_ID
      secret_access_key: R2_SECRET_ACCESS_KEY
    cloudflare_token_file: /root/secrets/cloudflare-r2-edit
    prefixes: [attachments/, receipts/]
    ensure: lock
  become: true

- name: Attachments are copied to a second bucket every night
  prosaas.ops.r2_versioning:
    env_file: /opt/prosaasil/.env
    credentials:
      account: R2_ACCOUNT_ID
      bucket: R2_BUCKET_NAME
      access_key_id: R2_ACCESS_KEY_ID
      secret_access_key: R2_SECRET_ACCESS_KEY
    copy:
      env_file: /root/secrets/copy.env
      endpoint: COPY_ENDPOINT
      bucket: COPY_BUCKET
      access_key_id: COPY_KEY_ID
      secret_access_key: COPY_KEY
      region: eu-central-1
      max_age: 36
  become: true

- name: R2 has no versioning, somebody has accepted that for now, and has looked where no token lets us look
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
        reason: The provider's own backup is enough until the lock rule is agreed with legal.
        until: 2027-01-31
    attestations:
      - check: r2.private
        by: dana@example.org
        reason: Looked at the bucket's settings in the dashboard on 2026-12-01, r2.dev and custom domains are off.
        until: 2027-01-31
  become: true
"""

RETURN = r"""
checks:
  description:
    - The checks C(r2.reachable), C(r2.bucket), C(r2.private), C(r2.cors), C(r2.versioning) and, with O(probe),
      C(r2.objects), worst first.
    - C(r2.private) and C(r2.versioning) are V(unknown) on R2 without an API token, since the S3 interface tells neither
      of public domains nor of lock rules. They can be attested then.
    - C(r2.cors) asks as a browser does, with a preflight request. A page of any origin that may read is V(warn), one
      that may write is V(fail).
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
  sample: 6 of 6 checks passed.
versioning:
  description:
    - What GetBucketVersioning came to, one of V(enabled), V(suspended), V(disabled), V(unsupported), V(denied),
      V(missing) and V(unreachable).
  returned: when the credentials could be read
  type: str
  sample: unsupported
diff:
  description: Lock rules or versioning, before and after.
  returned: when O(ensure) changes something, or would
  type: list
  elements: dict
bucket:
  description: Name of the bucket.
  returned: when the credentials could be read
  type: str
  sample: prosaas-attachments
"""

import typing as t

from ansible_collections.prosaas.ops.plugins.module_utils import _bucket, _bucket_copy, _bucket_cors, _cloudflare
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._credentials import Credentials, token_in
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._http import Client
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._object_store import store_of

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
    "never_lock": {"type": "list", "elements": "str", "default": []},
    "ensure": {"type": "str", "choices": ["none", "versioning", "lock"], "default": "none"},
    "lock_rule": {"type": "str", "default": "prosaas-ops-keep"},
    "copy": {
        "type": "dict",
        "options": {
            "env_file": {"type": "path"},
            "endpoint": NEEDED_VARIABLE,
            "bucket": NEEDED_VARIABLE,
            "access_key_id": NEEDED_VARIABLE,
            "secret_access_key": NEEDED_VARIABLE,
            "region": {"type": "str", "default": "auto"},
            "prefix": {"type": "str", "default": ""},
            "max_age": {"type": "float", "default": 48},
            "sample": {"type": "int", "default": 50},
        },
    },
    "cors_origins": {"type": "list", "elements": "str", "default": []},
    "cors_methods": {
        "type": "list",
        "elements": "str",
        "choices": ["GET", "HEAD", "PUT", "POST", "DELETE"],
        "default": ["GET"],
    },
    "probe": {"type": "bool", "default": False},
    "probe_prefix": {"type": "str", "default": "prosaas-ops-probe/"},
    "ca_path": {"type": "path"},
}


def look(call: Call) -> Report:
    params = call.params
    known = Credentials(params["env_file"], params["credentials"])
    ca_path = params["ca_path"] or ""
    store = store_of(known, template=params["endpoint_template"], region=params["region"], ca_path=ca_path)
    http = Client(ca_path=ca_path)
    token = known.get("cloudflare_token") or token_in(params["cloudflare_token_file"])
    cloudflare = None
    if token and params["cloudflare_api"]:
        where = _cloudflare.jurisdiction(store.endpoint)
        account = known.need("account")
        cloudflare = _cloudflare.Bucket(http, params["cloudflare_api"], account, store.bucket, token, where)
    want = _bucket.Want(
        prefixes=params["prefixes"],
        lock_days=params["lock_days"],
        never=params["never_lock"],
        copy=_copy(params["copy"], params["env_file"], ca_path) if params["copy"] else None,
        cors=_bucket_cors.Wanted(params["cors_origins"], params["cors_methods"]),
        probe=_prefix(params["probe_prefix"]) if params["probe"] else None,
        ensure=params["ensure"],
        lock_rule=params["lock_rule"],
    )
    report = _bucket.Look(store, http, cloudflare, bool(params["cloudflare_api"]), want, call.check_mode).report()
    report.secrets.add(token)
    return report


def _copy(given: dict[str, t.Any], env_file: str, ca_path: str) -> _bucket_copy.Copy:
    known = Credentials(given["env_file"] or env_file, given)
    store = store_of(known, known.need("endpoint"), region=given["region"], ca_path=ca_path)
    return _bucket_copy.Copy(store, given["prefix"], given["max_age"], given["sample"])


def _prefix(given: str) -> str:
    """Return the probe's prefix; what is left over under it is deleted, so it must not be the whole bucket."""
    if not given.strip("/"):
        raise OpsError(
            "probe_prefix is empty: the probe needs a place of its own.", "Name one, as in prosaas-ops-probe/."
        )
    return given


def main() -> None:
    run_module(OPTIONS, look, needs=("boto3",))


if __name__ == "__main__":
    main()
