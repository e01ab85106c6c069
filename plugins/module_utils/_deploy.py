# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application on one host as the release modules see it: checkout, Compose project, configuration, store.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from . import _dotenv, _images, _secrets
from ._compose import COMPOSE_OPTIONS, Compose, Execute, Project, image_name
from ._errors import OpsError
from ._git import Git
from ._release import Config, Release, Store

Model = dict[str, t.Any]

RELEASE_OPTIONS: dict[str, t.Any] = {
    **COMPOSE_OPTIONS,
    "env_file": {"type": "str", "default": ".env"},
    "mounted_files": {"type": "list", "elements": "str", "default": []},
    "remote": {"type": "str", "default": "origin"},
}


class Application:
    """One application on this host."""

    def __init__(self, params: Mapping[str, t.Any], execute: Execute, check_mode: bool = False) -> None:
        self.execute = execute
        self.state_dir = Path(params["state_dir"])
        self.store = Store(self.state_dir)
        self.project = Project.of(params)
        self._models: dict[tuple[bytes, ...], Model] = {}
        self.git = Git(self.project.directory, execute, params["remote"])
        self._env_file = params["env_file"]
        self._mounted = params["mounted_files"]
        self._key = _secrets.host_key(self.state_dir, keep=not check_mode)

    def compose(self) -> Compose:
        return Compose(self.project, self.execute)

    def model(self) -> Model:
        """Return the resolved model of the project directory as it is now."""
        return self.ask_once(self.sources(), lambda: self.compose().model())

    def sources(self, directory: Path | None = None) -> list[Path]:
        """Return today's environment file and the Compose files, those of the project directory or of another one."""
        return [self.env_path(), *((directory or self.project.directory) / name for name in self.project.files)]

    def ask_once(self, sources: Sequence[Path], ask: Callable[[], Model]) -> Model:
        """Return the model that these files give in the project directory, asked for unless it was for the same content.

        Compose takes long to start where a host is busy. Whoever changes what else a model may be made from, such as another
        file of the checkout, calls :meth:`forget`.
        """
        try:
            content = tuple(path.read_bytes() for path in sources)
        except OSError:  # Compose says which one is missing
            return ask()
        if content not in self._models:
            self._models[content] = ask()
        return self._models[content]

    def forget(self) -> None:
        self._models.clear()

    def worktree(self, commit: str) -> Path:
        return self.state_dir / "worktrees" / commit[:12]

    def env_path(self) -> Path:
        path = self.project.directory / self._env_file
        if not path.is_file():
            raise OpsError(f"{path} does not exist.", f"cp {path}.example {path} and fill it in.")
        return path

    def secrets(self) -> set[str]:
        """Return the values that must never be shown."""
        return set(_dotenv.values(self.env_path()).values())

    def config(self) -> Config:
        """Fingerprint the configuration as it is in the project directory now."""
        canonical = json.dumps(self.model(), sort_keys=True)
        return Config.of(self._key, canonical, _dotenv.values(self.env_path()), self.mounted_files())

    def mounted_files(self) -> dict[str, bytes]:
        """Return the content of the mounted files that exist."""
        paths = {name: self.project.directory / name for name in self._mounted}
        return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}

    def files_to_keep(self) -> dict[str, bytes]:
        """Return what a release keeps beside it: its ``.env``, Compose files and mounted files."""
        kept = {"env": self.env_path().read_bytes()}
        kept.update({f"compose/{name}": (self.project.directory / name).read_bytes() for name in self.project.files})
        kept.update({f"files/{name}": content for name, content in self.mounted_files().items()})
        return kept

    def image_names(self, model: Mapping[str, t.Any]) -> dict[str, str]:
        """Return the image name of every service of a model."""
        return {
            name: image_name(self.project.name, name, service) for name, service in sorted(model["services"].items())
        }

    def missing_images(self, release: Release) -> list[str]:
        """Return the services whose image is not on this host any more."""
        present = _images.image_ids(self.execute, {image["id"] for image in release.images.values()})
        return sorted(name for name, image in release.images.items() if image["id"] not in present)
