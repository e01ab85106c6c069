# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images by name and id, through the docker command line.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ._compose import Execute, explain

_INSPECT = ("docker", "image", "inspect", "--format", "{{.Id}}")


def image_ids(execute: Execute, references: Iterable[str]) -> dict[str, str]:
    """Return the id of each reference that exists on this host; those that do not are left out."""
    asked = sorted(set(references))
    if not asked:
        return {}
    if len(asked) > 1:
        rc, out, _err = execute([*_INSPECT, *asked])
        if rc == 0 and len(out.split()) == len(asked):
            return dict(zip(asked, out.split()))
    # One of them is missing, and engines differ in how they name it.
    return {reference: found for reference in asked for found in [_image_id(execute, reference)] if found}


def _image_id(execute: Execute, reference: str) -> str:
    rc, out, err = execute([*_INSPECT, reference])
    if rc and "no such image" not in err.lower():
        raise explain("docker image inspect", err, "")
    return out.strip() if rc == 0 else ""


def tag(execute: Execute, image: str, name: str) -> None:
    """Give an image (id or name) one more name; a name with a digest already means one image only."""
    if "@" in name:
        return
    rc, _out, err = execute(["docker", "tag", image, name])
    if rc:
        raise explain(f"docker tag {name}", err, "")


def untag(execute: Execute, name: str) -> bool:
    """Take a name away; the image goes with its last one. Return whether it was there."""
    rc, _out, err = execute(["docker", "image", "rm", "--no-prune", name])
    if rc and "no such image" not in err.lower():
        raise explain(f"docker image rm {name}", err, "")
    return rc == 0


def used(execute: Execute, project: str) -> set[str]:
    """Return the ids of the images that containers of a project were made of, stopped ones included."""
    rc, out, err = execute(["docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={project}"])
    if rc == 0 and out.split():
        rc, out, err = execute(["docker", "inspect", "--format", "{{.Image}}", *out.split()])
    if rc:
        raise explain("docker inspect", err, "Run it again: a container went away while it was looked at.")
    return set(out.split())


def running(execute: Execute, project: str) -> dict[str, dict[str, str]]:
    """Return ``{service: {image, name, state}}`` of a Compose project's containers, one-shots included, runs left out."""
    filters = [f"label=com.docker.compose.project={project}", "label=com.docker.compose.oneoff=False"]
    rc, out, err = execute(["docker", "ps", "-aq", *(part for f in filters for part in ("--filter", f))])
    if rc:
        raise explain("docker ps", err, "")
    if not out.split():
        return {}
    rc, out, err = execute(["docker", "inspect", *out.split()])
    if rc:
        raise explain("docker inspect", err, "Run it again: a container went away while it was looked at.")
    return {
        container["Config"]["Labels"]["com.docker.compose.service"]: {
            "image": container["Image"],
            "name": container["Config"]["Image"],
            "state": container["State"]["Status"],
        }
        for container in json.loads(out)
    }
