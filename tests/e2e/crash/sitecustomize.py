# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a module break as soon as it has read a secret, with that secret in the text of the exception.

In PYTHONPATH, Python imports this at its start. It strikes where the environment file is read, and where the model that
Compose prints is parsed.
"""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

ENV_FILE = os.environ.get("CANARY_ENV_FILE", "")
_read_bytes, _loads = pathlib.Path.read_bytes, json.loads


def _secret() -> str:
    for line in _read_bytes(pathlib.Path(ENV_FILE)).decode().splitlines():
        if line.startswith("SECRET_KEY="):
            return line.partition("=")[2]
    return ""


def read_bytes(self: pathlib.Path) -> bytes:
    content = _read_bytes(self)
    if str(self) == ENV_FILE:
        raise RuntimeError(f"broken while reading {content!r}")
    return content


def loads(text: t.Any, *arguments: t.Any, **options: t.Any) -> t.Any:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    if _secret() in said:
        raise RuntimeError(f"broken while parsing {said}")
    return _loads(text, *arguments, **options)


if ENV_FILE and os.path.exists(ENV_FILE):
    pathlib.Path.read_bytes = read_bytes  # type: ignore[method-assign]
    json.loads = loads
