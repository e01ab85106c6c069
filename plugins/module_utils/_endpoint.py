# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints as data: what each must answer, judged by what the answer proves.

An endpoint is met by any one of its shapes. A shape that expects JSON is never met by a page, whatever its status: a
frontend that serves its index for every path would otherwise be taken for a healthy service.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import itertools
import json
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from . import _assets
from ._check import FAIL, PASS, UNKNOWN, WARN, Check, Outcome, Report, timed
from ._condition import SHOWN, Condition
from ._errors import OpsError, Unreachable
from ._http import Answer, Client

DAY = 86400


@dataclass(frozen=True)
class Shape:
    """One acceptable answer. What is not said is not looked at.

    Attributes:
        body_equals: the whole body, surrounding white space left out.
        header_contains: text that must occur in the header of that name, in upper or lower case.
    """

    status: Sequence[int] = (200,)
    content_type: str = ""
    header_contains: Mapping[str, str] = field(default_factory=dict)
    body_equals: str = ""
    body_contains: Sequence[str] = ()
    body_not_contains: Sequence[str] = ()
    json: Sequence[Condition] = ()
    max_seconds: float = 0.0

    def objections(self, answer: Answer) -> list[str]:
        """Return what speaks against the answer; a wrong status hides the rest, which then says nothing new."""
        if answer.status not in self.status:
            return [f"answered {answer.status} instead of {' or '.join(map(str, self.status))}"]
        text, kind = answer.text, answer.content_type or "of no type"
        found = [
            (f"is {kind} instead of {self.content_type}", bool(self.content_type) and kind != self.content_type),
            (f"is not {self.body_equals!r}", bool(self.body_equals) and text.strip() != self.body_equals),
            (
                f"took {answer.seconds} s, at most {self.max_seconds:g}",
                bool(self.max_seconds) and answer.seconds > self.max_seconds,
            ),
            *((f"lacks {part!r}", part not in text) for part in self.body_contains),
            *((f"holds {part!r}", part in text) for part in self.body_not_contains),
            *(
                (f"header {name} lacks {part!r}", part.lower() not in answer.headers.get(name.lower(), "").lower())
                for name, part in self.header_contains.items()
            ),
        ]
        return [text for text, bad in found if bad] + self._json_objections(answer)

    def _json_objections(self, answer: Answer) -> list[str]:
        if not self.json:
            return []
        import jmespath

        try:
            body = answer.json()
        except ValueError:
            page = answer.content_type == "text/html"
            return ["is a web page, not JSON: something else answered in its place" if page else "is not JSON"]
        return [said for said in (c.objection(jmespath.search(c.query, body)) for c in self.json) if said]

    def proof(self, answer: Answer) -> str:
        """Return what an accepted answer said, in a line."""
        said = [str(answer.status), answer.content_type or "no content type"]
        if self.json:
            import jmespath

            body = answer.json()
            values = ((c.query, jmespath.search(c.query, body)) for c in self.json)
            said += [
                f"{query}={json.dumps(value, ensure_ascii=False)[:SHOWN]}"
                for query, value in values
                if value is not None
            ]
        elif self.body_equals:
            said.append(repr(self.body_equals))
        return " ".join(said)


@dataclass(frozen=True)
class Endpoint:
    """What is asked, and the shapes that are accepted; header values may be secret.

    Attributes:
        assets: whether all that the answer, a page, names must load, too.
        certificate_days: days that the certificate that is served must have left; 0 to look at none.
    """

    id: str
    title: str
    url: str
    shapes: Sequence[Shape]
    item: Sequence[int] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    service: str = ""
    remedy: str = ""
    assets: bool = False
    certificate_days: int = 0


def judge(endpoint: Endpoint, answer: Answer) -> Outcome:
    """Accept an answer that one of the shapes accepts; otherwise tell what the nearest shape holds against it."""
    against = []
    for shape in endpoint.shapes:
        objections = shape.objections(answer)
        if not objections:
            return Outcome(PASS, f"{endpoint.url}: {shape.proof(answer)}, {answer.seconds:g} s")
        against.append(objections)
    if len(against) > 1 and all(answer.status not in shape.status for shape in endpoint.shapes):
        against = against[:1]
    said = " / ".join(", ".join(objections) for objections in against)
    return Outcome(FAIL, f"{endpoint.url} {said}", endpoint.remedy)


def ask(endpoint: Endpoint, http: Client, address_of: Callable[[str], str]) -> Outcome:
    """Ask once. No answer is a failed endpoint: that it answers is what is to be proven."""
    try:
        answer = answered(endpoint, endpoint.url, http, address_of)
    except Unreachable as error:
        return Outcome(FAIL, error.problem, endpoint.remedy or error.remedy)
    return judge(endpoint, answer)


def answered(endpoint: Endpoint, url: str, http: Client, address_of: Callable[[str], str]) -> Answer:
    """Return the answer to one URL of an endpoint's site."""
    if endpoint.service:
        parts = urllib.parse.urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        url = urllib.parse.urlunsplit(parts._replace(netloc=f"{_bracketed(address_of(endpoint.service))}{port}"))
    return http.send(url, headers=endpoint.headers, address=endpoint.address)


def ask_assets(endpoint: Endpoint, http: Client, address_of: Callable[[str], str]) -> Outcome:
    """Ask for the page, and for all that it names."""
    patient = replace(http, max_body=_assets.LARGEST)

    def fetch(url: str) -> Answer:
        return answered(endpoint, url, patient, address_of)

    return _assets.look(fetch(endpoint.url), endpoint.url, fetch, endpoint.remedy)


def ask_certificate(
    endpoint: Endpoint, http: Client, address_of: Callable[[str], str], ends: dict[str, float] | None = None
) -> Outcome:
    """Look at the certificate that is served: the connection has verified it, and what it cannot verify it refuses.

    Args:
        ends: where it is noted when it ends (seconds since the epoch), by the id of the endpoint.
    """
    found = answered(endpoint, endpoint.url, http, address_of).certificate
    if found is None:
        return Outcome(FAIL, f"{endpoint.url} is not served over TLS", "Write its URL with https.")
    if ends is not None:
        ends[endpoint.id] = found.not_after.timestamp()
    return judge_days(found.not_before, found.not_after, found.names, endpoint.certificate_days)


def judge_days(start: datetime.datetime, end: datetime.datetime, names: Sequence[str], least: int) -> Outcome:
    """Judge the days left. One that still holds is no reason to take a deployment back, so too few are a warning."""
    left = (end - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / DAY
    whole = (end - start).total_seconds() / DAY
    said = f"valid until {end:%Y-%m-%d}, {left:.0f} of {whole:.0f} days are left, for {', '.join(names)}"
    if left < least:
        return Outcome(WARN, f"{said}; {least} are wanted", "Renew it, and have the proxy read it again.")
    return Outcome(PASS, said)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def until_met(
    look: Callable[[], Outcome], deadline: float, first_pause: float = 0.5, last_pause: float = 5.0
) -> Outcome:
    """Look again, with growing pauses, until it passes or the deadline (a monotonic time) is reached."""
    pause, tries = first_pause, 0
    while True:
        tries += 1
        outcome = _outcome_of(look)
        left = deadline - time.monotonic()
        if outcome.status == PASS or left <= 0:
            return outcome if tries == 1 else outcome._replace(evidence=f"{outcome.evidence} (try {tries})")
        time.sleep(min(pause, left))
        pause = min(pause * 2, last_pause)


def _outcome_of(look: Callable[[], Outcome]) -> Outcome:
    """Look once; what may have changed by the next look must not end the looking."""
    try:
        return look()
    except Unreachable as error:
        return Outcome(UNKNOWN, error.problem, error.remedy)
    except OpsError as error:
        return Outcome(FAIL, error.problem, error.remedy)


def inspect(
    endpoints: Sequence[Endpoint],
    http: Client,
    address_of: Callable[[str], str],
    deadline_seconds: float,
    secrets: set[str] | None = None,
) -> Report:
    """Ask all endpoints side by side, each until it passes once or the common deadline is over."""
    deadline = time.monotonic() + deadline_seconds
    ends: dict[str, float] = {}

    def check(endpoint: Endpoint) -> list[Check]:
        def itself() -> Outcome:
            return until_met(lambda: ask(endpoint, http, address_of), deadline)

        found = [timed(endpoint.id, endpoint.title, endpoint.item, itself)]
        met = found[0].status == PASS
        if endpoint.certificate_days:
            title = f"{endpoint.title}: the certificate is valid, and lasts"
            found.append(timed(f"{endpoint.id}.certificate", title, (), lambda: certificate(endpoint)))
        if endpoint.assets:
            title = f"{endpoint.title}: all that it names loads"
            found.append(timed(f"{endpoint.id}.assets", title, (), lambda: assets(endpoint, met)))
        return found

    def certificate(endpoint: Endpoint) -> Outcome:
        try:
            return ask_certificate(endpoint, http, address_of, ends)
        except Unreachable:
            return _missing(endpoint)

    def assets(endpoint: Endpoint, met: bool) -> Outcome:
        return until_met(lambda: ask_assets(endpoint, http, address_of), deadline) if met else _missing(endpoint)

    with ThreadPoolExecutor(max_workers=max(1, min(16, len(endpoints)))) as pool:
        found = itertools.chain.from_iterable(pool.map(check, endpoints))
        return Report(list(found), {"certificates": ends}, secrets or set())


def _missing(endpoint: Endpoint) -> Outcome:
    return Outcome(UNKNOWN, f"it needs the answer of {endpoint.url}: see {endpoint.id}", "Mend that first.")
