# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the value of an environment variable may look like, one function per type; and how a new one is made.

Each takes the value and the parameters of its type, and returns what is wrong with it, or an empty string. What is
wrong is told by what was expected and by lengths, never by the value or a part of it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import base64
import inspect
import math
import re
import secrets
import typing as t
import urllib.parse
from collections import Counter
from collections.abc import Sequence

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_URL_SAFE = str.maketrans("-_", "+/")
_MAIL = re.compile(rf"[^@\s]+@{_LABEL}(\.{_LABEL})+\Z")


def string(text: str, pattern: str = "", expected: str = "") -> str:
    if pattern and not re.fullmatch(pattern, text):
        return f"expected {expected or 'another form'}, it has {len(text)} characters"
    return ""


def integer(text: str, min: int | None = None, max: int | None = None) -> str:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return "expected a whole number"
    if min is not None and int(text) < min:
        return f"expected {min} or more"
    if max is not None and int(text) > max:
        return f"expected {max} or less"
    return ""


def exact(text: str, value: str) -> str:
    return "" if text == str(value) else f"expected exactly {value}"


def enum(text: str, values: Sequence[str]) -> str:
    return "" if text in [str(value) for value in values] else f"expected one of {', '.join(map(str, values))}"


def host(text: str) -> str:
    return "" if _HOST.match(text) else "expected a host name alone, without scheme, port or path"


def port(text: str) -> str:
    return "expected a port number" if integer(text, 1, 65535) else ""


def phone(text: str) -> str:
    return "" if re.fullmatch(r"\+[1-9][0-9]{6,14}", text) else "expected + and 7 to 15 digits (E.164)"


def email(text: str) -> str:
    return "" if _MAIL.match(text) else "expected one mail address"


def url(text: str, schemes: Sequence[str] = ("https",), suffix: str = "", bare: bool = False, path: bool = True) -> str:
    """Args: ``suffix`` is what the host must end with; ``bare`` allows a host alone; ``path`` allows a path."""
    expected = "expected a URL that begins with " + " or ".join(f"{scheme}://" for scheme in schemes)
    if bare and "://" not in text:
        return host(text)
    parts = split(text)
    if parts is None or parts.scheme not in schemes or host(parts.hostname or ""):
        return expected
    if parts.username is not None:
        return "expected a URL without user and password"
    if suffix and not (parts.hostname or "").endswith(suffix.lower()):
        return f"expected a host that ends with {suffix}"
    if not path and (parts.path not in ("", "/") or parts.query or parts.fragment):
        return "expected scheme and host alone, without a path"
    return ""


def prefix(text: str, prefix: str, min_length: int = 0) -> str:
    if not text.startswith(prefix):
        return f"expected it to begin with {prefix}"
    if len(text) < min_length:
        return f"it has {len(text)} characters, expected {min_length} or more"
    return ""


def postgres_dsn(text: str, sslmodes: Sequence[str] = ()) -> str:
    """Args: ``sslmodes`` are the acceptable values of ``sslmode``; when empty it need not be there."""
    parts = split(text)
    if parts is None or parts.scheme not in ("postgresql", "postgres"):
        return "expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    database = parts.path.lstrip("/")
    given = {"user": parts.username, "password": parts.password, "host": parts.hostname, "database": database}
    missing = [what for what, value in given.items() if not value]
    if missing:
        return f"it lacks {', '.join(missing)} (in a password, write % / ? # @ as %25 %2F %3F %23 %40)"
    if "/" in database or parts.fragment:
        return "what follows the host is no database name (in a password, write % / ? # @ as %25 %2F %3F %23 %40)"
    modes = urllib.parse.parse_qs(parts.query).get("sslmode", [])
    if sslmodes and not set(modes) & set(sslmodes):
        return f"it does not ask for TLS, expected ?sslmode={sslmodes[0]} at its end"
    return ""


def secret(text: str, min_length: int = 32, min_bits: int = 96) -> str:
    if len(text) < min_length:
        return f"it has {len(text)} characters, expected {min_length} or more"
    if _repeats(text[:512]) or _bits(text) < min_bits:
        return "it is too regular to be random"
    return ""


def fernet(text: str) -> str:
    try:
        decoded = base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except ValueError:
        decoded = b""
    return "" if len(decoded) == 32 else "expected a Fernet key: 44 characters of URL-safe base64 that make 32 bytes"


TYPES: dict[str, t.Callable[..., str]] = {
    "string": string,
    "int": integer,
    "exact": exact,
    "enum": enum,
    "host": host,
    "port": port,
    "phone": phone,
    "email": email,
    "url": url,
    "prefix": prefix,
    "postgres_dsn": postgres_dsn,
    "secret": secret,
    "fernet": fernet,
}
PUBLIC = {"int", "exact", "enum", "host", "port", "url"}
"""Types whose values are no secret, and may stand in a message by chance."""


class Generator(t.NamedTuple):
    """How a random value is made: by a person, and here."""

    command: str
    make: t.Callable[[], str]


GENERATORS = {
    "hex32": Generator("openssl rand -hex 32", lambda: secrets.token_hex(32)),
    "urlsafe32": Generator(
        "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'", lambda: secrets.token_urlsafe(32)
    ),
    "base64_32": Generator("openssl rand -base64 32", lambda: base64.b64encode(secrets.token_bytes(32)).decode()),
    "fernet": Generator(
        "openssl rand -base64 32 | tr '+/' '-_'", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    ),
}


def parameters(name: str) -> dict[str, inspect.Parameter]:
    """Return the parameters that a type takes beside the value."""
    return {key: value for key, value in inspect.signature(TYPES[name]).parameters.items() if key != "text"}


def split(text: str) -> urllib.parse.SplitResult | None:
    """Return the parts of a URL, or None where it is none (a port that is no number included)."""
    try:
        parts = urllib.parse.urlsplit(text)
        parts.port  # noqa: B018  reading it is what checks it
    except ValueError:
        return None
    return None if re.search(r"\s", text) else parts


def host_of(text: str) -> str:
    """Return the host that a URL, or a host with or without port, names; empty when there is none."""
    parts = split(text if "://" in text else f"//{text}")
    return (parts.hostname or "") if parts else ""


def _repeats(text: str) -> bool:
    return any(text[period:] == text[:-period] for period in range(1, len(text) // 2 + 1))


def _bits(text: str) -> float:
    """Return the Shannon entropy of the characters times their number: low for few different characters."""
    counts = Counter(text).values()
    return -sum(count * math.log2(count / len(text)) for count in counts)
