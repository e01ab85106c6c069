# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An outside service of hand-written answers, for the tests of what asks one."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._http import Answer, Client


class Service(Client):
    """An outside service that answers by URL, and keeps what it was sent."""

    def __init__(self, answers: t.Mapping[str, Answer | OpsError]) -> None:
        super().__init__()
        object.__setattr__(self, "answers", answers)
        object.__setattr__(self, "asked", [])

    def send(self, url: str, *_rest: t.Any, **options: t.Any) -> Answer:
        self.asked.append((url, options["headers"]))  # type: ignore[attr-defined]
        answer = next(a for part, a in self.answers.items() if part in url)  # type: ignore[attr-defined]
        if isinstance(answer, OpsError):
            raise answer
        return t.cast("Answer", answer)


def said(content: t.Any, status: int = 200) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(content).encode(), 0.2)
