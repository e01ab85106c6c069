# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each service may be switched: policy of the application, as data.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass, fields

from ._errors import OpsError

STOP, KEEP = "stop", "keep"


@dataclass(frozen=True)
class Way:
    """How one service is switched.

    Attributes:
        beside: whether two containers of it may run at once, so that the new one is proven before the old one goes.
        stop: seconds that a container gets to end after it was asked to.
        port: where it is spoken to; what is open there is what has to end before an old container goes. 0 for none.
        drain: seconds for that.
        undrained: what happens to an old container after them: ``stop``, which cuts what is left, or ``keep`` until the
            next run.
        all_calls: whether every live call passes through it, so that it is only replaced when there is none.
        jobs: whether it works on the jobs of a queue; what it had started and did not end in time is told.
    """

    beside: bool = False
    stop: int = 10
    port: int = 0
    drain: int = 30
    undrained: str = STOP
    all_calls: bool = False
    jobs: bool = False


class Ways(dict[str, Way]):
    """The way of each service; those that nothing is said of are replaced in place."""

    def __missing__(self, service: str) -> Way:
        return Way()


def ways_of(given: Mapping[str, t.Any]) -> Ways:
    """Read the policy; a slip in it is an error, since it would be lost silently."""
    return Ways({service: _way(service, way) for service, way in given.items()})


def _way(service: str, given: t.Any) -> Way:
    kinds = {one.name: type(one.default) for one in fields(Way)}
    fits = isinstance(given, dict) and all(
        name in kinds and isinstance(value, kinds[name]) and isinstance(value, bool) == (kinds[name] is bool)
        for name, value in given.items()
    )
    if not fits or given.get("undrained", STOP) not in (STOP, KEEP):
        raise OpsError(
            f"The way in which service {service} is switched is not understood: {given!r}",
            "Write it as {beside: BOOL, stop: SECONDS, port: NUMBER, drain: SECONDS, undrained: stop or keep, "
            "all_calls: BOOL, jobs: BOOL}.",
        )
    return Way(**given)
