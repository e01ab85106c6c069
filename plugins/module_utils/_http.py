# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP client that sees what a probe must see.

It can connect to one address under another name (what ``curl --resolve`` does), always verifies TLS, never follows a
redirect, never uses a proxy, never waits or reads without a limit, and tells the certificate it was shown.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import http.client
import json
import socket
import ssl
import threading
import time
import typing as t
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ._errors import OpsError, Unreachable

DEFAULT_PORTS = {"http": 80, "https": 443}
AGENT = {"User-Agent": "prosaas.ops"}  # by which our own questions are known in a log
_loading = threading.Lock()


@dataclass(frozen=True)
class Certificate:
    """What the server's certificate says of itself; it has been verified."""

    not_before: datetime.datetime
    not_after: datetime.datetime
    names: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """One complete answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    certificate: Certificate | None = None

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> t.Any:
        """Return the parsed body; ``ValueError`` when it is no JSON."""
        return json.loads(self.body.decode("utf-8"))

    def excerpt(self, length: int = 120) -> str:
        """Return the beginning of the body on one line, for evidence."""
        line = " ".join(self.text.split())
        return line if len(line) <= length else line[: length - 1] + "…"


class Target(t.NamedTuple):
    """A URL, taken apart for the connection."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def target(url: str) -> Target:
    """Take a URL apart; one that cannot be asked for is an error that says so."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OpsError(f"{url!r} is no URL ({error}).", "Correct it.") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        raise OpsError(
            f"{url!r} is no http(s) URL of a host.", "Write it as https://host/path, without user and password."
        )
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return Target(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], path)


@dataclass(frozen=True)
class Client:
    """How to ask: whom to trust, how long to wait, how much to read.

    Attributes:
        ca_path: file with CA certificates to trust besides the system's.
        connect_timeout: seconds for name resolution's addresses and the connection, each.
        timeout: seconds from the connection to the end of the answer.
        max_body: bytes; a longer answer is an error.
    """

    ca_path: str = ""
    connect_timeout: float = 5.0
    timeout: float = 15.0
    max_body: int = 1 << 20

    def send(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        address: str = "",
    ) -> Answer:
        """Send one request and return the whole answer.

        Args:
            address: IP address or name to connect to, while Host header, SNI and certificate stay the URL's.
        """
        to = target(url)
        where = f"{to.scheme}://{to.netloc}{to.path.partition('?')[0]}" + (f" at {address}" if address else "")
        start = time.monotonic()
        with _errors_of(where, self.ca_path), contextlib.closing(self._connect(to, address, where)) as sock:
            with _cut_after(self.timeout, sock, where):
                certificate = _handshake(sock)
                connection = http.client.HTTPConnection(to.host, to.port)
                connection.sock = sock
                connection.request(method, to.path, body or None, {"Host": to.netloc, **AGENT, **(headers or {})})
                response = connection.getresponse()
                read = response.read(self.max_body + 1)
            if len(read) > self.max_body:
                raise OpsError(
                    f"{where} answered with more than {self.max_body} bytes.", "Look at what is served there."
                )
            if response.length:  # read(n) takes an early end for the end
                raise http.client.IncompleteRead(read, response.length)
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, read, round(time.monotonic() - start, 3), certificate)

    def open(self, url: str, address: str = "") -> socket.socket:
        """Open a connection for what is no single request, verified where it is TLS; the caller closes it."""
        to = target(url)
        where = f"{to.scheme}://{to.netloc}" + (f" at {address}" if address else "")
        with _errors_of(where, self.ca_path):
            sock = self._connect(to, address, where)
            try:
                _handshake(sock)
            except BaseException:
                sock.close()
                raise
            return sock

    def _connect(self, to: Target, address: str, where: str) -> socket.socket:
        with _loading:  # probes that start together wait for one load instead of doing one each
            context = _context(self.ca_path) if to.scheme == "https" else None
        try:
            raw = socket.create_connection((address or to.host, to.port), timeout=self.connect_timeout)
        except socket.gaierror:
            raise Unreachable(
                f"The name {address or to.host} does not resolve on this host.",
                f"Look at: getent hosts {address or to.host}",
            ) from None
        except UnicodeError:
            raise OpsError(f"{address or to.host!r} is no host name.", "Correct the URL.") from None
        except (socket.timeout, TimeoutError):
            raise Unreachable(
                f"{where} could not be connected to within {self.connect_timeout:g} s.",
                f"Look at firewall and route: nc -vz {address or to.host} {to.port}",
            ) from None
        raw.settimeout(self.timeout)
        if context is None:
            return raw
        return context.wrap_socket(raw, server_hostname=to.host, do_handshake_on_connect=False)


@functools.cache  # reading the system's CAs takes longer than a request
def _context(ca_path: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_path:
        try:
            context.load_verify_locations(cafile=ca_path)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or "it holds no certificate"
            raise OpsError(f"The CA file {ca_path} cannot be used ({reason}).", "Correct ca_path.") from None
    return context


def _handshake(sock: socket.socket) -> Certificate | None:
    if not isinstance(sock, ssl.SSLSocket):
        return None
    sock.do_handshake()
    shown = t.cast("dict[str, t.Any]", sock.getpeercert() or {})
    names = tuple(name for _kind, name in shown.get("subjectAltName", ()))
    return Certificate(_moment(shown["notBefore"]), _moment(shown["notAfter"]), names)


def _moment(told: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(told), datetime.timezone.utc)


@contextlib.contextmanager
def _cut_after(seconds: float, sock: socket.socket, where: str) -> Iterator[None]:
    """Shut the connection down when the time is up: the socket's own timeout begins anew with every byte."""
    expired = threading.Event()

    def cut() -> None:
        expired.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's: that one also drops the TLS state in use

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if expired.is_set():
            raise _too_slow(where, seconds) from None
        raise
    finally:
        timer.cancel()
    if expired.is_set():  # an answer without a length ends wherever the connection ends
        raise _too_slow(where, seconds)


def _too_slow(where: str, seconds: float) -> Unreachable:
    return Unreachable(f"{where} did not answer within {seconds:g} s.", "Look at the log of the service behind it.")


@contextlib.contextmanager
def _errors_of(where: str, ca_path: str) -> Iterator[None]:
    """Turn what the standard library raises into one sentence."""
    try:
        yield
    except OpsError:
        raise
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message.rstrip(".")
        trusted = f"the system's CAs and {ca_path}" if ca_path else "the system's CAs (ca_path adds others)"
        hint = f"Install one that is valid for this name and signed by one of {trusted}."
        raise OpsError(f"The certificate of {where} is not valid: {reason}.", hint) from None
    except (socket.timeout, TimeoutError):
        raise Unreachable(f"{where} stopped answering.", "Look at the log of the service behind it.") from None
    except ConnectionRefusedError:
        raise Unreachable(
            f"Nothing listens at {where}.", "Start the service that should, or correct the URL."
        ) from None
    except http.client.InvalidURL as error:
        raise OpsError(f"{where} cannot be asked for ({error}).", "Correct the URL.") from None
    except (ssl.SSLEOFError, ConnectionError, http.client.IncompleteRead) as error:
        reason = "end of stream" if isinstance(error, ssl.SSLEOFError) else type(error).__name__
        raise Unreachable(
            f"{where} broke off the connection ({reason}).", "Look at the log of the service behind it."
        ) from None
    except ssl.SSLError as error:
        raise OpsError(
            f"{where} does not speak TLS that can be verified ({error.reason}).", "Look at its TLS setup."
        ) from None
    except http.client.HTTPException as error:
        raise OpsError(
            f"{where} does not speak HTTP ({type(error).__name__}).", "Look at what listens there."
        ) from None
    except OSError as error:
        raise Unreachable(f"{where} cannot be reached ({error.strerror or error}).", "Look at the network.") from None
