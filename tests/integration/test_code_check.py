# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""code_check on a real repository, with the real Compose and the real scanner, run by the real Ansible."""

from __future__ import annotations

import secrets
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from tiny import ansible, check, module, status

COMPOSE = "services:\n  web:\n    image: example.test/web\n    environment:\n      TOKEN: ${WEB_TOKEN}\n"
TOKEN = secrets.token_hex(16)


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.test"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Place:
    """A forge, and a host with a checkout of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.work, self.forge, self.host = (directory / name for name in ("work", "forge.git", "host"))
        self.work.mkdir()
        git(self.work, "init", "--quiet", "--initial-branch=main")
        git(directory, "init", "--quiet", "--bare", "--initial-branch=main", str(self.forge))
        git(self.work, "remote", "add", "origin", str(self.forge))
        self.push({"docker-compose.yml": COMPOSE, ".gitignore": ".env\n"})
        git(directory, "clone", "--quiet", str(self.forge), str(self.host))
        self.env = self.host / ".env"
        self.env.write_text(f"WEB_TOKEN={TOKEN}\n", encoding="ascii")

    def push(self, files: dict[str, str]) -> str:
        for name, content in files.items():
            (self.work / name).write_text(content, encoding="ascii")
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--message", "a change")
        git(self.work, "push", "--quiet", "origin", "main")
        return git(self.work, "rev-parse", "HEAD")

    def options(self, **more: t.Any) -> dict[str, t.Any]:
        where = {"project_dir": str(self.host), "state_dir": str(self.directory / "state"), "runtime": sys.prefix}
        return {"project": "tiny", "compose_files": ["docker-compose.yml"], **where, **more}

    def look(self, **more: t.Any) -> dict[str, t.Any]:
        result = module("code_check", **self.options(**more))
        assert TOKEN not in str(result)
        return result


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_everything_is_green_by_the_real_ansible_and_in_check_mode(place: Place) -> None:
    for mode in (False, True):
        result = ansible("code_check", check=mode, **place.options(items={"code.tree": [131]}))
        assert (result["verdict"], result["changed"]) == ("pass", False), result["msg"]
        assert set(status(result).values()) == {"pass"}
        assert check(result, "code.tree")["item"] == [131]
        assert result["commit"] == result["head"] == git(place.host, "rev-parse", "HEAD")


def test_secret_that_is_only_in_the_commit_to_come_is_found_before_it_is_fetched(place: Place) -> None:
    head = git(place.host, "rev-parse", "HEAD")
    new = place.push({"notes.txt": f"try it with {TOKEN}\n", "ci.sh": f"TOKEN=ghp_{secrets.token_hex(18)}\n"})
    result = place.look()
    assert (result["commit"], result["head"], result["failed"]) == (new, head, True)
    assert "WEB_TOKEN in notes.txt:1" in check(result, "code.secrets")["evidence"]
    assert "ci.sh:1 github-pat" in check(result, "code.secret_scan")["evidence"]
    assert check(result, "code.commit")["evidence"].endswith("on main of origin; 1 commit to come")
    assert subprocess.run(["git", "-C", place.host, "cat-file", "-e", new], check=False, capture_output=True).returncode


def test_what_compose_warns_of_fails_without_a_piece_of_a_value(place: Place) -> None:
    place.env.write_text("WEB_TOKEN=ab$halfOfTheSecret\n", encoding="ascii")
    result = place.look()
    assert check(result, "code.config")["evidence"] == ".env:1 has an unescaped $, so a part of its value is gone"
    assert "halfOfTheSecret" not in str(result)
    place.env.write_text("OTHER=1\n", encoding="ascii")
    assert "WEB_TOKEN" in check(place.look(), "code.config")["evidence"]


def test_edited_checkout_fails_line_by_line(place: Place) -> None:
    (place.host / "docker-compose.yml").write_text(COMPOSE + "# by hand\n", encoding="ascii")
    (place.host / ".gitignore").write_text("", encoding="ascii")
    place.host.chmod(0o777)
    found = status(place.look())
    assert {name for name, seen in found.items() if seen == "fail"} == {
        "code.compose.docker-compose",
        "code.tree",
        "code.ignored",
        "code.mode",
    }


def test_forge_that_is_away_is_unknown_and_what_is_checked_out_is_looked_at(place: Place) -> None:
    place.forge.rename(place.forge.with_name("gone"))
    result = ansible("code_check", check=True, **place.options())
    assert check(result, "code.commit")["status"] == "unknown"
    assert result.get("failed", False) is False, "check mode names an unknown and does not stop"
    assert [row["id"] for row in result["checks"] if row["status"] != "pass"] == ["code.commit"]


def test_freeze_on_the_host_and_windows_of_the_inventory(place: Place) -> None:
    (place.directory / "state").mkdir()
    freeze = place.directory / "state/freeze"
    freeze.write_text("until: 2099-12-31\nby: dana\nreason: Phones are down\n", encoding="ascii")
    assert "frozen until 2100-01-01 00:00 UTC by dana: Phones are down" in check(place.look(), "code.window")["evidence"]
    freeze.unlink()
    assert check(place.look(windows=[{"from": "00:00", "to": "00:00"}]), "code.window")["status"] == "pass"
    wrong = check(place.look(windows=[{"from": "1320", "to": "23:00"}]), "code.window")
    assert (wrong["status"], "in quotes" in wrong["remedy"]) == ("fail", True)


def test_directory_without_a_checkout_is_one_sentence(place: Place, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = place.look(project_dir=str(tmp_path / "empty"))
    assert result["failed"] and result["msg"].startswith(f"{tmp_path}/empty is no git checkout. git clone")
