# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line means by the rules: those of a test, and those that the role ships."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _log_check, _log_rules
from ansible_collections.prosaas.ops.plugins.module_utils._engine import Container
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._log_rules import Tally, Text

ROOT = Path(__file__).resolve().parents[4]
SHIPPED = {
    name.removeprefix("verify_logs_"): value
    for name, value in yaml.safe_load((ROOT / "roles/verify/defaults/main/logs.yml").read_text(encoding="utf-8")).items()
}
BOOT = "[2026-11-25 12:10:33] {:<8} [server.app_factory] {}"
RUN = "2026-11-25 12:10:33,039 [{}] server.app_factory: {}"


def policy(rules: t.Any, **more: t.Any) -> _log_check.Policy:
    given = {"levels": SHIPPED["levels"], "known": [], "probes": None, "deadline": 60, "hidden": [], **more}
    return _log_check.policy(rules, **given)


def shipped(service: str, environment: dict[str, str] | None = None) -> Tally:
    made = policy(SHIPPED["rules"], known=[SHIPPED["known"]], probes=SHIPPED["probes"])
    known = _log_rules.of_service(service, made.known)
    kept = tuple(one.text for one in known if _log_rules.holds(one.when, environment or {}))
    asked = tuple(_log_rules.of_service(service, made.asked.causes)) if made.asked else ()
    return Tally(made.of(service), 1000.0, made.levels, kept, asked)


def stamp(seconds: float) -> str:
    """Return the engine's time stamp so many seconds after the start that the tests take."""
    return f"1970-01-01T00:16:{40 + seconds:012.9f}Z"


def status(tally: Tally, rule: str) -> str:
    kinds = tally.kinds.get(rule, {}).values()
    return min((kind.status for kind in kinds), default="pass")


@pytest.mark.parametrize(
    ("text", "line", "fits"),
    [
        ("❌ CRITICAL: ATTACHMENT_SECRET is still", "🚨 CRITICAL: ATTACHMENT_SECRET is still set", True),
        ("✅ Backend is ready", "[BOOT] ✅ Backend is ready: http://x", True),
        ("[BOOT] ✅ Backend", "[BOOT] ⚠️ Backend", True),
        ("[error] * connect() failed", "2026/11/25 [error] 31#31: *7 connect() failed (111)", True),
        ("[error] * connect() failed", "connect() failed [error]", False),
        ("Over capacity", "over capacity", False),
        ("a.c", "abc", False),
    ],
)
def test_a_text_is_found_as_it_is_printed(text: str, line: str, fits: bool) -> None:
    assert Text.of(text).fits(line) is fits
    assert not fits or Text.of(text).literal in line


@pytest.mark.parametrize("text", ["", "  ", "✅ * ❌", None, 7])
def test_a_text_without_words_is_refused(text: object) -> None:
    with pytest.raises(OpsError, match="no text of a log line"):
        Text.of(text)


def test_rules_are_laid_on_top_of_others() -> None:
    base = {"api": {"started": {"required": ["up"]}, "errors": {"forbidden": ["no"], "levels": True}}, "n8n": {"x": {}}}
    extra = {"api": {"errors": {"levels": False}, "mine": {"forbidden": ["my"]}, "started": None}, "n8n": None, "new": {"a": {}}}
    assert _log_rules.merged(base, extra) == {
        "api": {"errors": {"forbidden": ["no"], "levels": False}, "mine": {"forbidden": ["my"]}},
        "new": {"a": {}},
    }


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"forbiden": ["x"]}, "'forbiden'"),
        ({"forbidden": "x"}, "list of texts"),
        ({"required": [["", "x"]]}, "no text"),
    ],
)
def test_a_slip_in_a_rule_is_named(rule: dict[str, t.Any], said: str) -> None:
    with pytest.raises(OpsError, match=said):
        policy({"api": {"errors": rule}})


@pytest.mark.parametrize("line", [None, "(", "no group"])
def test_a_slip_in_a_format_is_named(line: str | None) -> None:
    with pytest.raises(OpsError, match="format mine"):
        Tally(policy({}, levels={"mine": {"line": line}}).of("x"), 0.0, (_log_rules.level_of("mine", {"line": line}),))


def test_repeats_are_one_kind_with_a_count_and_both_times() -> None:
    """Four workers say everything four times (trap 30)."""
    tally = shipped("prosaas-api")
    for number in range(400):
        tally.take(stamp(number / 100), BOOT.format("CRITICAL", f"call {number} of CA{number:032x} is lost"))
    (kind,) = tally.kinds["errors"].values()
    assert (kind.count, kind.first, kind.last, kind.status) == (400, stamp(0), stamp(3.99), "fail")


def test_kinds_are_bounded() -> None:
    tally = shipped("prosaas-api")
    for word in (a + b for a in "abcdefghijklmnopqrstuvwxyz" for b in "ghijklmnopqrstuvwxyz"):
        tally.take(stamp(0), BOOT.format("ERROR", word))
    kinds = tally.kinds["errors"]
    assert len(kinds) <= _log_rules.MOST_KINDS + 2
    assert sum(kind.count for kind in kinds.values()) == 26 * 20


@pytest.mark.parametrize("form", [BOOT, RUN])
def test_the_level_is_read_in_both_formats_and_not_in_the_words(form: str) -> None:
    """Trap 12."""
    tally = shipped("worker")
    for line in ("Worker WILL process jobs from 'default' queue: True", "Worker handles ALL receipt operations:"):
        tally.take(stamp(1), form.format("INFO", f"📍 CRITICAL: {line}"))
    tally.take(stamp(1), form.format("INFO", "the ERROR of my ways is CRITICAL"))
    assert status(tally, "errors") == "pass"
    tally.take(stamp(1), form.format("ERROR", "something"))
    assert status(tally, "errors") == "warn"
    tally.take(stamp(1), form.format("CRITICAL", "something"))
    assert status(tally, "errors") == "fail"


@pytest.mark.parametrize(
    "line",
    [
        '{"timestamp":"2026-11-25T12:10:33","level":"CRITICAL","module":"x","message":"y"}',
        "2026/11/25 12:10:33 [emerg] 1#1: cannot load certificate",
        "nginx: [emerg] host not found in upstream",
        "CRITICAL:    something of uvicorn",
    ],
)
def test_other_formats_have_levels_too(line: str) -> None:
    tally = shipped("nginx")
    tally.take(stamp(1), line)
    assert status(tally, "errors") == "fail"


# Texts of boxes 234 to 286: what the checklist quotes, and what the application prints in its place (trap 11).
@pytest.mark.parametrize(
    ("service", "rule", "either"),
    [
        ("prosaas-api", "started", ["✅ Database ready - connectivity and schema validated", "Flask app warmup complete"]),
        ("prosaas-api", "production", ["PRODUCTION=1 detected", "🔒 Production mode detected - validating R2"]),
        ("worker", "redis", ["✓ Redis connection successful", "✅ Redis connection successful"]),
        (
            "nginx",
            "started",
            ["[NGINX] ✅ All upstream services are healthy", "Listening on port 443 (HTTPS)"],
        ),
        ("n8n", "started", ["n8n ready on ::, port 5678", "Database connection successful"]),
    ],
)
def test_one_of_the_lines_must_be_there(service: str, rule: str, either: list[str]) -> None:
    for line in either:
        tally = shipped(service)
        (wanted,) = [one for one in tally.rules if one.name == rule]
        assert tally.missing(wanted)
        tally.take(stamp(1), line)
        assert not tally.missing(wanted), line


@pytest.mark.parametrize("form", ["RQ queues initialized: {}", "RQ_QUEUES configuration: {}"])
@pytest.mark.parametrize(
    ("queues", "all_there"),
    [("high,default,low,receipts,receipts_sync,maintenance", True), ("high,default,low", False)],
)
def test_the_worker_names_all_its_queues(form: str, queues: str, all_there: bool) -> None:
    tally = shipped("worker")
    started = next(one for one in tally.rules if one.name == "started")
    tally.take(stamp(1), BOOT.format("INFO", form.format(queues)))
    tally.take(stamp(1), BOOT.format("INFO", "🚀 Worker is now READY and LISTENING for jobs..."))
    assert (not tally.missing(started)) is all_there


@pytest.mark.parametrize(
    ("service", "rule", "line"),
    [
        ("prosaas-api", "configuration", "❌ CRITICAL: No database configuration found!"),
        ("prosaas-api", "configuration", "❌ SECURITY: PRODUCTION=1 requires COOKIE_SECURE=true (HTTPS only)"),
        ("prosaas-api", "configuration", "🚨 CRITICAL: ATTACHMENT_SECRET is still set to default value"),
        ("prosaas-api", "errors", "Flask app warmup failed: Missing: R2_BUCKET_NAME"),
        ("prosaas-api", "errors", "🚨 FATAL: R2 storage validation failed: Cannot access R2 bucket"),
        ("prosaas-api", "errors", "❌ [BOOT][FATAL] Failed to import/register Twilio blueprint"),
        ("prosaas-api", "errors", "Blueprint registration error: x"),
        ("prosaas-calls", "capacity", "[CALLS_OVER_CAPACITY] Over capacity: 50/50 calls"),
        ("prosaas-calls", "workers", "INFO:     Started parent process [1]"),
        ("worker", "redis", "✗ Redis connection failed: Connection refused"),
        ("worker", "errors", "❌ WORKER BOOTSTRAP FAILED AT: Flask app initialization"),
        ("baileys", "errors", "[FATAL] INTERNAL_SECRET missing"),
        ("baileys", "errors", "[BOOT] ❌ Backend not reachable after 10 attempts: http://prosaas-api:5000"),
        ("n8n", "encryption", "Error: Mismatching encryption keys. The encryption key in the settings file"),
        ("n8n", "encryption", "No encryption key found - Auto-generated and saved to: /home/node/.n8n/config"),
        ("nginx", "errors", "2026/11/25 12:10:33 [error] 31#31: *7 connect() failed (111: Connection refused)"),
        ("nginx", "errors", "[NGINX] ❌ ERROR: API upstream (prosaas-api:5000) is NOT reachable after 30 attempts"),
        ("migrate", "done", "🔧 MIGRATION CHECKPOINT: 🚫 MIGRATIONS_DISABLED: RUN_MIGRATIONS explicitly set"),
        ("migrate", "done", "🔧 MIGRATION CHECKPOINT: ❌ MIGRATION FAILED: x"),
        ("indexer", "done", "❌ Database connection failed: x"),
        ("backfill", "done", "❌ Backfill leads_phone_raw failed: x"),
    ],
)
def test_a_forbidden_line_fails(service: str, rule: str, line: str) -> None:
    tally = shipped(service)
    tally.take(stamp(1), line)
    assert status(tally, rule) == "fail"
    assert any(word.decode() in line for word in tally.literals())


@pytest.mark.parametrize(
    ("service", "line"),
    [
        ("baileys", "[BOOT] ⚠️ Backend not ready (attempt 1/10): ECONNREFUSED"),
        ("prosaas-calls", RUN.format("WARNING", "[WA-ERROR] Unauthorized webhook request")),
        ("nginx", "2026/11/25 12:10:33 [alert] 31#31: *7 open socket #3 left in connection 5"),
        ("migrate", RUN.format("ERROR", "001: relation exists already")),
    ],
)
def test_a_known_line_is_no_finding(service: str, line: str) -> None:
    tally = shipped(service)
    tally.take(stamp(1), line)
    assert {rule.name: status(tally, rule.name) for rule in tally.rules if status(tally, rule.name) != "pass"} == {}


@pytest.mark.parametrize(("google", "expected"), [("true", "pass"), ("false", "warn")])
def test_the_old_speech_service_matters_only_where_it_is_used(google: str, expected: str) -> None:
    tally = shipped("prosaas-api", {"DISABLE_GOOGLE": google})
    tally.take(stamp(1), BOOT.format("ERROR", "❌ TTS warmup FAILED: Client initialization failed"))
    assert status(tally, "errors") == expected


@pytest.mark.parametrize(("after", "expected"), [(5, "fail"), (15.5, "warn")])
def test_what_depends_on_others_fails_only_soon_after_the_start(after: float, expected: str) -> None:
    made = policy({"nginx": {"errors": {"startup": 10, "forbidden": ["connect() failed"]}}})
    tally = Tally(made.of("nginx"), 1000.0)
    tally.take(stamp(after), "connect() failed")
    assert status(tally, "errors") == expected


def test_lines_of_our_own_probes_are_told_from_those_of_others() -> None:
    tally = shipped("prosaas-calls")
    for at in (1.0, 1.4, 9.0):
        tally.take(stamp(at), BOOT.format("ERROR", "❌ Missing X-Twilio-Signature header"))
    assert tally.waits and status(tally, "errors") == "pass"
    tally.settle([1000.9], 2.0)
    (kind,) = tally.kinds["errors"].values()
    assert (kind.count, kind.status, kind.first) == (2, "warn", stamp(1.4))
    assert not tally.waits and tally.passed_over == 1


def test_what_a_rule_names_is_not_told_again_by_its_level() -> None:
    made = policy({"calls": {"capacity": {"advisory": ["REJECTED"]}, "errors": {"levels": True}}})
    tally = Tally(made.of("calls"), 1000.0, made.levels)
    tally.take(stamp(1), BOOT.format("ERROR", "REJECTED"))
    assert (status(tally, "capacity"), status(tally, "errors")) == ("warn", "pass")


def test_a_rule_of_a_service_wins_over_that_of_a_pattern() -> None:
    made = policy({"api": {"started": {"required": ["mine"]}}, "*": {"started": {"required": ["any"]}, "x": {}}})
    assert {rule.name: rule.required for rule in made.of("api")} == {"started": ((Text.of("mine"),),), "x": ()}


@pytest.mark.parametrize(
    ("started", "ended", "restarts", "expected"),
    [
        (103, 0, 0, 100),  # its first start, on an engine that was busy
        (900, 0, 0, 100),  # and so late as that: it has never ended
        (103, 104, 0, 100),  # its first start, which has ended since
        (150, 151, 0, 100),  # the same, after it had waited for what it depends on
        (103, 102.5, 0, 102.5),  # started again by hand, soon after it was made
        (110, 111, 1, 107),  # started again by its policy, and ended since
        (101, 102, 1, 100),
        (900, 950, 0, 897),
        (900, 890, 3, 897),
        (900, 899.9, 3, 899.9),
    ],
)
def test_lines_belong_to_this_start(started: float, ended: float, restarts: int, expected: float) -> None:
    container = Container(
        "c", "x-1", "x", "x", created_at=100, started_at=started, finished_at=ended, restart_count=restarts
    )
    assert _log_check.since(container) == expected
