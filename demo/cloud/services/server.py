# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The APIs of outside services, as far as a client that only reads meets them, each under its own name over TLS."""

from __future__ import annotations

import forge
import openai
import supabase
import twilio
import uvicorn
from common import Refused, refusal
from starlette.applications import Starlette
from starlette.routing import Host, Router

FACES = {
    "api.openai.test": openai.ROUTES,
    "api.twilio.test": twilio.ROUTES,
    "api.supabase.test": supabase.ROUTES,
    "api.github.test": forge.ROUTES,
}

app = Starlette(
    routes=[Host(name, Router(routes)) for name, routes in FACES.items()],
    exception_handlers={Refused: refusal},
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="0.0.0.0",
        port=443,
        ssl_certfile="/cloud/tls/services.crt",
        ssl_keyfile="/cloud/tls/services.key",
        log_level="warning",
        server_header=False,
    )
