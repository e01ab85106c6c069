# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Compose project of a few lines, on the real engine, and our modules run on it by the real Ansible."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.testing import patch_module_args
from ansible_collections.prosaas import ops

IMAGE = "prosaas-demo/base:bookworm"
LABELS = {"ops.prosaas.demo": "true"}
COLLECTIONS = Path(next(iter(ops.__path__))).parents[2]


def ansible(name: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    """Run one module as an operator would; return its result."""
    argv = [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local"]
    argv += [
        "-m",
        f"prosaas.ops.{name}",
        "-a",
        json.dumps(options),
        "-e",
        f"ansible_python_interpreter={sys.executable}",
    ]
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(COLLECTIONS), os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")]),
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    done = subprocess.run(
        argv + (["--check", "--diff"] if check else []),
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    try:
        return t.cast("dict[str, t.Any]", json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["localhost"])
    except (ValueError, LookupError):
        raise AssertionError(f"no result\n{done.stdout}\n{done.stderr}") from None


def module(name: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    """Run one module by its arguments and its JSON as above, in this process: the same code in a tenth of the time."""
    internal = {"_ansible_check_mode": check, "_ansible_diff": check, "_ansible_module_name": name}
    printed = io.StringIO()
    main = importlib.import_module(f"ansible_collections.prosaas.ops.plugins.modules.{name}").main
    with (
        patch_module_args({**options, **internal}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main()
    return t.cast("dict[str, t.Any]", json.loads(printed.getvalue()))


def status(result: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Return the status of every check by its id."""
    return {check["id"]: check["status"] for check in result["checks"]}


def check(result: t.Mapping[str, t.Any], check_id: str) -> dict[str, t.Any]:
    return next(row for row in result["checks"] if row["id"] == check_id)


class Stack:
    """A project in a directory of its own."""

    def __init__(self, name: str, directory: Path, services: t.Mapping[str, t.Any], **top: t.Any) -> None:
        self.name, self.directory = name, directory
        self.write(services, **top)

    @property
    def options(self) -> dict[str, t.Any]:
        return {
            "project": self.name,
            "project_dir": str(self.directory),
            "compose_files": ["docker-compose.yml"],
            "state_dir": str(self.directory / "state"),
        }

    def write(self, services: t.Mapping[str, t.Any], **top: t.Any) -> None:
        base = {"image": IMAGE, "labels": LABELS, "init": True, "stop_signal": "SIGKILL"}
        model = {
            "services": {name: {**base, **service} for name, service in services.items()},
            "networks": {"default": {"labels": LABELS}},
            **top,
        }
        (self.directory / "docker-compose.yml").write_text(json.dumps(model), encoding="utf-8")

    def compose(self, *arguments: str, must: bool = True) -> str:
        argv = ["docker", "compose", "--project-directory", str(self.directory), "-p", self.name]
        argv += ["-f", str(self.directory / "docker-compose.yml"), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert not must or done.returncode == 0, done.stderr
        return done.stdout

    def container(self, service: str) -> str:
        return self.compose("ps", "-aq", service).strip()


@contextlib.contextmanager
def stack(
    name: str, directory: Path, services: t.Mapping[str, t.Any], up: bool = True, **top: t.Any
) -> Iterator[Stack]:
    """Start a project; whatever happens, nothing of it stays."""
    project = Stack(f"opstest-{name}-{os.getpid()}", directory, services, **top)
    try:
        if up:
            project.compose("up", "-d", "--quiet-pull")
        yield project
    finally:
        project.compose("down", "-v", "--remove-orphans", "-t", "0", must=False)
