# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of the Twilio webhook: what it takes that it must refuse, what it writes, what it does not log (trap 10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from demo_stack import run
from faults import Fault

from verify_faults import by_hand, stopped

FORGERIES = ("unsigned", "wrong_token", "altered", "added", "alias", "other_host", "other_scheme", "forwarded", "method")
ROWS = "DELETE FROM call_log WHERE from_number = 'unknown' AND business_id IS NULL"


@contextmanager
def writes_first() -> Iterator[None]:
    """A release that writes the call before it has looked at the signature."""
    try:
        with by_hand("prosaas-calls", environment={"DEMO_FAULT": "webhook_logs_first"}):
            yield
    finally:
        server = ("docker", "exec", "-u", "postgres", "prosaas-cloud-postgres-1", "psql", "-d", "prosaas")
        run(*server, "-qc", ROWS)


FAULTS = [
    Fault(
        "The calls service takes whatever comes, and logs nothing of it",
        lambda: by_hand("prosaas-calls", environment={"DEMO_FAULT": "webhook_unchecked", "LOG_LEVEL": "CRITICAL"}),
        {
            **{f"webhook.{name}": "fail" for name in ("unsigned", "wrong_token", "altered", "added", "alias", "other_host")},
            "webhook.logged": "fail",
            "webhook.other_scheme": "warn",
            "webhook.forwarded": "warn",
            "webhook.give_back": "pass",
        },
    ),
    Fault("The calls service writes a call before it looks at its signature", writes_first, {"webhook.no_trace": "fail"}),
    Fault(
        "Twilio's auth token was changed in the calls service alone",
        lambda: by_hand("prosaas-calls", environment={"TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef"}),
        {
            **{f"webhook.{name}": "fail" for name in ("callback", "signed")},
            **{f"webhook.{name}": "unknown" for name in ("altered", "added", "other_host", "other_scheme", "forwarded")},
            **{f"webhook.{name}": "pass" for name in ("preview", "unsigned", "wrong_token", "alias", "method")},
        },
    ),
    Fault(
        "The calls service is away",
        lambda: stopped("prosaas-calls"),
        {
            **{f"webhook.{name}": "fail" for name in (*FORGERIES, "callback", "preview", "signed", "give_back")},
            "webhook.logged": "unknown",
            "webhook.no_trace": "pass",
        },
    ),
    Fault(
        "The calls service believes in its public address alone",
        lambda: by_hand("prosaas-calls", environment={"DEMO_FAULT": "webhook_one_url"}),
        {"webhook.other_scheme": "pass", "webhook.forwarded": "pass", "webhook.signed": "pass"},
    ),
    Fault(
        "Redis is away",
        lambda: stopped("redis"),
        {"webhook.signed": "unknown", "webhook.no_trace": "unknown", "webhook.unsigned": "pass"},
    ),
]
