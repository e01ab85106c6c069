# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP client against real sockets: what it connects to, whom it trusts, how long it waits, what it says."""

from __future__ import annotations

import contextlib
import datetime
import re
import socket
import ssl
import subprocess
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer, Client, target

Talk = t.Callable[[socket.socket, bytes], None]


@contextlib.contextmanager
def serving(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer every connection with one function; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(raw: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock = context.wrap_socket(raw, server_side=True) if context else raw
            with sock:
                talk(sock, received(sock))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def received(sock: socket.socket) -> bytes:
    """Read one whole request."""
    request = b""
    while b"\r\n\r\n" not in request and not request.startswith(b"\x16"):  # a TLS hello ends otherwise
        request += sock.recv(65536) or b"\r\n\r\n"
    length = re.search(rb"Content-Length: (\d+)", request)
    return request + (sock.recv(65536) if length and request.endswith(b"\r\n\r\n") else b"")


def say(raw: bytes) -> Talk:
    return lambda sock, _request: sock.sendall(raw)


def echo(sock: socket.socket, request: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(request), request))


def trickle(first: bytes) -> Talk:
    """Send something every 50 ms, for ever: each read succeeds, the answer never ends."""

    def talk(sock: socket.socket, _request: bytes) -> None:
        sock.sendall(first)
        while True:
            time.sleep(0.05)
            sock.sendall(b"x")

    return talk


class Pki(t.NamedTuple):
    ca: Path
    context: ssl.SSLContext
    expired: ssl.SSLContext


@pytest.fixture(scope="module", name="pki")
def _pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """A CA, a certificate for app.test, and one that has ended."""
    where = tmp_path_factory.mktemp("pki")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=where, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test CA")
    (where / "san").write_text("subjectAltName=DNS:app.test,DNS:www.app.test\n", encoding="ascii")

    def context(name: str, days: str) -> ssl.SSLContext:
        openssl("req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=app.test")
        ca = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san")
        openssl("x509", "-req", "-in", f"{name}.csr", *ca, "-out", f"{name}.crt", "-days", days)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(where / f"{name}.crt", where / f"{name}.key")
        return made

    return Pki(where / "ca.crt", context("good", "1"), context("expired", "-1"))


def test_it_connects_to_an_address_under_the_name_of_the_url() -> None:
    with serving(echo) as port:
        answer = Client().send(f"http://app.test:{port}/a?b=c", headers={"X-One": "1"}, address="127.0.0.1")
    assert answer.status == 200
    assert answer.text.startswith("GET /a?b=c HTTP/1.1\r\n")
    assert f"Host: app.test:{port}\r\n" in answer.text
    assert "X-One: 1\r\n" in answer.text
    assert "Accept-Encoding: identity\r\n" in answer.text


def test_a_post_carries_its_body() -> None:
    with serving(echo) as port:
        answer = Client().send(f"http://127.0.0.1:{port}/", "POST", body=b"CallSid=CA1")
    assert answer.text.startswith("POST / HTTP/1.1\r\n")
    assert "Content-Length: 11\r\n" in answer.text
    assert answer.text.endswith("\r\n\r\nCallSid=CA1")


def test_it_uses_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    with serving(echo) as port:
        assert Client().send(f"http://127.0.0.1:{port}/").status == 200


def test_a_redirect_is_an_answer_like_any_other() -> None:
    with serving(say(b"HTTP/1.1 301 Moved\r\nLocation: https://app.test/\r\nContent-Length: 0\r\n\r\n")) as port:
        answer = Client().send(f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.headers["location"]) == (301, "https://app.test/")


def test_tls_is_verified_with_a_private_ca_and_the_certificate_is_told(pki: Pki) -> None:
    with serving(echo, pki.context) as port:
        answer = Client(ca_path=str(pki.ca)).send(f"https://app.test:{port}/", address="127.0.0.1")
    assert answer.status == 200
    assert answer.certificate is not None
    assert answer.certificate.names == ("app.test", "www.app.test")
    left = answer.certificate.not_after - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(hours=23) < left <= datetime.timedelta(hours=24)


@pytest.mark.parametrize(
    ("name", "trusted", "expired", "reason"),
    [
        ("app.test", False, False, "self-signed|local issuer"),
        ("other.test", True, False, "not valid for 'other.test'"),
        ("app.test", True, True, "expired"),
    ],
)
def test_a_certificate_that_does_not_hold_is_an_error(
    pki: Pki, name: str, trusted: bool, expired: bool, reason: str
) -> None:
    client = Client(ca_path=str(pki.ca) if trusted else "")
    with serving(echo, pki.expired if expired else pki.context) as port:
        with pytest.raises(OpsError, match=reason) as raised:
            client.send(f"https://{name}:{port}/", address="127.0.0.1")
    assert not isinstance(raised.value, Unreachable)


def test_plain_http_on_a_tls_url_is_an_error() -> None:
    with serving(say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) as port:
        with pytest.raises(OpsError, match="does not speak TLS"):
            Client().send(f"https://127.0.0.1:{port}/")


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="missing.crt cannot be used"):
        Client(ca_path=str(tmp_path / "missing.crt")).send("https://127.0.0.1:1/")
    (tmp_path / "empty.crt").write_text("", encoding="ascii")
    with serving(echo) as port, pytest.raises(OpsError, match="empty.crt cannot be used"):
        Client(ca_path=str(tmp_path / "empty.crt")).send(f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "first",
    [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"],
)
@pytest.mark.parametrize("secure", [False, True])
def test_an_answer_that_trickles_is_cut_off_in_time(pki: Pki, first: bytes, secure: bool) -> None:
    client = Client(ca_path=str(pki.ca), timeout=0.4)
    with serving(trickle(first), pki.context if secure else None) as port:
        start = time.monotonic()
        with pytest.raises(Unreachable, match=r"did not answer within 0\.4 s"):
            client.send(f"{'https' if secure else 'http'}://app.test:{port}/", address="127.0.0.1")
    assert time.monotonic() - start < 2


def test_silence_is_cut_off_in_time() -> None:
    with serving(lambda _sock, _request: time.sleep(5)) as port, pytest.raises(Unreachable, match="answer"):
        Client(timeout=0.3).send(f"http://127.0.0.1:{port}/")


def test_a_body_without_end_is_an_error() -> None:
    with (
        serving(say(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000)) as port,
        pytest.raises(OpsError, match="more than 1000 bytes"),
    ):
        Client(max_body=1000).send(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("raw", "kind", "said"),
    [
        (b"", Unreachable, "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Unreachable, "broke off"),
        (b"220 mail.test ESMTP\r\n", OpsError, "does not speak HTTP"),
    ],
)
def test_what_is_no_whole_answer_is_said(raw: bytes, kind: type[OpsError], said: str) -> None:
    with serving(say(raw)) as port, pytest.raises(kind, match=said):
        Client().send(f"http://127.0.0.1:{port}/")


def test_nobody_listening_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match=f"Nothing listens at http://127.0.0.1:{port}/"):
        Client().send(f"http://127.0.0.1:{port}/")


def test_a_name_that_does_not_resolve_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> t.NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"The name app\.test does not resolve"):
        Client().send("http://app.test/")


@pytest.mark.parametrize(
    "url",
    ["ftp://app.test/", "https:///path", "app.test/health", "https://user:word@app.test/", "http://app.test:99999/"],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(OpsError):
        target(url)


def test_a_host_that_is_none_and_a_path_with_a_space_are_refused() -> None:
    with pytest.raises(OpsError, match="no host name"):
        Client().send("http://a..test/")
    with serving(echo) as port, pytest.raises(OpsError, match="cannot be asked for"):
        Client().send(f"http://127.0.0.1:{port}/a b")


def test_the_parts_of_a_url() -> None:
    assert target("https://app.test") == ("https", "app.test", 443, "/")
    assert target("http://[::1]:8080/x?y=1#z") == ("http", "::1", 8080, "/x?y=1")
    assert target("http://[::1]:8080/").netloc == "[::1]:8080"
    assert target("https://app.test:443/").netloc == "app.test"


def test_an_excerpt_is_one_short_line() -> None:
    assert Answer(200, body=b" a\n b ").excerpt() == "a b"
    assert Answer(200, body=b"x" * 500).excerpt(10) == "x" * 9 + "…"
