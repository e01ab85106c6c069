# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the APIs of outside services, as data: read-only, authenticated, and told without what is secret.

Nothing of an answer is told but the values of declared expressions: a body may hold data or echo a key.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import _api_query, _dotenv, _git
from ._check import FAIL, UNKNOWN, Outcome, stopwatch
from ._credentials import token_in
from ._errors import OpsError, Unreachable
from ._http import Answer, Client, target

# GitHub refuses a request without User-Agent.
HEADERS = {"Accept": "application/json", "User-Agent": "prosaas.ops"}
COMMIT = "commit"
_PLACE = re.compile(r"\{(\+?)([A-Za-z_][A-Za-z0-9_]*)\}")


class Unset(Unreachable):
    """Something that a request needs was not given, so nobody was asked."""


class Known:
    """What the placeholders in URLs and expressions stand for.

    Args:
        env_file: the file with the application's variables; empty when there is none.
        given: values for names that the file does not set.
        commit: what ``{commit}`` stands for: a branch, tag or commit id.
    """

    def __init__(self, env_file: str, given: Mapping[str, t.Any], commit: t.Any = "") -> None:
        self._own = _dotenv.values(Path(env_file)) if env_file else {}
        self._env_file = env_file
        self._given = given
        self._commit = commit
        self.sent: set[str] = set()  # values from files that went out: they are masked everywhere

    def is_own(self, name: str) -> bool:
        """Whether a name's value comes from the application's variables, and so is told to nobody."""
        return bool(self._own.get(name))

    def value(self, name: str) -> t.Any:
        if name == COMMIT and self._commit != "":
            return _git.commit_name(self._commit)
        found = self._own.get(name) or self._given.get(name)
        if found in (None, ""):
            if name in self._given or name == COMMIT or not self._env_file:
                raise Unset(f"{name} is not given", f"Give {name}.")
            raise Unset(f"{name} is not set in {self._env_file}", f"Set {name} in {self._env_file}.")
        return found

    def secret(self, name: str) -> str:
        """Return a variable's value, to be sent and masked."""
        value = str(self.value(name))
        self.sent.add(value)
        return value

    def token(self, path: str) -> str:
        """Return the token in a file of its own."""
        if not path:
            raise Unset("no token is given", "Give the path of a file that holds one.")
        value = token_in(path)
        if not value:
            raise Unset(f"the token file {path} is empty", f"Put the token into {path}.")
        self.sent.add(value)
        return value

    def url(self, template: str) -> tuple[str, str]:
        """Return the URL to ask, and how it is told: without query, with the variables' names for their values."""

        def asked(place: re.Match[str]) -> str:
            value = self.secret(place[2]) if self.is_own(place[2]) else str(self.value(place[2]))
            return urllib.parse.quote(value, safe="/" if place[1] else "", errors="surrogateescape")

        def shown(place: re.Match[str]) -> str:
            return f"{{{place[2]}}}" if self.is_own(place[2]) else asked(place)

        return _PLACE.sub(asked, template), _PLACE.sub(shown, template).partition("?")[0]

    def query(self, template: str) -> str:
        """Return the expression with each ``{name}`` replaced by its value, as JMESPath writes it."""

        def literal(place: re.Match[str]) -> str:
            return "`" + json.dumps(self.value(place[2])).replace("`", "\\`") + "`"

        return _PLACE.sub(literal, template)


@dataclass(frozen=True)
class Refusal:
    """What an answer that is no 200 means.

    Attributes:
        status: the status codes that it is about.
        when: expression over the answer that must be true; empty for any.
        say: what it means.
        verdict: ``fail``, ``unknown`` or ``warn``.
    """

    status: Sequence[int]
    say: str
    when: str = ""
    verdict: str = FAIL
    remedy: str = ""


@dataclass(frozen=True)
class Request:
    """One GET.

    Attributes:
        bearer: variable whose value is sent as bearer token.
        bearer_file: file whose content is; ``None`` when the request has no such token.
        basic: variables whose values are sent as user and password.
        secret_headers: headers, each with the variable that holds its value.
        anonymous: without a token the request is sent without one, instead of not at all.
        reason: expression that finds the service's own error code in a refusal; it is told.
        whole: expression that is true when the answer is all there is, and not one page of it.
    """

    name: str
    url: str
    bearer: str = ""
    bearer_file: str | None = None
    basic: Sequence[str] = ()
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False
    reason: str = ""
    whole: str = ""
    refusals: Sequence[Refusal] = ()

    @property
    def key(self) -> str:
        """The names of what opens the door."""
        names = [self.bearer, *self.basic, *self.secret_headers.values()]
        return " and ".join(filter(None, names)) or (f"the token in {self.bearer_file}" if self.bearer_file else "")


@dataclass(frozen=True)
class Said:
    """What came of a request.

    Attributes:
        wrong: why it says nothing of its subject; ``None`` when ``content`` does.
        asked: false when something that it needs was not given.
    """

    where: str
    content: t.Any = None
    wrong: Outcome | None = None
    asked: bool = True
    seconds: float = 0.0

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.where).netloc


def ask(request: Request, known: Known, http: Client) -> Said:
    """Send the request; whatever keeps the answer away is told as the outcome that it means."""
    where = request.url.partition("?")[0]
    with stopwatch() as seconds:
        try:
            url, where = known.url(request.url)
            headers = {**HEADERS, **request.headers, **_authorization(request, known)}
            answer = _sent(http, url, headers, where)
            wrong = refused(request, where, answer)
            return Said(where, None if wrong else _content(request, where, answer), wrong, seconds=seconds())
        except Unset as error:
            why = f"{Said(where).host} was not asked: {error.problem}"
            return Said(where, wrong=Outcome(UNKNOWN, why, error.remedy), asked=False)
        except OpsError as error:
            status = UNKNOWN if isinstance(error, Unreachable) else FAIL
            return Said(where, wrong=Outcome(status, error.problem, error.remedy), seconds=seconds())


def _authorization(request: Request, known: Known) -> dict[str, str]:
    headers: dict[str, str] = {}
    try:
        if request.bearer:
            headers["Authorization"] = f"Bearer {known.secret(request.bearer)}"
        elif request.bearer_file is not None:
            headers["Authorization"] = f"Bearer {known.token(request.bearer_file)}"
        elif request.basic:
            pair = ":".join(known.secret(name) for name in request.basic)
            headers["Authorization"] = (
                f"Basic {base64.b64encode(pair.encode('utf-8', 'surrogateescape')).decode('ascii')}"
            )
        headers.update({name: known.secret(variable) for name, variable in request.secret_headers.items()})
    except Unset:
        if not request.anonymous:
            raise
    for value in headers.values():
        if not (value.isascii() and value.isprintable()):
            raise OpsError(f"{request.key} holds a character that no key has.", "Copy it again, without line breaks.")
    return headers


def _sent(http: Client, url: str, headers: Mapping[str, str], where: str) -> Answer:
    """Send it; errors name the URL as it is told, since the real one may hold values of variables."""
    to = target(url)
    real = f"{to.scheme}://{to.netloc}{to.path.partition('?')[0]}"
    try:
        return http.send(url, headers=headers)
    except OpsError as error:
        raise type(error)(error.problem.replace(real, where), error.remedy.replace(real, where)) from None


def refused(request: Request, where: str, answer: Answer) -> Outcome | None:
    """Return what an answer that is no 200 means: as the request's data says, else as the status says by itself."""
    if answer.status == 200:
        return None
    try:
        content = answer.json()
    except ValueError:
        content = None
    reason = _api_query.search(request.reason, content) if request.reason else None
    code = f"{answer.status} {_api_query.told(reason)}" if reason else str(answer.status)
    for refusal in request.refusals:
        if answer.status in refusal.status and (not refusal.when or _api_query.search(refusal.when, content) is True):
            return Outcome(refusal.verdict, f"{where} answered {code}: {refusal.say}", refusal.remedy)
    return _by_status(request, where, answer.status, code)


def _by_status(request: Request, where: str, status: int, code: str) -> Outcome:
    if status in (401, 403):
        if not request.key:
            return Outcome(FAIL, f"{where} answers nobody without a key ({code})", "Give a token.")
        return Outcome(
            FAIL, f"{where} does not accept {request.key} ({code})", f"Make a new key there and correct {request.key}."
        )
    if status == 404:
        return Outcome(FAIL, f"{where} does not exist, or not for this key ({code})", "Correct what the URL names.")
    if status == 429:
        return Outcome(UNKNOWN, f"{where} was asked too often ({code})", "Try again in some minutes.")
    if status >= 500:
        return Outcome(UNKNOWN, f"{where} is in trouble ({code})", "Look at the status page of the service.")
    return Outcome(UNKNOWN, f"{where} answered {code} instead of 200", "Correct the URL.")


def _content(request: Request, where: str, answer: Answer) -> t.Any:
    try:
        content = answer.json()
    except ValueError:
        raise Unreachable(f"{where} answered 200 and no JSON.", "Correct the URL.") from None
    if request.whole and _api_query.search(request.whole, content) is not True:
        raise Unreachable(f"{where} answered with one page of several.", "Ask for fewer, or for larger pages.")
    return content
