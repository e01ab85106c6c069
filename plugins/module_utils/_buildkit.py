# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what ``docker compose --progress plain build`` prints: which service it is at, what is done, what failed.

Its lines begin with the number of a step; the line with brackets says whose step it is: ``#16 [api stage-1 4/4] RUN …``.
Services are built side by side and share steps, also the one that names their images, so an image's name says more
than the step's.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

LAST_LINES = 25
SILENCE = 20.0  # seconds without news after which the steps that are being worked on are told
_SHORT = 100

_LINE = re.compile(r"#(?P<number>\d+) (?P<rest>.*)")
_HEAD = re.compile(
    r"\[(?P<service>[^\s\]]+)(?P<stage>(?: [^\]]*?)?)(?: *(?P<step>\d+)/(?P<steps>\d+))?\] ?(?P<what>.*)"
)
# What the other services say when a build ends because of one of them.
_CONSEQUENCE = re.compile(r"cancel|transport is closing|code = Unavailable")
_ENDED = re.compile(r"(?P<how>DONE|CACHED|CANCELED|ERROR)\b:? ?(?P<text>.*)")
_NAMED = re.compile(r"naming to (?P<image>\S+)(?: [0-9.]+s)? done")
_EXIT_CODE = re.compile(r"exit code: \d+$")


class Failure(t.NamedTuple):
    """The step at which a build failed: whose it was, what it did, why it failed, what it printed last."""

    service: str
    step: str
    reason: str
    lines: list[str]


@dataclass
class _Step:
    """One numbered step, under the name that it had last."""

    service: str = ""
    stage: str = ""
    position: tuple[int, int] | None = None
    what: str = ""
    began: float = 0.0
    ended: bool = False
    printed: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))

    @property
    def told(self) -> str:
        place = f"step {self.position[0]}/{self.position[1]} " if self.position else ""
        return f"{place}({shortened(self.what)})"


class Steps:
    """Follows one build, line by line.

    Args:
        images: the image that each service gets, by service name.
        now: seconds, of any clock that only goes forward.
    """

    def __init__(self, images: Mapping[str, str], now: float) -> None:
        self._of_image = {_bare(image): service for service, image in images.items()}
        self._total = len(images)
        self._services = set(images)
        self._began: dict[str, float] = {}
        self._named: set[str] = set()
        self._last_step: dict[str, dict[str, bool]] = {}  # by service and stage: whether its last step was in the cache
        self._steps: dict[str, _Step] = {}
        self._said_at = now
        self.failure: Failure | None = None

    def line(self, line: str, now: float) -> list[str]:
        """Take one line of output; return what there is to say."""
        matched = _LINE.fullmatch(line.rstrip())
        said = self._take(self._steps.setdefault(matched["number"], _Step()), matched["rest"], now) if matched else []
        if said:
            self._said_at = now
        return said

    def silence(self, now: float) -> list[str]:
        """Return what is being worked on, when nothing has been said for a while."""
        if now - self._said_at < SILENCE:
            return []
        self._said_at = now
        return [
            f"still building {step.service}, {step.told}, for {now - step.began:.0f} s"
            for step in self._steps.values()
            if step.service and step.position and not step.ended
        ]

    def _take(self, step: _Step, rest: str, now: float) -> list[str]:
        head = _HEAD.fullmatch(rest)
        if head:
            return self._begin(step, head, now) if head["service"] in self._services else []
        ended, named = _ENDED.match(rest), _NAMED.match(rest)
        if named:
            return self._name(named["image"], now)
        if ended:
            self._end(step, ended["how"], ended["text"])
        elif rest != "...":
            step.printed.append(rest)
        return []

    def _begin(self, step: _Step, head: re.Match[str], now: float) -> list[str]:
        service = head["service"]
        if not step.what or step.ended:
            step.began = now
        step.service, step.stage, step.what, step.ended = service, head["stage"].strip(), head["what"], False
        step.position = (int(head["step"]), int(head["steps"])) if head["step"] else None
        if step.position and step.position[0] > 1:
            self._last_step.setdefault(service, {}).setdefault(step.stage, False)
        if service in self._began:
            return []
        self._began[service] = now
        return [f"building {len(self._began)} of {self._total}: {service}"]

    def _end(self, step: _Step, how: str, text: str) -> None:
        step.ended = True
        if how == "ERROR" and self.failure is None and step.service and not _CONSEQUENCE.search(text):
            code = _EXIT_CODE.search(text)
            self.failure = Failure(step.service, step.told, code[0] if code else _ending(text), list(step.printed))
        if step.position and 1 < step.position[0] == step.position[1]:
            self._last_step[step.service][step.stage] = how == "CACHED"

    def _name(self, image: str, now: float) -> list[str]:
        service = self._of_image.get(_bare(image))
        if service is None or service in self._named:
            return []
        self._named.add(service)
        stages = self._last_step.get(service)
        if stages and all(stages.values()):
            return [f"cached {service}"]
        return [f"built {service} in {now - self._began.get(service, now):.0f} s"]


def _bare(image: str) -> str:
    """Return an image name without the registry that BuildKit writes before it and the tag that means none."""
    for prefix in ("docker.io/", "library/"):
        image = image[len(prefix) :] if image.startswith(prefix) else image
    return image[: -len(":latest")] if image.endswith(":latest") else image


def shortened(text: str) -> str:
    return text if len(text) <= _SHORT else text[:_SHORT] + "…"


def _ending(text: str) -> str:
    """Return the end of a long complaint: what wraps it comes first, why comes last."""
    return text if len(text) <= 2 * _SHORT else "…" + text[-2 * _SHORT :]
