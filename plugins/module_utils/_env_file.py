# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment file of a Compose project on its host: who can read it, what is in it, what Compose makes of it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import stat
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from . import _dotenv, _env_fill, _env_rules, _env_types, _env_views
from ._check import FAIL, PASS, Check, Outcome, Report, timed
from ._env_rules import Environment
from ._env_views import Host
from ._errors import OpsError

READABLE = "Run the task as the owner of the file, or with become"


def examine(
    path: Path,
    example: Path,
    env: Environment,
    rules: Sequence[_env_rules.Data],
    host: Host | None = None,
    fill: bool = False,
    check_mode: bool = False,
) -> Report:
    """Run all checks on a file. Without one, or with one that Compose refuses, there is that failure and no more.

    Args:
        path: the file.
        example: the template that it was copied from; it need not exist.
        env: what to judge by; path, variables and example are filled in here.
        rules: what must hold between variables.
        host: the project, to see what its containers get and have; None leaves that out.
        fill: whether to make missing secrets first.
        check_mode: whether to make them in memory alone, and judge the file as it would be.
    """
    env = replace(env, path=str(path), example=_template(example))
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        env = replace(env, variables=_dotenv.read(text))
    except OSError:
        return Report([_file_check(path, example)], {"template": _env_fill.template(env), "filled": []})
    except OpsError as error:
        broken = Check("env.syntax", _env_rules.SYNTAX, FAIL, f"{path}: {error.problem}", error.remedy)
        return Report([_file_check(path, example), broken], {"template": "", "filled": []})
    made = _env_fill.make(_env_fill.to_fill(env, host.execute if host else None), env) if fill else {}
    if made:
        text = _env_fill.filled(text, made)
        env = replace(env, variables=_dotenv.read(text))
        if not check_mode:
            _env_fill.write(path, text)
    secrets = set(_hidden(env))
    checks = [_file_check(path, example), *_env_rules.checks(env, rules)]
    if host:
        on_disk = {name: v for name, v in env.variables.items() if not (check_mode and name in made)}
        checks += _env_views.checks(env, on_disk, host, secrets)
    facts = {"template": _env_fill.template(env), "filled": list(made)}
    return Report(checks, facts, secrets, changed=bool(made), diff=_diff(path, made))


def _diff(path: Path, made: Iterable[str]) -> list[dict[str, str]]:
    """Return what was made by its names alone."""
    names = "".join(f"{name} has a value\n" for name in made)
    return [{"before_header": str(path), "after_header": str(path), "before": "", "after": names}] if names else []


def _file_check(path: Path, example: Path) -> Check:
    return timed("env.file", "The environment file is there, and private", [], partial(_file, path, example))


def _file(path: Path, example: Path) -> Outcome:
    try:
        status = path.stat()
    except FileNotFoundError:
        if not path.parent.is_dir():
            return Outcome(FAIL, f"{path.parent} does not exist", "Correct project_dir, or clone the application there")
        remedy = f"cp {example} {path} && chmod 600 {path}, then fill it in"
        return Outcome(FAIL, f"{path} does not exist", remedy)
    except OSError as error:
        return Outcome(FAIL, f"{path} cannot be read ({error.strerror})", READABLE)
    if not stat.S_ISREG(status.st_mode):
        return Outcome(FAIL, f"{path} is no file", "Remove it and put the environment file in its place")
    if not os.access(path, os.R_OK):
        return Outcome(FAIL, f"{path} cannot be read by this user", READABLE)
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        return Outcome(FAIL, f"mode {mode:04o}: other users of the host can read the secrets", f"chmod 600 {path}")
    if status.st_uid not in (0, os.geteuid(), path.parent.stat().st_uid):
        owner = f"it belongs to user {status.st_uid}, who owns neither the project nor this task"
        return Outcome(FAIL, owner, f"chown --reference={path.parent} {path}")
    return Outcome(PASS, f"mode {mode:04o}")


def _template(example: Path) -> dict[str, str]:
    """Return the values of the template; one that is not there or not readable only makes the checks less sharp."""
    try:
        return _dotenv.values(example)
    except OpsError:
        return {}


def _hidden(env: Environment) -> Iterator[str]:
    """Yield what must never be shown: private values, and the passwords of those that are URLs."""
    for name in env.variables:
        if env.is_private(name):
            value = env.value(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            url = _env_types.split(value)
            password = url.password if url else None
            yield value
            yield from (password, urllib.parse.unquote(password)) if password else ()
