# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a port really serves: which certificate for each name, by which protocol, and whether a client would take it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import typing as t
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ._certificate import Trust
from ._check import FAIL, PASS, SKIP, WARN, Outcome
from ._errors import OpsError, Unreachable

TIMEOUT = 5.0


class Port(t.NamedTuple):
    """Where to look, and whether the project's own proxy is what should answer."""

    address: str
    number: int
    container: str = ""  # name of the proxy's container; empty when there is none
    state: str = ""
    reload: str = ""  # command by which it reads its files again

    def told(self) -> str:
        return f"[{self.address}]:{self.number}" if ":" in self.address else f"{self.address}:{self.number}"


class Shown(t.NamedTuple):
    """What was shown for one name: the certificate's fingerprint, the protocol, and what a client would object to."""

    name: str
    fingerprint: str
    protocol: str
    objection: str


def look(port: Port, names: Sequence[str], trust: Trust) -> list[Shown]:
    """Shake hands once for each name without believing anything, and once more as a client does."""
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    anything.set_ciphers("DEFAULT@SECLEVEL=0")  # a weak key is to be seen, not refused
    strict = client(trust)
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda name: _shown(port, name, anything, strict), names))


def client(trust: Trust) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if trust.origin else ssl.create_default_context()
    if trust.ca_path:
        try:
            context.load_verify_locations(cafile=trust.ca_path)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or "it holds no certificate"
            raise OpsError(f"The CA file {trust.ca_path} cannot be used ({reason}).", "Correct ca_path.") from None
    return context


def _shown(port: Port, name: str, anything: ssl.SSLContext, strict: ssl.SSLContext) -> Shown:
    der, protocol = _shake(port, name, anything)
    try:
        _shake(port, name, strict)
        objection = ""
    except ssl.SSLCertVerificationError as error:
        objection = error.verify_message.rstrip(".")
    except ssl.SSLError as error:
        objection = str(error.reason or "it cannot be verified").lower().replace("_", " ")
    return Shown(name, hashlib.sha256(der).hexdigest(), protocol, objection)


def _shake(port: Port, name: str, context: ssl.SSLContext) -> tuple[bytes, str]:
    with socket.create_connection((port.address, port.number), timeout=TIMEOUT) as raw:
        with context.wrap_socket(raw, server_hostname=name) as connection:
            return connection.getpeercert(binary_form=True) or b"", connection.version() or ""


def judge(port: Port, names: Sequence[str], fingerprint: str, trust: Trust, mend: str) -> Outcome:
    """Judge whether the port serves the certificate of the file for every name, and a client would take it.

    Args:
        fingerprint: of the file's certificate.
        mend: why the file must not be served as it is; empty when it is good.
    """
    try:
        shown = look(port, names, trust)
    except ConnectionRefusedError:
        return _silent(port)
    except (socket.timeout, TimeoutError):
        raise Unreachable(
            f"{port.told()} did not answer within {TIMEOUT:g} s.", f"Look at: nc -vz {port.address} {port.number}"
        ) from None
    except ssl.SSLError as error:
        reason = str(error.reason or "no reason given").lower().replace("_", " ")
        remedy = f"Look at it: openssl s_client -connect {port.told()} -servername {names[0]}"
        return Outcome(FAIL, f"{port.told()} does not speak TLS 1.2 or newer ({reason})", remedy)
    except OSError as error:
        raise Unreachable(
            f"{port.told()} cannot be asked ({error.strerror or error}).",
            f"Look at: nc -vz {port.address} {port.number}",
        ) from None
    return _judge_shown(port, shown, fingerprint, mend)


def _silent(port: Port) -> Outcome:
    """A proxy that is down is what a deployment may be about to mend; one that runs and does not listen is a riddle."""
    logs = f"docker logs --tail 50 {port.container}"
    if port.state == "running":
        return Outcome(FAIL, f"{port.container} runs, and nothing listens at {port.told()}", logs)
    if port.state == "restarting":
        return Outcome(WARN, f"{port.container} dies and is restarted: nothing listens at {port.told()}", logs)
    return Outcome(SKIP, f"nothing runs at {port.told()} yet")


def _judge_shown(port: Port, shown: Sequence[Shown], fingerprint: str, mend: str) -> Outcome:
    others = [one for one in shown if one.fingerprint != fingerprint]
    if others:
        good = "which clients take" if not any(one.objection for one in others) else f"not valid: {others[0].objection}"
        names = ", ".join(one.name for one in others)
        said = f"{port.told()} serves another certificate than the file's for {names} ({good})"
        return Outcome(FAIL, said, _remedy(port, mend))
    refused = [one for one in shown if one.objection]
    if refused:
        said = (
            f"what {port.told()} serves for {', '.join(one.name for one in refused)} is refused: {refused[0].objection}"
        )
        return Outcome(FAIL, said, f"Mend the file ({mend}), then: {_reload(port)}" if mend else _reload(port))
    protocols = ", ".join(sorted({one.protocol for one in shown}))
    return Outcome(
        PASS, f"{port.told()} serves the file's certificate for {', '.join(s.name for s in shown)} ({protocols})"
    )


def _remedy(port: Port, mend: str) -> str:
    """Say what to do next: a proxy that reads a bad file stops serving the good certificate that it still has."""
    if port.state != "running":
        return f"Find out what listens there: ss -ltnp 'sport = :{port.number}'"
    if mend:
        return f"Mend the file first ({mend}), and do not reload the proxy before: it would serve the bad one"
    return _reload(port)


def _reload(port: Port) -> str:
    if port.state != "running":
        return f"Reload what listens at {port.told()}"
    return f"docker exec {port.container} {port.reload}" if port.reload else f"docker restart {port.container}"
