# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types, schema, rules and the file itself; and no value of the file in anything that is said."""

from __future__ import annotations

import secrets
import typing as t
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv, _env_file, _env_rules, _env_types
from ansible_collections.prosaas.ops.plugins.module_utils._check import FAIL, PASS, SKIP, WARN, Check, Report
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
DSN = "postgresql://u:p@db.test:5432/app"

GOOD = [
    ("string", "x", {}),
    ("string", "AC12", {"pattern": "AC[0-9]+"}),
    ("int", "15", {"min": 1, "max": 15}),
    ("exact", "1", {"value": 1}),
    ("enum", "b", {"values": ["a", "b"]}),
    ("host", "db-1.example.test", {}),
    ("port", "5432", {}),
    ("phone", "+15005550006", {}),
    ("email", "ops@example.test", {}),
    ("url", "https://a.test/x?y", {}),
    ("url", "http://baileys:3300", {"schemes": ["http"]}),
    ("url", "a.test", {"bare": True}),
    ("url", "https://id.r2.test/", {"suffix": ".r2.test", "path": False}),
    ("prefix", "sk-0123456789", {"prefix": "sk-", "min_length": 10}),
    ("postgres_dsn", DSN, {}),
    ("postgres_dsn", DSN + "?sslmode=verify-full", {"sslmodes": ["require", "verify-full"]}),
    ("secret", HEX, {}),
    ("secret", HEX[:16], {"min_length": 16, "min_bits": 40}),
    ("fernet", "PbGIM2gRSIn3ZuXhVJCmHYxlAV0rEOhZBwU1xWkMZqo=", {}),
    ("fernet", "-_" * 21 + "8=", {}),
]
BAD = [
    ("string", "AC12x", {"pattern": "AC[0-9]+"}),
    ("int", "15x", {}),
    ("int", "", {}),
    ("int", "0", {"min": 1}),
    ("int", "16", {"max": 15}),
    ("int", "9" * 5000, {}),
    ("exact", "true", {"value": "1"}),
    ("enum", "c", {"values": ["a", "b"]}),
    ("host", "https://db.test", {}),
    ("host", "db.test:5432", {}),
    ("host", "-db.test", {}),
    ("port", "65536", {}),
    ("phone", "15005550006", {}),
    ("phone", "+0123456789", {}),
    ("email", "ops", {}),
    ("url", "http://a.test", {}),
    ("url", "a.test", {}),
    ("url", "https:///path", {}),
    ("url", "https://a.test:x", {}),
    ("url", "https://user:pw@a.test", {}),
    ("url", "https://a b.test", {}),
    ("url", "https://id.other.test", {"suffix": ".r2.test"}),
    ("url", "https://a.test/x", {"path": False}),
    ("prefix", "pk-0123456789", {"prefix": "sk-"}),
    ("prefix", "sk-0", {"prefix": "sk-", "min_length": 10}),
    ("postgres_dsn", "sqlite:///app.db", {}),
    ("postgres_dsn", "postgresql://db.test/app", {}),
    ("postgres_dsn", "postgresql://u:p@db.test:5432/", {}),
    ("postgres_dsn", "postgresql://u:p/w@db.test:5432/app", {}),
    ("postgres_dsn", "postgresql://u:p#w@db.test:5432/app", {}),
    ("postgres_dsn", DSN, {"sslmodes": ["require"]}),
    ("postgres_dsn", DSN + "?sslmode=prefer", {"sslmodes": ["require"]}),
    ("secret", HEX[:31], {}),
    ("secret", "a" * 64, {}),
    ("secret", "1234567890" * 5, {}),
    ("fernet", HEX, {}),
    ("fernet", "PbGIM2gRSIn3ZuXhVJCmHYxlAV0rEOhZBwU1xWkM", {}),
    ("fernet", "é" * 44, {}),
    ("fernet", "PbGIM2gRSIn3ZuXhVJCmHYxlAV0rEOhZBwU1xWkMZq!=", {}),
]


@pytest.mark.parametrize(("kind", "value", "parameters"), GOOD)
def test_a_good_value_has_nothing_wrong(kind: str, value: str, parameters: dict[str, t.Any]) -> None:
    assert _env_types.TYPES[kind](value, **parameters) == ""


@pytest.mark.parametrize(("kind", "value", "parameters"), BAD)
def test_a_bad_value_is_told_without_showing_it(kind: str, value: str, parameters: dict[str, t.Any]) -> None:
    wrong = _env_types.TYPES[kind](value, **parameters)
    assert wrong
    assert len(value) < 6 or value not in wrong


def test_random_secrets_of_every_usual_making_pass() -> None:
    for make in (secrets.token_hex, secrets.token_urlsafe):
        assert all(_env_types.secret(make(32)) == "" for _each in range(200))
        assert all(_env_types.secret(make(16), min_length=16, min_bits=40) == "" for _each in range(200))


def judged(text: str, schema: dict[str, t.Any] | None = None, rules: t.Sequence[t.Any] = (), **more: t.Any) -> t.Any:
    """Return the checks of a file by their ids."""
    schema = schema or {}
    _env_rules.refuse_mistakes(schema, rules, more.get("placeholders", ()))
    env = _env_rules.Environment(schema=schema, variables=_dotenv.read(text), **more)
    return {check.id: check for check in _env_rules.checks(env, rules)}


@pytest.mark.parametrize(
    ("text", "entry", "status", "evidence"),
    [
        ("", {"required": True}, FAIL, "is not set, required"),
        ("A=", {"required": True}, FAIL, "is empty, required"),
        ("A= \nB=2", {"required_when": {"B": "2"}}, FAIL, "is empty, required when B is 2"),
        ("B=1", {"required_when": {"B": "2"}}, SKIP, "not set"),
        ("B=1", {"required_with": ["B", "C"]}, FAIL, "is not set, required with B"),
        ("C=", {"required_with": ["B", "C"]}, SKIP, "not set"),
        ("", {"default": "it takes 50"}, PASS, "not set: it takes 50"),
        ("B=1\nA=x", {"type": "int"}, FAIL, "line 2: expected a whole number"),
        ("A=x", {"type": "int", "severity": "warn"}, WARN, "line 1: expected a whole number"),
        ("A=x", {"type": "int", "ignored": "so"}, WARN, "line 1: expected a whole number; the application does not"),
        ("A=1", {"type": "int", "ignored": "so"}, PASS, "line 1, length 1; the application does not read it: so"),
        ("A=your-key", {"ignored": "so"}, FAIL, "line 1: it is still a placeholder"),
        ("A=abc", {"required": True}, PASS, "line 1, length 3"),
    ],
)
def test_a_variable_is_judged_by_its_entry(text: str, entry: dict[str, t.Any], status: str, evidence: str) -> None:
    check = judged(text, {"A": entry}, placeholders=["^YOUR-"])["env.a"]
    assert (check.status, check.evidence[: len(evidence)]) == (status, evidence)
    assert bool(check.remedy) == (status in (FAIL, WARN))


def test_a_secret_with_the_value_of_the_template_fails() -> None:
    check = judged(f"A={HEX}", {"A": {"type": "secret"}}, example={"A": HEX})["env.a"]
    assert check.status == FAIL and "template" in check.evidence


URLS = {"variables": ["U"], "scheme": "S", "host": "H"}


@pytest.mark.parametrize(
    ("rule", "text", "status"),
    [
        ({"kind": "same_host", "variables": ["A", "B"]}, "A=https://x.test\nB=x.test", PASS),
        ({"kind": "same_host", "variables": ["A", "B"]}, "A=https://x.test\nB=y.test", FAIL),
        ({"kind": "same_host", "variables": ["A"], "domain": True}, "A=https://D.test/", PASS),
        ({"kind": "same_host", "variables": ["A", "B"], "domain": True}, "A=https://x.test\nB=x.test", FAIL),
        ({"kind": "same_host", "variables": ["A", "B"]}, "", SKIP),
        ({"kind": "within_domain", "variables": ["A"]}, "A=n8n.d.test", PASS),
        ({"kind": "within_domain", "variables": ["A"]}, "A=me@d.test", PASS),
        ({"kind": "within_domain", "variables": ["A"]}, "A=bad.test", FAIL),
        ({"kind": "within_domain", "variables": ["A"], "severity": "warn"}, "A=d.test.evil", WARN),
        ({"kind": "url_matches", **URLS}, "S=https\nH=n.test\nU=https://n.test/x", PASS),
        ({"kind": "url_matches", **URLS}, "S=https\nH=n.test\nU=http://n.test", FAIL),
        ({"kind": "url_matches", **URLS}, "S=https\nH=n.test\nU=https://m.test", FAIL),
        ({"kind": "url_matches", **URLS}, "S=https\nU=https://m.test", PASS),
        ({"kind": "first_label", "variables": ["A"], "equals": "I"}, "A=https://ab.r2.test\nI=AB", PASS),
        ({"kind": "first_label", "variables": ["A"], "equals": "I"}, "A=https://ac.r2.test\nI=ab", FAIL),
        ({"kind": "lacks", "variables": ["A"], "text": "pooler"}, "A=postgresql://pooler:p@db.test/x", PASS),
        ({"kind": "lacks", "variables": ["A"], "text": "pooler"}, "A=postgresql://u:p@x.pooler.test/x", FAIL),
        ({"kind": "at_most", "variables": ["A", "B"]}, "A=9\nB=10", PASS),
        ({"kind": "at_most", "variables": ["A", "B"]}, "A=10\nB=9", FAIL),
        ({"kind": "at_most", "variables": ["A", "B"]}, "A=10", PASS),
        ({"kind": "at_most", "variables": ["A", "B"], "defaults": {"B": 9}}, "A=10", FAIL),
        ({"kind": "at_most", "variables": ["A", "B"], "defaults": {"B": 9}}, "A=10\nB=10", PASS),
        ({"kind": "implies", "when": {"A": 1}, "then": {"B": "https://.+"}}, "A=1\nB=https://x", PASS),
        ({"kind": "implies", "when": {"A": 1}, "then": {"B": "https://.+"}}, "A=1\nB=http://x", FAIL),
        ({"kind": "implies", "when": {"A": 1}, "then": {"B": "https://.+"}}, "A=0\nB=http://x", PASS),
        ({"kind": "implies", "when": {"A": 1}, "then": {"B": "https://.+"}}, "A=1", PASS),
        ({"kind": "different", "types": [], "variables": ["A", "B"]}, "A=x\nB=y", PASS),
        ({"kind": "different", "types": [], "variables": ["A", "B", "C"]}, "A=x\nB=y\nC=x", FAIL),
    ],
)
def test_a_rule_holds_or_not(rule: dict[str, t.Any], text: str, status: str) -> None:
    check = judged(text, rules=[{"id": "r", **rule}], domain="d.test")["env.rule.r"]
    assert check.status == status
    assert bool(check.remedy) == (status in (FAIL, WARN))


def test_secrets_are_compared_by_type_and_named_without_their_value() -> None:
    schema = {name: {"type": "secret"} for name in "ABC"}
    rule = {"id": "r", "kind": "different", "types": ["secret"]}
    check = judged(f"A={HEX}\nB={HEX[::-1]}\nC={HEX}", schema, [rule])["env.rule.r"]
    assert (check.status, check.evidence) == (FAIL, "A (line 1) and C (line 3): the same value")
    placeholders = judged("A=your-key\nB=your-key", schema, [rule], placeholders=["your-"])
    assert (placeholders["env.rule.r"].status, placeholders["env.a"].status) == (PASS, FAIL)


def test_the_file_as_a_whole() -> None:
    schema = {"SECRET_KEY": {}, "OTHER": {}}
    checks = judged("SECRETKEY=1\nOTHER=1\nX=your-key\nOTHER=$gone", schema, placeholders=["your-"])
    status = {name: checks[f"env.{name}"].status for name in ("unknown", "placeholders", "duplicates", "syntax")}
    assert status == {"unknown": WARN, "placeholders": FAIL, "duplicates": FAIL, "syntax": FAIL}
    assert "SECRET_KEY" in checks["env.unknown"].evidence
    assert "lines 2, 4" in checks["env.duplicates"].evidence
    assert "gone" not in checks["env.syntax"].evidence.split(": ")[0]


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ({}, WARN),
        ({"required": True}, FAIL),
        ({"required": True, "ignored": "so"}, WARN),
        ({"required_with": ["B"]}, FAIL),
    ],
)
def test_a_misspelt_name_of_what_must_be_set_fails(entry: dict[str, t.Any], status: str) -> None:
    check = judged("SECRETKEY=1\nB=1", {"SECRET_KEY": entry, "B": {}})["env.unknown"]
    assert (check.status, "SECRETKEY (line 1) is probably SECRET_KEY" in check.evidence) == (status, True)
    assert check.remedy


def test_a_name_of_the_template_is_not_taken_for_misspelt() -> None:
    check = judged("SECRETKEY=1", {"SECRET_KEY": {}}, example={"SECRETKEY": ""})["env.unknown"]
    assert check.status == PASS


def test_an_entry_is_changed_added_and_left_out_without_copying_the_rest() -> None:
    base = {"A": {"type": "int", "required": True}, "B": {"required": True}}
    extra = {"A": {"required": False}, "B": {"enabled": False}, "C": {"type": "host"}}
    assert _env_rules.merged(base, extra) == {"A": {"type": "int", "required": False}, "C": {"type": "host"}}
    rules = _env_rules.merged_rules([{"id": "a", "kind": "lacks"}], [{"id": "a", "severity": "warn"}, {"id": "b"}])
    assert rules == [{"id": "a", "kind": "lacks", "severity": "warn"}, {"id": "b"}]


@pytest.mark.parametrize(
    ("schema", "rules", "named"),
    [
        ({"A": {"type": "number"}}, [], "number"),
        ({"A": {"type": "int", "minimum": 1}}, [], "minimum"),
        ({"A": {"type": "int", "min": "1"}}, [], "min"),
        ({"A": {"type": "enum", "values": "ab"}}, [], "values"),
        ({"A": {"type": "exact"}}, [], "value"),
        ({"A": {"severity": "bad"}}, [], "bad"),
        ({"A": {"pattern": "("}}, [], "regular expression"),
        ({}, [{"id": "r", "kind": "same"}], "same"),
        ({}, [{"id": "r", "kind": "lacks", "variables": ["A"]}], "text"),
        ({}, [{"id": "r", "kind": "implies", "when": "A", "then": {}}], "when"),
        ({}, [{"id": "r", "kind": "implies", "when": {}, "then": {"A": "("}}], "regular expression"),
    ],
)
def test_data_that_is_not_understood_is_refused(schema: dict[str, t.Any], rules: list[t.Any], named: str) -> None:
    with pytest.raises(OpsError, match=named):
        _env_rules.refuse_mistakes(schema, rules, [])


def examined(path: Path, **schema: t.Any) -> Report:
    return _env_file.examine(path, path.with_name("example"), _env_rules.Environment(schema=schema), [])


def only(report: Report) -> Check:
    assert len(report.checks) == 1, report.checks
    return report.checks[0]


def test_a_missing_file_is_one_failure_with_the_command_that_makes_it(tmp_path: Path) -> None:
    check = only(examined(tmp_path / ".env", A={"required": True}))
    assert (check.id, check.status) == ("env.file", FAIL)
    assert check.remedy.startswith(f"cp {tmp_path}/example {tmp_path}/.env")
    assert "does not exist" in only(examined(tmp_path / "nowhere/.env")).evidence
    (tmp_path / ".env").mkdir()
    assert "is no file" in only(examined(tmp_path / ".env")).evidence


def test_a_file_that_others_can_read_fails(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1", encoding="utf-8")
    path.chmod(0o640)
    assert (examined(path).checks[0].status, examined(path).checks[0].remedy) == (FAIL, f"chmod 600 {path}")
    path.chmod(0o600)
    assert examined(path).checks[0].status == PASS


def test_a_file_that_compose_refuses_shows_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f'A="{HEX}', encoding="utf-8")
    path.chmod(0o600)
    checks = examined(path).checks
    assert [(check.id, check.status) for check in checks] == [("env.file", PASS), ("env.syntax", FAIL)]
    assert "Line 1" in checks[1].evidence and HEX[:8] not in repr(checks)


def test_private_values_are_hidden_and_those_of_the_template_are_not(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"KEY=k1\nURL=https://a.test\nDB=" + DSN.encode() + b"\nOTHER=o1\nMODE=production\nRAW=\xff1\n")
    path.with_name("example").write_text("MODE=production\nKEY=changed", encoding="utf-8")
    report = examined(path, KEY={"type": "secret"}, URL={"type": "url"}, DB={"type": "postgres_dsn"})
    assert report.secrets == {"k1", DSN, "p", "o1", "\ufffd1"}
