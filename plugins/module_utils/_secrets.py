# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a secret is compared without being shown: keyed fingerprints and redaction.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import re
import secrets
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

from ._store import write_whole

MIN_LENGTH = 8  # shorter values would garble every other word of the output
MASK = "********"
_URL_PASSWORD = re.compile(r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s:/@]*:)(?P<password>[^\s@]+)(?P<at>@)")


def host_key(state_dir: Path, keep: bool = True) -> bytes:
    """Return the key of this host's fingerprints, made on first use (32 random bytes, mode 0600).

    With ``keep=False`` (check mode) a missing one is made up for this process alone.
    """
    path = state_dir / "fingerprint.key"
    if path.exists():
        return path.read_bytes()
    key = secrets.token_bytes(32)
    if keep:
        write_whole(path, key)
    return key


def fingerprint(key: bytes, value: str | bytes) -> str:
    """Return 16 hex digits that tell equal values from different ones and nothing else, without the key."""
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return hmac.new(key, data, hashlib.sha256).hexdigest()[:16]


def worth_hiding(values: Iterable[str]) -> set[str]:
    """Return the values that are long enough to be masked, with the forms that they take inside URLs."""
    long_enough = {value for value in values if len(value) >= MIN_LENGTH}
    return long_enough | {urllib.parse.quote(value, safe="", errors="surrogateescape") for value in long_enough}


def forms(value: str) -> set[str]:
    """Return how a value of some length may stand in a text: itself, and inside URLs, JSON, HTML, hex, base64 and Compose."""
    return {form for form in _forms(value) if len(form) >= MIN_LENGTH} if len(value) >= MIN_LENGTH else set()


def _forms(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "surrogateescape")
    yield from (value, value.lower(), value.upper(), value.replace("$", "$$"), html.escape(value), repr(value)[1:-1])
    yield from (json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    for quote in (urllib.parse.quote, urllib.parse.quote_plus):
        yield from (quote(value, safe=safe, errors="surrogateescape") for safe in ("", "/"))
    yield from (data.hex(), data.hex().upper())
    for offset in range(
        3
    ):  # as part of something longer, base64 has three forms of it; the ends depend on what is beside
        whole = base64.b64encode(bytes(offset) + data).decode()
        core = whole[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
        yield from (core, core.replace("+", "-").replace("/", "_"))


def redact(text: str, values: Iterable[str] = ()) -> str:
    """Mask the given values, and the password of every URL, in text that is kept or shown."""
    for value in sorted(worth_hiding(values), key=len, reverse=True):
        text = text.replace(value, MASK)
    return _URL_PASSWORD.sub(rf"\g<head>{MASK}\g<at>", text)
