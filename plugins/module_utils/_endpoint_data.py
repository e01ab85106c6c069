# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints as an operator writes them, for the modules that ask them.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ._condition import Condition
from ._credentials import Credentials
from ._endpoint import Endpoint, Shape

_CONDITION: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "query": {"type": "str", "required": True},
        "equals": {"type": "raw"},
        "in": {"type": "list", "elements": "raw"},
        "exists": {"type": "bool"},
    },
    "mutually_exclusive": [("equals", "in", "exists")],
    "required_one_of": [("equals", "in", "exists")],
}

_SHAPE: dict[str, t.Any] = {
    "status": {"type": "list", "elements": "int", "default": [200]},
    "content_type": {"type": "str", "default": ""},
    "header_contains": {"type": "dict", "default": {}},
    "body_equals": {"type": "str", "default": ""},
    "body_contains": {"type": "list", "elements": "str", "default": []},
    "body_not_contains": {"type": "list", "elements": "str", "default": []},
    "json": _CONDITION,
    "max_seconds": {"type": "float", "default": 0},
}

ENDPOINTS: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "id": {"type": "str", "required": True},
        "title": {"type": "str", "required": True},
        "item": {"type": "list", "elements": "int", "default": []},
        "url": {"type": "str", "required": True},
        "service": {"type": "str"},
        "address": {"type": "str"},
        "headers": {"type": "dict", "default": {}},
        # Names of variables: no_log would hide them from the messages that have to name one.
        "secret_headers": {"type": "dict", "default": {}, "no_log": False},
        "remedy": {"type": "str", "default": "Look at the log of the service that answers this URL."},
        "any_of": {"type": "list", "elements": "dict", "required": True, "options": _SHAPE},
        "assets": {"type": "bool", "default": False},
        "certificate_days": {"type": "int", "default": 0},
    },
}


def in_force(given: Sequence[Mapping[str, t.Any]]) -> list[Mapping[str, t.Any]]:
    """Return the endpoints to ask: a later one takes the place of an earlier one of its id, or takes it away."""
    return [one for one in {one["id"]: one for one in given}.values() if one["any_of"]]


def header_secrets(given: Sequence[Mapping[str, t.Any]], env_file: str) -> dict[str, str]:
    """Return the values of the variables that the headers of these endpoints need, by name."""
    variables = {variable for one in given for variable in one["secret_headers"].values()}
    known = Credentials(env_file if variables else "", {variable: variable for variable in variables})
    return {variable: known.need(variable) for variable in variables}


def endpoint_of(given: Mapping[str, t.Any], address: str, secrets: Mapping[str, str]) -> Endpoint:
    return Endpoint(
        id=given["id"],
        title=given["title"],
        item=given["item"],
        url=given["url"],
        service=given["service"] or "",
        address="" if given["service"] else given["address"] or address,
        headers={**given["headers"], **{name: secrets[variable] for name, variable in given["secret_headers"].items()}},
        remedy=given["remedy"],
        assets=given["assets"],
        certificate_days=given["certificate_days"],
        shapes=[_shape_of(shape) for shape in given["any_of"]],
    )


def _shape_of(given: Mapping[str, t.Any]) -> Shape:
    conditions = [Condition(c["query"], c["equals"], c["in"], c["exists"]) for c in given["json"]]
    return Shape(**{**given, "json": conditions})
