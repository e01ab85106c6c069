# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a release that is kept could serve again: images, configuration, schema; and whether it was ever tried.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import _changes, _restore, _store
from ._check import FAIL, PASS, UNKNOWN, WARN, Outcome
from ._deploy import Application
from ._errors import OpsError, Unreachable
from ._release import Release

_RECORD = re.compile(r"(?P<time>\d{8}T\d{6}Z)-(?P<playbook>deploy|rollback)-[0-9a-f]+\.json")


def images(app: Application, target: Release) -> Outcome:
    missing = app.missing_images(target)
    if missing:
        return Outcome(
            FAIL,
            f"release {target.id} cannot serve again: the images of {', '.join(missing)} are gone",
            f"Build it anew instead: deploy.yml -e commit={target.commit[:12]}",
        )
    return Outcome(PASS, f"{len(target.images)} images of {target.told()}")


def environment(app: Application, target: Release, config: str) -> Path | None:
    """Return the environment file to go back with, ``None`` for the one of today."""
    if config == "today":
        return None
    _restore.kept(app, target)  # says it when nothing was kept
    return app.store.path(target.id) / "env"


def renders(app: Application, target: Release, config: str) -> Outcome:
    """Judge whether Compose can read the files of its commit with the environment file."""
    whose = "today's .env" if config == "today" else "the .env that it ran with"
    try:
        model = _changes.model_at(app, target.commit, environment(app, target, config))
    except Unreachable:
        raise
    except OpsError as error:
        return Outcome(
            FAIL, f"the Compose files of {target.commit[:12]} do not work with {whose}: {error.problem}", error.remedy
        )
    lacking = sorted(set(model["services"]) - set(target.images))
    if lacking:
        return Outcome(
            FAIL,
            f"with {whose} there are services that release {target.id} has no image of: {', '.join(lacking)}",
            f"Build it anew instead: deploy.yml -e commit={target.commit[:12]}",
        )
    return Outcome(PASS, f"its Compose files work with {whose}: {len(model['services'])} services")


def fallback(app: Application, target: Release | None, has_schema: bool) -> Outcome:
    """Judge whether a failed deployment could be taken back to a release."""
    if target is None:
        return Outcome(PASS, "first deployment: what runs now, if anything, is kept as the release to come back to")
    remedy = (
        "A failed deployment could not be taken back; it would stay, and the release after it would have to mend it."
    )
    for found in (images(app, target), renders(app, target, "today")):
        if found.status != PASS:
            return Outcome(WARN, found.evidence, found.remedy if found.status == UNKNOWN else remedy)
    schema = ""
    if has_schema:
        schema = "; its schema is not on record" if target.schema is None else f"; {len(target.schema)} migrations"
    return Outcome(PASS, f"complete: {target.told()}{schema}")


def rehearsed(state_dir: Path, days: int, now: datetime.datetime | None = None) -> Outcome:
    """Judge whether a real rollback, and a real way forward again, were done on this host of late."""
    since = (now or datetime.datetime.now(datetime.timezone.utc)) - datetime.timedelta(days=days)
    names = [(found["time"], found["playbook"], path) for path, found in _records(state_dir)]
    recent = sorted(row for row in names if _moment(row[0]) >= since)
    for index in range(len(recent) - 1, -1, -1):
        back = _record(recent[index][2]) if recent[index][1] == "rollback" else {}
        if back.get("outcome") != "rolled_back":
            continue
        commit = _serving(back)
        for time, _playbook, path in recent[index + 1 :]:
            forward = _record(path)
            if forward.get("outcome") in ("verified", "rolled_back") and _serving(forward) != commit:
                day = _moment(time).date()
                return Outcome(
                    PASS, f"went back to {commit[:12]} and forward again on {day} ({back['run']}, {forward['run']})"
                )
    return Outcome(
        WARN,
        f"no rollback with a way forward again is on record here within {days} days",
        "In a quiet hour: ansible-playbook rollback.yml -e reason=rehearsal, then deploy.yml",
    )


def left(state_dir: Path) -> dict[str, str]:
    """Return the commits that were left by a rollback, and when each was last: nobody wants to go back to those unasked."""
    found: dict[str, str] = {}
    for path in sorted(path for path, name in _records(state_dir) if name["playbook"] == "rollback"):
        record = _record(path)
        commit = str((record.get("release_before") or {}).get("commit") or "")
        if record.get("outcome") == "rolled_back" and commit:
            found[commit] = str(record["finished"])
    return found


def _records(state_dir: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in (state_dir / "records").glob("*.json"):
        found = _RECORD.fullmatch(path.name)
        if found:
            yield path, found


def _record(path: Path) -> Mapping[str, t.Any]:
    try:
        return t.cast("Mapping[str, t.Any]", _store.read_json(path) or {})
    except OpsError:  # a damaged record proves nothing
        return {}


def _serving(record: Mapping[str, t.Any]) -> str:
    return str((record.get("release_after") or {}).get("commit") or "")


def _moment(stamp: str) -> datetime.datetime:
    return datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
