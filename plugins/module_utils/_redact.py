# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text made fit to be sent to somebody else, and the proof that it is.

Secrets whose values are known are masked in every form that they may have. What is not known is masked by its looks:
keys, tokens, passwords beside their names. Phone numbers and mail addresses are people's: enough is left to tell them
apart. What is a secret is decided elsewhere.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from . import _secrets
from ._secrets import MASK

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\0")  # either could stand in the middle of a secret

# The engine cuts what is longer, and each piece gets a time stamp of its own.
_ENGINE_LINE = 1 << 14
_CUT_HERE = re.compile(r"(?<=[^\n])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")

_KEY_BEGINS = r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
_KEY_ENDS = r"-----END (?:[A-Z]+ )*PRIVATE KEY-----"
_ENDS, _BEGINS = re.compile(_KEY_ENDS), re.compile(_KEY_BEGINS)
_BODY = re.compile(r"[A-Za-z0-9+/=]{16,}[\"',]*$")
_BODY_IN_JSON = re.compile(r"(?:[A-Za-z0-9+/=]{4,}\\n)+$")
_BARE_KEY = re.compile(_KEY_BEGINS.encode() + rb"(?!\*{8})")

# The names of things whose values nobody else may see.
_PRIVATE = (
    r"(?:secret|passw(?:or)?d|passphrase|pgpass|token|api[_-]?key|private[_-]?key|access[_-]?key|encryption[_-]?key)"
)
_NO_VALUE = r"(?!(?:true|false|null|none|not|is|set|missing)\b|\*{8})"

Mask = t.Callable[["re.Match[str]"], str]


def _phone(match: re.Match[str]) -> str:
    """Keep the country and the last two digits."""
    number = match["number"]
    return match[0].replace(number, f"{number[:4]}****{number[-2:]}")


def _mail(match: re.Match[str]) -> str:
    return f"{match['name'][0]}***@{match['domain']}"


# What is masked by its looks, in this order.
_LOOKS: tuple[tuple[re.Pattern[str], str | Mask], ...] = (
    # Up to the end where it was cut off with the rest of a log.
    (re.compile(rf"(?P<b>{_KEY_BEGINS}).*?(?P<e>{_KEY_ENDS}|\Z)", re.DOTALL), rf"\g<b>{MASK}\g<e>"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), MASK),
    (re.compile(r"(?i)\b(?P<kind>bearer|basic)\s+(?=\S*[\d=._-])[\w.~+/=-]{8,}"), rf"\g<kind> {MASK}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"(?<![A-Za-z0-9])(?:AC|SK)[0-9a-f]{32}(?![0-9a-f])"), MASK),
    (re.compile(r"(?<![\w-])(?:sk|pk|rk)[-_][\w-]{16,}"), MASK),
    (re.compile(r"\bSG\.[\w-]{16,}\.[\w-]{16,}"), MASK),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AIza|sbp_)[\w-]{16,}"), MASK),
    (re.compile(r"(?P<head>hooks\.slack\.com/services/)[\w/]+"), rf"\g<head>{MASK}"),
    (re.compile(r"(?i)(?P<head>\b(?:set-)?cookie[\"']?\s*[:=]\s*)[^\r\n]+"), rf"\g<head>{MASK}"),
    (
        re.compile(r"(?i)(?P<head>\b(?:authorization|x-twilio-signature)[\"']?\s*[:=,]\s*[\"']?)[^\"'\r\n]+"),
        rf"\g<head>{MASK}",
    ),
    (
        # As in NAME=value, "name": "value", name 'value', ["--name", "value"], ?name=value.
        re.compile(
            rf"(?i)(?P<head>(?=[aepst]){_PRIVATE}[\w-]{{0,40}}(?:[\"']?\s{{0,3}}[:=]\s{{0,3}}[\"']?|[\"'],\s{{0,3}}[\"']|\s{{1,3}}[\"']))"
            rf"{_NO_VALUE}[^\s\"'{{}}\[\],;&<>()]+"
        ),
        rf"\g<head>{MASK}",
    ),
    (
        re.compile(rf"(?i)(?P<head>(?<!\S)(?:--?[\w-]{{0,40}}{_PRIVATE}|(?:--)?requirepass)\s+)[^\s\"']+"),
        rf"\g<head>{MASK}",
    ),
    (re.compile(r"(?<![\w.%+-])(?P<number>\d{7,15})(?=@(?:s\.whatsapp\.net|c\.us|lid)\b)"), _phone),
    (re.compile(r"(?<![\w.%+-])(?P<name>[\w.%+-]+)@(?P<domain>(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24})\b"), _mail),
    (re.compile(r"(?:(?<![\w+])\+|%2[Bb])(?P<number>\d{7,15})(?!\d)"), _phone),
    (re.compile(r"(?<![\w.+])(?P<number>\+\d{1,3}[ -]\(?\d{1,4}\)?[ -]\d{2,4}[ -]?\d{2,6})(?!\d)"), _phone),
    (re.compile(r"(?<![\w.:+-])(?P<number>0\d{8,9})(?![\w.:-])"), _phone),
    (re.compile(r"(?i)\b(?:from|to|caller|called|\w{0,20}phone\w{0,20})\W{1,4}(?P<number>\d{9,15})\b"), _phone),
)


class Redactor:
    """Knows the secrets, takes them out, and finds those that are still in.

    Args:
        known: a name, which may be told, by each value, which may not. Values below 8 characters are masked by their
            looks alone.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._forms = {form: name for value, name in known.items() for form in _secrets.forms(value)}
        self._bytes = [(form.encode("utf-8", "surrogateescape"), name) for form, name in self._forms.items()]

    def text(self, text: str) -> str:
        """Return a text with everything masked that must not be seen. Cut it to size after this, not before."""
        text = "\n".join(_whole(line) for line in _COLOUR.sub("", text).split("\n"))
        text = _headless(text)
        text = _secrets.redact(text, (form for form in self._forms if form in text))
        for look, mask in _LOOKS:
            text = look.sub(mask, text)
        return text

    def leaks(self, data: bytes) -> list[str]:
        """Return the names of the secrets that stand in what is about to leave, in whatever form."""
        found = {name for form, name in self._bytes if form in data}
        return sorted(found | ({"a private key"} if _BARE_KEY.search(data) else set()))


def _whole(line: str) -> str:
    """Put a line together again that the engine has cut."""
    return _CUT_HERE.sub("", line) if len(line) > _ENGINE_LINE else line


def _headless(text: str) -> str:
    """Take away the rest of a key whose beginning was cut off with the rest of a log."""
    end = _ENDS.search(text)
    if end is None or _BEGINS.search(text, 0, end.start()):
        return text
    *lines, last = text[: end.start()].split("\n")
    while lines and _BODY.search(lines[-1]):
        lines.pop()
    return "\n".join([*lines, _BODY_IN_JSON.sub("", last)]) + MASK + text[end.start() :]
