# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ask.py SERVER NAME: ask one name server for the IPv4 addresses of a name, by the wire format of RFC 1035."""

from __future__ import annotations

import secrets
import socket
import struct
import sys


def query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    return secrets.token_bytes(2) + struct.pack(">HHHHH", 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def answered(question: bytes, answer: bytes) -> bool:
    """No error, and at least one record."""
    ident, flags, _questions, records = struct.unpack(">2sHHH", answer[:8])
    return ident == question[:2] and flags & 0xF == 0 and records > 0


def main(server: str, name: str) -> int:
    question = query(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(question, (server, 53))
        return 0 if answered(question, sock.recv(4096)) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
