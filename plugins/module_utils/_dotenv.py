# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment files as Docker Compose reads them, and where that is not what they look like.

The grammar is that of the ``dotenv`` and ``template`` packages of compose-go, oddities included: a file is a sequence
of statements, not of lines, so what follows a closing quote is the next statement.

No error and no surprise holds any part of a value: the name after an unescaped ``$`` may be half of a password.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
import unicodedata
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ._errors import OpsError

BOM = "\ufeff"

# What Go calls a space, and those of them that end no line. Python's own idea differs (it has U+001C to U+001F, too).
_BLANK = "\t\v\f\r \x85\xa0"
_SPACE = _BLANK + "\n\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

_EXPORT = re.compile(r"export[\t\n\f\r ]+")
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0[0-9]{0,3})')
_LETTERS = dict(zip("abfnrtv\\", "\a\b\f\n\r\t\v\\"))
_ESCAPES = {"\\" + letter: char for letter, char in _LETTERS.items()}
_ESCAPES.update({"\\$": "$$", '\\"': '"'})
_NAME = "[_a-zA-Z\u017f\u212a][_a-zA-Z0-9\u017f\u212a]*"  # Go folds these two letters into s and k
_REFERENCE = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<plain>{_NAME})|\{{(?:(?P<braced>{_NAME})(?:(?P<operator>:?[-+?])(?P<word>.*))?\}})?)"
)

UNSET = "an unescaped $ names a variable that is not set, so that part of the value is gone"
COMMENT = "there is only a comment after the =, and it becomes the value"
TAB = "a # after a tab starts no comment, so it stays in the value"
TRAILING = "what follows the closing quote is read as a line of its own"
BARE = "there is no =, so the value is whatever the caller's shell has"
TWO_VIEWS = "the Compose files see another value than the containers, since it refers to a line further down"

SINGLE_QUOTES = "Put the value in single quotes, or write $$ for a $."


@dataclass(frozen=True)
class Statement:
    """One assignment as it stands in the file.

    Attributes:
        name: its name.
        value: None when nothing gives it one.
        line: on which it begins.
        surprises: what is not as it looks.
        span: where the value stands in the text, with its quotes and a byte order mark not counted; None without ``=``.
    """

    name: str
    value: str | None
    line: int
    surprises: tuple[str, ...] = ()
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Variable:
    """A variable after the whole file was read.

    Attributes:
        name: its name.
        value: what a container with this ``env_file`` gets; None when it is named but has no value.
        lines: every line that assigns it; the last one counts.
        surprises: line and description of what is not as it looks.
    """

    name: str
    value: str | None
    lines: tuple[int, ...]
    surprises: tuple[tuple[int, str], ...] = ()


def read(text: str) -> dict[str, Variable]:
    """Return the variables of a project's environment file, in order of appearance.

    Compose reads it twice: once for itself, to fill in ``${X}`` in the Compose files, and once more for the containers,
    now knowing the first result.
    """
    own = {statement.name: statement.value for statement in statements(text)}
    found: dict[str, Variable] = {}
    for statement in statements(text, {name: value for name, value in own.items() if value is not None}):
        before = found.get(statement.name, Variable(statement.name, None, ()))
        found[statement.name] = Variable(
            statement.name,
            before.value if statement.value is None else statement.value,
            (*before.lines, statement.line),
            (*before.surprises, *((statement.line, surprise) for surprise in statement.surprises)),
        )
    return {name: _compared(variable, own[name]) for name, variable in found.items()}


def values(path: Path) -> dict[str, str]:
    """Return the values of a file; a variable without one is left out. A file that cannot be read is an error."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise OpsError(
            f"{path} cannot be read: {error.strerror}.", f"cp {path}.example {path} and fill it in."
        ) from None
    return {name: variable.value for name, variable in read(text).items() if variable.value is not None}


def _compared(variable: Variable, own: str | None) -> Variable:
    if variable.value == own:
        return variable
    surprises = (*variable.surprises, (variable.lines[-1], TWO_VIEWS))
    return Variable(variable.name, variable.value, variable.lines, surprises)


def statements(text: str, environment: dict[str, str] | None = None) -> Iterator[Statement]:
    """Yield the statements of an environment file; ``environment`` wins over what the file itself has set."""
    text = text.removeprefix(BOM)
    seen: dict[str, str] = {}
    known = ChainMap(environment or {}, seen)
    position = _next_statement(text, 0)
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        name, has_value, position = _name(text, position, line)
        if has_value:
            value, surprises, end = _value(text, position, line, known)
            seen[name] = value
            yield Statement(name, value, line, surprises, (position, end))
            position = end
        elif name:
            yield Statement(name, known.get(name), line, (BARE,))
        position = _next_statement(text, position)


def _refused(line: int, why: str, remedy: str) -> OpsError:
    return OpsError(f"Line {line}: {why}; Compose refuses the whole file.", remedy)


def _skip(text: str, position: int, what: str) -> int:
    while position < len(text) and text[position] in what:
        position += 1
    return position


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _next_statement(text: str, position: int) -> int:
    position = _skip(text, position, _SPACE)
    while text.startswith("#", position):
        position = _skip(text, _end_of_line(text, position), _SPACE)
    return position


def _name(text: str, position: int, line: int) -> tuple[str, bool, int]:
    """Read the name of a statement; tell whether a value follows, and where it begins."""
    export = _EXPORT.match(text, position)
    if export:
        position = _skip(text, position + len("export"), _BLANK)
    for end in range(position, len(text)):
        char = text[end]
        if char in "=:\n":
            name = text[position:end].rstrip(_SPACE)
            if " " in name or (not name and char != "\n"):
                raise _refused(line, "no variable can have that name", "Write it as NAME=value, one per line.")
            return name, char != "\n", _skip(text, end + 1, _BLANK)
        if char not in _BLANK + "_.-[]" and unicodedata.category(char)[0] not in "LN":
            raise _refused(line, "it has a character that no name may have", "Write it as NAME=value, one per line.")
    raise _refused(line, "the file ends after a name", "Write it as NAME=value, or delete the line.")


def _value(text: str, position: int, line: int, known: Mapping[str, str]) -> tuple[str, tuple[str, ...], int]:
    """Read a value; return it, what is surprising about it, and where it ends."""
    if text[position : position + 1] in ("'", '"'):
        raw, end = _quoted(text, position, line)
        rest = text[end : _end_of_line(text, end)].strip(_SPACE)
        surprises = [TRAILING] if rest and not rest.startswith("#") else []
        if text[position] == "'":
            value = raw
        else:
            value = _expanded(_ESCAPE.sub(_unescape, raw), known, line, surprises)
    else:
        raw = text[position : _end_of_line(text, position)].partition(" #")[0].rstrip(_SPACE)
        end = position + len(raw)
        surprises = [COMMENT] if raw.startswith("#") and text[position - 1] in _BLANK else []
        if re.search(f"[{_BLANK}]#", raw):
            surprises.append(TAB)
        value = _expanded(raw, known, line, surprises)
    if "\0" in value:
        raise _refused(line, "the value holds a NUL character", "Write it without \\0.")
    return value, tuple(surprises), end


def _quoted(text: str, position: int, line: int) -> tuple[str, int]:
    """Return what stands between the quotes, with escaped quotes unescaped, and the position after them."""
    quote, escaped = text[position], False
    chars: list[str] = []
    for end in range(position + 1, len(text)):
        char = text[end]
        if char == "\\" and not escaped:
            escaped = True
            continue
        if char == quote and not escaped:
            return "".join(chars), end + 1
        if escaped and char != quote:
            chars.append("\\")
        chars.append(char)
        escaped = False
    raise _refused(line, "a quote is opened and never closed", "Close it, or put the other kind of quote around it.")


def _unescape(match: re.Match[str]) -> str:
    """Return what an escape sequence in double quotes stands for; what Go would not take keeps its backslash."""
    text = match.group()
    if not text.startswith("\\0"):
        return _ESCAPES.get(text, text)
    digits = text[2:]
    if re.fullmatch("[0-3][0-7]{2}", digits):
        return chr(int(digits, 8))
    return "\\" + digits


def _expanded(template: str, known: Mapping[str, str], line: int, surprises: list[str]) -> str:
    """Fill in the references of a value, and add a surprise when one of them names nothing."""
    try:
        value, complete = _substituted(template, known)
    except ValueError as error:
        raise _refused(line, str(error), SINGLE_QUOTES) from None
    except RecursionError:
        raise OpsError(f"Line {line}: its references are nested too deeply to be read.", SINGLE_QUOTES) from None
    if not complete:
        surprises.append(UNSET)
    return value


def _substituted(template: str, known: Mapping[str, str]) -> tuple[str, bool]:
    """Return the template with its references filled in, and whether all of them were set or had a default."""
    parts, complete, position = [], True, 0
    for match in _REFERENCE.finditer(template):
        value, found = _replacement(match.group(), known)
        parts += [template[position : match.start()], value]
        complete = complete and found
        position = match.end()
    return "".join(parts) + template[position:], complete


def _replacement(reference: str, known: Mapping[str, str]) -> tuple[str, bool]:
    """Replace what the pattern took for one reference; it is greedy, so more may stand after the closing brace."""
    end = _closing_brace(reference) + 1 or len(reference)
    match = t.cast("re.Match[str]", _REFERENCE.match(reference[:end]))
    if match["escaped"]:
        return "$", True
    name = match["plain"] or match["braced"]
    if not name:
        raise ValueError("a ${ is no reference to a variable")
    operator, value = match["operator"], known.get(name)
    if operator is None:
        return value or "", value is not None
    present = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("?") and not present:
        raise ValueError("a variable that it requires is not set")
    word = _substituted(match["word"], known)  # even where it is not needed: Compose refuses a file with a bad one
    word_counts = present if operator.endswith("+") else not present and operator.endswith("-")
    head, complete = word if word_counts else (value or "", True)
    tail, tail_complete = _substituted(reference[end:], known)
    return head + tail, complete and tail_complete


def _closing_brace(reference: str) -> int:
    """Return where the first brace closes, as Compose counts: the character after an opening one is not looked at."""
    depth, position = 0, 0
    while position < len(reference):
        if reference[position] == "}":
            depth -= 1
            if depth == 0:
                return position
        if reference[position] == "{":
            depth += 1
            position += 1
        position += 1
    return -1
