# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the certificate that the edge serves: made with the demo's own authority, and taken back."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from demo_stack import DEMO, PROJECT, run

from . import Fault

FOLDER = PROJECT / "docker/nginx/ssl"
CERTIFICATE, KEY = FOLDER / "prosaas-origin.crt", FOLDER / "prosaas-origin.key"
NAMES = "DNS:prosaas.test,DNS:www.prosaas.test,DNS:n8n.prosaas.test"
NEEDS_FILES = ("tls.readable", "tls.match", "tls.names", "tls.chain", "tls.strength", "tls.days", "tls.served")


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Both files come back as they were, with owner and mode."""
    before = [(path, path.read_bytes(), path.stat()) for path in (CERTIFICATE, KEY)]
    try:
        yield
    finally:
        for path, content, found in before:
            path.write_bytes(content)
            path.chmod(found.st_mode)
            os.chown(path, found.st_uid, found.st_gid)


def issue(new_key: str, digest: str, days: int = 365) -> None:
    """Put a certificate of the demo's authority, for the right names, in place, with a key of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        request, extensions = Path(scratch, "request"), Path(scratch, "extensions")
        extensions.write_text(f"subjectAltName={NAMES}\nextendedKeyUsage=serverAuth\n", encoding="ascii")
        run(
            "openssl",
            "req",
            "-new",
            "-newkey",
            new_key,
            "-nodes",
            "-subj",
            "/CN=prosaas.test",
            "-keyout",
            KEY,
            "-out",
            request,
        )
        authority = ["-CA", DEMO / "ca/ca.crt", "-CAkey", DEMO / "ca/ca.key", "-set_serial", "4711"]
        sign = ["openssl", "x509", "-req", f"-{digest}", "-days", str(days), "-in", request, "-extfile", extensions]
        run(*sign, *authority, "-out", CERTIFICATE)


@contextlib.contextmanager
def renewed() -> Iterator[None]:
    with kept():
        issue("rsa:2048", "sha256")
        yield


@contextlib.contextmanager
def of_another_site() -> Iterator[None]:
    with kept(), tempfile.TemporaryDirectory() as scratch:
        run(
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "5",
                "-subj",
                "/CN=old.prosaas.test",
            ),
            *("-addext", "subjectAltName=DNS:old.prosaas.test", "-keyout", f"{scratch}/key", "-out", CERTIFICATE),
        )
        yield


@contextlib.contextmanager
def weak_and_of_a_user() -> Iterator[None]:
    with kept():
        issue("rsa:1024", "sha1")
        os.chown(KEY, 1000, 1000)
        KEY.chmod(0o600)
        yield


@contextlib.contextmanager
def without_a_key() -> Iterator[None]:
    with kept():
        KEY.unlink()
        yield


FAULTS: list[Fault] = [
    Fault(
        "the certificate was renewed, and nginx has not read it", renewed, {"tls.served": "fail", "tls.match": "pass"}
    ),
    Fault(
        "the certificate of another site was put in place",
        of_another_site,
        dict.fromkeys(("tls.match", "tls.names", "tls.chain", "tls.days", "tls.served"), "fail"),
    ),
    Fault(
        "the key is short, and belongs to the user who made it",
        weak_and_of_a_user,
        {"tls.strength": "fail", "tls.readable": "fail", "tls.match": "pass"},
    ),
    Fault("the key is gone", without_a_key, {"tls.files": "fail", **dict.fromkeys(NEEDS_FILES, "unknown")}),
]
