# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy or a rollback would do, decided before anything is touched.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t

from ._check import FAIL, PASS, WARN, Outcome, Report, timed
from ._deploy import Application
from ._errors import OpsError
from ._git import commit_name, is_id
from ._release import Release

# Lines of the deployment checklist: code pulled, tree clean, right branch, rollback tested.
PULLED, CLEAN, BRANCH = (130, 144), (131,), (145,)


def deploy(app: Application, wanted: t.Any, branch: str, check_mode: bool) -> Report:
    """Plan a deploy of a commit, branch or tag; of the tip of ``branch`` when nothing is asked for."""
    name = commit_name(wanted) if wanted != "" else branch
    pulled = timed("code.pulled", "newest code of the remote is here", PULLED, lambda: _fetch(app, check_mode))
    commit = app.git.resolve(name)
    checks = [
        pulled,
        timed("code.branch", f"the commit is on {branch}", BRANCH, lambda: _on_branch(app, commit, branch)),
        timed("code.clean", "no uncommitted changes", CLEAN, lambda: _clean(app)),
        timed("release.fallback", "there is a release to come back to", (), lambda: _can_come_back(app)),
    ]
    current = app.store.current()
    reasons = _reasons(app, current, commit)
    plan = {
        "commit": commit,
        "subject": app.git.subject(commit),
        "needed": bool(reasons),
        "reasons": reasons,
        "serving": _brief(current),
        "back_to": _back_to(app, current),
    }
    return Report(checks=checks, facts={"plan": plan}, secrets=app.secrets())


def rollback(app: Application, wanted: t.Any, release: str) -> Report:
    """Plan a return to a retained release; it must be complete on this host."""
    target = app.store.find(_kept_commit(app, wanted), release)
    current = app.store.current()
    checks = [
        timed("release.images", "its images are on this host", (), lambda: _images_there(app, target)),
        timed("code.clean", "no uncommitted changes", CLEAN, lambda: _clean(app)),
    ]
    reasons = _reasons(app, current, target.commit)
    names = app.config().differences(target.config) if target.config else []
    plan = {
        "commit": target.commit,
        "subject": target.subject,
        "release": target.id,
        "needed": bool(reasons),
        "reasons": reasons,
        "serving": _brief(current),
        "differs": [name for name in names if name.startswith("variable ")],
    }
    return Report(checks=checks, facts={"plan": plan}, secrets=app.secrets())


def _kept_commit(app: Application, wanted: t.Any) -> str:
    """Return the id, or its beginning, of what is asked for; names are looked up in the checkout, nothing is fetched."""
    if wanted == "":
        return ""
    name = commit_name(wanted)
    return name if is_id(name) else app.git.resolve(name)


def _back_to(app: Application, current: Release | None) -> str:
    """Return the id of the release that a failed deployment is taken back to; empty when there is none.

    That is the one that serves, unless it never proved itself (an earlier run was killed between switch and verification).
    """
    chosen = current if current is not None and current.eligible else app.store.fallback()
    return chosen.id if chosen else ""


def _brief(release: Release | None) -> dict[str, str]:
    return {"release": release.id, "commit": release.commit} if release else {"release": "", "commit": ""}


def _reasons(app: Application, current: Release | None, commit: str) -> list[str]:
    """Return why something must be done; empty when the host already serves exactly this."""
    if app.store.unfinished_switch():
        return ["an earlier switch did not end"]
    if current is None:
        return ["nothing was deployed here by this collection yet"]
    if current.commit != commit:
        return [f"commit {current.commit[:12]} serves"]
    reasons = [f"{what} changed" for what in app.config().differences(current.config)]
    strays = app.strays(current)
    if strays:
        reasons.append(f"not running as released: {', '.join(strays)}")
    if not current.verified:
        reasons.append("it was not verified yet")
    return reasons


def _fetch(app: Application, check_mode: bool) -> Outcome:
    if not check_mode:
        app.git.fetch()
        return Outcome(PASS, f"fetched from {app.git.remote}")
    behind = app.git.behind()
    if not behind:
        return Outcome(PASS, f"nothing new at {app.git.remote}")
    return Outcome(
        WARN,
        f"{app.git.remote} has newer commits on {', '.join(behind[:10])}, which check mode does not fetch",
        f"To plan with them: git -C {app.git.directory} fetch {app.git.remote}",
    )


def _on_branch(app: Application, commit: str, branch: str) -> Outcome:
    tip = f"refs/remotes/{app.git.remote}/{branch}"
    rc, _out, _err = app.git.try_run("merge-base", "--is-ancestor", commit, tip)
    if rc == 0:
        return Outcome(PASS, f"{commit[:12]} is in the history of {branch}")
    return Outcome(WARN, f"{commit[:12]} is not in the history of {branch}", f"Merge it into {branch} once it is proven.")


def _clean(app: Application) -> Outcome:
    changed = app.git.changed_files()
    if not changed:
        return Outcome(PASS, "no tracked file differs from its commit")
    keep = f"git -C {app.git.directory} stash"
    return Outcome(FAIL, f"changed since the checkout: {', '.join(changed[:10])}", f"Keep or drop the changes: {keep}")


def _can_come_back(app: Application) -> Outcome:
    current = app.store.current()
    if current is None:
        return Outcome(PASS, "first deployment: what runs now, if anything, is kept as the release to come back to")
    missing = app.missing_images(current)
    if missing:
        return Outcome(
            WARN,
            f"images of the serving release are gone: {', '.join(missing)}",
            "A failed deployment could not be taken back to it; keep images with docker, do not prune them.",
        )
    return Outcome(PASS, f"complete: {current.told()}")


def _images_there(app: Application, target: Release) -> Outcome:
    missing = app.missing_images(target)
    if missing:
        raise OpsError(
            f"Release {target.id} cannot serve again: the images of {', '.join(missing)} are gone.",
            f"Build it anew instead: deploy.yml -e commit={target.commit[:12]}",
        )
    return Outcome(PASS, f"{len(target.images)} images of {target.told()}")
