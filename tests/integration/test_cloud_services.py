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


def query(cloud: t.Any, name: str, kind: str) -> dns.message.Message:
    address = next(line.split()[0] for line in cloud.run("names").splitlines() if line.endswith(" ns.prosaas.test"))
    return dns.query.udp(dns.message.make_query(name, kind), address, timeout=3)


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


def test_the_zone_is_answered_with_authority(cloud: t.Any) -> None:
    database = next(line.split()[0] for line in cloud.run("names").splitlines() if "db.prosaas.test" in line)
    host = database.rsplit(".", 1)[0] + ".1"
    for name in ("prosaas.test", "www.prosaas.test", "n8n.prosaas.test"):
        answer = query(cloud, name, "A")
        assert answer.flags & dns.flags.AA and [item.to_text() for item in answer.answer[0]] == [host]
    assert query(cloud, "prosaas.test", "NS").answer[0][0].to_text() == "ns.prosaas.test."
    assert query(cloud, "prosaas.test", "SOA").answer[0][0].to_text().startswith("ns.prosaas.test. hostmaster.")
    assert query(cloud, "prosaas.test", "CAA").answer[0][0].to_text() == '0 issue "ca.prosaas.test"'
    assert query(cloud, "nothing.prosaas.test", "A").rcode() == dns.rcode.NXDOMAIN
    assert query(cloud, "example.org", "A").rcode() == dns.rcode.REFUSED


def test_dns_faults(cloud: t.Any) -> None:
    with cloud.fault("dns-wrong-address"):
        assert [item.to_text() for item in query(cloud, "prosaas.test", "A").answer[0]] == ["192.0.2.10"]
    with cloud.fault("dns-down"):
        with pytest.raises((dns.exception.Timeout, OSError)):
            query(cloud, "prosaas.test", "A")


def test_a_second_up_changes_nothing(cloud: t.Any) -> None:
    def containers() -> str:
        command = ["docker", "ps", "-q", "--no-trunc", "--filter", "label=com.docker.compose.project=prosaas-cloud"]
        ids = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.split()
        started = ["docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", *sorted(ids)]
        return subprocess.run(started, check=True, capture_output=True, text=True, timeout=30).stdout

    before = containers()
    cloud.run("up")
    assert containers() == before and len(before.splitlines()) == 4


def test_everything_made_is_labelled(cloud: t.Any) -> None:
    """demo/clean finds what it may remove by the label alone."""
    for kind, names in (
        ("container", [f"prosaas-cloud-{name}-1" for name in ("postgres", "s3", "r2", "dns")]),
        ("volume", [f"prosaas-cloud_{name}" for name in ("postgres", "s3", "r2")]),
        ("network", ["prosaas-cloud", "prosaas-net"]),
    ):
        place = ".Config.Labels" if kind == "container" else ".Labels"
        form = "{{index " + place + ' "ops.prosaas.demo"}}'
        command = ["docker", kind, "inspect", "-f", form, *names]
        found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.split()
        assert found == ["true"] * len(names)
