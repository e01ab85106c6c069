# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times log_check and docker logs | grep -E on the same log, in turn; prints how, the ratio and the peak of memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICE = "prosaas-calls"
PROJECT = "opsbench"
NAME = f"{PROJECT}-{SERVICE}-1"
# What the checklist searches the log of this service for.
GREP = "CRITICAL|ERROR|worker|capacity"
# Lines of both formats; one of a thousand is an error.
PRINTS = """
import sys
left, number = int(sys.argv[1]) << 20, 0
print('[2026-11-25 10:00:00] INFO     [asgi] Flask app warmup complete')
while left > 0:
    number += 1
    level = 'ERROR' if number % 1000 == 0 else 'INFO'
    line = f'2026-11-25 10:00:00,{number % 1000:03} [{level}] server.media_ws_ai: frame {number:09} went out in 12.3 ms\\n'
    sys.stdout.write(line)
    left -= len(line)
"""


class Took(t.NamedTuple):
    """Seconds by the wall; peak of resident memory in MiB, of one process."""

    seconds: float
    peak: float = 0.0


def docker(*argv: str) -> str:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=True).stdout.strip()


def printed(mib: int) -> None:
    labels = {
        "ops.prosaas.demo": "true",
        "com.docker.compose.project": PROJECT,
        "com.docker.compose.service": SERVICE,
    }
    given = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    docker(
        "run",
        "-d",
        "--name",
        NAME,
        "--log-driver",
        "json-file",
        *given,
        "prosaas-demo/base:bookworm",
        "python3",
        "-c",
        PRINTS,
        str(mib),
    )
    docker("wait", NAME)


def ours(state: Path) -> Took:
    """Run the module as Ansible does on the host: one process, its options as JSON."""
    policy = yaml.safe_load((ROOT / "roles/verify/defaults/main/logs.yml").read_text(encoding="utf-8"))
    options: dict[str, t.Any] = {name: policy[f"verify_logs_{name}"] for name in ("levels", "known", "probes")}
    options |= {"project": PROJECT, "rules": {SERVICE: policy["verify_logs_rules"][SERVICE]}}
    options |= {"state_dir": str(state), "gather": True}
    code = "import sys, json; sys.path[:0] = sys.argv[1:2]; from tiny import module; print(json.dumps(module('log_check', **json.load(sys.stdin))))"
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(ROOT / "tests/integration")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".collections")},
    )
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(options).encode())
    process.stdin.close()
    found = {check["id"]: check["status"] for check in json.loads(process.stdout.read())["checks"]}
    _pid, _status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    assert (found[f"logs.{SERVICE}.started"], found[f"logs.{SERVICE}.errors"]) == ("pass", "warn"), found
    return Took(seconds, used.ru_maxrss / 1024)


def theirs() -> Took:
    began = time.monotonic()
    subprocess.run(f"docker logs {NAME} 2>&1 | grep -cE '{GREP}'", shell=True, check=True, stdout=subprocess.DEVNULL)
    return Took(time.monotonic() - began)


def main(rounds: int, mib: int) -> None:
    docker("rm", "-f", NAME)
    try:
        printed(mib)
        with tempfile.TemporaryDirectory() as state:
            theirs(), ours(Path(state))  # the first run of each is not counted: the file comes from the disk then
            pairs = [(ours(Path(state)), theirs()) for _round in range(rounds)]
    finally:
        docker("rm", "-f", NAME)
    print(f"{mib} MiB of one container's log (json-file), {rounds} rounds in turn after one that is not counted,")
    print(f"wall clock of one process each, {os.cpu_count()} cores; the peak is the module's own (ru_maxrss)")
    for name, took in (
        ("prosaas.ops.log_check", [one for one, _other in pairs]),
        (f"docker logs | grep -cE '{GREP}'", [one for _ours, one in pairs]),
    ):
        seconds = sorted(one.seconds for one in took)
        peak = f"   peak {max(one.peak for one in took):.0f} MiB" if took[0].peak else ""
        print(
            f"{name:<52}{seconds[0]:>7.1f}{statistics.median(seconds):>7.1f}{seconds[-1]:>7.1f} s (min, median, max){peak}"
        )
    ratios = [mine.seconds / other.seconds for mine, other in pairs]
    print(
        f"ratio ours/grep, round by round: median {statistics.median(ratios):.2f} ({', '.join(f'{r:.2f}' for r in ratios)})"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, int(sys.argv[2]) if len(sys.argv) > 2 else 1024)
