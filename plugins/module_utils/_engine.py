# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine as data: the containers of a Compose project, what happens to them, what they print.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import datetime
import re
import threading
import time
import typing as t
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ._errors import OpsError, Unreachable
from ._logs import lines

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
VOLUME = "com.docker.compose.volume"
ONE_OFF = "com.docker.compose.oneoff"
WORKING_DIR = "com.docker.compose.project.working_dir"
CONFIG_HASH = "com.docker.compose.config-hash"
DEPENDS_ON = "com.docker.compose.depends_on"

_ACTIONS = ("create", "start", "die", "oom", "destroy", "pause", "unpause", "health_status")
_LAST_LINES = 50_000
_LOG_BLOCK = 1 << 18
_LOG_TIMEOUT = (20, 600)  # seconds: the engine reads to the moment that was asked for before it answers
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Port(t.NamedTuple):
    """A published port: ``0.0.0.0:443 -> 443/tcp``."""

    host_ip: str
    published: int
    target: int
    protocol: str


@dataclass(frozen=True)
class Container:
    """What the engine knows about one container; times are seconds since the epoch, 0 for never."""

    id: str
    name: str
    project: str
    service: str
    number: int = 1
    image: str = ""
    status: str = "created"
    health: str = ""
    health_output: str = ""
    health_code: int = 0
    health_failures: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    restart_count: int = 0
    restart_policy: str = "no"
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    working_dir: str = ""
    one_off: bool = False
    addresses: dict[str, str] = field(default_factory=dict)
    ports: frozenset[Port] = frozenset()
    config_hash: str = ""
    depends_on: tuple[str, ...] = ()
    pid: int = 0
    hosts_path: str = ""
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    anonymous_volumes: tuple[str, ...] = ()
    health_test: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def short(self) -> str:
        return self.id[:12]


class Event(t.NamedTuple):
    """Something that happened to a container of the project."""

    at: float
    container: str
    service: str
    action: str
    exit_code: int | None


def moment(text: str) -> float:
    """Return the engine's time stamp as seconds since the epoch; its "never" (year 1) and rubbish are 0."""
    found = _TIME.fullmatch(text or "")
    if not found or found[1] == "0001":
        return 0.0
    zone = "+00:00" if found[8] == "Z" else found[8]
    whole = datetime.datetime.fromisoformat(f"{text[:19]}{zone}")
    return whole.timestamp() + float(found[7] or 0)


def container_of(inspected: Mapping[str, t.Any]) -> Container:
    """Read the engine's description of one container."""
    state, labels = inspected["State"], inspected["Config"].get("Labels") or {}
    health = state.get("Health") or {}
    probes = health.get("Log") or []
    network = inspected.get("NetworkSettings") or {}
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        project=labels.get(PROJECT, ""),
        service=labels.get(SERVICE, ""),
        number=int(labels.get(NUMBER) or 1),
        image=inspected["Image"],
        status=state["Status"],
        health="" if health.get("Status") in (None, "none") else health["Status"],
        health_output=(probes[-1].get("Output") or "").strip() if probes else "",
        health_code=probes[-1].get("ExitCode") or 0 if probes else 0,
        health_failures=health.get("FailingStreak") or 0,
        exit_code=state.get("ExitCode") or 0,
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=inspected.get("RestartCount") or 0,
        restart_policy=((inspected.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "no",
        created_at=moment(inspected.get("Created", "")),
        started_at=moment(state.get("StartedAt", "")),
        finished_at=moment(state.get("FinishedAt", "")),
        working_dir=labels.get(WORKING_DIR, ""),
        one_off=labels.get(ONE_OFF, "").lower() == "true",
        addresses={name: net["IPAddress"] for name, net in (network.get("Networks") or {}).items() if net["IPAddress"]},
        ports=frozenset(_ports(network.get("Ports") or {})),
        config_hash=labels.get(CONFIG_HASH, ""),
        depends_on=depends_on(labels),
        health_test=_health_test(inspected["Config"].get("Healthcheck") or {}),
        pid=state.get("Pid") or 0,
        hosts_path=inspected.get("HostsPath") or "",
        aliases={name: tuple(net.get("Aliases") or ()) for name, net in (network.get("Networks") or {}).items()},
        anonymous_volumes=tuple(
            mount["Destination"]
            for mount in inspected.get("Mounts") or ()
            if _ANONYMOUS.fullmatch(mount.get("Name") or "")
        ),
    )


def depends_on(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the services that a container was made to depend on, as Compose wrote ``service:condition:restart,…``."""
    return tuple(part.partition(":")[0] for part in labels.get(DEPENDS_ON, "").split(",") if part)


def _health_test(given: Mapping[str, t.Any]) -> tuple[str, ...]:
    """Return the program of a health check as it is run; none where there is no check."""
    kind, *rest = given.get("Test") or ["NONE"]
    return {"CMD": tuple(rest), "CMD-SHELL": ("/bin/sh", "-c", *rest)}.get(kind, ())


def _ports(bound: Mapping[str, t.Any]) -> Iterator[Port]:
    for target, hosts in bound.items():
        number, _slash, protocol = target.partition("/")
        for host in hosts or []:
            yield Port(host["HostIp"], int(host["HostPort"]), int(number), protocol)


def event_of(raw: Mapping[str, t.Any]) -> Event:
    """Read one line of the engine's event stream."""
    attributes = raw["Actor"]["Attributes"]
    code = attributes.get("exitCode")
    return Event(
        at=raw["timeNano"] / 1e9,
        container=raw["Actor"]["ID"],
        service=attributes.get(SERVICE, ""),
        action=raw["Action"],
        exit_code=int(code) if code is not None else None,
    )


@contextmanager
def answering() -> Iterator[None]:
    """Turn what the Docker library raises into one sentence: an engine that is away is told from one that refuses."""
    import docker.errors
    import requests.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        raise OpsError(f"The Docker engine refused: {error.explanation}", "journalctl -u docker -n 50") from None
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        if "Permission denied" in str(error):
            raise Unreachable(
                "This user may not talk to the Docker engine.", "Run it with become: true, or as a member of docker."
            ) from None
        raise Unreachable(
            "The Docker engine does not answer on this host.", "Start it: systemctl start docker"
        ) from None


class Engine:
    """The Docker engine that the environment names (``DOCKER_HOST``, else the socket of this host).

    A view of it (:meth:`view`) shows some containers only; it is the same engine in everything else.
    """

    def __init__(self, client: t.Any, shown: t.Callable[[str], bool] = lambda _id: True) -> None:
        self._client = client
        self._api = client.api
        self._shown = shown

    def view(self, only: Collection[str] | None = None, without: Collection[str] = ()) -> Engine:
        """Return the engine as if it had only these containers, or all but those, by id."""
        return Engine(self._client, lambda one: (only is None or one in only) and one not in without)

    @classmethod
    def connect(cls, timeout: float = 20) -> Engine:
        import docker

        with answering():
            return cls(docker.from_env(timeout=timeout))

    def info(self) -> dict[str, t.Any]:
        with answering():
            return t.cast("dict[str, t.Any]", self._api.info())

    def version(self) -> str:
        with answering():
            return str(self._api.version()["Version"])

    def now(self) -> float:
        """Return the time by the engine's clock, which is the one that its time stamps are made with."""
        return moment(self.info()["SystemTime"]) or time.time()

    def containers(self, project: str = "", service: str = "") -> list[Container]:
        """Return all containers, or those of a project, or of one service; the newest of a service last."""
        import docker.errors

        labels = [f"{label}={value}" for label, value in ((PROJECT, project), (SERVICE, service)) if value]
        found = []
        with answering():
            for row in self._api.containers(all=True, filters={"label": labels}):
                if not self._shown(row["Id"]):
                    continue
                try:
                    found.append(container_of(self._api.inspect_container(row["Id"])))
                except docker.errors.NotFound:  # removed since it was listed
                    continue
        return sorted(found, key=lambda container: (container.service, container.number))

    def address(self, project: str, service: str) -> str:
        """Return an address at which this host reaches the newest running container of a service."""
        for container in reversed(self.containers(project, service)):
            if container.running and container.addresses and not container.one_off:
                return next(iter(container.addresses.values()))
        raise OpsError(
            f"Service {service} of project {project} has no running container.", f"docker compose -p {project} ps -a"
        )

    def networks(self) -> dict[str, dict[str, t.Any]]:
        with answering():
            return {network["Name"]: network for network in self._api.networks()}

    def volumes(self) -> dict[str, dict[str, t.Any]]:
        with answering():
            return {volume["Name"]: volume for volume in self._api.volumes()["Volumes"] or []}

    def tag(self, image: str, name: str) -> None:
        """Give an image (id or name) one more name; a name with a digest already means one image only."""
        from docker.utils import parse_repository_tag

        if "@" not in name:
            repository, tag = parse_repository_tag(name)
            with answering():
                self._api.tag(image, repository, tag)

    def log_tail(self, container: str, lines: int) -> list[str]:
        """Return the last lines that a container printed, on either stream."""
        with answering():
            printed: bytes = self._api.logs(container, stdout=True, stderr=True, tail=lines)
        return printed.decode("utf-8", "replace").splitlines()

    def log_since(self, container: str, since: float) -> Iterator[tuple[str, str]]:
        """Yield what a container has printed since a moment, line by line, each with the engine's time stamp.

        The engine knows where a log ends, and reads all of it to find a moment: so the last lines are asked for first.
        """
        last = list(lines(self.log_chunks(container, since, _LAST_LINES)))
        # A long line counts as several there.
        yield from last if len(last) < _LAST_LINES / 2 else lines(self.log_chunks(container, since))

    def log_chunks(self, container: str, since: float, tail: int | str = "all") -> Iterator[bytes]:
        """Yield a log since a moment as the engine sends it: with time stamps, and in frames (see ``_logs``)."""
        import urllib3.exceptions

        api = self._api
        query = {"stdout": 1, "stderr": 1, "timestamps": 1, "since": f"{max(since, 1.0):.6f}", "tail": tail}
        with answering():
            url = f"{api.base_url}/v{api.api_version}/containers/{container}/logs"
            with api.get(url, params=query, stream=True, timeout=_LOG_TIMEOUT) as answer:
                if answer.status_code != 200:
                    raise Unreachable(f"The Docker engine refused: {answer.json().get('message')}", "docker info")
                try:
                    yield from iter(lambda: answer.raw.read(_LOG_BLOCK), b"")
                except urllib3.exceptions.HTTPError:
                    raise Unreachable(
                        "The Docker engine stopped answering in the middle of a log.", "docker info"
                    ) from None

    def inspect(self, container: str) -> Container | None:
        """Return one container by its id; ``None`` when it is gone."""
        import docker.errors

        with answering():
            try:
                return container_of(self._api.inspect_container(container))
            except docker.errors.NotFound:
                return None

    def environment(self, container: str) -> dict[str, str]:
        """Return the variables that a container was started with; they hold secrets."""
        with answering():
            lines = self._api.inspect_container(container)["Config"].get("Env") or []
        return {name: value for name, _equals, value in (line.partition("=") for line in lines)}

    def start(self, container: str) -> None:
        with answering():
            self._api.start(container)

    def stop(self, container: str, seconds: int) -> None:
        """Ask a container to end; it is killed after so many seconds."""
        with answering():
            self._api.stop(container, timeout=seconds)

    def remove(self, container: str, force: bool = False) -> None:
        """Remove a container that has stopped, or runs (``force``), and the volumes that no other can use."""
        with answering():
            self._api.remove_container(container, v=True, force=force)

    def rename(self, container: str, name: str) -> None:
        with answering():
            self._api.rename(container, name)

    def run_in(self, container: str, argv: Sequence[str]) -> tuple[int, str]:
        """Run a program in a container; return its exit code and what it printed."""
        with answering():
            made = self._api.exec_create(container, list(argv))
            printed: bytes = self._api.exec_start(made["Id"])
            return int(self._api.exec_inspect(made["Id"])["ExitCode"]), printed.decode("utf-8", "replace").strip()

    def processes(self, container: str) -> dict[int, str]:
        """Return the command lines of a container's processes by their id on the host."""
        with answering():
            top = self._api.top(container)
        pid, command = top["Titles"].index("PID"), len(top["Titles"]) - 1
        return {int(row[pid]): row[command] for row in top["Processes"] or ()}

    def watch(self, project: str) -> Watcher:
        return Watcher(self._api, project, self.now(), self._shown)


class Watcher:
    """Collects what happens to a project's containers from ``began`` on, in a thread of its own.

    Use it in a ``with`` statement; ``seen`` has the events so far, :meth:`wait` returns when there is another.
    """

    def __init__(
        self, api: t.Any, project: str, began: float, shown: t.Callable[[str], bool] = lambda _id: True
    ) -> None:
        self.began = began
        self._shown = shown
        self.seen: list[Event] = []
        self._news = threading.Condition()
        self._unread = 0
        self._ended = False
        with answering():
            self._stream = api.events(
                # The engine replays from here, so that nothing is lost between the subscription and the first look.
                since=f"{began:.9f}",
                decode=True,
                filters={"type": "container", "label": f"{PROJECT}={project}", "event": list(_ACTIONS)},
            )
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stream.close()

    def wait(self, seconds: float) -> None:
        """Return as soon as something has happened since the last call, or after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self._unread or self._ended, timeout=max(seconds, 0))
            if self._ended:
                raise Unreachable(
                    "The Docker engine stopped answering while it was watched.", "Start it: systemctl start docker"
                )
            self._unread = 0

    def _read(self) -> None:
        try:
            for raw in self._stream:
                event = event_of(raw)
                one_off = raw["Actor"]["Attributes"].get(ONE_OFF, "").lower() == "true"
                if event.at >= self.began and not one_off and self._shown(event.container):
                    with self._news:
                        self.seen.append(event)
                        self._unread += 1
                        self._news.notify_all()
        except Exception:  # whatever ends the stream, the next wait says that it has ended
            pass
        with self._news:
            self._ended = True
            self._news.notify_all()
