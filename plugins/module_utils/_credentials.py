# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets read where they are: in the application's ``.env`` on the host, by the names of its variables.

No secret travels through Ansible that way; which variable holds what is data.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from . import _dotenv
from ._errors import OpsError


def token_in(path: str | None) -> str:
    """Return the content of a file that holds a token and nothing else; empty where no file is given."""
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise OpsError(f"The token file {path} cannot be read ({error.strerror}).", "Correct its path.") from None


class Credentials:
    """The variables of one file, asked for by what they are to us.

    Args:
        path: the file; empty when there is none.
        names: variable by purpose (``{"auth_token": "TWILIO_AUTH_TOKEN"}``); a purpose without a variable has no value.
    """

    def __init__(self, path: str | None, names: Mapping[str, str | None]) -> None:
        self._path = path
        self._names = names
        self._values = _dotenv.values(Path(path)) if path else {}

    def get(self, purpose: str) -> str:
        """Return the value, empty when it is not set."""
        return self._values.get(self._names.get(purpose) or "", "")

    def need(self, purpose: str) -> str:
        """Return the value; one that is not set is an error that names the variable."""
        value = self.get(purpose)
        if not value:
            name = self._names.get(purpose) or f"the variable for {purpose}"
            raise OpsError(f"{name} is not set in {self._path or 'any env file'}.", f"Set {name} there.")
        return value
