# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every secret that can be known on a host: what must not leave it, by a name that may.

Each place fails alone, and it is told which one did: what was not known is masked by its looks only.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import re
import typing as t
import urllib.parse
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import _dotenv
from ._errors import OpsError
from ._secrets import MIN_LENGTH

_LARGEST_FILE = 1 << 20
_FRAME = "-----"  # of a key, the same in all of them
_PLAIN_URL = re.compile(r"https?://[^?#@]*")  # in a file with keys: where they are used, not what they are


@dataclass
class Known:
    """What is secret.

    Attributes:
        plain: patterns of the variables whose values are no secrets. Of a URL the password is one, whatever its name.
        public: words that everybody knows (the project, its services, the host), and that no secret can be.
        names: where each secret is from, by the secret.
        same: variables whose values are public words.
        problems: what could not be read.
    """

    plain: Sequence[str]
    public: Collection[str] = ()
    names: dict[str, str] = field(default_factory=dict)
    same: set[str] = field(default_factory=set)
    problems: list[OpsError] = field(default_factory=list)

    def add(self, name: str, value: str) -> None:
        """Take a value that is secret, whatever its name, with all that would give it away."""
        for part in _parts(value):
            if part.lower() in {word.lower() for word in self.public}:
                self.same.add(name)
            elif len(part) >= MIN_LENGTH:
                self.names.setdefault(part, name)

    def variables(self, values: Mapping[str, str | None]) -> None:
        """Take the values of variables but for those that are plain."""
        for name, value in values.items():
            if value and not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.plain):
                self.add(name, value)
            elif value:
                for password in _passwords(value):
                    self.add(name, password)

    def env_file(self, path: Path) -> None:
        """Take the variables of an environment file; of one that is damaged, whatever looks like a value."""
        try:
            self.variables(_dotenv.values(path))
        except OpsError as error:
            self.problems.append(error)
        try:
            lines = path.read_bytes().decode("utf-8", "surrogateescape").splitlines()
        except OSError:
            return  # said above
        pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
        # Its own quotes and comments may be read in another way by whoever prints it.
        for name, _equals, value in pairs:
            bare = value.strip()
            for form in (bare, bare.strip("'\""), bare.partition(" #")[0].strip().strip("'\"")):
                self.variables({name.strip().removeprefix("export ").strip(): form})

    def files(self, patterns: Iterable[str]) -> None:
        """Take what stands in files of keys and tokens: the strings of JSON, else the lines."""
        for path in (Path(found) for pattern in patterns for found in sorted(glob.glob(pattern))):
            try:
                with path.open(encoding="utf-8", errors="surrogateescape") as stream:
                    text = stream.read(_LARGEST_FILE)
            except IsADirectoryError:
                continue
            except OSError as error:
                problem = f"{path} cannot be read ({error.strerror}): what is in it is masked by its looks alone."
                self.problems.append(OpsError(problem, "Run it with become: true."))
                continue
            for value in _strings(text):
                self.add(path.name, value)

    def field_of(self, path: Path, name: str) -> None:
        """Take one field of a JSON file, which may not be there yet."""
        try:
            value = json.loads(path.read_text(encoding="utf-8")).get(name)
        except (OSError, ValueError, AttributeError):
            return
        self.add(name, str(value or ""))


def _parts(value: str) -> Iterator[str]:
    """Yield a value, its lines, and the password of a URL, as it is written and as it is meant."""
    yield value
    yield from (line.strip() for line in value.replace("\\n", "\n").splitlines() if not line.strip().startswith(_FRAME))
    yield from _passwords(value)


def _passwords(value: str) -> Iterator[str]:
    try:
        password = urllib.parse.urlsplit(value).password or ""
    except ValueError:
        return
    yield from (password, urllib.parse.unquote(password))


def _strings(text: str) -> Iterator[str]:
    try:
        found = json.loads(text)
    except ValueError:
        # A line of NAME=value (a file of credentials) is a value, too.
        for line in text.splitlines():
            yield from (line.strip(), line.partition("=")[2].strip()) if not line.startswith(_FRAME) else ()
        return
    for leaf in _leaves(found):
        if not _PLAIN_URL.fullmatch(leaf):
            yield leaf


def _leaves(found: t.Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, Mapping):
        for one in found.values():
            yield from _leaves(one)
    elif isinstance(found, list):
        for one in found:
            yield from _leaves(one)
