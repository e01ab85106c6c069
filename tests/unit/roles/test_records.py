# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records from their run to their verification, by the real ansible-playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas import ops

ROOT = Path(__file__).resolve().parents[3]
COLLECTIONS = Path(next(iter(ops.__path__))).parents[2]
RUN = """
- hosts: web-1
  gather_facts: false
  tasks:
    - import_role: {name: prosaas.ops.prosaas, tasks_from: begin.yml}
      vars: {__prosaas_playbook: deploy}
    - import_role: {name: prosaas.ops.prosaas, tasks_from: end.yml}
      vars: {__prosaas_outcome: verified, __prosaas_message: "wörks {% raw %}{{ as it is }}{% endraw %}"}
"""


class Controller:
    """A directory with an inventory, a key, and what runs have left."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.records = directory, directory / "records" / "web-1"
        self.key = directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", self.key], check=True)
        public = self.key.with_suffix(".pub").read_text(encoding="utf-8")
        (directory / "allowed").write_text(f"dana@example.test {public}", encoding="utf-8")
        (directory / "run.yml").write_text(RUN, encoding="utf-8")
        settings = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "prosaas_state_dir": str(directory / "state"),
            "prosaas_records_dir": str(directory / "records"),
            "prosaas_records_key": str(self.key),
            "prosaas_records_allowed_signers": str(directory / "allowed"),
        }
        inventory = {"prosaas": {"hosts": {"web-1": None}, "vars": settings}}
        (directory / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")

    def play(self, playbook: Path, **given: t.Any) -> tuple[int, str]:
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.directory / "hosts.yml"), str(playbook)]
        paths = os.pathsep.join([str(COLLECTIONS), os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")])
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": paths, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        environment |= {"ANSIBLE_STDOUT_CALLBACK": "default", "COLUMNS": "1000"}
        argv += ["-e", json.dumps(given)]
        done = subprocess.run(argv, env=environment, cwd=self.directory, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def run(self, **given: t.Any) -> str:
        code, out = self.play(self.directory / "run.yml", **given)
        assert code == 0, out
        return out

    def verify(self, **given: t.Any) -> tuple[int, str]:
        return self.play(ROOT / "playbooks/records.yml", **given)

    def copies(self) -> list[Path]:
        return sorted(path for path in self.records.glob("*.json") if path.name != "head.json")


@pytest.fixture(name="controller")
def _controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def test_records_are_the_hosts_bytes_signed_and_what_happens_to_them_is_told(controller: Controller) -> None:
    for _number in range(3):
        controller.run()
    copies = controller.copies()
    for path in copies:
        assert path.read_bytes() == (controller.directory / "state/records" / path.name).read_bytes()
        assert path.with_name(path.name + ".sig").stat().st_mode & 0o777 == 0o600
    assert json.loads((controller.records / "head.json").read_text(encoding="utf-8"))["run"] == copies[-1].stem
    code, out = controller.verify()
    assert code == 0 and "web-1: 3 ok" in out and "3 of 3 checks passed" in out

    copies[0].write_bytes(copies[0].read_bytes().replace(b"verified", b"passed"))
    copies[2].unlink()
    code, out = controller.verify(host="web-1")
    assert code == 2
    its_own = f"web-1:{controller.directory}/state/records/{copies[0].name}"
    assert f"fail     records.web-1.{copies[0].stem}: changed: its hash is not the one that {copies[1].stem} carries -> " in out
    assert its_own in out
    assert f"fail     records.web-1.{copies[2].stem}: removed: head.json names it as the newest" in out


def test_run_with_a_key_that_cannot_sign_ends_well_and_says_so_twice(controller: Controller) -> None:
    out = controller.run(prosaas_records_key=str(controller.directory / "nobody"))
    assert "The record of this run will not be signed. There is no key" in out
    assert f"The record {controller.copies()[0]} is not signed." in out
    code, out = controller.verify()
    assert code == 2 and "unknown  records.web-1.signatures: 1 unsigned, with no signed record after them" in out


def test_attempt_at_a_host_that_is_away_is_signed_and_shown_as_such(controller: Controller) -> None:
    away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_ssh_common_args": "-o ConnectTimeout=2"}
    code, out = controller.play(controller.directory / "run.yml", **away)
    assert code == 4, out
    code, out = controller.verify()
    assert code == 0 and "web-1: 1 attempt" in out
    assert controller.copies()[0].with_name(controller.copies()[0].name + ".sig").exists()


def test_host_without_records_is_named(controller: Controller) -> None:
    (controller.directory / "records").mkdir()
    code, out = controller.verify()
    assert code == 2 and "unknown  records.web-1.chain: no record of this host is here" in out
    code, out = controller.verify(prosaas_records_dir=str(controller.directory / "elsewhere"))
    assert code == 2 and "elsewhere cannot be read: No such file or directory -> Name the right one" in out
