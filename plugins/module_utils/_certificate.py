# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's certificates and key on disk: what they say, who vouches for them, and whether that will do.

OpenSSL's own command is asked, which every host with TLS has. No key leaves it: the public halves are compared.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import ssl
import stat
import time
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ._check import FAIL, PASS, WARN, Outcome
from ._errors import OpsError, Unreachable

DAY = 86400
LAST_DAYS = 7
LARGEST_FILE = 1 << 20
RSA_BITS = 2048
EC_BITS = 256
OPEN_TO_ALL = stat.S_IROTH | stat.S_IWOTH

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_KINDS = {"rsaEncryption": "RSA", "rsassaPss": "RSA", "id-ecPublicKey": "EC", "dsaEncryption": "DSA"}
# The system's CAs stay out of it when these are where OpenSSL looks for them.
_NO_CAS = {"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"}

Execute = t.Callable[..., "tuple[int, str, str]"]


@dataclass(frozen=True)
class Certificate:
    """What one certificate says; times are seconds since the epoch."""

    subject: str
    issuer: str
    start: float
    end: float
    names: tuple[str, ...]
    kind: str
    bits: int
    signature: str
    public_key: str
    fingerprint: str

    @property
    def short(self) -> str:
        return short(self.subject)


@dataclass(frozen=True)
class Trust:
    """Who may vouch for a certificate.

    Attributes:
        ca_path: file with CAs to trust besides the system's.
        origin: whether these alone count: a proxy in front is the only client, and trusts them only.
        private: where to get the root of authorities that no browser knows, by a part of their names.
    """

    ca_path: str = ""
    origin: bool = False
    private: Mapping[str, str] = field(default_factory=dict)


def judge_files(certificate: Path, key: Path) -> Outcome:
    """Judge whether both are files with something in them, and the key is private."""
    for path in (certificate, key):
        try:
            found = path.stat()
        except PermissionError:
            raise Unreachable(f"This user may not look at {path}.", "Run it with become: true.") from None
        except OSError:
            what = "is a symbolic link to nothing" if path.is_symlink() else "does not exist"
            return Outcome(FAIL, f"{path} {what}", f"Put the file there: {path}")
        if not stat.S_ISREG(found.st_mode):
            what = "is a directory" if stat.S_ISDIR(found.st_mode) else "is no file"
            return Outcome(FAIL, f"{path} {what}", f"Put the file there: {path}")
        if not found.st_size:
            return Outcome(FAIL, f"{path} is empty", f"Put the file there again: {path}")
    for path in (certificate, key):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OPEN_TO_ALL and _PRIVATE.search(_text(path)):
            remedy = f"chmod 600 {shlex.quote(str(path))}; get a new key if others use this host"
            return Outcome(WARN, f"{path} has mode {mode:04o}: everybody on this host may read the key", remedy)
    return Outcome(PASS, f"both are there, the key with mode {stat.S_IMODE(key.stat().st_mode):04o}")


def _text(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as stream:
            return stream.read(LARGEST_FILE)
    except OSError as error:
        raise Unreachable(f"{path} cannot be read ({error.strerror}).", "Run it with become: true.") from None


def read(path: Path, execute: Execute) -> list[Certificate]:
    """Return the certificates of a file, in its order."""
    blocks = _BLOCK.findall(_text(path))
    if not blocks:
        raise OpsError(f"{path} holds no certificate in PEM form.", f"Look at it: file {shlex.quote(str(path))}")
    return [_read_one(block, path, execute) for block in blocks]


def _read_one(block: str, path: Path, execute: Execute) -> Certificate:
    shown = ("-subject", "-issuer", "-startdate", "-enddate", "-pubkey", "-text")
    try:
        der = ssl.PEM_cert_to_DER_cert(block)
        printed = _openssl(execute, path, "x509", "-noout", "-nameopt", "RFC2253,-esc_msb", *shown, data=block)
        return parse(printed, hashlib.sha256(der).hexdigest())
    except (ValueError, LookupError):
        raise OpsError(f"{path} holds a damaged certificate.", f"Put the file there again: {path}") from None


def parse(printed: str, fingerprint: str) -> Certificate:
    """Read what ``openssl x509`` prints; ``LookupError`` where a part is missing."""

    def line(name: str) -> str:
        return _found(rf"^{name}=\s*(.*)$", printed)

    kind = _found(r"Public Key Algorithm: (\S+)", printed)
    bits = re.search(r"Public-Key: \((\d+) bit", printed)
    alternative = re.search(r"Subject Alternative Name:.*\n\s*(.+)", printed)
    return Certificate(
        subject=line("subject"),
        issuer=line("issuer"),
        start=ssl.cert_time_to_seconds(line("notBefore")),
        end=ssl.cert_time_to_seconds(line("notAfter")),
        names=tuple(re.findall(r"DNS:([^,\s]+)", alternative[1])) if alternative else (),
        kind=_KEY_KINDS.get(kind, kind),
        bits=int(bits[1]) if bits else 0,
        signature=_found(r"Signature Algorithm: (\S+)", printed),
        public_key="".join(_found(r"(?s)BEGIN PUBLIC KEY-----(.+?)-----END", printed).split()),
        fingerprint=fingerprint,
    )


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise LookupError(pattern)
    return found[1]


def _openssl(execute: Execute, path: Path, *arguments: str, **options: t.Any) -> str:
    try:
        rc, out, err = execute(["openssl", *arguments], **options)
    except OpsError as error:
        raise Unreachable(error.problem, error.remedy) from None
    if rc:
        last = (err.strip().splitlines() or ["it printed nothing"])[-1]
        raise OpsError(f"openssl {arguments[0]} cannot read {path}: {last}", f"Look at it: file {path}")
    return out


def judge_match(found: Sequence[Certificate], key: Path, execute: Execute) -> Outcome:
    """Judge whether the key is that of the first certificate, which is the one that servers present."""
    # An empty pass phrase on the command line: a protected key is refused at once, where openssl would wait for one.
    printed = _openssl(execute, key, "pkey", "-in", str(key), "-passin", "pass:", "-pubout")
    own = "".join(_found(r"(?s)BEGIN PUBLIC KEY-----(.+?)-----END", printed).split())
    matching = [number for number, one in enumerate(found, 1) if one.public_key == own]
    if not matching:
        return Outcome(FAIL, f"the key is not that of {found[0].short}", f"Put the certificate's own key at {key}")
    if matching[0] != 1:
        said = f"the key is that of certificate {matching[0]} in the file, and servers present the first"
        return Outcome(FAIL, said, "Put the server's own certificate first, then those that vouch for it.")
    return Outcome(PASS, f"both have the same public key ({found[0].kind}, {found[0].bits} bits)")


def covers(pattern: str, name: str) -> bool:
    """Whether a name in a certificate stands for a host name: a star is one whole label, the first."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return bool(name.partition(".")[0]) and name.partition(".")[2] == pattern[2:]
    return pattern == name


def judge_names(leaf: Certificate, names: Sequence[str]) -> Outcome:
    missing = [name for name in names if not any(covers(pattern, name) for pattern in leaf.names)]
    if missing:
        has = ", ".join(leaf.names) or "nobody by a Subject Alternative Name, which is what clients go by"
        said = f"it does not name {', '.join(missing)}; it names {has}"
        return Outcome(FAIL, said, f"Get one for all of {', '.join(names)}")
    return Outcome(PASS, f"it names {', '.join(names)}")


def path_up(found: Sequence[Certificate]) -> list[Certificate]:
    """Return the first certificate and those of the file that vouch for each other above it."""
    chain = [found[0]]
    while chain[-1].subject != chain[-1].issuer:
        above = next((one for one in found if one.subject == chain[-1].issuer and one not in chain), None)
        if above is None:
            break
        chain.append(above)
    return chain


def judge_chain(
    path: Path, found: Sequence[Certificate], trust: Trust, execute: Execute, now: float | None = None
) -> Outcome:
    """Judge whether clients that get this file can follow it to an authority that they trust."""
    moment = time.time() if now is None else now
    chain = path_up(found)
    if trust.origin and not trust.ca_path:
        return Outcome(FAIL, f"signed by {short(chain[-1].issuer)}, and no CA is given for it", _root_of(chain, trust))
    for one in chain[1:]:
        if not one.start <= moment <= one.end:
            said = f"intermediate {one.short} {'is not valid yet' if moment < one.start else 'has expired'}"
            return Outcome(FAIL, said, f"Put the current one of {short(one.issuer)} into {path}")
    in_time = found[0].start <= moment <= found[0].end  # else that is said by another check
    error, who = _verify(path, trust, in_time, execute)
    if error:
        return _broken(path, chain, error, trust)
    told = f"{chain[0].short}, {len(chain) - 1} in between, leads to {who}" if len(chain) > 1 else f"signed by {who}"
    if list(found[: len(chain)]) != chain:
        said = f"{told}, but the file has them in another order, which some clients refuse"
        return Outcome(WARN, said, f"Put them in this order into {path}: " + ", ".join(one.short for one in chain))
    return Outcome(PASS, told)


def _verify(path: Path, trust: Trust, in_time: bool, execute: Execute) -> tuple[str, str]:
    """Return what OpenSSL objects to, or else who vouches for the certificate."""
    argv = ["openssl", "verify", "-show_chain", "-nameopt", "RFC2253,-esc_msb", "-purpose", "sslserver"]
    argv += [] if in_time else ["-no_check_time"]
    tries: list[tuple[list[str], dict[str, str], str]] = []
    if not trust.origin:
        tries.append(([], {}, "a CA of this system"))
    if trust.ca_path:
        tries.append((["-CAfile", trust.ca_path], _NO_CAS, f"the CA in {trust.ca_path}"))
    objections = []
    for authority, environment, who in tries:
        rc, out, err = execute([*argv, *authority, "-untrusted", str(path), str(path)], environ_update=environment)
        if not rc:
            roots = re.findall(r"^depth=\d+: (.*?)(?: \(untrusted\))?$", out, re.MULTILINE)
            return "", f"{short(roots[-1])}, {who}" if roots else who
        objection = re.search(r"^error (\d+) at \d+ depth lookup: ?(.*)$", f"{out}\n{err}", re.MULTILINE)
        if not objection:
            last = (err.strip().splitlines() or ["it printed nothing"])[-1]
            raise OpsError(f"openssl verify did not work: {last}", f"Look at {trust.ca_path or path}")
        objections.append(f"{objection[2].rstrip('.')} (OpenSSL's error {objection[1]})")
    return objections[-1], ""


def _broken(path: Path, chain: Sequence[Certificate], error: str, trust: Trust) -> Outcome:
    top = chain[-1]
    if top.subject == top.issuer and len(chain) == 1:
        return Outcome(FAIL, f"{top.short} is signed by itself: nobody vouches for it", "Get one from an authority.")
    missing = "" if top.subject == top.issuer else f"; {short(top.issuer)} is neither in the file nor trusted"
    if any(part.lower() in top.issuer.lower() for part in trust.private):
        said = f"signed by {short(top.issuer)}, which no browser trusts, and its root is not given"
        return Outcome(FAIL, said, _root_of(chain, trust))
    remedy = f"Put the intermediates of {short(top.issuer)} behind the certificate in {path} (the full chain)"
    return Outcome(FAIL, f"{error}{missing}", remedy)


def _root_of(chain: Sequence[Certificate], trust: Trust) -> str:
    issuer = chain[-1].issuer
    where = [url for part, url in trust.private.items() if part.lower() in issuer.lower()]
    got = f" ({where[0]})" if where else ""
    return f"Put the root of {short(issuer)}{got} on the host, and name it as ca_path with trust: origin"


def judge_strength(found: Sequence[Certificate]) -> Outcome:
    """Judge keys and signatures; that of a root counts for nothing, since it is trusted by itself."""
    chain = path_up(found)
    weak = []
    for one in chain:
        if one.kind == "DSA" or (one.kind, one.bits < RSA_BITS) == ("RSA", True):
            weak.append(f"{one.short} has a key of {one.bits} bits ({one.kind})")
        if one.kind == "EC" and one.bits < EC_BITS:
            weak.append(f"{one.short} has a key of {one.bits} bits (EC)")
        if re.search(r"md[245]|sha-?1(?![0-9])", one.signature, re.IGNORECASE) and one.subject != one.issuer:
            weak.append(f"{one.short} is signed with {one.signature}")
    if weak:
        remedy = "Get a new certificate for a new key: openssl ecparam -name prime256v1 -genkey, or RSA of 2048 bits"
        return Outcome(FAIL, "; ".join(weak), remedy)
    leaf = chain[0]
    return Outcome(PASS, f"{leaf.kind} of {leaf.bits} bits, {leaf.signature}")


def judge_days(start: float, end: float, now: float, min_days: int, short_lived: int) -> Outcome:
    """Judge the days left: against ``min_days``, or against its own lifetime where that is too short for it."""
    lifetime, left = (end - start) / DAY, (end - now) / DAY
    told = f"{left:.0f} of {lifetime:.0f} days are left"
    if now < start:
        return Outcome(FAIL, f"it is valid only in {(start - now) / DAY:.1f} days", "Look at the clock: date -u")
    if left <= 0:
        return Outcome(FAIL, f"it expired {-left:.0f} days ago", "Renew it.")
    if lifetime > short_lived:
        return Outcome(PASS, told) if left >= min_days else Outcome(FAIL, f"{told}, {min_days} are wanted", "Renew it.")
    if left < LAST_DAYS:
        return Outcome(FAIL, f"{told}", "Renew it now, and find out why its renewal has not run.")
    if left < lifetime / 3:
        return Outcome(WARN, f"{told}, its renewal is due", "Look at the renewal: systemctl list-timers")
    return Outcome(PASS, f"{told} (a short-lived one, renewed by a machine)")


def short(name: str) -> str:
    """Return the part of a distinguished name that people call it by."""
    for part in ("CN", "OU", "O"):
        found = re.search(rf"(?:^|[,+]){part}=((?:\\.|[^,+\\])+)", name)
        if found:
            return re.sub(r"\\(.)", r"\1", found[1])
    return name or "nobody"
