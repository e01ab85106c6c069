# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _engine

# As an engine of version 20.10 describes a container, shortened.
INSPECTED = {
    "Id": "c1",
    "Name": "/shop-web-1",
    "Created": "2026-11-22T20:59:58.5Z",
    "Image": "sha256:abc",
    "RestartCount": 2,
    "State": {
        "Status": "running",
        "ExitCode": 0,
        "OOMKilled": False,
        "StartedAt": "2026-11-22T21:00:00.123456789Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {"Status": "unhealthy", "Log": [{"Output": "old"}, {"Output": "connection refused\n"}]},
    },
    "Config": {
        "Labels": {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
        }
    },
    "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}},
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None},
        "Networks": {"front": {"IPAddress": "10.0.0.2"}, "gone": {"IPAddress": ""}},
    },
}


def test_a_container_is_read() -> None:
    """State, health and exit code come as data, never from the words of a table (trap 28)."""
    container = _engine.container_of(INSPECTED)
    assert (container.name, container.project, container.service) == ("shop-web-1", "shop", "web")
    assert (container.health, container.health_output) == ("unhealthy", "connection refused")
    assert (container.restart_count, container.restart_policy, container.one_off) == (2, "unless-stopped", False)
    assert container.started_at - container.created_at == pytest.approx(1.623, abs=0.001)
    assert container.finished_at == 0.0
    assert container.addresses == {"front": "10.0.0.2"}
    assert container.ports == {_engine.Port("0.0.0.0", 8080, 80, "tcp")}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T02:00:10.5+02:00", 10.5),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        ("soon", 0.0),
    ],
)
def test_time_stamps(text: str, seconds: float) -> None:
    assert _engine.moment(text) == seconds


def test_an_event_is_read() -> None:
    attributes = {"com.docker.compose.service": "web", "exitCode": "137"}
    raw = {"timeNano": 1_500_000_000, "Action": "die", "Actor": {"ID": "c1", "Attributes": attributes}}
    assert _engine.event_of(raw) == _engine.Event(1.5, "c1", "web", "die", 137)
