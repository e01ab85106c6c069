# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days of the object store: its settings, its keys, its API, and none of it there."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from demo_stack import PROJECT

from faults import Fault, both, cloud, edited

ENV = PROJECT / ".env"


def variable(name: str, value: str) -> functools.partial[object]:
    """The application's env file has another value."""

    def change(text: str) -> str:
        return re.sub(rf"(?m)^{name}=.*$", f"{name}={value}", text)

    return functools.partial(edited, Path(ENV), change)


def day(*names: str) -> functools.partial[object]:
    return functools.partial(both, *(functools.partial(cloud, name) for name in names))


IDS = ("r2.reachable", "r2.bucket", "r2.private", "r2.cors", "r2.versioning", "r2.objects")

FAULTS: list[Fault] = [
    Fault(
        "the bucket is public, open to every page, without a lock rule, and its key may only read",
        day("r2-public", "r2-cors-open", "r2-no-lock", "r2-read-only"),
        {"r2.private": "fail", "r2.cors": "fail", "r2.versioning": "fail", "r2.objects": "fail"},
    ),
    Fault(
        "the object store's secret key was rotated and the env file was not",
        variable("R2_SECRET_ACCESS_KEY", "0" * 64),
        {"r2.reachable": "fail", "r2.bucket": "unknown", "r2.objects": "unknown"},
    ),
    Fault(
        "the bucket's name is misspelt in the env file",
        variable("R2_BUCKET_NAME", "prosaas-attachment"),
        {"r2.bucket": "fail", "r2.cors": "unknown", "r2.objects": "unknown"},
    ),
    Fault(
        "the Cloudflare API refuses the token",
        day("r2-token-denied"),
        {"r2.private": "unknown", "r2.versioning": "unknown"},
    ),
    Fault("the object store is down", day("r2-down"), dict.fromkeys(IDS, "unknown")),
]
