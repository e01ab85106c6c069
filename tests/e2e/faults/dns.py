# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the zone, of one of its servers, of a resolver, and of all of DNS."""

from __future__ import annotations

import functools

from . import Fault, both, cloud

NAMES = ("site", "n8n")
ALL = [f"dns.{name}.{what}" for name in NAMES for what in ("points", "agreed")] + ["dns.caa"]


def bad_days(*names: str) -> functools.partial[object]:
    return functools.partial(both, *(functools.partial(cloud, name) for name in names))


FAULTS: list[Fault] = [
    Fault(
        "the names lead to another host, and CAA names another authority",
        bad_days("dns-wrong-address", "dns-caa"),
        {**dict.fromkeys([f"dns.{name}.points" for name in NAMES] + ["dns.caa"], "fail"), "dns.site.agreed": "pass"},
    ),
    Fault(
        "a name server and a resolver are behind",
        bad_days("dns-stale-secondary", "dns-stale-resolver"),
        {**dict.fromkeys([f"dns.{name}.agreed" for name in NAMES], "fail"), "dns.site.points": "pass"},
    ),
    Fault(
        "an old AAAA record leads elsewhere, and n8n has no name",
        bad_days("dns-wrong-ipv6", "dns-no-n8n"),
        {"dns.site.points": "fail", "dns.n8n.points": "fail", "dns.n8n.agreed": "unknown"},
    ),
    Fault("no DNS server answers", bad_days("dns-down"), dict.fromkeys(ALL, "unknown")),
]
