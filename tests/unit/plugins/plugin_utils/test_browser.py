# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a browser is found and told where to go; what it sees is tested with a real one (tests/integration/test_pages.py)."""

from __future__ import annotations

import pytest
from ansible_collections.prosaas.ops.plugins.action.endpoint_check import _is_loopback
from ansible_collections.prosaas.ops.plugins.plugin_utils import _browser


def test_the_first_program_that_is_here_is_taken() -> None:
    assert _browser.find(["no-such-browser", "sh", "true"]).endswith("/sh")
    assert _browser.find(["no-such-browser"]) == ""


@pytest.mark.parametrize(
    ("address", "key", "options"),
    [
        ("", "", []),
        ("203.0.113.7", "", ["--host-resolver-rules=MAP app.test 203.0.113.7"]),
        ("2001:db8::1", "", ["--host-resolver-rules=MAP app.test [2001:db8::1]"]),
        ("", "a+b=", ["--ignore-certificate-errors-spki-list=a+b="]),
    ],
)
def test_it_is_told_one_address_and_one_key(address: str, key: str, options: list[str]) -> None:
    assert _browser.options_for("https://app.test:8443/x", address, key) == options


def test_a_query_is_not_written_down() -> None:
    assert _browser._without_query("https://app.test/a?token=secret#b") == "https://app.test/a"


@pytest.mark.parametrize(("address", "own"), [("127.0.0.1", True), ("::1", True), ("203.0.113.7", False), ("app.test", False), ("", False)])
def test_an_address_of_the_host_itself(address: str, own: bool) -> None:
    assert _is_loopback(address) is own
