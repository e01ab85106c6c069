# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container can read: users, capabilities, folders on the way, symbolic links as the mount shows them."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path, PurePosixPath

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _host_access
from ansible_collections.prosaas.ops.plugins.module_utils._errors import Unreachable
from ansible_collections.prosaas.ops.plugins.module_utils._host_access import Mount, Reader

ME = os.getuid()
INSIDE = "/etc/nginx/ssl"


def reader(source: Path, target: str = INSIDE, user: int | None = ME, overrides: bool = False) -> Reader:
    return Reader(user, frozenset({os.getgid()}), overrides, (Mount(source, PurePosixPath(target)),))


def said(path: Path, who: Reader) -> str:
    found = _host_access.obstacle(path, who, "edge")
    return found.said if found else ""


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "ssl"
    place.mkdir(mode=0o755)
    (place / "site.key").write_text("x", encoding="ascii")
    (place / "site.key").chmod(0o600)
    return place


@pytest.mark.parametrize(
    ("service", "image_user", "user", "overrides"),
    [
        ({}, "", 0, True),
        ({"cap_drop": ["ALL"], "cap_add": ["CHOWN", "NET_BIND_SERVICE"]}, "", 0, False),
        ({"cap_drop": ["CAP_DAC_OVERRIDE"]}, "root", 0, False),
        ({"cap_drop": ["all"], "cap_add": ["dac_override"]}, "", 0, True),
        ({"cap_drop": ["ALL"], "privileged": True}, "", 0, True),
        ({"user": "101:101"}, "", 101, False),
        ({}, "101", 101, False),
        ({}, "nginx", None, False),
        ({"user": "0"}, "nginx", 0, True),
    ],
)
def test_who_reads(service: dict[str, t.Any], image_user: str, user: int | None, overrides: bool) -> None:
    found = _host_access.of_model(service, image_user)
    assert (found.user, found.overrides) == (user, overrides)


def test_the_container_that_runs_is_read_the_same(tmp_path: Path) -> None:
    service = {
        "user": "101:102",
        "cap_drop": ["ALL"],
        "group_add": [7],
        "volumes": [{"type": "bind", "source": str(tmp_path), "target": INSIDE}, {"type": "volume", "source": "data"}],
    }
    inspected = {
        "Config": {"User": "101:102"},
        "HostConfig": {"CapDrop": ["ALL"], "CapAdd": None, "GroupAdd": ["7"]},
        "Mounts": [
            {"Type": "bind", "Source": str(tmp_path), "Destination": INSIDE},
            {"Type": "volume", "Source": "/x"},
        ],
    }
    assert _host_access.of_model(service, "") == _host_access.of_container(inspected)


def test_owner_mode_and_the_way_there(folder: Path) -> None:
    key = folder / "site.key"
    assert said(key, reader(folder)) == ""
    assert "may not read" in said(key, reader(folder, user=ME + 1))
    assert said(key, reader(folder, user=0, overrides=True)) == ""
    key.chmod(0o640)
    assert said(key, reader(folder, user=ME + 1)) == "", "by its group"
    key.chmod(0o604)
    assert "may not read" in said(key, reader(folder, user=ME + 1)), "a group that may not is not asked as others"
    key.chmod(0o644)
    folder.chmod(0o600)
    found = _host_access.obstacle(key, reader(folder, user=ME + 1), "edge")
    folder.chmod(0o755)
    assert found is not None and "may not enter" in found.said
    assert found.mend == f"chmod a+x {folder}"


def test_above_the_mount_nothing_counts(folder: Path) -> None:
    folder.parent.chmod(0o700)
    (folder / "site.key").chmod(0o644)
    assert said(folder / "site.key", reader(folder, user=ME + 1)) == ""


def test_what_is_not_mounted(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/site.key").touch()
    assert (
        said(tmp_path / "other/site.key", reader(folder)) == f"the container does not mount {tmp_path}/other/site.key"
    )


def test_a_link_that_leaves_the_mount_leads_nowhere_inside(folder: Path, tmp_path: Path) -> None:
    """As with Let's Encrypt, whose live folder links to the archive beside it."""
    archive = tmp_path / "archive"
    archive.mkdir()
    (folder / "site.key").rename(archive / "site1.key")
    for to in ("../archive/site1.key", str(archive / "site1.key")):
        (folder / "site.key").unlink(missing_ok=True)
        (folder / "site.key").symlink_to(to)
        assert (folder / "site.key").is_file(), "on the host all is well"
        assert f"is a symbolic link to {to}, which the container does not mount" in said(
            folder / "site.key", reader(folder)
        )
    (folder / "site.key").unlink()
    (folder / "site.key").symlink_to("../archive/site1.key")
    whole = reader(tmp_path, "/etc/letsencrypt")
    assert said(folder / "site.key", whole) == "", "where what holds both is mounted"
    both = Reader(
        ME,
        frozenset(),
        False,
        (Mount(folder, PurePosixPath(INSIDE)), Mount(archive, PurePosixPath("/etc/nginx/archive"))),
    )
    assert said(folder / "site.key", both) == "", "or each of them, beside the other"


def test_links_within_the_mount_and_in_a_circle(folder: Path) -> None:
    (folder / "current").symlink_to("site.key")
    assert said(folder / "current", reader(folder)) == ""
    (folder / "absolute").symlink_to(f"{INSIDE}/site.key")
    assert said(folder / "absolute", reader(folder)) == "", "absolute ones are the container's"
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    assert "leads back to itself" in said(folder / "one", reader(folder))
    (folder / "gone").symlink_to("nothing")
    assert "does not exist" in said(folder / "gone", reader(folder))


def test_a_file_that_is_mounted_itself(folder: Path) -> None:
    key = folder / "site.key"
    assert said(key, reader(key, "/run/secrets/key")) == ""
    assert "may not read" in said(key, reader(key, "/run/secrets/key", user=ME + 1))


def test_a_user_that_only_the_image_knows(folder: Path) -> None:
    with pytest.raises(Unreachable, match="without a number"):
        _host_access.obstacle(folder / "site.key", reader(folder, user=None), "edge")
