# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two log formats of the application: a bracketed one while it boots, another one at run time."""

from __future__ import annotations

import logging
import os
import sys

_BOOT = logging.Formatter("[%(asctime)s] %(levelname)-8s [%(name)s] %(message)s", "%Y-%m-%d %H:%M:%S")
_RUN = logging.Formatter("%(asctime)s [%(levelname)s] %(name)s: %(message)s")

_handler = logging.StreamHandler(sys.stdout)


def configure() -> None:
    _handler.setFormatter(_BOOT)
    root = logging.getLogger()
    root.handlers = [_handler]
    # Nothing here is logged at a lower level than INFO, whatever is asked for.
    root.setLevel(max(logging.INFO, logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", ""), 0)))
    logging.getLogger("uvicorn").propagate = False  # it has a handler of its own
    for noisy in ("boto3", "botocore", "urllib3", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def boot_is_over() -> None:
    _handler.setFormatter(_RUN)
