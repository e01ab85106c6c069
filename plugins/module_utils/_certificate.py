# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's certificate and key on disk: do they fit, whom do they name, how long do they last?

OpenSSL's own command is asked, which every host with TLS has. No key leaves it: the public halves are compared.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import shlex
import ssl
import stat
import time
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ._check import FAIL, PASS, UNKNOWN, WARN, Check, Outcome, timed
from ._errors import OpsError, Unreachable

DAY = 86400
LAST_DAYS = 7

Execute = t.Callable[..., "tuple[int, str, str]"]


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, and what is wanted of them.

    Attributes:
        certificate: file with the server's certificate first.
        key: file with its key.
        names: DNS names that it must cover.
        min_days: days that a long-lived certificate must still have.
        short_lived: a certificate made for so many days or fewer is judged by its own lifetime: a machine renews it.
        reader: user id that must be able to read the key without any special right.
    """

    certificate: Path
    key: Path
    names: Sequence[str] = ()
    min_days: int = 90
    short_lived: int = 100
    reader: int = 0


def examine(pair: Pair, execute: Execute, now: float | None = None) -> list[Check]:
    """Check the pair; what follows from a missing file is not asked."""
    moment = time.time() if now is None else now
    files = timed("tls.files", "Certificate and key are in place", (), lambda: judge_files(pair))
    looks: dict[str, tuple[str, t.Callable[[], Outcome]]] = {
        "tls.match": ("The key belongs to the certificate", lambda: _match(pair, execute)),
        "tls.names": ("The certificate names the domains", lambda: _names(pair, execute)),
        "tls.days": ("The certificate lasts", lambda: _days(pair, execute, moment)),
    }
    if files.status == FAIL:
        return [files, *(Check(name, title, UNKNOWN, "see tls.files") for name, (title, _look) in looks.items())]
    return [files, *(timed(name, title, (), look) for name, (title, look) in looks.items())]


def judge_files(pair: Pair) -> Outcome:
    for path in (pair.certificate, pair.key):
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "does not exist"
            return Outcome(FAIL, f"{path} {what}", f"Put the file there: {path}")
        if not path.stat().st_size:
            return Outcome(FAIL, f"{path} is empty", f"Put the file there again: {path}")
    return judge_key(pair.key, pair.key.stat().st_uid, stat.S_IMODE(pair.key.stat().st_mode), pair.reader)


def judge_key(path: Path, owner: int, mode: int, reader: int) -> Outcome:
    """Judge owner and mode: a server that may not override them, root or not, reads what its own user may read."""
    remedy = f"chown {reader} {shlex.quote(str(path))} && chmod 600 {shlex.quote(str(path))}"
    allowed = mode & 0o400 if owner == reader else mode & 0o004
    if not allowed:
        said = f"{path} (owner {owner}, mode {mode:04o}) cannot be read by user {reader}"
        return Outcome(FAIL, said, remedy)
    if mode & 0o044:
        return Outcome(WARN, f"{path} has mode {mode:04o}: others may read the key", remedy)
    return Outcome(PASS, f"both are there, the key with mode {mode:04o}")


def _openssl(execute: Execute, *arguments: str) -> str:
    try:
        rc, out, err = execute(["openssl", *arguments])
    except OpsError as error:
        raise Unreachable(error.problem, error.remedy) from None
    if rc:
        last = (err.strip().splitlines() or ["it printed nothing"])[-1]
        raise OpsError(f"openssl {arguments[0]} cannot read {arguments[2]}: {last}", f"Look at it: file {arguments[2]}")
    return out


def _match(pair: Pair, execute: Execute) -> Outcome:
    certified = _openssl(execute, "x509", "-in", str(pair.certificate), "-noout", "-pubkey")
    # An empty pass phrase on the command line: a protected key is refused at once, where openssl would wait for one.
    own = _openssl(execute, "pkey", "-in", str(pair.key), "-passin", "pass:", "-pubout")
    if certified.split() != own.split():
        return Outcome(FAIL, "the key belongs to another certificate", f"Put its own key at {pair.key}")
    return Outcome(PASS, "they have the same public key")


def _names(pair: Pair, execute: Execute) -> Outcome:
    covered = {
        name: "does match" in _openssl(execute, "x509", "-in", str(pair.certificate), "-noout", "-checkhost", name)
        for name in pair.names
    }
    missing = [name for name, good in covered.items() if not good]
    if missing:
        return Outcome(FAIL, f"it does not name {', '.join(missing)}", f"Get one for: {', '.join(pair.names)}")
    return Outcome(PASS, f"it names {', '.join(pair.names)}")


def _days(pair: Pair, execute: Execute, now: float) -> Outcome:
    printed = _openssl(execute, "x509", "-in", str(pair.certificate), "-noout", "-startdate", "-enddate")
    dates = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    start, end = (ssl.cert_time_to_seconds(dates[name].strip()) for name in ("notBefore", "notAfter"))
    return judge_days(start, end, now, pair.min_days, pair.short_lived)


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
