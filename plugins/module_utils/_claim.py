# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the application itself says of its slots; what is in Redis is compared with it (_capacity.py).

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ._errors import OpsError, Unreachable
from ._http import Answer, Client

FIELDS = {"active": "active_calls", "limit": "max_calls", "free": "capacity_available", "full": "at_capacity"}

# Options of the modules that ask the application for its count.
OPTIONS: dict[str, t.Any] = {
    "endpoint_url": {"type": "str", "required": True},
    "endpoint_service": {"type": "str", "default": ""},
    "endpoint_headers": {"type": "dict", "default": {}},
    "endpoint_fields": {"type": "dict", "default": FIELDS},
}


class Claim(t.NamedTuple):
    """What the application says of its slots."""

    active: int
    limit: int
    free: int
    full: bool


def claim_of(answer: Answer, fields: Mapping[str, str], where: str) -> Claim:
    """Read the application's answer; anything but its JSON is an error that says what came instead."""
    if answer.status in (401, 403):
        raise OpsError(
            f"{where} refuses the secret ({answer.status}).", "Compare it with the container's: docker inspect"
        )
    if answer.status != 200:
        raise OpsError(f"{where} answers {answer.status}: {answer.excerpt()}", "Look at the log of its service.")
    try:
        said = answer.json()
        active, limit, free = (int(said[fields[name]]) for name in ("active", "limit", "free"))
        return Claim(active, limit, free, bool(said[fields["full"]]))
    except (ValueError, TypeError, LookupError):
        raise OpsError(
            f"{where} answers 200, but not with the numbers of the application: {answer.excerpt(60)}",
            "Ask the service itself; in front of it something else answers this path.",
        ) from None


def ask(client: Client, url: str, address: str, headers: Mapping[str, str], fields: Mapping[str, str]) -> Claim:
    try:
        return claim_of(client.send(url, headers=headers, address=address), fields, url)
    except Unreachable as error:  # an application that does not answer is no open question
        raise OpsError(error.problem, error.remedy) from None


class Counter:
    """Asks the application for its count, as the options of :data:`OPTIONS` say.

    Args:
        values: of the variables that hold what the headers are sent with.
        address_of: returns the address of a container of a service.
    """

    def __init__(
        self,
        params: Mapping[str, t.Any],
        values: Mapping[str, str],
        client: Client,
        address_of: t.Callable[[str], str],
    ) -> None:
        self._params, self._client, self._address_of = params, client, address_of
        self._headers = {name: values.get(variable) or "" for name, variable in params["endpoint_headers"].items()}

    @property
    def secrets(self) -> set[str]:
        return {value for value in self._headers.values() if value}

    def __call__(self) -> Claim:
        url, service = self._params["endpoint_url"], self._params["endpoint_service"]
        address = self._address_of(service) if service else ""
        return ask(self._client, url, address, self._headers, self._params["endpoint_fields"])
