# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the names lead to this host, does everybody say so, and may the certificate be renewed?

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from . import _dns_caa
from ._check import SKIP, Check, Outcome, Report, timed
from ._dns import tidy
from ._dns_here import Here, Proxy
from ._dns_judge import in_order, judge_agreed, judge_points
from ._dns_survey import Answer, Seen, Survey
from ._errors import OpsError, Unreachable

QUESTIONS_AT_ONCE = 128  # threads that do nothing but wait for an answer


def inspect(
    names: Mapping[str, str],
    survey: t.Callable[[ThreadPoolExecutor], Survey],
    host: Here,
    known: Sequence[Proxy],
    certificate_names: Sequence[str],
    issuers: Sequence[str],
) -> Report:
    """Ask everything side by side, then judge.

    Args:
        names: what to look at, by key; an empty name is skipped.
        survey: makes the survey that asks, with the threads that it may use.
    """
    asked = {key: tidy(str(name)) for key, name in names.items() if name}
    covered = [tidy(name) for name in certificate_names if name]
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool, ThreadPoolExecutor(len(asked) + len(covered) or 1) as waiting:
        sight = survey(pool)
        seen = {key: waiting.submit(sight.see, name) for key, name in asked.items()}
        trees = {name: waiting.submit(sight.caa, name[2:] if name.startswith("*.") else name) for name in covered}
        checks = [
            check for key, name in names.items() for check in _of_name(key, name or key, seen.get(key), host, known)
        ]
        checks.append(timed("dns.caa", "The certificate can be renewed", (), lambda: _of_certificate(trees, issuers)))
        facts = {key: _fact(found) for key, found in seen.items()}
    return Report(checks=checks, facts={"names": facts})


def _of_name(key: str, name: str, found: Future[Seen] | None, host: Here, known: Sequence[Proxy]) -> list[Check]:
    points = f"dns.{key}.points"

    def leads_here() -> Outcome:
        return judge_points(found.result(), host, known) if found else Outcome(SKIP, "no name is set")

    def agreed() -> Outcome:
        now = datetime.datetime.now(datetime.timezone.utc)
        return judge_agreed(_known(found), host, known, points, now) if found else Outcome(SKIP, "no name is set")

    return [
        timed(points, f"{name} leads to this host", (), leads_here),
        timed(f"dns.{key}.agreed", f"{name} is the same everywhere", (), agreed),
    ]


def _of_certificate(trees: Mapping[str, Future[t.Any]], issuers: Sequence[str]) -> Outcome:
    if not trees:
        return Outcome(SKIP, "the certificate has no name")
    return _dns_caa.judge({name: _known(tree) for name, tree in trees.items()}, issuers)


def _known(found: Future[t.Any]) -> t.Any:
    """Return what was found; what a name's own check fails for leaves the others without an answer."""
    try:
        return found.result()
    except Unreachable:
        raise
    except OpsError as error:
        raise Unreachable(error.problem, error.remedy) from None


def _fact(found: Future[Seen]) -> dict[str, t.Any]:
    if found.exception():
        return {}
    seen = found.result()
    return {
        "name": seen.name,
        "zone": seen.zone,
        "aliases": list(seen.aliases),
        "addresses": in_order({address for answer in seen.newest for address in answer.addresses}),
        "servers": [{**_row(answer), "serial": answer.serial} for answer in seen.authority],
        "resolvers": [_row(answer) for answer in seen.resolvers],
    }


def _row(answer: Answer) -> dict[str, t.Any]:
    return {
        "server": answer.server.name,
        "address": answer.server.address,
        "state": answer.state,
        "addresses": in_order(answer.addresses),
        "ttl": answer.ttl,
        "said": answer.said,
    }
