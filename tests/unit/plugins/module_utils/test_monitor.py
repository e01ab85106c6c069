# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Troubles from look to look, trends over days, and the text that Prometheus reads, judged by its own library."""

from __future__ import annotations

import datetime
import json
import re
import stat
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ansible_collections.prosaas.ops.plugins.module_utils import _log_kinds, _metrics, _monitor, _trend
from ansible_collections.prosaas.ops.plugins.module_utils._check import (
    FAIL,
    PASS,
    SKIP,
    UNKNOWN,
    WARN,
    Check,
    Policy,
    judged,
)
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._log_check import Log
from ansible_collections.prosaas.ops.plugins.module_utils._log_rules import Tally, kind_of, level_of, rule_of
from ansible_collections.prosaas.ops.plugins.module_utils._monitor import Look, Trouble
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[4]
NOON = datetime.datetime(2026, 11, 28, 12, 0)
LEAK = Check("capacity.leaked", "No slot has leaked", FAIL, "1 of 1 slots has leaked", "Release it.")
NO_LEAK = Check("capacity.leaked", "No slot has leaked", PASS, "none")
DARK = Check("capacity.leaked", "No slot has leaked", UNKNOWN, "Redis does not answer", "docker start redis")
ERRORS = Check("logs.api.errors", "No error is repeated", WARN, "job 1 failed", "docker logs api")
NONE = Check("backup.sizes", "Sizes are alike", SKIP, "there is no other")
QUIET = Check("logs.api.errors", "No error is repeated", PASS, "no such line")
JOBS = {"check": "logs.api.errors", "kind": "job # failed", "status": WARN, "count": 7, "first": "", "last": ""}
MAILS = {**JOBS, "kind": "no mail to #"}


def minute(number: float) -> str:
    return f"{(NOON + datetime.timedelta(minutes=number)).isoformat()}Z"


class Monitor:
    """Look after look, a minute apart, with what the module keeps between them."""

    def __init__(self, calm: float = 0) -> None:
        self.calm, self.number = calm, 0
        self.kept: list[dict[str, t.Any]] = []
        self.known: dict[str, t.Any] = {}

    def look(
        self, *checks: Check, kinds: tuple[dict[str, t.Any], ...] = (), tell: bool = True, **options: t.Any
    ) -> list[str]:
        """Return what is told; ``tell=False`` is a receiver that does not answer."""
        before, at = _monitor.read(self.kept), minute(self.number)
        rows = judged(checks, Policy(**options.pop("policy", {})))
        now = _monitor.found(rows, kinds, self.known, 15)
        self.now = _monitor.compare(before, now, rows, at, self.calm, **options)
        begun = {one.id for one in self.now.new} - {one.id for one in before}
        self.known = _monitor.acquainted(self.known, kinds, begun, at[:10])
        news = [one.id for one in (*self.now.new, *self.now.over)] if tell else []
        self.kept = json.loads(json.dumps(_monitor.kept(_monitor.told(self.now.kept, news))))
        self.number += 1
        return _monitor.said(self.now, at)


def test_a_trouble_is_told_once_and_its_end_once() -> None:
    monitor = Monitor()
    assert monitor.look(NO_LEAK) == []
    assert monitor.look(LEAK) == ["fail     capacity.leaked: 1 of 1 slots has leaked -> Release it."]
    assert monitor.look(LEAK) == []
    assert _monitor.summary(monitor.now) == (
        "1 trouble.\nfail     capacity.leaked: 1 of 1 slots has leaked (since 2026-11-28T12:01:00Z) -> Release it"
    )
    assert monitor.look(NO_LEAK) == ["over     capacity.leaked: 1 of 1 slots has leaked; it lasted 2 min"]
    assert (monitor.look(NO_LEAK), monitor.kept, _monitor.summary(monitor.now)) == ([], [], "All is well.")


def test_what_nobody_was_told_is_told_again() -> None:
    monitor = Monitor()
    (begun,) = monitor.look(LEAK, tell=False)
    assert monitor.look(LEAK) == [begun]
    assert monitor.look(LEAK) == []
    (over,) = monitor.look(NO_LEAK, tell=False)
    assert over.startswith("over ") and monitor.now.troubles == []
    assert monitor.look(NO_LEAK) == [over]
    assert monitor.look(NO_LEAK) == []


def test_one_that_came_and_went_without_a_word_is_told_with_its_length() -> None:
    monitor = Monitor()
    monitor.look(LEAK, tell=False)
    (line,) = monitor.look(NO_LEAK)
    assert line.startswith("over     capacity.leaked") and line.endswith("it lasted 1 min")


def test_one_that_comes_and_goes_is_one() -> None:
    monitor = Monitor(calm=3)
    assert len(monitor.look(LEAK)) == 1
    for check in (NO_LEAK, NO_LEAK, LEAK, NO_LEAK, NO_LEAK, NO_LEAK):
        assert monitor.look(check) == []
    assert "not seen since 2026-11-28T12:04:00Z" in _monitor.summary(monitor.now)
    assert monitor.look(NO_LEAK) == ["over     capacity.leaked: 1 of 1 slots has leaked; it lasted 4 min"]


def test_unknown_is_a_trouble_of_its_own_and_ends_none() -> None:
    monitor = Monitor()
    monitor.look(LEAK)
    (line,) = monitor.look(DARK)
    assert line == "unknown  capacity.leaked: cannot be known: Redis does not answer -> docker start redis"
    assert [one.id for one in monitor.now.troubles] == ["capacity.leaked unknown", "capacity.leaked"]
    assert monitor.look(LEAK) == ["over     capacity.leaked: cannot be known: Redis does not answer; it lasted 1 min"]
    assert [one.id for one in monitor.now.troubles] == ["capacity.leaked"]


def test_what_is_unknown_because_of_another_trouble_is_told_by_that_one() -> None:
    redis = Check("capacity.redis", "Redis answers", FAIL, "does not answer", "docker start redis")
    rests = Check("capacity.leaked", "No slot has leaked", UNKNOWN, "nothing was read", "See capacity.redis.")
    monitor = Monitor()
    monitor.look(LEAK)
    assert monitor.look(redis, rests) == ["fail     capacity.redis: does not answer -> docker start redis"]
    assert "capacity.leaked" in {one.id for one in monitor.now.troubles}, "it is not known to be over"
    alone = Monitor().look(rests)
    assert alone == ["unknown  capacity.leaked: cannot be known: nothing was read -> See capacity.redis."]


def test_a_check_that_is_missing_is_over_only_where_its_subject_was_looked_at() -> None:
    other = Check("capacity.redis", "Redis answers", PASS, "PONG")
    broken = Check("run.capacity_check", "can be done", UNKNOWN, "no engine", "systemctl start docker")
    monitor = Monitor()
    monitor.look(LEAK)
    assert len(monitor.look(broken)) == 1
    assert [one.check for one in monitor.now.still] == ["capacity.leaked"]
    lines = monitor.look(other)
    assert [line.split(":")[0] for line in lines] == ["over     run.capacity_check", "over     capacity.leaked"]


def test_a_waived_or_advisory_check_is_no_trouble() -> None:
    assert Monitor().look(LEAK, policy={"advisory": ["capacity.*"]}) == []
    waiver = {"check": "capacity.leaked", "by": "Dana", "reason": "known", "until": "2999-01-01"}
    assert Monitor().look(LEAK, policy={"waivers": [waiver]}) == []
    assert Monitor().look(ERRORS, kinds=(JOBS,), policy={"advisory": ["logs.*"]}) == []


def test_new_kinds_of_errors_are_told_from_known_ones() -> None:
    monitor = Monitor()
    assert monitor.look(ERRORS, kinds=(JOBS,)) == [
        "warn     logs.api.errors: new: job # failed (7 in 15 min) -> docker logs api"
    ]
    (line,) = monitor.look(ERRORS, kinds=(JOBS, MAILS))
    assert "new: no mail to #" in line
    assert monitor.look(ERRORS, kinds=(MAILS, {**JOBS, "count": 99})) == []
    assert {line.partition(";")[0] for line in monitor.look(QUIET)} == {
        "over     logs.api.errors: job # failed (7 in 15 min)",
        "over     logs.api.errors: no mail to # (7 in 15 min)",
    }
    (line,) = monitor.look(ERRORS, kinds=(JOBS,))
    assert "known since 2026-11-28, this is time 2: job # failed" in line
    assert {one["kind"]: one["times"] for one in monitor.known.values()} == {"no mail to #": 1, "job # failed": 2}


def test_known_kinds_are_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_monitor, "KNOWN_KINDS", 2)
    monitor = Monitor()
    for kind in ("a", "b", "a", "c"):
        monitor.look(QUIET)
        monitor.look(ERRORS, kinds=({**JOBS, "kind": kind},))
    assert [one["kind"] for one in monitor.known.values()] == ["a", "c"]


def test_no_trouble_begins_while_somebody_changes_the_host() -> None:
    monitor = Monitor()
    assert monitor.look(LEAK, held=True) == []
    assert len(monitor.look(LEAK)) == 1
    assert len(monitor.look(NO_LEAK, held=True)) == 1


def test_the_state_of_a_newer_version_is_read() -> None:
    assert _monitor.read([{"id": "a", "check": "a", "status": FAIL, "said": "", "colour": "red"}])[0].id == "a"


@pytest.mark.parametrize(
    "line",
    [
        "[2026-11-22 22:39:07] ERROR    [server.jobs] job 7 failed",
        "2026-11-22 22:39:07,039 ERROR [server.jobs] job 8123 failed",
        "2026/11/22 22:39:07 ERROR [server.jobs] job deadbeef01 failed",
    ],
)
def test_lines_of_a_kind_are_alike(line: str) -> None:
    assert kind_of(line) == "ERROR [server.jobs] job # failed"


def test_a_canary_never_gets_into_a_kind() -> None:
    secret = "c4n4ry-1n-the-l0g-4711"
    rule = rule_of("api", "errors", {"levels": True, "least": 2})
    tally = Tally((rule,), 0.0, (level_of("plain", {"line": "^(?P<level>[A-Z]+) ", "warn": ["ERROR"]}),))
    for number in range(3):
        tally.take("2026-11-28T12:00:00.000000000Z", f"ERROR key {number} is {secret}")
    tally.take("2026-11-28T12:00:00.000000000Z", "ERROR once")
    container: t.Any = None
    (kind,) = _log_kinds.told({"api": [Log(container, {}, tally), Log(container, {}, tally)]}, [secret])
    assert (kind["kind"], kind["count"]) == ("ERROR key # is ********", 6), "least counts in each log"
    rows = judged([ERRORS], Policy())
    (trouble,) = _monitor.found(rows, [kind], {}, 15)
    assert secret not in str(trouble) and "4711" not in str(trouble)


GIB = 1 << 30
LIMITS = _trend.Limits(10 * GIB, 10, 7)


@pytest.mark.parametrize(
    ("free", "size", "days", "status"),
    [
        (50, 200, None, PASS),
        (11, 200, None, PASS),  # of a large disk the bytes count
        (9, 200, None, FAIL),
        (5, 40, None, PASS),  # of a small one its tenth
        (3, 40, None, FAIL),
        (50, 200, 6.0, WARN),
        (50, 200, 8.0, PASS),
    ],
)
def test_room(free: int, size: int, days: float | None, status: str) -> None:
    disk = _trend.Disk("engine", Path("/var/lib/docker"), free * GIB, size * GIB)
    assert _trend.judge_disk(disk, days, LIMITS).status == status


def test_trends() -> None:
    samples = {"2026-11-21": {"disk engine": 80 * GIB, "database app": 2 * GIB, "disk state": 9.0}}
    samples["2026-11-28"] = {"disk engine": 10 * GIB, "database app": 3 * GIB, "disk state": 9.0}
    a_day = _trend.change(samples, "disk engine")
    assert a_day == -10 * GIB and _trend.days_left(10 * GIB, a_day) == 1
    assert _trend.told(samples) == [
        "database app: 2.0 GiB on 2026-11-21, 3.0 GiB on 2026-11-28",
        "disk engine: 80.0 GiB free on 2026-11-21, 10.0 GiB free on 2026-11-28, full in 1 days at this rate",
    ]
    assert _trend.change({"2026-11-28": {"disk engine": 1}}, "disk engine") is None
    assert (_trend.days_left(5, None), _trend.days_left(5, 3)) == (None, None)


def test_one_sample_a_day_and_no_more_days_than_wanted() -> None:
    samples: dict[str, dict[str, float]] = {}
    for day in range(1, 21):
        samples = _trend.sampled(samples, f"2026-11-{day:02}", {"disk engine": day}, 14)
        assert _trend.sampled(samples, f"2026-11-{day:02}", {"disk engine": 99}, 14) == samples
    assert (len(samples), min(samples)) == (14, "2026-11-07")


def test_disks_are_looked_at_once_each_and_a_missing_path_by_what_is_above_it(tmp_path: Path) -> None:
    found = _trend.disks({"a": str(tmp_path), "b": str(tmp_path / "not/yet"), "proc": "/proc"})
    assert list(found) == ["a", "proc"]
    a = found["a"]
    assert isinstance(a, _trend.Disk) and 0 < a.free <= a.size
    (check,) = _trend.checks({"gone": Unreachable("not there", "ls")}, {}, LIMITS)
    assert (check.id, check.status) == ("disk.gone", UNKNOWN)


FACTS: dict[str, t.Any] = {
    "services": {"api": {"state": "up", "containers": [{"name": "p-api-1", "restarts": 2, "started_at": 1.5}]}},
    "live": ["CA1", "CA2"],
    "leaked": ["CA3"],
    "limit": 15,
    "databases": {"app": {"connections": 3, "limit": 97, "size": 8_000_000}, "n8n": {"size": 5}},
    "kinds": [JOBS, MAILS],
    "certificates": {"endpoint.health": 1_795_824_000.0},
    "newest_backup": 0,
}


def everything() -> list[_metrics.Sample]:
    disk = _trend.Disk('the "root"\\', Path("/"), 5, 9)
    trouble = Trouble("a", "a", FAIL, "")
    return [
        *_metrics.of_look(Look([trouble], [], []), 1_795_000_000.25, 1.5),
        *_metrics.of_checks(judged([LEAK, replace(DARK, id="capacity.redis"), ERRORS, ERRORS, NONE], Policy())),
        *_metrics.of_facts(FACTS, 900),
        *_metrics.of_disks([disk, Unreachable("away")]),
    ]


def test_the_client_library_reads_the_metrics() -> None:
    families = {one.name: one for one in text_string_to_metric_families(_metrics.text(everything(), {"project": "p"}))}
    samples = {sample.name for one in families.values() for sample in one.samples}
    assert samples == set(_metrics.METRICS)
    for one in families.values():
        names = {sample.name for sample in one.samples}
        kind, meaning = _metrics.METRICS[names.pop()]
        assert (one.type, one.documentation, names) == (kind, meaning, set())
        assert all(sample.labels["project"] == "p" for sample in one.samples)
    (room,) = families["prosaas_disk_free_bytes"].samples
    assert (room.labels["disk"], room.value) == ('the "root"\\', 5)
    status = [(one.labels["check"], one.value) for one in families["prosaas_check_status"].samples]
    assert status == [("capacity.leaked", 3), ("capacity.redis", 2), ("logs.api.errors", 1)]
    lines = {one.labels["check"]: one.value for one in families["prosaas_log_lines"].samples}
    assert lines == {"logs.api.errors": 14}


def test_a_line_break_in_a_label_stays_in_it() -> None:
    (family,) = text_string_to_metric_families(
        _metrics.text([_metrics.Sample("prosaas_check_status", 3, {"check": 'a\nb"\\c'})], {})
    )
    assert family.samples[0].labels == {"check": 'a\nb"\\c'}


def test_what_was_not_measured_has_no_metric() -> None:
    assert _metrics.of_facts({}, 900) == []
    assert _metrics.of_facts({"databases": {}, "services": None}, 900) == []


def test_the_file_is_whole_and_for_everybody(tmp_path: Path) -> None:
    path = _metrics.write(tmp_path, "a project/..", "x 1\n")
    assert (path.parent, path.name, path.read_text()) == (tmp_path, "prosaas-a_project___.prom", "x 1\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]
    assert _metrics.check(tmp_path).status == PASS
    assert _metrics.check(tmp_path / "gone").status == FAIL
    with pytest.raises(OpsError, match="cannot be written"):
        _metrics.write(path, "p", "x 1\n")


def test_the_dashboard_names_only_metrics_that_are_written() -> None:
    board = json.loads((ROOT / "roles/monitor/files/dashboard.json").read_text())
    assert board["schemaVersion"] >= 36
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    named = {word for query in queries for word in _words(query)}
    assert named and named <= set(_metrics.METRICS), named - set(_metrics.METRICS)
    assert set(_metrics.METRICS) - named <= {"prosaas_check_duration_seconds"}, "measured and not shown"
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in board["panels"] if panel.get("targets"))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


def test_the_alerts_in_the_documentation_name_only_metrics_that_are_written() -> None:
    text = (ROOT / "docs/monitoring.md").read_text()
    (block,) = (block for block in text.split("```")[1::2] if "groups:" in block)
    rules = yaml.safe_load(block.partition("\n")[2])["groups"][0]["rules"]
    named = {word for rule in rules for word in _words(rule["expr"])}
    assert named and named <= set(_metrics.METRICS)


def _words(query: str) -> set[str]:
    return set(re.findall(r"\bprosaas_\w+", query))
