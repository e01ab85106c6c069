# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of environment files against the real Compose, on files made by hand and at random."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _dotenv
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("A", "B", "C")
FILES = int(os.environ.get("ENV_FILES", "300"))
SOAK_FILES = int(os.environ.get("ENV_SOAK_FILES", "5000"))
SEED = int(os.environ.get("ENV_SEED", "20260123"))
INSTALLED = ("docker", "compose")

# Pieces of values, and of whatever else may stand in such a file; Python and Go disagree about \x1c, \u017f, \u212a.
# The \udc are bytes that are no UTF-8.
PIECES = [
    *("x", "yz", "1", "é", "-", ".", "[", "@", "/", "%", "{", "}", "}", "#", " #", " # note", "\t#"),
    *(":", "=", "'", '"'),
    *(
        " ",
        "  ",
        "\t",
        "\v",
        "\r",
        "\xa0",
        "\x85",
        "\u2003",
        "\x1c",
        "\ufeff",
        "\u017f",
        "\u212a",
        "\udcff",
        "\udce2\udc82",
    ),
    *("\\", "\\n", "\\t", '\\"', "\\'", "\\$", "\\\\", "\\0101", "\\012", "\\0400", "\\a", "\\c"),
    *("$", "$$", "$A", "${B}", "${C:-x}", "${A-y}", "${B:+z}", "${A+w}", "${C:-${A}}", "${C:-{}}", "${A:-b}c}"),
    *("${K:-q?z}", "${C-}", "$\u017f", "${A:-${B:+$C}}"),
]
RARE = ["${", "${A?}", "${C:?m}", "${A:-${}", "\n", "export ", "export\t", "\r\n", "A", "A=", "B=", "="]
BY_HAND = [
    "A",
    "A=1\nA",
    "A= # note\nB=x\t# note",
    "A='x\ny' # z\nB=1",
    'A="x\ny $B\n"\nB=1',
    "A='x\r\ny'\r\nB=1",
    'A="x"y\nB=1',
    'A="x" B=2',
    "A: 1\r\nexport B=2\r\n",
    "A: 'x'\nB:y\nC : z",
    "A=$B\nB=2",
    "A=1\nB=$A\nA=2",
    "A=1\nA=2\nA=",
    "A=1\nB=${A}\nA: 3\nexport A=4",
    "\ufeffA=1",
    "\ufeff# note\r\nA=1\r\n",
    "A=1\n\ufeffB=2",
    "A=${B:-${C:-x}y}z\nC=1",
    "A=${B-${C-{}}}\nB=${A:+${C:-q}}",
    "A=${B:-x",
    "A=ab$cd\nB='ab$cd'\nC=ab$$cd",
    'A="\\0000"',
    "A=\udcff\nB='\udce2\udc82'",
    "A B=1",
    "=1",
    "export\nA=1",
    "export  ",
    "export A\nB=1",
    "# only a comment",
]


def random_file(chance: random.Random) -> str:
    """Most are lines of the usual shape with strange values, some are anything at all."""
    if chance.random() < 0.2:
        return "".join(chance.choices(PIECES + RARE * 4, k=chance.randint(1, 12)))
    lines = []
    for _each in range(chance.randint(1, 4)):
        quote = chance.choice(["", "", '"', "'"])
        body = "".join(chance.choices(PIECES * 12 + RARE, k=chance.randint(0, 6)))
        if quote and chance.random() < 0.9:
            body = body.replace(quote, "").rstrip("\\")
        lines.append(chance.choice(NAMES) + chance.choice(["=", "=", ": ", " = "]) + quote + body + quote)
    return "\n".join(lines) + chance.choice(["", "\n"])


Views = tuple[dict[str, str], dict[str, str]]


def seen_by_compose(program: Sequence[str], text: str, directory: Path) -> Views | None:
    """Return what a container gets by env_file, and what ${A} is in a Compose file; None when it is refused.

    Compose 2.40 takes a value without a name, and one with a NUL; then it is the engine that refuses the container.
    """
    directory.mkdir()
    (directory / ".env").write_bytes(text.encode("utf-8", "surrogateescape"))
    asked = {name: f"${{{name}-(unset)}}" for name in NAMES}
    services = {"file": {"image": "x", "env_file": ".env"}, "model": {"image": "x", "environment": asked}}
    (directory / "compose.yml").write_text(json.dumps({"services": services}), encoding="utf-8")
    argv = [*program, "-p", "opstest-env", "-f", "compose.yml", "config", "--format", "json"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ}
    done = subprocess.run(argv, cwd=directory, env=environment, capture_output=True, timeout=60, check=False)
    if done.returncode:
        assert re.search(rb"\.env|setenv", done.stderr), f"it is not the file that was refused: {done.stderr!r}"
        return None
    model = json.loads(done.stdout.decode("utf-8"))["services"]
    views = [{k: v.replace("$$", "$") for k, v in (model[name].get("environment") or {}).items()} for name in services]
    if "" in views[0] or any("\0" in value for value in views[0].values()):
        return None
    return views[0], {name: value for name, value in views[1].items() if value != "(unset)"}


def seen_by_us(text: str) -> Views | None:
    try:
        container = {name: told(v.value) for name, v in _dotenv.read(text).items() if v.value is not None}
        own = {s.name: told(s.value) for s in _dotenv.statements(text) if s.name in NAMES and s.value is not None}
    except OpsError:
        return None
    return container, own


def told(value: str) -> str:
    """Return a value as Go writes it as JSON: a mark for each byte that is no UTF-8."""
    return re.sub("[\udc80-\udcff]", "\ufffd", value)


def agree(program: Sequence[str], files: int, directory: Path) -> None:
    """Put the same files to Compose and to us; say how it went, and fail with the files on which they disagree."""
    chance = random.Random(SEED)
    texts = [*BY_HAND, *(random_file(chance) for _each in range(files))]
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        places = (directory / str(number) for number in range(len(texts)))
        theirs = list(pool.map(lambda text, place: seen_by_compose(program, text, place), texts, places))
    disagreed = [(text, view, seen_by_us(text)) for text, view in zip(texts, theirs) if seen_by_us(text) != view]
    read = sum(view is not None for view in theirs)
    version = subprocess.run(
        [*program, "version", "--short"], capture_output=True, text=True, check=True
    ).stdout.strip()
    print(
        f"Compose {version}: {len(texts)} files, {read} of them read and the others refused, {len(disagreed)} disagreements,"
        f" {time.monotonic() - began:.0f} s (ENV_SEED={SEED})"
    )
    assert disagreed == []
    assert len(texts) / 4 < read < len(texts), "files of both sorts are needed for this to prove anything"


def test_files_are_read_as_the_installed_compose_reads_them(tmp_path: Path) -> None:
    agree(INSTALLED, FILES, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_thousands_of_files_are_read_as_each_compose_reads_them(suite: str, tmp_path: Path) -> None:
    """The Compose of Debian 13, and the newest that can be had."""
    fetched = subprocess.run(
        [str(ROOT / "tests/lib/compose_of"), suite], capture_output=True, text=True, timeout=600, check=False
    )
    if fetched.returncode == 3:
        pytest.skip(fetched.stderr.strip().splitlines()[-1])
    assert fetched.returncode == 0, fetched.stderr
    agree([fetched.stdout.strip()], SOAK_FILES, tmp_path)
