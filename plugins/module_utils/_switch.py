# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a release the one that Compose means, and what is kept or let go once it has proven itself.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace

from . import _build, _images, _journal
from ._deploy import Application
from ._errors import OpsError
from ._release import Release, new_id


def switch(app: Application, release_id: str) -> Release:
    """Move the project directory and Compose's own image names to a release; containers are not touched here.

    A release that served before is kept as it was: serving again with today's configuration makes a new one of the
    same images.
    """
    target = app.store.get(release_id)
    missing = app.missing_images(target)
    if missing:
        raise OpsError(f"Release {target.id} is not complete: the images of {', '.join(missing)} are gone.")
    app.store.begin_switch(app.store.current(), target)
    app.git.checkout(target.commit)
    for image in target.images.values():
        _images.tag(app.execute, image["id"], image["name"])
    config = asdict(app.config())
    if target.config and target.config != config:
        target = replace(target, id=new_id(target.commit), made=_journal.now(), verified="", adopted=False)
    target = replace(target, config=config, switched=_journal.now())
    app.store.put(target)
    app.store.keep_files(target, app.files_to_keep())
    app.store.begin_switch(app.store.current(), target)
    app.store.set_current(target)
    return target


def keep(app: Application, retention: int, check_mode: bool) -> tuple[Release | None, list[str], bool]:
    """Mark the serving release as verified, end the switch, and let go of releases beyond the retention.

    Returns the release, the ids of those that were (or would be) let go, and whether anything was to be done.
    """
    current = app.store.current()
    if current is None:
        if check_mode:
            return None, [], True
        raise OpsError("No release serves on this host.", "Deploy one first.")
    spare = superfluous(app, current, retention)
    due = bool(spare or not current.verified or app.store.unfinished_switch())
    if due and not check_mode:
        app.store.put(replace(current, verified=_journal.now()))
        app.store.end_switch()
        _build.unstage(app, current.commit)
        for release in spare:
            let_go(app, release)
    return current, [release.id for release in spare], due


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
    """Forget a release; its image names go too, unless another release still needs them."""
    shutil.rmtree(app.store.path(release.id))
    needed = {image["id"] for other in app.store.all() for image in other.images.values()}
    for image in release.images.values():
        if image["id"] not in needed:
            _images.untag(app.execute, _build.tagged(image["name"], release.commit))
