# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of what is asked at the edge and inside: no edge, a dead application behind it, a broken page, a certificate."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from demo_stack import ROOT, run
from faults import Fault, both
from faults.tls import CERTIFICATE, KEY, kept

from verify_faults import by_hand, container, stopped

FRONTEND = ROOT / "demo/prosaas/frontend"
SOMETHING_ELSE = ("docker", "run", "-d", "--network", "prosaas-net", "prosaas-demo/base:bookworm", "sleep", "600")
PUBLIC = ("endpoint.health", "endpoint.http", "endpoint.api_health", "endpoint.frontend", "endpoint.n8n")
REST_ON_THE_PAGE = ("endpoint.frontend.assets", "page.login.form", "page.login.requests", "page.login.console")


@contextlib.contextmanager
def broken_page() -> Iterator[None]:
    """Page and files are not of one build: no password, a style that is gone, a script whose place the index takes."""
    with tempfile.TemporaryDirectory() as scratch:
        html, assets = Path(scratch), Path(scratch, "assets")
        html.chmod(0o755)  # the frontend reads it as a user of its own
        assets.mkdir()
        page = (FRONTEND / "index.html").read_text(encoding="utf-8")
        page = page.replace('type="password"', 'type="text"').replace("</head>", '<script src="/sw.js"></script></head>')
        (html / "index.html").write_text(page, encoding="utf-8")
        (assets / "app.js").write_text("missing.start();\n", encoding="ascii")
        with by_hand("frontend", volumes=[f"{scratch}:/usr/share/nginx/html:ro"]):
            yield


@contextlib.contextmanager
def certificate_of_another_site() -> Iterator[None]:
    """It was put in place with its key, and nginx has read it."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", "/CN=old.prosaas.test"]
    try:
        with kept():
            run(*make, "-addext", "subjectAltName=DNS:old.prosaas.test", "-keyout", KEY, "-out", CERTIFICATE)
            run("docker", "exec", container("nginx"), "nginx", "-s", "reload")
            yield
    finally:
        run("docker", "exec", container("nginx"), "nginx", "-s", "reload")


@contextlib.contextmanager
def another_address(service: str) -> Iterator[None]:
    """It was started again when something else had taken its address, and nobody told the proxy."""
    there, others = container(service), list[str]()
    old = address(there)
    run("docker", "stop", "-t", "1", there)
    try:
        while old not in map(address, others):  # the engine gives the lowest one that is free
            assert len(others) < 10, "its address is given to nobody"
            others.append(run(*SOMETHING_ELSE).strip())
        run("docker", "start", there)
        yield
    finally:
        run("docker", "rm", "-f", *others)
        run("docker", "restart", "-t", "1", there)
        run("docker", "exec", container("nginx"), "nginx", "-s", "reload")


def address(there: str) -> str:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return run("docker", "inspect", "--format", form, there).strip()


FAULTS: list[Fault] = [
    Fault(
        "nginx is stopped",
        lambda: stopped("nginx"),
        {
            **dict.fromkeys([*PUBLIC, "page.login.opens"], "fail"),
            **dict.fromkeys([*REST_ON_THE_PAGE, "endpoint.health.certificate"], "unknown"),
            **dict.fromkeys(["endpoint.readyz", "endpoint.health_details", "endpoint.baileys"], "pass"),
        },
    ),
    Fault(
        "the API is healthy and its application did not start (trap 4), the calls and WhatsApp services are stopped",
        # WhatsApp first, so that it comes back last: its start needs the API.
        lambda: both(
            lambda: stopped("baileys"),
            lambda: by_hand("prosaas-api", environment={"ATTACHMENT_STORAGE_DRIVER": "local"}),
            lambda: stopped("prosaas-calls"),
        ),
        {
            **dict.fromkeys(["endpoint.api_health", "endpoint.readyz", "endpoint.health_details"], "fail"),
            **{"endpoint.baileys": "fail", "page.login.requests": "fail", "endpoint.health": "pass"},
        },
    ),
    Fault(
        "page and files of the frontend are not of one build",
        broken_page,
        {**dict.fromkeys(REST_ON_THE_PAGE, "fail"), "endpoint.frontend": "pass", "page.login.opens": "pass"},
    ),
    Fault(
        "the frontend has another address than nginx knows (trap 20)",
        lambda: another_address("frontend"),
        {
            **dict.fromkeys(["endpoint.frontend", "page.login.opens"], "fail"),
            **{"endpoint.frontend.assets": "unknown", "endpoint.api_health": "pass", "endpoint.health": "pass"},
        },
    ),
    Fault(
        "the certificate of another site is served",
        certificate_of_another_site,
        dict.fromkeys(["endpoint.health.certificate", "endpoint.health", "page.login.opens"], "fail"),
    ),
]
