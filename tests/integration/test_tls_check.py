# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tls_check on a real nginx in a container without capabilities: green, red by a fault each time, mended as it says."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _tls_served
from tiny import Stack, ansible, check, module, stack, status

PORT = 20996
NAMES = ["site.test", "n8n.site.test"]
INSIDE = "/etc/edge/ssl"
CONFIGURATION = f"""
user www-data; pid /tmp/nginx.pid; error_log /dev/stderr;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
  uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
  server {{ listen 443 ssl; ssl_certificate {INSIDE}/site.crt; ssl_certificate_key {INSIDE}/site.key; return 204; }}
}}
"""
WITHOUT_RIGHTS = {"cap_drop": ["ALL"], "cap_add": ["CHOWN", "SETUID", "SETGID", "NET_BIND_SERVICE"]}


def services(directory: Path, **changes: t.Any) -> dict[str, t.Any]:
    (directory / "nginx.conf").write_text(CONFIGURATION, encoding="ascii")
    edge = {
        "command": ["nginx", "-c", "/etc/edge/nginx.conf", "-g", "daemon off;"],
        "ports": [f"127.0.0.1:{PORT}:443"],
        "volumes": [f"{directory}/ssl:{INSIDE}:ro", f"{directory}/nginx.conf:/etc/edge/nginx.conf:ro"],
    }
    return {"edge": {**edge, **WITHOUT_RIGHTS, **changes}}


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def authority(directory: Path, name: str, by: str = "") -> None:
    signer = ["-CA", f"{by}.crt", "-CAkey", f"{by}.key"] if by else []
    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "900", "-subj", f"/CN={name}"]
    openssl(directory, *new, "-keyout", f"{name}.key", "-out", f"{name}.crt", *signer)


def certificate(directory: Path, days: int = 365, names: t.Sequence[str] = tuple(NAMES)) -> None:
    """Put a certificate of the intermediate in place, with the intermediate behind it."""
    for old in (directory / "ssl").iterdir():  # with its owner
        old.unlink()
    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={names[0]}", "-days", str(days)]
    new += ["-addext", "basicConstraints=critical,CA:FALSE"]
    new += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    openssl(
        directory, *new, "-CA", "between.crt", "-CAkey", "between.key", "-keyout", "ssl/site.key", "-out", "leaf.crt"
    )
    chain = (directory / "leaf.crt").read_text() + (directory / "between.crt").read_text()
    (directory / "ssl/site.crt").write_text(chain, encoding="ascii")
    (directory / "ssl/site.key").chmod(0o600)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("tls")
    (directory / "ssl").mkdir()
    authority(directory, "root")
    authority(directory, "between", by="root")
    certificate(directory)
    with stack("tls", directory, services(directory), up=False) as ready:
        yield ready


@pytest.fixture()
def running(project: Stack) -> Stack:
    """The edge with a good certificate that it has read."""
    certificate(project.directory)
    project.write(services(project.directory))
    project.compose("up", "-d", "--force-recreate")
    answers()
    return project


def answers() -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", PORT), timeout=1) as connection:
                connection.settimeout(1)
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                if connection.recv(1):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail("nginx does not answer")


def given(project: Stack, **options: t.Any) -> dict[str, t.Any]:
    known = {
        "certificate": "ssl/site.crt",
        "key": "ssl/site.key",
        "names": NAMES,
        "service": "edge",
        "reload": ["nginx", "-c", "/etc/edge/nginx.conf", "-s", "reload"],
        "port": PORT,
        "ca_path": str(project.directory / "root.crt"),
    }
    return {**project.options, **known, **options}


def tls(project: Stack, **options: t.Any) -> dict[str, t.Any]:
    return module("tls_check", **given(project, **options))


def test_green_before_and_after_the_start(project: Stack) -> None:
    before = tls(project, items={"tls.days": [91]})
    assert before["verdict"] == "pass", before["msg"]
    assert check(before, "tls.served")["status"] == "skip"
    assert "by owner and mode, as user 0 without the capability" in check(before, "tls.readable")["evidence"]
    assert check(before, "tls.days")["item"] == [91]
    project.compose("up", "-d")
    answers()
    after = ansible("tls_check", **given(project))
    assert after["verdict"] == "pass", after["msg"]
    assert not after["changed"]
    assert check(after, "tls.readable")["evidence"].startswith("edge opens both as it runs")
    assert (
        "serves the file's certificate for site.test, n8n.site.test (TLSv1." in check(after, "tls.served")["evidence"]
    )
    assert check(after, "tls.chain")["evidence"].startswith("site.test, 1 in between, leads to root")


def test_a_renewed_certificate_that_nobody_has_read(running: Stack) -> None:
    certificate(running.directory)
    seen = tls(running)
    assert {name for name, state in status(seen).items() if state != "pass"} == {"tls.served"}
    served = check(seen, "tls.served")
    assert "(which clients take)" in served["evidence"]
    subprocess.run(served["remedy"], shell=True, check=True, capture_output=True)
    deadline = time.monotonic() + 10
    while status(tls(running))["tls.served"] != "pass" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert tls(running)["verdict"] == "pass", "mended by the very command"


def test_a_bad_one_is_not_to_be_loaded(running: Stack) -> None:
    certificate(running.directory, names=["old.site.test"], days=5)
    seen = tls(running)
    assert {name for name, state in status(seen).items() if state == "fail"} == {"tls.names", "tls.days", "tls.served"}
    assert "Mend the file first (see tls.names), and do not reload" in check(seen, "tls.served")["remedy"]


def test_a_key_of_another_user_is_closed_to_a_root_without_rights(running: Stack) -> None:
    key = running.directory / "ssl/site.key"
    os.chown(key, 1000, 1000)
    seen = check(tls(running), "tls.readable")
    assert seen["status"] == "fail"
    assert "owner 1000:1000, mode 0600" in seen["evidence"]
    subprocess.run(seen["remedy"], shell=True, check=True)
    assert status(tls(running))["tls.readable"] == "pass"


def test_the_next_container_counts_as_well_as_the_one_that_runs(running: Stack) -> None:
    running.write(services(running.directory, cap_drop=[], cap_add=[]))
    running.compose("up", "-d")
    answers()
    os.chown(running.directory / "ssl/site.key", 1000, 1000)
    assert status(tls(running))["tls.readable"] == "pass", "with all its rights root reads what it likes"
    running.write(services(running.directory))
    seen = check(tls(running), "tls.readable")
    assert (seen["status"], "without the capability" in seen["evidence"]) == ("fail", True)


def test_a_proxy_that_cannot_start_is_said_and_stops_no_deployment(running: Stack) -> None:
    os.chown(running.directory / "ssl/site.key", 1000, 1000)
    running.write(services(running.directory, restart="always"))
    running.compose("up", "-d")
    deadline = time.monotonic() + 20
    while (served := check(tls(running), "tls.served"))["status"] != "warn" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (served["status"], "dies and is restarted" in served["evidence"]) == ("warn", True)
    assert status(tls(running))["tls.readable"] == "fail", "and why"
    running.compose("down", "-t", "0")


def test_a_link_out_of_the_mounted_folder(running: Stack) -> None:
    key = running.directory / "ssl/site.key"
    key.rename(running.directory / "site1.key")
    key.symlink_to("../site1.key")
    seen = tls(running)
    readable = check(seen, "tls.readable")
    assert readable["status"] == "fail"
    assert "symbolic link to ../site1.key, which the container does not mount" in readable["evidence"]
    assert status(seen)["tls.match"] == "pass", "the host reads it"
    key.unlink()


def test_files_away(project: Stack) -> None:
    certificate(project.directory)
    (project.directory / "ssl/site.crt").unlink()
    found = status(tls(project))
    assert found.pop("tls.files") == "fail"
    assert set(found.values()) == {"unknown"}


def test_an_incomplete_chain_is_seen_on_disk_and_on_the_port(running: Stack) -> None:
    (running.directory / "ssl/site.crt").write_text((running.directory / "leaf.crt").read_text(), encoding="ascii")
    seen = tls(running)
    assert status(seen)["tls.chain"] == "fail"
    assert status(seen)["tls.served"] == "pass", "what runs still has all of it"
    running.compose("exec", "edge", "nginx", "-c", "/etc/edge/nginx.conf", "-s", "reload")
    time.sleep(1)
    served = check(tls(running), "tls.served")
    assert served["status"] == "fail"
    assert "unable to get local issuer certificate" in served["evidence"]


def test_whom_clients_trust(running: Stack) -> None:
    assert status(tls(running, trust="origin"))["tls.chain"] == "pass"
    private = check(tls(running, ca_path=None, private_issuers={"root": "https://ca.test/root.pem"}), "tls.chain")
    assert private["status"] == "fail"
    assert "https://ca.test/root.pem" in private["remedy"]


def test_a_service_that_is_none(running: Stack) -> None:
    assert status(tls(running, service=""))["tls.readable"] == "skip"
    assert status(tls(running, service="proxy"))["tls.readable"] == "fail"
    broken = tls(running, compose_files=["none.yml"])
    assert check(broken, "tls.readable")["evidence"] == "it needs the resolved Compose files: see host.model."


def test_a_port_where_nothing_or_something_else_answers(running: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = check(tls(running, port=PORT + 1), "tls.served")
    assert silent["status"] == "fail"
    assert f"runs, and nothing listens at 127.0.0.1:{PORT + 1}" in silent["evidence"]
    assert status(tls(running, port=PORT + 1, service=""))["tls.served"] == "skip"

    monkeypatch.setattr(_tls_served, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", PORT + 1)):
        assert status(tls(running, port=PORT + 1))["tls.served"] == "unknown", (
            "it takes the connection, and says nothing"
        )
    with socket.create_server(("127.0.0.1", PORT + 1)) as listener:
        threading.Thread(target=hang_up_with, args=(listener, b"220 mail.test\r\n"), daemon=True).start()
        other = check(tls(running, port=PORT + 1), "tls.served")
    assert (other["status"], "does not speak TLS" in other["evidence"]) == ("fail", True)


def hang_up_with(listener: socket.socket, words: bytes) -> None:
    for _name in NAMES:
        connection, _address = listener.accept()
        with connection:
            connection.sendall(words)
            connection.recv(4096)


def test_engine_away(project: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate(project.directory)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    seen = status(tls(project))
    assert (seen["tls.readable"], seen["tls.served"], seen["tls.match"]) == ("unknown", "unknown", "pass")
