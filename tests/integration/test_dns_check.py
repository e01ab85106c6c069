# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dns_check against the demo's name servers and resolvers, and their bad days."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from conftest import Cloud
from tiny import ansible, check, module, status

RESOLVERS = ["resolver1.prosaas.test", "resolver2.prosaas.test"]
IDS = ["dns.site.points", "dns.site.agreed", "dns.n8n.points", "dns.n8n.agreed", "dns.caa"]


@pytest.fixture(name="look")
def _look(cloud: Cloud, tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    def look(run: t.Callable[..., dict[str, t.Any]] = module, **options: t.Any) -> dict[str, t.Any]:
        given = {
            "names": {"site": "prosaas.test", "n8n": "n8n.prosaas.test"},
            "resolvers": RESOLVERS,
            "issuers": ["ca.prosaas.test"],
            "state_dir": str(tmp_path / "state"),
        }
        result = run("dns_check", **{**given, **options})
        assert result.get("changed", False) is False
        return result

    return look


Look = t.Callable[..., dict[str, t.Any]]


def turned(result: dict[str, t.Any]) -> dict[str, str]:
    return {name: seen for name, seen in status(result).items() if seen != "pass"}


def test_all_is_well_in_less_than_a_second(look: Look) -> None:
    result = look(ansible, items={"dns.*.points": [94], "dns.n8n.*": [96]})
    assert not result.get("failed"), result["msg"]
    assert status(result) == dict.fromkeys(IDS, "pass")
    assert result["seconds"] < 1
    assert check(result, "dns.n8n.points")["item"] == [94, 96]
    assert "is this host's, no AAAA, TTL 300 s; /etc/hosts of this host says" in check(result, IDS[0])["evidence"]
    site = result["names"]["site"]
    assert [row["server"] for row in site["servers"]] == ["ns.prosaas.test", "ns2.prosaas.test"]
    assert {row["serial"] for row in site["servers"]} == {2026010102}
    assert [row["server"] for row in site["resolvers"]] == RESOLVERS
    assert status(look(check=True)) == status(result)


@pytest.mark.parametrize(
    ("fault", "turns", "said"),
    [
        ("dns-wrong-address", {"site.points": "fail", "n8n.points": "fail"}, "A 192.0.2.10 is not this host's"),
        ("dns-wrong-ipv6", {"site.points": "fail", "n8n.points": "fail"}, "Take AAAA 2001:db8::10 out of the zone"),
        ("dns-no-n8n", {"n8n.points": "fail", "n8n.agreed": "unknown"}, "n8n.prosaas.test has no A or AAAA record"),
        ("dns-stale-secondary", {"site.agreed": "fail", "n8n.agreed": "fail"}, "192.0.2.20 (serial 2026010101)"),
        ("dns-stale-resolver", {"site.agreed": "fail", "n8n.agreed": "fail"}, "still says 192.0.2.20, for "),
        ("dns-caa", {"caa": "fail"}, "allows other-ca.test alone"),
    ],
)
def test_a_bad_day_is_red_and_alone(cloud: Cloud, look: Look, fault: str, turns: dict[str, str], said: str) -> None:
    with cloud.fault(fault):
        result = look()
    assert result["failed"] is True
    assert turned(result) == {f"dns.{name}": seen for name, seen in turns.items()}
    assert said in result["msg"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("dns-lame-secondary", "1 name server and 2 resolvers say"),
        ("dns2-down", "of no use: ns2.prosaas.test"),
        ("resolver2-down", "2 name servers and 1 resolver say"),
    ],
)
def test_one_server_of_several_is_remarked_on(cloud: Cloud, look: Look, fault: str, said: str) -> None:
    with cloud.fault(fault):
        result = look()
    assert not result.get("failed"), result["msg"]
    assert turned(result) == {"dns.site.agreed": "warn", "dns.n8n.agreed": "warn"}
    assert said in check(result, "dns.site.agreed")["evidence"]
    assert result["seconds"] < 6


def test_no_dns_is_unknown_in_less_than_six_seconds(cloud: Cloud, look: Look) -> None:
    with cloud.fault("dns-down"):
        result = look()
    assert result["failed"] is True
    assert status(result) == dict.fromkeys(IDS, "unknown")
    assert "No resolver can be asked (resolver1.prosaas.test" in result["msg"]
    assert result["seconds"] < 6


def test_a_proxy_is_recognised_by_data(cloud: Cloud, look: Look) -> None:
    proxies = [{"name": "Shield", "networks": ["192.0.2.0/24"]}]
    with cloud.fault("dns-wrong-address"):
        result = look(proxies=proxies)
    assert not result.get("failed"), result["msg"]
    assert turned(result) == {"dns.site.points": "warn", "dns.n8n.points": "warn"}
    assert "A 192.0.2.10 is Shield's; where that forwards to" in check(result, "dns.site.points")["evidence"]
    assert look(proxies=proxies)["verdict"] == "pass"


def test_what_leads_here_can_be_told(cloud: Cloud, look: Look) -> None:
    with cloud.fault("dns-wrong-address"):
        assert look(addresses=["192.0.2.10"])["verdict"] == "pass"


def test_issuers(look: Look) -> None:
    assert turned(look(issuers=[])) == {"dns.caa": "warn"}
    assert turned(look(issuers=["ca.prosaas.test", "other-ca.test"])) == {"dns.caa": "warn"}
    assert turned(look(issuers=["other-ca.test"])) == {"dns.caa": "fail"}
    assert turned(look(certificate_names=["*.prosaas.test"])) == {}


def test_what_is_written_wrongly_is_one_clear_sentence(look: Look) -> None:
    for options, said in (
        ({"names": {"site": "prosaas..test"}}, "'prosaas..test' is no DNS name"),
        ({"addresses": ["prosaas.test"]}, "'prosaas.test' in addresses is no address"),
        ({"resolvers": []}, "There is no resolver to ask"),
        ({"proxies": [{"name": "x", "networks": ["10.0.0.0/99"]}]}, "A network of proxies is none"),
    ):
        result = look(**options)
        assert result["failed"] is True and said in result["msg"], result["msg"]
        assert "Traceback" not in str(result)
