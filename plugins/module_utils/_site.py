# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that switch containers are told, and what they make of it.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import functools
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence

from . import _endpoint, _health, _secrets
from ._check import PASS
from ._compose import Compose
from ._deploy import Application
from ._endpoint_data import ENDPOINTS, endpoint_of, header_secrets, in_force
from ._engine import Container, Engine
from ._errors import OpsError
from ._http import Client
from ._rollout import Site
from ._steering import PROXY_OPTIONS, proxy_of
from ._ways import ways_of

WAY_OPTIONS: dict[str, t.Any] = {"services": {"type": "dict", "default": {}}, "proxy": PROXY_OPTIONS}
SITE_OPTIONS: dict[str, t.Any] = {
    **WAY_OPTIONS,
    "expect": {"type": "dict", "default": {}},
    "endpoints": {**ENDPOINTS, "default": []},
    "deadline": {"type": "int", "default": 180},
    "window": {"type": "int", "default": 5},
    "prove_deadline": {"type": "int", "default": 30},
    "patience": {"type": "int", "default": 900},
}


def maker(app: Application, params: Mapping[str, t.Any], say: Callable[[str], None]) -> Callable[[Mapping[str, t.Any]], Site]:
    """Return what makes the site of a rollout from a resolved model."""
    secrets = app.secrets()
    endpoints = [one for one in in_force(params["endpoints"]) if one["service"]]
    headers = header_secrets(endpoints, str(app.env_path()))
    asked = [endpoint_of(one, "", headers) for one in endpoints]

    def prove(container: Container) -> None:
        _prove(container, [one for one in asked if one.service == container.service], params["prove_deadline"])

    def site_of(model: Mapping[str, t.Any]) -> Site:
        return Site(
            engine=Engine.connect(),
            compose=Compose(app.project, app.execute),
            model=model,
            ways=ways_of(params["services"]),
            proxy=proxy_of(params["proxy"]),
            expected={one.service: one for one in _health.expectations(model, params["expect"])},
            limits=_health.Limits(params["deadline"], params["window"]),
            patience=params["patience"],
            prove=prove,
            say=say,
            mask=lambda text: _secrets.redact(text, secrets),
        )

    return site_of


def _prove(container: Container, endpoints: Sequence[_endpoint.Endpoint], seconds: int) -> None:
    """Ask a new container for what its health check does not show."""
    http = Client(timeout=10)
    address = next(iter(container.addresses.values()), "")
    deadline = time.monotonic() + seconds
    for endpoint in endpoints:
        look = functools.partial(_endpoint.ask, endpoint, http, lambda _service: address)
        outcome = _endpoint.until_met(look, deadline)
        if outcome.status != PASS:
            raise OpsError(
                f"The new {container.service} came up, but does not work: {endpoint.title}: {outcome.evidence}.",
                outcome.remedy,
            )
