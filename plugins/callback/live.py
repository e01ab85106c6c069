# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows a run as it goes. What it does not show in its own way, it shows as Ansible's default callback does."""

from __future__ import annotations

DOCUMENTATION = r"""
name: live
type: stdout
short_description: Show a run as it goes, one line a step
version_added: 0.3.0
description:
  - Shows each step as one line, with how it ended and its seconds, under the phase that it belongs to.
  - What the modules of this collection find is shown as they find it. What failed comes in full, with its evidence and
    its remedy, worst first, and is said once.
  - Tasks of others are shown the same way. What the default callback shows of one that failed is shown, too.
  - At the end it says for each host how it ended, what was changed, and where the record of the run is.
  - On a terminal the step that runs stands on the last line, and lines are wrapped. In a pipe, in a log file and in AWX
    each step is one plain line.
  - With C(-v) and more it is Ansible's default callback, with this end.
  - Of a task with C(no_log) nothing is shown but that it ran and how it ended, also where the default callback shows
    the error of one.
author:
  - the prosaas.ops authors (@prosaas)
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - Set C(stdout_callback = prosaas.ops.live) in the configuration, or E(ANSIBLE_STDOUT_CALLBACK).
options:
  running:
    description: Whether to draw the step that runs, on a terminal.
    type: bool
    default: true
    env:
      - name: PROSAAS_LIVE_RUNNING
    ini:
      - section: callback_prosaas_live
        key: running
  width:
    description: How many columns a line may take, also where there is no terminal. V(0) is the width of the terminal.
    type: int
    default: 0
    env:
      - name: PROSAAS_LIVE_WIDTH
    ini:
      - section: callback_prosaas_live
        key: width
"""

import functools
import time
import typing as t
from collections import defaultdict
from collections.abc import Mapping

from ansible import constants as C
from ansible import context
from ansible.executor.task_result import CallbackTaskResult
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.fqcn import add_internal_fqcns
from ansible_collections.prosaas.ops.plugins.module_utils import _check
from ansible_collections.prosaas.ops.plugins.plugin_utils import _live
from ansible_collections.prosaas.ops.plugins.plugin_utils._live import Line, Loop, Told
from ansible_collections.prosaas.ops.plugins.plugin_utils._play import hosts_of, phase_of
from ansible_collections.prosaas.ops.plugins.plugin_utils._screen import Screen

OURS = "prosaas.ops."
PLACES = ("record", "record_copy", "page", "incident", "junit")  # where a run left what is known of it
# What is no part of the details of a failure: said elsewhere, or of no use to anybody.
SAID_ELSEWHERE = frozenset(
    f"{' '.join(PLACES)} msg changed unreachable checks counts verdict seconds censored item ansible_loop_var attempts "
    "exception warnings deprecations invocation delta start end stdout_lines stderr_lines".split()
)
SAY_WHY = add_internal_fqcns(("fail", "assert"))  # what failed by itself: where it stands in a file explains nothing
COLORS = {
    _live.HEADING: "COLOR_HIGHLIGHT",
    _live.OK: "COLOR_OK",
    _live.CHANGED: "COLOR_CHANGED",
    _live.SKIPPED: "COLOR_SKIP",
    _live.WARN: "COLOR_WARN",
    _live.ERROR: "COLOR_ERROR",
}


def color_of(tone: str) -> str | None:
    return getattr(C, COLORS[tone]) if tone in COLORS else None


def in_our_way(method: t.Callable[..., None]) -> t.Callable[..., None]:
    """Let a method be the default callback's where all is asked for, and where ours breaks: nothing may go unseen."""
    default = getattr(Default, method.__name__)

    @functools.wraps(method)
    def either(self: CallbackModule, first: t.Any, *given: t.Any, **named: t.Any) -> None:
        if isinstance(first, CallbackTaskResult):
            self._note(first)
        if not self._full:
            try:
                method(self, first, *given, **named)
                return
            except Exception as error:
                what = f"prosaas.ops.live met an error of its own ({type(error).__name__})"
                self._display.warning(f"{what}; the default callback shows this step.")
        default(self, first, *given, **named)

    return either


class CallbackModule(Default):
    """One line a step; the default callback's own output from ``-v`` on."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "prosaas.ops.live"

    def __init__(self) -> None:
        super().__init__()
        self._screen = Screen(self._display, color_of, self._progress_of)
        self._began = time.monotonic()
        self._told: defaultdict[str, Told] = defaultdict(Told)
        self._started: dict[tuple[str, str], float] = {}  # by host and task
        self._loops: defaultdict[tuple[str, str], Loop] = defaultdict(Loop)
        self._names: dict[str, str] = {}  # of tasks, as they were when they began
        self._hosts: list[str] = []
        self._phases: dict[str, str] = {}

    @property
    def _full(self) -> bool:
        """Whether to be the default callback: asked for by verbosity, or by a setting that only it can serve."""
        return self._display.verbosity > 0 or bool(C.DISPLAY_ARGS_TO_STDOUT)

    # The course of a playbook

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        self._began = time.monotonic()
        if not self._full:
            self._screen.open(self.get_option("running"), self.get_option("width"))
        super().v2_playbook_on_start(playbook)

    @in_our_way
    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        self._play = play
        self._hosts, batch = hosts_of(play)
        mark = " [check mode]" if play.check_mode else ""
        names = f" ({_live.some(batch)})" if len(self._hosts) > 1 else ""
        self._screen.phase("")
        self._screen.say([Line(""), Line(f"{_live.plain(play.get_name().strip())}{names}{mark}", _live.HEADING)])

    @in_our_way
    def _task_start(self, task: t.Any, prefix: str | None = None) -> None:
        self._names[task._uuid] = _live.plain(task.name or task.action).strip()
        self._phases[task._uuid] = "Handlers" if prefix == "RUNNING HANDLER" else _live.plain(phase_of(task))
        if not isinstance(task, TaskInclude):
            self._run(task)

    def _run(self, task: t.Any) -> None:
        self._screen.phase(self._phase_of(task))
        self._screen.begin(_live.running(self._bare_name(task)))

    @in_our_way
    def _print_task_banner(self, task: t.Any) -> None:
        self._last_task_banner = task._uuid
        self._screen.announce()

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        self._started[host.get_name(), task._uuid] = time.monotonic()
        super().v2_runner_on_start(host, task)

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        if self._full:
            super().v2_playbook_on_no_hosts_remaining()
        else:
            self._screen.say([Line("  No host is left to go on with.", _live.WARN)])

    @in_our_way
    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        """Show nothing: the tasks that it brings say enough."""

    # How a step ended

    @in_our_way
    def v2_runner_on_ok(self, result: t.Any) -> None:
        seconds = self._took(result)
        if isinstance(result.task, TaskInclude):
            return
        found, told = result.result, self._told[result.host.get_name()]
        word, tone = ("changed", _live.CHANGED) if found.get("changed") else ("ok", _live.OK)
        note, body = "", list[Line]()
        if self._is_ours(result) and "verdict" in found:
            word, tone = _live.word_of(found)
            note, body = self._judged(found, told)
        elif self._looped(result):
            note = self._counted(result)
        elif self._run_is_verbose(result):
            note, body = self._said(result)
        if tone != _live.OK or body or self.get_option("display_ok_hosts"):
            self._say(result, _live.step(word, tone, self._name(result), note, seconds), body)
        self._aftermath(result)

    @in_our_way
    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._failed(result, "ignored" if ignore_errors else "FAILED", _live.WARN if ignore_errors else _live.ERROR)

    @in_our_way
    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        ignored = result.task.ignore_unreachable
        self._failed(result, "ignored" if ignored else "NO ANSWER", _live.WARN if ignored else _live.ERROR)

    @in_our_way
    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._took(result)
        if self.get_option("display_skipped_hosts"):
            self._say(result, _live.step("skipped", _live.SKIPPED, self._name(result)))
        self._aftermath(result)

    @in_our_way
    def v2_runner_retry(self, result: t.Any) -> None:
        began = self._started.get((result.host.get_name(), result.task._uuid), time.monotonic())
        self._say(result, _live.step("again", _live.PLAIN, self._name(result), "not yet", time.monotonic() - began))

    # Items of a loop: one that failed is shown at once, the rest is counted when the loop has ended.

    @in_our_way
    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        if result.result.get("changed"):
            self._loop(result).count("changed", self._get_item_label(result.result))
        if self._run_is_verbose(result) and not isinstance(result.task, TaskInclude):
            note, body = self._said(result)
            self._say(result, _live.step("ok", _live.OK, self._name(result, item=True), note), body)

    @in_our_way
    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        self._loop(result).count("failed")
        self._failed(result, "FAILED", _live.ERROR, item=True)

    @in_our_way
    def v2_runner_item_on_skipped(self, result: t.Any) -> None:
        self._loop(result).count("skipped")

    # The end

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        check_mode, seconds = bool(context.CLIARGS.get("check")), time.monotonic() - self._began
        hosts = sorted(stats.processed)
        if self._full:
            super().v2_playbook_on_stats(stats)
        lines: list[Line] = []
        for host in hosts:
            left = _live.settle(self._told[host])
            if left:
                name = f" on {host}" if len(hosts) > 1 else ""
                lines += [Line(""), Line(f"Found, and not judged above{name}", _live.HEADING), *left]
        lines += [Line("")] if self._full else [Line(""), Line("PLAY RECAP", _live.HEADING)]  # by which others know the end
        for host in hosts:
            lines += _live.ending(host, self._told[host], stats.summarize(host), seconds, check_mode)
        lines += [Line("    This was check mode: nothing was changed.", _live.HEADING)] if check_mode else []
        if self._full:
            for line in lines:
                self._display.display(line.text, color=color_of(line.tone))
            return
        self._screen.phase("")
        self._screen.say(lines)
        self._custom_stats(stats)
        self._screen.close()

    def _custom_stats(self, stats: t.Any) -> None:
        if stats.custom and self.get_option("show_custom_stats"):
            for name in sorted(stats.custom):
                values = self._dump_results(stats.custom[name], indent=1).replace("\n", "")
                self._screen.say([Line(f"    {'for all' if name == '_run' else name}: {_live.plain(values)}")])

    # What is said of a step

    def _failed(self, result: t.Any, word: str, tone: str, item: bool = False) -> None:
        """Show in full what failed, as far as it was not shown before."""
        seconds = None if item else self._took(result)
        found, told = result.result, self._told[result.host.get_name()]
        ours = self._is_ours(result)
        note, body, anew = "", list[Line](), True
        if self._looped(result) and not item:
            note = self._counted(result)
        elif ours and "verdict" in found:
            note, body = self._judged(found, told, stops=True)
        else:
            again = ours or self._action(result) in SAY_WHY  # others may well fail twice in the same words
            said = _live.sentence(found)
            new = _live.news(said, told if again else Told())
            anew = len(new) == len(list(filter(str.strip, said.splitlines())))
            # A playbook tells of a program that failed by the last line of its errors.
            told.sentences.update(_live.plain(line).strip() for line in (found.get("stderr_lines") or [])[-1:])
            note, body = _live.note_and_body("\n".join(new), tone) if new else ("as said above", [])
            body += self._details(found)
        speaks = ours or self._action(result) in SAY_WHY or (self._looped(result) and not item)
        if self.get_option("show_task_path_on_failure") or not speaks:
            body += _live.body(f"at {result.task.get_path() or 'an unknown place'}")
        if tone == _live.ERROR and not item and anew:  # a playbook that says it again in the end failed before
            told.failed_at = ": ".join(filter(None, (self._phase_of(result.task), self._bare_name(result.task))))
        stderr = self.get_option("display_failed_stderr")
        self._say(result, _live.step(word, tone, self._name(result, item), note, seconds), body, stderr)
        self._aftermath(result)

    def _judged(self, found: Mapping[str, t.Any], told: Told, stops: bool = False) -> tuple[str, list[Line]]:
        """Return what is said of checks: counted and named where they are gathered, in full where they stop."""
        rows, msg = found.get("checks"), str(found.get("msg") or "")
        if rows is None:
            return _live.judged(msg, told, _live.ERROR if stops else _live.PLAIN)
        _live.owe(rows, told)
        if "troubles" in found:  # it has judged all that the modules before it found
            told.owed.clear()
        if not stops:
            return _live.tally(rows, msg), []
        worth = [row for row in rows if row["status"] not in (_check.PASS, _check.SKIP)]
        for row in worth:
            told.owed.pop(row["id"], None)
        _live.news(msg, told)
        return _live.tally(rows, msg, names=False), _live.findings(worth, told)

    def _said(self, result: t.Any) -> tuple[str, list[Line]]:
        """Return what a task has to say that is made to say something."""
        found = result.result
        self._clean_results(found, result.task.action)
        msg = found.get("msg")
        if isinstance(msg, str) or (isinstance(msg, list) and all(isinstance(line, str) for line in msg)):
            return _live.note_and_body(msg if isinstance(msg, str) else "\n".join(msg))
        return "", self._details(found, ("changed",))

    def _details(self, found: Mapping[str, t.Any], without: t.Collection[str] = SAID_ELSEWHERE) -> list[Line]:
        """Return the rest of a result as the default callback shows it."""
        left = {key: value for key, value in found.items() if key not in without and value not in ("", [])}
        shown = self._dump_results(left).strip("\n")
        if shown.strip() in ("", "{}"):
            return []
        return _live.body(shown, indent=0 if shown.startswith(" ") else _live.TEXT_INDENT)

    def _say(self, result: t.Any, line: Line, body: t.Sequence[Line] = (), stderr: bool = False) -> None:
        """Show a step under the heading of its phase; it goes on running where other hosts still work on it."""
        self._screen.phase(self._phase_of(result.task))
        self._screen.say([line, *body], stderr)
        if any(uuid == result.task._uuid for _host, uuid in self._started):
            self._run(result.task)

    def _aftermath(self, result: t.Any) -> None:
        """Show warnings. The error of a failed task says what was just said, and where: it is shown when asked for."""
        if not {"error", "always"} & set(C.config.get_config_value("DISPLAY_TRACEBACK")):
            result.result.pop("exception", None)
        self._handle_warnings_and_exception(result)

    def _note(self, result: t.Any) -> None:
        """Remember what the beginning and the end of a run say of it, and take away what nobody may see.

        Ansible censors the result of a task with no_log, and leaves the words of its error in it.
        """
        found, told = result.result, self._told[result.host.get_name()]
        if found.get("_ansible_no_log") or "censored" in found:
            found.pop("exception", None)
        if self._is_ours(result) and self._action(result) == OURS + "run":
            told.outcome = str(result.task.args.get("outcome") or told.outcome)
            told.places.update({name.replace("record_", ""): str(found[name]) for name in ("run", *PLACES) if found.get(name)})

    def _took(self, result: t.Any) -> float | None:
        began = self._started.pop((result.host.get_name(), result.task._uuid), None)
        return None if began is None else time.monotonic() - began

    def _looped(self, result: t.Any) -> bool:
        return result.task.loop is not None and isinstance(result.result.get("results"), list)

    def _loop(self, result: t.Any) -> Loop:
        return self._loops[result.host.get_name(), result.task._uuid]

    def _counted(self, result: t.Any) -> str:
        """Return what became of a loop's items; a handler may go through its loop again."""
        loop = self._loops.pop((result.host.get_name(), result.task._uuid), Loop())
        return loop.sentence(len(result.result["results"]))

    def _is_ours(self, result: t.Any) -> bool:
        return self._action(result).startswith(OURS)

    def _action(self, result: t.Any) -> str:
        return str(result.task.resolved_action or result.task.action)

    def _phase_of(self, task: t.Any) -> str:
        return self._phases.get(task._uuid, "")

    def _bare_name(self, task: t.Any) -> str:
        return self._names.get(task._uuid) or _live.plain(task.name or task.action).strip()

    def _name(self, result: t.Any, item: bool = False) -> str:
        """Return the name of a step, with its host where there are several, and its item."""
        host = f"[{self.host_label(result)}] " if len(self._hosts) > 1 else ""
        label = _live.name_of(self._get_item_label(result.result)) if item else ""
        return f"{host}{self._bare_name(result.task)}" + (f" ({label})" if label else "")

    def _progress_of(self, msg: str) -> str:
        """Indent what a module says while it works; with one host, its name says nothing new."""
        host, colon, text = msg.partition(": ")
        if not colon or host not in self._hosts:
            return msg
        return f"{' ' * _live.STEP_INDENT}{msg if len(self._hosts) > 1 else text}"
