# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a port was not answered while the container behind it was replaced.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Sequence

from ._engine import Container, Engine, Port

_PAUSE, _TIMEOUT = 0.02, 2.0


class Gap:
    """Measures, in a ``with`` statement, from the first request that nothing answered to the first one that something did.

    Where the containers publish no TCP port there is nobody to ask: then the time between the end of the old container
    and the start of the new one counts, by the engine's own stamps.

    Attributes:
        seconds: the gap; 0 when every request was answered.
    """

    def __init__(self, engine: Engine, old: Sequence[Container]) -> None:
        self._engine, self._old = engine, old
        self._port = next((port for one in old for port in sorted(one.ports) if port.protocol == "tcp"), None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(self._port,), daemon=True)
        self._lost = self._back = 0.0
        self.seconds = 0.0

    def __enter__(self) -> Gap:
        if self._port:
            self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        if self._port:
            self._thread.join()
            if self._lost:
                self.seconds = round((self._back or time.monotonic()) - self._lost, 3)

    def over(self, new: Sequence[Container]) -> None:
        """Tell that the new containers work."""
        if not self._port and self._old and new:
            ended = [one.finished_at for one in map(self._look, self._old) if one.finished_at]
            if ended:
                self.seconds = round(max(0.0, min(one.started_at for one in new) - max(ended)), 3)

    def _look(self, one: Container) -> Container:
        return self._engine.inspect(one.id) or one

    def _ask(self, port: Port) -> None:
        while not self._stop.is_set():
            if _answers(port):
                if self._lost and not self._back:
                    self._back = time.monotonic()
            else:
                self._lost = self._lost or time.monotonic()
                self._back = 0.0
            self._stop.wait(_PAUSE)


def _answers(port: Port) -> bool:
    """Whether anything at all comes back: a TLS port answers a plain request, too, with a refusal."""
    host = "127.0.0.1" if port.host_ip in ("", "0.0.0.0", "::") else port.host_ip
    with contextlib.suppress(OSError), socket.create_connection((host, port.published), timeout=_TIMEOUT) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return bool(sock.recv(1))
    return False
