# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as a person reads it: one thing a line, what decides first.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

NAMED = 8  # files and names on one line


def deploy_text(plan: Mapping[str, t.Any], back_to: str) -> str:
    what = f"{plan['commit'][:12]} ({plan['subject']})"
    if not plan["needed"]:
        return f"Nothing to deploy: {what} serves as configured."
    lines = [f"Deploy {what}, because: {'; '.join(plan['reasons'])}"]
    if plan["coming"]:
        lines.append(f"Commits to come: {plan['coming']}")
        lines += [f"  {commit}" for commit in plan["commits"]]
        if plan["coming"] > len(plan["commits"]):
            lines.append(f"  and {plan['coming'] - len(plan['commits'])} older ones")
    if plan["going_back"]:
        lines.append(f"It goes back {plan['going_back']} commits of what serves now.")
    lines += _services(plan["services"]) + _list("Configuration changed since the serving release", plan["differs"])
    lines += _list("Files that change the database", plan["migrations"]) + list(plan["live"])
    lines.append(f"If it fails it goes back to: {back_to or 'nothing yet, or what is found running'}")
    return "\n".join(lines)


def rollback_text(plan: Mapping[str, t.Any]) -> str:
    what = f"{plan['commit'][:12]} ({plan['subject']})"
    if not plan["needed"]:
        return f"Nothing to do: {what} serves already."
    lines = [f"Go back to {what}, release {plan['release']}, because: {plan['reason'] or 'no reason was given'}"]
    if plan["config"] == "release":
        lines += _list("With the configuration of that release; these files come back", plan["restores"])
        lines += _list("Set otherwise today", plan["differs"])
    else:
        lines += _list("With today's .env; set otherwise since", plan["differs"])
    return "\n".join(lines + _services(plan["services"]) + list(plan["live"]))


def _services(services: Mapping[str, Sequence[str]]) -> list[str]:
    if not services:
        return ["Services to be replaced: none"]
    return ["Services to be replaced:", *(f"  {name}: {'; '.join(why)}" for name, why in services.items())]


def _list(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"{title}: {', '.join(names[:NAMED])}{more}"]
