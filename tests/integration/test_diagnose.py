# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of a small stack on the real engine: what is in it, and that no canary is, wherever one was planted."""

from __future__ import annotations

import base64
import json
import tarfile
import time
import typing as t
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import Stack, ansible, module, stack

CANARY = "kestrel$9f3b/7c1d+5e8a2046"  # with what URLs, Compose and base64 treat in a way of their own
OLDER = "osprey-0123456789abcdef01"  # of an earlier release
IN_URL = urllib.parse.quote(CANARY, safe="")
IN_BASE64 = base64.b64encode(f"user:{CANARY}".encode()).decode()

TELLS = (
    "import base64, json, os, time, urllib.parse\n"
    "s = os.environ['APP_SECRET']\n"
    "print('boot with', s)\n"
    "print('basic', base64.b64encode(f'user:{s}'.encode()).decode())\n"
    "print('asked', 'https://x.example/?a=' + urllib.parse.quote(s, safe=''))\n"
    "print(json.dumps({'msg': 'x\"' + s, 'from': '+972541234567'}))\n"
    f"print('left over from before: {OLDER}', flush=True)\n"
    "time.sleep(600)\n"
)
SERVICES = {
    "app": {"env_file": ".env", "command": ["python3", "-c", TELLS.replace("$", "$$")]},
    "edge": {"environment": {"EDGE_HOST": "plain.example"}, "command": ["sleep", "600"]},
    "loop": {"command": ["sh", "-c", "echo crash of loop; exit 3"], "restart": "always"},
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("diagnose")
    (directory / ".env").write_text(f"APP_SECRET='{CANARY}'\nAPP_HOST=plain.example\nSHORT=abc\n")
    release = directory / "state/releases/20261101T000000Z-aaaa"
    release.mkdir(parents=True)
    (release / ".env").write_text(f"APP_SECRET={OLDER}\n")
    (directory / "edge.conf").write_text(f"server {{\n  proxy_set_header X-App '{CANARY}';\n}}\n")
    services = {**SERVICES, "edge": {**SERVICES["edge"], "volumes": [f"{directory}/edge.conf:/edge.conf:ro"]}}
    with stack("diagnose", directory, services) as project:
        deadline = time.monotonic() + 30
        while OLDER not in project.compose("logs", "app") or project.compose("logs", "loop").count("crash") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield project


def options(project: Stack, **more: t.Any) -> dict[str, t.Any]:
    inside = [
        {"service": "edge", "file": "configuration.txt", "argv": ["cat", "/edge.conf"]},
        {"service": "gone", "file": "nothing.txt", "argv": ["true"]},
    ]
    return {**project.options, "host": "a-host", "inside": inside, "plain_variables": ["PATH", "*_HOST"], **more}


def unpacked(path: str) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {
            entry.name.partition("/")[2]: t.cast("t.IO[bytes]", archive.extractfile(entry)).read().decode()
            for entry in archive
        }


def test_what_helps_is_in_it_and_no_canary_in_any_form(tiny: Stack) -> None:
    assert CANARY in tiny.compose("logs", "app"), "the engine's log has it"
    made = module("diagnose", **options(tiny))
    assert made["changed"], made
    raw, found = Path(made["archive"]).read_bytes(), unpacked(made["archive"])
    for form in (
        CANARY,
        IN_URL,
        IN_BASE64[8:-4],
        json.dumps(CANARY)[1:-1],
        CANARY.encode().hex(),
        CANARY[:16],
        OLDER,
        "541234567",
    ):
        assert form.encode() not in raw and form not in json.dumps(made)
        assert [name for name, text in found.items() if form in name or form in text] == []
    log = found[f"logs/{tiny.name}-app-1.log"]
    assert "boot with ********" in log and "left over from before: ********" in log and "+9725****67" in log
    assert "X-App ********;" in found["inside/edge-configuration.txt"]
    assert "crash of loop" in found[f"logs/{tiny.name}-loop-1.log"]
    assert f"{tiny.name}-loop-1 was restarted by the engine" in found["README.md"]
    loop = json.loads(found[f"containers/{tiny.name}-loop-1.json"])
    assert loop["host"]["RestartPolicy"]["Name"] == "always"
    rows = json.loads(found["env.json"])["variables"]
    assert rows["APP_SECRET"]["length"] == len(CANARY) and rows["SHORT"]["differs_in"] == []
    model = json.loads(found["compose.json"])
    assert model["services"]["app"]["environment"]["APP_SECRET"]["length"] >= len(CANARY)
    assert {"host/kernel.txt", "host/disks.txt", "engine-disk.txt", "usage.txt", "versions.json"} <= found.keys()
    why = {one["what"]: one["why"] for one in made["missing"]}
    assert why["gone, asked inside: nothing.txt"] == "No container of gone runs."
    assert "There is no record" in why["The records"] and "There is no record" in found["README.md"]


@pytest.mark.soak
def test_the_operator_sees_no_canary_as_loud_as_it_can_be(tiny: Stack) -> None:
    made = ansible("diagnose", **options(tiny))
    assert made["archive"] and CANARY not in json.dumps(made)


def test_check_mode_says_what_it_would_gather_and_writes_nothing(tiny: Stack) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny.directory.rglob("*")}
    made = module("diagnose", check=True, **options(tiny))
    assert (made["changed"], made["archive"]) == (False, "")
    assert f"The log of {tiny.name}-app-1" in made["files"] and "The versions" in made["files"]
    assert {path: path.stat().st_mtime_ns for path in tiny.directory.rglob("*")} == before


def test_without_an_engine_its_files_are_read(tiny: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command finds no engine, as when it is down; what the real one has written is still there."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    made = module("diagnose", **options(tiny))
    found = unpacked(made["archive"])
    assert {one["what"] for one in made["missing"]} >= {
        "The engine",
        "What the engine keeps",
        "What happened to the containers",
    }
    assert "boot with ********" in found[f"logs/{tiny.name}-app-1.log"]
    assert CANARY not in "".join(found.values()) and IN_BASE64[8:-4] not in "".join(found.values())
    assert "The engine did not answer" in found["README.md"]


def test_without_the_environment_file_the_containers_tell_what_is_secret(tiny: Stack) -> None:
    env = tiny.directory / ".env"
    aside = env.rename(tiny.directory / "aside")
    try:
        made = module("diagnose", **options(tiny))
    finally:
        aside.rename(env)
    found = unpacked(made["archive"])
    assert {"The environment file, without values", "The Compose model, without values"} <= {
        one["what"] for one in made["missing"]
    }
    assert "boot with ********" in found[f"logs/{tiny.name}-app-1.log"] and CANARY not in "".join(found.values())
