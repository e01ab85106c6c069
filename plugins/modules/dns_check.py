#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: dns_check
short_description: Checks that names lead to this host, everywhere, and that CAA allows to renew the certificate
version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Finds the zone of each name and its name servers through resolvers, and asks each of these servers itself, at all its
    addresses and without recursion. What a server says without authority is not believed.
  - Asks the resolvers for the same names. An answer that is older than the zone is told with the seconds that it has
    left.
  - Looks for CAA records as a certificate authority has to (RFC 8659), from each name of the certificate upwards.
  - C(/etc/hosts) has no say; where it differs from DNS that is told.
  - All questions are asked side by side, by UDP, and by TCP where an answer does not fit. Nothing is changed.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  names:
    description:
      - Names to look at, by a key that becomes part of the check id.
      - One whose name is empty is skipped.
    type: dict
    required: true
  addresses:
    description:
      - Addresses that lead to this host besides those of its own interfaces, such as its public address where the host
        itself has a private one (NAT, a cloud's floating address), or that of a load balancer.
      - Where a name has a public address and the host has none and none is given here, the check is V(unknown).
    type: list
    elements: str
    default: []
  resolvers:
    description:
      - Whom to ask besides the zone's own servers, and for the way to them. Addresses, or host names that the host itself
        can look up.
      - V(system) stands for those in the host's C(/etc/resolv.conf). They may also say what leads to this host from
        inside.
    type: list
    elements: str
    default:
      - 1.1.1.1
      - 8.8.8.8
      - 9.9.9.9
      - system
  proxies:
    description:
      - Who answers for other hosts. A name that leads to one of their networks is V(warn), never V(fail), since DNS does
        not tell where they forward to.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the proxy's operator.
        type: str
        required: true
      networks:
        description: Its networks, each as address and prefix length.
        type: list
        elements: str
        required: true
  certificate_names:
    description:
      - Names of the certificate, for which CAA records are looked at. A wildcard begins with C(*.).
      - Those of O(names) when it is empty.
    type: list
    elements: str
    default: []
  issuers:
    description:
      - Certificate authorities that renew the certificate, by the domain that stands for them in CAA records.
      - It fails when none of them may, and remarks on it when some may not.
      - When it is empty, CAA records that allow somebody are told and remarked on.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for an answer, each time.
    type: float
    default: 2
  tries:
    description: How often a server that does not answer is asked. The last time it is asked without EDNS.
    type: int
    default: 2
seealso:
  - module: prosaas.ops.endpoint_check
  - name: RFC 8659
    description: DNS Certification Authority Authorization (CAA).
    link: https://www.rfc-editor.org/rfc/rfc8659
"""

EXAMPLES = r"""
- name: Both names lead to this host, behind NAT, and Let's Encrypt may renew
  prosaas.ops.dns_check:
    names:
      site: prosaas.example
      n8n: n8n.prosaas.example
    addresses: [203.0.113.7]
    issuers: [letsencrypt.org]

- name: The site is behind a proxy, which somebody has looked at
  prosaas.ops.dns_check:
    names:
      site: prosaas.example
    proxies:
      - name: Cloudflare
        networks: [104.16.0.0/13, 2606:4700::/32]
    waivers:
      - check: dns.site.points
        by: dana@example.org
        reason: The origin in the proxy's settings is this host.
        until: 2027-01-31
"""

RETURN = r"""
checks:
  description:
    - What was checked, worst first.
    - C(dns.<key>.points) says whether the newest copy of the zone leads to this host, with IPv4 and IPv6.
    - C(dns.<key>.agreed) says whether all servers of the zone and all resolvers give that same answer. It is V(warn)
      where some of them cannot be asked, and V(unknown) where none can.
    - C(dns.caa) says whether CAA records allow O(issuers) to issue for O(certificate_names).
  returned: always
  type: list
  elements: dict
  sample:
    - id: dns.site.points
      status: pass
      evidence: A 203.0.113.7 is this host's, no AAAA, TTL 300 s
      remedy: ''
      item: [94]
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 5 of 5 checks passed.
names:
  description:
    - What was seen, by key of O(names). Empty for a name whose zone could not be found.
  returned: when the checks could begin
  type: dict
  contains:
    name:
      description: The name that was asked for.
      type: str
      sample: prosaas.example
    zone:
      description: Zone that it is kept in, at the end of its aliases.
      type: str
      sample: prosaas.example
    aliases:
      description: Names in other zones that it is an alias of, in order.
      type: list
      elements: str
    addresses:
      description: Addresses in the newest copy of the zone.
      type: list
      elements: str
      sample: [203.0.113.7]
    servers:
      description: The zone's servers, each with its C(server) name, C(address), C(state), C(addresses), C(ttl) in seconds,
        C(serial) of its copy of the zone (-1 for none), and what went wrong in C(said).
      type: list
      elements: dict
    resolvers:
      description: The same of the resolvers; C(ttl) is the seconds that are left of an answer in their cache.
      type: list
      elements: dict
"""

import typing as t

from ansible_collections.prosaas.ops.plugins.module_utils import _dns, _dns_check, _dns_here
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._dns_survey import Survey
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module

STRINGS: dict[str, t.Any] = {"type": "list", "elements": "str", "default": []}

OPTIONS: dict[str, t.Any] = {
    "names": {"type": "dict", "required": True},
    "addresses": STRINGS,
    "resolvers": {**STRINGS, "default": ["1.1.1.1", "8.8.8.8", "9.9.9.9", "system"]},
    "proxies": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "networks": {"type": "list", "elements": "str", "required": True},
        },
    },
    "certificate_names": STRINGS,
    "issuers": STRINGS,
    "timeout": {"type": "float", "default": 2},
    "tries": {"type": "int", "default": 2},
}


def look(call: Call) -> Report:
    params = call.params
    ask = _dns.asking(params["timeout"], params["tries"])
    resolvers = _dns.resolvers(params["resolvers"])
    return _dns_check.inspect(
        params["names"],
        lambda pool: Survey(resolvers, ask, pool),
        _dns_here.here(params["addresses"]),
        _dns_here.proxies(params["proxies"]),
        params["certificate_names"] or list(params["names"].values()),
        params["issuers"],
    )


def main() -> None:
    run_module(OPTIONS, look, needs=("dns",))


if __name__ == "__main__":
    main()
