# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container can read of the host: its mounts, its symbolic links, its user, its capabilities.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import os
import shlex
import stat
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ._errors import OpsError, Unreachable

LINKS = 40  # the kernel's own limit
OVERRIDES = {"DAC_OVERRIDE", "DAC_READ_SEARCH"}


class Mount(t.NamedTuple):
    """A path of the host, links in it followed, and where the container sees it."""

    source: Path
    target: PurePosixPath


@dataclass(frozen=True)
class Reader:
    """Who reads in a container, and what of the host is there to read.

    Attributes:
        user: user id; None where the image gives a name, which only a container of it can tell the number of.
        groups: group ids.
        overrides: whether it may read in spite of owner and mode, which a root without capabilities may not.
    """

    user: int | None
    groups: frozenset[int]
    overrides: bool
    mounts: tuple[Mount, ...]

    def told(self) -> str:
        who = "a user that only the image knows" if self.user is None else f"user {self.user}"
        return who + ("" if self.overrides or self.user else " without the capability to override permissions")


class Obstacle(t.NamedTuple):
    """What keeps a reader from a file, and what takes it away."""

    said: str
    mend: str


def of_model(service: Mapping[str, t.Any], image_user: str) -> Reader:
    """Return the reader that the resolved model describes; ``image_user`` counts where the model names no user."""
    mounts = [
        Mount(_real(mount["source"]), PurePosixPath(mount["target"]))
        for mount in service.get("volumes") or []
        if mount.get("type") == "bind"
    ]
    given = service.get("cap_add") or [], service.get("cap_drop") or [], bool(service.get("privileged"))
    return _reader(str(service.get("user") or image_user), *given, service.get("group_add") or [], mounts)


def of_container(inspected: Mapping[str, t.Any]) -> Reader:
    """Return the same of a container, as the engine describes it."""
    config = inspected["HostConfig"]
    mounts = [
        Mount(_real(mount["Source"]), PurePosixPath(mount["Destination"]))
        for mount in inspected.get("Mounts") or []
        if mount.get("Type") == "bind"
    ]
    given = config.get("CapAdd") or [], config.get("CapDrop") or [], bool(config.get("Privileged"))
    return _reader(str(inspected["Config"].get("User") or ""), *given, config.get("GroupAdd") or [], mounts)


def _reader(
    user: str, add: Iterable[str], drop: Iterable[str], privileged: bool, groups: Iterable[t.Any], mounts: list[Mount]
) -> Reader:
    name, _colon, group = user.partition(":")
    number = 0 if name in ("", "root") else int(name) if name.isdigit() else None
    own = {int(group)} if group.isdigit() else {0} if group in ("", "root") else set()
    more = {int(one) for one in groups if str(one).isdigit()}
    overrides = number == 0 and (privileged or _overrides(_names(add), _names(drop)))
    return Reader(number, frozenset(own | more), overrides, tuple(sorted(mounts)))


def _overrides(add: set[str], drop: set[str]) -> bool:
    """The engine gives DAC_OVERRIDE by itself; what is added counts for more than what is dropped."""
    if add & (OVERRIDES | {"ALL"}):
        return True
    return not drop & {"ALL", "DAC_OVERRIDE"}


def _names(capabilities: Iterable[str]) -> set[str]:
    return {name.upper()[4:] if name.upper().startswith("CAP_") else name.upper() for name in capabilities}


def _real(path: str) -> Path:
    return Path(os.path.realpath(path))


def inside(path: Path, mounts: Sequence[Mount]) -> PurePosixPath | None:
    """Return where a container sees a path of the host; None when no mount shows it."""
    here = _real(str(path.parent)) / path.name
    for mount in sorted(mounts, key=lambda one: len(one.source.parts), reverse=True):
        if mount.source in (here, *here.parents):
            return mount.target / here.relative_to(mount.source)
        if mount.source == _real(str(path)):  # the file itself is mounted, by another of its names
            return mount.target
    return None


def obstacle(path: Path, reader: Reader, service: str) -> Obstacle | None:
    """Return what keeps the reader from a file of the host; None when nothing does."""
    seen = inside(path, reader.mounts)
    if seen is None:
        return Obstacle(f"the container does not mount {path}", f"Mount it into {service} in the Compose files")
    try:
        passed, last = _walk(seen, reader.mounts)
    except OpsError as error:
        return Obstacle(error.problem, error.remedy or f"Put the file itself at {path}")
    if reader.user is None:
        raise Unreachable(
            "Its image runs as a user without a number.", "Start it once, or give the service a numeric user."
        )
    for place in [*passed, last]:
        found = place.stat()
        if not _allowed(found, reader, stat.S_IROTH if place == last else stat.S_IXOTH):
            mode = f"owner {found.st_uid}:{found.st_gid}, mode {stat.S_IMODE(found.st_mode):04o}"
            quoted = shlex.quote(str(place))
            if place != last:
                return Obstacle(f"{reader.told()} may not enter {place} ({mode})", f"chmod a+x {quoted}")
            mend = f"chown {reader.user} {quoted} && chmod u+r {quoted}"
            return Obstacle(f"{reader.told()} may not read {place} ({mode})", mend)
    return None


def _walk(path: PurePosixPath, mounts: Sequence[Mount]) -> tuple[list[Path], Path]:
    """Follow a path as the container does; return the directories of the host on the way, and what is at its end."""
    rest, here = list(path.parts[1:]), PurePosixPath("/")
    passed: list[Path] = []
    links = 0
    while rest:
        part = rest.pop(0)
        if part == "..":
            here = here.parent
            continue
        here /= part
        place = _place(here, mounts)
        if place is None:
            if any(here in mount.target.parents for mount in mounts):
                continue  # in the image, on the way to a mount
            raise OpsError(f"its way leads to {here}, which the container does not mount")
        if place.is_symlink():
            links += 1
            if links > LINKS:
                raise OpsError(f"{place} is a symbolic link that leads back to itself")
            to = PurePosixPath(os.readlink(place))
            here = PurePosixPath("/") if to.is_absolute() else here.parent
            rest = [*(to.parts[1:] if to.is_absolute() else to.parts), *rest]
            if not _leads_somewhere(here, rest, mounts):
                raise OpsError(f"{place} is a symbolic link to {to}, which the container does not mount")
            continue
        if not place.exists():
            raise OpsError(f"{place} does not exist")
        passed.append(place)
    if not passed or not passed[-1].is_file():
        raise OpsError(f"{path} is no file in the container")
    return passed[:-1], passed[-1]


def _leads_somewhere(here: PurePosixPath, rest: Sequence[str], mounts: Sequence[Mount]) -> bool:
    """Whether a link's own text stays in what is mounted, so that a sentence can name the link that does not."""
    to = PurePosixPath(os.path.normpath(str(here.joinpath(*rest))))
    return _place(to, mounts) is not None


def _place(path: PurePosixPath, mounts: Sequence[Mount]) -> Path | None:
    for mount in sorted(mounts, key=lambda one: len(one.target.parts), reverse=True):
        if mount.target in (path, *path.parents):
            return mount.source / path.relative_to(mount.target)
    return None


def _allowed(found: os.stat_result, reader: Reader, bit: int) -> bool:
    if reader.overrides:
        return True
    if found.st_uid == reader.user:
        bit <<= 6
    elif found.st_gid in reader.groups:
        bit <<= 3
    return bool(found.st_mode & bit)
