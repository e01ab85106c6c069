# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate authorities may issue for a name: CAA records, read as an authority has to read them (RFC 8659).

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ._check import FAIL, PASS, WARN, Outcome
from ._dns_survey import Tree

KNOWN_TAGS = ("issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc")
CRITICAL = 128
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?")


class Grant(t.NamedTuple):
    """Who one set of records lets issue for a name.

    Attributes:
        anybody: no record restricts it.
        issuers: the authorities that may, with the conditions on each; empty for nobody.
        unknown: a critical property that no authority knows, so that none of them may issue.
    """

    anybody: bool
    issuers: Mapping[str, str]
    unknown: str = ""


_FREE = {"no CAA record, so any authority may issue": Grant(True, {})}


def granted(records: Iterable[str], wildcard: bool) -> Grant:
    """Read the records that hold for a name, each as ``flags tag value``."""
    parts = [record.split(" ", 2) for record in records]
    properties = [(int(flags), tag.lower(), value) for flags, tag, value in parts]
    unknown = next((tag for flags, tag, _value in properties if flags & CRITICAL and tag not in KNOWN_TAGS), "")
    tags = {tag for _flags, tag, _value in properties}
    decides = "issuewild" if wildcard and "issuewild" in tags else "issue"
    if decides not in tags and not unknown:
        return Grant(True, {})
    issuers = {}
    for _flags, tag, value in properties:
        domain, _semicolon, conditions = value.partition(";")
        domain = domain.strip().lower().rstrip(".")
        if tag == decides and _DOMAIN.fullmatch(domain):  # what is malformed, or empty, allows nobody
            issuers[domain] = conditions.strip()
    return Grant(False, {} if unknown else issuers, unknown)


def judge(trees: Mapping[str, Tree], issuers: Sequence[str]) -> Outcome:
    """Judge whether the certificate can be renewed: every name of it needs an issuer that may.

    Args:
        trees: what was found, by name of the certificate; ``*.`` begins a wildcard.
        issuers: domains of the authorities that renew it; any of them will do. Empty to be told only.
    """
    refused: dict[str, list[str]] = {}
    told: dict[str, list[str]] = {}
    partly: set[str] = set()
    for name, tree in trees.items():
        for said, grant in _grants(tree, name.startswith("*.")).items():
            may = {issuer for issuer in issuers if grant.anybody or issuer in grant.issuers}
            partly |= set(issuers) - may
            forbids = not grant.anybody and (not may if issuers else not grant.issuers)
            (refused if forbids else told).setdefault(said, []).append(name)
    if refused:
        wanted = " or ".join(issuers) or "whoever renews the certificate"
        owner = next(tree.owner for tree in trees.values() if tree.owner)
        return Outcome(
            FAIL,
            f"{_listed(refused)}: {wanted} may not issue",
            f'Add to the zone: {owner} CAA 0 issue "{issuers[0] if issuers else "<its domain>"}"; or renew with another '
            "authority, and name it in issuers (preflight_dns_issuers)",
        )
    evidence = _listed(told)
    if not issuers and any(_grants(tree, name.startswith("*.")) != _FREE for name, tree in trees.items()):
        remedy = "Name the authority that renews the certificate in issuers (preflight_dns_issuers)"
        return Outcome(WARN, f"{evidence}; which authority renews the certificate is not known here", remedy)
    if partly:
        others = ", ".join(sorted(partly))
        remedy = f"Allow {others}, too, or take it out of issuers (preflight_dns_issuers)"
        return Outcome(WARN, f"{evidence}; {others} may not", remedy)
    return Outcome(PASS, evidence)


def _grants(tree: Tree, wildcard: bool) -> dict[str, Grant]:
    """Return what the records come to, by what can be said of it; servers are named where they differ."""
    grants = {server: granted(records, wildcard) for server, records in tree.records.items()}
    if not grants:
        return _FREE
    found = {}
    for server, grant in grants.items():
        alone = all(other == grant for other in grants.values())
        found[_said(tree.owner, grant) + ("" if alone else f" at {server}")] = grant
    return found


def _said(owner: str, grant: Grant) -> str:
    if grant.unknown:
        return f"CAA of {owner} has a critical property {grant.unknown} that no authority knows, so none may issue"
    if grant.anybody:
        return f"CAA of {owner} lets any authority issue"
    if not grant.issuers:
        return f"CAA of {owner} allows nobody to issue"
    told = [f"{issuer} ({conditions})" if conditions else issuer for issuer, conditions in grant.issuers.items()]
    return f"CAA of {owner} allows {', '.join(told)} alone"


def _listed(said: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{what} for {', '.join(dict.fromkeys(names))}" for what, names in said.items())
