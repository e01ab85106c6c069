# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be said of what DNS said: does a name lead here, does everybody say so, who may issue a certificate."""

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dns_caa, _dns_here, _dns_judge
from ansible_collections.prosaas.ops.plugins.module_utils._dns import Server
from ansible_collections.prosaas.ops.plugins.module_utils._dns_here import Here
from ansible_collections.prosaas.ops.plugins.module_utils._dns_survey import Answer, Seen, Tree
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable

HERE = "203.0.113.7"
NS1, NS2 = "192.0.2.53", "192.0.2.54"
ONE = "198.51.100.1"
NOW = datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc)


# --- does it lead here


def points(addresses: list[str], host: Here | None = None, proxies: t.Any = (), **changes: t.Any) -> tuple[str, str]:
    answer = Answer(Server("ns1", NS1), "data" if addresses else "missing", frozenset(addresses), 300, "site.test")
    seen = Seen("site.test", "site.test", changes.get("aliases", ()), (answer,), ())
    found = _dns_judge.judge_points(seen, host or Here(frozenset([HERE])), _dns_here.proxies(proxies))
    return found.status, f"{found.evidence} -> {found.remedy}"


BEHIND_NAT = Here(frozenset(["10.0.0.5", "127.0.0.1", "fd00::5"]))
PUBLIC = "9.9.9.10"  # an address that is nobody's documentation
PROXIES = [{"name": "Cloudflare", "networks": ["104.16.0.0/13", "2606:4700::/32"]}]


@pytest.mark.parametrize(
    ("addresses", "host", "status", "said"),
    [
        ([HERE], None, "pass", f"A {HERE} is this host's, no AAAA"),
        (
            [HERE, "2001:db8::7"],
            Here(frozenset([HERE, "2001:db8::7"])),
            "pass",
            "AAAA 2001:db8::7 are this host's, TTL",
        ),
        ([HERE, "2001:db8::8"], None, "fail", f"AAAA 2001:db8::8 is not this host's; A {HERE} is this host's"),
        ([HERE, "2001:db8::8"], None, "fail", "-> Take AAAA 2001:db8::8 out of the zone site.test; or, if that"),
        (["192.0.2.1"], None, "fail", "A 192.0.2.1 is not this host's"),
        (["192.0.2.1"], Here(frozenset([PUBLIC])), "fail", f"Replace A 192.0.2.1 in the zone site.test by A {PUBLIC}"),
        ([], None, "fail", "site.test has no A or AAAA record"),
        (["127.0.0.1"], BEHIND_NAT, "fail", "A 127.0.0.1 is not this host's"),
        (["10.0.0.5"], BEHIND_NAT, "pass", "A 10.0.0.5 is this host's"),
        ([PUBLIC], BEHIND_NAT, "unknown", "Name its public addresses in addresses (preflight_dns_addresses)"),
        (["10.0.0.6"], BEHIND_NAT, "fail", "A 10.0.0.6 is not this host's"),
        ([PUBLIC], Here(BEHIND_NAT.own, frozenset([PUBLIC])), "pass", f"A {PUBLIC} is this host's"),
        ([PUBLIC], Here(BEHIND_NAT.own, frozenset(["9.9.9.11"])), "fail", f"A {PUBLIC} is not this host's"),
        ([PUBLIC], Here(frozenset(["9.9.9.11"])), "fail", f"A {PUBLIC} is not this host's"),
    ],
)
def test_where_a_name_leads(addresses: list[str], host: Here | None, status: str, said: str) -> None:
    found = points(addresses, host)
    assert found[0] == status and said in found[1], found


def test_a_proxy_is_reported_and_proves_nothing() -> None:
    status, said = points(["104.21.3.4", "2606:4700::1"], BEHIND_NAT, PROXIES)
    assert status == "warn"
    assert "A 104.21.3.4, AAAA 2606:4700::1 are Cloudflare's; where that forwards to cannot be seen from DNS" in said
    assert points(["104.21.3.4", "192.0.2.1"], None, PROXIES)[0] == "fail"
    assert points([HERE], None, [{"name": "us", "networks": ["203.0.113.0/24"]}])[0] == "pass"


def test_what_the_hosts_file_says_is_told() -> None:
    host = Here(frozenset([HERE]), hosts={"site.test": frozenset(["127.0.0.1"])})
    assert "; /etc/hosts of this host says 127.0.0.1" in points([HERE], host)[1]
    assert "/etc/hosts" not in points([HERE], Here(frozenset([HERE]), hosts={"site.test": frozenset([HERE])}))[1]


def test_the_addresses_of_a_host(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    trie = "Main:\n  +-- 0.0.0.0/0 3 0 4\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.5\n"
    trie += "        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.0.255\n"
    (tmp_path / "net/fib_trie").write_text(trie + "        /32 link BROADCAST\n")
    six = "20010db8000000000000000000000007 02 40 00 80     eth0\nfe800000000000000000000000000001 02 40 20 80 eth0\n"
    (tmp_path / "net/if_inet6").write_text(six)
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "127.0.0.1 localhost\n\n# 10.0.0.1 old.test\n127.0.0.1 Site.test www.test # by hand\n::1 site.test\n"
    )
    found = _dns_here.here(["2001:DB8:0::9"], tmp_path, hosts)
    assert found.own == {"10.0.0.5", "127.0.0.1", "2001:db8::7"}
    assert found.addresses == {"10.0.0.5", "2001:db8::7", "2001:db8::9"}
    assert found.hosts["site.test"] == {"127.0.0.1", "::1"} and "old.test" not in found.hosts
    with pytest.raises(OpsError, match="is no address"):
        _dns_here.here(["site.test"], tmp_path, hosts)
    with pytest.raises(Unreachable):
        _dns_here.own_addresses(tmp_path / "none")
    with pytest.raises(OpsError, match="proxies"):
        _dns_here.proxies([{"name": "x", "networks": ["10.0.0.0/99"]}])


# --- does everybody say so


def agreed(*resolvers: Answer, host: Here | None = None, proxies: t.Any = (), says: str = HERE) -> tuple[str, str]:
    kept = Answer(Server("ns1", NS1), "data", frozenset([says]), 300, "site.test", serial=7)
    seen = Seen("site.test", "site.test", (), (kept,), resolvers)
    host = host or Here(frozenset([HERE]))
    found = _dns_judge.judge_agreed(seen, host, _dns_here.proxies(proxies), "dns.site.points", NOW)
    return found.status, f"{found.evidence} -> {found.remedy}"


def heard(*addresses: str, name: str = ONE, state: str = "data", said: str = "") -> Answer:
    return Answer(Server(name, ONE, True), state, frozenset(addresses), 125, "site.test", said)


def test_when_older_answers_have_run_out() -> None:
    assert agreed(heard("192.0.2.1"))[1].endswith(
        "-> Run it again after 12:02:05 UTC, when the older answers have run out"
    )


def test_a_proxy_may_answer_with_any_of_its_addresses() -> None:
    assert agreed(heard("104.16.0.9"), says="104.16.0.1", proxies=PROXIES)[0] == "pass"
    assert agreed(heard("104.16.0.9"), says="104.16.0.1")[0] == "fail"


def test_the_hosts_own_resolver_may_lead_here_in_its_own_way() -> None:
    inside = Here(frozenset(["10.0.0.5"]), hosts={"site.test": frozenset(["127.0.0.1"])})
    for address in ("10.0.0.5", "127.0.0.1"):
        status, said = agreed(heard(HERE), heard(address, name="system"), host=inside)
        assert status == "pass" and f"the resolver of this host says {address}" in said
        assert agreed(heard(address), host=inside)[0] == "fail"
    assert agreed(heard("192.0.2.1", name="system"), host=inside)[0] == "fail"


def test_a_resolver_that_refuses_signatures_is_a_fail() -> None:
    status, said = agreed(heard(HERE), heard(state="bogus", said="SERVFAIL (no DNSKEY matches the DS record)"))
    assert status == "fail"
    assert "refuses the zone's DNSSEC signatures: SERVFAIL (no DNSKEY matches the DS record)" in said
    assert "Correct the DS record at the registrar" in said


def test_no_resolver_is_unknown_though_the_authority_answers() -> None:
    assert agreed(heard(state="silent", said="no answer"))[0] == "unknown"


# --- CAA


def records(text: str) -> tuple[str, ...]:
    return tuple(line.lstrip() for line in text.split("|")) if text else ()


@pytest.mark.parametrize(
    ("text", "wildcard", "issuers", "status"),
    [
        ("", False, ["ca.test"], "pass"),
        ("0 issue ca.test", False, ["ca.test"], "pass"),
        ("0 issue CA.test ; accounturi=https://ca.test/1", False, ["ca.test"], "pass"),
        ("0 issue other.test", False, ["ca.test"], "fail"),
        ("0 issue other.test | 0 issue ca.test", False, ["ca.test"], "pass"),
        ("0 issue other.test", False, ["ca.test", "other.test"], "warn"),
        ("0 issue ;", False, ["ca.test"], "fail"),
        ("0 issue ", False, ["ca.test"], "fail"),
        ("0 issue %%%%", False, ["ca.test"], "fail"),
        ("0 issue ;", False, [], "fail"),
        ("0 issue other.test", False, [], "warn"),
        ("", False, [], "pass"),
        ("0 iodef mailto:x@site.test", False, ["ca.test"], "pass"),
        ("0 issuewild ;", False, ["ca.test"], "pass"),
        ("0 issuewild ;", True, ["ca.test"], "fail"),
        ("0 issue ca.test | 0 issuewild other.test", True, ["ca.test"], "fail"),
        ("0 issue ca.test", True, ["ca.test"], "pass"),
        ("0 issue ca.test | 128 tbs unknown", False, ["ca.test"], "fail"),
        ("0 issue ca.test | 0 tbs unknown", False, ["ca.test"], "pass"),
        ("128 issue ca.test", False, ["ca.test"], "pass"),
        ("128 tbs unknown", False, [], "fail"),
    ],
)
def test_who_may_issue(text: str, wildcard: bool, issuers: list[str], status: str) -> None:
    name = "*.site.test" if wildcard else "site.test"
    tree = Tree("site.test", {Server("ns1", NS1): records(text)} if text else {})
    found = _dns_caa.judge({name: tree}, issuers)
    assert found.status == status, found
    assert found.remedy or status == "pass"


def test_conditions_are_told() -> None:
    tree = Tree("site.test", {Server("ns1", NS1): ("0 issue ca.test; validationmethods=dns-01",)})
    assert "ca.test (validationmethods=dns-01) alone" in _dns_caa.judge({"site.test": tree}, ["ca.test"]).evidence


def test_servers_with_different_caa_records_are_named() -> None:
    tree = Tree("site.test", {Server("ns1", NS1): ("0 issue ca.test",), Server("ns2", NS2): ("0 issue other.test",)})
    found = _dns_caa.judge({"site.test": tree}, ["ca.test"])
    assert found.status == "fail" and f"allows other.test alone at ns2 ({NS2})" in found.evidence
