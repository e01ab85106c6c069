# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that are missing from an environment file: told as a template, and made once where that is asked for.

What is there stays as it is, to the byte. Only a line that has no value, or still that of the template, gets one.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from . import _dotenv, _env_rules, _store
from ._compose import Execute
from ._env_rules import Environment
from ._env_types import GENERATORS
from ._errors import OpsError

TITLE = "# Made by prosaas.ops.env_validate. There is no other copy of these yet: keep one.\n"


def missing(env: Environment) -> list[str]:
    """Return the variables that must be set and are not, and those that are still placeholders."""
    empty = (name for name, entry in env.schema.items() if not env.value(name) and _env_rules.needed(entry, env))
    unfilled = (name for name in env.schema if env.value(name) and env.is_placeholder(env.value(name)))
    found = {*empty, *unfilled}
    return [name for name in env.schema if name in found]


def template(env: Environment) -> str:
    """Return lines for what is missing, each under what it is and where to get it; no value but one that is given."""
    return "\n".join(line for name in missing(env) for line in _told(name, env.schema[name]))


def _told(name: str, entry: _env_rules.Data) -> Iterator[str]:
    yield f"# {entry.get('title', name)}."
    if entry.get("generate"):
        yield f"# Make one: {_env_rules.command(entry['generate'])}"
    if entry.get("source"):
        yield f"# {entry['source'][:1].upper()}{entry['source'][1:]}."
    yield f"{name}={entry['value'] if entry.get('type') == 'exact' else ''}\n"


def to_fill(env: Environment, execute: Execute | None) -> list[str]:
    """Return what may be made here: a secret with a generator, no value of its own yet, and no data that needs it."""
    return [name for name in missing(env) if _is_free(name, env) and _may_be_made(env.schema[name], execute)]


def _is_free(name: str, env: Environment) -> bool:
    """Tell whether no value is lost: there is none, or it is the one that the template shows to everybody."""
    variable = env.variables.get(name)
    if variable is not None and variable.surprises:  # not as it looks, so a person has to look first
        return False
    return env.value(name) in ("", env.example.get(name))


def _may_be_made(entry: _env_rules.Data, execute: Execute | None) -> bool:
    if entry.get("generate") not in GENERATORS:
        return False
    volume = entry.get("unless_volume")
    return not volume or (execute is not None and _is_new(volume, execute))


def _is_new(volume: str, execute: Execute) -> bool:
    """Tell whether the engine surely has no such volume; an engine that does not answer has said nothing."""
    try:
        code, _out, err = execute(["docker", "volume", "inspect", volume])
    except OpsError:
        return False
    return code != 0 and "no such volume" in err.lower()


def make(names: Iterable[str], env: Environment) -> dict[str, str]:
    return {name: GENERATORS[env.schema[name]["generate"]].make() for name in names}


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a file with these values in it: in their places where they have one, else at the end."""
    mark, body = (_dotenv.BOM, text[1:]) if text.startswith(_dotenv.BOM) else ("", text)
    places = {s.name: s.span for s in _dotenv.statements(body) if s.name in values and s.span}
    for name, (start, end) in sorted(places.items(), key=lambda place: place[1], reverse=True):
        body = body[:start] + values[name] + body[end:]
    new = "".join(f"{name}={value}\n" for name, value in values.items() if name not in places)
    if new:
        gap = "" if not body else "\n" if body.endswith("\n") else "\n\n"
        body += (gap + TITLE + new).replace("\n", "\r\n" if "\r\n" in body else "\n")
    return mark + body


def write(path: Path, text: str) -> None:
    """Write the file whole, readable by its owner alone, who stays the same; through a link to where it really is."""
    try:
        owner = path.stat()
        data = text.encode("utf-8", "surrogateescape")
        _store.write_whole(path.resolve(), data, owner=(owner.st_uid, owner.st_gid))
    except OSError as error:
        why = f"{path} cannot be written ({error.strerror})."
        raise OpsError(why, "Run the task as the owner of the file, or with become.") from None
