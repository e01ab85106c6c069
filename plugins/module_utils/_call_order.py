# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The call that Twilio is to make: from where, to where, what is said, for how long.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import math
import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from ._errors import OpsError

SHORTEST, LONGEST = 2.0, 60.0  # seconds that the line stays open
SPARE = 30  # seconds after which Twilio itself ends a call that we could not end
_ROUND = 15  # seconds that a repetition of what is said takes at least
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True)
class Real:
    """The call that Twilio is asked for.

    Attributes:
        to: number that the application answers.
        caller: another number, of the same account or verified there.
        say: what a voice says to the application, in ``language``.
        seconds: how long the line stays open once the application has taken the call.
        answer: seconds in which it must have.
        end: seconds in which Twilio must say that the call is over, once it was told to end it.
        listen: whether Twilio records what the application says; seconds that the recording may take.
    """

    to: str
    caller: str
    say: str = "Hello. Can you hear me?"
    language: str = "en-US"
    seconds: float = 10.0
    answer: float = 30.0
    end: float = 15.0
    listen: bool = True
    recorded: float = 30.0

    def __post_init__(self) -> None:
        for name, number in (("to", self.to), ("from", self.caller)):
            if not _NUMBER.fullmatch(number):
                wanted = 'Write it in quotes, as "+", country code and number: "+15005550006".'
                raise OpsError(f"real_call.{name} is no phone number.", wanted)
        if self.to == self.caller:
            raise OpsError(
                "real_call.to and real_call.from are the same number, which Twilio does not connect with itself.",
                "Give another number of the account as real_call.from, or one that is verified there.",
            )
        if not SHORTEST <= self.seconds <= LONGEST:
            raise OpsError(
                f"real_call.seconds is {self.seconds:g}.", f"Choose something from {SHORTEST:g} to {LONGEST:g}."
            )

    def form(self) -> dict[str, str]:
        """Return what Twilio is told; the two limits end the call even where we are gone."""
        form = {
            "To": self.to,
            "From": self.caller,
            "Twiml": self.twiml(),
            "Timeout": str(min(600, max(5, math.ceil(self.answer)))),
            "TimeLimit": str(math.ceil(self.seconds) + SPARE),
        }
        # Of the two sides only what Twilio receives: the application.
        return {**form, **({"Record": "true", "RecordingTrack": "inbound"} if self.listen else {})}

    def twiml(self) -> str:
        """Say it again and again, with time for an answer, for longer than the line stays open."""
        response = ElementTree.Element("Response")
        for _round in range(math.ceil((self.seconds + SPARE) / _ROUND)):
            ElementTree.SubElement(response, "Say", language=self.language).text = self.say
            ElementTree.SubElement(response, "Pause", length=str(_ROUND))
        return ElementTree.tostring(response, encoding="unicode")


OPTIONS: dict[str, t.Any] = {
    "to": {"type": "str", "required": True},
    "from": {"type": "str", "required": True},
    "api_url": {"type": "str", "default": "https://api.twilio.com"},
    "say": {"type": "str", "default": Real.say},
    "language": {"type": "str", "default": Real.language},
    "seconds": {"type": "float", "default": Real.seconds},
    "answer_deadline": {"type": "float", "default": Real.answer},
    "end_deadline": {"type": "float", "default": Real.end},
    "listen": {"type": "bool", "default": Real.listen},
    "listen_deadline": {"type": "float", "default": Real.recorded},
    "recording_deadline": {"type": "float", "default": 60.0},
}


def real_of(params: Mapping[str, t.Any]) -> Real:
    """Read the options of ``OPTIONS``."""
    return Real(
        to=params["to"],
        caller=params["from"],
        say=params["say"],
        language=params["language"],
        seconds=params["seconds"],
        answer=params["answer_deadline"],
        end=params["end_deadline"],
        listen=params["listen"],
        recorded=params["listen_deadline"],
    )
