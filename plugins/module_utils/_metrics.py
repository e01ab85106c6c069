# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look measured, as text that Prometheus reads by the text-file collector of its node exporter.

Written here and not by the client library, which would be a package more on every host for one format of lines; the tests
read it with that library.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import _store
from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome, timed
from ._errors import OpsError
from ._monitor import Look
from ._trend import Disk

# All that is written, in this order: kind and meaning. A dashboard may name no other.
METRICS: dict[str, tuple[str, str]] = {
    "prosaas_monitor_last_run_timestamp_seconds": ("gauge", "When the last look was."),
    "prosaas_monitor_duration_seconds": ("gauge", "How long its checks took together."),
    "prosaas_troubles": ("gauge", "Troubles that go on, by the status of their check."),
    "prosaas_check_status": ("gauge", "Each check: 0 pass, 1 warn, 2 unknown, 3 fail."),
    "prosaas_check_duration_seconds": ("gauge", "How long each check took."),
    "prosaas_container_restarts_total": ("counter", "Restarts of each container since it was made."),
    "prosaas_container_start_time_seconds": ("gauge", "When each container was started."),
    "prosaas_call_slots": ("gauge", "Call slots that are taken, live or leaked."),
    "prosaas_call_slots_limit": ("gauge", "Calls that the application takes at once."),
    "prosaas_database_connections": ("gauge", "Connections that are taken, of the tightest limit."),
    "prosaas_database_connections_limit": ("gauge", "The tightest limit of connections."),
    "prosaas_database_size_bytes": ("gauge", "Size of each database."),
    "prosaas_log_lines": ("gauge", "Log lines that count against a rule, in the window."),
    "prosaas_log_window_seconds": ("gauge", "Length of the window."),
    "prosaas_certificate_expiry_timestamp_seconds": ("gauge", "When the certificate of each endpoint ends."),
    "prosaas_backup_newest_timestamp_seconds": ("gauge", "When the newest backup was begun; 0 when there is none."),
    "prosaas_disk_free_bytes": ("gauge", "Bytes that are free."),
    "prosaas_disk_size_bytes": ("gauge", "Bytes of the whole file system."),
}
_VALUES = {PASS: 0, WARN: 1, UNKNOWN: 2, FAIL: 3}


class Sample(t.NamedTuple):
    """One line of the text."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


def of_checks(rows: Iterable[Mapping[str, t.Any]]) -> list[Sample]:
    """Return the status and the seconds of each check; what was skipped has none."""
    found = []
    for row in rows:
        if row["status"] != SKIP:
            labels = {"check": row["id"]}
            found.append(Sample("prosaas_check_status", _VALUES[row["status"]], labels))
            found.append(Sample("prosaas_check_duration_seconds", row["seconds"], labels))
    return found


def of_look(look: Look, at: float, seconds: float) -> list[Sample]:
    going = [one.status for one in look.troubles]
    by_status = [
        Sample("prosaas_troubles", going.count(status), {"status": status}) for status in (FAIL, UNKNOWN, WARN)
    ]
    return [
        Sample("prosaas_monitor_last_run_timestamp_seconds", at),
        Sample("prosaas_monitor_duration_seconds", round(seconds, 3)),
        *by_status,
    ]


def of_facts(facts: Mapping[str, t.Any], window: float) -> list[Sample]:
    """Return what the checking modules measured besides; what a module could not measure is left out."""
    found = []
    for service, seen in (facts.get("services") or {}).items():
        for one in seen["containers"]:
            labels = {"service": service, "container": one["name"]}
            found.append(Sample("prosaas_container_restarts_total", one["restarts"], labels))
            if one["started_at"]:
                found.append(Sample("prosaas_container_start_time_seconds", one["started_at"], labels))
    if "live" in facts:
        for state in ("live", "leaked"):
            found.append(Sample("prosaas_call_slots", len(facts[state]), {"state": state}))
    if "limit" in facts:
        found.append(Sample("prosaas_call_slots_limit", facts["limit"]))
    for name, one in (facts.get("databases") or {}).items():
        labels = {"database": name}
        if "limit" in one:
            found.append(Sample("prosaas_database_connections", one["connections"], labels))
            found.append(Sample("prosaas_database_connections_limit", one["limit"], labels))
        found.append(Sample("prosaas_database_size_bytes", one["size"], labels))
    if "kinds" in facts:
        found += _of_kinds(facts["kinds"])
        found.append(Sample("prosaas_log_window_seconds", window))
    for endpoint, ends in (facts.get("certificates") or {}).items():
        found.append(Sample("prosaas_certificate_expiry_timestamp_seconds", ends, {"endpoint": endpoint}))
    if "newest_backup" in facts:
        found.append(Sample("prosaas_backup_newest_timestamp_seconds", facts["newest_backup"]))
    return found


def _of_kinds(kinds: Iterable[Mapping[str, t.Any]]) -> list[Sample]:
    """Return how many lines count against each rule. What they say stays in the report: it may be about people."""
    counts: dict[str, int] = {}
    for kind in kinds:
        counts[kind["check"]] = counts.get(kind["check"], 0) + kind["count"]
    return [Sample("prosaas_log_lines", count, {"check": check}) for check, count in counts.items()]


def of_disks(disks: Iterable[object]) -> list[Sample]:
    found = []
    for disk in disks:
        if isinstance(disk, Disk):
            labels = {"disk": disk.name, "path": str(disk.path)}
            found.append(Sample("prosaas_disk_free_bytes", disk.free, labels))
            found.append(Sample("prosaas_disk_size_bytes", disk.size, labels))
    return found


def text(samples: Sequence[Sample], common: Mapping[str, str]) -> str:
    """Return the samples as Prometheus reads them, those of a name together.

    Args:
        common: labels that all of them have.
    """
    # One value for each: the collector refuses a file in which the same labels stand twice.
    values = {(one.name, _labels({**common, **one.labels})): one.value for one in samples}
    lines = []
    for name, (kind, meaning) in METRICS.items():
        same = [f"{name}{labels} {value}" for (of, labels), value in values.items() if of == name]
        if same:
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            lines += same
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def check(directory: Path) -> Check:
    """Judge whether metrics can be written at all, so that the look which finds out can tell of it."""

    def look() -> Outcome:
        if directory.is_dir() and os.access(directory, os.W_OK | os.X_OK):
            return Outcome(PASS, f"they are written into {directory}")
        remedy = f"mkdir -p {directory}; the node exporter reads it with --collector.textfile.directory={directory}"
        return Outcome(FAIL, f"{directory} is no directory that can be written to", remedy)

    return timed("metrics.directory", "The metrics can be written", (), look)


def write(directory: Path, project: str, content: str) -> Path:
    """Write the file whole, for everybody to read: the collector is another user. It reads nothing but ``*.prom``."""
    path = directory / f"prosaas-{re.sub(r'[^A-Za-z0-9_-]', '_', project)}.prom"
    try:
        _store.write_whole(path, content.encode(), mode=0o644)
    except OSError as error:
        raise OpsError(
            f"{path} cannot be written: {error.strerror or os.strerror(error.errno or 0)}.", f"ls -ld {directory}"
        ) from None
    return path
