# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of a phone call, from its webhook to its recording (trap 14)."""

from __future__ import annotations

from faults import Fault

from verify_faults import by_hand, stopped

SEALED = ["recordings_data:/app/server/recordings:ro"]

FAULTS = [
    Fault(
        "Calls go wrong once they are taken, and the volume of the recordings is read-only",
        lambda: by_hand("prosaas-calls", environment={"DEMO_FAULT": "poor_calls"}, volumes=SEALED),
        {
            **{f"call.{name}": "fail" for name in ("connected", "audio", "completed", "released", "uncounted", "recording")},
            "call.acquired": "pass",
        },
    ),
    Fault(
        "The calls service counts in another Redis database, and logs nothing",
        lambda: by_hand("prosaas-calls", environment={"REDIS_URL": "redis://redis:6379/1", "LOG_LEVEL": "CRITICAL"}),
        {
            **{f"call.{name}": "fail" for name in ("acquired", "counted", "released")},
            **{f"call.{name}": "pass" for name in ("connected", "audio", "completed", "recording")},
            "call.uncounted": "unknown",
        },
    ),
    Fault(
        "The calls service is away",
        lambda: stopped("prosaas-calls"),
        {
            "call.connected": "fail",
            **{f"call.{name}": "unknown" for name in ("audio", "acquired", "counted", "completed", "recording")},
        },
    ),
]
