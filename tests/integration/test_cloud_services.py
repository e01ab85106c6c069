# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's Postgres, its name server and its scripts: as the real ones, and a client sees each of their faults."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import psycopg2
import pytest
import yaml
from conftest import ROOT

SERVICES = yaml.safe_load((ROOT / "demo/cloud/compose.yml").read_text(encoding="utf-8"))["services"]
CONTAINERS = [f"prosaas-cloud-{name}-1" for name in SERVICES]


def query(cloud: t.Any, name: str, kind: str, server: str = "ns") -> dns.message.Message:
    named = f" {server}.prosaas.test"
    address = next(line.split()[0] for line in cloud.run("names").splitlines() if line.endswith(named))
    return dns.query.udp(dns.message.make_query(name, kind), address, timeout=2)


def connect(cloud: t.Any, host: str = "db.prosaas.test", name: str = "prosaas", **changes: t.Any) -> t.Any:
    settings = {
        "host": host,
        "dbname": name,
        "user": name,
        "password": cloud.secret(f"postgres_{name}"),
        "sslmode": "verify-full",
        "sslrootcert": str(cloud.ca),
        "connect_timeout": 5,
    }
    return psycopg2.connect(**{**settings, **changes})


def rows(connection: t.Any, statement: str) -> list[t.Any]:
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        found: list[t.Any] = cursor.fetchall()
        return found


@pytest.mark.parametrize("host", ["db.prosaas.test", "pooler.prosaas.test"])
@pytest.mark.parametrize("name", ["prosaas", "n8n"])
def test_postgres_over_tls(cloud: t.Any, host: str, name: str) -> None:
    statement = "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert rows(connect(cloud, host, name), statement) == [(name, True)]


def test_postgres_from_the_application_network(cloud: t.Any) -> None:
    """As a container of the application sees it: by name, with the CA of the base image."""
    command = "docker run --rm --network prosaas-net --label ops.prosaas.demo=true -e PGPASSWORD".split()
    target = "host=db.prosaas.test user=prosaas dbname=prosaas sslmode=verify-full sslrootcert="
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    finished = subprocess.run(
        [*command, "prosaas-demo/base:bookworm", "psql", "-XAtc", "SELECT 1", target + authorities],
        env={**os.environ, "PGPASSWORD": cloud.secret("postgres_prosaas")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stdout.strip()) == (0, "1"), finished.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sslmode": "disable"}, "no pg_hba.conf entry"),
        ({"password": "wrong"}, "password authentication failed"),
        ({"dbname": "n8n"}, "permission denied for database"),
    ],
)
def test_postgres_refuses(cloud: t.Any, changes: t.Any, said: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match=said):
        connect(cloud, **changes)


@pytest.mark.soak
def test_postgres_faults(cloud: t.Any) -> None:
    with cloud.fault("db-no-tls"):
        with pytest.raises(psycopg2.OperationalError, match="server does not support SSL"):
            connect(cloud, sslmode="require")
        assert rows(connect(cloud, sslmode="disable"), "SELECT 1") == [(1,)]
    with cloud.fault("db-full"):
        with pytest.raises(psycopg2.OperationalError, match="connection slots|too many clients"):
            connect(cloud)
    with cloud.fault("db-down"):
        with pytest.raises(psycopg2.OperationalError):
            connect(cloud)
    assert rows(connect(cloud), "SELECT 1") == [(1,)]


def host_address(cloud: t.Any) -> str:
    database = next(line.split()[0] for line in cloud.run("names").splitlines() if "db.prosaas.test" in line)
    return str(database.rsplit(".", 1)[0] + ".1")


def addresses(cloud: t.Any, server: str, name: str = "prosaas.test", kind: str = "A") -> list[str]:
    return [item.to_text() for found in query(cloud, name, kind, server).answer for item in found]


@pytest.mark.parametrize("server", ["ns", "ns2"])
def test_the_zone_is_answered_with_authority(cloud: t.Any, server: str) -> None:
    for name in ("prosaas.test", "www.prosaas.test", "n8n.prosaas.test"):
        assert query(cloud, name, "A", server).flags & dns.flags.AA
        assert addresses(cloud, server, name) == [host_address(cloud)]
    servers = ["ns.prosaas.test.", "ns2.prosaas.test."]
    assert sorted(addresses(cloud, server, "prosaas.test", "NS")) == servers
    assert addresses(cloud, server, kind="SOA")[0].startswith("ns.prosaas.test. hostmaster.")
    assert addresses(cloud, server, kind="CAA") == ['0 issue "ca.prosaas.test"']
    assert query(cloud, "nothing.prosaas.test", "A", server).rcode() == dns.rcode.NXDOMAIN
    assert query(cloud, "example.org", "A", server).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("server", ["resolver1", "resolver2"])
def test_resolvers_hear_of_the_zone(cloud: t.Any, server: str) -> None:
    assert addresses(cloud, server) == [host_address(cloud)]
    assert sorted(addresses(cloud, server, kind="NS")) == ["ns.prosaas.test.", "ns2.prosaas.test."]
    assert query(cloud, "nothing.prosaas.test", "A", server).rcode() == dns.rcode.NXDOMAIN
    assert query(cloud, "example.org", "A", server).rcode() == dns.rcode.REFUSED, "nothing leaves this machine"


@pytest.mark.soak
def test_dns_faults(cloud: t.Any) -> None:
    with cloud.fault("dns-wrong-address"):
        assert addresses(cloud, "ns") == addresses(cloud, "ns2") == addresses(cloud, "resolver1") == ["192.0.2.10"]
    with cloud.fault("dns-wrong-ipv6"), cloud.fault("dns-no-n8n"), cloud.fault("dns-caa"):
        assert addresses(cloud, "ns", kind="AAAA") == ["2001:db8::10"]
        assert query(cloud, "n8n.prosaas.test", "A", "resolver2").rcode() == dns.rcode.NXDOMAIN
        assert addresses(cloud, "ns", kind="CAA") == ['0 issue "other-ca.test"']
    with cloud.fault("dns-stale-secondary"), cloud.fault("dns-stale-resolver"):
        assert (addresses(cloud, "ns"), addresses(cloud, "ns2")) == ([host_address(cloud)], ["192.0.2.20"])
        assert (addresses(cloud, "resolver1"), addresses(cloud, "resolver2")) == ([host_address(cloud)], ["192.0.2.20"])
        serials = [int(addresses(cloud, server, kind="SOA")[0].split()[2]) for server in ("ns", "ns2")]
        assert serials[0] > serials[1]
    with cloud.fault("dns-lame-secondary"):
        assert query(cloud, "prosaas.test", "A", "ns2").rcode() == dns.rcode.REFUSED
    with cloud.fault("dns-down"):
        for server in ("ns", "ns2", "resolver1", "resolver2"):
            with pytest.raises((dns.exception.Timeout, OSError)):
                query(cloud, "prosaas.test", "A", server)
    assert addresses(cloud, "resolver2") == [host_address(cloud)]


def test_a_second_up_changes_nothing(cloud: t.Any) -> None:
    def containers() -> str:
        command = ["docker", "ps", "-q", "--no-trunc", "--filter", "label=com.docker.compose.project=prosaas-cloud"]
        ids = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.split()
        started = ["docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", *sorted(ids)]
        return subprocess.run(started, check=True, capture_output=True, text=True, timeout=30).stdout

    before = containers()
    cloud.run("up")
    assert containers() == before and len(before.splitlines()) == len(CONTAINERS)


def test_everything_made_is_labelled(cloud: t.Any) -> None:
    """demo/clean finds what it may remove by the label alone."""
    for kind, names in (
        ("container", CONTAINERS),
        ("volume", [f"prosaas-cloud_{name}" for name in ("postgres", "s3", "r2")]),
        ("network", ["prosaas-cloud", "prosaas-net"]),
    ):
        place = ".Config.Labels" if kind == "container" else ".Labels"
        form = "{{index " + place + ' "ops.prosaas.demo"}}'
        command = ["docker", kind, "inspect", "-f", form, *names]
        found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.split()
        assert found == ["true"] * len(names)
