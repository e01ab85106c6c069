# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of outside services: keys that are no longer good, a number that rings elsewhere, no backups, red tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from demo_stack import DEMO, PROJECT

from . import Fault, both, cloud, edited

OPENAI = ("services.openai", "services.openai_model")
TWILIO = ("services.twilio_account", "services.twilio_number", "services.twilio_voice_url")
DATABASE = ("database.backups", "database.retention")
CODE = ("code.tests", "code.scan")


def bad_days(*names: str) -> Callable[[], contextlib.AbstractContextManager[None]]:
    return lambda: both(*[lambda name=name: cloud(name) for name in names])


def emptied(name: str) -> Callable[[], contextlib.AbstractContextManager[None]]:
    return lambda: edited(DEMO / "secrets" / name, lambda _token: "")


def unset(variable: str) -> Callable[[], contextlib.AbstractContextManager[None]]:
    def change(text: str) -> str:
        return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{variable}="))

    return lambda: edited(PROJECT / ".env", change)


FAULTS: list[Fault] = [
    Fault(
        "OpenAI revoked the key, Twilio suspended the account, the provider has no backups, a test is red",
        bad_days("openai-key-revoked", "twilio-suspended", "provider-no-backups", "forge-tests-red"),
        {
            "services.openai": "fail",
            "services.openai_model": "unknown",
            "services.twilio_account": "fail",
            "services.twilio_number": "unknown",
            "services.twilio_voice_url": "unknown",
            "database.backups": "fail",
            "database.retention": "unknown",
            "code.tests": "fail",
            "code.scan": "pass",
        },
    ),
    Fault(
        "OpenAI took the model away, the phone number is gone, backups are kept for three days, the scan is red",
        bad_days("openai-model-gone", "twilio-number-gone", "provider-short-retention", "forge-scan-red"),
        {
            "services.openai": "pass",
            "services.openai_model": "fail",
            "services.twilio_account": "pass",
            "services.twilio_number": "fail",
            "services.twilio_voice_url": "unknown",
            "database.backups": "pass",
            "database.retention": "fail",
            "code.scan": "fail",
        },
    ),
    Fault(
        "The quota of OpenAI is used up, calls to the number go elsewhere, the provider refuses the token, the jobs still run",
        bad_days("openai-quota", "twilio-voice-url-elsewhere", "provider-token-denied", "forge-pending"),
        {
            "services.openai": "fail",
            "services.twilio_number": "pass",
            "services.twilio_voice_url": "fail",
            "database.backups": "fail",
            "database.retention": "unknown",
            **dict.fromkeys(CODE, "unknown"),
        },
    ),
    Fault(
        "The key of OpenAI is not set, the number takes no voice calls, and Twilio tells nobody that a call has ended",
        lambda: both(unset("OPENAI_API_KEY"), bad_days("twilio-no-voice", "twilio-no-callback")),
        {
            **dict.fromkeys(OPENAI, "unknown"),
            "services.twilio_number": "fail",
            "services.twilio_voice_url": "warn",
        },
    ),
    Fault(
        "The token files of the database's provider and of the forge are empty, so that a person has to answer",
        lambda: both(emptied("supabase_token"), emptied("forge_token")),
        {**dict.fromkeys(DATABASE, "unknown"), **dict.fromkeys(CODE, "fail")},
    ),
    Fault(
        "No outside service answers",
        bad_days("services-down"),
        dict.fromkeys((*OPENAI, *TWILIO, *DATABASE, *CODE), "unknown"),
    ),
]
