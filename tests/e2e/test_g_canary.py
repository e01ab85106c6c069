# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret leaves its place: not in what is printed or kept, not in temporary files, not in arguments of processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from canary import LOUD, hits, needles, nothing_leaks, secrets
from demo_stack import DEMO, PROJECT, ROOT, Stack

MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))

# What is run: playbook and its options. Together they use every role and every module.
GREEN = [
    ("preflight", []),
    ("verify", []),
    ("backup", []),
    ("restore", ["-e", "drill=true"]),
    ("restore", ["-e", "parts=volume:whatsapp_auth,file:*", "-e", "restore_overwrite=true", "-e", "restore_deploy=false"]),
    ("restore", ["-e", "restore_state=undone"]),
    ("monitor", ["-e", "monitor_record=true monitor_window=10", "-e", "monitor_textfile_dir={{ prosaas_records_dir }}/metrics"]),
    ("diagnose", []),
    ("deploy", ["-e", "commit=v1.2.0", "-e", "deploy_watch_window=2"]),
    ("rollback", ["-e", "reason=canary"]),
]
# The others in the soak; a rollback and a deployment are looked at in test_a_main_job.py, too.
SHORT = ("preflight", "backup", "monitor", "diagnose")
FAILING = [
    ("deploy", ["-e", "commit=no-such-branch"]),
    ("rollback", ["-e", "release=no-such-release", "-e", "reason=test"]),
]


class Runner:
    """Runs playbooks as loudly as can be and remembers what they print."""

    def __init__(self, seen: list[tuple[str, str]]) -> None:
        self.seen = seen

    def play(self, playbook: str, *options: str, **environment: str) -> int:
        done = subprocess.run(
            [".venv/bin/ansible-playbook", playbook, "-i", "inventories/demo", *LOUD, *options],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        self.seen.append((f"output of {playbook} {' '.join(options)}", done.stdout + done.stderr))
        print(done.stdout[-6000:])  # pytest shows it when the test fails
        return done.returncode


@pytest.fixture()
def runner(deployed: Stack) -> Iterator[Runner]:
    with contextlib.ExitStack() as at_the_end:
        yield Runner(at_the_end.enter_context(nothing_leaks()))


def test_the_canary_is_seen_where_it_is(deployed: Stack) -> None:
    """The search itself can fail: it finds each secret in the environment file, and pieces of it encoded."""
    found = secrets()
    assert len(found) > 10
    runs = needles(found)
    assert hits([("here", (PROJECT / ".env").read_text())], runs)
    secret = found["SECRET_KEY"]
    for text in (secret[3:11], secret.lower()[5:13], secret.encode().hex(), f"x{secret}".encode().hex()[10:40]):
        assert hits([("here", f"... {text} ...")], runs), text
    assert not hits([("here", "nothing of the kind, 0123456789abcdef0123456789abcdef")], runs)


@pytest.mark.parametrize(
    ("playbook", "options"),
    [
        pytest.param(name, options, id=" ".join([name, *options]), marks=[] if name in SHORT else [pytest.mark.soak])
        for name, options in GREEN
    ],
)
def test_when_all_is_well(runner: Runner, playbook: str, options: list[str]) -> None:
    (DEMO / "records/metrics").mkdir(mode=0o700, exist_ok=True)  # monitor makes no directory for a program of others
    assert runner.play(f"playbooks/{playbook}.yml", *options) == 0


@pytest.mark.soak
@pytest.mark.parametrize(("playbook", "options"), FAILING, ids=[name for name, _options in FAILING])
def test_when_it_fails(runner: Runner, playbook: str, options: list[str]) -> None:
    assert runner.play(f"playbooks/{playbook}.yml", *options) != 0


@pytest.mark.soak
def test_when_the_environment_file_is_broken(runner: Runner, deployed: Stack) -> None:
    """Every variable is at the wrong place, so that every message about a value has a secret to talk about."""
    path = PROJECT / ".env"
    before = path.read_text()
    names = [line.partition("=")[0] for line in before.splitlines() if "=" in line and not line.startswith("#")]
    values = [line.partition("=")[2] for line in before.splitlines() if "=" in line and not line.startswith("#")]
    secret = secrets()["SECRET_KEY"]
    shifted = [f"{name}={value}" for name, value in zip(names, [*values[7:], *values[:7]])]
    broken = {
        "shifted": "\n".join(shifted) + "\n",
        "every value a secret": "".join(f"{name}={secret}\n" for name in names),
        "dollars": before + f"ODD=\"a${secret[:20]}b\"\nODDER=${{{secret}\n",
        "no statement": before + f"{secret}\n{secret} {secret}=1\n",
        "open quote": before + f"LAST='{secret}\n",
    }
    try:
        for text in broken.values():
            path.write_text(text)
            assert runner.play("playbooks/preflight.yml") != 0
        runner.play("playbooks/verify.yml", "-e", "verify_health_deadline=5", "-e", "verify_health_window=1")
        runner.play("playbooks/backup.yml")
    finally:
        path.write_text(before)


@pytest.mark.parametrize("playbook", ["deploy", pytest.param("backup", marks=pytest.mark.soak)])
def test_when_a_module_breaks_with_a_secret_in_hand(runner: Runner, playbook: str) -> None:
    crash = {"PYTHONPATH": str(ROOT / "tests/e2e/crash"), "CANARY_ENV_FILE": str(PROJECT / ".env")}
    assert runner.play(f"playbooks/{playbook}.yml", **crash) != 0
    output = runner.seen[0][1]
    assert "Traceback" not in output
    assert "met an error of its own: RuntimeError" in output


@pytest.mark.soak
def test_when_the_arguments_are_wrong(runner: Runner, tmp_path: Path) -> None:
    tasks: list[dict[str, t.Any]] = []
    for module in MODULES:
        for arguments in ({"nonsense": 1}, {}, {"project_dir": str(PROJECT), "env_file": str(PROJECT / ".env"), "run": []}):
            tasks.append({"name": module, f"prosaas.ops.{module}": arguments, "ignore_errors": True})
    book = tmp_path / "wrong.yml"
    book.write_text(yaml.safe_dump([{"hosts": "prosaas", "gather_facts": False, "tasks": tasks}]))
    assert runner.play(str(book)) == 0
    assert "Traceback" not in runner.seen[0][1]
