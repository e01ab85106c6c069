# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the stack, a file per subject of verify: how each is made, and which checks it must turn to what.

A fault changes the stack (a container, Redis, the database, the cloud), never our variables and never a mock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from demo_stack import PROJECT, run


def container(service: str) -> str:
    """Return the newest container of a service: the number in its name goes up with every switch."""
    labels = ("com.docker.compose.project=prosaasil", f"com.docker.compose.service={service}")
    return run("docker", "ps", "-aq", *(word for label in labels for word in ("--filter", f"label={label}"))).split()[0]


@contextmanager
def stopped(service: str) -> Iterator[None]:
    there = container(service)
    run("docker", "stop", "-t", "1", there)
    try:
        yield
    finally:
        run("docker", "start", there)
        if service == "baileys":
            open_sessions()


@contextmanager
def by_hand(service: str, **changes: object) -> Iterator[None]:
    """Somebody recreated a container by hand, with something else about it."""
    files = ["-f", "docker-compose.yml", "-f", "docker-compose.prod.yml"]
    up = ["up", "-d", "--no-build", "--no-deps", "--wait", service]
    override = PROJECT / "by-hand.json"
    override.write_text(json.dumps({"services": {service: changes}}))
    run("docker", "compose", *files, "-f", override, *up, cwd=PROJECT)
    override.unlink()
    # As a person would: the proxy looks up the new address.
    run("docker", "exec", container("nginx"), "nginx", "-s", "reload")
    try:
        yield
    finally:
        run("docker", "compose", *files, *up, cwd=PROJECT)
        run("docker", "exec", container("nginx"), "nginx", "-s", "reload")
        if service == "baileys":
            open_sessions()


def open_sessions() -> None:
    """Start the WhatsApp session again, as somebody does in the user interface: the service does not by itself."""
    ask = 'curl -fsS --retry 30 --retry-delay 1 --retry-all-errors -X POST -H "X-Internal-Secret: $INTERNAL_SECRET"'
    url = "http://baileys:3300/whatsapp/business_1/start"
    run("docker", "exec", container("prosaas-api"), "sh", "-c", f"{ask} {url}")
