# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the demo's secrets wherever they must not be: plain, encoded, or any few characters of them in a row."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import tarfile
import tempfile
import threading
import time
import typing as t
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from demo_stack import DEMO, PROJECT, ROOT

LEAST = 32  # characters of a secret that serves as a canary
RUN = 8  # characters in a row that give it away
HEX_RUN = 16  # of hexadecimal digits, which are everywhere
SECRET_TYPES = ("secret", "fernet", "prefix", "postgres_dsn")
TEMPORARY = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path.home() / ".ansible/tmp"]
LOUD = ("-vvvv", "--diff")
ENGINE = "runc-process"  # the engine's own: the environment of a container, at each exec and each health check
_HEX = re.compile(r"[0-9a-fA-F]+")


def secrets() -> dict[str, str]:
    """Return the secrets of the demo by name: those of the application's variables, and those of its cloud."""
    policy = yaml.safe_load((ROOT / "roles/preflight/defaults/main/env.yml").read_text(encoding="utf-8"))
    kinds = {name: entry.get("type") for name, entry in policy["preflight_env_schema"].items()}
    files = [path for path in (DEMO / "secrets").iterdir() if path.suffix != ".json"]
    found = {path.name: path.read_text().strip() for path in files if path.suffix != ".env"}
    for line in (line for path in files if path.suffix == ".env" for line in path.read_text().splitlines()):
        found[line.partition("=")[0]] = line.partition("=")[2]
    for line in (PROJECT / ".env").read_text().splitlines():
        name, _equals, value = line.partition("=")
        if kinds.get(name) in SECRET_TYPES:
            password = urllib.parse.urlsplit(value).password if "://" in value else value
            found[name] = password or ""
    return {name: value for name, value in found.items() if len(value) >= LEAST}


def encoded(secret: str) -> Iterator[str]:
    """Yield a secret as it may stand in a text."""
    yield secret
    yield secret.lower()
    yield urllib.parse.quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield secret.encode().hex()
    for offset in range(3):  # as part of a longer text, base64 has three forms of it
        whole = base64.b64encode(b"\0" * offset + secret.encode()).decode()
        yield whole[4 if offset else 0 : -4]


def needles(found: t.Mapping[str, str]) -> dict[str, str]:
    """Return every run of characters that gives a secret away, with the name of the secret."""
    runs: dict[str, str] = {}
    for name, secret in found.items():
        for text in encoded(secret):
            length = HEX_RUN if _HEX.fullmatch(text) else RUN
            runs.update({text[at : at + length]: name for at in range(len(text) - length + 1)})
    return runs


def hits(texts: Iterable[tuple[str, str]], runs: t.Mapping[str, str]) -> list[str]:
    """Return where a secret shows: the place, the secret's name, and what stands before it."""
    found = []
    for place, text in texts:
        for length in (RUN, HEX_RUN):
            for at in range(len(text) - length + 1):
                name = runs.get(text[at : at + length])
                if name:
                    found.append(f"{place}: {name} after {text[max(0, at - 60) : at]!r}")
                    break
    return found


@contextlib.contextmanager
def nothing_leaks() -> Iterator[list[tuple[str, str]]]:
    """Look at all that could be seen of what is done within: processes, temporary files, what is kept, what the caller adds."""
    runs, began = needles(secrets()), time.time()
    seen: list[tuple[str, str]] = []
    with Watch() as watch:
        yield seen
    assert hits([*seen, *watch.texts, *kept(began)], runs) == []


class Watch:
    """Reads the arguments of every process and every new temporary file while something runs."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], None] = {}
        self._began = time.time()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.03):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                self._read("arguments of a process", path)
            for folder in TEMPORARY:
                with contextlib.suppress(OSError):  # a folder has gone while it was read
                    for path in folder.rglob("*"):
                        if path.name.startswith(ENGINE) or path.is_relative_to(ROOT):
                            continue  # a checkout may lie here, with all that the demo keeps
                        if path.is_file() and path.stat().st_mtime >= self._began and path.stat().st_size < 1 << 20:
                            self._read(str(path), path)

    def _read(self, place: str, path: Path) -> None:
        with contextlib.suppress(OSError):  # it has ended, or is gone
            self.texts[place, path.read_bytes().decode("latin-1")] = None


def kept(since: float) -> Iterator[tuple[str, str]]:
    """Yield what runs have left behind; the releases, which hold the configuration itself, are no part of it."""
    for top in ("records", "diagnose", "state/records", "state/runs"):
        for path in sorted((DEMO / top).rglob("*")):
            if path.is_file() and path.stat().st_mtime >= since:
                yield from _unpacked(path) if path.name.endswith(".tar.gz") else [(str(path), path.read_text(errors="replace"))]


def _unpacked(path: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            yield f"{path.name}: {member.name}", content.read().decode(errors="replace") if content else ""
