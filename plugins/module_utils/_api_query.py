# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a JSON answer: JMESPath with three functions of our own, and how a value is told.

``days_since(moment)`` is the age of an ISO time or of seconds since 1970, ``days(seconds)`` a duration, ``like(text,
patterns)`` whether a text matches one of the patterns (as in a shell). What is null has none of them.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import fnmatch
import functools
import json
import re
import time
import typing as t
import urllib.parse

from ._errors import OpsError, Unreachable

DAY = 86400.0
_SHOWN = 120  # characters of a value that evidence may hold
_FRACTION = re.compile(r"\.\d+")


def search(query: str, content: t.Any) -> t.Any:
    """Return what the expression finds; an answer of another shape than the expression expects says nothing."""
    import jmespath
    from jmespath import exceptions

    try:
        return jmespath.search(query, content, options=_options())
    except exceptions.JMESPathTypeError:
        raise Unreachable(
            f"The answer has not the shape that {query} expects.", "Compare it with the service's documentation."
        ) from None
    except exceptions.JMESPathError as error:
        reason = str(error).partition("\n")[0]
        raise OpsError(f"{query} is no JMESPath expression ({reason}).", "Correct it in the probes.") from None


def is_empty(found: t.Any) -> bool:
    """Whether nothing was found: null, or a list, an object or a text without content."""
    return found is None or (isinstance(found, (list, dict, str)) and not found)


def told(found: t.Any) -> str:
    """Return a value as evidence shows it: short, and a URL without what may be a credential in it."""
    if isinstance(found, list):
        text = ", ".join(map(told, found))
    elif isinstance(found, str):
        text = _without_credentials(found)
    elif isinstance(found, bool):
        text = "yes" if found else "no"
    elif isinstance(found, float):
        text = f"{found:.1f}"
    else:
        text = "nothing" if found is None else json.dumps(found, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _without_credentials(text: str) -> str:
    if not re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
        return text or "nothing"
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        return "a URL that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit(parts._replace(netloc=host, query="…" if parts.query else "", fragment=""))


@functools.cache
def _options() -> t.Any:
    import jmespath
    from jmespath import functions

    class Functions(functions.Functions):
        @functions.signature({"types": ["string", "number", "null"]})
        def _func_days_since(self, moment: str | float | None) -> float | None:
            seconds = _seconds(moment)
            return None if seconds is None else (time.time() - seconds) / DAY

        @functions.signature({"types": ["number", "null"]})
        def _func_days(self, seconds: float | None) -> float | None:
            return None if seconds is None else seconds / DAY

        @functions.signature({"types": ["string", "null"]}, {"types": ["array-string"]})
        def _func_like(self, text: str | None, patterns: list[str]) -> bool:
            return text is not None and any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)

    return jmespath.Options(custom_functions=Functions())


def _seconds(moment: str | float | None) -> float | None:
    """Return a moment as seconds since 1970; a time without a zone is UTC."""
    if not isinstance(moment, str):
        return moment
    try:
        # Python 3.9 reads neither Z nor fractions of any number of digits.
        read = datetime.datetime.fromisoformat(_FRACTION.sub("", moment.strip()).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=datetime.timezone.utc)).timestamp()
