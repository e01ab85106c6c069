# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is masked before a text leaves the host: known secrets in every form, unknown ones by their looks, people's numbers."""

from __future__ import annotations

import base64
import html
import json
import time
import urllib.parse

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _secrets
from ansible_collections.prosaas.ops.plugins.module_utils._redact import Redactor
from ansible_collections.prosaas.ops.plugins.module_utils._secrets import MASK

SECRET = "p4$$/w\"o'rd+ä & kestrel-77"
TOKEN = "kJ8sQ2vN5xR1tY7wZ3aB6cD9"

NAMES = {"FIRST": SECRET, "SECOND": TOKEN}
REDACTOR = Redactor({value: name for name, value in NAMES.items()})

FORMS = {
    "plain": lambda value: value,
    "lower": str.lower,
    "upper": str.upper,
    "url": lambda value: urllib.parse.quote(value, safe=""),
    "url path": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "json": lambda value: json.dumps(value)[1:-1],
    "json utf-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "html": html.escape,
    "python": lambda value: repr(value)[1:-1],
    "hex": lambda value: value.encode().hex(),
    "compose": lambda value: value.replace("$", "$$"),
}


@pytest.mark.parametrize("value", [SECRET, TOKEN])
@pytest.mark.parametrize("form", FORMS)
def test_a_known_secret_is_found_and_masked_in_every_form(form: str, value: str) -> None:
    written = FORMS[form](value)
    text = f"before {written} after"
    assert REDACTOR.leaks(text.encode()) == [name for name, known in NAMES.items() if known == value]
    masked = REDACTOR.text(text)
    assert masked == f"before {MASK} after"
    assert REDACTOR.leaks(masked.encode()) == []


@pytest.mark.parametrize("code", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("around", [("", ""), ("u:", ""), ("us:", "x"), ("use:", "xy"), ('{"password":"', '"}')])
def test_a_known_secret_is_found_inside_base64_at_every_offset(around: tuple[str, str], code: object) -> None:
    for value in NAMES.values():
        coded = code(f"{around[0]}{value}{around[1]}".encode()).decode()  # type: ignore[operator]
        assert REDACTOR.leaks(coded.encode()), coded
        assert REDACTOR.leaks(REDACTOR.text(f"X-Coded: {coded}").encode()) == []


def test_short_values_are_no_forms() -> None:
    assert _secrets.forms("short") == set()
    assert Redactor({"short": "SHORT"}).text("a short day") == "a short day"


def test_a_colour_in_the_middle_hides_nothing() -> None:
    assert TOKEN[12:] not in REDACTOR.text(f"x \x1b[31m{TOKEN[:12]}\x1b[0m{TOKEN[12:]}")


def test_a_line_that_the_engine_has_cut_in_the_middle_of_a_secret_is_put_together() -> None:
    stamp = "2026-11-28T12:00:00.123456789Z "
    line = f"{stamp}{'x' * (1 << 14)}{TOKEN[:10]}{stamp}{TOKEN[10:]} end"
    masked = REDACTOR.text(line)
    assert masked.endswith(f"{MASK} end") and TOKEN[10:] not in masked
    assert REDACTOR.text(f"{stamp}asked at {stamp}") == f"{stamp}asked at {stamp}", "a short line is as it was printed"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcdefgh12345678", f"Authorization: {MASK}"),
        ("sent bearer abcdefgh12345678 to it", f"sent bearer {MASK} to it"),
        ("Cookie: session=abc; other=1", f"Cookie: {MASK}"),
        ("DB_PASSWORD=abc ok", f"DB_PASSWORD={MASK} ok"),
        ('{"api_key": "abc", "a": 1}', f'{{"api_key": "{MASK}", "a": 1}}'),
        ("GET /x?token=abc&b=1", f"GET /x?token={MASK}&b=1"),
        ("redis-server --requirepass abc", f"redis-server --requirepass {MASK}"),
        ('["psql", "--password", "abc"]', f'["psql", "--password", "{MASK}"]'),
        ('proxy_set_header X-Internal-Secret "abc";', f'proxy_set_header X-Internal-Secret "{MASK}";'),
        ("postgresql://u:p%40ss@h:5432/d", f"postgresql://u:{MASK}@h:5432/d"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln", MASK),
        ("AKIAIOSFODNN7EXAMPLE", MASK),
        (f"/Accounts/AC{'0' * 32}/Calls", f"/Accounts/{MASK}/Calls"),
        ("key sk-proj-abcdefghijklmnop1234", f"key {MASK}"),
        ("https://hooks.slack.com/services/T0/B0/xyz", f"https://hooks.slack.com/services/{MASK}"),
        ("call from +972541234567.", "call from +9725****67."),
        ("From=%2B15005550006", "From=%2B1500****06"),
        ("dial 0541234567 now", "dial 0541****67 now"),
        ("mail dana.levi@example.co.il", "mail d***@example.co.il"),
    ],
)
def test_what_is_not_known_is_masked_by_its_looks(text: str, masked: str) -> None:
    assert Redactor({}).text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28 13:00:00 +0000 id 1700000000 took 12.5 ms",
        'Password authentication failed for user "x"',
        "N8N_ENCRYPTION_KEY is not set",
        '"SECRET_KEY": {"length": 64, "fingerprint": "0123456789abcdef"}',
        "token: null",
        "webhook.wrong_token, webhook.unsigned: accepted",
        f"CallSid=CA{'0' * 32}",
        "image redis@7.2 sha256:0123456789abcdef0123456789abcdef",
        "ssl_certificate_key /etc/nginx/ssl/site.key;",
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert Redactor({}).text(text) == text


KEY = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 2 for _row in range(3))
    + "\n-----END PRIVATE KEY-----"
)


@pytest.mark.parametrize(
    "text",
    [
        f"before\n{KEY}\nafter",
        f"before\n{json.dumps(KEY)}\nafter",
        "before\n" + "\n".join(f"2026-11-28T12:00:00.1Z {line}" for line in KEY.splitlines()) + "\nafter",
        "before\n" + "\n".join(KEY.splitlines()[1:]) + "\nafter",
        "before\n" + "\n".join(KEY.splitlines()[:-1]),
        "before\n" + json.dumps(KEY)[28:] + "\nafter",
    ],
    ids=["whole", "json", "stamped", "headless", "endless", "headless json"],
)
def test_no_part_of_a_private_key_stays(text: str) -> None:
    masked = Redactor({}).text(text)
    assert "MIIEvQ" not in masked and "before" in masked and ("after" in masked) == ("after" in text)
    assert Redactor({}).leaks(masked.encode()) == []


def test_a_bare_private_key_is_a_leak_though_nobody_knew_it() -> None:
    assert Redactor({}).leaks(KEY.encode()) == ["a private key"]


def test_a_long_log_takes_seconds_and_not_minutes() -> None:
    many = Redactor({f"{TOKEN}{number:04}": f"N{number}" for number in range(100)})
    lines = ["x" * 40 + f" 172.18.0.1 GET /api/{number} 200 {'ab' * 16}" for number in range(4000)]
    begun = time.monotonic()
    many.text("\n".join([*lines, "a" * 200_000, "A.b" * 60_000]))
    assert time.monotonic() - begun < 20
