# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing secrets: told as a template, made once where asked for, and nothing else touched."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _env_file, _env_fill, _env_rules, _env_types
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Project
from ansible_collections.prosaas.ops.plugins.module_utils._env_rules import Environment
from ansible_collections.prosaas.ops.plugins.module_utils._env_views import Host
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from hypothesis import given, settings
from hypothesis import strategies as st

SECRET = {"type": "secret", "required": True, "generate": "hex32"}
SCHEMA: dict[str, dict[str, t.Any]] = {
    "KEY": {"title": "The key", **SECRET},
    "TOKEN": {"type": "secret", "generate": "urlsafe32"},
    "SID": {"title": "The account", "required": True, "source": "copy it from there"},
    "MODE": {"type": "exact", "value": "on", "required": True},
    "DATA_KEY": {**SECRET, "unless_volume": "shop_data"},
}


def judged(text: str, example: t.Mapping[str, str] | None = None, **schema: t.Any) -> Environment:
    return Environment(schema or SCHEMA, ["^your-"], variables=_dotenv.read(text), example=example or {})


@pytest.mark.parametrize("name", _env_types.GENERATORS)
def test_what_a_generator_makes_is_a_secret_that_is_new_each_time(name: str) -> None:
    made = {_env_types.GENERATORS[name].make() for _each in range(100)}
    assert len(made) == 100
    kinds = [_env_types.secret, *([_env_types.fernet] if name == "fernet" else [])]
    assert [wrong for value in made for judge in kinds if (wrong := judge(value))] == []
    assert all(_dotenv.read(f"A={value}\n")["A"].value == value for value in made), "it needs no quotes"


def test_the_template_names_what_is_missing_and_how_to_get_it() -> None:
    env = judged("KEY=your-key\nTOKEN=0123456789\nMODE=\n")
    assert _env_fill.missing(env) == ["KEY", "SID", "MODE", "DATA_KEY"]
    template = _env_fill.template(env)
    assert "# The key.\n# Make one: openssl rand -hex 32\nKEY=\n" in template
    assert "# The account.\n# Copy it from there.\nSID=\n" in template
    assert "\nMODE=on\n" in template
    assert "TOKEN" not in template and "0123456789" not in template and "your-key" not in template
    assert _env_fill.template(judged("KEY=1\nSID=1\nMODE=1\nDATA_KEY=1\n")) == ""


def engine(answer: tuple[int, str, str] | OpsError) -> t.Callable[..., tuple[int, str, str]]:
    def execute(_argv: t.Sequence[str], **_options: t.Any) -> tuple[int, str, str]:
        if isinstance(answer, OpsError):
            raise answer
        return answer

    return execute


NEW = engine((1, "", "Error: No such volume: shop_data"))
THERE = engine((0, "[]", ""))
AWAY = engine((1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."))
ABSENT = engine(OpsError("docker is not installed on this host."))


@pytest.mark.parametrize(
    ("execute", "filled"),
    [(NEW, ["KEY", "DATA_KEY"]), (THERE, ["KEY"]), (AWAY, ["KEY"]), (ABSENT, ["KEY"]), (None, ["KEY"])],
)
def test_a_key_of_kept_data_is_made_only_where_there_surely_is_none(execute: t.Any, filled: list[str]) -> None:
    assert _env_fill.to_fill(judged("SID=1\n"), execute) == filled


@pytest.mark.parametrize(
    ("line", "free"),
    [
        ("", True),
        ("KEY=", True),
        ("KEY=your-key-here", True),  # exactly as the template has it
        ("KEY=your-own-word", False),  # a placeholder by its looks, and maybe somebody's secret
        ("KEY", False),
        ("KEY=''junk", False),
        ("KEY=short", False),
    ],
)
def test_no_value_of_somebodys_own_is_replaced(line: str, free: bool) -> None:
    env = judged(f"{line}\n", {"KEY": "your-key-here"}, KEY=SECRET)
    assert _env_fill.to_fill(env, None) == (["KEY"] if free else [])


def test_without_a_generator_nothing_is_made() -> None:
    env = judged("", None, A={"required": True, "generate": "make me one"}, B={"required": True})
    assert _env_fill.to_fill(env, NEW) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# top\nKEY= \nB='x' # y\n", "# top\nKEY= new\nB='x' # y\n"),
        ("KEY=your-key # note\nB=1\n", "KEY=new # note\nB=1\n"),
        ("export KEY = 'your-key' # note\r\nB=1\r\n", "export KEY = new # note\r\nB=1\r\n"),
        ("\ufeffKEY:\nB=1", "\ufeffKEY:new\nB=1"),
        ("KEY=\nB=1\nKEY=\n", "KEY=\nB=1\nKEY=new\n"),
        ("B=1\n", f"B=1\n\n{_env_fill.TITLE}KEY=new\n"),
        ("B=1", f"B=1\n\n{_env_fill.TITLE}KEY=new\n"),
        ("B=1\r\n", f"B=1\n\n{_env_fill.TITLE}KEY=new\n".replace("\n", "\r\n")),
        ("", f"{_env_fill.TITLE}KEY=new\n"),
        ("# \udcff\n", f"# \udcff\n\n{_env_fill.TITLE}KEY=new\n"),
    ],
)
def test_a_value_comes_into_its_place_or_to_the_end(before: str, after: str) -> None:
    filled = _env_fill.filled(before, {"KEY": "new"})
    assert filled == after
    assert _dotenv.read(filled)["KEY"].value == "new"


PIECES = ["A=", "A: ", "B=", "C='x'", "\n", "\r\n", " # note", "x", "'", '"', "export ", "\t", "\\", "\ufeff", "\udcff"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_every_other_variable_keeps_its_value(text: str) -> None:
    try:
        before = _dotenv.read(text)
    except OpsError:
        return
    if "A" in before and before["A"].surprises:
        return
    after = _dotenv.read(_env_fill.filled(text, {"A": "one", "NEW": "two"}))
    assert (after.pop("A").value, after.pop("NEW").value) == ("one", "two")
    assert {n: v.value for n, v in after.items()} == {n: v.value for n, v in before.items() if n != "A"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_bytes(b"# mine\nSID=1\nMODE=on\nKEY=your-key # kept\n")
    path.chmod(0o600)
    (tmp_path / "example").write_text("KEY=your-key\n", encoding="utf-8")
    return path


def examined(path: Path, execute: t.Any = None, **more: t.Any) -> Report:
    env = Environment(SCHEMA, ["^your-"])
    host = Host(Project("shop", path.parent, ()), execute or ABSENT, path.parent / "state")
    return _env_file.examine(path, path.with_name("example"), env, [], host, **more)


def test_it_is_made_once_whole_and_nothing_else_changes(file: Path) -> None:
    assert not examined(file).changed, "it has to be asked for"
    report = examined(file, NEW, fill=True)
    assert (report.changed, report.facts["filled"], report.facts["template"]) == (True, ["KEY", "DATA_KEY"], "")
    text = file.read_text(encoding="utf-8")
    values = _dotenv.values(file)
    assert text.startswith(f"# mine\nSID=1\nMODE=on\nKEY={values['KEY']} # kept\n\n# Made by")
    assert {values["KEY"], values["DATA_KEY"]} <= report.secrets
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == [".env", "example"]
    again = examined(file, NEW, fill=True)
    assert (again.changed, again.facts["filled"], again.diff, file.read_text(encoding="utf-8")) == (False, [], [], text)


def test_check_mode_tells_names_alone_and_judges_the_file_as_it_would_be(file: Path) -> None:
    before = file.read_bytes()
    report = examined(file, NEW, fill=True, check_mode=True)
    assert file.read_bytes() == before
    assert report.changed and report.diff[0]["after"] == "KEY has a value\nDATA_KEY has a value\n"
    status = {check.id: check.status for check in report.checks}
    assert (status["env.key"], status["env.data_key"]) == ("pass", "pass")
    shown = repr((report.checks, report.facts, report.diff))
    assert not any(secret in shown for secret in report.secrets if len(secret) > 8)


def test_it_is_private_afterwards_and_stays_behind_a_link(file: Path) -> None:
    file.chmod(0o644)
    real = file.rename(file.with_name("elsewhere"))
    file.symlink_to(real)
    if os.geteuid() == 0:
        os.chown(real, 4711, 4712)
    owner = (real.stat().st_uid, real.stat().st_gid)
    report = examined(file, fill=True)
    assert report.facts["filled"] == ["KEY"]
    assert file.is_symlink() and real.stat().st_mode & 0o777 == 0o600
    assert (real.stat().st_uid, real.stat().st_gid) == owner


@pytest.mark.parametrize(("content", "template"), [(None, "KEY="), ("A='", "")])
def test_a_file_that_is_missing_or_refused_is_not_made(file: Path, content: str | None, template: str) -> None:
    file.unlink()
    if content is not None:
        file.write_text(content, encoding="utf-8")
    report = examined(file, fill=True)
    assert not report.changed and template in report.facts["template"]
    assert file.exists() == (content is not None)


def test_a_file_that_cannot_be_written_is_one_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: t.Any, **_options: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_env_fill._store, "write_whole", full)
    with pytest.raises(OpsError, match=r"\.env cannot be written \(No space left on device\)"):
        examined(file, fill=True)


def test_a_generator_that_is_misspelt_is_refused() -> None:
    with pytest.raises(OpsError, match="hex_32"):
        _env_rules.refuse_mistakes({"A": {"generate": "hex_32"}}, [], [])
    _env_rules.refuse_mistakes({"A": {"generate": "make me one"}}, [], [])
