# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _sockets
from ansible_collections.prosaas.ops.plugins.module_utils._errors import Unreachable

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TAIL = " 00000000:00000000 00:00000000 00000000     0        0 1 1 0000000000000000 20 0 0 10 -1\n"
# As a little-endian kernel prints 172.18.0.5:5050 and its peers; 13BA is 5050.
LISTENS = "   0: 00000000:13BA 00000000:0000 0A" + TAIL
NGINX = "   1: 050012AC:13BA 020012AC:C350 01" + TAIL
ITSELF = "   2: 0100007F:13BA 0100007F:C351 01" + TAIL
ENDED = "   3: 050012AC:13BA 020012AC:C352 06" + TAIL
TO_REDIS = "   4: 050012AC:C353 030012AC:18EB 01" + TAIL
BY_OWN_ADDRESS = "   5: 050012AC:13BA 050012AC:C354 01" + TAIL
MAPPED = "   0: 0000000000000000FFFF0000050012AC:13BA 0000000000000000FFFF0000020012AC:C355 01" + TAIL
MAPPED_ITSELF = "   1: 0000000000000000FFFF00000100007F:13BA 0000000000000000FFFF00000100007F:C356 01" + TAIL
SIX_ITSELF = "   2: 00000000000000000000000001000000:13BA 00000000000000000000000001000000:C357 01" + TAIL


@pytest.fixture()
def proc(tmp_path: Path) -> Path:
    place = tmp_path / "7" / "net"
    place.mkdir(parents=True)
    (place / "tcp").write_text(HEAD + LISTENS + NGINX + ITSELF + ENDED + TO_REDIS + BY_OWN_ADDRESS, encoding="ascii")
    (place / "tcp6").write_text(HEAD + MAPPED + MAPPED_ITSELF + SIX_ITSELF, encoding="ascii")
    (place / "fib_trie").write_text(
        "Main:\n  +-- 172.18.0.0/16 2 0 2\n     |-- 172.18.0.5\n        /32 host LOCAL\n", encoding="ascii"
    )
    return tmp_path


def test_only_what_comes_from_elsewhere_counts(proc: Path) -> None:
    found = _sockets.established(7, 5050, proc=proc)
    assert [(str(row.peer), row.peer_port) for row in found] == [("172.18.0.2", 50000), ("172.18.0.2", 50005)]
    assert {row.local for row in found} == {ip_address("172.18.0.5")}, "an address within IPv6 is what it is"


def test_connections_that_lead_out(proc: Path) -> None:
    [row] = _sockets.established(7, 6379, ports_local=False, proc=proc)
    assert str(row.peer) == "172.18.0.3"


def test_an_engine_without_ipv6(proc: Path) -> None:
    (proc / "7/net/tcp6").unlink()
    assert len(_sockets.established(7, 5050, proc=proc)) == 1


def test_a_process_that_is_gone_is_not_one_without_connections(proc: Path) -> None:
    with pytest.raises(Unreachable, match="Process 8 is not on this host"):
        _sockets.established(8, 5050, proc=proc)


def test_the_network_is_the_one_that_is_meant(proc: Path) -> None:
    assert _sockets.has_address(7, "172.18.0.5", proc)
    assert not _sockets.has_address(7, "172.18.0.55", proc)
    assert not _sockets.has_address(7, "172.18.0.0", proc)


def test_this_process_by_the_real_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        with server.accept()[0]:
            text = Path(f"/proc/{os.getpid()}/net/tcp").read_text(encoding="ascii")
            there = [row for row in _sockets.rows(text) if row.local_port == server.getsockname()[1]]
            assert [str(row.peer) for row in there] == ["127.0.0.1"]
            assert _sockets.established(os.getpid(), server.getsockname()[1]) == []


def test_what_lasts() -> None:
    one, two, three = (_sockets.Row(ip_address("10.0.0.1"), 1, ip_address("10.0.0.2"), port) for port in (1, 2, 3))
    assert _sockets.lasting([{one}, {two}, {three}]) == 0
    assert _sockets.lasting([{one}, {one, two}, {two, three}]) == 1
    assert _sockets.lasting([{one}, {one, two}, {one, two}, set()]) == 2
    assert _sockets.lasting([]) == 0
