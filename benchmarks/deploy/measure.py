# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment and a rollback under load, each way in turn from the same state; prints how, and the worst of the rounds.

Every way begins with v1.2.0 serving, healthy and untouched, deploys v1.3.0, and goes back. Images of both are built
before anything is timed; a way that is afresh goes back with no image but those that run, and no cache of the builder, as
on a host on which space was made. The numbers count from the command to AFTER_SECONDS beyond its end, or beyond the
moment in which every route serves the new version, whichever is later. What a way leaves broken is repaired untimed,
before the next.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import report as reports
from load import CALLS, RATE, ROUTES, Load

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
DEMO = ROOT / ".demo"
PROJECT = DEMO / "prosaasil"
LOGS = ROOT / ".tests/benchmarks/deploy"
PLAYBOOK = (str(ROOT / ".venv/bin/ansible-playbook"), "-i", "inventories/demo")
COMPOSE = ("docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.prod.yml")
LIST = ("docker", "ps", "--filter", "label=com.docker.compose.project=prosaasil")
OLD, NEW = "1.2.0", "1.3.0"
AFTER_SECONDS = 10
GIVE_UP_SECONDS = 30  # after the command's end: a site that does not serve by then needs its operator
COMMAND_SECONDS = 900


class Way(t.NamedTuple):
    """One way to deploy and to go back: what it is, its two commands, where they run, and whether images go before it goes back."""

    title: str
    deploy: tuple[str, ...]
    rollback: tuple[str, ...]
    cwd: Path
    afresh: bool = False


CHECKLIST = Way(
    "the checklist's commands",
    (str(HERE / "checklist"), "deploy"),
    (str(HERE / "checklist"), "rollback", f"v{OLD}"),
    PROJECT,
)
WAYS = {
    "ours": Way(
        "prosaas.ops",
        (*PLAYBOOK, "playbooks/deploy.yml", "-e", f"commit=v{NEW}"),
        (*PLAYBOOK, "playbooks/rollback.yml", "-e", "reason=benchmark"),  # to the last verified release
        ROOT,
    ),
    "checklist": CHECKLIST,
    "afresh": CHECKLIST._replace(title="the same, and nothing is left of a build", afresh=True),
    "beside": Way(
        "start beside, stop (docker-rollout)",
        (str(HERE / "beside"), f"v{NEW}"),
        (str(HERE / "beside"), f"v{OLD}"),
        PROJECT,
    ),
    "reload": Way(
        "the same with nginx reloaded",
        (str(HERE / "beside"), f"v{NEW}", "--reload"),
        (str(HERE / "beside"), f"v{OLD}", "--reload"),
        PROJECT,
    ),
}


def run(*argv: str, cwd: Path = PROJECT, seconds: float = COMMAND_SECONDS) -> str:
    done = subprocess.run(
        argv, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=seconds
    )
    if done.returncode:
        sys.exit(
            f"{' '.join(argv)} failed, so there is nothing to compare:\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
        )
    return done.stdout.strip()


def deploy(version: str) -> dict[str, str]:
    """Deploy it untimed; return the image of each service."""
    run(*PLAYBOOK, "playbooks/deploy.yml", "-e", f"commit=v{version}", cwd=ROOT)
    template = '{{index .Config.Labels "com.docker.compose.service"}} {{.Image}}'
    listed = run("docker", "inspect", "-f", template, *run(*LIST, "-a", "-q").split())
    return dict(line.split() for line in listed.splitlines())


def fresh() -> None:
    """Make everything anew at the older version: what an earlier way left, or took away, counts for none of the later ones."""
    for version in (NEW, OLD):
        run("git", "checkout", "-q", "-B", "main", f"v{version}")
        run(*COMPOSE, "build")
    run(*COMPOSE, "down", "--remove-orphans")
    run(*COMPOSE, "up", "-d")
    settle(OLD)


def without_images() -> None:
    """Leave the images that run, under the names that Compose gives them, and nothing to build from but the base images.

    A release that is kept under its commit would be of another build than what the next round makes of that commit.
    """
    listed = run("docker", "images", "--filter", "reference=prosaasil-*", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
    running = {run("docker", "inspect", "-f", "{{.Image}}", one) for one in run(*LIST, "-a", "-q").split()}
    named = [line.split() for line in listed.splitlines()]
    runs = [name for name, short in named if any(image.startswith(f"sha256:{short}") for image in running)]
    gone = [name for name, _short in named if name not in runs or not name.endswith(":latest")]
    if gone:
        run("docker", "rmi", "-f", *gone)
    run("docker", "builder", "prune", "-a", "-f")


def settle(version: str) -> None:
    """Wait until what has a health check that can pass is healthy, the site serves the version, and the disk has nothing to write."""
    deadline = time.monotonic() + 120
    while waiting := [
        line for line in run(*LIST, "--format", "{{.Names}} {{.Status}}").splitlines() if is_unready(line)
    ]:
        if time.monotonic() > deadline:
            sys.exit(f"the demo does not become healthy: {', '.join(waiting)}")
        time.sleep(1)
    with Load(DEMO, version) as load:
        load.steady().mark()
        if load.wait_served(20) is None:
            sys.exit(f"the demo does not serve v{version}: {load.report()['routes']}")
    os.sync()


def is_unready(line: str) -> bool:
    """Whether its health check has not passed; that of baileys never does, as in the real one."""
    return ("starting" in line or "unhealthy" in line) and "baileys" not in line


def repair(version: str, measured: dict[str, t.Any]) -> None:
    """Do what the operator would have to do when a way leaves the site broken: have nginx look up its upstreams."""
    if measured["served_from"] is None:
        run(*COMPOSE, "up", "-d")
        run(*COMPOSE, "restart", "nginx")
    settle(version)


def measure(name: str, argv: tuple[str, ...], cwd: Path, version: str, **variables: str) -> dict[str, t.Any]:
    """Run one command under load."""
    LOGS.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **variables}
    with Load(DEMO, version) as load, (LOGS / f"{name}.log").open("w", encoding="utf-8") as log:
        load.steady().mark()
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        command = load.now() - load.marked
        load.wait_served(GIVE_UP_SECONDS)
        time.sleep(AFTER_SECONDS)
    measured = {**load.report(), "command": round(command, 1), "code": done.returncode}
    (LOGS / f"{name}.json").write_text(json.dumps(measured, indent=2), encoding="utf-8")
    print(f"  {name}: {reports.sentence(measured)}; command {command:.0f} s, exit {done.returncode},", end=" ")
    moment = measured["served_from"]
    print("never served everywhere" if moment is None else f"everywhere v{version} after {moment:.1f} s", flush=True)
    for one in reports.worst_failures(measured["failures"]):
        print(f"      {one}", flush=True)
    return measured


COLUMNS = (
    ("failed", lambda one: one["failed"], "d"),
    ("idle closed", lambda one: one["idle_closed"], "d"),
    ("longest gap", lambda one: one["longest_gap"], ".2f"),
    ("slowest", lambda one: one["slowest"], ".2f"),
    ("calls cut", lambda one: one["calls"]["cut"], "d"),
    ("short failed", lambda one: one["calls"]["short_failed"], "d"),
    ("served after", lambda one: float("inf") if one["served_from"] is None else one["served_from"], ".1f"),
    ("command", lambda one: one["command"], ".1f"),
)


def table(kind: str, found: dict[str, list[dict[str, t.Any]]]) -> None:
    """Print the worst of each column; and for what takes time, how many times ours the others take."""
    print(f"\n{kind}, the worst of {max(map(len, found.values()))} rounds")
    print(f"{'':<38}" + "".join(f"{title:>14}" for title, _value, _form in COLUMNS))
    for key, rounds in found.items():
        cells = (format(max(map(value, rounds)), form) for _title, value, form in COLUMNS)
        print(f"{WAYS[key].title:<38}" + "".join(f"{cell.replace('inf', 'never'):>14}" for cell in cells))
    if "ours" not in found:
        return
    for key in found:
        if key != "ours":
            print(f"  {WAYS[key].title}: {', '.join(times_ours(found[key], found['ours']))}")


def times_ours(theirs: list[dict[str, t.Any]], ours: list[dict[str, t.Any]]) -> t.Iterator[str]:
    for title, value, _form in COLUMNS:
        if title in ("longest gap", "served after", "command"):
            ratio = max(map(value, theirs)) / max(*map(value, ours), 0.01)
            yield f"{title} {'never' if ratio == float('inf') else f'{ratio:.1f} times'} ours"


def describe(changed: list[str], same: list[str]) -> None:
    env = dict(line.split("=", 1) for line in (PROJECT / ".env").read_text().splitlines() if "=" in line)
    interval = env.get("DEMO_HEALTH_INTERVAL", "as in production: 10 s to 60 s")
    print(
        f"v{OLD} to v{NEW} and back on the demo, {RATE} requests/s over {len(ROUTES)} routes of https://prosaas.test, every"
    )
    print(f"other one on a new connection, no retries; {CALLS} calls that last through it, and short ones all the time")
    print(f"{os.cpu_count()} cores for the load, the stack and the deployment; engine", end=" ")
    print(
        f"{run('docker', 'version', '-f', '{{.Server.Version}}')}, Compose {run('docker', 'compose', 'version', '--short')}"
    )
    print(f"health checks every {interval}; images of both versions were built before")
    print(f"images that differ: {', '.join(changed)}; the same in both: {', '.join(same)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", default=",".join(WAYS), help="which, in this order")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    asked = parser.parse_args()
    keys = asked.ways.split(",")
    if unknown := set(keys) - set(WAYS):
        sys.exit(f"there is no way {', '.join(sorted(unknown))}: {', '.join(WAYS)}")
    deployed: dict[str, list[dict[str, t.Any]]] = {key: [] for key in keys}
    returned: dict[str, list[dict[str, t.Any]]] = {key: [] for key in keys}
    try:
        for number in range(1, asked.rounds + 1):
            new, old = deploy(NEW), deploy(OLD)  # as releases: a way that takes images away takes those of a release, too
            if number == 1:
                describe(
                    sorted(name for name in new if new[name] != old[name]),
                    sorted(name for name in new if new[name] == old[name]),
                )
            for key in keys:
                one_round(key, number, deployed[key], returned[key])
    finally:
        fresh()
        deploy(NEW)
    if asked.json:
        asked.json.write_text(json.dumps({"deploy": deployed, "rollback": returned}, indent=2), encoding="utf-8")
    table(f"deployment v{OLD} to v{NEW}", deployed)
    table(f"rollback v{NEW} to v{OLD}", returned)


def one_round(key: str, number: int, deployed: list[dict[str, t.Any]], returned: list[dict[str, t.Any]]) -> None:
    way = WAYS[key]
    fresh()
    deployed.append(measure(f"{key}-deploy-{number}", way.deploy, way.cwd, NEW))
    repair(NEW, deployed[-1])
    variables = {}
    if way.afresh:
        without_images()
        os.sync()
        variables["BEFORE_BUILD"] = str(HERE / "packages")
    returned.append(measure(f"{key}-rollback-{number}", way.rollback, way.cwd, OLD, **variables))
    repair(OLD, returned[-1])


if __name__ == "__main__":
    main()
