# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of log lines for whoever counts them from look to look: what they say, without numbers and secrets, and how often.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ._check import STATUSES
from ._log_check import SHOWN, Log
from ._log_rules import kind_of
from ._secrets import redact


def told(logs: Mapping[str, Sequence[Log]], secrets: Iterable[str]) -> list[dict[str, t.Any]]:
    """Return the kinds of lines that count against a rule, one row for all containers of a service.

    Args:
        secrets: values that are masked, whichever container they are of.
    """
    found: dict[tuple[str, str], dict[str, t.Any]] = {}
    hidden = list(secrets)
    for service, logs_of_it in logs.items():
        for log in logs_of_it:
            for rule in log.tally.rules:
                for kind in log.tally.against(rule):
                    said = kind_of(redact(kind.sample, hidden))[:SHOWN]
                    check = f"logs.{service}.{rule.name}"
                    one = {"check": check, "kind": said, "status": kind.status, "count": kind.count}
                    one.update({"first": kind.first, "last": kind.last})
                    before = found.get((check, said))
                    found[check, said] = _joined(before, one) if before else one
    return list(found.values())


def _joined(one: Mapping[str, t.Any], other: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {
        **one,
        "status": min(one["status"], other["status"], key=STATUSES.index),
        "count": one["count"] + other["count"],
        "first": min(one["first"], other["first"]),
        "last": max(one["last"], other["last"]),
    }
