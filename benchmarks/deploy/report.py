# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the load saw, in numbers: pure functions over the list of answers."""

from __future__ import annotations

import collections
import typing as t

# A route has come to serve a version when it has answered with nothing else for this long.
HELD_SECONDS = 5.0


class Seen(t.NamedTuple):
    """One request that was sent: when (seconds since the load began), how it ended, and who answered."""

    route: str
    sent: float
    done: float
    problem: str  # empty: the expected status and a complete body
    idle: bool  # the server had closed the kept connection already
    kept: bool
    release: str

    @property
    def good(self) -> bool:
        return not self.problem and not self.idle


class Call(t.NamedTuple):
    """One phone call: its webhook and its media stream."""

    sid: str
    lasting: bool  # one that lasts through the switch, not a short one
    problem: str
    silence: float  # the longest wait for an echo
    answered_by: str  # the version that answered the webhook
    carried_by: str  # the version that carried the stream


def failures(seen: t.Iterable[Seen]) -> list[dict[str, t.Any]]:
    """Return what failed, one entry for each route, second and reason."""
    counted = collections.Counter((int(one.sent), one.route, one.problem) for one in seen if one.problem)
    return [
        {"second": second, "route": route, "reason": reason, "count": count}
        for (second, route, reason), count in sorted(counted.items())
    ]


def worst_failures(failed: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """Return the most frequent kinds of failure, one sentence each."""
    kinds: collections.Counter[tuple[str, str]] = collections.Counter()
    for one in failed:
        kinds[one["route"], one["reason"]] += one["count"]
    return [f"{count} x {route}: {reason}" for (route, reason), count in kinds.most_common(5)]


def longest_gap(seen: t.Iterable[Seen], begin: float, end: float) -> float:
    """Return the longest time without a good answer; before the first and after the last counts, too."""
    answered = sorted(one.done for one in seen if one.good and one.done >= begin)
    times = [begin, *answered]
    return max(later - earlier for earlier, later in zip(times, [*answered, max(end, times[-1])]))


def served_from(seen: t.Sequence[Seen], version: str, since: float, now: float) -> float | None:
    """Return the moment after which every route gave good answers of this version alone for HELD_SECONDS; else None."""
    routes = {one.route for one in seen}
    others = [one for one in seen if one.done >= since and (one.problem or one.release not in ("", version))]
    # A request that fails spoils the time from when it was sent to its end, an answer of another version its moment.
    spoiled = sorted((max(one.sent, since) if one.problem else one.done, one.done) for one in others)
    begin = since
    for start, end in [*spoiled, (now, now)]:
        if start - begin >= HELD_SECONDS:
            if {one.route for one in seen if one.good and begin < one.done <= start} == routes:
                return begin
        begin = max(begin, end)
    return None


def by_route(seen: t.Sequence[Seen], begin: float, end: float) -> dict[str, dict[str, t.Any]]:
    routes = {}
    for route in sorted({one.route for one in seen}):
        through = [one for one in seen if one.route == route]
        mine = [one for one in through if one.sent >= begin]
        routes[route] = {
            "requests": len(mine),
            "failed": sum(bool(one.problem) for one in mine),
            "longest_gap": round(longest_gap(through, begin, end), 3),
            "slowest": slowest(mine),
            "answers": dict(collections.Counter(one.release for one in mine if one.good)),
        }
    return routes


def slowest(seen: t.Iterable[Seen]) -> float:
    return round(max((one.done - one.sent for one in seen if one.good), default=0.0), 3)


def calls(ended: t.Sequence[Call]) -> dict[str, t.Any]:
    """Return the calls: those that lasted through the switch, and the short ones that began meanwhile."""
    lasting = [call for call in ended if call.lasting]
    short = [call for call in ended if not call.lasting]
    return {
        "lasting": len(lasting),
        "cut": sum(bool(call.problem) for call in lasting),
        "short": len(short),
        "short_failed": sum(bool(call.problem) for call in short),
        "short_parted": sum(not call.problem and call.answered_by != call.carried_by for call in short),
        "longest_silence": round(max((call.silence for call in ended), default=0.0), 3),
        "carried_by": dict(collections.Counter(call.carried_by for call in lasting)),
        "problems": dict(collections.Counter(call.problem for call in ended if call.problem)),
    }


def sentence(report: dict[str, t.Any]) -> str:
    """Return the line that a person reads."""
    spoken = report["calls"]
    words = (
        f"{report['requests']} requests in {report['seconds']:.0f} s: {report['failed']} failed,"
        f" longest gap {report['longest_gap']:.2f} s, slowest {report['slowest']:.2f} s,"
        f" {report['idle_closed']} kept connections closed while idle;"
        f" {spoken['cut']} of {spoken['lasting']} calls cut, {spoken['short_failed']} of {spoken['short']} short ones failed"
    )
    return words + (f"; the load itself fell behind {report['late']} times" if report["late"] else "")
