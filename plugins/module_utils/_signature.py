# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of files, made and verified by ``ssh-keygen -Y``, with keys that operators have anyway.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import subprocess
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ._errors import OpsError

NAMESPACE = "prosaas-record"
SUFFIX = ".sig"
SECONDS = 30.0  # a key in hardware may wait for a finger
# Good: by a key that is allowed. Fits: by some key, nobody has said which are allowed. Unverified: could not be looked at.
GOOD, FITS, BAD, OTHER_KEY, UNSIGNED, UNVERIFIED = "good", "fits", "bad", "other key", "unsigned", "unverified"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_AT_ONCE = min(8, 2 * (os.cpu_count() or 1))


class Signed(t.NamedTuple):
    """What a signature is worth.

    Attributes:
        state: one of ``good``, ``fits``, ``bad``, ``other key``, ``unsigned``, ``unverified``.
        by: who signed: the name from the file of allowed signers, or the fingerprint of the key.
        why: what is wrong, where something is.
    """

    state: str
    by: str = ""
    why: str = ""


class Asked(t.NamedTuple):
    """A file whose signature lies beside it, and the time (``YYYYMMDDhhmmss``, UTC) at which its key had to be allowed."""

    path: Path
    at: str = ""


def signature_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def sign(key: str, path: Path, seconds: float = SECONDS) -> None:
    """Sign a file; the signature is ``<file>.sig`` beside it, mode 0600. Nothing is ever asked of a person.

    Args:
        key: path of the private key, or of the public one whose private half the agent has.

    Raises:
        OpsError: the key cannot sign; there is no signature then, not even an old one.
    """
    given = Path(key).expanduser()
    made = signature_of(path)
    made.unlink(missing_ok=True)
    if not given.is_file():
        raise OpsError(
            f"There is no key {given} on the controller.",
            f"Make one (ssh-keygen -t ed25519 -f {given}), or set prosaas_records_key to the one that you have.",
        )
    code, _out, said = _run(["sign", "-n", NAMESPACE, "-f", str(given), str(path)], None, seconds)
    if code or not made.exists():
        made.unlink(missing_ok=True)
        raise OpsError(
            f"The key {given} cannot sign without asking: {said}.",
            f"Give it to the agent (ssh-add {str(given)[:-4] if given.suffix == '.pub' else given}), and see that "
            "SSH_AUTH_SOCK is set where the playbook runs; or name a key without a passphrase.",
        )
    made.chmod(0o600)


def verify(asked: Sequence[Asked], allowed: str) -> list[Signed]:
    """Verify many signatures, side by side; the answers are in the order of the questions.

    Args:
        allowed: path of the file of allowed signers; empty to ask only whether each signature fits its file.
    """
    try:
        signers = _Signers(_readable(allowed)) if allowed else None
    except OpsError as error:
        return [Signed(UNVERIFIED, why=str(error)) for _one in asked]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda one: _verify(one, signers), asked))


def key_of(armored: str) -> bytes:
    """Return the public key that a signature names, in the form of the wire; ``ValueError`` when it is no signature."""
    text = armored.strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise ValueError("it is no SSH signature")
    try:
        blob = base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except binascii.Error:
        raise ValueError("it is damaged") from None
    start = len(_MAGIC) + 8  # magic, version, length of the key
    end = start + int.from_bytes(blob[start - 4 : start], "big")
    if not blob.startswith(_MAGIC) or not start < end <= len(blob):
        raise ValueError("it is damaged")
    return blob[start:end]


def fingerprint(key: bytes) -> str:
    """Return a public key's name as ``ssh-keygen -l`` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


class _Signers:
    """Who may sign, by the file of allowed signers; each key is looked up once."""

    def __init__(self, allowed: Path) -> None:
        self.allowed = allowed
        self._known: dict[bytes, str] = {}

    def of(self, key: bytes, one: Asked) -> str:
        """Return the first name that is allowed to sign with this key at that time, or an empty one."""
        if key not in self._known:
            code, out, _said = _run(
                ["find-principals", *_at(one), "-f", str(self.allowed), "-s", str(signature_of(one.path))], None
            )
            names = [] if code else [name for name in out.split("\n") if name and not name.startswith("!")]
            if not names:  # perhaps it is at another time: not remembered
                return ""
            self._known[key] = names[0]
        return self._known[key]


def _verify(one: Asked, signers: _Signers | None) -> Signed:
    try:
        key = key_of(signature_of(one.path).read_text(encoding="ascii"))
    except FileNotFoundError:
        return Signed(UNSIGNED, why="it is not signed")
    except OSError as error:
        return Signed(UNVERIFIED, why=f"{signature_of(one.path)} cannot be read: {error.strerror}")
    except ValueError as error:
        said = "it is damaged" if isinstance(error, UnicodeError) else error
        return Signed(BAD, why=f"its signature cannot be used: {said}")
    try:
        return _verify_by(one, key, signers)
    except OpsError as error:
        return Signed(UNVERIFIED, why=str(error))


def _verify_by(one: Asked, key: bytes, signers: _Signers | None) -> Signed:
    signature = ["-n", NAMESPACE, "-s", str(signature_of(one.path))]
    name = signers.of(key, one) if signers else ""
    if signers and name:
        code, _out, _said = _run(["verify", *_at(one), "-f", str(signers.allowed), "-I", name, *signature], one.path)
        if code == 0:
            return Signed(GOOD, name)
    code, _out, said = _run(["check-novalidate", *signature], one.path)
    if code:
        return Signed(BAD, fingerprint(key), f"its signature does not fit: {said}")
    if signers:
        return Signed(OTHER_KEY, fingerprint(key), f"it is signed by {fingerprint(key)}, which is not allowed")
    return Signed(FITS, fingerprint(key))


def _at(one: Asked) -> list[str]:
    return [f"-Overify-time={one.at}"] if one.at else []


def _readable(allowed: str) -> Path:
    path = Path(allowed).expanduser()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise OpsError(
            f"The file of allowed signers {path} cannot be read: {error.strerror}.",
            "Set prosaas_records_allowed_signers to the file that has a line NAME PUBLIC-KEY for each operator.",
        ) from None
    if not any(line.strip() and not line.startswith("#") for line in lines):
        raise OpsError(f"The file of allowed signers {path} names nobody.", "Add a line NAME PUBLIC-KEY for each operator.")
    return path


def _run(arguments: Iterable[str], data: Path | None, seconds: float = SECONDS) -> tuple[int, str, str]:
    """Run ``ssh-keygen -Y`` with no terminal and no way to ask; return code, output and its first complaint."""
    argv = ["ssh-keygen", "-Y", *arguments]
    try:
        with open(data or os.devnull, "rb") as stream:
            done = subprocess.run(
                argv,
                stdin=stream,
                capture_output=True,
                env=_quiet(os.environ),
                start_new_session=True,  # so that it has no terminal to ask at
                timeout=seconds,
                check=False,
            )
    except OSError as error:
        if error.filename == argv[0]:
            raise OpsError("ssh-keygen cannot be run here.", "Install OpenSSH 8.9 or newer (openssh-client).") from None
        raise OpsError(f"{error.filename} cannot be read: {error.strerror}.", "Look at its owner and mode.") from None
    except subprocess.TimeoutExpired:
        return 1, "", f"there was no answer in {seconds:.0f} s"
    said = done.stderr.decode(errors="replace").strip().splitlines()
    out = done.stdout.decode(errors="replace")
    complaints = [line.strip().rstrip(".") for line in said if line.strip()] or [f"ssh-keygen ended with {done.returncode}"]
    return done.returncode, out, complaints[0]


def _quiet(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would let it ask in a window; times are UTC, texts in English."""
    kept = {name: value for name, value in environment.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS")}
    return {**kept, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C", "TZ": "UTC"}
