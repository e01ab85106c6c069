# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of one application on this host: what each is made of, which one serves, which ones can serve again.

Layout below the state directory: ``releases/ID/release.json`` with the files that it ran with beside it
(``env``, ``compose/``, ``files/``), ``current.json`` (the one that serves), ``switch.json`` while a switch is
under way, and ``superseded.json`` while containers of an earlier release still run.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import _journal, _secrets, _store
from ._errors import OpsError


@dataclass
class Release:
    """A commit, the images built from it, and the configuration it ran with.

    Attributes:
        id: time of its making and short commit, so that names sort by age.
        commit: full commit id.
        subject: first line of the commit's message.
        made: when, UTC.
        images: ``{service: {"name": Compose's own image name, "id": image id}}``.
        config: fingerprints of what else made it (see :class:`Config`); empty until it was switched to.
        versions: of Compose and the engine that made it.
        switched: when it last began to serve, UTC; empty when never.
        verified: when it was last verified while serving, UTC; empty when never.
        adopted: true for what was found running: no release of ours could bring it back.
        schema: ids of the migrations that its database had when it was last verified; ``None`` when not known.
    """

    id: str
    commit: str
    subject: str
    made: str
    images: dict[str, dict[str, str]]
    config: dict[str, t.Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    switched: str = ""
    verified: str = ""
    adopted: bool = False
    schema: list[str] | None = None

    @classmethod
    def of(cls, content: Mapping[str, t.Any]) -> Release:
        """Read what is stored; a newer version of the collection may have written more than this one knows."""
        return cls(**{name: value for name, value in content.items() if name in cls.__dataclass_fields__})

    @property
    def eligible(self) -> bool:
        """Whether a rollback may choose it unasked: it has served and was found good, or served before we came."""
        return bool(self.verified or self.adopted)

    def told(self) -> str:
        state = f"verified {self.verified}" if self.verified else "found running" if self.adopted else "not verified"
        return f"{self.commit[:12]} ({self.subject}; {state}; release {self.id})"


@dataclass(frozen=True)
class Config:
    """Keyed fingerprints of a configuration: two are compared without either being shown.

    Attributes:
        model: of the model as Compose resolves it.
        env: of each variable of ``.env``.
        files: of the files that are mounted into services (certificates).
    """

    model: str
    env: dict[str, str]
    files: dict[str, str]

    @classmethod
    def of(cls, key: bytes, model: str, env: Mapping[str, str], files: Mapping[str, bytes]) -> Config:
        return cls(
            _secrets.fingerprint(key, model),
            {name: _secrets.fingerprint(key, value) for name, value in sorted(env.items())},
            {name: _secrets.fingerprint(key, content) for name, content in sorted(files.items())},
        )

    def differences(self, other: Mapping[str, t.Any]) -> list[str]:
        """Return what differs from a stored configuration, by name: variables, files, or the model itself."""
        found = [f"variable {name}" for name in _changed(self.env, other.get("env", {}))]
        found += [f"file {name}" for name in _changed(self.files, other.get("files", {}))]
        if self.model != other.get("model"):
            found.append("the resolved Compose model")
        return found


def _changed(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))


def new_id(commit: str) -> str:
    return f"{_journal.stamp()}-{commit[:12]}"


class Store:
    """Reads and writes the releases below one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    def path(self, release: str) -> Path:
        if "/" in release or release.startswith("."):
            raise OpsError(f"{release!r} is no release id.", self._choices())
        return self.state_dir / "releases" / release

    def all(self) -> list[Release]:
        """Return all releases, newest last."""
        files = sorted((self.state_dir / "releases").glob("*/release.json"))
        return [Release.of(_store.read_json(file) or {}) for file in files]

    def get(self, release: str) -> Release:
        content = _store.read_json(self.path(release) / "release.json")
        if content is None:
            raise OpsError(f"There is no release {release}.", self._choices())
        return Release.of(content)

    def put(self, release: Release) -> None:
        _store.write_json(self.path(release.id) / "release.json", asdict(release))

    def current(self) -> Release | None:
        """Return the release that serves, or did last."""
        content = _store.read_json(self.state_dir / "current.json")
        return None if content is None else self.get(content["release"])

    def set_current(self, release: Release) -> None:
        _store.write_json(self.state_dir / "current.json", {"release": release.id, "commit": release.commit})

    def begin_switch(self, before: Release | None, after: Release) -> None:
        """Note which switch is under way, so that a run that finds it knows where its predecessor stopped."""
        content = {"from": before.id if before else "", "to": after.id}
        _store.write_json(self.state_dir / "switch.json", content)

    def end_switch(self) -> None:
        (self.state_dir / "switch.json").unlink(missing_ok=True)

    def unfinished_switch(self) -> dict[str, str] | None:
        return t.cast("dict[str, str] | None", _store.read_json(self.state_dir / "switch.json"))

    def superseded(self) -> list[dict[str, str]]:
        """Return the containers of an earlier release that still run, each ``{id, service, why}``: their calls end there."""
        content = _store.read_json(self.state_dir / "superseded.json")
        return [] if content is None else t.cast("list[dict[str, str]]", content["containers"])

    def set_superseded(self, containers: Iterable[Mapping[str, str]]) -> None:
        """Note which containers of an earlier release still run; with none, the note goes."""
        path = self.state_dir / "superseded.json"
        rows = [dict(container) for container in containers]
        if rows:
            _store.write_json(path, {"containers": rows})
        else:
            path.unlink(missing_ok=True)

    def fallback(self) -> Release | None:
        """Return the newest release, other than the one that serves, that may serve again."""
        current = self.current()
        others = [r for r in self.all() if r.eligible and (current is None or r.commit != current.commit)]
        return max(others, key=lambda r: (r.switched, r.id), default=None)

    def earlier(self, left: Mapping[str, str]) -> Release | None:
        """Return the last release that served well before the one that serves, and was not left by a rollback since.

        After a rollback that is a still earlier one, and never the one that was rolled back from.
        """
        current = self.current()
        others = [r for r in self.all() if r.eligible and current is not None and r.commit != current.commit]
        here = [r for r in others if left.get(r.commit, "") < r.switched]
        return max(here, key=lambda r: (r.switched, r.id), default=None)

    def find(self, commit: str = "", release: str = "", left: Mapping[str, str] | None = None) -> Release:
        """Return the release that a rollback asks for.

        Args:
            commit: a full id or the beginning of one: the eligible release of that commit that served last.
            release: a release id; eligible or not.
            left: for when neither is given, the commits that were left by a rollback, and when.
        """
        if release:
            return self.get(release)
        if not commit:
            found = self.earlier(left or {})
            if found is None:
                raise OpsError("There is no earlier release to go back to.", self._choices())
            return found
        matching = [r for r in self.all() if r.commit.startswith(commit.lower()) and r.eligible]
        if not matching:
            raise OpsError(f"No verified release of commit {commit} is kept on this host.", self._choices())
        if len({r.commit for r in matching}) > 1:
            raise OpsError(f"{commit} is ambiguous: {', '.join(sorted({r.commit[:12] for r in matching}))}.", "Give more digits.")
        return max(matching, key=lambda r: (r.switched, r.id))

    def _choices(self) -> str:
        eligible = [r for r in reversed(self.all()) if r.eligible]
        if not eligible:
            return "Nothing can be gone back to yet: no release was verified on this host."
        return "It can go back to: " + "; ".join(r.told() for r in eligible[:10])

    def keep_files(self, release: Release, files: Mapping[str, bytes]) -> None:
        """Keep the files that a release runs with beside it (mode 0600)."""
        for name, content in files.items():
            _store.write_whole(self.path(release.id) / name, content)
