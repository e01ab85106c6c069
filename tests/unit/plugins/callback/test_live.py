# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live callback by the real ansible-playbook, in a pipe and on a pseudo terminal of a given width."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas import ops

COLLECTIONS = Path(next(iter(ops.__path__))).parents[2]
CANARY = "CANARY-4f8a9d1c0b3e5a7f"
GOOD = f"SECRET_KEY={CANARY}\nPORT=8080\nADVISED=1\n"
BAD = f"SECRET_KEY=changeme-{CANARY}\nPORT=99999999\nADVISED={CANARY}\n"
HOUSE = """
- name: Prove what it needs
  hosts: all
  gather_facts: false
  tasks:
    - name: Begin
      ansible.builtin.import_role: {name: prosaas.ops.prosaas, tasks_from: begin.yml}
      vars: {__prosaas_playbook: preflight}
    - name: Check, and write down how it ended
      block:
        - name: Variables of the application
          prosaas.ops.env_validate: &env
            project_dir: "{{ playbook_dir }}"
            project: app
            resolve: false
            gather: true
            advisory: [env.advised]
            schema:
              SECRET_KEY: {type: secret, required: true, min_length: 16}
              PORT: {type: port, required: true}
              ADVISED: {type: int, required: true}
            placeholders: [changeme]
          register: env
        - name: The same once more
          prosaas.ops.env_validate: *env
        - name: Something of another role
          ansible.builtin.copy: {content: "new\\n", dest: "{{ playbook_dir }}/{{ inventory_hostname }}.txt", mode: "0600"}
        - name: Not here
          ansible.builtin.command: "false"
          when: false
        - name: All of it together
          prosaas.ops.verdict: {phase: Preflight, results: ["{{ env }}"], answers: prosaas_attestations}
        - name: Say what there is
          ansible.builtin.debug: {msg: "All is well"}
      rescue:
        - name: Say what failed
          ansible.builtin.import_role: {name: prosaas.ops.prosaas, tasks_from: failed.yml}
      always:
        - name: End
          ansible.builtin.import_role: {name: prosaas.ops.prosaas, tasks_from: end.yml}
          vars: {__prosaas_outcome: passed}
"""
OTHERS = """
- name: Of others
  hosts: all
  gather_facts: false
  handlers:
    - name: Told of it
      ansible.builtin.command: "true"
  tasks:
    - name: Made
      ansible.builtin.command: "true"
      notify: Told of it
    - name: Nothing of it
      ansible.builtin.set_fact: {it: 1}
    - name: Never mind
      ansible.builtin.command: {argv: [sh, -c, "echo to-out; echo to-err >&2; exit 3"]}
      ignore_errors: true
    - name: Rescued
      block:
        - name: Goes wrong
          ansible.builtin.fail: {msg: "This went wrong.\\nIn two lines."}
      rescue:
        - name: Say it again
          ansible.builtin.fail: {msg: "Goes wrong: This went wrong.\\nIn two lines.\\nNothing was switched."}
          ignore_errors: true
    - name: Some of many
      ansible.builtin.command: "{{ item }}"
      loop: ["true", "false"]
      ignore_errors: true
    - name: Said in a loop
      ansible.builtin.debug: {msg: "item {{ item }} speaks"}
      loop: [one, two]
    - name: Not defined
      ansible.builtin.debug: {msg: "{{ nowhere }}"}
      ignore_errors: true
    - name: With escapes
      ansible.builtin.debug: {msg: "red \\e[31m back \\r over"}
    - name: Hidden
      ansible.builtin.fail: {msg: "{{ canary }}"}
      no_log: true
      ignore_errors: true
    - name: Hidden many
      ansible.builtin.command: "echo {{ item }}"
      loop: ["{{ canary }}-1", "{{ canary }}-2"]
      no_log: true
    - name: Hidden words
      ansible.builtin.debug: {msg: "{{ canary }}"}
      no_log: true
    - name: The end of it
      ansible.builtin.fail: {msg: "The last word."}
"""


class Controller:
    """A directory with playbooks, an inventory and an environment file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name, text in (("house.yml", HOUSE), ("others.yml", OTHERS), (".env", GOOD)):
            (directory / name).write_text(text, encoding="utf-8")
        (directory / ".env").chmod(0o600)
        (directory / "ansible.cfg").touch()
        self.hosts("web-1")

    def hosts(self, *names: str, **more: t.Any) -> None:
        settings = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "canary": CANARY,
            "prosaas_state_dir": str(self.directory / "state"),
            "prosaas_records_dir": str(self.directory / "records"),
        }
        inventory = {"all": {"hosts": {**dict.fromkeys(names), **more}, "vars": settings}}
        (self.directory / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")

    def bad(self) -> None:
        (self.directory / ".env").write_text(BAD, encoding="utf-8")

    def given(self, playbook: str, arguments: t.Sequence[str], settings: dict[str, str]) -> dict[str, t.Any]:
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        mine = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "ANSIBLE_NOCOLOR")}
        environment = {
            **mine,
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(COLLECTIONS), mine.get("ANSIBLE_COLLECTIONS_PATH", "")]),
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "prosaas.ops.live",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "ANSIBLE_PIPELINING": "1",
            "TERM": "xterm-256color",
            **settings,
        }
        return {"args": [program, "-i", "hosts.json", playbook, *arguments], "env": environment, "cwd": self.directory}

    def piped(self, playbook: str, *arguments: str, **settings: str) -> tuple[int, str]:
        done = subprocess.run(
            **self.given(playbook, arguments, settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120
        )
        return done.returncode, done.stdout.decode()

    def on_terminal(self, playbook: str, columns: int, *arguments: str, **settings: str) -> str:
        """Return all that was written to a terminal that is so wide."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        given = self.given(playbook, arguments, settings)
        with subprocess.Popen(**given, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True):
            os.close(theirs)
            written = b""
            try:
                while some := os.read(ours, 65536):
                    written += some
            except OSError:  # how a terminal says that the other side is closed
                pass
        os.close(ours)
        return written.decode()


@pytest.fixture(name="controller")
def _controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def seen(written: str) -> list[str]:
    """Return the lines that stand on a terminal in the end: what a carriage return let be written over is gone."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", written).replace("\r\n", "\n")
    lines = []
    for line in text.split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


def timeless(text: str) -> str:
    """Return a text whose steps all took a second, and the run none."""
    return re.sub(r"^(  \S+(?: \S+)?) +\d[\d.]* s ", r"\1 1s ", re.sub(r" after [\d. mins]+:", ":", text), flags=re.M)


def test_a_run_that_fails_is_told_once_worst_first_with_what_to_do(controller: Controller) -> None:
    controller.bad()
    code, out = controller.piped("house.yml")
    assert code == 2 and "\x1b" not in out and "\r" not in out and CANARY not in out
    lines = timeless(out).splitlines()
    env = controller.directory / ".env"
    begin = lines.index("Prove what it needs")
    assert lines[begin + 1 : begin + 4] == [
        " Begin",
        "  skipped             Begin nothing after a failure",
        "  ok 1s Begin the run",
    ]
    counted = "2 of 8 checks failed (env.secret_key, env.port)."
    check = lines.index(" Check, and write down how it ended")
    assert lines[check + 1 :][:14] == [
        f"  fail 1s Variables of the application: {counted}",
        f"  fail 1s The same once more: {counted}",
        "  changed 1s Something of another role",
        "  skipped             Not here",
        "  FAILED 1s All of it together: Preflight: 2 of 8 checks stop it, 1 to look at.",
        "    fail     env.secret_key: line 1: it is still a placeholder",
        f"             -> Set SECRET_KEY in {env}",
        "    fail     env.port: line 2: expected a port number",
        f"             -> Correct PORT in {env}",
        "    fail     env.advised: line 3: expected a whole number [advisory]",
        f"             -> Correct ADVISED in {env}",
        " Say what failed",
        "  ok 1s Remember what failed",
        "  FAILED 1s Stop here: as said above",
    ]
    assert out.count("it is still a placeholder") == 1
    end = lines[lines.index("web-1  failed: 1 changed, 5 ok, 4 skipped, 1 rescued") :]
    records = sorted((controller.directory / "state/records").glob("*.json"))
    assert end[1:5] == [
        "    failed at Check, and write down how it ended: All of it together",
        f"    run       {records[0].stem}",
        f"    record    {records[0]}",
        f"    copy      {controller.directory}/records/web-1/{records[0].name}",
    ]


def test_a_run_that_passes_in_check_mode_shows_what_would_change(controller: Controller) -> None:
    code, out = controller.piped("house.yml", "--check", "--diff")
    lines = timeless(out).splitlines()
    assert code == 0
    assert "Prove what it needs [check mode]" in lines
    assert "+new" in lines and lines.index("+new") < lines.index("  changed 1s Something of another role")
    assert "  ok 1s All of it together: Preflight: 8 of 8 checks passed." in lines
    assert "  ok 1s Say what there is: All is well" in lines
    assert lines[-2:] == [
        "web-1  passed: 1 would change, 6 ok, 4 skipped",
        "    This was check mode: nothing was changed.",
    ]


def test_what_others_do_is_shown_and_what_failed_in_full(controller: Controller) -> None:
    code, out = controller.piped("others.yml")
    assert code == 2 and "\x1b" not in out and "\r" not in out
    lines = timeless(out).splitlines()
    assert "  changed 1s Made" in lines and "  ok 1s Nothing of it" in lines
    ignored = next(at for at, line in enumerate(lines) if re.fullmatch(r"  ignored 1s Never mind: .*non-zero return code\.?", line))
    assert {"    rc: 3", "    stdout: to-out", "    stderr: to-err"} <= set(lines[ignored : ignored + 12])
    assert any(line.startswith("    at ") and "others.yml:" in line for line in lines[ignored : ignored + 12])
    wrong = lines.index("  FAILED 1s Goes wrong")
    assert lines[wrong : wrong + 3] == ["  FAILED 1s Goes wrong", "    This went wrong.", "    In two lines."]
    assert lines[wrong + 3] == "  ignored 1s Say it again: Nothing was switched.", "only what is new"
    assert any(re.match(r"  FAILED              Some of many \(false\): .*non-zero return code", line) for line in lines)
    assert "  ignored 1s Some of many: 2 items, 1 failed, 1 changed (true)" in lines
    assert "  ok                  Said in a loop (two): item two speaks" in lines
    assert any(line.startswith("  ignored 1s Not defined: ") and "'nowhere' is undefined" in line for line in lines)
    assert "  ok 1s With escapes: red ?[31m back ? over" in lines
    assert "  FAILED 1s The end of it: The last word." in lines
    assert lines[-2:] == [
        "web-1  failed: 4 changed, 7 ok, 1 rescued, 5 ignored",
        "    failed at The end of it",
    ]


@pytest.mark.parametrize("verbosity", ["", "-vvv"])
def test_a_secret_is_shown_at_no_verbosity(controller: Controller, verbosity: str) -> None:
    controller.bad()
    for playbook in ("others.yml", "house.yml"):
        _code, out = controller.piped(playbook, *filter(None, [verbosity]))
        assert CANARY not in out
        assert "Hidden many" in out or playbook == "house.yml"


def test_with_v_it_is_the_default_callback_with_our_end(controller: Controller) -> None:
    _code, out = controller.piped("others.yml", "-v")
    assert "TASK [Made] ****" in out and "changed: [web-1] => " in out and "fatal: [web-1]: FAILED! => " in out
    assert "PLAY RECAP ****" in out and CANARY not in out
    _code, plain = controller.piped("others.yml", "-v", ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default")
    steps = re.compile(r"^(?:TASK|RUNNING|ok:|changed:|failed:|fatal:|skipping:)[^\n]*", re.M)
    assert steps.findall(out) == steps.findall(plain)
    assert "web-1  failed: " in timeless(out)


def test_several_hosts_are_named_and_one_that_does_not_answer_says_why(controller: Controller) -> None:
    away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    controller.hosts("web-1", "web-2", away=away)
    code, out = controller.piped("house.yml")
    lines = timeless(out).splitlines()
    assert code == 4
    assert "Prove what it needs (web-1, web-2, away)" in lines
    assert any(re.match(r"  NO ANSWER 1s \[away\] Begin the run: away cannot be reached, .*refused", line) for line in lines)
    for host in ("web-1", "web-2"):
        assert f"  changed 1s [{host}] Something of another role" in lines
        assert f"  skipped             [{host}] Not here" in lines
        assert f"{host}  passed: 1 changed, 6 ok, 4 skipped" in lines
    assert "away  unreachable: 0 changed, 0 ok, 1 skipped" in lines
    assert out.count("cannot be reached") == 1


def test_what_nobody_judged_is_told_at_the_end(controller: Controller) -> None:
    controller.bad()
    text = HOUSE[: HOUSE.index("        - name: The same once more")]
    text = text.replace("{{ playbook_dir }}", str(controller.directory))
    (controller.directory / "gather.yml").write_text(text.replace("      block:", "      any_errors_fatal: true\n      block:"), "utf-8")
    code, out = controller.piped("gather.yml")
    lines = out.splitlines()
    assert code == 0, out
    start = lines.index("Found, and not judged above")
    assert lines[start + 1] == "    fail     env.secret_key: line 1: it is still a placeholder"


def test_on_a_terminal_the_step_that_runs_makes_room_for_its_end(controller: Controller) -> None:
    controller.bad()
    written = controller.on_terminal("house.yml", 64)
    assert "  …                   Variables of the application" in written and "\r  " in written
    assert "\x1b[0;31m  fail" in written and "\x1b[0;33m  changed" in written
    assert not re.search(r"\x1b\[[^m]*[A-Za-ln-z]", written), "colours, and nothing that moves a cursor"
    lines = seen(written)
    assert not [line for line in lines if "…" in line]
    long = [line for line in lines if len(line) > 64]
    assert all(str(controller.directory) in line for line in long), "a path stays whole"
    words = " ".join(" ".join(lines).split())
    assert "Preflight: 2 of 8 checks stop it, 1 to look at." in words and CANARY not in words
    steps = [line for line in lines if re.match(r"  (ok|changed|skipped|fail|FAILED) ", line)]
    assert len(steps) == 12


def test_no_color_means_no_escape_and_a_log_file_has_plain_lines(controller: Controller) -> None:
    log = controller.directory / "run.log"
    written = controller.on_terminal("house.yml", 200, NO_COLOR="1", ANSIBLE_LOG_PATH=str(log))
    assert "\x1b" not in written and "\r  " in written
    logged = log.read_text(encoding="utf-8")
    assert "\x1b" not in logged and "\r" not in logged and "…" not in logged
    assert "Something of another role" in logged
    plain = controller.on_terminal("house.yml", 200, PROSAAS_LIVE_RUNNING="0", ANSIBLE_NOCOLOR="1")
    assert "\x1b" not in plain and "\r" not in plain.replace("\r\n", "\n")


def test_what_is_said_meanwhile_stands_under_its_step(controller: Controller) -> None:
    """By a task that is tried again, and by one whose action shows progress through Ansible's display."""
    actions = controller.directory / "action_plugins"
    actions.mkdir()
    (actions / "talks.py").write_text(
        "from ansible.plugins.action import ActionBase\n"
        "class ActionModule(ActionBase):\n"
        "    def run(self, tmp=None, task_vars=None):\n"
        "        for word in ('building api', 'building calls'):\n"
        "            self._display.display(f\"{task_vars['inventory_hostname']}: {word}\")\n"
        "        return {'changed': True}\n",
        encoding="utf-8",
    )
    (controller.directory / "talks.yml").write_text(
        "- {name: Talk, hosts: all, gather_facts: false, tasks: [{name: Build it, talks: },"
        " {name: Wait, command: 'false', until: false, retries: 1, delay: 0, ignore_errors: true}]}\n",
        encoding="utf-8",
    )
    expected = [
        "  …                   Build it",
        "                      building api",
        "                      building calls",
        "  changed 1s Build it",
        "  again 1s Wait: not yet",
    ]
    code, out = controller.piped("talks.yml")
    lines = timeless(out).splitlines()
    start = lines.index(expected[0])
    assert code == 0 and lines[start : start + 5] == expected
    shown = timeless("\n".join(seen(controller.on_terminal("talks.yml", 100)))).splitlines()
    start = shown.index(expected[0])
    assert shown[start : start + 5] == expected


def test_options_of_the_default_callback_are_kept(controller: Controller) -> None:
    settings = {"ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0", "ANSIBLE_DISPLAY_OK_HOSTS": "0", "ANSIBLE_SHOW_CUSTOM_STATS": "1"}
    more = "    - {name: Count, ansible.builtin.set_stats: {data: {apples: 3}}}\n"
    (controller.directory / "house.yml").write_text(HOUSE + more, encoding="utf-8")
    _code, out = controller.piped("house.yml", **settings)
    assert "  skipped" not in out and "  ok  " not in out and "  changed  " in out
    assert "for all: " in out and "apples: 3" in out
