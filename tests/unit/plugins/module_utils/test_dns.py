# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS without a network: real messages in wire form, from a small world of zones, servers and resolvers."""

from __future__ import annotations

import typing as t
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dns, _dns_check, _dns_here
from ansible_collections.prosaas.ops.plugins.module_utils._dns import Server
from ansible_collections.prosaas.ops.plugins.module_utils._dns_here import Here
from ansible_collections.prosaas.ops.plugins.module_utils._dns_survey import Survey
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

HERE = "203.0.113.7"
NS1, NS2, OTHER = "192.0.2.53", "192.0.2.54", "192.0.2.99"
ONE, TWO = "198.51.100.1", "198.51.100.2"
Records = dict[tuple[str, str], list[str]]

SITE: Records = {
    ("site.test", "NS"): ["ns1.site.test.", "ns2.site.test."],
    ("ns1.site.test", "A"): [NS1],
    ("ns2.site.test", "A"): [NS2],
    ("site.test", "A"): [HERE],
    ("n8n.site.test", "A"): [HERE],
}


@dataclass
class Copy:
    """A copy of a zone that one server has."""

    zone: str
    records: Records
    serial: int = 7
    authority: bool = True

    def answer(self, query: dns.message.Message, ttl: int = 300) -> dns.message.Message:
        answer = dns.message.make_response(query)
        if self.authority:
            answer.flags |= dns.flags.AA
        name, kind = asked(query)
        soa = f"ns1.{self.zone}. hostmaster.{self.zone}. {self.serial} 1200 120 604800 60"
        records = {**self.records, (self.zone, "SOA"): [soa]}
        while (name, "CNAME") in records:
            (target,) = records[name, "CNAME"]
            answer.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", "CNAME", target))
            name = target.rstrip(".")
        found = records.get((name, kind))
        if found:
            answer.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", kind, *found))
            return answer
        answer.authority.append(dns.rrset.from_text(f"{self.zone}.", ttl, "IN", "SOA", soa))
        ours = name == self.zone or name.endswith(f".{self.zone}")
        if ours and not any(known == name or known.endswith(f".{name}") for known, _kind in records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@dataclass
class World:
    """Servers by address, and two resolvers that hear of every zone from the first server that has it."""

    copies: dict[str, Copy]
    broken: dict[str, Callable[[dns.message.Message], dns.message.Message]] = field(default_factory=dict)
    late: dict[str, Copy] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)

    def send(self, query: dns.message.Message, address: str, _timeout: float) -> dns.message.Message:
        self.count[address] = self.count.get(address, 0) + 1
        if address in self.broken:
            return again(self.broken[address](query))
        if address in self.copies:
            assert not query.flags & dns.flags.RD, "a server with authority is asked for what it knows itself"
            return again(self.copies[address].answer(query))
        assert address in (ONE, TWO) and query.flags & dns.flags.RD
        if address in self.late:
            return again(self.late[address].answer(query, ttl=120))
        return again(self.recursive(query))

    def recursive(self, query: dns.message.Message, depth: int = 0) -> dns.message.Message:
        if depth > 4:
            return says("SERVFAIL")(query)
        name, kind = asked(query)
        zones = {copy.zone: copy for copy in reversed(self.copies.values())}
        at = max((zone for zone in zones if name == zone or name.endswith(f".{zone}")), key=len, default="")
        answer = zones[at].answer(query) if at else Copy("test", {}).answer(query)
        answer.flags &= ~dns.flags.AA
        last = answer.answer[-1] if answer.answer else None
        if last is not None and last.rdtype == dns.rdatatype.CNAME and kind != "CNAME":
            onward = self.recursive(dns.message.make_query(last[0].target, kind), depth + 1)
            answer.set_rcode(onward.rcode())
            answer.answer += onward.answer
            answer.authority = onward.authority
        return answer


def asked(query: dns.message.Message) -> tuple[str, str]:
    question = query.question[0]
    return question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)


def again(message: dns.message.Message) -> dns.message.Message:
    """As it arrives."""
    return dns.message.from_wire(message.to_wire())


def silent(_query: dns.message.Message) -> t.NoReturn:
    raise dns.exception.Timeout


def says(code: str, reason: str = "") -> Callable[[dns.message.Message], dns.message.Message]:
    def answer(query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.from_text(code))
        if reason:
            response.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, reason)])
        return response

    return answer


def world(**changes: t.Any) -> World:
    return World({NS1: Copy("site.test", SITE), NS2: Copy("site.test", SITE)}, **changes)


def look(the_world: World, names: dict[str, str] | None = None, **given: t.Any) -> dict[str, t.Any]:
    """Check by id: status, and evidence with remedy."""
    ask = _dns.asking(1, 2, the_world.send)
    resolvers = [Server(ONE, ONE, True), Server(TWO, TWO, True)]
    report = _dns_check.inspect(
        names or {"site": "site.test"},
        lambda pool: Survey(resolvers, ask, pool),
        given.get("host", Here(frozenset([HERE]))),
        _dns_here.proxies(given.get("proxies", [])),
        given.get("certificate_names", ["site.test"]),
        given.get("issuers", ["ca.test"]),
    )
    return {check.id: (check.status, f"{check.evidence} -> {check.remedy}") for check in report.checks}


def statuses(found: dict[str, t.Any]) -> dict[str, str]:
    return {name: status for name, (status, _said) in found.items()}


# --- one answer


def reply(answer: t.Any, recurses: bool = False, kind: str = "A", name: str = "site.test") -> _dns.Reply:
    query = dns.message.make_query(f"{name}.", kind)
    return _dns.read(again(answer(query)), recurses)


def test_what_an_answer_comes_to() -> None:
    copy = Copy("site.test", {**SITE, ("www.site.test", "CNAME"): ["edge.cdn.test."]})
    found = reply(copy.answer)
    assert (found.state, found.values, found.ttl, found.owner) == (_dns.DATA, (HERE,), 300, "site.test")
    none = reply(copy.answer, kind="AAAA")
    assert (none.state, none.ttl, none.zone) == (_dns.EMPTY, 60, "site.test")
    assert reply(copy.answer, name="nothing.site.test").state == _dns.MISSING
    onward = reply(copy.answer, name="www.site.test")
    assert (onward.state, onward.owner) == (_dns.ALIAS, "edge.cdn.test")
    assert reply(Copy("site.test", SITE, authority=False).answer).state == _dns.LAME
    assert reply(says("REFUSED")).state == _dns.LAME
    assert reply(says("REFUSED"), recurses=True).state == _dns.BROKEN
    assert reply(says("SERVFAIL", "no signature"), recurses=True).said == "SERVFAIL (no signature)"


def test_an_answer_that_contradicts_itself_is_not_believed() -> None:
    def both(query: dns.message.Message) -> dns.message.Message:
        answer = Copy("site.test", SITE).answer(query)
        answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    assert reply(both).state == _dns.BROKEN


def ask(send: _dns.Exchange, recurses: bool = True, address: str = ONE) -> _dns.Reply:
    return _dns.asking(1, 2, send)(Server("one", address, recurses), "site.test", "A")


def test_the_second_question_goes_without_edns() -> None:
    seen = []

    def old_server(query: dns.message.Message, _address: str, _timeout: float) -> dns.message.Message:
        seen.append(query.edns)
        return again((says("FORMERR") if query.edns >= 0 else Copy("site.test", SITE).answer)(query))

    assert ask(old_server, recurses=False).state == _dns.DATA
    assert seen == [0, -1]


def test_signatures_that_do_not_verify_are_told_from_a_failing_server() -> None:
    def validating(query: dns.message.Message, _address: str, _timeout: float) -> dns.message.Message:
        return again((Copy("site.test", SITE).answer if query.flags & dns.flags.CD else says("SERVFAIL", "bad"))(query))

    assert ask(validating).state == _dns.BOGUS
    assert ask(lambda query, _address, _timeout: again(says("SERVFAIL")(query))).state == _dns.BROKEN


def test_silence_no_route_and_no_address() -> None:
    def no_route(*_given: t.Any) -> t.NoReturn:
        raise OSError(101, "Network is unreachable")

    assert ask(lambda query, _address, _timeout: silent(query)) == _dns.Reply(_dns.SILENT, said="no answer")
    assert ask(no_route).said == "Network is unreachable"
    assert ask(no_route, address="").state == _dns.SILENT
    assert ask(no_route, recurses=False, address="").state == _dns.LAME


def test_names_are_made_tidy() -> None:
    assert _dns.tidy("Site.TEST.") == "site.test"
    assert _dns.tidy("bücher.test") == "xn--bcher-kva.test"
    with pytest.raises(OpsError, match="is no DNS name"):
        _dns.tidy("site..test")


def test_resolvers_are_addresses_names_and_those_of_the_system(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("# made by hand\nsearch site.test\nnameserver 127.0.0.53\nnameserver 1.1.1.1\nnameserver\n")
    found = _dns.resolvers(["1.1.1.1", "localhost", "system", "no-such-name.invalid"], conf)
    assert [(one.name, one.address) for one in found[:1]] == [("1.1.1.1", "1.1.1.1")]
    assert found[1].address in ("127.0.0.1", "::1")
    assert [(one.name, one.address) for one in found[2:]] == [("system", "127.0.0.53"), ("no-such-name.invalid", "")]
    with pytest.raises(OpsError, match="no resolver"):
        _dns.resolvers(["system"], tmp_path / "none")


# --- the way to the authority


def test_all_well() -> None:
    found = look(world(), {"site": "site.test", "n8n": "n8n.site.test", "unused": ""})
    assert statuses(found) == {
        "dns.site.points": "pass",
        "dns.site.agreed": "pass",
        "dns.n8n.points": "pass",
        "dns.n8n.agreed": "pass",
        "dns.unused.points": "skip",
        "dns.unused.agreed": "skip",
        "dns.caa": "pass",
    }
    assert found["dns.site.points"][1] == f"A {HERE} is this host's, no AAAA, TTL 300 s -> "
    assert found["dns.site.agreed"][1] == f"2 name servers and 2 resolvers say {HERE} -> "


def test_an_alias_is_followed_into_the_zone_that_it_leads_to() -> None:
    cdn: Records = {
        ("cdn.test", "NS"): ["ns.cdn.test."],
        ("ns.cdn.test", "A"): [OTHER],
        ("edge.cdn.test", "A"): [HERE],
    }
    there = world()
    there.copies[OTHER] = Copy("cdn.test", cdn, serial=1)
    there.copies[NS1].records = there.copies[NS2].records = {**SITE, ("www.site.test", "CNAME"): ["edge.cdn.test."]}
    found = look(there, {"www": "www.site.test"})
    assert statuses(found) == {"dns.www.points": "pass", "dns.www.agreed": "pass", "dns.caa": "pass"}
    assert "(www.site.test is an alias of edge.cdn.test)" in found["dns.www.points"][1]
    assert "1 name server and 2 resolvers" in found["dns.www.agreed"][1]


def test_aliases_in_a_circle_end() -> None:
    there = world()
    circle: Records = {("a.site.test", "CNAME"): ["b.cdn.test."]}
    there.copies[NS1].records = there.copies[NS2].records = {**SITE, **circle}
    back: Records = {("cdn.test", "NS"): ["ns.cdn.test."], ("ns.cdn.test", "A"): [OTHER]}
    there.copies[OTHER] = Copy("cdn.test", {**back, ("b.cdn.test", "CNAME"): ["a.site.test."]})
    found = look(there, {"a": "a.site.test"})
    assert statuses(found)["dns.a.points"] == "fail"
    assert "has no A or AAAA record" in found["dns.a.points"][1]


def test_a_domain_that_nobody_delegates_is_a_fail_and_no_error() -> None:
    found = look(world(), {"site": "lost.test"}, certificate_names=["lost.test"])
    assert statuses(found) == {"dns.site.points": "fail", "dns.site.agreed": "unknown", "dns.caa": "unknown"}
    assert "not registered, has expired, or is not delegated" in found["dns.site.points"][1]
    assert "whois lost.test" in found["dns.site.points"][1]


def test_a_resolver_that_never_heard_of_the_name_does_not_hide_it() -> None:
    found = look(world(late={ONE: Copy("test", {})}))
    assert statuses(found)["dns.site.points"] == "pass"
    assert statuses(found)["dns.site.agreed"] == "fail"
    assert f"{ONE} still says there is no such name, for 60 s more" in found["dns.site.agreed"][1]


def test_no_resolver_at_all_is_one_sentence() -> None:
    found = look(world(broken={ONE: silent, TWO: silent}))
    assert set(statuses(found).values()) == {"unknown"}
    assert len({said for _status, said in found.values()}) == 1
    assert f"No resolver can be asked ({ONE}: no answer; {TWO}: no answer)" in found["dns.caa"][1]


def test_no_authority_is_unknown_and_tells_what_resolvers_say() -> None:
    there = world(broken={NS1: silent, NS2: says("SERVFAIL")})
    found = look(there)
    assert set(statuses(found).values()) == {"unknown"}
    assert "No server of the zone site.test answers with authority" in found["dns.site.points"][1]
    assert f"\n{ONE} says {HERE}" in found["dns.site.points"][1]
    assert there.count[NS1] <= 6, "who is silent once is not waited for again"


@pytest.mark.parametrize(
    ("how", "said"),
    [(silent, "no answer"), (says("REFUSED"), "REFUSED"), (Copy("x.test", {}, authority=False).answer, "authority")],
)
def test_one_useless_server_is_remarked_on(how: t.Any, said: str) -> None:
    found = look(world(broken={NS2: how}))
    assert statuses(found) == {"dns.site.points": "pass", "dns.site.agreed": "warn", "dns.caa": "pass"}
    assert f"of no use: ns2.site.test ({NS2})" in found["dns.site.agreed"][1]
    assert said in found["dns.site.agreed"][1]


def test_a_server_whose_name_has_no_address_is_remarked_on() -> None:
    records = {key: value for key, value in SITE.items() if key != ("ns2.site.test", "A")}
    found = look(World({NS1: Copy("site.test", records)}))
    assert statuses(found)["dns.site.agreed"] == "warn"
    assert "ns2.site.test: its name has no address" in found["dns.site.agreed"][1]


def test_one_silent_resolver_is_remarked_on_and_all_of_them_are_unknown() -> None:
    one = look(world(broken={TWO: says("REFUSED")}))
    assert statuses(one) == {"dns.site.points": "pass", "dns.site.agreed": "warn", "dns.caa": "pass"}
    assert "take what this host cannot ask out of resolvers" in one["dns.site.agreed"][1]


# --- does everybody say so


def test_a_server_with_an_older_copy_is_named_and_the_newest_counts() -> None:
    there = world()
    there.copies[NS2] = Copy("site.test", {**SITE, ("site.test", "A"): ["192.0.2.1"]}, serial=6)
    found = look(there)
    assert statuses(found) == {"dns.site.points": "pass", "dns.site.agreed": "fail", "dns.caa": "pass"}
    said = found["dns.site.agreed"][1]
    assert f"ns1.site.test ({NS1}) says {HERE} (serial 7); ns2.site.test ({NS2}) says 192.0.2.1 (serial 6)" in said
    assert "copied to ns2.site.test" in said


def test_servers_that_contradict_each_other_with_one_serial() -> None:
    there = world()
    there.copies[NS2] = Copy("site.test", {key: value for key, value in SITE.items() if key != ("site.test", "A")})
    found = look(there)
    assert statuses(found)["dns.site.agreed"] == "fail"
    assert f"ns2.site.test ({NS2}) says it has no address (serial 7)" in found["dns.site.agreed"][1]


def test_a_resolver_with_an_older_answer_is_told_with_its_end() -> None:
    older = Copy("site.test", {**SITE, ("site.test", "A"): ["192.0.2.1"]}, serial=6)
    found = look(world(late={TWO: older}))
    assert statuses(found) == {"dns.site.points": "pass", "dns.site.agreed": "fail", "dns.caa": "pass"}
    assert f"{TWO} still says 192.0.2.1, for 120 s more" in found["dns.site.agreed"][1]


def test_a_name_that_nobody_has_is_the_other_checks_fail() -> None:
    found = look(world(), {"site": "nothing.site.test"})
    assert statuses(found) == {"dns.site.points": "fail", "dns.site.agreed": "unknown", "dns.caa": "pass"}
    assert found["dns.site.agreed"][1].endswith("-> See dns.site.points")


def test_signatures_that_nobody_accepts_hide_nothing() -> None:
    there = world()

    def validating(query: dns.message.Message) -> dns.message.Message:
        return there.recursive(query) if query.flags & dns.flags.CD else says("SERVFAIL", "DS mismatch")(query)

    there.broken = {ONE: validating, TWO: validating}
    found = look(there)
    assert statuses(found) == {"dns.site.points": "pass", "dns.site.agreed": "fail", "dns.caa": "pass"}
    assert f"{ONE} refuses the zone's DNSSEC signatures: SERVFAIL (DS mismatch)" in found["dns.site.agreed"][1]


# --- CAA


def test_caa_is_looked_for_upwards_and_the_nearest_counts() -> None:
    there = world()
    caa: Records = {("site.test", "CAA"): ['0 issue "ca.test"'], ("n8n.site.test", "CAA"): ['0 issue "other.test"']}
    there.copies[NS1].records = there.copies[NS2].records = {**SITE, **caa}
    found = look(there, certificate_names=["site.test", "deep.under.site.test", "*.site.test"])
    assert found["dns.caa"][0] == "pass"
    found = look(there, certificate_names=["site.test", "n8n.site.test"])
    assert found["dns.caa"][0] == "fail" and "allows other.test alone for n8n.site.test" in found["dns.caa"][1]


def test_no_certificate_name_is_skipped() -> None:
    assert look(world(), certificate_names=[])["dns.caa"][0] == "skip"


def test_each_thing_is_found_out_once() -> None:
    there = world()
    with ThreadPoolExecutor(8) as pool:
        survey = Survey([Server(ONE, ONE, True)], _dns.asking(1, 2, there.send), pool)
        survey.servers("site.test")
        before = dict(there.count)
        assert [server.address for server in survey.servers("site.test")] == [NS1, NS2]
        assert there.count == before
