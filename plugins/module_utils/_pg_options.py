# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that run Postgres' own programs.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ._pg_tools import Tools

OPTIONS: dict[str, t.Any] = {
    "programs": {"type": "str", "choices": ["auto", "host", "image"], "default": "auto"},
    "programs_image": {"type": "str", "default": ""},
    "programs_network": {"type": "str", "default": ""},
}

DATABASES: dict[str, t.Any] = {
    "databases": {"type": "dict", "default": {}},
    "sslmodes": {"type": "list", "elements": "str", "default": ["require", "verify-ca", "verify-full"]},
    "ca_path": {"type": "path", "default": ""},
}


def tools_of(params: Mapping[str, t.Any]) -> Tools:
    return Tools(params["programs"], params["programs_image"], params["programs_network"])
