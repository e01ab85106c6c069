# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that is safe to send: what is secret, what fails alone, what is packed, and the proof, made to fail on purpose."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _diagnose, _diagnose_engine, _diagnose_parts
from ansible_collections.prosaas.ops.plugins.module_utils._bounded import Programs
from ansible_collections.prosaas.ops.plugins.module_utils._compose import Project
from ansible_collections.prosaas.ops.plugins.module_utils._diagnose_parts import Asked, Part
from ansible_collections.prosaas.ops.plugins.module_utils._diagnose_secrets import Known
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._redact import Redactor

CANARY = "kestrel-9f3b7c1d5e8a2046"


# Programs that hang or print without end


def test_a_program_that_hangs_is_ended_with_its_children() -> None:
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="did not end within 0.3 s"):
        Programs(0.3, 1000).run(["sh", "-c", "sleep 30 & sleep 30"])
    assert time.monotonic() - begun < 5


def test_of_what_is_too_long_whole_last_lines_are_kept() -> None:
    ran = Programs(10, 1000).run(["seq", "100000"])
    assert ran.is_cut and ran.out.endswith("\n100000\n")
    assert ran.out.splitlines()[0] in {str(number) for number in range(10000, 100001)}
    with pytest.raises(OpsError, match="more than 1000 bytes"):
        Programs(10, 1000).execute(["seq", "100000"])


def test_a_program_gets_its_input_and_one_that_is_missing_is_named() -> None:
    programs = Programs(10, 1000)
    assert programs.execute(["cat"], data="hello") == (0, "hello", "")
    assert programs.execute(["true"], data="hello")[0] == 0
    with pytest.raises(OpsError, match="no-such-program cannot be started"):
        programs.run(["no-such-program"])


# What is secret


def test_every_variable_is_secret_but_the_plain_ones(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(
        f"A_HOST=plain.example\nSECRET='{CANARY}' # why\nDSN_HOST=redis://u:in%20dsn-123@h/0\nSITE=shop-project\n"
    )
    known = Known(["*_HOST"], {"shop-project"})
    known.env_file(env)
    assert CANARY in known.names and known.names[CANARY] == "SECRET"
    assert {"in%20dsn-123", "in dsn-123"} <= known.names.keys()
    assert "plain.example" not in known.names
    assert known.same == {"SITE"} and "shop-project" not in known.names


def test_a_damaged_environment_file_still_tells_its_secrets(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(f"GOOD={CANARY} # why\nBAD='open quote-{CANARY[::-1]}\n")
    known = Known([])
    known.env_file(env)
    assert len(known.problems) == 1
    redactor = Redactor(known.names)
    assert redactor.leaks(CANARY.encode()) and redactor.leaks(f"open quote-{CANARY[::-1]}".encode())


def test_files_of_keys_and_tokens_are_secret(tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text(
        json.dumps({"private_key": f"-----BEGIN X\n{CANARY}\n", "uri": "https://a.example/token"})
    )
    (tmp_path / "backup.env").write_text("AWS_SECRET=abcdefgh-1234\n")
    (tmp_path / "folder").mkdir()
    known = Known([])
    known.files([f"{tmp_path}/*"])
    assert CANARY in known.names and "abcdefgh-1234" in known.names and "https://a.example/token" not in known.names
    assert known.problems == []


# What fails alone


def test_a_part_that_fails_is_named_and_costs_no_other() -> None:
    def refuses() -> dict[str, str]:
        raise OpsError("The engine is away.", "Start it.")

    def breaks() -> dict[str, str]:
        raise ValueError(CANARY)

    found = _diagnose.gather([Part("One", refuses), Part("Two", lambda: {"two.txt": "2"}), Part("Three", breaks)])
    assert found.files == {"two.txt": "2"} and found.titles == {"two.txt": "Two"}
    assert [(one.what, one.why.partition(" at ")[0]) for one in found.missing] == [
        ("One", "The engine is away."),
        ("Three", "ValueError"),
    ]
    assert CANARY not in str(found.missing)


def policy(**changes: t.Any) -> _diagnose.Policy:
    return _diagnose.Policy(
        **{"plain": ["PATH"], "secret_files": [], "keys": [], "seconds": 10, "limit": 4096, **changes}
    )


def asked(directory: Path, **changes: t.Any) -> Asked:
    project = Project("no-such-project", directory, ("docker-compose.yml",))
    span = _diagnose_engine.Span(10, 60)
    return Asked(
        **{
            "project": project,
            "env_file": directory / ".env",
            "state_dir": directory / "state",
            "span": span,
            **changes,
        }
    )


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {entry.name: t.cast("t.IO[bytes]", archive.extractfile(entry)).read() for entry in archive}


def test_with_nothing_there_an_archive_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, no files of one, no environment file, no state: the host alone is told, and what is missing."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.setattr(_diagnose_engine, "data_root", lambda: tmp_path / "no-engine")
    seen = _diagnose.look(asked(tmp_path), policy(), "a-host")
    made = _diagnose.diagnose(seen, policy(), "a-host", "20261128T130000Z")
    assert made.path == tmp_path / "state/diagnose/diagnose-a-host-no-such-project-20261128T130000Z.tar.gz"
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    found = members(made.path)
    top = "diagnose-a-host-no-such-project-20261128T130000Z/"
    assert list(found)[0] == f"{top}README.md" and f"{top}host/kernel.txt" in found and f"{top}versions.json" in found
    page = found[f"{top}README.md"].decode()
    missing = {one.what: one.why for one in made.missing}
    assert missing["The engine"] == "The Docker engine does not answer on this host."
    assert "docker-compose.yml does not exist" in missing["The Compose model, without values"]
    assert ".env cannot be read" in missing["Secrets to look for"]
    assert all(why in page for why in missing.values())
    assert not (tmp_path / "state/fingerprint.key").exists(), "nothing else is written"


# The files of an engine that is down


def engine_files(root: Path, lines: list[str], size: int = 0) -> None:
    directory = root / "containers" / ("c" * 64)
    directory.mkdir(parents=True)
    log = directory / "c-json.log"
    log.write_text(
        "".join(
            json.dumps({"log": line, "stream": "stdout", "time": "2026-11-28T12:00:00.5Z"}) + "\n" for line in lines
        )
    )
    config = {
        "Env": [f"SECRET={CANARY}"],
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"},
    }
    described = {
        "ID": "c" * 64,
        "Name": "/shop-api-1",
        "Config": config,
        "State": {"Running": False, "ExitCode": 137},
        "LogPath": str(log),
    }
    (directory / "config.v2.json").write_text(json.dumps(described))
    broken = root / "containers" / ("d" * 64)
    broken.mkdir()
    (broken / "config.v2.json").write_text('{"ID": "half wri')


def test_an_engine_that_is_down_is_read_from_its_files(tmp_path: Path) -> None:
    engine_files(tmp_path, ["first\n", "half a ", "line\n", "last\n"])
    files = _diagnose_engine.Files(1 << 20, tmp_path)
    (one,) = files.containers("shop")
    assert _diagnose_engine.environment(one) == {"SECRET": CANARY}
    log = files.log(one, _diagnose_engine.Span(2, 0))
    assert log == "2026-11-28T12:00:00.5Z half a line\n2026-11-28T12:00:00.5Z last\n"
    with pytest.raises(Unreachable, match="No containers of other"):
        files.containers("other")


def test_its_secrets_are_known_from_there_and_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_files(tmp_path / "engine", [f"started with {CANARY}\n"])
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.setattr(_diagnose_engine, "data_root", lambda: tmp_path / "engine")
    wanted = asked(tmp_path, project=Project("shop", tmp_path, ("docker-compose.yml",)))
    made = _diagnose.diagnose(_diagnose.look(wanted, policy(), "h"), policy(), "h", "20261128T130000Z")
    found = {name.partition("/")[2]: data.decode() for name, data in members(made.path).items()}
    assert found["logs/shop-api-1.log"] == "2026-11-28T12:00:00.5Z started with ********\n"
    assert "shop-api-1 has ended with exit code 137" in found["README.md"]
    assert json.loads(found["containers/shop-api-1.json"])["environment"]["SECRET"]["length"] == len(CANARY)


# The archive


def test_the_archive_unpacks_into_one_folder_with_harmless_names() -> None:
    names = ["../../etc/passwd", "/etc/passwd", "-rf", "logs/a b;c.log", ".ssh/key", f"logs/{CANARY}.log", "logs/ä"]
    files = _diagnose.fit_to_send(dict.fromkeys(names, "text"), Redactor({CANARY: "SECRET"}), 1000)
    assert len(files) == len(names)
    with tarfile.open(fileobj=io.BytesIO(_diagnose.pack("top", files))) as archive:
        for entry in archive:
            assert entry.isreg() and entry.mode == 0o600 and entry.uid == 0
            assert entry.name.startswith("top/") and ".." not in entry.name and "//" not in entry.name
            assert not set(entry.name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-")
            assert CANARY not in entry.name


def test_of_a_long_file_the_end_is_kept() -> None:
    text = "".join(f"line {number}\n" for number in range(1000))
    short = _diagnose.fit_to_send({"a": text}, Redactor({}), 100)["a"]
    assert short.startswith("[cut: the last 100 of ") and short.endswith("line 999\n") and len(short) < 150


def test_where_the_disk_is_full_another_place_takes_it(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    assert _diagnose.keep("a.tar.gz", b"data", [blocked / "below", tmp_path / "other"]) == tmp_path / "other/a.tar.gz"
    with pytest.raises(OpsError, match="could not be written"):
        _diagnose.keep("a.tar.gz", b"data", [blocked / "below"])


def test_an_archive_that_nobody_fetched_is_taken_away(tmp_path: Path) -> None:
    old, new = tmp_path / "diagnose-a.tar.gz", tmp_path / "diagnose-b.tar.gz"
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    _diagnose.forget_old(tmp_path)
    assert not old.exists() and new.exists()


# The proof


@pytest.mark.parametrize("form", [CANARY, CANARY.upper(), CANARY.encode().hex(), '\\"' + CANARY])
def test_an_archive_with_a_secret_is_deleted_and_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(_diagnose.pack("top", {"README.md": "fine", "logs/a.log": f"x {form} y"}))
    with pytest.raises(OpsError, match=r"SECRET in top/logs/a.log") as caught:
        _diagnose.prove(path, "top", Redactor({CANARY: "SECRET"}))
    assert not path.exists() and CANARY not in str(caught.value)


def test_a_secret_in_a_name_counts_and_so_does_a_way_out_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    for name, why in ((f"logs/{CANARY}", "SECRET in "), ("../out", "no plain file below top")):
        path.write_bytes(_diagnose.pack("top", {name: "fine"}))
        with pytest.raises(OpsError, match=why):
            _diagnose.prove(path, "top", Redactor({CANARY: "SECRET"}))
        assert not path.exists()


def test_when_the_redaction_fails_nothing_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is no copy of the redaction: with that switched off, the whole way ends in the refusal."""
    engine_files(tmp_path / "engine", [f"started with {CANARY}\n"])
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.setattr(_diagnose_engine, "data_root", lambda: tmp_path / "engine")
    wanted = asked(tmp_path, project=Project("shop", tmp_path, ("docker-compose.yml",)))
    seen = _diagnose.look(wanted, policy(), "h")
    monkeypatch.setattr(Redactor, "text", lambda _self, text: text)
    with pytest.raises(OpsError, match="SECRET in "):
        _diagnose.diagnose(seen, policy(), "h", "20261128T130000Z")
    assert list((tmp_path / "state/diagnose").iterdir()) == []


# The parts


def test_a_model_keeps_names_and_loses_values() -> None:
    told = {"length": 1}
    model = {
        "services": {
            "a": {
                "environment": {"X": CANARY, "Y": None},
                "build": {"args": {"Z": CANARY}},
                "command": ["redis", "--requirepass", "x"],
            }
        },
        "configs": {"c": {"content": CANARY}},
    }
    made = _diagnose_parts.without_values(model, lambda _value: told)
    assert CANARY not in json.dumps(made)
    assert made["services"]["a"] == {
        "environment": {"X": told, "Y": told},
        "build": {"args": {"Z": told}},
        "command": "redis --requirepass x",
    }


def test_records_are_told_newest_first_and_a_damaged_one_stops_nothing(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    check = {"id": "a.b", "status": "fail", "evidence": "seen", "remedy": "do"}
    for name, playbook in (("20261101T000000Z-verify-aaaa", "verify"), ("20261102T000000Z-deploy-bbbb", "deploy")):
        record = {
            "run": name,
            "playbook": playbook,
            "outcome": "failed",
            "msg": "no",
            "checks": [check, {**check, "status": "pass"}],
            "boxes": [1],
        }
        (records / f"{name}.json").write_text(json.dumps(record))
    (records / "20261103T000000Z-verify-cccc.json").write_text("{")
    made = _diagnose_parts.records(tmp_path, 10)
    rows = json.loads(made["records.json"])
    assert [row["outcome"] for row in rows] == ["this record is damaged", "failed", "failed"]
    assert rows[1]["wrong"] == [check]
    assert "boxes" not in json.loads(made["records/20261102T000000Z-deploy-bbbb.json"])
