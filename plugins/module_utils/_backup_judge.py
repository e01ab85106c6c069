# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a backup by what is written down about it: its parts, its age, its size beside the one before.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from ._check import FAIL, PASS, SKIP, UNKNOWN, WARN, Check, Outcome, timed
from ._shelf import DATABASE, FILE, VOLUME, Backup, Part

AGAIN = "Run the backup playbook."
_SLACK_HOURS = 0.1  # by which two clocks may differ


@dataclass(frozen=True)
class Limits:
    """What is expected of a backup.

    Attributes:
        max_age_hours: how old the newest may be.
        warn_drop_percent: by how much a part may be smaller than before without a warning.
        fail_drop_percent: by how much without a failure.
    """

    max_age_hours: float = 25
    warn_drop_percent: int = 20
    fail_drop_percent: int = 50


def part(seen: Part, required: bool) -> Outcome:
    """Judge an archive, a dump or a list."""
    said = f"{seen.file}: {size(seen.bytes)}, {_content(seen)}"
    if seen.kind == VOLUME and seen.members <= 1:
        look = f"Look into the volume: ls -la $(docker volume inspect -f '{{{{.Mountpoint}}}}' {seen.source})"
        return Outcome(FAIL if required else WARN, f"{seen.file}: the volume is empty", look)
    if seen.kind == DATABASE and not seen.rows:
        return Outcome(FAIL if required else WARN, f"{seen.file}: the database has no table", "Look where its URL leads.")
    if seen.changed:
        return Outcome(
            WARN,
            f"{said}; {len(seen.changed)} of them changed while they were read (manifest.json names them)",
            "Back up at a quieter time, or with another policy for this volume (pause or stop).",
        )
    if seen.out:
        return Outcome(
            WARN,
            f"{said}; links lead out of the volume: {', '.join(seen.out[:3])}",
            "A restore takes them only with links_out: keep. Look whether the service needs them.",
        )
    return Outcome(PASS, f"{said}, readable to its end")


def _content(seen: Part) -> str:
    if seen.kind == DATABASE:
        return f"{len(seen.rows)} tables with {sum(seen.rows.values())} rows"
    return f"{seen.members} {'members' if seen.kind == VOLUME else 'objects'}"


def age(newest: Backup | None, now: datetime.datetime, limits: Limits, unreadable: Sequence[str] = ()) -> Outcome:
    """Judge when the newest backup was begun."""
    beside = f"; left out, their manifests cannot be read: {', '.join(unreadable)}" if unreadable else ""
    if newest is None:
        return Outcome(FAIL, f"there is none{beside}", AGAIN)
    hours = (now - newest.time()).total_seconds() / 3600
    if hours < -_SLACK_HOURS:
        ahead = f"{newest.id} is {-hours:.1f} h ahead of this host's clock{beside}"
        return Outcome(UNKNOWN, ahead, "Set the clock (timedatectl set-ntp true), then back up.")
    said = f"{newest.id}, {hours:.1f} h ago{beside}"
    if hours > limits.max_age_hours:
        return Outcome(FAIL, f"{said}; {limits.max_age_hours:g} h at most are wanted", AGAIN)
    if unreadable:
        return Outcome(WARN, said, "Look at those directories, then remove them.")
    return Outcome(PASS, said)


def newest(found: tuple[Sequence[Backup], Sequence[str]], limits: Limits) -> Check:
    """Judge when the newest backup was begun, by its manifest alone; ``found`` is what a shelf holds."""
    backups, unreadable = found
    now = datetime.datetime.now(datetime.timezone.utc)
    first = backups[0] if backups else None
    return timed("backup.newest", "The newest backup is recent", (), lambda: age(first, now, limits, unreadable))


def sizes(newest: Backup, previous: Backup, limits: Limits) -> Outcome:
    """Judge whether a part is strikingly smaller than the one before, before its compression."""
    pairs = [(part, previous.part(part.kind, part.name)) for part in newest.parts if part.kind != FILE and part.raw_bytes]
    both = [(part, old) for part, old in pairs if old is not None and old.raw_bytes]
    if not both:
        return Outcome(SKIP, f"{previous.id} holds none of these")
    said = ", ".join(f"{part.name} {size(part.raw_bytes)} (before: {size(old.raw_bytes)})" for part, old in both)
    drop = max(100 * (1 - part.raw_bytes / old.raw_bytes) for part, old in both)
    if drop <= limits.warn_drop_percent:
        return Outcome(PASS, said)
    remedy = f"Look for what is missing; {previous.id} is kept until you have, and later ones do not replace it."
    return Outcome(FAIL if drop > limits.fail_drop_percent else WARN, f"{said}: {drop:.0f} % less", remedy)


def size(number: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
