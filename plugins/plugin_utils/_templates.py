# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written from a record, by the templates in roles/prosaas/templates.

HTML escapes all that it is given: log lines and names are data. Markdown has no such switch: its templates pass text
through the filters ``text`` and ``block``.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import html
import re
import typing as t
from collections.abc import Mapping
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).resolve().parents[2] / "roles" / "prosaas" / "templates"
MARKS = re.compile(r"([\\`*_{}\[\]#|~])")


def fill(template: str, values: Mapping[str, t.Any]) -> str:
    """Return a template with its values; one that it asks for and does not get is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, text=text, block=block)
    return environment.get_template(template).render(values)


def duration(seconds: float) -> str:
    """Return seconds as a person reads them: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``1 h 2 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def text(value: object) -> str:
    """Return text for a line of Markdown that means nothing but itself."""
    return MARKS.sub(r"\\\1", html.escape(" ".join(str(value).split()), quote=False))


def block(value: object) -> str:
    """Return text as a block of code in a list of Markdown, longer fenced than any fence in it."""
    lines = str(value).splitlines() or [""]
    fence = "`" * max(3, 1 + max((len(found) for found in re.findall(r"`+", str(value))), default=0))
    return "\n".join(f"  {line}" for line in (fence, *lines, fence))
