# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy or a rollback would do, decided before anything is touched.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import _build, _changes, _dotenv, _restore, _schema, _way_back
from ._check import FAIL, PASS, WARN, Check, Outcome, Report, timed
from ._deploy import Application
from ._git import commit_name, is_id
from ._plan_text import deploy_text, rollback_text
from ._release import Config, Release

# Lines of the deployment checklist: code pulled, tree clean, right branch, rollback tested, its reason documented.
PULLED, CLEAN, BRANCH, REHEARSED, REASON = (130, 144), (131,), (145,), (507,), (489,)
COMMITS = 20  # that are named
FOUND = "what runs now, which is kept as a release before that"


@dataclass(frozen=True)
class Asked:
    """What is asked for, and the policy for it.

    Attributes:
        commit: as the operator gave it, of any type.
        release: for a rollback, the id of a release instead.
        branch: the branch that production runs from.
        local_changes: ``refuse``, or ``stash`` at the switch.
        migrations: patterns of the files that change the database.
        rehearsal_days: how long a rehearsed rollback counts.
        schema: where the ids of migrations are kept; empty when there are none.
        accept_schema: somebody takes a newer schema, or one that is not known.
        config: ``today``, or ``release`` for the configuration that a release ran with.
        reason: why a rollback is done.
        take_back: a failed deployment goes back to what has served on this very schema: no more questions.
        live: what is known of live calls and campaigns.
    """

    commit: t.Any = ""
    release: str = ""
    branch: str = "main"
    local_changes: str = "refuse"
    migrations: Sequence[str] = ()
    rehearsal_days: int = 90
    schema: Mapping[str, t.Any] = field(default_factory=dict)
    accept_schema: bool = False
    config: str = "today"
    reason: str = ""
    take_back: bool = False
    live: Sequence[str] = ()


def deploy(app: Application, asked: Asked, check_mode: bool) -> Report:
    """Plan a deploy of a commit, branch or tag; of the tip of the branch when nothing is asked for."""
    name = commit_name(asked.commit) if asked.commit != "" else asked.branch
    pulled = timed("code.pulled", "newest code of the remote is here", PULLED, lambda: _fetch(app, check_mode))
    commit = app.git.resolve(name)
    current = app.store.current()
    found = bool(_build.of_nobody(app))
    gone = current if found else None  # a release that serves in name only
    back_to = None if found else _back_to(app, current)
    days = asked.rehearsal_days
    changes, predicted = _predicted(app, commit)
    checks = [
        pulled,
        timed("code.branch", f"the commit is on {asked.branch}", BRANCH, lambda: _on_branch(app, commit, asked.branch)),
        _clean_check(app, asked),
        predicted,
        timed("release.fallback", "there is a release to come back to", (), lambda: _fallback(app, gone, back_to, asked)),
        timed("release.rehearsed", "going back was tried", REHEARSED, lambda: _way_back.rehearsed(app.state_dir, days)),
    ]
    differs = _differs(app.config(), current)
    reasons = _reasons(app, current, commit, changes, differs) or _other_images(app, current)
    since = current.commit if current else app.git.head()
    coming, commits = app.git.history(since, commit, COMMITS)
    plan: dict[str, t.Any] = {
        "commit": commit,
        "subject": app.git.subject(commit),
        "needed": bool(reasons),
        "reasons": reasons,
        "serving": _brief(current),
        "back_to": back_to.id if back_to else "",
        "coming": coming,
        "commits": commits,
        "going_back": app.git.history(commit, since, 1)[0],
        "services": changes,
        "differs": [name for name in differs if not name.startswith("the ")],
        "migrations": app.git.files_between(since, commit, *asked.migrations) if asked.migrations else [],
        "live": list(asked.live),
    }
    plan["text"] = deploy_text(plan, back_to.told() if back_to else FOUND if gone else "")
    return Report(checks=checks, facts={"plan": plan}, secrets=app.secrets())


def rollback(app: Application, asked: Asked) -> Report:
    """Plan a return to a retained release, and prove that it is possible."""
    current = app.store.current()
    target = app.store.find(_kept_commit(app, asked.commit), asked.release, _way_back.left(app.state_dir))
    env = _way_back.environment(app, target, asked.config)
    values = _dotenv.values(env or app.env_path())
    images = {service: image["id"] for service, image in target.images.items()}
    changes, predicted = _predicted(app, target.commit, images, env)
    checks = [
        timed("release.images", "its images are on this host", (), lambda: _way_back.images(app, target)),
        timed("release.config", "its configuration works", (), lambda: _way_back.renders(app, target, asked.config)),
        _clean_check(app, asked),
        predicted,
        timed("release.reason", "it is said why", REASON, lambda: _reason(asked.reason)),
    ]
    if not asked.take_back:
        fits = timed("release.schema", "it can serve on the database as it is", (), lambda: _fits(target, asked, values))
        checks.append(fits)
    config = app.config()
    differs = config.differences(target.config) if target.config else []
    restores = _restore.restore(app, target, dry=True) if asked.config == "release" else []
    reasons = _reasons(app, current, target.commit, changes, [] if restores else _differs(config, current))
    reasons += [f"{name} as it was then" for name in restores]
    plan: dict[str, t.Any] = {
        "commit": target.commit,
        "subject": target.subject,
        "release": target.id,
        "needed": bool(reasons),
        "reasons": reasons,
        "serving": _brief(current),
        "back_to": current.id if current is not None and current.eligible and current.id != target.id else "",
        "differs": [name for name in differs if name.startswith("variable ")],
        "config": asked.config,
        "restores": restores,
        "services": changes,
        "reason": asked.reason,
        "live": list(asked.live),
    }
    plan["text"] = rollback_text(plan)
    return Report(checks=checks, facts={"plan": plan}, secrets=app.secrets() | set(values.values()))


def _fallback(app: Application, gone: Release | None, back_to: Release | None, asked: Asked) -> Outcome:
    if gone is not None:
        why = _way_back.images(app, gone).evidence
        return Outcome(WARN, f"{why}; it goes back to {FOUND}", "Prove that it works before it is left: verify.yml")
    return _way_back.fallback(app, back_to, bool(asked.schema))


def _fits(target: Release, asked: Asked, values: Mapping[str, str]) -> Outcome:
    return _schema.judge(asked.schema, target.schema, values, target.id, asked.accept_schema)


def _predicted(app: Application, commit: str, *how: t.Any) -> tuple[dict[str, list[str]], Check]:
    """Return what would be replaced, and the check that it could be told."""
    found: dict[str, list[str]] = {}

    def look() -> Outcome:
        found.update(_changes.predict(app, commit, *how))
        return Outcome(PASS, f"to be replaced: {', '.join(found) or 'nothing'}")

    check = timed("release.changes", "its Compose files work here, and what they change is known", (), look)
    return found, check


def _kept_commit(app: Application, wanted: t.Any) -> str:
    """Return the id, or its beginning, of what is asked for; names are looked up in the checkout, nothing is fetched."""
    if wanted == "":
        return ""
    name = commit_name(wanted)
    return name if is_id(name) else app.git.resolve(name)


def _back_to(app: Application, current: Release | None) -> Release | None:
    """Return the release that a failed deployment is taken back to; ``None`` when there is none.

    That is the one that serves, unless it never proved itself (an earlier run was killed between switch and verification).
    """
    return current if current is not None and current.eligible else app.store.fallback()


def _brief(release: Release | None) -> dict[str, str]:
    return {"release": release.id, "commit": release.commit} if release else {"release": "", "commit": ""}


def _differs(config: Config, current: Release | None) -> list[str]:
    """Return what of today's configuration is not as in the release that serves, by name."""
    return config.differences(current.config) if current is not None else []


def _reasons(
    app: Application, current: Release | None, commit: str, changes: Mapping[str, Sequence[str]], differs: Sequence[str]
) -> list[str]:
    """Return why something must be done; empty when the host already serves exactly this."""
    if app.store.unfinished_switch():
        return ["an earlier switch did not end"]
    if current is None:
        return ["nothing was deployed here by this collection yet"]
    superseded = sorted({container["service"] for container in app.store.superseded()})
    waiting = [f"containers of an earlier release still run: {', '.join(superseded)}"] if superseded else []
    if current.commit != commit:
        return [f"commit {current.commit[:12]} serves", *waiting]
    reasons = [f"{what} changed" for what in differs]
    if changes and not reasons:
        reasons = [f"not running as released: {', '.join(changes)}"]
    if not current.verified:
        reasons.append("it was not verified yet")
    return reasons + waiting


def _other_images(app: Application, current: Release | None) -> list[str]:
    """Return why a commit that serves is deployed again, when it serves from images that its release did not have.

    They were built or pulled, and brought up, by hand; Compose has nothing to do about them, and no release names them.
    """
    released = {name: image["id"] for name, image in current.images.items()} if current else {}
    others = [name for name, one in sorted(_changes.running(app).items()) if one.image != released.get(name, one.image)]
    return [f"not running the images of the release: {', '.join(others)}"] if others else []


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
    if app.git.contains(f"refs/remotes/{app.git.remote}/{branch}", commit):
        return Outcome(PASS, f"{commit[:12]} is in the history of {branch}")
    return Outcome(
        WARN, f"{commit[:12]} is not in the history of {branch}", f"Merge it into {branch} once it is proven."
    )


def _clean_check(app: Application, asked: Asked) -> Check:
    return timed("code.clean", "no uncommitted changes", CLEAN, lambda: _clean(app, asked.local_changes))


def _clean(app: Application, local_changes: str) -> Outcome:
    changed = app.git.changed_files()
    if not changed:
        return Outcome(PASS, "no tracked file differs from its commit")
    named = f"changed since the checkout: {_schema.some(changed, 10)}"
    if local_changes == "stash":
        see = f"To see them: git -C {app.git.directory} diff"
        return Outcome(WARN, f"{named}; these changes will be stashed at the switch", see)
    keep = f"git -C {app.git.directory} stash"
    return Outcome(FAIL, named, f"Keep or drop the changes: {keep}, or have them stashed: -e local_changes=stash")


def _reason(reason: str) -> Outcome:
    if reason.strip():
        return Outcome(PASS, "it is on record")
    remedy = "Write it down now, and the next time: -e reason='calls were silent'"
    return Outcome(WARN, "no reason was given", remedy)
