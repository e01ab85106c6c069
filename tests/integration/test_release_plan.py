# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""release_plan on a tiny application: a forge, a checkout, images built from it, a database with migrations."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.prosaas.ops.plugins.module_utils._deploy import Application
from ansible_collections.prosaas.ops.plugins.module_utils._release import Release, Store
from conftest import Cloud
from tiny import COLLECTIONS, IMAGE, LABELS, ansible, check, module, status

PROJECT = f"opstest-plan-{os.getpid()}"
CUSTOMER = f"opstest_plan_{os.getpid()}"
PASSWORD = "Corr3ctHorse_B4tteryStaple"
SECRET = "hunter2hunter2"
DOCKERFILE = f"FROM {IMAGE}\nLABEL ops.prosaas.demo=true\nCOPY web/ /web/\nCMD [\"sleep\", \"infinity\"]\n"
URL = f"postgresql://{CUSTOMER}:{PASSWORD}@db.prosaas.test/{CUSTOMER}?sslmode=require"
SCHEMA = {"connection": {"url": "DATABASE_URL"}, "table": "schema_migrations", "column": "migration_id"}


def run(*argv: str, must: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert not must or done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout.strip()


class World:
    """Somebody's clone, the forge, the checkout on the host, and what runs of it."""

    def __init__(self, directory: Path) -> None:
        self.work, self.forge, self.host = (directory / name for name in ("work", "forge.git", "host"))
        self.state = directory / "state"
        self.store = Store(self.state)
        self.work.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", str(self.forge))
        self.commit(
            "Begin",
            {
                **{"Dockerfile": DOCKERFILE, ".dockerignore": "*.md\n", "web/page": "1\n", ".gitignore": ".env\n"},
                **{"README.md": "1\n", "docker-compose.yml": self.compose_file(), "server/migrations/001.sql": "x\n"},
            },
            push=False,
        )
        run("git", "clone", "--quiet", "--bare", str(self.work), str(self.forge))
        run("git", "clone", "--quiet", str(self.forge), str(self.host))
        self.env(TOKEN=SECRET, FLAVOUR="plain")

    @staticmethod
    def compose_file(**services: t.Any) -> str:
        common = {"labels": LABELS, "init": True, "stop_signal": "SIGKILL"}
        web = {"build": {"context": ".", "labels": LABELS}, "env_file": [".env"], "environment": {"FLAVOUR": "${FLAVOUR}"}}
        given = {"web": web, "side": {"image": IMAGE, "command": ["sleep", "infinity"]}, **services}
        return json.dumps(
            {
                "services": {name: {**common, **one} for name, one in given.items()},
                "networks": {"default": {"labels": LABELS}},
            }
        )

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.test"]
        return run("git", "-C", str(self.work), *identity, *arguments)

    def commit(self, message: str, files: t.Mapping[str, str], push: bool = True) -> str:
        for name, content in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(content, encoding="utf-8")
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--message", message)
        if push:
            self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def env(self, **variables: str) -> None:
        text = "".join(f"{name}={value}\n" for name, value in {"DATABASE_URL": URL, **variables}.items())
        (self.host / ".env").write_text(text, encoding="ascii")

    @property
    def options(self) -> dict[str, t.Any]:
        return {
            **{"project": PROJECT, "project_dir": str(self.host), "compose_files": ["docker-compose.yml"]},
            **{"state_dir": str(self.state)},
        }

    def plan(self, play: t.Callable[..., dict[str, t.Any]] = module, check: bool = False, **given: t.Any) -> dict[str, t.Any]:
        result = play("release_plan", check=check, **{**self.options, "schema": SCHEMA, **given})
        assert SECRET not in json.dumps(result) and PASSWORD not in json.dumps(result)
        return result

    def up(self) -> None:
        run("docker", "compose", "--project-directory", str(self.host), "-p", PROJECT, "up", "-d", "--quiet-pull")

    def deploy(self, commit: str) -> str:
        """Make a release of a commit serve, and keep it as verified."""
        run("git", "-C", str(self.host), "fetch", "--quiet")
        built = module("release_build", **self.options, commit=commit, schema=SCHEMA)
        release = self.store.get(built["release"])
        run("git", "-C", str(self.host), "checkout", "--quiet", "--detach", commit)
        for image in release.images.values():
            run("docker", "tag", image["id"], image["name"])
        self.up()
        self.serve(release)
        module("release_keep", **self.options, schema=SCHEMA)
        return release.id

    def serve(self, release: Release) -> None:
        """Note what a switch notes."""

        def execute(argv: list[str], environ_update: t.Any = None, cwd: t.Any = None, **_: t.Any) -> tuple[int, str, str]:
            env = {**os.environ, **(environ_update or {})}
            done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stderr

        app = Application({**self.options, "env_file": ".env", "mounted_files": [], "remote": "origin"}, execute)
        release.config = asdict(app.config())
        release.switched = release.made
        self.store.put(release)
        self.store.keep_files(release, app.files_to_keep())
        self.store.set_current(release)


@contextlib.contextmanager
def database() -> Iterator[None]:
    server = ["docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1", "psql", "-qXAt", "-c"]
    run(*server, f"CREATE ROLE {CUSTOMER} LOGIN PASSWORD '{PASSWORD}'")
    run(*server, f"CREATE DATABASE {CUSTOMER} OWNER {CUSTOMER}")
    try:
        yield
    finally:
        run(*server, f"DROP DATABASE {CUSTOMER} WITH (FORCE)")
        run(*server, f"DROP ROLE {CUSTOMER}")


def migrate(*ids: str) -> None:
    with contextlib.closing(psycopg2.connect(URL)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE IF NOT EXISTS schema_migrations (migration_id text PRIMARY KEY)")
        for one in ids:
            cursor.execute("INSERT INTO schema_migrations VALUES (%s)", [one])


@pytest.fixture(name="world")
def _world(cloud: Cloud, tmp_path: Path) -> Iterator[World]:
    """The first commit runs and is verified."""
    world = World(tmp_path)
    first = world.git("rev-parse", "HEAD")
    with database():
        try:
            migrate("001")
            world.deploy(first)
            yield world
        finally:
            run("docker", "compose", "--project-directory", str(world.host), "-p", PROJECT, "down", "-v", "-t", "0", must=False)
            images = run("docker", "image", "ls", "-q", "--filter", f"reference={PROJECT}-*").split()
            run("docker", "image", "rm", "--force", *set(images), must=False)
            run("docker", "image", "rm", f"{IMAGE.partition(':')[0]}:{first[:12]}", must=False)  # where it was found running


def test_nothing_changed_then_each_change_is_told_with_its_reason(world: World) -> None:
    result = world.plan(ansible)
    assert not result["plan"]["needed"] and result["plan"]["services"] == {}, result["plan"]
    assert status(result)["release.fallback"] == "pass" and "1 migrations" in check(result, "release.fallback")["evidence"]

    world.commit("Only words", {"README.md": "2\n"})
    assert world.plan()["plan"]["services"] == {}, "what no image takes replaces nothing"
    world.commit("A new page", {"web/page": "2\n", "server/migrations/002.sql": "x\n"})
    plan = world.plan(migrations=["server/migrations/**"])["plan"]
    assert plan["services"] == {"web": ["it would be built anew: web/page changed"]}
    assert plan["migrations"] == ["server/migrations/002.sql"] and plan["coming"] == 2
    assert [line.partition(" ")[2] for line in plan["commits"]] == ["A new page", "Only words"]
    for said in ("web: it would be built anew", "A new page", "server/migrations/002.sql", "goes back to"):
        assert said in plan["text"], plan["text"]

    new = {"image": IMAGE, "command": ["sleep", "1d"]}
    world.commit("More and other services", {"docker-compose.yml": world.compose_file(side={**new, "mem_limit": "64m"}, new=new)})
    plan = world.plan()["plan"]
    assert plan["services"]["new"] == ["it is new"]
    assert plan["services"]["side"] == ["command changed", "mem_limit changed"]
    world.commit("One service less", {"docker-compose.yml": world.compose_file(side={"profiles": ["never"], **new})})
    assert world.plan()["plan"]["services"]["side"] == ["it is not in the model any more"]


def test_a_variable_of_env_names_the_services_that_it_reaches_and_no_value(world: World) -> None:
    world.env(TOKEN="another-secret-value", FLAVOUR="plain")
    result = world.plan()
    assert result["plan"]["reasons"] == ["variable TOKEN changed", "the resolved Compose model changed"]
    assert result["plan"]["services"] == {"web": ["environment changed: TOKEN"]}
    assert "another-secret-value" not in json.dumps(result)


def test_what_somebody_did_by_hand_is_a_reason(world: World) -> None:
    compose = ["docker", "compose", "--project-directory", str(world.host), "-p", PROJECT]
    run("env", "FLAVOUR=by-hand", *compose, "up", "-d", "web")
    plan = world.plan()["plan"]
    assert plan["needed"] and list(plan["services"]) == ["web"] and "by hand" in plan["services"]["web"][0]
    world.up()
    assert not world.plan()["plan"]["needed"]
    run(*compose, "kill", "side")
    run(*compose, "rm", "-f", "side")
    assert world.plan()["plan"]["reasons"] == ["not running as released: side"]
    world.up()
    run(*compose, "stop", "-t", "1", "side")
    plan = world.plan()["plan"]
    assert plan["reasons"] == ["not running as released: side"] and "has exited" in plan["services"]["side"][0]
    world.up()
    world.store.set_superseded([{"id": "0" * 64, "service": "web", "why": "it drains"}])
    assert world.plan()["plan"]["reasons"] == ["containers of an earlier release still run: web"]


@pytest.mark.parametrize("alone", [True, False], ids=["made without what it depends on", "with another environment"])
def test_what_somebody_did_by_hand_is_told_from_what_a_dependency_drags_along(world: World, tmp_path: Path, alone: bool) -> None:
    """Compose would recreate what depends on a service that changes, and says no more than that."""
    dependent = {"image": IMAGE, "command": ["sleep", "infinity"], "depends_on": ["web"]}
    world.deploy(world.commit("Side needs web", {"docker-compose.yml": world.compose_file(side=dependent)}))
    changed = world.commit("Another page", {"web/page": "2\n"})
    run("git", "-C", str(world.host), "fetch", "--quiet")
    assert list(world.plan(commit=changed)["plan"]["services"]) == ["web"], "side is only dragged along"
    override = tmp_path / "by-hand.json"
    override.write_text(json.dumps({"services": {"side": {} if alone else {"environment": {"BY": "hand"}}}}))
    compose = ["docker", "compose", "--project-directory", str(world.host), "-p", PROJECT]
    files = ["-f", str(world.host / "docker-compose.yml"), "-f", str(override)]
    run(*compose, *files, "up", "-d", *(["--no-deps"] if alone else []), "--force-recreate", "side")
    services = world.plan(commit=changed)["plan"]["services"]
    assert "by hand" in services.get("side", [""])[0] or (alone and compose_is_exact(world)), services
    assert "web" in services


def compose_is_exact(world: World) -> bool:
    """Whether this Compose keeps the hash of a container that was made with --no-deps, as newer ones do."""
    return not world.plan()["plan"]["needed"]


def test_a_commit_whose_compose_files_do_not_work_here_is_refused(world: World) -> None:
    world.commit("Wants more", {"docker-compose.yml": world.compose_file(side={"image": "${NEW_ONE:?is needed}"})})
    result = world.plan()
    assert result["failed"] and status(result)["release.changes"] == "fail" and "NEW_ONE" in result["msg"]


def test_local_changes_are_refused_or_announced(world: World) -> None:
    (world.host / "README.md").write_text("by hand\n", encoding="ascii")
    result = world.plan()
    assert result["failed"] and "README.md" in result["msg"] and "stash" in result["msg"]
    result = world.plan(local_changes="stash")
    assert not result.get("failed") and "will be stashed" in check(result, "code.clean")["evidence"]


def built_by_hand(world: World) -> str:
    """Have web run from an image that somebody built, with those of its release cleared away; return the image's id."""
    run("docker", "compose", "--project-directory", str(world.host), "-p", PROJECT, "build", "--no-cache", "web")
    world.up()
    assert list(world.plan()["plan"]["services"]) == ["web"], "as long as the release's own image is there, it comes back"
    names = run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={PROJECT}-web").split()
    run("docker", "image", "rm", "--force", *(name for name in names if not name.endswith(":latest")))
    return run("docker", "inspect", "-f", "{{.Image}}", f"{PROJECT}-web-1")


def test_what_was_built_by_hand_of_the_commit_that_serves_becomes_its_release(world: World) -> None:
    before = world.store.current()
    assert before is not None
    by_hand = built_by_hand(world)
    plan = world.plan()["plan"]
    assert plan["reasons"] == ["not running the images of the release: web"] and plan["services"] == {}
    made = world.store.get(world.deploy(before.commit))
    assert made.id != before.id and made.images["web"]["id"] == by_hand
    assert not world.plan()["plan"]["needed"]


def test_what_was_built_by_hand_is_kept_before_something_else_serves(world: World) -> None:
    before = world.store.current()
    assert before is not None
    by_hand = built_by_hand(world)
    second = world.commit("A new page", {"web/page": "2\n"})
    planned = world.plan()
    assert check(planned, "release.fallback")["status"] == "warn" and planned["plan"]["back_to"] == ""
    assert "goes back to what runs now" in check(planned, "release.fallback")["evidence"]
    assert "goes back to: what runs now" in planned["plan"]["text"]
    world.deploy(second)
    back = world.plan(goal="rollback", commit=before.commit[:12], reason="tried")
    assert not back.get("failed") and back["plan"]["services"] == {"web": ["another image"]}, back
    assert world.store.get(back["plan"]["release"]).images["web"]["id"] == by_hand
    assert world.store.get(back["plan"]["release"]).adopted and back["plan"]["release"] != before.id


def test_a_rollback_is_proven_possible_or_refused_with_the_reason(world: World) -> None:
    first = world.store.current()
    assert first is not None and first.schema == ["001"]
    migrate("002")
    second = world.deploy(world.commit("A new page", {"web/page": "2\n"}))
    assert world.store.get(second).schema == ["001", "002"]
    back = {"goal": "rollback"}

    for mode in (False, True):
        refused = world.plan(check=mode, **back)
        assert refused["failed"] and "1 migrations that release" in refused["msg"] and "002" in refused["msg"]
    assert {row["status"] for row in refused["checks"] if row["id"] != "release.schema"} == {"pass", "warn"}
    assert check(refused, "release.reason")["evidence"] == "no reason was given"

    accepted = world.plan(ansible, check=True, **back, newer_schema="accept", reason="silent calls")
    assert accepted["plan"]["commit"] == first.commit and accepted["plan"]["services"] == {"web": ["another image"]}
    assert check(accepted, "release.schema")["status"] == "warn" and check(accepted, "release.reason")["status"] == "pass"
    assert "because: silent calls" in accepted["plan"]["text"]

    world.env(TOKEN=SECRET, FLAVOUR="plain", DATABASE_URL=URL.replace("db.prosaas.test", "nowhere.prosaas.test"))
    unread = world.plan(**back)
    assert unread["failed"] and status(unread)["release.schema"] == "unknown"
    taken_back = world.plan(goal="take_back", release=first.id, reason="Flask is dead")
    assert not taken_back.get("failed") and status(taken_back)["release.reason"] == "pass" and "release.schema" not in status(taken_back)
    assert unread["plan"]["differs"] == ["variable DATABASE_URL"]
    with_its_own = world.plan(**back, config="release", newer_schema="accept")
    assert with_its_own["plan"]["restores"] == [".env"] and check(with_its_own, "release.schema")["evidence"].startswith("accepted")
    world.env(TOKEN=SECRET, FLAVOUR="plain")

    run("docker", "image", "rm", "--force", *{image["id"] for name, image in first.images.items() if name == "web"})
    gone = world.plan(**back, newer_schema="accept")
    assert gone["failed"] and "the images of web are gone" in gone["msg"]
    assert status(world.plan(commit="main"))["release.fallback"] == "pass"


def test_the_switch_takes_the_word_of_the_plan_and_replaces_nothing_behind_its_back(world: World) -> None:
    first = world.store.current()
    assert first is not None
    world.deploy(world.commit("A new page", {"web/page": "2\n"}))
    planned = world.plan(goal="rollback", reason="tried")["plan"]
    assert planned["release"] == first.id and planned["services"] == {"web": ["another image"]}
    switch = {**world.options, "release": first.id, "window": 1}
    assert module("release_switch", check=True, **switch)["foreseen"] == planned["services"], "without the plan's word it looks itself"

    every_call = {"services": {"web": {"all_calls": True}}}
    refused = module("release_switch", **switch, **every_call, foreseen={})
    assert refused["failed"] and refused["touched"], refused
    assert "web would be replaced although nothing was seen to change about it" in refused["msg"]

    done = module("release_switch", **switch, foreseen=planned["services"])
    assert not done.get("failed") and "replaced: web" in done["msg"], done
    running = run("docker", "ps", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}").split()
    template = '{{index .Config.Labels "com.docker.compose.service"}} {{.Image}}'
    images = dict(line.split() for line in run("docker", "inspect", "-f", template, *running).splitlines())
    assert images["web"] == first.images["web"]["id"]


@pytest.mark.parametrize(
    ("commit", "said"),
    [
        (12345678, "arrived as a number"),
        (float("inf"), "arrived as a number"),
        (True, "arrived as a number"),
        ("; rm -rf /", "is no branch, tag or commit id"),
        ("--upload-pack=touch x", "is no branch, tag or commit id"),
        ("main..main", "is no branch, tag or commit id"),
        ("no-such-branch", "is no branch, tag or commit of origin"),
        ("deadbeef", "has no commit deadbeef"),
    ],
)
@pytest.mark.parametrize("goal", ["deploy", "rollback"])
def test_what_names_no_commit_is_refused_in_one_sentence(tmp_path: Path, commit: t.Any, said: str, goal: str) -> None:
    world = World(tmp_path)
    result = world.plan(commit=commit, goal=goal)
    assert result["failed"] and "Traceback" not in json.dumps(result)
    assert said in result["msg"] or (commit == "deadbeef" and "No verified release of commit deadbeef" in result["msg"])
    assert not (world.host / "x").exists()


@pytest.mark.parametrize(
    "written", ["12e4567", *(pytest.param(number, marks=pytest.mark.soak) for number in ("12345678", "1234567.0", "0x1234567"))]
)
def test_a_number_is_refused_from_a_vars_file_and_from_a_survey_and_its_string_is_not(tmp_path: Path, written: str) -> None:
    world = World(tmp_path)
    play = tmp_path / "play.yml"
    task = {"prosaas.ops.release_plan": {**world.options, "commit": "{{ commit }}"}}
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]), encoding="ascii")
    asked = {
        "a vars file": f"commit: {written}\n",
        "a vars file, quoted": f'commit: "{written}"\n',
    }
    if not written.startswith("0x"):
        asked["a survey"] = json.dumps({"commit": 0}).replace("0", written)
        asked["a survey, quoted"] = json.dumps({"commit": written})
    for how, text in asked.items():
        path = tmp_path / ("extra.json" if text.startswith("{") else "extra.yml")
        path.write_text(text, encoding="ascii")
        said = _ansible_playbook(play, path)
        wrong = "arrived as a number" if "quoted" not in how else f"{written}"
        # YAML 1.1 reads 12e4567 without a dot as a string: then it is one.
        if how == "a vars file" and written == "12e4567":
            wrong = "has no commit 12e4567"
        assert wrong in said, f"{how}: {said}"
        assert ("Quote it" in said) == (wrong == "arrived as a number"), f"{how}: {said}"


def _ansible_playbook(play: Path, extra: Path) -> str:
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local", str(play), "-e", f"@{extra}"]
    settings = {"ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(COLLECTIONS), os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")])}
    argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(argv, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode, done.stdout
    return done.stdout + done.stderr
