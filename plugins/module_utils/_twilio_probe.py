# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a Twilio webhook what Twilio would ask, and what a forger would.

Every request names a call of its own and nothing else (no From, no To), so that the application finds no business,
makes no lead and writes no call. Whatever may have taken a call slot is given back by the status callback that ends a
call, and then Redis, the database and the log are asked what has stayed.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import threading
import typing as t
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ._call_marks import Marks, Sids
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome, Report, timed
from ._errors import OpsError, Unreachable
from ._http import Answer
from ._twilio import Webhook, judge_stream, unexpected

Told = t.TypeVar("Told")

FORGED_HOST = "forged.invalid"
_SHOWN = 3  # calls that are named


@dataclass(frozen=True)
class Request:
    """One request of a forger."""

    path: str
    params: Mapping[str, str]
    signed: str = ""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """What a kind of forged request must be answered with.

    Attributes:
        refused: status codes of a refusal.
        tolerated: status codes of an answer that is a remark, and no failure.
    """

    refused: Sequence[int]
    tolerated: Sequence[int] = ()


@dataclass(frozen=True)
class Lines:
    """What the application logs of a request.

    Attributes:
        refused: occurs in the line of one without a signature.
        taken: occurs in the line of a call; ``{path}`` and ``{sid}`` stand for its own.
    """

    refused: str = ""
    taken: str = ""


def _unsigned(hook: Webhook, sids: Sids) -> list[Request]:
    return [Request(hook.incoming, {"CallSid": sids.new()}, method=method) for method in ("POST", "GET")]


def _wrong_token(hook: Webhook, sids: Sids) -> list[Request]:
    stranger, params = _with_token(hook, secrets.token_hex(16)), {"CallSid": sids.new()}
    return [Request(hook.incoming, params, stranger.signature(hook.incoming, params))]


def _altered(hook: Webhook, sids: Sids) -> list[Request]:
    return [Request(hook.incoming, {"CallSid": sids.new()}, hook.signature(hook.incoming, {"CallSid": sids.new()}))]


def _added(hook: Webhook, sids: Sids) -> list[Request]:
    params = {"CallSid": sids.new()}
    return [Request(hook.incoming, {**params, "ApiVersion": "2010-04-01"}, hook.signature(hook.incoming, params))]


def _other_scheme(hook: Webhook, sids: Sids) -> list[Request]:
    parts, params = urllib.parse.urlsplit(hook.signed_url), {"CallSid": sids.new()}
    other = parts._replace(scheme="http" if parts.scheme == "https" else "https").geturl()
    return [Request(hook.incoming, params, hook.signature(hook.incoming, params, other))]


def _other_host(hook: Webhook, sids: Sids) -> list[Request]:
    params = {"CallSid": sids.new()}
    return [Request(hook.incoming, params, hook.signature(hook.incoming, params, f"https://{FORGED_HOST}"))]


def _forwarded(hook: Webhook, sids: Sids) -> list[Request]:
    params, spoofed = {"CallSid": sids.new()}, {"X-Forwarded-Host": FORGED_HOST, "X-Forwarded-Proto": "http"}
    signed = hook.signature(hook.incoming, params, f"http://{FORGED_HOST}")
    return [Request(hook.incoming, params, signed, headers=spoofed)]


def _method(hook: Webhook, sids: Sids) -> list[Request]:
    made = []
    for method in ("PUT", "DELETE"):
        params = {"CallSid": sids.new()}
        made.append(Request(hook.incoming, params, hook.signature(hook.incoming, params), method))
    return made


def _alias(hook: Webhook, sids: Sids) -> list[Request]:
    return [Request(path, {"CallSid": sids.new()}) for path in hook.aliases]


def _with_token(hook: Webhook, token: str) -> Webhook:
    return Webhook(hook.url, hook.signed_url, token, hook.stream, hook.incoming, hook.status)


ONE_URL = "Have the application check signatures for its public URL alone."
SWITCH_ON = "Switch the signature check on and deploy again."


class Forgery(t.NamedTuple):
    """A kind of forged request.

    Attributes:
        means: what it means when the application takes one.
        remedy: what is to be done then.
    """

    title: str
    make: Callable[[Webhook, Sids], list[Request]]
    means: str = "anybody can make this application take calls"
    remedy: str = SWITCH_ON


REPLAYED = "what Twilio signed for another address of the account would be taken here, too"
FORGERIES = {
    "unsigned": Forgery("An unsigned call is refused", _unsigned),
    "wrong_token": Forgery("A call signed with another token is refused", _wrong_token),
    "altered": Forgery("A call altered after signing is refused", _altered),
    "added": Forgery("A call with a parameter added after signing is refused", _added),
    "other_scheme": Forgery("A call signed for another scheme is refused", _other_scheme, REPLAYED, ONE_URL),
    "other_host": Forgery("A call signed for another host is refused", _other_host, REPLAYED, ONE_URL),
    "forwarded": Forgery("A call that forges forwarding headers is refused", _forwarded, REPLAYED, ONE_URL),
    "method": Forgery(
        "A call by PUT or DELETE is refused", _method, "methods are taken that Twilio never uses", ONE_URL
    ),
    "alias": Forgery("An unsigned call to another name of the webhook is refused", _alias),
}


# Refused for what was done to them, and for nothing else, only where the token is right.
SIGNED_RIGHTLY = ("altered", "added", "other_scheme", "other_host", "forwarded")


class Probe:
    """Sends the requests, remembers which call ids may hold a slot, and gives those back."""

    def __init__(self, hook: Webhook) -> None:
        self.sids = Sids()
        self.refused = 0  # requests without a signature that were refused
        self.taken: list[tuple[str, str]] = []  # path and id of calls that were taken
        self.took: set[str] = set()  # ids that may have held a slot
        self._hook = hook
        self._holding: set[str] = set()
        self._turn = threading.Lock()

    def preview(self) -> Outcome:
        answer = self._hook.send(self._hook.preview, method="GET")
        return judge_stream(answer, self._hook.stream) if answer.status == 200 else unexpected(answer, [200])

    def forged(self, kind: str, expected: Expected, no_room: Callable[[], str]) -> Outcome:
        forgery, requests = FORGERIES[kind], FORGERIES[kind].make(self._hook, self.sids)

        def look() -> Outcome:
            return judge_forged([self._ask(one) for one in requests], expected, forgery)

        return self._taking(requests, look, no_room) if expected.tolerated else look()

    def callback(self) -> Outcome:
        """Show that token and signed URL are right without taking a slot: the end of a call that never was."""
        answer = self._hook.end(self.sids.new())
        if answer.status in self._hook.ended:
            return Outcome(PASS, f"a correctly signed status callback is accepted ({answer.status})")
        if answer.status in self._hook.refused:
            return Outcome(
                FAIL,
                f"a correctly signed status callback is refused ({answer.status}): Twilio's own requests would be, too",
                f"Compare the auth token with the Twilio account's, and {self._hook.signed_url} with its webhook's URL.",
            )
        return unexpected(answer, self._hook.ended)

    def signed(self, no_room: Callable[[], str]) -> Outcome:
        """Send a call as Twilio does."""
        params = {"CallSid": self.sids.new()}
        request = Request(self._hook.incoming, params, self._hook.signature(self._hook.incoming, params))

        def look() -> Outcome:
            answer = self._ask(request)
            return judge_stream(answer, self._hook.stream) if answer.status == 200 else unexpected(answer, [200])

        return self._taking([request], look, no_room)

    def _taking(self, requests: Sequence[Request], look: Callable[[], Outcome], no_room: Callable[[], str]) -> Outcome:
        """Do what is known to take a slot: one at a time, where that is in nobody's way, and given back at once."""
        with self._turn:
            why = no_room()
            if why:
                return Outcome(SKIP, f"not sent, since it takes a slot for a moment: {why}")
            try:
                return look()
            finally:
                self._give_back(self._holding.intersection(request.params["CallSid"] for request in requests))

    @property
    def holding(self) -> bool:
        """Whether a request may have taken a slot, be it given back or not."""
        return bool(self._holding | self.took)

    def give_back(self) -> Outcome:
        """End every call that may still hold a slot."""
        left = self._give_back(self._holding)
        if not left:
            return Outcome(PASS, f"each of {len(self.took)} call slots that a probe may have taken is free again")
        told = ", ".join(f"{sid} ({_why(answer)})" for sid, answer in _first(left).items())
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        return Outcome(
            UNKNOWN if all(isinstance(answer, Unreachable) for answer in left.values()) else FAIL,
            f"the call slot of {told}{more} may still be taken",
            "Take these out of the application's active calls by hand.",
        )

    def _give_back(self, held: Iterable[str]) -> dict[str, int | OpsError]:
        """End calls side by side; return the answers to those that were not ended."""
        sids = sorted(held)
        with ThreadPoolExecutor(max_workers=max(len(sids), 1)) as pool:
            answers = dict(zip(sids, pool.map(self._end, sids)))
        left = {sid: answer for sid, answer in answers.items() if answer not in self._hook.ended}
        self._holding -= answers.keys() - left.keys()
        self.took |= answers.keys()
        return left

    def _end(self, sid: str) -> int | OpsError:
        try:
            return self._hook.end(sid).status
        except OpsError as error:
            return error

    def logged(self, marks: Marks, since: float, lines: Lines) -> Outcome:
        """Judge whether the log tells of what was sent."""
        wanted = {lines.refused: self.refused} if lines.refused and self.refused else {}
        wanted.update({lines.taken.format(path=path, sid=sid): 1 for path, sid in self.taken if lines.taken})
        if not wanted:
            return Outcome(
                UNKNOWN, "no request was answered by the application", "See the other checks of the webhook."
            )
        missing = marks.missing(since, wanted)
        if missing:
            told = "; ".join(f"{many} of {wanted[text]} with {text!r}" for text, many in _first(missing).items())
            return Outcome(
                FAIL,
                f"the log of {marks.log_service} lacks lines of requests that were answered: {told}",
                f"Look at the level of its log (LOG_LEVEL), and at docker compose logs {marks.log_service}",
            )
        return Outcome(PASS, f"the log of {marks.log_service} has a line for each of {sum(wanted.values())} requests")

    def _ask(self, request: Request) -> Answer:
        sid = request.params["CallSid"]
        self._holding.add(sid)  # before it is sent: a request without an answer may have taken a slot, too
        answer = self._hook.send(request.path, request.params, request.signed, request.method, request.headers)
        if 300 <= answer.status < 500:
            self._holding.discard(sid)
        if answer.status in self._hook.refused and not request.signed:
            self.refused += 1
        if answer.status == 200:
            self.taken.append((request.path, sid))
        return answer


def judge_forged(answers: Sequence[Answer], expected: Expected, forgery: Forgery) -> Outcome:
    """Judge the answers to requests of one kind: each must be a refusal."""
    odd = [answer for answer in answers if answer.status not in expected.refused]
    if not odd:
        codes = " and ".join(str(code) for code in sorted({answer.status for answer in answers}))
        return Outcome(PASS, f"refused with {codes}" + (f", {len(answers)} of {len(answers)}" if answers[1:] else ""))
    worst = next((answer for answer in odd if answer.status not in expected.tolerated), odd[0])
    if worst.status in expected.tolerated:
        return Outcome(WARN, f"accepted with {worst.status}: {forgery.means}", forgery.remedy)
    if worst.status < 300:
        return Outcome(FAIL, f"accepted with {worst.status}: {forgery.means}", forgery.remedy)
    return unexpected(worst, expected.refused)


def inspect(
    hook: Webhook,
    expected: Mapping[str, Expected],
    signed: bool = False,
    marks: Marks | None = None,
    lines: Lines = Lines(),
) -> Report:
    """Run the probes side by side, give back what they took, and look for what has stayed.

    Args:
        expected: the kinds of forged requests to send.
        signed: whether to send a call as Twilio does, too; it takes a slot for a moment.
    """
    probe = Probe(hook)
    since, unread = _begin(marks)
    no_room = _asked(marks.no_room if marks else lambda: "")
    looks: list[tuple[str, str, Callable[[], Outcome]]] = [
        (f"webhook.{kind}", FORGERIES[kind].title, lambda kind=kind, want=want: probe.forged(kind, want, no_room))  # type: ignore[misc]
        for kind, want in expected.items()
        if kind != "alias" or hook.aliases
    ]
    looks.append(("webhook.callback", "A correctly signed status callback is accepted", probe.callback))
    if hook.preview:
        looks.append(("webhook.preview", "The webhook answers TwiML for a media stream", probe.preview))
    if signed:
        looks.append(("webhook.signed", "A correctly signed call gets its media stream", lambda: probe.signed(no_room)))
    checks = without_vain_passes(_timed(looks))
    if probe.holding:
        checks += _timed([("webhook.give_back", "The probes leave no call slot behind", probe.give_back)])
    if marks:
        there = marks
        checks += _timed(
            [
                ("webhook.no_trace", "The probes leave nothing else behind", lambda: there.no_trace(probe.sids)),
                (
                    "webhook.logged",
                    "The log tells of each request",
                    lambda: unread or probe.logged(there, since, lines),
                ),
            ]
        )
    return Report(checks=checks, secrets={hook.token, *(marks.secrets if marks else ())})


def _first(many: Mapping[str, Told]) -> dict[str, Told]:
    return dict(itertools.islice(many.items(), _SHOWN))


def _why(answer: int | OpsError) -> str:
    return answer.problem.rstrip(".") if isinstance(answer, OpsError) else f"answered {answer}"


def without_vain_passes(checks: Sequence[Check]) -> list[Check]:
    """Take the pass from what was signed with the right token and refused, where what is signed rightly is refused, too."""
    if any(check.id == "webhook.callback" and check.status == PASS for check in checks):
        return list(checks)
    vain = Outcome(UNKNOWN, "refused, as is what Twilio itself would send: it proves nothing", "See webhook.callback.")
    return [
        dataclasses.replace(check, **vain._asdict())
        if check.status == PASS and check.id.rpartition(".")[2] in SIGNED_RIGHTLY
        else check
        for check in checks
    ]


def _begin(marks: Marks | None) -> tuple[float, Outcome | None]:
    """Return the time by the engine's clock, or why there is none."""
    try:
        return (marks.now() if marks else 0.0), None
    except OpsError as error:
        return 0.0, Outcome(UNKNOWN, error.problem, error.remedy)


def _asked(no_room: Callable[[], str]) -> Callable[[], str]:
    """Let a Redis that cannot be asked be an open question: it may be that there is room."""

    def ask() -> str:
        try:
            return no_room()
        except OpsError as error:
            raise Unreachable(error.problem, error.remedy) from None

    return ask


def _timed(looks: Sequence[tuple[str, str, Callable[[], Outcome]]]) -> list[Check]:
    with ThreadPoolExecutor(max_workers=len(looks)) as pool:
        return list(pool.map(lambda look: timed(look[0], look[1], (), look[2]), looks))
