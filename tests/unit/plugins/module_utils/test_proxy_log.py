# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counting and judging the lines of an access log, with the patterns that the roles ship."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._proxy_log import Format, Limit, Tally, judge

POLICY = yaml.safe_load(
    (Path(__file__).resolve().parents[4] / "roles/deploy/defaults/main/watch.yml").read_text(encoding="utf-8")
)
LIMIT = Limit(POLICY["deploy_watch_error_rate"], POLICY["deploy_watch_least_requests"])


def line(status: int, request: str = "GET / HTTP/1.1", address: str = "203.0.113.9", agent: str = "curl/8") -> str:
    return f'{address} - - [25/Nov/2026:03:26:10 +0000] "{request}" {status} 12 "-" "{agent}"'


def counted(*lines: str) -> Tally:
    tally = Tally(Format.of(POLICY["deploy_watch_access_line"], POLICY["deploy_watch_access_ignored"]))
    for one in lines:
        tally.take(one)
    return tally


def test_own_questions_and_health_checks_do_not_count() -> None:
    tally = counted(
        line(502, agent="prosaas.ops"),
        line(502, address="127.0.0.1", agent="Wget"),
        line(502, address="::1"),
        line(200, agent="prosaas.ops by somebody else"),
        line(499),
        "[NGINX] API upstream is reachable",
        '2026/11/25 03:26:10 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream',
    )
    assert (tally.requests, tally.errors, tally.left_out, tally.other) == (2, 0, 3, 2)


@pytest.mark.parametrize(
    ("good", "bad", "status"),
    [(0, 0, "pass"), (49, 0, "pass"), (48, 1, "warn"), (0, 49, "warn"), (99, 1, "pass"), (98, 2, "fail"), (0, 50, "fail")],
)
def test_share_and_least_number(good: int, bad: int, status: str) -> None:
    tally = counted(*[line(200)] * good, *[line(503)] * bad)
    assert judge(tally, LIMIT, "look").status == status


def test_evidence_names_the_worst_and_no_query() -> None:
    tally = counted(*[line(502, "POST /api/x?token=abc HTTP/1.1")] * 60, line(500, "bad \\x22"), line(504), line(505, ""))
    said = judge(tally, LIMIT, "look").evidence
    assert "502 POST /api/x (60)" in said and "…" in said
    assert "abc" not in said


def test_no_access_line_among_many_is_unknown() -> None:
    assert judge(counted(*["something else"] * 50), LIMIT, "look").status == "unknown"


def test_lost_only_when_the_rest_cannot_make_up_for_it() -> None:
    tally = counted(*[line(200)] * 97, *[line(500)] * 3)
    assert tally.lost(LIMIT, share=1.0)
    assert tally.lost(LIMIT, share=0.5)
    assert not tally.lost(LIMIT, share=0.1), "ten times as many are to come"
    assert not counted(line(500)).lost(LIMIT, share=1.0), "too few to say"


@pytest.mark.parametrize(("access", "ignored"), [("no group", []), ("(?P<status>", []), (r"(?P<status>\d)", ["("])])
def test_a_slip_in_a_pattern_is_an_error(access: str, ignored: list[str]) -> None:
    with pytest.raises(OpsError):
        Format.of(access, ignored)


@pytest.mark.parametrize(
    ("service", "said", "hit"),
    [
        ("*", "[2026-11-25 03:26:10] CRITICAL [server.app] it burns", True),
        ("*", "2026-11-22 22:39:07,039 [CRITICAL] server.routes_twilio: it burns", True),
        ("*", "[2026-11-25 03:26:10] INFO     [worker] 📍 CRITICAL: Worker handles ALL receipt operations:", False),
        ("*", "[2026-11-25 03:26:10] ERROR    [x] ❌ Missing X-Twilio-Signature header", False),
        ("nginx", "2026/11/25 03:26:10 [emerg] 1#1: cannot load certificate", True),
        ("nginx", "2026/11/25 03:26:10 [alert] 7#7: worker process 9 exited on signal 9", True),
        ("nginx", "2026/11/25 03:26:10 [alert] 7#7: *4 open socket #3 left in connection 5", False),
        ("nginx", "2026/11/25 03:26:10 [error] 7#7: *1 connect() failed (111: Connection refused)", True),
    ],
)
def test_the_shipped_forbidden_lines(service: str, said: str, hit: bool) -> None:
    assert any(re.search(rule, said) for rule in POLICY["deploy_watch_forbidden"][service]) is hit
