# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for copies, made of what the settings say of them.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from . import _cloudflare, _copy_restic, _copy_rsync, _copy_s3, _object_store, _secrets
from ._check import FAIL, PASS, Outcome
from ._copy import Spot
from ._copy_place import RESTIC, S3, Place
from ._credentials import Credentials, token_in
from ._errors import OpsError
from ._http import Client
from ._object_store import Store
from ._periods import Keep
from ._restic import Limits, Restic

ACCEPTED = "accepted"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Asking(t.Protocol):
    """What is needed of a module's call."""

    params: dict[str, t.Any]
    state_dir: Path

    def progress(self, text: str) -> None: ...


def spots(call: Asking, stack: ExitStack) -> tuple[list[Spot], set[str]]:
    """Return the places to work with, and what must be shown nowhere.

    Args:
        stack: keeps what lives as long as they are used.
    """
    given = call.params
    named = [place["name"] for place in given["places"]]
    for name in named:
        if not _NAME.fullmatch(name) or named.count(name) > 1:
            raise OpsError(
                f"{name!r} cannot be the name of a place.", "Use small letters, digits and -, each name once."
            )
    wanted = [place for place in given["places"] if given["place"] in ("", place["name"])]
    if not wanted:
        raise OpsError(f"There is no place {given['place']!r}.", f"Choose one of {', '.join(named) or 'none'}.")
    secrets: set[str] = set()
    found = []
    for place in wanted:
        known = _values(place)
        secrets |= {value for value in known.values() if value}
        found.append(
            Spot(
                name=place["name"],
                place=_place(place, known, call, stack),
                keep=Keep.of(place["keep"] or given["keep"]),
                max_age_hours=given["max_age_hours"],
                percent=place["check_percent"],
                init=place["init"],
                accepted=place["unencrypted"] == ACCEPTED,
            )
        )
    return found, secrets


def _values(place: Mapping[str, t.Any]) -> dict[str, str]:
    """Return the secrets of a place by the names of restic's variables; those that are not set are left out."""
    known = Credentials(place["credentials_file"], place["credentials"])
    found = {name: known.get(name) for name in place["credentials"]}
    found["RESTIC_PASSWORD"] = place["password"] or token_in(place["password_file"]) or found.get("RESTIC_PASSWORD", "")
    return {name: value for name, value in found.items() if value}


def _place(place: Mapping[str, t.Any], known: dict[str, str], call: Asking, stack: ExitStack) -> Place:
    project = call.params["project"]
    if place["kind"] == RESTIC:
        return _repository(place, known, call)
    if place["kind"] == S3:
        endpoint, bucket, prefix = _copy_s3.parsed(place["address"])
        missing = [place["credentials"].get(name, name) for name in KEYS if name not in known]
        if missing:
            raise OpsError(f"{missing[0]} is not set in {place['credentials_file']}.", f"Set {missing[0]} there.")
        key_id, key = (known[name] for name in KEYS)
        store = Store(endpoint, place["region"] or "auto", bucket, key_id, key, place["ca_path"] or "")
        verify = stack.enter_context(_object_store.trusted(store.ca_path))
        return _copy_s3.Objects(store, prefix, verify, project, call.state_dir, call.progress)
    ssh = _copy_rsync.Ssh(
        place["address"], place["port"], place["key_file"] or "", place["known_hosts"] or "", call.params["patience"]
    )
    return _copy_rsync.Host(ssh, project, call.state_dir, call.progress)


def _repository(place: Mapping[str, t.Any], known: dict[str, str], call: Asking) -> Place:
    given = call.params
    if "RESTIC_PASSWORD" not in known:
        raise OpsError(
            f"The place {place['name']} has no password.", "Give it password_file, or password from the vault."
        )
    variables = {**known, "RESTIC_REPOSITORY": place["address"]}
    if place["password_file"] and not place["password"]:
        del variables["RESTIC_PASSWORD"]  # restic reads the file itself
        variables["RESTIC_PASSWORD_FILE"] = place["password_file"]
    if place["region"]:
        variables["AWS_DEFAULT_REGION"] = place["region"]
    # Not in a home directory, which cron and AWX may not have; without a cache every run reads all indexes again.
    cache = call.state_dir / "restic-cache"
    arguments = ["--cache-dir", str(cache), "--cleanup-cache"]
    if place["ca_path"]:
        arguments += ["--cacert", place["ca_path"]]
    limits = Limits(given["patience"], given["timeout"], given["lock_wait"])
    restic = Restic(_secrets.redact(place["address"], known.values()), variables, arguments, limits)
    return _copy_restic.Repository(restic, given["project"], call.progress, _rule(place))


def _rule(place: Mapping[str, t.Any]) -> Callable[[], Outcome | None]:
    """Return what asks R2 whether a lock rule keeps restic's locks; nothing is asked without a token."""
    token = token_in(place["cloudflare_token_file"])
    if not token:
        return lambda: None
    endpoint, bucket, prefix = _copy_s3.parsed(place["address"])
    account = place["cloudflare_account"] or (urllib.parse.urlsplit(endpoint).hostname or "").partition(".")[0]
    http = Client(ca_path=place["ca_path"] or "")
    where = _cloudflare.jurisdiction(endpoint)
    asked = _cloudflare.Bucket(http, place["cloudflare_api"], account, bucket, token, where)
    return lambda: judge_rules(asked.lock_rules(), f"{prefix}locks/")


def judge_rules(rules: Sequence[_cloudflare.LockRule], prefix: str) -> Outcome:
    touching = [rule.id for rule in rules if rule.touches(prefix)]
    if touching:
        return Outcome(
            FAIL,
            f"the bucket lock rule {touching[0]} keeps what is below {prefix}: restic could not remove its locks",
            "Give the rule prefixes (data/, index/, snapshots/, keys/) instead of the whole bucket, without locks/.",
        )
    return Outcome(PASS, f"no lock rule of the bucket covers {prefix}")
