# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept and what is let go once a release has proven itself.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import shutil
import typing as t
from collections.abc import Mapping
from dataclasses import replace

from . import _build, _dotenv, _images, _journal, _schema
from ._deploy import Application
from ._errors import OpsError
from ._release import Release


def keep(
    app: Application, retention: int, schema: Mapping[str, t.Any], check_mode: bool
) -> tuple[Release | None, list[str], list[str], bool]:
    """Mark the serving release as verified, end the switch, and let go of releases beyond the retention.

    Only a release that has just proven itself lets others go. The schema that it was verified on is kept with it: a later
    rollback asks for it. Returns the release, the ids of those that were (or would be) let go, why others that were to
    go are still there (which fails nothing: they go the next time), and whether anything was to be done.
    """
    current = app.store.current()
    if current is None:
        if check_mode:
            return None, [], [], True
        raise OpsError("No release serves on this host.", "Deploy one first.")
    read = _schema.recorded(schema, _dotenv.values(app.env_path()))
    known = current.schema if read is None else read
    due = bool(not current.verified or known != current.schema or app.store.unfinished_switch())
    spare = _unused(app, superfluous(app, current, retention), current) if due else []
    if due and not check_mode:
        app.store.put(replace(current, verified=_journal.now(), schema=known))
        app.store.end_switch()
        _build.unstage(app, current.commit)
    remarks = {}
    for release in spare if not check_mode else ():
        try:
            let_go(app, release)
        except OpsError as error:
            remarks[release.id] = f"{release.id} stays for now: {error.problem}"
    return current, [r.id for r in spare if r.id not in remarks], list(remarks.values()), due


def _unused(app: Application, releases: list[Release], current: Release) -> list[Release]:
    """Leave out what old containers still run with: calls end on them, and it goes the next time."""
    if not releases:
        return []
    old = _images.used(app.execute, app.project.name) - {image["id"] for image in current.images.values()}
    return [r for r in releases if old.isdisjoint(image["id"] for image in r.images.values())]


def superfluous(app: Application, current: Release, retention: int) -> list[Release]:
    """Return the releases to let go: beyond the newest ``retention`` that may serve again, the current one included.

    The newest good release of another commit always stays, however often the configuration alone was released since.
    """
    others = sorted((r for r in app.store.all() if r.id != current.id), key=lambda r: r.id, reverse=True)
    newest = [r for r in others if r.eligible][: max(1, retention - 1)]
    oldest = min((r.id for r in newest), default=current.id)
    kept = {r.id for r in (*newest, app.store.fallback()) if r}
    return [r for r in others if r.id not in kept and (r.eligible or r.id < oldest)]


def let_go(app: Application, release: Release) -> None:
    """Forget a release. Its images lose the names that it gave them, where they still are what it named.

    Another release of the same commit has the same names, on other images where it was built anew; those stay.
    """
    others = [other for other in app.store.all() if other.id != release.id]
    needed = {image["id"] for other in others for image in other.images.values()}
    named = {
        _build.tagged(image["name"], release.commit): image["id"]
        for image in release.images.values()
        if image["id"] not in needed
    }
    found = _images.image_ids(app.execute, named)
    for name in sorted(name for name, image in named.items() if found.get(name) == image):
        _images.untag(app.execute, name)
    shutil.rmtree(app.store.path(release.id))
