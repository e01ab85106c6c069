# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what outside services say: several may rest on one answer, and one on several.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from . import _api_query
from ._api import Known, Request, Said, ask
from ._check import FAIL, PASS, STATUSES, UNKNOWN, WARN, Check, Outcome, Report, timed
from ._condition import Condition
from ._errors import OpsError
from ._http import Client

MAX_BODY = 4 << 20  # a hundred runs of a forge take half a megabyte


@dataclass(frozen=True)
class Expectation:
    """One thing that must be so.

    Attributes:
        say: what it means when it is not; ``{found}`` in it stands for the value, which is told by that.
        verdict: what it then is, ``fail``, ``unknown`` or ``warn``.
    """

    condition: Condition
    say: str
    verdict: str = FAIL
    remedy: str = ""


@dataclass(frozen=True)
class Probe:
    """One check.

    Attributes:
        requests: names of the requests whose answers it looks at.
        of: expression over all of these answers, by name, that finds the subject; empty for the answers themselves.
        absent: what it means when there is no subject.
        tell: expressions over the subject whose values are evidence, by what they are called.
        see: id of an earlier check; where that one did not pass and this one has nothing to judge, it tells why.
        question: what a person is asked where no service was.
    """

    id: str
    title: str
    requests: Sequence[str] = ()
    of: str = ""
    absent: Expectation | None = None
    expect: Sequence[Expectation] = ()
    tell: Mapping[str, str] = field(default_factory=dict)
    see: str = ""
    question: str = ""
    remedy: str = ""


def judge(probe: Probe, answers: Mapping[str, Said], earlier: Mapping[str, str], known: Known) -> Outcome:
    """Judge one check by the answers that it rests on.

    Args:
        earlier: status by id of the checks that were judged before.
    """
    said = [answers[name] for name in probe.requests]
    unasked = next((one.wrong for one in said if not one.asked), None)
    if probe.question and (unasked or not said):
        why = unasked.evidence if unasked else "no service is named that could be asked"
        return Outcome(UNKNOWN, why, probe.remedy or (unasked.remedy if unasked else ""), probe.question)
    rests_on_nothing = bool(probe.see) and earlier.get(probe.see) not in (PASS, WARN)
    elsewhere = Outcome(UNKNOWN, f"rests on {probe.see}, which did not pass", f"See {probe.see}.")
    wrong = next((one.wrong for one in said if one.wrong), None)
    if wrong:
        return elsewhere if rests_on_nothing else wrong
    hosts = " and ".join(dict.fromkeys(one.host for one in said))
    subject = _api_query.search(known.query(probe.of or "@"), {name: answers[name].content for name in probe.requests})
    if _api_query.is_empty(subject):
        return elsewhere if rests_on_nothing else _against(hosts, [(probe.absent or _NOTHING, None)], probe.remedy)
    values = [(one, _api_query.search(known.query(one.condition.query), subject)) for one in probe.expect]
    unmet = [(one, found) for one, found in values if not one.condition.met(found)]
    if unmet:
        return _against(hosts, unmet, probe.remedy)
    facts = [f"{name} {_api_query.told(_api_query.search(known.query(q), subject))}" for name, q in probe.tell.items()]
    return Outcome(PASS, f"{hosts}: {', '.join([*facts, f'{max(one.seconds for one in said):g} s'])}")


_NOTHING = Expectation(Condition("@"), "the answer says nothing of it", UNKNOWN)


def _against(hosts: str, unmet: Sequence[tuple[Expectation, t.Any]], remedy: str) -> Outcome:
    """Tell all that is not as it should be, and what to do about the worst of it."""
    worst = min((one for one, _found in unmet), key=lambda one: STATUSES.index(one.verdict))
    told = "; ".join(one.say.replace("{found}", _api_query.told(found)) for one, found in unmet)
    return Outcome(worst.verdict, f"{hosts}: {told}", worst.remedy or remedy)


def inspect(requests: Sequence[Request], probes: Sequence[Probe], known: Known, http: Client) -> Report:
    """Ask everything side by side, then judge in the order of the probes."""
    _must_fit(requests, probes)
    with ThreadPoolExecutor(max_workers=max(1, min(16, len(requests)))) as pool:
        answers = dict(zip([one.name for one in requests], pool.map(lambda one: ask(one, known, http), requests)))
    checks: list[Check] = []
    statuses: dict[str, str] = {}
    for probe in probes:
        check = timed(probe.id, probe.title, (), functools.partial(judge, probe, answers, statuses, known))
        check.seconds = max([answers[name].seconds for name in probe.requests], default=check.seconds)
        statuses[check.id] = check.status
        checks.append(check)
    return Report(checks=checks, secrets=known.sent)


def _must_fit(requests: Sequence[Request], probes: Sequence[Probe]) -> None:
    names = [one.name for one in requests]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise OpsError(f"Two requests have the name {min(twice)}.", "Give each a name of its own in the probes.")
    for probe in probes:
        for name in probe.requests:
            if name not in names:
                raise OpsError(f"{probe.id} rests on the request {name}, which is none.", "Correct it in the probes.")
