# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of the live callback: widths, findings told once, verdicts, endings."""

from __future__ import annotations

import typing as t

from ansible_collections.prosaas.ops.plugins.module_utils._check import Check, Policy, judged, summary
from ansible_collections.prosaas.ops.plugins.plugin_utils import _live
from ansible_collections.prosaas.ops.plugins.plugin_utils._live import Line, Told

FAILED = Check("tls.days", "Valid", "fail", "3 days left\nissuer: nobody", "Renew it.")
OPEN = Check("dns.caa", "CAA", "unknown", "nobody answers", "Look again.", question="Is it yours?")
LOW = Check("disk.room", "Room", "warn", "12 GB left", "Make room.")
WELL = Check("env.port", "PORT", "pass", "8080")


def rows(*checks: Check, **policy: t.Any) -> list[dict[str, t.Any]]:
    return judged(checks, Policy(**policy))


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def test_a_line_is_broken_between_words_and_a_path_stays_whole() -> None:
    line = Line("  ok  one two three /a/path/that/is/far/too/long four", hang=6)
    assert _live.wrapped(line, 0) == line.text
    assert _live.wrapped(line, 20) == "  ok  one two three /a/path/that/is/far/too/long\n     four"
    assert _live.wrapped(Line("  ok  one two three", hang=4), 14) == "  ok  one two\n   three"


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert _live.cells("שלום") == 4 and _live.cells("日本") == 4 and _live.cells("e\u0301") == 1
    assert _live.clipped("日本語", 5) == "日本…" and _live.clipped("abc", 3) == "abc"


def test_what_moves_a_cursor_is_not_shown() -> None:
    assert _live.plain("a\x1b[2Jb\rc\r\nd\te") == "a?[2Jb?c\nd   e"


def test_findings_come_worst_first_and_once() -> None:
    told = Told()
    twin = Check("tls.chain", "Chain", "fail", FAILED.evidence, FAILED.remedy)
    assert texts(_live.findings(rows(LOW, OPEN, FAILED, twin), told)) == [
        "    fail     tls.days, tls.chain: 3 days left",
        "             issuer: nobody",
        "             -> Renew it.",
        "    unknown  dns.caa: nobody answers",
        "             -> Look again.",
        "             ?  Is it yours?",
        "    warn     disk.room: 12 GB left",
        "             -> Make room.",
    ]
    assert texts(_live.findings(rows(FAILED, LOW), told)) == ["    as said above: tls.days, disk.room"]
    changed = Check("tls.days", "Valid", "fail", "2 days left", "Renew it.")
    assert texts(_live.findings(rows(changed), told))[0] == "    fail     tls.days: 2 days left"


def test_a_verdict_shows_what_is_known_in_full_and_the_rest_as_it_is() -> None:
    told = Told()
    known, unknown = rows(FAILED, OPEN, WELL), rows(LOW)
    _live.owe(known, told)
    msg = summary([*known, *unknown], "Preflight", "answers")["msg"]
    head, lines = _live.judged(msg, told, _live.PLAIN)
    assert head == "Preflight: 2 of 4 checks stop it, 1 to look at."
    assert texts(lines)[:3] == ["    fail     tls.days: 3 days left", "             issuer: nobody", "             -> Renew it."]
    assert "    warn     disk.room: 12 GB left -> Make room" in texts(lines), "of a check that was not seen"
    assert texts(lines)[-2].endswith("by -e @FILE:") and "# Is it yours?" in texts(lines)[-1]
    assert not told.owed and not _live.settle(told)
    assert _live.news(f"All of it together: {msg}\nTaken back.", told) == ["Taken back."]


def test_what_was_found_is_owed_until_it_is_told_or_well() -> None:
    told = Told()
    _live.owe(rows(FAILED, LOW), told)
    _live.owe(rows(Check("tls.days", "Valid", "pass")), told)
    assert texts(_live.settle(told)) == ["    warn     disk.room: 12 GB left", "             -> Make room."]
    assert _live.settle(told) == []


def test_checks_are_counted_in_one_sentence() -> None:
    assert _live.tally(rows(FAILED, OPEN, WELL), "") == "1 of 3 checks failed (tls.days), 1 could not be verified (dns.caa)."
    assert _live.tally(rows(OPEN, WELL), "", names=False) == "1 of 2 checks could not be verified."
    assert _live.tally(rows(WELL, FAILED, advisory=["tls.*"]), "1 of 2 checks passed, 1 to look at.\nmore").endswith("to look at.")
    assert _live.some(list("abcdef")) == "a, b, c, d and 2 more"


def test_a_loop_is_counted_and_names_only_what_may_be_named() -> None:
    loop = _live.Loop()
    for what in ("failed", "changed", "skipped"):
        loop.count(what, "a")
    assert loop.sentence(4) == "4 items, 1 failed, 1 changed, 1 skipped (a)"
    for label in ({"key": "a"}, None, "long " * 20):
        loop = _live.Loop()
        loop.count("changed", label)
        assert loop.sentence(1) == "1 item, 1 changed", label


def test_the_end_says_what_the_run_says_unless_it_ended_worse() -> None:
    def head(counts: dict[str, int], outcome: str = "") -> str:
        return _live.ending("web-1", Told(outcome=outcome), counts, 61)[0].text

    assert head({"ok": 5, "changed": 2, "skipped": 1}) == "web-1  ok after 1 min 1 s: 2 changed, 3 ok, 1 skipped"
    assert head({"ok": 5}, "backed_up").startswith("web-1  backed up after")
    assert head({"ok": 5, "failures": 1}, "verified").startswith("web-1  failed after")
    assert head({"ok": 5, "failures": 1}, "taken_back").startswith("web-1  taken back after")
    assert head({"unreachable": 1}).startswith("web-1  unreachable after")
