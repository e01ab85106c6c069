# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment file of a Compose project on its host: who can read it, what is in it, what Compose makes of it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import stat
import typing as t
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from . import _dotenv, _env_rules, _env_types, _secrets
from ._check import FAIL, PASS, WARN, Check, Outcome, Report, timed
from ._compose import Compose
from ._dotenv import Variable
from ._env_rules import Environment
from ._errors import OpsError, Unreachable

READABLE = "Run the task as the owner of the file, or with become"


def examine(
    path: Path,
    example: Path,
    env: Environment,
    rules: Iterable[_env_rules.Data],
    compose: Compose | None = None,
    overrides: Sequence[str] = (),
) -> Report:
    """Run all checks on a file. Without one, or with one that Compose refuses, there is that failure and no more.

    Args:
        path: the file.
        example: the template that it was copied from; it need not exist.
        env: what to judge by; path, variables and example are filled in here.
        rules: what must hold between variables.
        compose: the project to resolve, to see what the containers get instead; None leaves that out.
        overrides: patterns of the variables that the Compose files set themselves on purpose.
    """
    file_check = timed("env.file", "The environment file is there, and private", [], partial(_file, path, example))
    try:
        variables = _dotenv.read(path.read_bytes().decode("utf-8", "surrogateescape"))
    except OSError:
        return Report(checks=[file_check])
    except OpsError as error:
        broken = Check("env.syntax", _env_rules.SYNTAX, FAIL, f"{path}: {error.problem}", error.remedy)
        return Report(checks=[file_check, broken])
    env = replace(env, path=str(path), variables=variables, example=_template(example))
    secrets = set(_hidden(env))
    checks = [file_check, *_env_rules.checks(env, rules)]
    if compose:
        look = partial(_overridden, env, compose, overrides, secrets)
        checks.append(timed("env.overrides", "The containers get what the file says", [], look))
    return Report(checks=checks, secrets=secrets)


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


def _overridden(env: Environment, compose: Compose, meant: Sequence[str], secrets: Iterable[str]) -> Outcome:
    """Compare the file with what Compose hands to the containers of each service."""
    if not shutil.which("docker"):
        raise Unreachable("There is no docker command on this host.", "Install Docker and Compose v2")
    try:
        model = compose.model()
    except Unreachable:
        raise
    except OpsError as error:
        raise OpsError(_secrets.redact(error.problem, secrets), error.remedy) from None
    replaced = overridden(env.variables, model)
    told = {name: f"{name} (in {', '.join(services)})" for name, services in replaced.items()}
    by_mistake = [name for name in told if not any(fnmatch.fnmatchcase(name, pattern) for pattern in meant)]
    if by_mistake:
        evidence = "the Compose files set another value: " + ", ".join(told[name] for name in by_mistake)
        return Outcome(WARN, evidence, f"Change it there and delete it in {env.path}, where it has no effect")
    return Outcome(PASS, f"but for what is meant to differ: {', '.join(told.values())}" if told else "all of it")


def overridden(variables: Mapping[str, Variable], model: Mapping[str, t.Any]) -> dict[str, list[str]]:
    """Return the variables of the file for which a service gets another value, with those services."""
    found: dict[str, list[str]] = {}
    for service, definition in sorted(model["services"].items()):
        for name, value in (definition.get("environment") or {}).items():
            if name in variables and (variables[name].value or "") != (value or "").replace("$$", "$"):
                found.setdefault(name, []).append(service)
    return dict(sorted(found.items()))
