# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grammar of environment files; tests/integration/test_env_validate.py puts the same to the real Compose."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from hypothesis import given, settings
from hypothesis import strategies as st

PIECES = ["A", "B", "=", ":", " ", "\t", "\n", "\r\n", "\ufeff", "\0", "#", " # note", "export ", "'", '"', "\\", "x"]
PIECES += ["$", "$A", "${", "}", ":-", "?", "+", "\udcff", "é", "\u2028", "[", "\\0101"]


def values(text: str) -> dict[str, str | None]:
    return {name: variable.value for name, variable in _dotenv.read(text).items()}


def surprises(text: str) -> list[tuple[str, int, str]]:
    return [(v.name, line, what) for v in _dotenv.read(text).values() for line, what in v.surprises]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment", {}),
        ("A=1\n\n  # note\n\tB = 2 \n", {"A": "1", "B": "2"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("export A=1\nexport\tB=2\nexport=3", {"A": "1", "B": "2", "export": "3"}),
        ("A: 1\nB:2\nhttp://x", {"A": "1", "B": "2", "http": "//x"}),
        ("A=\nB=1", {"A": "", "B": "1"}),
        ("A=x # note\nB=x# note\nC='x' # note\nD=\"x # y\"", {"A": "x", "B": "x# note", "C": "x", "D": "x # y"}),
        ("A= # note", {"A": "# note"}),
        ("A='x\ny'\nB=1", {"A": "x\ny", "B": "1"}),
        (r"""A='a\'b\n$X'""", {"A": r"a'b\n$X"}),
        (r'''A="a\"b\n\t\\ \$X \c"''', {"A": 'a"b\n\t\\ $X \\c'}),
        (r'A="\0101 \012 \0400 \0"', {"A": "A \\12 \\400 \\"}),
        (r"A=a\nb", {"A": r"a\nb"}),
        ("A=$$x", {"A": "$x"}),
        ("A=$1 $ $-", {"A": "$1 $ $-"}),
        ("A=1\nB=${A}2$A", {"A": "1", "B": "121"}),
        ("A=\nB=${A-x}${A:-y}${A+z}${A:+w}", {"A": "", "B": "yz"}),
        ("B=${A-x}${A:-y}${A+z}${A:+w}", {"B": "xy"}),
        ("B=${A:-${C:-{x}}}}", {"B": "{x}}"}),
        ("A=1\nB=${A:?must}", {"A": "1", "B": "1"}),
        ("A=$B\nB=2", {"A": "2", "B": "2"}),
        ("A=1\nB=$A\nA=2", {"A": "2", "B": "2"}),
        ('A="x" B=2', {"A": "x", "B": "2"}),
        ("A\nB=1", {"A": None, "B": "1"}),
    ],
)
def test_values_are_what_a_container_gets(text: str, expected: dict[str, str | None]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("A=1\nB='x", 2, "never closed"),
        ("A=1\nB=${", 2, "no reference"),
        ("A=${B:?gone}", 1, "requires is not set"),
        ("A=1\nB=${A:-${}", 2, "no reference"),
        ("A B=1", 1, "that name"),
        ("# x\n\n=1", 3, "that name"),
        ("pass word!=1", 1, "no name may have"),
        ("A=1\nB", 2, "ends after a name"),
        ('A="\\0000"', 1, "NUL"),
    ],
)
def test_what_compose_refuses_is_refused_with_its_line_and_nothing_of_its_content(
    text: str, line: int, why: str
) -> None:
    with pytest.raises(OpsError) as caught:
        _dotenv.read(text)
    assert caught.value.problem.startswith(f"Line {line}: ")
    assert why in caught.value.problem
    assert caught.value.remedy
    assert "gone" not in str(caught.value) and "pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=ab$cd", [("B", 2, _dotenv.UNSET)]),
        ('B="ab${cd}"', [("B", 1, _dotenv.UNSET)]),
        ("A= # note", [("A", 1, _dotenv.COMMENT)]),
        ("A=x\t# note", [("A", 1, _dotenv.TAB)]),
        ('A="x"y\nB=1', [("A", 1, _dotenv.TRAILING), ("y", 1, _dotenv.BARE)]),
        ("A\n", [("A", 1, _dotenv.BARE)]),
        ("A=$B\nB=2", [("A", 1, _dotenv.TWO_VIEWS)]),
    ],
)
def test_what_is_not_as_it_looks_is_told(text: str, expected: list[tuple[str, int, str]]) -> None:
    assert surprises(text) == expected


@pytest.mark.parametrize(
    "text",
    ["A=#ffffff", "A='ab$cd'", "A=ab$$cd", 'A="x" # note', "A=1\nB=$A", "A=${B:-x}", "A='x'\r\nB=1\r\n", "A: 1"],
)
def test_what_is_as_it_looks_is_no_surprise(text: str) -> None:
    assert surprises(text) == []


def test_every_line_of_a_variable_is_known() -> None:
    assert _dotenv.read("A='\n'\nB=1\n\nA=2")["A"].lines == (1, 5)


@settings(deadline=None)
@given(
    st.binary(max_size=400)
    | st.lists(st.sampled_from(PIECES), max_size=40).map(
        lambda pieces: "".join(pieces).encode("utf-8", "surrogateescape")
    )
)
def test_any_bytes_are_read_or_refused_in_words(content: bytes) -> None:
    try:
        found = _dotenv.read(content.decode("utf-8", "surrogateescape"))
    except OpsError as error:
        assert error.problem.startswith("Line ") and error.remedy
    else:
        assert all(variable.lines for variable in found.values())


@pytest.mark.parametrize("text", ["A=" + "${A:-" * 20_000, "A=" + "${A:-" * 5_000 + "}" * 5_000, "A=1\n" * 20_000])
def test_a_file_made_to_be_difficult_is_no_crash(text: str) -> None:
    try:
        _dotenv.read(text)
    except OpsError as error:
        assert error.problem.startswith("Line 1: ")


def test_any_file_is_values_or_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "env").write_bytes(b"A=\xff\xfe\nB=1\n")
    assert _dotenv.values(tmp_path / "env") == {"A": "\udcff\udcfe", "B": "1"}
    with pytest.raises(OpsError, match="cannot be read"):
        _dotenv.values(tmp_path)


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("A=1", "1"),
        ("A = x y # note", "x y"),
        ("A='x' # note", "'x'"),
        ('\ufeffA="x"\r\n', '"x"'),
        ("A=\nB=1", ""),
        ("A", None),
    ],
)
def test_where_a_value_stands_is_known(text: str, raw: str | None) -> None:
    text += "\n"
    statement = next(_dotenv.statements(text))
    found = text.removeprefix("\ufeff")[slice(*statement.span)] if statement.span else None
    assert found == raw
