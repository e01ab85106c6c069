# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of backups as plain files on another host, by rsync over ssh.

rsync alone is run there, so that the key may be bound to it (``command="rrsync DIRECTORY"`` in authorized_keys).

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import _copy_place
from ._copy_plain import Plain
from ._errors import OpsError, Unreachable
from ._shelf import MANIFEST

_ADDRESS = re.compile(r"(?P<host>(?:[\w.-]+@)?(?:[\w.-]+|\[[0-9a-fA-F:]+\])):(?P<path>[^\s'\"]*)")
_ROW = re.compile(r"-\S{9,}\s+([\d,.]+) \S+ \S+ (.+)")
_AWAY, _MISSING = (10, 12, 30, 35, 255), 23  # rsync's exit codes; 255 is ssh's own


@dataclass(frozen=True)
class Ssh:
    """How the other host is reached.

    Attributes:
        address: ``user@host:/directory``.
        known_hosts: file with the host's key; the user's own without one. A host whose key is not there is refused.
        patience: seconds without anything that moves.
    """

    address: str
    port: int = 22
    key_file: str = ""
    known_hosts: str = ""
    patience: int = 300

    def command(self) -> str:
        """Return ssh as rsync takes it: words at spaces, so a path with one is refused."""
        options = {"BatchMode": "yes", "StrictHostKeyChecking": "yes", "ConnectTimeout": "20"}
        if self.known_hosts:
            options["UserKnownHostsFile"] = self.known_hosts
        words = [
            "ssh",
            "-p",
            str(self.port),
            *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
        ]
        if self.key_file:
            words += ["-i", self.key_file, "-o", "IdentitiesOnly=yes"]
        if any(re.search(r"[\s'\"]", word) for word in words):
            raise OpsError("A path with spaces or quotes cannot be given to ssh.", "Move key_file and known_hosts.")
        return " ".join(words)


class Host(Plain):
    """A directory of another host."""

    kind = _copy_place.RSYNC

    def __init__(self, ssh: Ssh, project: str, state: Path, say: Callable[[str], None]) -> None:
        found = _ADDRESS.fullmatch(ssh.address)
        if not found:
            raise OpsError(f"{ssh.address!r} is no address for rsync.", "Write it as user@host:/directory.")
        super().__init__(ssh.address, project, state, say)
        self._base, self._shell, self._patience = ssh.address.rstrip("/") + "/", ssh.command(), ssh.patience

    def reach(self) -> str:
        self._rsync("--list-only", self._base)
        return f"rsync lists {self.address}"

    def sizes(self, backup_id: str = "") -> dict[str, dict[str, int]]:
        wanted = [f"--include=/{backup_id}/***", "--exclude=*"] if backup_id else []
        found: dict[str, dict[str, int]] = {}
        for line in self._rsync("--list-only", "--recursive", *wanted, self._base).splitlines():
            row = _ROW.fullmatch(line)
            one, _slash, name = row[2].partition("/") if row else ("", "", "")
            if row and name and _copy_place.is_id(one):
                found.setdefault(one, {})[name] = int(re.sub(r"\D", "", row[1]))
        return found

    def send(self, source: Path, backup_id: str, name: str) -> None:
        # A tree of one link: so rsync makes the folders there. It gives the name when all is written.
        with self.scratch() as scratch:
            tree = scratch / backup_id / name
            tree.parent.mkdir(mode=0o700, parents=True)
            tree.symlink_to(source.resolve())
            self._rsync("--recursive", "--copy-links", "--times", "--chmod=D0700,F0600", f"{scratch}/", self._base)

    def bring(self, backup_id: str, name: str, target: Path) -> None:
        self._rsync("--times", f"{self._base}{backup_id}/{name}", str(target))

    def delete(self, backup_id: str) -> None:
        """Bring the folder to what an empty one is: its manifest first, so that a half removed copy is none."""
        with self.scratch() as scratch:
            (scratch / backup_id).mkdir()
            manifest = (f"--include=/{backup_id}/", f"--include=/{backup_id}/{MANIFEST}", "--exclude=*")
            self._rsync("--recursive", "--delete", *manifest, f"{scratch}/", self._base)
            (scratch / backup_id).rmdir()
            self._rsync(
                "--recursive", "--delete", f"--include=/{backup_id}/***", "--exclude=*", f"{scratch}/", self._base
            )

    def _rsync(self, *arguments: str) -> str:
        argv = ["rsync", f"--rsh={self._shell}", f"--timeout={self._patience}", *arguments]
        try:
            done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        except FileNotFoundError:
            raise OpsError("The program rsync is not on this host.", "apt-get install rsync openssh-client") from None
        if done.returncode:
            raise explained(done.returncode, done.stderr.decode(errors="replace"), self.address)
        return done.stdout.decode(errors="surrogateescape")


def explained(code: int, said: str, address: str) -> OpsError:
    """Turn how rsync or its ssh ended into what an operator can act on."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(("@", "rsync error"))]
    why = (lines or [f"code {code}"])[0]
    if re.search(r"Host key verification failed|host key is known|IDENTIFICATION HAS CHANGED", said):
        return OpsError(
            f"The host key of {address} is not the known one.",
            "Compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then put it into known_hosts.",
        )
    if "Permission denied" in said:
        return OpsError(f"{address} refuses the key ({why}).", "Put the public key there, and correct key_file.")
    if code in _AWAY:
        return Unreachable(f"{address} does not answer ({why}).", "Look at its address, network and sshd.")
    if code == _MISSING and "No such file" in said:
        return OpsError(
            f"{address} does not have what is asked for ({why}).", "Make the directory, or correct the address."
        )
    return OpsError(f"rsync failed at {address} ({why}).", "Look at room and rights there.")
